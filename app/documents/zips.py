"""Zip files from outside, read with bounds. Nothing is ever written to disk, and no declared size is believed."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import BinaryIO

_STORED, _DEFLATED = 0, 8
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_ENCRYPTED, _NAME_IS_UTF8 = 0x1, 0x800
_BLOCK = 1 << 20


class OnDisk:
    """A file that is read by slices, as bytes are: of a large archive only one entry is in memory at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._size = file.seek(0, io.SEEK_END)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _step = part.indices(self._size)
        self.file.seek(start)
        return self.file.read(max(0, stop - start))


Archive = bytes | OnDisk


class ZipFault(Exception):
    """`code`: damaged, too_many, too_big, overlapping, encrypted or method; `found` where there is a number to name."""

    def __init__(self, code: str, found: int = 0) -> None:
        super().__init__(code)
        self.code = code
        self.found = found


@dataclass(frozen=True)
class Part:
    """One entry: where its packed bytes lie in the file, and what it declares about itself."""

    name: str
    start: int
    packed: int
    size: int
    crc: int
    method: int
    encrypted: bool


def list_parts(data: Archive, *, max_parts: int, max_total: int) -> list[Part]:
    """The entries of a zip, directories left out. Raises `ZipFault`.

    Refused: more than `max_parts` entries, more than `max_total` declared bytes, entries that share bytes (Python's
    zipfile does not notice those: 250 kB can declare 10 GB).
    """
    # Counted before zipfile builds an object for each: a million entries would cost seconds and hundreds of megabytes.
    signatures = _count(data, b"PK\x01\x02")
    if signatures > max_parts + 1000:
        raise ZipFault("too_many", signatures)
    try:
        with zipfile.ZipFile(data.file if isinstance(data, OnDisk) else io.BytesIO(data)) as archive:
            entries = archive.infolist()
            directory_at = archive.start_dir
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OverflowError, OSError):
        raise ZipFault("damaged") from None
    if len(entries) > max_parts:
        raise ZipFault("too_many", len(entries))
    total = sum(entry.file_size for entry in entries)
    if total > max_total:
        raise ZipFault("too_big", total)
    spans = sorted(_span(data, entry) for entry in entries)
    ends = [end for _, _, end in spans]
    begins = [begin for begin, _, _ in spans[1:]] + [directory_at]
    if any(end > begin for end, begin in zip(ends, begins, strict=True)) if spans else False:
        raise ZipFault("overlapping")
    return [_part(data, entry) for entry in entries if not entry.is_dir()]


def _count(data: Archive, sign: bytes) -> int:
    """How often the sign stands in the archive, a block at a time."""
    if isinstance(data, bytes):
        return data.count(sign)
    overlap = len(sign) - 1
    return sum(data[at : at + _BLOCK + overlap].count(sign) for at in range(0, len(data), _BLOCK))


def unpack(data: Archive, part: Part, limit: int) -> bytes:
    """The bytes of one entry, at most `limit`, checked against its declared size and CRC. Raises `ZipFault`."""
    if part.encrypted:
        raise ZipFault("encrypted")
    if part.method not in (_STORED, _DEFLATED):
        raise ZipFault("method")
    if part.size > limit:
        raise ZipFault("too_big", part.size)
    packed = data[part.start : part.start + part.packed]
    content = packed if part.method == _STORED else _inflate(packed, part.size)
    if len(content) != part.size or zlib.crc32(content) != part.crc:
        raise ZipFault("damaged")
    return content


def _inflate(packed: bytes, size: int) -> bytes:
    stream = zlib.decompressobj(-15)
    try:
        # One byte more than declared: a header that lies is found without unpacking what it hides.
        content = stream.decompress(packed, size + 1)
    except zlib.error:
        raise ZipFault("damaged") from None
    if not stream.eof and len(content) <= size:
        raise ZipFault("damaged")
    return content


def _span(data: Archive, entry: zipfile.ZipInfo) -> tuple[int, int, int]:
    """(begin of the local header, begin of the packed bytes, end of them)."""
    begin = entry.header_offset
    header = data[begin : begin + _LOCAL_HEADER.size] if begin >= 0 else b""
    if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
        raise ZipFault("damaged")
    fields = _LOCAL_HEADER.unpack(header)
    start = begin + _LOCAL_HEADER.size + fields[9] + fields[10]
    end = start + entry.compress_size
    if end > len(data):
        raise ZipFault("damaged")
    return begin, start, end


def _part(data: Archive, entry: zipfile.ZipInfo) -> Part:
    _, start, _ = _span(data, entry)
    return Part(
        _name(entry),
        start,
        entry.compress_size,
        entry.file_size,
        entry.CRC,
        entry.compress_type,
        bool(entry.flag_bits & _ENCRYPTED),
    )


def _name(entry: zipfile.ZipInfo) -> str:
    """The name as its writer meant it: Chinese Windows writes GBK without saying so, macOS writes UTF-8 without the
    flag."""
    name = entry.orig_filename
    if entry.flag_bits & _NAME_IS_UTF8:
        return name
    try:
        raw = name.encode("cp437")
    except UnicodeEncodeError:
        return name
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return name
