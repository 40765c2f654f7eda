"""What a clerk's typing means beyond doubt: blanks, full-width signs, a small x, half of a level's name. Pure functions; whatever
could mean two things is left as it is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import Any

from flask_babel import gettext as _
from rapidfuzz import process

from app.documents import roster
from app.identifiers import mask_id_number, mask_phone

# Full-width signs to half-width; blanks that cannot be seen to nothing. Not NFKC: it would change characters of rare names.
_WIDE = {0xFF01 + n: 0x21 + n for n in range(94)} | {0x3000: " ", 0xA0: " "} | dict.fromkeys((0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF), "")
_DOTS = str.maketrans(dict.fromkeys("•・‧∙⋅･.．", "·"))
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_EXPONENT = re.compile(r"[0-9](?:\.[0-9]+)?E\+?[0-9]{2}", re.IGNORECASE)
# How near a word must be to be offered, of 100, and how many are.
_NEAR, _OFFERED = 45, 3
_PLAIN_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FORMS_OF_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日", "%Y%m%d", "%Y-%m-%d %H:%M:%S")


def narrow(text: str) -> str:
    """Full-width signs half-width, unseen characters and outer blanks gone."""
    return text.translate(_WIDE).strip()


def mend_name(text: str) -> str:
    """Without blanks between Chinese characters (张　三), with one kind of dot in names of other tongues."""
    found = narrow(text)
    if _HAN.search(found):
        found = "".join(found.split()).translate(_DOTS)
    return found


def mend_number(text: str) -> str:
    """An ID number without blanks, dashes and the apostrophe that Excel takes for "text"; a small x is a large one."""
    return re.sub(r"[\s\-–—_'’‘`\"]", "", narrow(text)).upper()


def mend_phone(text: str) -> str:
    """A phone number without blanks, dashes and the country's code."""
    found = re.sub(r"[\s\-–—_'’‘`\"()]", "", narrow(text))
    return re.sub(r"^(?:\+|00)?86(?=1[0-9]{10}$)", "", found)


def lost_digits(value: Any) -> str:
    """How Excel shows an ID number that it has kept as a number, 3.30106E+17; empty where it has not."""
    if isinstance(value, float) and abs(value) >= 1e15:
        return f"{value:.5E}"
    text = narrow(value) if isinstance(value, str) else ""
    return text.upper() if _EXPONENT.fullmatch(text) else ""


def how(was: str, now: str) -> str:
    """What was mended, in words."""
    if "".join(was.split()) == now:
        return _("去掉多余的空格")
    flat = was.translate(_WIDE)
    if flat != was:
        return _("全角改为半角")
    if flat.strip().upper() == now and flat.strip() != now:
        return _("小写 x 改为大写 X")
    return _("去掉多余的符号") if len(now) < len(was) else _("改为列表中的写法")


class Words:
    """One list of a dictionary: finds an entry by what was typed, or what comes nearest to it."""

    def __init__(self, entries: Mapping[str, int], first: Iterable[str] = ()) -> None:
        self.entries = dict(entries)
        self._first = [name for name in first if name in self.entries]
        keys: dict[str, set[str]] = {}
        for name in self.entries:
            for part in {name, *name.split("/")}:
                keys.setdefault(_key(part), set()).add(name)
        self._keys = {key: next(iter(names)) for key, names in keys.items() if len(names) == 1 and key}
        self._near: dict[str, list[str]] = {}

    def meant(self, text: str) -> str | None:
        """The entry that differs only by blanks and signs, or of whose two names (初级工/五级) this is one."""
        return self._keys.get(_key(text))

    def nearest(self, text: str) -> list[str]:
        """At most three entries that look like it, nearest first; those in `first` win where they are as near."""
        if text not in self._near:
            found = process.extract(text[:50], self._first, limit=_OFFERED, score_cutoff=_NEAR) if self._first else []
            found = found or process.extract(text[:50], list(self.entries), limit=_OFFERED, score_cutoff=_NEAR)
            self._near[text] = [name for name, _score, _at in found]
        return self._near[text]


def _key(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKC", text) if sign.isalnum()).casefold()


def day_of(value: Any) -> date | None:
    """A day that was entered as a date, a number (19900101) or one of the usual texts; None for anything else."""
    if isinstance(value, date):
        return value
    text = narrow(str(int(value) if isinstance(value, float) and value.is_integer() else value))
    if _PLAIN_DAY.fullmatch(text):  # as nearly all are; strptime is slow
        with suppress(ValueError):
            return date.fromisoformat(text)
    for form in _FORMS_OF_DAYS:
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    return None


def years_before(day: date, years: int) -> date:
    """The same day so many years ago."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:  # 29 February
        return day.replace(year=day.year - years, day=28)


def shown_of(heading: str, text: str) -> str:
    """A value for the list of what was mended: numbers of people masked."""
    if heading == roster.ID_NUMBER:
        return mask_id_number(text.strip())
    return mask_phone(text.strip()) if heading == roster.PHONE else text[:60]


def spans_of(rows: list[int], most: int = 8) -> str:
    """第 3、5～9 行."""
    spans: list[tuple[int, int]] = []
    for row in rows:
        if spans and spans[-1][1] == row - 1:
            spans[-1] = (spans[-1][0], row)
        else:
            spans.append((row, row))
    shown = "、".join(str(first) if first == last else f"{first}～{last}" for first, last in spans[:most])
    return _("第 %(rows)s 行", rows=shown + ("…" if len(spans) > most else ""))
