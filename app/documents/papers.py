"""Papers (PDF) from the templates beside this file, drawn by typst in a child process. Data go in as JSON, never as
markup."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from app.documents.child import ChildFailed, run_child
from app.documents.faults import PaperFault
from app.documents.fonts import find_fonts

Template = Literal["admission_tickets", "sign_in_sheet", "certificate", "receipt", "commitment_letter", "class_slips", "attendance_sheet"]

_TEMPLATES = Path(__file__).parent / "templates"
_LIBRARY = "lib.typ"
_FILE_NAME = re.compile(r"[0-9A-Za-z_-]{1,100}\.(?:jpg|png)")
_SECONDS, _MEMORY_MB = 60.0, 4096
CHUNK = 200


def render(template: Template, data: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> bytes:
    """One PDF of `template` (its .typ file says at the top which data it takes), fonts embedded.

    `files` are the pictures that the data name: `[0-9A-Za-z_-]+` with .jpg or .png. A ticket costs about 4 ms, a sheet
    60 ms. More than `CHUNK` people at once: `render_many`. Raises `PaperFault` (see there) and ValueError for a file
    name of another form.
    """
    return render_each(template, [data], files)[0]


def render_each(template: Template, each: Sequence[Mapping[str, Any]], files: Mapping[str, bytes] | None = None) -> list[bytes]:
    """A PDF of its own for each of these data, all drawn by one child, which reads the fonts once. Only of templates that ask
    for their data by name, where there are several. Otherwise as `render`."""
    fonts = find_fonts()
    with tempfile.TemporaryDirectory(prefix="paper-") as name:
        directory = Path(name)
        (directory / "main.typ").write_bytes((_TEMPLATES / f"{template}.typ").read_bytes())
        (directory / _LIBRARY).write_bytes((_TEMPLATES / _LIBRARY).read_bytes())
        names = [f"data{n}.json" for n in range(len(each))] if len(each) > 1 else ["data.json"]
        for data_name, data in zip(names, each, strict=True):
            _write_json(directory / data_name, data)
        _write_json(directory / "fonts.json", {"sans": fonts.sans, "serif": fonts.serif})
        (directory / "fonts").mkdir()
        for font in fonts.files:
            (directory / "fonts" / font.name).symlink_to(font)
        (directory / "files").mkdir()
        for file_name, content in (files or {}).items():
            if not _FILE_NAME.fullmatch(file_name):
                raise ValueError(f"not a file name for a paper: {file_name!r}")
            (directory / "files" / file_name).write_bytes(content)
        try:
            return list(_parts(run_child("compile_paper", [name, *names], b"", timeout=_SECONDS, memory_mb=_MEMORY_MB)))
        except ChildFailed as failure:
            if failure.reason == "timeout":
                raise PaperFault("too_slow", seconds=int(_SECONDS)) from None
            raise PaperFault("failed", detail=failure.detail) from None


def _parts(answer: bytes) -> Iterator[bytes]:
    """The PDFs of an answer, each behind its length."""
    at = 0
    while at < len(answer):
        begin, size = at + 8, int.from_bytes(answer[at:at + 8], "big")
        yield answer[begin:begin + size]
        at = begin + size


def render_many(
    template: Template,
    data: Mapping[str, Any],
    key: str,
    items: Sequence[Mapping[str, Any]],
    files: Mapping[str, bytes] | None = None,
    *,
    chunk: int = CHUNK,
) -> Iterator[bytes]:
    """PDFs of at most `chunk` of `items` each, every one `render(template, {**data, key: part})` with the pictures its
    items name.

    A thousand tickets in one document takes 3.9 s and 1.1 GB, two hundred 0.7 s and 0.25 GB; a caller with more than
    one part puts them into a zip.
    """
    known = files or {}
    for begin in range(0, len(items), chunk):
        part = items[begin : begin + chunk]
        named = {value for item in part for value in item.values() if isinstance(value, str) and value in known}
        yield render(template, {**data, key: part}, {name: known[name] for name in named})


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
