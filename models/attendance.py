"""Attendance of a class: what is known of a person in a session, sessions taken by scanning, and asking to unlock what was confirmed."""

from __future__ import annotations

from datetime import datetime

from flask_appbuilder import Model
from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.parties import Authority, Institution
from models.plans import PlanDay, TrainingPlan
from models.types import Id, State, UtcDateTime


class AttendanceMark(Model):
    """What is known of one person in one session. No row is the default of the manual: there (I20)."""

    __tablename__ = "attendance_mark"
    __table_args__ = (
        UniqueConstraint("day_id", "enrolment_id", name="attendance_mark_once"),
        CheckConstraint("state IN ('absent','present')", name="attendance_mark_state"),
        CheckConstraint("source IN ('hand','workbook','scan')", name="attendance_mark_source"),
    )
    id: Mapped[Id]
    # Copied from the day, so that the marks of a class are one indexed read.
    plan_id: Mapped[int] = mapped_column(ForeignKey("training_plan.id", ondelete="CASCADE"), index=True)
    day_id: Mapped[int] = mapped_column(ForeignKey("plan_day.id", ondelete="CASCADE"))
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"), index=True)
    state: Mapped[str] = mapped_column(String(10))
    source: Mapped[str] = mapped_column(String(10), default="hand")
    # When the person's slip was scanned, whatever was decided by hand afterwards.
    scanned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    marked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    marked_by_id: Mapped[int | None]


class SessionRoll(Model):
    """A session that was taken by scanning. Until a person has said who of those not scanned was away, it is not settled."""

    __tablename__ = "session_roll"
    day_id: Mapped[int] = mapped_column(ForeignKey("plan_day.id", ondelete="CASCADE"), primary_key=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("training_plan.id", ondelete="CASCADE"), index=True)
    scanned_from: Mapped[datetime] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    settled_by_id: Mapped[int | None]
    day: Mapped[PlanDay] = relationship()


class AttendanceUnlock(Model):
    """申请解锁考勤: an institution asks its authority to open confirmed attendance again, with a reason."""

    __tablename__ = "attendance_unlock"
    __table_args__ = (
        CheckConstraint("state IN ('asked','granted','refused','dropped')", name="attendance_unlock_state"),
        CheckConstraint("state NOT IN ('granted','refused') OR (decided_at IS NOT NULL AND decided_by_id IS NOT NULL)",
                        name="attendance_unlock_evidence"),
        Index("attendance_unlock_desk", "authority_id", "state", "id"),
    )
    id: Mapped[Id]
    plan_id: Mapped[int] = mapped_column(ForeignKey("training_plan.id"), index=True)
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"), index=True)
    authority_id: Mapped[int] = mapped_column(ForeignKey("authority.id"))
    state: Mapped[State] = mapped_column(String(20), default="asked")
    reason: Mapped[str] = mapped_column(String(500))
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    asked_by_name: Mapped[str] = mapped_column(String(100))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by_id: Mapped[int | None]
    decided_by_name: Mapped[str] = mapped_column(String(100), default="")
    remark: Mapped[str] = mapped_column(String(500), default="")
    plan: Mapped[TrainingPlan] = relationship()
    institution: Mapped[Institution] = relationship()
    authority: Mapped[Authority] = relationship()

    def __str__(self) -> str:
        return self.plan.name


# One request at a time for a class.
_ASKED = AttendanceUnlock.state == "asked"
Index("attendance_unlock_once", AttendanceUnlock.plan_id, unique=True, sqlite_where=_ASKED, postgresql_where=_ASKED)
