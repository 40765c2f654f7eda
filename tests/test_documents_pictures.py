"""Pictures and archives of pictures from outside: refused for what they are, or made harmless."""

from __future__ import annotations

import io
import struct
import time
import zipfile
import zlib

import pytest
from PIL import Image

from app.documents.archives import Skipped, photos_in
from app.documents.faults import ArchiveFault, PictureFault
from app.documents.pictures import clean_jpeg, thumbnail


def _jpeg(width: int = 300, height: int = 420, **options: object) -> bytes:
    image = Image.new("RGB", (width, height), "#8fb3d9")
    image.paste("#ff0000", (0, 0, width // 2, height // 4))
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def _picture_fault(data: bytes, **limits: int) -> PictureFault:
    with pytest.raises(PictureFault) as caught:
        clean_jpeg(data, **limits)
    return caught.value


def _png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 420)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (_png(), "png"),
        (b"<!DOCTYPE html><html>", "html"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00", "heic"),
        (b"GIF89a", "gif"),
        (b"", "empty"),
        (b"PK\x03\x04", "zip"),
    ],
)
def test_a_file_that_is_no_jpeg_is_named_for_what_it_is_whatever_its_name(data: bytes, kind: str) -> None:
    fault = _picture_fault(data)
    assert (fault.code, fault.message_args) == ("not_jpeg", {"kind": kind})


def test_size_limits_name_what_was_found() -> None:
    assert _picture_fault(b"\xff\xd8\xff" + bytes(3000), max_bytes=2000).message_args == {"size": 3003, "limit": 2000}
    fault = _picture_fault(_jpeg(80, 420), min_side=100)
    assert (fault.code, fault.message_args) == ("too_small", {"width": 80, "height": 420, "limit": 100})
    assert _picture_fault(_jpeg(1, 50_000)).code == "too_small"


