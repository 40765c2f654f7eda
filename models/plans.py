"""Training plans: what is taught, when, by whom, for how many, and who may enrol."""

from __future__ import annotations

from datetime import date, datetime

from flask_appbuilder import Model
from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from models.dictionaries import Occupation, SkillLevel
from models.filings import Room
from models.parties import Enterprise, Institution, Teacher
from models.reviews import Reviewed, review_constraints
from models.types import Id, UtcDateTime


class TrainingPlan(Reviewed, Model):
    """培训计划. `seats_taken` (people held or enrolled) and `seats_reserved` (open offers of the waiting list) are moved only by
    conditional UPDATEs in `app.operations.seat_counter`."""

    __tablename__ = "training_plan"
    __table_args__ = (
        *review_constraints("training_plan"),
        CheckConstraint("seats_taken >= 0 AND seats_reserved >= 0 AND seats_taken + seats_reserved <= seats", name="training_plan_seats"),
        CheckConstraint("fee_fen >= 0", name="training_plan_fee"),
        CheckConstraint("enrolment_form IN ('designated','open')", name="training_plan_form"),
        CheckConstraint("attendance_confirmed_at IS NULL OR class_opened_at IS NOT NULL", name="training_plan_class_order"),
        CheckConstraint("cancelled_at IS NULL OR (review_state = 'approved' AND class_opened_at IS NULL)",
                        name="training_plan_cancelled"),
        # What enrolments copy is held by one key of theirs.
        Index("training_plan_owner", "id", "institution_id", "authority_id", unique=True),
    )
    review_kind = "training_plan"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(20), unique=True)
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"), index=True)
    fee_fen: Mapped[int]
    seats: Mapped[int]
    seats_taken: Mapped[int] = mapped_column(default=0)
    seats_reserved: Mapped[int] = mapped_column(default=0, server_default="0")
    place: Mapped[str] = mapped_column(String(200))
    enrolment_opens_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    enrolment_closes_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    enrolment_form: Mapped[str] = mapped_column(String(10), default="open")
    class_opened_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attendance_confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # An approved plan that was called off before its class opened; `PlanChange` says why.
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Raised by every save, so that of two people who edit it at once the later is told.
    version: Mapped[int] = mapped_column(default=0)

    institution: Mapped[Institution] = relationship()
    occupations: Mapped[list[PlanOccupation]] = relationship(
        back_populates="plan", order_by="PlanOccupation.position", cascade="all, delete-orphan")
    days: Mapped[list[PlanDay]] = relationship(
        back_populates="plan", order_by="PlanDay.day, PlanDay.id", cascade="all, delete-orphan")
    designated: Mapped[list[Enterprise]] = relationship(secondary="plan_enterprise", order_by="Enterprise.id")

    @property
    def seats_left(self) -> int:
        return self.seats - self.seats_taken - self.seats_reserved

    @property
    def enrolment_ended(self) -> bool:
        """The window is over, or the class has opened (C19) or was cancelled, which ends it."""
        return self.class_opened_at is not None or self.cancelled_at is not None or clock.now() >= self.enrolment_closes_at

    @property
    def enrolling(self) -> bool:
        """E11 but for the seats: approved, and within the enrolment window."""
        return (self.review_state == "approved" and not self.enrolment_ended
                and clock.now() >= self.enrolment_opens_at)

    def __str__(self) -> str:
        return self.name


class PlanOccupation(Model):
    """An occupation and level that a plan teaches. `position` is plan order, which allocates exam rooms (C7)."""

    __tablename__ = "plan_occupation"
    __table_args__ = (UniqueConstraint("plan_id", "occupation_id", "level_id", name="plan_occupation_once"),)
    id: Mapped[Id]
    plan_id: Mapped[int] = mapped_column(ForeignKey("training_plan.id", ondelete="CASCADE"), index=True)
    occupation_id: Mapped[int] = mapped_column(ForeignKey("occupation.id"))
    level_id: Mapped[int] = mapped_column(ForeignKey("skill_level.id"))
    position: Mapped[int] = mapped_column(default=0)
    plan: Mapped[TrainingPlan] = relationship(back_populates="occupations")
    occupation: Mapped[Occupation] = relationship()
    level: Mapped[SkillLevel] = relationship()


class PlanDay(Model):
    """One day of teaching (I8, I11)."""

    __tablename__ = "plan_day"
    __table_args__ = (
        CheckConstraint("session IN ('all','morning','afternoon','evening')", name="plan_day_session"),
        Index("plan_day_calendar", "day", "plan_id"),
    )
    id: Mapped[Id]
    plan_id: Mapped[int] = mapped_column(ForeignKey("training_plan.id", ondelete="CASCADE"), index=True)
    day: Mapped[date]
    session: Mapped[str] = mapped_column(String(10), default="all")
    topic: Mapped[str] = mapped_column(String(100))
    teacher_id: Mapped[int] = mapped_column(ForeignKey("teacher.id"))
    # One of the institution's own rooms; None where the plan's place says it all.
    room_id: Mapped[int | None] = mapped_column(ForeignKey("room.id"))
    plan: Mapped[TrainingPlan] = relationship(back_populates="days")
    teacher: Mapped[Teacher] = relationship()
    room: Mapped[Room | None] = relationship()


class PlanEnterprise(Model):
    """An enterprise designated for a plan: only these see it when the form is 指定企业 (C13)."""

    __tablename__ = "plan_enterprise"
    plan_id: Mapped[int] = mapped_column(ForeignKey("training_plan.id", ondelete="CASCADE"), primary_key=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"), primary_key=True, index=True)
