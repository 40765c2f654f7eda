"""What a business licence (营业执照) says, found among the lines a reading engine saw on its picture.

A licence has labels in two columns, each with its value to the right and further rows of the value below it. The sheet is
turned a little, labels come in pieces (名, 称), and what stands close together comes as one line. So: turn everything
straight by the angle of the lines, cut lines at the labels within them, and give each label what lies in its cell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Protocol

# Field -> the labels that it goes by, and what of the licence a value must not run into.
_LABELS: dict[str, tuple[str, ...]] = {
    "uscc": ("统一社会信用代码",),
    "name": ("企业名称", "单位名称", "名称", "称", "名"),
    "legal_representative": ("法定代表人", "执行事务合伙人", "经营者", "负责人", "投资人"),
    "address": ("主要经营场所", "经营场所", "营业场所", "住所", "地址", "所", "住"),
    "established_on": ("成立日期", "注册日期"),
    "valid_until": ("营业期限", "合伙期限", "经营期限"),
    "": ("注册资本", "经营范围", "登记机关", "组成形式", "出资额", "注册号", "类型", "型", "类"),
}
_FIELD_OF = {label: field for field, labels in _LABELS.items() for label in labels}
# Within a line, where words of the same letters may stand in a company's scope, only the unmistakable ones cut.
_CUTTING = ("法定代表人", "执行事务合伙人", "注册资本", "成立日期", "注册日期", "营业期限", "合伙期限", "经营范围",
            "登记机关", "主要经营场所", "统一社会信用代码")
_AT_END = (*_CUTTING, "经营场所", "营业场所", "住所")
_PAIRS = {"名": "称", "类": "型", "住": "所", "地": "址", "营业": "期限", "成立": "日期", "注册": "资本"}
# The last character of a label that was set wide, with the value in one line: 称杭州…公司, 所浙江省….
_STUCK = re.compile("(称)(?=.{4,}(?:公司|厂|店|中心|社|所|部|队))|(所)(?=.{2,3}[省市])")
# A type begins: where the label 类型 was lost, the name ends here all the same.
_TYPE = re.compile(r"(一人|其他)?有限责任公司(\(|（|$)|(其他)?股份有限公司(\(|（)|个体工商户|个人独资|(普通|有限|特殊普通)合伙")
_NAME_ENDS = ("公司", "厂", "店", "中心", "合作社", "事务所", "经营部", "服务部", "工作室", "队")
_LOOKS = {"name": re.compile(f"^.{{3,}}(公司|({'|'.join(_NAME_ENDS)})$)"),
          "address": re.compile("^.{2,3}(省|市|自治区).{2,}[市区县路镇号]")}
_NEIGHBOURS = {"name": ("法定代表人", "经营范围", "型", "类型", "经营者", "负责人"),
               "address": ("注册资本", "成立日期", "注册日期", "营业期限", "合伙期限", "出资额")}
_DATE = re.compile(r"([12][0-9]{3})年([01]?[0-9])月([0-3]?[0-9])日")
_CODE = re.compile("[0-9A-Z]{15,20}")
_FOREVER = ("长期", "永久", "无固定期限", "不约定期限")
_NOT_IN_ADDRESS = re.compile("市场监督管理局|登记机关|^[0-9]{4}年|gsxt|监制")


class Line(Protocol):
    """What an engine tells about a line: the corners of its box, clockwise from the top left."""

    @property
    def text(self) -> str: ...
    @property
    def box(self) -> Sequence[tuple[float, float]]: ...
    @property
    def confidence(self) -> float: ...


@dataclass(frozen=True)
class ReadField:
    """A value and how sure of it one may be, from 0 to 1. `suspect`: it cannot be right as it is, and was not mended."""

    value: str
    confidence: float
    suspect: bool = False


@dataclass(frozen=True)
class _Piece:
    """A line, or a part of one, lying straight. `label` is set where it is one."""

    text: str
    left: float
    right: float
    middle: float
    height: float
    confidence: float
    label: str = ""


def fields(lines: Iterable[Line], right_uscc: Callable[[str], bool]) -> dict[str, ReadField]:
    """The fields found, by name: uscc, name, legal_representative, address, established_on and valid_until. A field that is
    not there was not found. Dates are ISO; a licence without an end says 长期.

    `right_uscc` tells whether a code's own check characters agree. A code that fails it is kept as it was read, with
    confidence 0 and `suspect`.
    """
    pieces = _labelled(_straight(list(lines)))
    found: dict[str, ReadField] = {}
    for field in ("name", "legal_representative", "address", "established_on", "valid_until"):
        if (value := _value(field, pieces)) is not None:
            found[field] = value
    for field in _LOOKS.keys() - found.keys():
        if (value := _by_place(field, pieces)) is not None:
            found[field] = value
    if (code := _code(pieces, right_uscc)) is not None:
        found["uscc"] = code
    return found


def _straight(lines: list[Line]) -> list[_Piece]:
    """Boxes turned back by the angle most long lines lie at."""
    angles = []
    for line in lines:
        (ax, ay), (bx, by) = line.box[0], line.box[1]
        if len(line.text) >= 4 and bx > ax:
            angles.append(math.atan2(by - ay, bx - ax))
    turn = -median(angles) if angles else 0.0
    cos, sin = math.cos(turn), math.sin(turn)
    pieces = []
    for line in lines:
        if not (text := re.sub(r"\s+", "", line.text)):
            continue
        points = [(x * cos - y * sin, x * sin + y * cos) for x, y in line.box]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        height = (math.dist(points[0], points[3]) + math.dist(points[1], points[2])) / 2
        pieces.append(_Piece(text, min(xs), max(xs), sum(ys) / len(ys), height, line.confidence))
    return pieces


def _labelled(pieces: list[_Piece]) -> list[_Piece]:
    """Every label a piece of its own: lines are cut, and labels that came as two are put together."""
    done: list[_Piece] = []
    todo = sorted(pieces, key=lambda piece: piece.left)
    while todo:
        piece = todo.pop(0)
        partner = next((other for other in todo if other.text.startswith(_PAIRS.get(piece.text, "\0"))
                        and abs(other.middle - piece.middle) < piece.height * 0.8
                        and other.left - piece.right < piece.height * 8), None)
        if partner is not None:
            todo.remove(partner)
            second, value = _split(partner, len(_PAIRS[piece.text]))
            piece = _Piece(piece.text + second.text, piece.left, second.right, piece.middle, piece.height,
                           min(piece.confidence, second.confidence))
            done += _cut(value) if value.text else []
        done += _cut(piece)
    return done


def _cut(piece: _Piece) -> list[_Piece]:
    """A line, cut before and after each label in it."""
    if (whole := _as_label(piece.text.rstrip("：:"))) is not None:
        return [replace(piece, label=whole)]
    for label in sorted(_FIELD_OF, key=len, reverse=True):
        if len(label) > 1 and piece.text.startswith(label):
            head, rest = _split(piece, len(label))
            value = replace(rest, text=rest.text.lstrip("：:"))
            return [replace(head, label=label), *(_cut(value) if value.text else [])]
    if stuck := _STUCK.match(piece.text):
        head, rest = _split(piece, 1)
        return [replace(head, label=stuck[0]), rest]
    for label in _CUTTING:
        if (at := piece.text.find(label)) > 0:
            head, rest = _split(piece, at)
            return [head, *_cut(rest)]
    for label in _AT_END:
        if piece.text.endswith(label) and len(piece.text) > len(label):
            head, rest = _split(piece, len(piece.text) - len(label))
            return [head, replace(rest, label=label)]
    return [piece]


def _as_label(text: str) -> str | None:
    """The label this text is; a long one may have one character misread, as only a label is meant by the others."""
    if text in _FIELD_OF:
        return text
    near = (label for label in _FIELD_OF if len(label) == len(text) >= 4
            and sum(a != b for a, b in zip(label, text, strict=True)) == 1)
    return next(near, None)


def _split(piece: _Piece, at: int) -> tuple[_Piece, _Piece]:
    """Two pieces, cut where the character `at` begins if Chinese characters are twice as wide as Latin ones."""
    widths = [0.55 if character.isascii() else 1.0 for character in piece.text]
    place = piece.left + (piece.right - piece.left) * sum(widths[:at]) / sum(widths)
    return replace(piece, text=piece.text[:at], right=place), replace(piece, text=piece.text[at:], left=place)


def _value(field: str, pieces: list[_Piece]) -> ReadField | None:
    """The value of a field: its label's cell, row by row."""
    labels = [piece for piece in pieces if piece.label and _FIELD_OF[piece.label] == field]
    for label in sorted(labels, key=lambda piece: (-len(piece.label), piece.middle)):
        rows = _cell(label, pieces)
        if rows and (value := _read(field, rows)) is not None:
            return value
    return None


