"""Photos of the people on a roster: what was uploaded for a batch, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_appbuilder import Model
from sqlalchemy import JSON, CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.files import StoredFile
from models.rosters import ImportBatch
from models.types import Id, State, UtcDateTime


class PhotoUpload(Model):
    """One upload of photos for a batch: a zip of pictures named by ID number (E14, C12), and what came of it."""

    __tablename__ = "photo_upload"
    __table_args__ = (
        CheckConstraint("kind IN ('portrait','id_front')", name="photo_upload_kind"),
        CheckConstraint("state IN ('waiting','done','failed')", name="photo_upload_state"),
    )
    id: Mapped[Id]
    batch_id: Mapped[int] = mapped_column(ForeignKey("import_batch.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"))
    state: Mapped[State] = mapped_column(String(20), default="waiting")
    # {"matched": 3, "faults": [{"name": "3301...0018.jpg", "reason": "..."}]}; file names are masked.
    result: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    batch: Mapped[ImportBatch] = relationship()
    file: Mapped[StoredFile] = relationship()
