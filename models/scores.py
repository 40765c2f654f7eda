"""Scores over time: each taking-in of marks and what it changed, and the corrections of approved ones (I26)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_appbuilder import Model
from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.exams import ExamPlan, Sitting
from models.parties import Institution
from models.reviews import Reviewed, review_constraints
from models.types import Id, UtcDateTime

RESULTS = ("passed", "failed", "absent", "cheating")


class ScoreIntake(Model):
    """One taking-in of scores. A pull that was interrupted has no end yet, and goes on behind `cursor`."""

    __tablename__ = "score_intake"
    __table_args__ = (
        CheckConstraint("source IN ('pull','upload','typed','corrected')", name="score_intake_source"),
        Index("score_intake_newest", "exam_plan_id", "id"),
    )
    id: Mapped[Id]
    exam_plan_id: Mapped[int] = mapped_column(ForeignKey("exam_plan.id", ondelete="CASCADE"))
    source: Mapped[str] = mapped_column(String(10))
    actor_name: Mapped[str] = mapped_column(String(100))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cursor: Mapped[str] = mapped_column(String(100), default="")
    taken: Mapped[int] = mapped_column(default=0)
    # Of those taken, how many had other marks before.
    changed: Mapped[int] = mapped_column(default=0)
    # Ticket numbers of nobody, the first fifty, and how many there were.
    unknown: Mapped[list[str]] = mapped_column(JSON, default=list)
    unknown_count: Mapped[int] = mapped_column(default=0)
    changes: Mapped[list[ScoreChange]] = relationship(back_populates="intake", order_by="ScoreChange.id", cascade="all, delete-orphan")


class ScoreChange(Model):
    """Marks of one person that an intake replaced by others. Marks are tenths of a point; None is a part without a mark."""

    __tablename__ = "score_change"
    id: Mapped[Id]
    intake_id: Mapped[int] = mapped_column(ForeignKey("score_intake.id", ondelete="CASCADE"), index=True)
    sitting_id: Mapped[int] = mapped_column(ForeignKey("sitting.id", ondelete="CASCADE"), index=True)
    theory_before: Mapped[int | None]
    practice_before: Mapped[int | None]
    result_before: Mapped[str | None] = mapped_column(String(10))
    theory_after: Mapped[int | None]
    practice_after: Mapped[int | None]
    result_after: Mapped[str | None] = mapped_column(String(10))
    intake: Mapped[ScoreIntake] = relationship(back_populates="changes")
    sitting: Mapped[Sitting] = relationship()


class ScoreCorrection(Reviewed, Model):
    """成绩更正: approved scores are locked; other marks come with a reason and count when the authority approves them."""

    __tablename__ = "score_correction"
    __table_args__ = review_constraints("score_correction")
    review_kind = "score_correction"

    id: Mapped[Id]
    exam_plan_id: Mapped[int] = mapped_column(ForeignKey("exam_plan.id"), index=True)
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"), index=True)
    reason: Mapped[str] = mapped_column(String(500))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    exam_plan: Mapped[ExamPlan] = relationship()
    institution: Mapped[Institution] = relationship()
    lines: Mapped[list[ScoreCorrectionLine]] = relationship(
        back_populates="correction", order_by="ScoreCorrectionLine.id", cascade="all, delete-orphan")

    def __str__(self) -> str:
        return self.exam_plan.name


# One at a time for each exam: two would not know of each other.
_OPEN: Any = ScoreCorrection.review_state != "approved"
Index("score_correction_open_once", ScoreCorrection.exam_plan_id, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)


class ScoreCorrectionLine(Model):
    """The marks of one person as they were when the correction was written, and as they are to be."""

    __tablename__ = "score_correction_line"
    __table_args__ = (
        UniqueConstraint("correction_id", "sitting_id", name="score_correction_line_once"),
        CheckConstraint("theory IS NULL OR theory BETWEEN 0 AND 1000", name="score_correction_line_theory"),
        CheckConstraint("practice IS NULL OR practice BETWEEN 0 AND 1000", name="score_correction_line_practice"),
        CheckConstraint("result IN ('passed','failed','absent','cheating')", name="score_correction_line_result"),
    )
    id: Mapped[Id]
    correction_id: Mapped[int] = mapped_column(ForeignKey("score_correction.id", ondelete="CASCADE"), index=True)
    sitting_id: Mapped[int] = mapped_column(ForeignKey("sitting.id"), index=True)
    theory_before: Mapped[int | None]
    practice_before: Mapped[int | None]
    result_before: Mapped[str | None] = mapped_column(String(10))
    theory: Mapped[int | None]
    practice: Mapped[int | None]
    result: Mapped[str] = mapped_column(String(10))
    correction: Mapped[ScoreCorrection] = relationship(back_populates="lines")
    sitting: Mapped[Sitting] = relationship()