def _cell(label: _Piece, pieces: list[_Piece]) -> list[_Piece]:
    """The pieces right of a label and above the next, down to the first gap, in reading order."""
    height = label.height
    labels = [piece for piece in pieces if piece.label and piece is not label]
    end = min((piece.left for piece in labels if len(piece.label) > 1 and piece.left > label.right + 3 * height
               and abs(piece.middle - label.middle) < 8 * height), default=math.inf)
    bottom = min((piece.middle for piece in labels if piece.middle > label.middle + 0.6 * height
                  and -7 * height < piece.left - label.left < 4 * height), default=math.inf)
    inside = sorted((piece for piece in pieces if not piece.label and label.right - 0.6 * height <= piece.left < end - height
                     and label.middle - 0.7 * height <= piece.middle < bottom - 0.5 * height), key=lambda piece: piece.middle)
    start = next((piece for piece in inside if abs(piece.middle - label.middle) < 0.7 * height), None)
    if start is None:
        return []
    taken, last = [], label.middle
    for piece in inside:
        if piece.middle - last > 2.1 * height:
            break
        # Where label and value came as one line, the value begins further right than the cut.
        if abs(piece.middle - label.middle) < 0.7 * height or -2 * height < piece.left - start.left < 5 * height:
            taken.append(piece)
            last = piece.middle
    return _in_rows(taken)


