"""Files: bytes go to the store under a random key, the row says whose they are. Read only after `scope.fetch`."""

from __future__ import annotations

import logging
import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app import clock
from app.extensions import after_commit, db, gateways, transaction
from app.gateways.errors import GatewayError
from models import StoredFile

log = logging.getLogger("portal.files")

JPEG = "image/jpeg"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def keep(data: bytes, *, kind: str, name: str, content_type: str, enterprise_id: int | None = None,
         institution_id: int | None = None, authority_id: int | None = None) -> StoredFile:
    """Store bytes and add their row to the current transaction. Bytes without a row are swept up, never the reverse."""
    key = f"{kind}/{secrets.token_hex(20)}"
    gateways().storage.put(key, data)
    stored = StoredFile(key=key, kind=kind, name=name[:200], content_type=content_type, size=len(data),
                        created_at=clock.now(), enterprise_id=enterprise_id, institution_id=institution_id,
                        authority_id=authority_id)
    db.session.add(stored)
    db.session.flush()
    return stored


def read(stored: StoredFile) -> bytes:
    """The bytes of a stored file the caller has fetched through scope."""
    return gateways().storage.get(stored.key)


def forget(stored: StoredFile) -> None:
    """Remove a file in the current transaction; its bytes go once that has committed."""
    key = stored.key
    db.session.delete(stored)

    def remove() -> None:
        try:
            gateways().storage.delete(key)
        except GatewayError as error:
            log.warning("the bytes of a forgotten file stay in the store: %s", error)

    after_commit(remove)


def forget_made(model: type[Any], before: datetime) -> None:
    """Remove what was made before that moment and handed out since: the rows of a table, each with its `file`, where it has one."""
    with transaction() as session:
        for row in session.scalars(select(model).where(model.created_at < before).options(joinedload(model.file))).all():
            stored = row.file
            session.delete(row)
            session.flush()
            if stored is not None:
                forget(stored)
