"""What happens to an approved plan and to its people besides their course: seats changed, the plan cancelled, people withdrawn."""

from __future__ import annotations

from datetime import datetime

from flask_appbuilder import Model
from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.orders import Order
from models.parties import Enterprise, Institution
from models.plans import TrainingPlan
from models.rosters import Enrolment
from models.types import Id, State, UtcDateTime

_STATES = "state IN ('asked','granted','refused','taken_back')"
_DECIDED = "(state = 'asked') = (decided_at IS NULL)"


class PlanChange(Model):
    """名额调整 or 计划取消 of an approved plan: asked for by its institution, granted by its authority, or, where a parameter
    allows it, at once (`decided_by_id` is then empty). A granted change has been made."""

    __tablename__ = "plan_change"
    __table_args__ = (
        CheckConstraint("kind IN ('resize','cancel')", name="plan_change_kind"),
        CheckConstraint(_STATES, name="plan_change_state"),
        CheckConstraint(_DECIDED, name="plan_change_evidence"),
        CheckConstraint("(kind = 'resize') = (seats IS NOT NULL)", name="plan_change_seats"),
        CheckConstraint("seats IS NULL OR seats > 0", name="plan_change_some_seats"),
    )
    id: Mapped[Id]
    plan_id: Mapped[int] = mapped_column(ForeignKey("training_plan.id"), index=True)
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"), index=True)
    authority_id: Mapped[int] = mapped_column(ForeignKey("authority.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    state: Mapped[State] = mapped_column(String(20), default="asked")
    # The seats when it was asked, and those wanted.
    seats_before: Mapped[int]
    seats: Mapped[int | None]
    reason: Mapped[str] = mapped_column(String(500))
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    asked_by_id: Mapped[int]
    asked_by_name: Mapped[str] = mapped_column(String(100))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by_id: Mapped[int | None]
    decided_by_name: Mapped[str] = mapped_column(String(100), default="")
    remark: Mapped[str] = mapped_column(String(500), default="")
    # Of a cancellation: the orders whose money could not be sent on its way, {order number: reason}.
    left: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    plan: Mapped[TrainingPlan] = relationship()
    institution: Mapped[Institution] = relationship()

    def __str__(self) -> str:
        return self.plan.name


# One question at a time about one plan.
_ASKED = PlanChange.state == "asked"
Index("plan_change_asked_once", PlanChange.plan_id, unique=True, sqlite_where=_ASKED, postgresql_where=_ASKED)


class Withdrawal(Model):
    """退班: a person who leaves a plan that was paid for, at the enterprise's wish or because the plan was cancelled (`cause`).

    `order_id` is the order that paid for the person, `amount_fen` what goes back of it by the rule of the day it was asked.
    Asked for, it waits for the institution; granted, the person has left and the refund is on its way.
    """

    __tablename__ = "withdrawal"
    __table_args__ = (
        CheckConstraint("cause IN ('person','plan')", name="withdrawal_cause"),
        CheckConstraint(_STATES, name="withdrawal_state"),
        CheckConstraint(_DECIDED, name="withdrawal_evidence"),
        CheckConstraint("amount_fen >= 0 AND percent BETWEEN 0 AND 100", name="withdrawal_amount"),
    )
    id: Mapped[Id]
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"), index=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("training_plan.id"), index=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order_.id"), index=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"), index=True)
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"), index=True)
    authority_id: Mapped[int] = mapped_column(ForeignKey("authority.id"), index=True)
    cause: Mapped[str] = mapped_column(String(10), default="person")
    state: Mapped[State] = mapped_column(String(20), default="asked")
    reason: Mapped[str] = mapped_column(String(500))
    percent: Mapped[int]
    amount_fen: Mapped[int]
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    asked_by_id: Mapped[int | None]
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by_id: Mapped[int | None]
    remark: Mapped[str] = mapped_column(String(500), default="")
    enrolment: Mapped[Enrolment] = relationship()
    plan: Mapped[TrainingPlan] = relationship()
    order: Mapped[Order] = relationship()
    enterprise: Mapped[Enterprise] = relationship()


# A person leaves a plan once.
_OPEN = Withdrawal.state.in_(("asked", "granted"))
Index("withdrawal_once", Withdrawal.enrolment_id, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)