@pytest.mark.parametrize(("width", "height"), [(6000, 5000), (65_000, 65_000)])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(width: int, height: int) -> None:
    data = bytearray(_jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    begin = time.perf_counter()
    assert _picture_fault(bytes(data)).code == "too_many_pixels"
    assert time.perf_counter() - begin < 0.5


def test_a_truncated_picture_is_damaged() -> None:
    whole = _jpeg()
    assert _picture_fault(whole[: len(whole) * 2 // 3]).code == "damaged"
    assert _picture_fault(whole[:30]).code == "damaged"


def test_exif_comment_and_trailing_bytes_do_not_survive() -> None:
    exif = Image.Exif()
    exif[0x010E] = "GPS-SECRET"
    data = _jpeg(exif=exif, comment=b"<script>alert(1)</script>") + b"PK\x03\x04 appended"
    assert b"GPS-SECRET" in data
    assert b"<script>" in data
    clean = clean_jpeg(data)
    for trace in (b"GPS-SECRET", b"<script>", b"Exif", b"appended"):
        assert trace not in clean.data
    with Image.open(io.BytesIO(clean.data)) as image:
        assert "comment" not in image.info
        assert not image.getexif()


def test_a_picture_lying_on_its_side_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    clean = clean_jpeg(_jpeg(400, 300, exif=exif))
    assert (clean.width, clean.height) == (300, 400)
    with Image.open(io.BytesIO(clean.data)) as image:
        red, _, blue = image.getpixel((290, 10))
        assert (red > 200, blue < 80) == (True, True), "the corner that was top left is now top right"


def test_a_phones_mpo_and_a_grey_or_cmyk_jpeg_are_taken() -> None:
    out = io.BytesIO()
    Image.new("RGB", (300, 400)).save(out, "MPO", save_all=True, append_images=[Image.new("RGB", (300, 400))])
    assert clean_jpeg(out.getvalue()).height == 400
    for mode in ("L", "CMYK"):
        out = io.BytesIO()
        Image.new(mode, (300, 400)).save(out, "JPEG")
        with Image.open(io.BytesIO(clean_jpeg(out.getvalue()).data)) as image:
            assert image.mode == "RGB"


def test_a_large_picture_is_scaled_down_and_a_thumbnail_is_small() -> None:
    clean = clean_jpeg(_jpeg(4000, 3000), max_side=1600)
    assert (clean.width, clean.height) == (1600, 1200)
    with Image.open(io.BytesIO(thumbnail(clean.data, 96))) as image:
        assert image.size == (96, 72)


def _zip(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return out.getvalue()


def _archive_fault(data: bytes, **limits: int) -> ArchiveFault:
    with pytest.raises(ArchiveFault) as caught:
        photos_in(data, **limits)
    return caught.value


def test_photos_come_by_their_bare_names_and_litter_is_passed_over() -> None:
    data = _zip(
        ("照片/甲/330106199001010018.jpg", b"one"),
        ("../../etc/passwd", b"two"),
        ("C:\\photos\\330106199001010026.JPG", b"three"),
        ("__MACOSX/._330106199001010018.jpg", b"x"),
        ("照片/.DS_Store", b"x"),
        ("Thumbs.db", b"x"),
        ("empty/", b""),
    )
    assert list(photos_in(data)) == [
        ("330106199001010018.jpg", b"one"),
        ("passwd", b"two"),
        ("330106199001010026.JPG", b"three"),
    ]


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
def test_chinese_names_are_read_whether_windows_or_macos_wrote_them(encoding: str) -> None:
    placeholder = "x" * len("张三.jpg".encode(encoding))
    data = _zip((placeholder, b"one")).replace(placeholder.encode(), "张三.jpg".encode(encoding))
    assert [name for name, _ in photos_in(data)] == ["张三.jpg"]


def test_nested_archives_and_unreadable_files_are_named_and_the_rest_still_come() -> None:
    skipped: list[Skipped] = []
    data = bytearray(
        _zip(
            ("a.jpg", b"good"),
            ("inner.zip", b"x"),
            ("hidden.jpg", b"Rar!\x1a\x07\x01\x00"),
            ("big.jpg", b"b" * 5000),
            ("secret.jpg", b"secret"),
            ("broken.jpg", b"broken"),
        )
    )
    directory = data.index(b"PK\x01\x02")
    flags = data.index(b"secret.jpg", directory) - 46 + 8
    data[flags] |= 1
    crc = data.index(b"broken.jpg", directory) - 46 + 16
    data[crc] ^= 0xFF
    assert list(photos_in(bytes(data), skipped=skipped, max_file_bytes=1000)) == [("a.jpg", b"good")]
    assert dict(skipped) == {
        "inner.zip": "nested_archive",
        "hidden.jpg": "nested_archive",
        "big.jpg": "too_big",
        "secret.jpg": "encrypted",
        "broken.jpg": "damaged",
    }


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"Rar!\x1a\x07\x00", "rar"), (b"7z\xbc\xaf\x27\x1c", "7z"), (b"\xff\xd8\xff", "jpeg"), (b"", "empty")],
)
def test_what_is_no_zip_is_named(data: bytes, kind: str) -> None:
    fault = _archive_fault(data)
    assert (fault.code, fault.message_args) == ("not_zip", {"kind": kind})


def test_a_workbook_is_no_archive_of_photos() -> None:
    assert _archive_fault(_zip(("[Content_Types].xml", b"<x/>"), ("xl/workbook.xml", b"<x/>"))).message_args == {
        "kind": "office"
    }


def test_a_hundred_thousand_entries_are_refused_quickly() -> None:
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"a"
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 65_535, 65_535, len(entry) * 100_000, len(local), 0)
    begin = time.perf_counter()
    assert _archive_fault(local + entry * 100_000 + end).code == "too_many_files"
    assert time.perf_counter() - begin < 1
    assert _archive_fault(_zip(*((f"{n}.jpg", b"") for n in range(20))), max_files=10).message_args == {
        "found": 20,
        "limit": 10,
    }


def test_a_bomb_is_refused_by_what_it_declares_and_by_what_it_holds() -> None:
    bomb = _zip(*((f"{n}.jpg", bytes(4_000_000)) for n in range(5)))
    assert _archive_fault(bomb, max_unpacked=10_000_000).code == "unpacked_too_big"
    lying = bytearray(_zip(("a.jpg", bytes(4_000_000))))
    at = lying.index(b"PK\x01\x02")
    lying[at + 24 : at + 28] = (10).to_bytes(4, "little")
    lying[at + 16 : at + 20] = zlib.crc32(bytes(10)).to_bytes(4, "little")
    skipped: list[Skipped] = []
    assert list(photos_in(bytes(lying), skipped=skipped)) == []
    assert skipped == [("a.jpg", "damaged")]


def test_entries_that_share_their_bytes_are_refused() -> None:
    data = bytearray(_zip(("a.jpg", b"aaaa"), ("b.jpg", b"aaaa")))
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = (0).to_bytes(4, "little")
    assert _archive_fault(bytes(data)).code == "overlapping"


def test_a_damaged_or_too_large_archive_is_refused_as_a_whole() -> None:
    whole = _zip(("a.jpg", b"aaaa"))
    assert _archive_fault(whole[:-10]).code == "damaged"
    assert _archive_fault(whole, max_bytes=10).code == "too_big"
    pointing_nowhere = bytearray(whole)
    at = pointing_nowhere.index(b"PK\x01\x02")
    pointing_nowhere[at + 42 : at + 46] = (9999).to_bytes(4, "little")
    assert _archive_fault(bytes(pointing_nowhere)).code == "damaged"
