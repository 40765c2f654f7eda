"""Jobs: work that is due. The row is the truth; Redis only carries the news that it is there."""

from __future__ import annotations

from datetime import datetime

from flask_appbuilder import Model
from sqlalchemy import CheckConstraint, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from models.types import Id, State, UtcDateTime


class Job(Model):
    """One piece of unattended work: a name from `workers.jobs` and the id it is about.

    waiting → running (leased until `lease_until`) → done or failed. A lease that ran out is waiting again, so a killed
    worker costs time and nothing else.
    """

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint("state IN ('waiting','running','done','failed')", name="job_state"),
        Index("job_due", "state", "due_at"),
        Index("job_subject", "name", "subject_id"),
    )
    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(50))
    subject_id: Mapped[int]
    enterprise_id: Mapped[int | None] = mapped_column(index=True)
    institution_id: Mapped[int | None] = mapped_column(index=True)
    authority_id: Mapped[int | None] = mapped_column(index=True)
    state: Mapped[State] = mapped_column(String(20), default="waiting")
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    done_units: Mapped[int] = mapped_column(default=0)
    total_units: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(String(300), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @property
    def percent(self) -> int:
        if self.state == "done":
            return 100
        return min(99, self.done_units * 100 // self.total_units) if self.total_units else 0


class Timer(Model):
    """When a recurring task of the timetable is due next. Moved by compare-and-set, so two schedulers do no harm."""

    __tablename__ = "timer"
    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
