"""The public look-up of a certificate (P1, C17): two things must be known, and little is told."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app.crypto import blind
from app.extensions import db
from app.identifiers import mask_id_number, mask_name
from models import Certificate

# Each state in the visitor's words, with its tone.
STATES: dict[str, tuple[Any, str]] = {"valid": (_l("有效"), "ok"), "revoked": (_l("已撤销"), "bad"),
                                      "replaced": (_l("已换发"), "warn")}


@dataclass(frozen=True)
class Found:
    """What the public is told of a certificate. Name and ID number are masked; `id_number` is "" for who knows no name.
    `state` is valid, revoked or replaced; `replaced_by` the number of the one that counts instead, or ""."""

    number: str
    name: str
    id_number: str
    occupation: str
    level: str
    institution: str
    authority: str
    issued_on: date
    state: str
    replaced_by: str
    pushed: bool


def _told(row: Certificate, *, names_holder: bool = True) -> Found:
    id_number = mask_id_number(row.id_number) if names_holder else ""
    return Found(row.number, mask_name(row.name), id_number, row.occupation_name, row.level_name, row.institution_name,
                 row.authority.name, row.issued_on, row.state, _in_force(row), row.pushed_at is not None)


def _in_force(row: Certificate) -> str:
    """The number of the valid certificate that has taken the place of an ended one, or "". Asked one by one: where nearly none
    is replaced, a join that takes the replacements along reads the whole table on SQLite (100 ms of a million)."""
    if row.state == "valid":
        return ""
    latest = row
    while latest.replacement is not None:
        latest = latest.replacement
    return latest.number if latest is not row and latest.state == "valid" else ""


_IN_FULL = (joinedload(Certificate.authority),)


def find(*, name: str, id_number: str = "", number: str = "") -> list[Found]:
    """The certificates of this name with this ID number or this certificate number; none when anything differs."""
    name, id_number, number = (unicodedata.normalize("NFKC", text).strip() for text in (name, id_number.upper(), number))
    if not name or not (id_number or number) or len(id_number) > 18 or len(number) > 40:
        return []
    statement = select(Certificate).options(*_IN_FULL).order_by(Certificate.number).limit(20)
    if number:
        statement = statement.where(Certificate.number == number)
    if id_number:
        statement = statement.where(Certificate.id_number_index == blind(id_number, "id_number"))
    # The name is compared here: a frequent one must not lead the database through everyone who bears it.
    return [_told(row) for row in db.session.scalars(statement) if row.name == name]


def by_code(number: str) -> Found | None:
    """The certificate a QR code names. Numbers follow one another and can be guessed, so a number by itself tells no ID
    number, not even a masked one; who types the name as well is told that."""
    row = db.session.scalars(select(Certificate).where(Certificate.number == number).options(*_IN_FULL)).first()
    return _told(row, names_holder=False) if row is not None else None
