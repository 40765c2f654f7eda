"""Photos that nobody has any more: replaced by another, uploaded in vain, or stored for a row that was never written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from sqlalchemy import Column, delete, select

from app import clock, files
from app.extensions import db, gateways, transaction
from models import PhotoPart, PhotoUpload, StoredFile

JOB = "tidy_photos"
KINDS = ("portrait", "id_front", "photo_upload")
# Younger files may be on their way to their row; an upload that stands open so long is not continued.
REST = timedelta(hours=6)
LEFT_OPEN = timedelta(hours=24)
AT_ONCE = 200
Report = Callable[[int, int], None]


def run_tidy(_subject: int, report: Report) -> None:
    """Job: forget photo files no row refers to, and bytes in the store that have no row. Safe twice; what is referred to is asked of
    every foreign key there is, so that a new table needs no word here."""
    _drop_open_uploads()
    done = 0
    while found := _forgotten():
        done += found
        report(done, 0)
    for keys in _groups(_old_keys()):
        with_row = set(db.session.scalars(select(StoredFile.key).where(StoredFile.key.in_(keys))))
        db.session.rollback()
        for key in keys:
            if key not in with_row:
                gateways().storage.delete(key)
        report(done, 0)


def _drop_open_uploads() -> None:
    with transaction() as session:
        old = select(PhotoUpload.id).where(PhotoUpload.state == "open", PhotoUpload.created_at < clock.now() - LEFT_OPEN)
        session.execute(delete(PhotoPart).where(PhotoPart.upload_id.in_(old)).execution_options(synchronize_session=False))
        session.execute(delete(PhotoUpload).where(PhotoUpload.id.in_(old)).execution_options(synchronize_session=False))


def references() -> list[Column[int]]:
    """Every column that keeps a stored file alive; those that go with the file do not."""
    return [key.parent for table in db.metadata.tables.values() for key in table.foreign_keys
            if key.column is StoredFile.__table__.c.id and (key.ondelete or "").upper() != "CASCADE"]


def _forgotten() -> int:
    """One group of files that nobody refers to goes; how many they were."""
    unused = [~select(column).where(column == StoredFile.id).exists() for column in references()]
    with transaction() as session:
        rows = session.scalars(select(StoredFile).where(StoredFile.kind.in_(KINDS), StoredFile.created_at < clock.now() - REST, *unused)
                               .order_by(StoredFile.id).limit(AT_ONCE)).all()
        for row in rows:
            files.forget(row)
    return len(rows)


def _old_keys() -> Iterator[str]:
    for kind in KINDS:
        yield from gateways().storage.keys(kind, clock.now() - REST)


def _groups(keys: Iterator[str]) -> Iterator[list[str]]:
    group: list[str] = []
    for key in keys:
        group.append(key)
        if len(group) >= AT_ONCE:
            yield group
            group = []
    if group:
        yield group
