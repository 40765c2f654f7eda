"""The audit record: who did what to which row, from where. Rows are only ever added, and sealed one after the other."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_appbuilder import Model
from sqlalchemy import JSON, BigInteger, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from models.types import Id, UtcDateTime

# The database itself refuses to change or remove rows of these (migrations/versions/0002_append_only.py).
APPEND_ONLY = ("audit_event", "audit_seal", "review_event")


class AuditEvent(Model):
    """One act of one person. `facts` never holds an ID number, a phone or a password."""

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("audit_event_subject", "subject_kind", "subject_id"),
        Index("audit_event_verb", "verb", "at"),
    )
    id: Mapped[Id]
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    actor_id: Mapped[int | None] = mapped_column(index=True)
    actor_name: Mapped[str] = mapped_column(String(100), index=True)
    organisation: Mapped[str] = mapped_column(String(100), default="")
    address: Mapped[str] = mapped_column(String(45), default="")
    verb: Mapped[str] = mapped_column(String(50))
    subject_kind: Mapped[str] = mapped_column(String(50))
    subject_id: Mapped[int | None]
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class AuditSeal(Model):
    """The link of the chain that holds one event fast: a keyed digest over the link before it and the whole event.

    No foreign key: a seal outlives the event it speaks of, or it could not say that the event is gone. `previous` is
    unique, so that a chain cannot fork, whoever seals.
    """

    __tablename__ = "audit_seal"
    seq: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False)
    event_id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), unique=True)
    hash: Mapped[str] = mapped_column(String(64))
    previous: Mapped[str] = mapped_column(String(64), unique=True)
