"""核对与更正: whether a person's data agree with the photos (I18), and each version that was corrected (B10)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_appbuilder import Model
from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.files import StoredFile
from models.rosters import Enrolment
from models.types import Id, State, UtcDateTime


class PersonCheck(Model):
    """What the institution says of a paid person: `ok` 相符, `mismatch` 不相符, `corrected` 已更正 and to be looked at again.
    Who was never looked at has no row."""

    __tablename__ = "person_check"
    __table_args__ = (
        CheckConstraint("state IN ('ok','mismatch','corrected')", name="person_check_state"),
        Index("person_check_institution", "institution_id", "state"),
        Index("person_check_enterprise", "enterprise_id", "state"),
    )
    id: Mapped[Id]
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"), unique=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"))
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"))
    state: Mapped[State] = mapped_column(String(20))
    # Counts every change, so that nobody decides on what they have not seen.
    version: Mapped[int] = mapped_column(default=1)
    reasons: Mapped[list[str]] = mapped_column(JSON, default=list)
    remark: Mapped[str] = mapped_column(String(500), default="")
    # The ID number was changed and nobody has looked at it yet: the class does not open before.
    number_changed: Mapped[bool] = mapped_column(default=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    enrolment: Mapped[Enrolment] = relationship()


class CheckEvent(Model):
    """One step of a check: who, when, and of a correction what was before and after, masked."""

    __tablename__ = "check_event"
    __table_args__ = (CheckConstraint("step IN ('ok','mismatch','correct')", name="check_event_step"),)
    id: Mapped[Id]
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"), index=True)
    step: Mapped[str] = mapped_column(String(20))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor_id: Mapped[int | None]
    actor_name: Mapped[str] = mapped_column(String(100), default="")
    organisation: Mapped[str] = mapped_column(String(100), default="")
    reasons: Mapped[list[str]] = mapped_column(JSON, default=list)
    remark: Mapped[str] = mapped_column(String(500), default="")
    # {"name": ["王建", "王健"], "portrait": [17, 52]}: words as they may be shown, photos by the id of their file.
    changes: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class FormerPhoto(Model):
    """A photo that a correction replaced: kept, and seen by those who see the person."""

    __tablename__ = "former_photo"
    id: Mapped[Id]
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"), index=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("check_event.id"))
    kind: Mapped[str] = mapped_column(String(10))
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"), index=True)
    file: Mapped[StoredFile] = relationship()
