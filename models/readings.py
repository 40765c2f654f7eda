"""What was read on a picture by machine: a proposal for the person who fills the form, never the truth."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_appbuilder import Model
from sqlalchemy import JSON, CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.files import StoredFile
from models.types import Id, State, UtcDateTime


class LicenceReading(Model):
    """The reading of one picture of a business licence.

    waiting → reading → read, failed or unavailable. `unavailable`: this portal has no reading engine. Nobody waits for it:
    whatever the state, the form can be filled by hand.
    """

    __tablename__ = "licence_reading"
    __table_args__ = (
        CheckConstraint("state IN ('waiting','reading','read','failed','unavailable')", name="licence_reading_state"),
    )
    id: Mapped[Id]
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id", ondelete="CASCADE"), index=True)
    state: Mapped[State] = mapped_column(String(20), default="waiting")
    # {"uscc": {"value": "9133...", "confidence": 0.99, "suspect": false}, ...}; only what was found.
    fields: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    error: Mapped[str] = mapped_column(String(300), default="")
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    file: Mapped[StoredFile] = relationship()

    @property
    def ended(self) -> bool:
        """Whether anything may still change."""
        return self.state in ("read", "failed", "unavailable")

    def value(self, field: str) -> str:
        """What was read for a field; empty where nothing was found or what was found cannot be right."""
        found = self.fields.get(field) or {}
        return "" if found.get("suspect") else str(found.get("value", ""))
