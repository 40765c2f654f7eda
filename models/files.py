"""Stored files: the row says whose it is and what it holds; the bytes lie in the store under a random key."""

from __future__ import annotations

from datetime import datetime

from flask_appbuilder import Model
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from models.types import Id, UtcDateTime


class StoredFile(Model):
    """A file kept by the portal. Who may read it follows from the owner columns, through `app.scope`."""

    __tablename__ = "stored_file"
    id: Mapped[Id]
    key: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(200))
    content_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Owners without foreign keys: their rows refer to their files, and a circle could be neither created nor deleted.
    enterprise_id: Mapped[int | None] = mapped_column(index=True)
    institution_id: Mapped[int | None] = mapped_column(index=True)
    authority_id: Mapped[int | None] = mapped_column(index=True)
