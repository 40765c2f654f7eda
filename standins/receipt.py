"""A one-page PDF with Chinese text, written by hand.

It names the font STSong-Light that every PDF reader substitutes and embeds none, so it needs no font on this machine and its
text stays text. Good enough for a demonstration's receipt; the portal's own papers are typeset properly.
"""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT = 595, 420  # A5 across, in points


def draw(title: str, note: str, lines: Sequence[tuple[str, str]]) -> bytes:
    """The PDF: a heading, a note below it, and labelled lines."""
    marks = [
        f"0.75 0.2 0.17 RG 1.2 w 30 30 {WIDTH - 60} {HEIGHT - 60} re S",
        "0.75 0.2 0.17 rg",
        _text(WIDTH / 2 - 13 * len(title), HEIGHT - 80, 26, title),
        "0.35 g",
        _text(WIDTH / 2 - 5 * len(note), HEIGHT - 102, 10, note),
        "0.1 g",
    ]
    for row, (label, value) in enumerate(lines):
        y = HEIGHT - 145 - row * 26
        marks += [_text(60, y, 12, label), _text(170, y, 12, value[:34])]
        marks.append(f"0.8 G 0.5 w 60 {y - 7} m {WIDTH - 60} {y - 7} l S")
    content = "\n".join(marks).encode("ascii")
    return _assemble([
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH} {HEIGHT}] /Contents 4 0 R "
        "/Resources << /Font << /F 5 0 R >> >> >>".encode(),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H /DescendantFonts [6 0 R] >>",
        (b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /DW 1000 /W [1 95 500] "
        b"/CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >> /FontDescriptor 7 0 R >>"),
        (b"<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 /FontBBox [-25 -254 1000 880] /ItalicAngle 0 "
        b"/Ascent 880 /Descent -120 /CapHeight 880 /StemV 93 >>"),
    ])


def _text(x: float, y: float, size: int, text: str) -> str:
    return f"BT /F {size} Tf {x:.1f} {y:.1f} Td <{text.encode('utf-16-be').hex().upper()}> Tj ET"


def _assemble(objects: Sequence[bytes]) -> bytes:
    """The file around the numbered objects: header, cross-reference table, trailer."""
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for place in places:
        out += b"%010d 00000 n \n" % place
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(out)
