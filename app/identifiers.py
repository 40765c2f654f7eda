"""The field's identifiers: read one or raise, and mask it for a list. Pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

_USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECKS = "10X98765432"
_PROVINCES = frozenset((
    "11", "12", "13", "14", "15", "21", "22", "23", "31", "32", "33", "34", "35", "36", "37", "41", "42", "43",
    "44", "45", "46", "50", "51", "52", "53", "54", "61", "62", "63", "64", "65", "71", "81", "82", "83",
))
_PLAN_NAME = re.compile("([\u4e00-\u9fff]{1,5})培([0-9]{4})(0[1-9]|1[0-2])(0[1-9]|[1-9][0-9])")

Kind = Literal["uscc", "id_number", "phone", "plan_name"]


class IdentifierError(ValueError):
    """Why a text is not that identifier. `code`: length, charset, check, date, region or form."""

    def __init__(self, kind: Kind, code: str) -> None:
        super().__init__(f"{kind}: {code}")
        self.kind = kind
        self.code = code


def parse_uscc(text: str) -> str:
    """A unified social credit code (GB 32100-2015), upper-cased, without surrounding blanks.

    Raises `IdentifierError` with code length, charset, form or check. Own code because python-stdnum refuses the codes
    that begin with a letter, which the standard allows.
    """
    code = text.strip().upper()
    if len(code) != 18:
        raise IdentifierError("uscc", "length")
    if any(c not in _USCC for c in code):
        raise IdentifierError("uscc", "charset")
    if code[0] not in "123456789ANY" or not code[2:8].isdigit():
        raise IdentifierError("uscc", "form")
    total = sum(_USCC.index(c) * w for c, w in zip(code[:17], _USCC_WEIGHTS, strict=True))
    if _USCC[(31 - total % 31) % 31] != code[17]:
        raise IdentifierError("uscc", "check")
    return code


@dataclass(frozen=True)
class IdNumber:
    """A resident's identity number and what it tells."""

    number: str
    birth: date
    sex: Literal["男", "女"]


def parse_id_number(text: str, today: date) -> IdNumber:
    """A resident identity number (GB 11643-1999): 18 characters, check digit, a real date from 1900 to `today`, and a
    known province. Raises `IdentifierError` with code length, charset, region, date or check."""
    number = text.upper()
    if len(number) != 18:
        raise IdentifierError("id_number", "length")
    if not re.fullmatch("[0-9]{17}[0-9X]", number):
        raise IdentifierError("id_number", "charset")
    if number[:2] not in _PROVINCES:
        raise IdentifierError("id_number", "region")
    try:
        birth = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        raise IdentifierError("id_number", "date") from None
    if not date(1900, 1, 1) <= birth <= today:
        raise IdentifierError("id_number", "date")
    total = sum(int(c) * w for c, w in zip(number[:17], _ID_WEIGHTS, strict=True))
    if _ID_CHECKS[total % 11] != number[17]:
        raise IdentifierError("id_number", "check")
    return IdNumber(number, birth, "男" if int(number[16]) % 2 else "女")


def parse_phone(text: str) -> str:
    """A mainland mobile number of eleven digits, or `IdentifierError`."""
    if not re.fullmatch("1[3-9][0-9]{9}", text):
        raise IdentifierError("phone", "form")
    return text


@dataclass(frozen=True)
class PlanName:
    """The parts of a training plan's name (I6)."""

    short_name: str
    year: int
    month: int
    serial: int


def parse_plan_name(text: str) -> PlanName:
    """机构中文简称(≤5字) + 培 + year (4) + month (2) + serial 01–99 (I6, C11), or `IdentifierError`."""
    match = _PLAN_NAME.fullmatch(text)
    if not match:
        raise IdentifierError("plan_name", "form")
    short_name, year, month, serial = match.groups()
    return PlanName(short_name, int(year), int(month), int(serial))


def mask_id_number(number: str) -> str:
    """330106********0018: region and the last four remain."""
    return number[:6] + "*" * max(len(number) - 10, 0) + number[-4:]


def mask_phone(phone: str) -> str:
    """138****8000."""
    return phone[:3] + "****" + phone[-4:]


def mask_name(name: str) -> str:
    """Shown to the public: the family name and stars (C17)."""
    return name[:1] + "*" * (len(name) - 1)
