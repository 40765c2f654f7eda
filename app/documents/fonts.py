"""The fonts of the papers: found once, by package before system, and asked whether they can write a name.

`pylopdf-fonts-zh-cn` (OFL) brings Noto Sans SC and Noto Serif SC: the papers then look the same on every machine. A
system's Noto CJK, where there is one, adds characters beyond U+20000 that the package lacks, or stands in for it.
"""

from __future__ import annotations

import importlib.util
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from app.documents.faults import PaperFault

_PACKAGE = "pylopdf_fonts_zh_cn"
_DIRECTORIES = (
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path.home() / ".fonts",
    Path.home() / ".local/share/fonts",
    Path("/Library/Fonts"),
    Path.home() / "Library/Fonts",
)
_SANS = {
    "NotoSansSC-Regular.otf": "Noto Sans SC",
    "NotoSansCJK-Regular.ttc": "Noto Sans CJK SC",
    "NotoSansCJKsc-Regular.otf": "Noto Sans CJK SC",
    "SourceHanSansSC-Regular.otf": "Source Han Sans SC",
}
_SERIF = {
    "NotoSerifSC-Regular.otf": "Noto Serif SC",
    "NotoSerifCJK-Regular.ttc": "Noto Serif CJK SC",
    "NotoSerifCJKsc-Regular.otf": "Noto Serif CJK SC",
    "SourceHanSerifSC-Regular.otf": "Source Han Serif SC",
}
# Where one of these is installed it adds what few fonts have: the rare characters of names, U+20000 and beyond.
_RARE = {
    "HanaMinA.ttf": "HanaMinA",
    "HanaMinB.ttf": "HanaMinB",
    "BabelStoneHan.ttf": "BabelStone Han",
    "PlangothicP1-Regular.ttf": "Plangothic P1",
    "PlangothicP2-Regular.ttf": "Plangothic P2",
}


# How long a process goes by the fonts it has found: one that is installed is found without a restart.
_LOOK_AGAIN_S = 600


@dataclass(frozen=True)
class Fonts:
    """The font files to embed from, and for each role the families in the order they are tried."""

    files: tuple[Path, ...]
    sans: tuple[str, ...]
    serif: tuple[str, ...]


def find_fonts() -> Fonts:
    """The fonts of this machine that can write Chinese, looked for every ten minutes. Raises `PaperFault("no_font")` where there
    is none: install requirements.txt again, or the system's fonts-noto-cjk."""
    return _found(int(time.monotonic() // _LOOK_AGAIN_S))


@lru_cache(maxsize=1)
def _found(_span: int) -> Fonts:
    known = {**_SANS, **_SERIF, **_RARE}
    files = {path.name: path for path in reversed(_candidates()) if path.name in known}
    sans = tuple(dict.fromkeys(family for name, family in _SANS.items() if name in files))
    serif = tuple(dict.fromkeys(family for name, family in _SERIF.items() if name in files))
    rare = tuple(family for name, family in _RARE.items() if name in files)
    if not sans + serif:
        raise PaperFault("no_font")
    return Fonts(tuple(files.values()), sans + serif + rare, serif + sans + rare)


def missing_glyphs(text: str) -> list[str]:
    """The characters of `text` that no font here can print, each once. To be asked when a name is entered, not when it
    is on paper."""
    known = _characters(find_fonts().files)
    if known.issuperset(text):
        return []
    return [character for character in dict.fromkeys(text) if not character.isspace() and character not in known]


def codes(signs: Iterable[str]) -> str:
    """Characters by their code points, U+2EBF5、U+3106C: a screen may have no glyph for them either, and whoever looks for a font
    looks for these."""
    return "、".join(f"U+{ord(sign):04X}" for sign in signs)


def unprintable(names: Iterable[str]) -> list[str]:
    """Those of these names that hold characters no font here can print, each with their codes."""
    return [f"{name}（{codes(signs)}）" for name in names if (signs := missing_glyphs(name))]


def printable(text: str) -> str:
    """The text with each character that no font here can print as 〔U+2EBF5〕: a paper says what is lacking and prints no empty box."""
    if text.isascii():
        return text
    for character in missing_glyphs(text):
        text = text.replace(character, f"〔U+{ord(character):04X}〕")
    return text


def _candidates() -> list[Path]:
    """Font files, those of the package first."""
    found: list[Path] = []
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is not None and spec.origin is not None:
        found += sorted(Path(spec.origin).parent.glob("*.otf"))
    for directory in _DIRECTORIES:
        if directory.is_dir():
            found += sorted(path for pattern in ("*.otf", "*.ttc", "*.ttf") for path in directory.rglob(pattern))
    return found


@lru_cache(maxsize=1)
def _characters(files: tuple[Path, ...]) -> frozenset[str]:
    points = set().union(*(read_cmap(path.read_bytes()) for path in files))
    return frozenset(chr(point) for point in points)


def read_cmap(font: bytes) -> set[int]:
    """The code points of an OpenType font (the first of a collection), from its cmap of format 12; the fonts named
    above all have one."""
    at = struct.unpack_from(">I", font, 12)[0] if font[:4] == b"ttcf" else 0
    count = struct.unpack_from(">H", font, at + 4)[0]
    tables = {
        font[at + 12 + 16 * i : at + 16 + 16 * i]: struct.unpack_from(">II", font, at + 20 + 16 * i)
        for i in range(count)
    }
    cmap = tables[b"cmap"][0]
    points: set[int] = set()
    for record in range(struct.unpack_from(">H", font, cmap + 2)[0]):
        table = cmap + struct.unpack_from(">I", font, cmap + 8 + 8 * record)[0]
        if struct.unpack_from(">H", font, table)[0] != 12:
            continue
        for group in range(struct.unpack_from(">I", font, table + 12)[0]):
            first, last, _ = struct.unpack_from(">III", font, table + 16 + 12 * group)
            points.update(range(first, last + 1))
    return points
