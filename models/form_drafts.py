"""Forms that a signed-in person has begun and not yet saved."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_appbuilder import Model
from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from models.types import UtcDateTime


class FormDraft(Model):
    """What one person has typed into one form since it was last saved, as the form would send it."""

    __tablename__ = "form_draft"
    user_id: Mapped[int] = mapped_column(ForeignKey("ab_user.id", ondelete="CASCADE"), primary_key=True)
    form: Mapped[str] = mapped_column(String(40), primary_key=True)
    values: Mapped[list[Any]] = mapped_column(JSON)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
