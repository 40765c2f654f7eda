"""Certificates: the numbered record, its push to the ministry, and the counters the numbers come from."""

from __future__ import annotations

from datetime import date, datetime

from flask_appbuilder import Model
from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.crypto import Sealed
from app.identifiers import mask_id_number
from models.dictionaries import Occupation, SkillLevel
from models.exams import Sitting
from models.parties import Authority, Enterprise, Institution
from models.rosters import Enrolment
from models.types import Id, State, UtcDateTime


class Certificate(Model):
    """One certificate. What is printed on it is copied here: it must not change when a roster or dictionary does."""

    __tablename__ = "certificate"
    __table_args__ = (
        CheckConstraint("push_state IN ('waiting','pushed','failed')", name="certificate_push_state"),
        CheckConstraint("push_state <> 'pushed' OR pushed_at IS NOT NULL", name="certificate_push_evidence"),
        CheckConstraint("state IN ('valid','revoked')", name="certificate_state"),
        Index("certificate_push_due", "push_state", "push_due_at"),
    )
    id: Mapped[Id]
    number: Mapped[str] = mapped_column(String(40), unique=True)
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"), unique=True)
    sitting_id: Mapped[int] = mapped_column(ForeignKey("sitting.id"), unique=True)
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"), index=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"), index=True)
    authority_id: Mapped[int] = mapped_column(ForeignKey("authority.id"), index=True)
    name: Mapped[str] = mapped_column(String(50), index=True)
    id_number: Mapped[str] = mapped_column(Sealed("id_number"))
    id_number_index: Mapped[bytes] = mapped_column(LargeBinary(16), index=True)
    sex: Mapped[str] = mapped_column(String(1))
    occupation_id: Mapped[int] = mapped_column(ForeignKey("occupation.id"))
    level_id: Mapped[int] = mapped_column(ForeignKey("skill_level.id"))
    occupation_name: Mapped[str] = mapped_column(String(50))
    level_name: Mapped[str] = mapped_column(String(50))
    institution_name: Mapped[str] = mapped_column(String(100))
    issued_on: Mapped[date]
    state: Mapped[State] = mapped_column(String(20), default="valid")
    push_state: Mapped[State] = mapped_column(String(20), default="waiting")
    push_due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    push_attempts: Mapped[int] = mapped_column(default=0)
    push_error: Mapped[str] = mapped_column(String(300), default="")
    pushed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    enrolment: Mapped[Enrolment] = relationship()
    sitting: Mapped[Sitting] = relationship()
    institution: Mapped[Institution] = relationship()
    enterprise: Mapped[Enterprise] = relationship()
    authority: Mapped[Authority] = relationship()
    occupation: Mapped[Occupation] = relationship()
    level: Mapped[SkillLevel] = relationship()

    @property
    def masked_id_number(self) -> str:
        return mask_id_number(self.id_number)

    def __str__(self) -> str:
        return self.number


class CertificateCounter(Model):
    """The last serial given out under one prefix. Numbers are never used again, not even after a revocation."""

    __tablename__ = "certificate_counter"
    prefix: Mapped[str] = mapped_column(String(40), primary_key=True)
    last: Mapped[int] = mapped_column(default=0)
