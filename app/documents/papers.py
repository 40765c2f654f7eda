"""Papers (PDF) from the templates beside this file, drawn by typst in a child process. Data go in as JSON, never as
markup."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import pikepdf

from app.documents.child import ChildFailed, run_child
from app.documents.faults import PaperFault
from app.documents.fonts import find_fonts, printable

Template = Literal["admission_tickets", "sign_in_sheet", "desk_labels", "exam_summary", "certificate", "receipt", "commitment_letter",
                   "class_slips", "attendance_sheet"]

_TEMPLATES = Path(__file__).parent / "templates"
_LIBRARY = "lib.typ"
_FILE_NAME = re.compile(r"[0-9A-Za-z_-]{1,100}\.(?:jpg|png)")
CHUNK = 250
AT_ONCE = 2


@dataclass(frozen=True)
class Limits:
    """What one child may take: seconds of wall clock, address space in MB."""

    seconds: float
    memory_mb: int


USUAL = Limits(60.0, 4096)


def built_in(template: Template) -> str:
    """The layout that comes with the release."""
    return (_TEMPLATES / f"{template}.typ").read_text(encoding="utf-8")


def render(template: Template, data: Mapping[str, Any], files: Mapping[str, bytes] | None = None, *, source: str | None = None,
           limits: Limits = USUAL, tagged: bool = True) -> bytes:
    """One PDF of `template` (its .typ file says at the top which data it takes), fonts embedded.

    `files` are the pictures that the data name: `[0-9A-Za-z_-]+` with .jpg or .png. `source` is another layout for the same data,
    an administrator's; None is the built-in one. `tagged` writes the structure that screen readers follow. A ticket costs about
    4 ms, a sheet 60 ms. More than `CHUNK` people at once: `render_in_turn`. Raises `PaperFault` (see there) and ValueError for a
    file name of another form.
    """
    return render_each(template, [data], files, source=source, limits=limits, tagged=tagged)[0]


def render_each(template: Template, each: Sequence[Mapping[str, Any]], files: Mapping[str, bytes] | None = None, *,
                source: str | None = None, limits: Limits = USUAL, tagged: bool = True) -> list[bytes]:
    """A PDF of its own for each of these data, all drawn by one child, which reads the fonts once. Only of templates that ask
    for their data by name, where there are several. Otherwise as `render`."""
    fonts = find_fonts()
    with tempfile.TemporaryDirectory(prefix="paper-") as name:
        directory = Path(name)
        (directory / "main.typ").write_text(built_in(template) if source is None else source, encoding="utf-8")
        (directory / _LIBRARY).write_bytes((_TEMPLATES / _LIBRARY).read_bytes())
        names = [f"data{n}.json" for n in range(len(each))] if len(each) > 1 else ["data.json"]
        for data_name, data in zip(names, each, strict=True):
            _write_json(directory / data_name, _printable(data))
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
            arguments = [name, "tagged" if tagged else "plain", *names]
            return list(_parts(run_child("compile_paper", arguments, b"", timeout=limits.seconds, memory_mb=limits.memory_mb)))
        except ChildFailed as failure:
            if failure.reason == "timeout":
                raise PaperFault("too_slow", seconds=int(limits.seconds)) from None
            raise PaperFault("failed", detail=failure.detail) from None


def render_in_turn(template: Template, parts: Iterable[tuple[Mapping[str, Any], Mapping[str, bytes]]], *,
                   source: str | None = None) -> Iterator[bytes]:
    """A PDF of each of these data with their pictures, two being drawn at a time; `parts` is asked for the next while they are.
    A caller gives at most `CHUNK` people a part: a thousand tickets in one document take 1.1 GB, 250 some 0.3 GB. They have no
    tags for screen readers, which would not survive being put together and are four fifths of a file's objects."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        drawn: deque[Future[bytes]] = deque()
        for data, files in parts:
            drawn.append(pool.submit(render, template, data, files, source=source, tagged=False))
            if len(drawn) > AT_ONCE:
                yield drawn.popleft().result()
        while drawn:
            yield drawn.popleft().result()


def merged(parts: Iterable[bytes]) -> bytes:
    """One PDF of several, in their order, each taken in while the next is drawn; about 0.1 ms a page. One part is handed on as it is.
    Title and author are those of the first."""
    taken = iter(parts)
    first, second = next(taken), next(taken, None)
    if second is None:
        return first
    with ExitStack() as until_written:  # pages stay in their files until the whole is written
        whole = until_written.enter_context(pikepdf.open(io.BytesIO(first)))
        for part in chain((second,), taken):
            whole.pages.extend(until_written.enter_context(pikepdf.open(io.BytesIO(part))).pages)
        out = io.BytesIO()
        whole.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    return out.getvalue()


def _printable(value: Any) -> Any:
    """Data as a paper can print them, whatever is in a name."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {key: _printable(each) for key, each in value.items()}
    return [_printable(each) for each in value] if isinstance(value, list | tuple) else value


def _parts(answer: bytes) -> Iterator[bytes]:
    """The PDFs of an answer, each behind its length."""
    at = 0
    while at < len(answer):
        begin, size = at + 8, int.from_bytes(answer[at:at + 8], "big")
        yield answer[begin:begin + size]
        at = begin + size


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
