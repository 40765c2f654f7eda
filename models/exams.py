"""Exams: the plan, its rooms, who sits where, the scores and their report."""

from __future__ import annotations

from datetime import datetime

from flask_appbuilder import Model
from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.dictionaries import Occupation
from models.files import StoredFile
from models.filings import Room
from models.parties import Institution
from models.plans import TrainingPlan
from models.reviews import Reviewed, review_constraints
from models.rosters import Enrolment
from models.types import Id, UtcDateTime


class ExamPlan(Reviewed, Model):
    """考核计划 of an attended class (I21). `number` names it towards the exam system."""

    __tablename__ = "exam_plan"
    __table_args__ = (
        *review_constraints("exam_plan"),
        CheckConstraint("ends_at > starts_at", name="exam_plan_times"),
        CheckConstraint("online_confirmed_at IS NULL OR review_state = 'approved'", name="exam_plan_online"),
        Index("exam_plan_calendar", "starts_at"),
    )
    review_kind = "exam_plan"

    id: Mapped[Id]
    number: Mapped[str] = mapped_column(String(32), unique=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("training_plan.id"), index=True)
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"), index=True)
    place: Mapped[str] = mapped_column(String(200))
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    online_confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    plan: Mapped[TrainingPlan] = relationship()
    institution: Mapped[Institution] = relationship()
    rooms: Mapped[list[ExamRoom]] = relationship(
        back_populates="exam_plan", order_by="ExamRoom.number", cascade="all, delete-orphan")
    sittings: Mapped[list[Sitting]] = relationship(
        back_populates="exam_plan", order_by="Sitting.ticket_number", cascade="all, delete-orphan")
    report: Mapped[ScoreReport | None] = relationship(back_populates="exam_plan")

    def __str__(self) -> str:
        return self.name


class ExamRoom(Model):
    """考场 n of an exam: one occupation only, at most the room size of people (I22, C7)."""

    __tablename__ = "exam_room"
    __table_args__ = (UniqueConstraint("exam_plan_id", "number", name="exam_room_number"),)
    id: Mapped[Id]
    exam_plan_id: Mapped[int] = mapped_column(ForeignKey("exam_plan.id", ondelete="CASCADE"), index=True)
    number: Mapped[int]
    place: Mapped[str] = mapped_column(String(100), default="")
    # One of the institution's own rooms, which may hold fewer; None where only the place was typed.
    room_id: Mapped[int | None] = mapped_column(ForeignKey("room.id", name="exam_room_own_room"), index=True)
    occupation_id: Mapped[int] = mapped_column(ForeignKey("occupation.id"))
    exam_plan: Mapped[ExamPlan] = relationship(back_populates="rooms")
    own_room: Mapped[Room | None] = relationship()
    occupation: Mapped[Occupation] = relationship()
    sittings: Mapped[list[Sitting]] = relationship(back_populates="room", order_by="Sitting.seat")


class Sitting(Model):
    """考生安排: one person in one exam, with the ticket and, later, the scores in tenths of a point (0–1000)."""

    __tablename__ = "sitting"
    __table_args__ = (
        UniqueConstraint("exam_plan_id", "enrolment_id", name="sitting_once"),
        UniqueConstraint("room_id", "seat", name="sitting_seat_once"),
        CheckConstraint("theory IS NULL OR theory BETWEEN 0 AND 1000", name="sitting_theory"),
        CheckConstraint("practice IS NULL OR practice BETWEEN 0 AND 1000", name="sitting_practice"),
        CheckConstraint("result IS NULL OR result IN ('passed','failed','absent','cheating')", name="sitting_result"),
        CheckConstraint("(admitted_at IS NULL) = (admitted_by_name IS NULL)", name="sitting_admitted_evidence"),
    )
    id: Mapped[Id]
    exam_plan_id: Mapped[int] = mapped_column(ForeignKey("exam_plan.id", ondelete="CASCADE"), index=True)
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"), index=True)
    room_id: Mapped[int] = mapped_column(ForeignKey("exam_room.id"), index=True)
    seat: Mapped[int]
    ticket_number: Mapped[str] = mapped_column(String(32), unique=True)
    theory: Mapped[int | None]
    practice: Mapped[int | None]
    result: Mapped[str | None] = mapped_column(String(10))
    scored_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    score_source: Mapped[str] = mapped_column(String(10), default="")
    # When the ticket was first shown at the door, and to whom.
    admitted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    admitted_by_name: Mapped[str | None] = mapped_column(String(100))
    exam_plan: Mapped[ExamPlan] = relationship(back_populates="sittings")
    enrolment: Mapped[Enrolment] = relationship()
    room: Mapped[ExamRoom] = relationship(back_populates="sittings")


class TicketPrint(Model):
    """准考证 of a large exam, asked for by one person: a job draws them, the file is kept for a day. An enterprise has its own people."""

    __tablename__ = "ticket_print"
    id: Mapped[Id]
    exam_plan_id: Mapped[int] = mapped_column(ForeignKey("exam_plan.id", ondelete="CASCADE"), index=True)
    institution_id: Mapped[int | None] = mapped_column(ForeignKey("institution.id"))
    enterprise_id: Mapped[int | None] = mapped_column(ForeignKey("enterprise.id"))
    user_id: Mapped[int]
    people: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    file_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    exam_plan: Mapped[ExamPlan] = relationship()
    file: Mapped[StoredFile | None] = relationship()


class ScoreReport(Reviewed, Model):
    """成绩报审 of one exam (I26)."""

    __tablename__ = "score_report"
    __table_args__ = review_constraints("score_report")
    review_kind = "score_report"

    id: Mapped[Id]
    exam_plan_id: Mapped[int] = mapped_column(ForeignKey("exam_plan.id"), unique=True)
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    exam_plan: Mapped[ExamPlan] = relationship(back_populates="report")
    institution: Mapped[Institution] = relationship()

    def __str__(self) -> str:
        return self.exam_plan.name
