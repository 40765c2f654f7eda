"""What a file really is, by its first bytes: the name at its end proves nothing."""

from __future__ import annotations

_HEADS = (
    (b"%PDF-", "pdf"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"Rar!\x1a\x07", "rar"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heim", b"heis", b"avif")


def kind_of(data: bytes) -> str:
    """One of empty, pdf, jpeg, png, gif, bmp, webp, heic, rar, 7z, gzip, zip, ole (old Office, or an encrypted new
    one), html, text, unknown."""
    if not data:
        return "empty"
    for head, kind in _HEADS:
        if data.startswith(head):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return "heic"
    return _text_kind(data[:2048])


def _text_kind(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<table", b"<body")):
        return "html"
    if b"\x00" in head:
        return "unknown"
    for encoding in ("utf-8", "gb18030"):
        try:
            # A character cut in two at the end of the head is no proof against text.
            head[: len(head) - 4 if len(head) == 2048 else None].decode(encoding, "strict")
            return "text"
        except UnicodeDecodeError:
            continue
    return "unknown"
