"""The audit record: who did what to which row, from where. Rows are only ever added."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_appbuilder import Model
from sqlalchemy import JSON, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from models.types import Id, UtcDateTime


class AuditEvent(Model):
    """One act of one person. `facts` never holds an ID number, a phone or a password."""

    __tablename__ = "audit_event"
    __table_args__ = (Index("audit_event_subject", "subject_kind", "subject_id"),)
    id: Mapped[Id]
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    actor_id: Mapped[int | None] = mapped_column(index=True)
    actor_name: Mapped[str] = mapped_column(String(100))
    organisation: Mapped[str] = mapped_column(String(100), default="")
    address: Mapped[str] = mapped_column(String(45), default="")
    verb: Mapped[str] = mapped_column(String(50))
    subject_kind: Mapped[str] = mapped_column(String(50))
    subject_id: Mapped[int | None]
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
