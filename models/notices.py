"""Notices: what an organisation is told, what a person has read of it, and the text messages that go out for it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_appbuilder import Model
from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.crypto import Sealed
from models.types import Id, State, UtcDateTime

# As each database is asked: a partial index serves a question in its own words.
_UNTEXTED: dict[str, Any] = {"sqlite_where": text("texted = 0"), "postgresql_where": text("NOT texted")}
_WAITING: dict[str, Any] = {"sqlite_where": text("state = 'waiting'"), "postgresql_where": text("state = 'waiting'")}


class Notice(Model):
    """One event told to one organisation. A bulk step is one row for each organisation: `count` of the kind, and no
    `subject_id` or `name` when they are several."""

    __tablename__ = "notice"
    __table_args__ = (
        CheckConstraint("(authority_id IS NOT NULL AND institution_id IS NULL AND enterprise_id IS NULL)"
                        " OR (institution_id IS NOT NULL AND authority_id IS NULL AND enterprise_id IS NULL)"
                        " OR (enterprise_id IS NOT NULL AND authority_id IS NULL AND institution_id IS NULL)",
                        name="notice_one_organisation"),
        Index("notice_authority", "authority_id", "id"),
        Index("notice_institution", "institution_id", "id"),
        Index("notice_enterprise", "enterprise_id", "id"),
        Index("notice_untexted", "id", **_UNTEXTED),
    )
    id: Mapped[Id]
    event: Mapped[str] = mapped_column(String(30))
    subject_kind: Mapped[str] = mapped_column(String(20))
    subject_id: Mapped[int | None]
    count: Mapped[int] = mapped_column(default=1)
    authority_id: Mapped[int | None] = mapped_column(ForeignKey("authority.id"))
    institution_id: Mapped[int | None] = mapped_column(ForeignKey("institution.id"))
    enterprise_id: Mapped[int | None] = mapped_column(ForeignKey("enterprise.id"))
    name: Mapped[str] = mapped_column(String(200), default="")
    remark: Mapped[str] = mapped_column(String(500), default="")
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Whether the text messages it asks for were planned.
    texted: Mapped[bool] = mapped_column(default=False)


class NoticeRead(Model):
    """A person has opened a notice that lies above their mark."""

    __tablename__ = "notice_read"
    user_id: Mapped[int] = mapped_column(ForeignKey("ab_user.id", ondelete="CASCADE"), primary_key=True)
    notice_id: Mapped[int] = mapped_column(ForeignKey("notice.id", ondelete="CASCADE"), primary_key=True, index=True)


class NoticeReader(Model):
    """A person as a reader: everything up to `read_through` is read, and `texts` are the events wanted by SMS as well, to
    `phone`, which a code has proved."""

    __tablename__ = "notice_reader"
    user_id: Mapped[int] = mapped_column(ForeignKey("ab_user.id", ondelete="CASCADE"), primary_key=True)
    read_through: Mapped[int] = mapped_column(default=0)
    phone: Mapped[str | None] = mapped_column(Sealed("phone"))
    texts: Mapped[list[str]] = mapped_column(JSON, default=list)


class NoticeText(Model):
    """One text message to one person about one kind of event. While it waits, later events of the kind are added to it."""

    __tablename__ = "notice_text"
    __table_args__ = (
        CheckConstraint("state IN ('waiting','sending','sent','dropped','failed')", name="notice_text_state"),
        Index("notice_text_waiting", "user_id", "event", unique=True, **_WAITING),
        Index("notice_text_sent", "user_id", "sent_at"),
    )
    id: Mapped[Id]
    user_id: Mapped[int] = mapped_column(ForeignKey("ab_user.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(String(30))
    # The kind all of them have, or "" when they are of several kinds; the name of the only one.
    subject_kind: Mapped[str] = mapped_column(String(20))
    count: Mapped[int]
    name: Mapped[str] = mapped_column(String(200), default="")
    state: Mapped[State] = mapped_column(String(20), default="waiting")
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
