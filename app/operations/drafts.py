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

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app import clock, files
from app.errors import NotFound
from app.extensions import db, let_go, transaction
from app.operations.enterprises import PAPERS, checked_paper
from models import RegistrationDraft, StoredFile

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


def _held(token: str) -> tuple[str, RegistrationDraft]:
    """In the current transaction, this browser's draft, or a new one under a new token."""
    draft = draft_of(token)
    if draft is None:
        token = secrets.token_urlsafe(24)
        draft = RegistrationDraft(token_digest=_digest(token), typed="{}", updated_at=clock.now())
        db.session.add(draft)
    return token, draft


def save_typed(token: str, values: Mapping[str, str]) -> str:
    """Keep what was typed so far; answers the token of the draft. Fields that are not kept are passed over."""
    with transaction():
        token, draft = _held(token)
        fresh = {name: values[name][:most] for name, most in KEPT.items() if name in values}
        draft.typed, draft.updated_at = json.dumps(typed_of(draft) | fresh, ensure_ascii=False), clock.now()
    return token


def save_paper(token: str, kind: str, name: str, data: bytes) -> tuple[str, StoredFile]:
    """Keep one photo, in place of an earlier one; answers the draft's token and the file. Raises `Invalid` that says which
    file, what is wrong, what to do (E2), and keeps nothing then."""
    let_go()
    clean = checked_paper(kind, name, data)
    with transaction() as session:
        token, draft = _held(token)
        old: StoredFile | None = getattr(draft, kind)
        stored = files.keep(clean, kind=kind, name=PAPERS[kind], content_type=files.JPEG)
        setattr(draft, kind, stored)
        draft.updated_at = clock.now()
        session.flush()
        if old is not None:
            files.forget(old)
    return token, stored


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
