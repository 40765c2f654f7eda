"""Zips of photos, read in memory and within bounds; nothing is extracted to disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from app.documents.faults import ArchiveFault
from app.documents.kinds import kind_of
from app.documents.zips import Archive, Part, ZipFault, list_parts, unpack

MAX_BYTES = 300 * 1024 * 1024
MAX_FILES = 5_000
MAX_FILE_BYTES = 5 * 1024 * 1024
MAX_UNPACKED = 600 * 1024 * 1024
_LITTER = frozenset({"thumbs.db", "desktop.ini"})
_ARCHIVES = (".zip", ".rar", ".7z", ".gz", ".tar", ".tgz")


class Skipped(NamedTuple):
    """A file in the archive that was not handed out. `code`: nested_archive, too_big, encrypted, method (packed in a
    way that is not read), damaged."""

    name: str
    code: str


def photos_in(
    data: Archive,
    *,
    skipped: list[Skipped] | None = None,
    max_bytes: int = MAX_BYTES,
    max_files: int = MAX_FILES,
    max_file_bytes: int = MAX_FILE_BYTES,
    max_unpacked: int = MAX_UNPACKED,
) -> Iterator[tuple[str, bytes]]:
    """Each file of a zip as (its name without folders, its bytes), one in memory at a time.

    The archive as a whole is judged before the first is handed out: `ArchiveFault` (see there). Files that cannot be
    handed out are appended to `skipped`; folders, `__MACOSX` and hidden files are passed over in silence. Two folders
    may hold files of the same name: both come. Whether a file is a picture is for `clean_jpeg` to say.
    """
    if len(data) > max_bytes:
        raise ArchiveFault("too_big", size=len(data), limit=max_bytes)
    kind = kind_of(data[:4096])
    if kind != "zip":
        raise ArchiveFault("not_zip", kind=kind)
    try:
        parts = list_parts(data, max_parts=max_files, max_total=max_unpacked)
    except ZipFault as fault:
        raise _as_archive_fault(fault, max_files, max_unpacked) from None
    if any(part.name == "[Content_Types].xml" for part in parts):
        raise ArchiveFault("not_zip", kind="office")
    return _files(data, parts, max_file_bytes, [] if skipped is None else skipped)


def _files(data: Archive, parts: list[Part], max_file_bytes: int, skipped: list[Skipped]) -> Iterator[tuple[str, bytes]]:
    for part in parts:
        name = _base_name(part.name)
        if name is None:
            continue
        if name.lower().endswith(_ARCHIVES):
            skipped.append(Skipped(name, "nested_archive"))
            continue
        try:
            content = unpack(data, part, max_file_bytes)
        except ZipFault as fault:
            skipped.append(Skipped(name, fault.code))
            continue
        if kind_of(content) in ("zip", "rar", "7z", "gzip"):
            skipped.append(Skipped(name, "nested_archive"))
        else:
            yield name, content


def _base_name(path: str) -> str | None:
    """The last part of the path, whichever slash it uses; None for what computers leave in archives unasked."""
    pieces = [piece for piece in path.replace("\\", "/").split("/") if piece]
    if not pieces or "__MACOSX" in pieces:
        return None
    name = "".join(character for character in pieces[-1].split("\x00")[0] if character.isprintable())
    if not name or name.startswith(".") or name.lower() in _LITTER:
        return None
    return name[:255]


def _as_archive_fault(fault: ZipFault, max_files: int, max_unpacked: int) -> ArchiveFault:
    if fault.code == "too_many":
        return ArchiveFault("too_many_files", found=fault.found, limit=max_files)
    if fault.code == "too_big":
        return ArchiveFault("unpacked_too_big", found=fault.found, limit=max_unpacked)
    return ArchiveFault("overlapping" if fault.code == "overlapping" else "damaged")