def _in_rows(pieces: list[_Piece]) -> list[_Piece]:
    """Top to bottom, and within a row from left to right."""
    rows: list[list[_Piece]] = []
    for piece in sorted(pieces, key=lambda each: each.middle):
        if rows and abs(rows[-1][0].middle - piece.middle) < 0.6 * piece.height:
            rows[-1].append(piece)
        else:
            rows.append([piece])
    return [piece for row in rows for piece in sorted(row, key=lambda each: each.left)]


def _read(field: str, rows: list[_Piece]) -> ReadField | None:
    """The value in a cell, if what stands there can be one."""
    if field in ("established_on", "valid_until"):
        return _date("".join(piece.text for piece in rows), field, min(piece.confidence for piece in rows))
    if field == "legal_representative":
        rows = rows[:1]
    if field == "name":
        texts = [piece.text for piece in rows]
        ends = (n for n in range(1, len(rows)) if _TYPE.match(texts[n]) and "".join(texts[:n]).endswith(_NAME_ENDS))
        rows = rows[:next(ends, len(rows))]
    if field == "address":
        rows = [piece for piece in rows if not _NOT_IN_ADDRESS.search(piece.text)]
    text = "".join(piece.text for piece in rows).strip("：:·.")
    if len(text) < 2:
        return None
    return ReadField(_brackets(text), round(min(piece.confidence for piece in rows), 3))


def _brackets(text: str) -> str:
    """The full-width brackets a licence is printed with, however the engine wrote them."""
    return text.replace("(", "（").replace(")", "）")


def _date(text: str, field: str, confidence: float) -> ReadField | None:
    dates = _DATE.findall(text)
    if field == "valid_until":
        if any(word in text for word in _FOREVER):
            return ReadField("长期", round(confidence, 3))
        dates = dates[1:] or (dates if "至" in text.partition("年")[0] else [])
    if not dates:
        return None
    year, month, day = (int(part) for part in dates[0])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return ReadField(f"{year:04d}-{month:02d}-{day:02d}", round(confidence, 3))


def _by_place(field: str, pieces: list[_Piece]) -> ReadField | None:
    """A name or an address whose own label was lost: what looks like one in the column of its neighbours, a little less sure."""
    neighbours, looks = _NEIGHBOURS[field], _LOOKS[field]
    anchors = [piece for piece in pieces if piece.label in neighbours]
    for piece in sorted(pieces, key=lambda each: each.middle):
        if piece.label or not looks.search(piece.text) or _TYPE.match(piece.text):
            continue
        for anchor in anchors:
            if abs(piece.middle - anchor.middle) < 9 * anchor.height and -anchor.height < piece.left - anchor.right < 3 * anchor.height:
                cell = _cell(replace(anchor, middle=piece.middle), [each for each in pieces if each is not anchor])
                if (found := _read(field, cell)) is not None:
                    return replace(found, confidence=round(found.confidence * 0.8, 3))
    return None


def _code(pieces: list[_Piece], right_uscc: Callable[[str], bool]) -> ReadField | None:
    """The code: one that checks, wherever it stands; else what stands nearest to its label, as it was read."""
    seen = [(run, piece) for piece in pieces for run in _CODE.findall(piece.text.upper())]
    for run, piece in seen:
        if right_uscc(run):
            return ReadField(run, round(piece.confidence, 3))
    label = next((piece for piece in pieces if piece.label == "统一社会信用代码"), None)
    if label is None:  # codes of enterprises begin with 9; anything else may be a person's identity number, which is not for us
        seen = [each for each in seen if each[0].startswith("9")]
    if not seen:
        return None
    nearest = min(seen, key=lambda each: (abs(each[1].middle - label.middle) + abs(each[1].left - label.left) if label else 0,
                                          abs(len(each[0]) - 18)))
    return ReadField(nearest[0], 0.0, suspect=True)
