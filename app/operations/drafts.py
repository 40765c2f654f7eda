"""A registration saved as it is filled in (E1): what was typed, and each photo at once when it is chosen.

A draft belongs to whoever has its token, which lives in a cookie of that browser; the table has only the token's digest. Nothing
in it counts before it is sent, and one that is not touched for a week goes, files and all.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import joinedload

from app import clock, files
from app.actors import VISITOR
from app.errors import Invalid, NotFound
from app.extensions import db, let_go, transaction
from app.operations import readings
from app.operations.enterprises import PAPERS, checked_paper
from models import LicenceReading, RegistrationDraft, StoredFile

LIFE = timedelta(days=7)
# What is kept as typed, and at most how long. Passwords and codes are never kept.
KEPT = {"uscc": 40, "name": 100, "legal_representative": 50, "address": 200, "region_code": 6, "is_provincial": 1, "founded_on": 10,
        "licence_until": 10, "contact_name": 50, "phone": 20}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def draft_of(token: str) -> RegistrationDraft | None:
    """The draft of this browser's token, papers loaded; None where there is none, or its week is over."""
    if not token:
        return None
    return db.session.scalars(
        select(RegistrationDraft).where(RegistrationDraft.token_digest == _digest(token),
                                        RegistrationDraft.updated_at > clock.now() - LIFE)
        .options(*(joinedload(getattr(RegistrationDraft, kind)) for kind in PAPERS))).first()


def typed_of(draft: RegistrationDraft) -> dict[str, str]:
    """What was typed, by field."""
    return dict(json.loads(draft.typed))


def new_token() -> str:
    """A token for a browser that has none. Its draft comes into being with the first thing that is kept."""
    return secrets.token_urlsafe(24)


def _held(token: str) -> RegistrationDraft:
    """In the current transaction, this browser's draft, locked; a new one where there is none yet. Photos chosen one after the
    other are kept at the same moment: the first makes the draft, the others wait for it."""
    if len(token) < 32:
        raise Invalid(_("请刷新页面后再试。"))
    digest = _digest(token)
    values = {"token_digest": digest, "typed": "{}", "updated_at": clock.now()}
    insert = pg_insert if db.session.get_bind().dialect.name == "postgresql" else sqlite_insert
    db.session.execute(insert(RegistrationDraft).values(values).on_conflict_do_nothing())
    draft = db.session.scalars(select(RegistrationDraft).where(RegistrationDraft.token_digest == digest).with_for_update()
                               .execution_options(populate_existing=True)).one()
    if draft.updated_at <= clock.now() - LIFE:
        _empty(draft)
    return draft


def _empty(draft: RegistrationDraft) -> None:
    """A draft whose week is over begins anew."""
    for kind in PAPERS:
        if (stored := getattr(draft, kind)) is not None:
            setattr(draft, kind, None)
            db.session.flush()
            files.forget(stored)
    draft.typed = "{}"


def save_typed(token: str, values: Mapping[str, str]) -> None:
    """Keep what was typed so far. Fields that are not kept are passed over."""
    with transaction():
        draft = _held(token)
        fresh = {name: values[name][:most] for name, most in KEPT.items() if name in values}
        draft.typed, draft.updated_at = json.dumps(typed_of(draft) | fresh, ensure_ascii=False), clock.now()


def save_paper(token: str, kind: str, name: str, data: bytes) -> StoredFile:
    """Keep one photo, in place of an earlier one. Raises `Invalid` that says which
    file, what is wrong, what to do (E2), and keeps nothing then."""
    let_go()
    clean = checked_paper(kind, name, data)
    with transaction() as session:
        draft = _held(token)
        old: StoredFile | None = getattr(draft, kind)
        stored = files.keep(clean, kind=kind, name=PAPERS[kind], content_type=files.JPEG)
        setattr(draft, kind, stored)
        draft.updated_at = clock.now()
        session.flush()
        if kind == "licence":
            readings.ask_reading(stored, actor=VISITOR)
        if old is not None:
            files.forget(old)
    return stored


def reading_of(draft: RegistrationDraft | None) -> LicenceReading | None:
    """What was read on the draft's licence, or is being read; None while there is no picture."""
    return readings.reading_of(draft.licence) if draft is not None and draft.licence is not None else None


def paper_of(token: str, kind: str) -> StoredFile:
    """A photo of this browser's draft, or `NotFound`."""
    draft = draft_of(token)
    stored: StoredFile | None = getattr(draft, kind) if draft is not None and kind in PAPERS else None
    if stored is None:
        raise NotFound("")
    return stored


def drop(token: str) -> None:
    """Forget a draft and its files, at the person's wish."""
    with transaction():
        draft = draft_of(token)
        if draft is not None:
            _forget(draft)


def _forget(draft: RegistrationDraft) -> None:
    papers = [stored for kind in PAPERS if (stored := getattr(draft, kind)) is not None]
    db.session.delete(draft)
    db.session.flush()
    for stored in papers:
        files.forget(stored)


def run_tidy(_subject: int, report: Callable[[int, int], None]) -> None:
    """Job: forget the drafts that nobody has touched for a week."""
    while True:
        with transaction() as session:
            old = session.scalars(select(RegistrationDraft).where(RegistrationDraft.updated_at <= clock.now() - LIFE)
                                  .order_by(RegistrationDraft.id).limit(50)).all()
            for draft in old:
                _forget(draft)
        if not old:
            return
        report(len(old), 0)
