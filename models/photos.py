"""Photos of the people on a roster: what was uploaded for a batch, what came of it, and what was seen on a picture."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_appbuilder import Model
from sqlalchemy import JSON, CheckConstraint, ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.crypto import Sealed
from models.files import StoredFile
from models.rosters import ImportBatch
from models.types import Id, State, UtcDateTime


class PhotoUpload(Model):
    """One upload of photos for a batch (E14, C12), and what came of it: a zip cut into parts, or parts of loose files.

    open (parts still come) → waiting (its job is asked for) → done or failed. Parts go once the upload is done.
    """

    __tablename__ = "photo_upload"
    __table_args__ = (
        CheckConstraint("kind IN ('portrait','id_front')", name="photo_upload_kind"),
        CheckConstraint("form IN ('zip','files')", name="photo_upload_form"),
        CheckConstraint("state IN ('open','waiting','done','failed')", name="photo_upload_state"),
    )
    id: Mapped[Id]
    batch_id: Mapped[int] = mapped_column(ForeignKey("import_batch.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    form: Mapped[str] = mapped_column(String(10), default="files")
    # What the person called it: the zip's name; empty for loose files.
    name: Mapped[str] = mapped_column(String(200), default="")
    state: Mapped[State] = mapped_column(String(20), default="waiting")
    # {"matched": 3, "faults": [{"name": "3301...0018.jpg", "code": "unknown", "args": {}}]}; file names are masked.
    result: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    batch: Mapped[ImportBatch] = relationship()
    parts: Mapped[list[PhotoPart]] = relationship(order_by="PhotoPart.number", back_populates="upload")


class PhotoPart(Model):
    """A piece of an upload: the n-th slice of a zip, or a small zip of loose files made here."""

    __tablename__ = "photo_part"
    __table_args__ = (UniqueConstraint("upload_id", "number", name="photo_part_once"),)
    id: Mapped[Id]
    upload_id: Mapped[int] = mapped_column(ForeignKey("photo_upload.id"))
    number: Mapped[int]
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"))
    upload: Mapped[PhotoUpload] = relationship(back_populates="parts")
    file: Mapped[StoredFile] = relationship()


class PhotoReading(Model):
    """What a machine saw on a stored photo: the faces on a portrait, the name and number on an ID front. A hint, never the truth.

    An ID front: waiting → reading → read, failed or unavailable. A portrait is `read` as it is kept.
    """

    __tablename__ = "photo_reading"
    __table_args__ = (
        CheckConstraint("state IN ('waiting','reading','read','failed','unavailable')", name="photo_reading_state"),
    )
    id: Mapped[Id]
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id", ondelete="CASCADE"), unique=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("import_batch.id"), index=True)
    state: Mapped[State] = mapped_column(String(20), default="waiting")
    faces: Mapped[int | None]
    name: Mapped[str] = mapped_column(String(50), default="")
    # Only a number whose check digit is right is kept.
    id_number: Mapped[str | None] = mapped_column(Sealed("id_number"))
    id_number_index: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    error: Mapped[str] = mapped_column(String(300), default="")
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
