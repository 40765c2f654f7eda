"""What the front of an identity card says: the name and the number, among the lines that a reading engine saw."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from app.documents.licence import Line

_NUMBER = re.compile(r"[0-9]{17}[0-9Xx]")
_NAME = re.compile(r"^姓?名?[:：]?([\u3400-\u9fff·\U00020000-\U0003ffff]{2,30})$")
_LABELS = ("性别", "民族", "出生", "住址", "公民身份", "示例")


def name_and_number(lines: Iterable[Line], right_number: Callable[[str], bool]) -> tuple[str, str]:
    """(name, number), each empty where it was not found. A number is taken only when its check digit is right: nothing is mended."""
    seen = list(lines)
    number = ""
    for line in seen:
        text = re.sub(r"\s+", "", line.text)
        number = next((run.upper() for run in _NUMBER.findall(text) if right_number(run.upper())), number)
    return _name(seen), number


def _name(lines: list[Line]) -> str:
    """What stands after 姓名 in its line, or right of it in the same row."""
    for line in lines:
        text = re.sub(r"\s+", "", line.text)
        if text in ("姓名", "姓", "名"):
            top, bottom = line.box[0][1], line.box[3][1]
            right = [other for other in lines if other is not line and other.box[0][0] >= line.box[1][0] - 5
                     and top - (bottom - top) / 2 < (other.box[0][1] + other.box[3][1]) / 2 < bottom + (bottom - top) / 2]
            for other in sorted(right, key=lambda each: each.box[0][0]):
                if (found := _of(re.sub(r"\s+", "", other.text))) is not None:
                    return found
        elif text.startswith("姓名") and (found := _of(text)) is not None:
            return found
    return ""


def _of(text: str) -> str | None:
    if any(text.startswith(label) for label in _LABELS):
        return None
    match = _NAME.match(text)
    return match[1] if match else None
