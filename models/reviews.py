"""The review: the columns every reviewed subject has, and the append-only record of who did what (I14)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from flask_appbuilder import Model
from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, declared_attr, mapped_column, relationship

from models.types import Id, State, UtcDateTime

REVIEW_STATES = ("draft", "submitted", "accepted", "approved", "rejected")


def review_constraints(table: str) -> tuple[CheckConstraint | Index, ...]:
    """A state cannot stand without its evidence, whatever program writes it. The indexes are in the order of the desks: of one
    authority, of one state, of all, the oldest submission first."""
    listed = ", ".join(f"'{state}'" for state in REVIEW_STATES)
    return (
        CheckConstraint(f"review_state IN ({listed})", name=f"{table}_review_state"),
        CheckConstraint("review_state NOT IN ('submitted','accepted','approved') OR submitted_at IS NOT NULL",
                        name=f"{table}_submitted_evidence"),
        CheckConstraint("review_state NOT IN ('accepted','approved') OR (accepted_at IS NOT NULL AND accepted_by_id IS NOT NULL)",
                        name=f"{table}_accepted_evidence"),
        CheckConstraint("review_state NOT IN ('approved','rejected') OR (decided_at IS NOT NULL AND decided_by_id IS NOT NULL)",
                        name=f"{table}_decided_evidence"),
        Index(f"{table}_desk", "authority_id", "review_state", "submitted_at", "id"),
        Index(f"{table}_waiting", "review_state", "submitted_at", "id"),
        Index(f"{table}_submitted", "submitted_at", "id"),
    )


class Reviewed:
    """Mixin of a subject that is submitted, accepted and decided. Only `app.workflow` moves `review_state`."""

    review_kind: ClassVar[str]

    review_state: Mapped[State] = mapped_column(String(20), default="draft")
    review_round: Mapped[int] = mapped_column(default=1)
    # Raised by every step: numbers the events of one subject, so that no step can be recorded twice.
    review_version: Mapped[int] = mapped_column(default=0)
    review_remark: Mapped[str] = mapped_column(String(500), default="")
    submitted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    accepted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    accepted_by_id: Mapped[int | None]
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by_id: Mapped[int | None]

    @declared_attr
    def authority_id(cls) -> Mapped[int]:
        """The authority that reviews this subject."""
        return mapped_column(ForeignKey("authority.id"))

    @declared_attr
    def authority(cls) -> Mapped[Any]:
        return relationship("Authority", foreign_keys=[cls.authority_id])  # type: ignore[list-item]

    @property
    def editable(self) -> bool:
        """The owner may change it only before submission or after a rejection."""
        return self.review_state in ("draft", "rejected")


class ReviewEvent(Model):
    """One step of a review. Rows are only ever added; the records pages read nothing else."""

    __tablename__ = "review_event"
    __table_args__ = (
        UniqueConstraint("subject_kind", "subject_id", "sequence", name="review_event_once"),
        Index("review_event_subject", "subject_kind", "subject_id", "id"),
    )
    id: Mapped[Id]
    subject_kind: Mapped[str] = mapped_column(String(20))
    subject_id: Mapped[int]
    sequence: Mapped[int]
    round: Mapped[int]
    step: Mapped[str] = mapped_column(String(20))
    from_state: Mapped[str] = mapped_column(String(20))
    to_state: Mapped[str] = mapped_column(String(20))
    actor_id: Mapped[int | None]
    actor_name: Mapped[str] = mapped_column(String(100))
    organisation: Mapped[str] = mapped_column(String(100), default="")
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    remark: Mapped[str] = mapped_column(String(500), default="")


class SubmissionSnapshot(Model):
    """What was submitted in one round of a review, so that the next round can say what has changed. ID numbers and phones are
    masked in it. A second submission of the same round (after a withdrawal) takes the place of the first."""

    __tablename__ = "submission_snapshot"
    __table_args__ = (UniqueConstraint("subject_kind", "subject_id", "round", name="submission_snapshot_once"),)
    id: Mapped[Id]
    subject_kind: Mapped[str] = mapped_column(String(20))
    subject_id: Mapped[int]
    round: Mapped[int]
    facts: Mapped[list[Any]] = mapped_column(JSON)
    taken_at: Mapped[datetime] = mapped_column(UtcDateTime)


class BulkRun(Model):
    """One step that a reviewer asked for on so many subjects that a job takes it, part by part. `position` is how many of
    `ids` are done, moved in the transaction of each part; `left` are those that could not go."""

    __tablename__ = "bulk_run"
    id: Mapped[Id]
    kind: Mapped[str] = mapped_column(String(20))
    step: Mapped[str] = mapped_column(String(20))
    remark: Mapped[str] = mapped_column(String(500), default="")
    user_id: Mapped[int] = mapped_column(ForeignKey("ab_user.id"))
    authority_id: Mapped[int] = mapped_column(ForeignKey("authority.id"), index=True)
    ids: Mapped[list[int]] = mapped_column(JSON)
    left: Mapped[list[int]] = mapped_column(JSON, default=list)
    position: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
