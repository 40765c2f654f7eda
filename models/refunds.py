"""Money that goes back: one row for each refund, whole or in part, with who wanted it and who agreed."""

from __future__ import annotations

from datetime import date, datetime

from flask_appbuilder import Model
from sqlalchemy import CheckConstraint, ForeignKey, Index, String, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.orders import Payment
from models.rosters import Enrolment
from models.types import Id, State, UtcDateTime


class Refund(Model):
    """One refund of one payment, in fen. proposed (waits for a second person) → due (its job asks the gateway) → done, or failed
    (refused for good: a person sends it again or drops it). What is declined moves no money.

    `request_no` is the number the gateway knows it by: sent twice, it moves money once. `approved_by` is empty where the rules
    themselves decided (late money) or another process did (a withdrawal that was agreed).

    `elsewhere`: the rest of the payment went back in the platform's own console. Nothing is ever sent for it; once the platform
    confirms it and a second person agrees, it is done.
    """

    __tablename__ = "refund"
    __table_args__ = (
        CheckConstraint("state IN ('proposed','due','done','failed','declined')", name="refund_state"),
        CheckConstraint("amount_fen > 0", name="refund_amount"),
        CheckConstraint("state NOT IN ('due','done','failed') OR approved_at IS NOT NULL", name="refund_approved_evidence"),
        CheckConstraint("(state = 'done') = (done_at IS NOT NULL)", name="refund_done_evidence"),
        CheckConstraint("state <> 'failed' OR error <> ''", name="refund_failed_evidence"),
        CheckConstraint("proposed_by_id IS NULL OR approved_by_id IS NULL OR proposed_by_id <> approved_by_id",
                        name="refund_two_people"),
        CheckConstraint("NOT elsewhere OR state IN ('proposed','done','declined')", name="refund_elsewhere_sends_nothing"),
        Index("refund_state_created", "state", "created_at"),
        Index("refund_done_at", "done_at"),
        Index("refund_done_on", "done_on"),
    )
    id: Mapped[Id]
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"), index=True)
    request_no: Mapped[str] = mapped_column(String(64), unique=True)
    amount_fen: Mapped[int]
    reason: Mapped[str] = mapped_column(String(200))
    state: Mapped[State] = mapped_column(String(20))
    elsewhere: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    proposed_by_id: Mapped[int | None]
    proposed_by: Mapped[str] = mapped_column(String(100), default="")
    approved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    approved_by_id: Mapped[int | None]
    approved_by: Mapped[str] = mapped_column(String(100), default="")
    # What who approved or declined it had to say, and what the gateway said when it did not go through.
    remark: Mapped[str] = mapped_column(String(200), default="")
    error: Mapped[str] = mapped_column(String(300), default="")
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    done_on: Mapped[date | None]
    payment: Mapped[Payment] = relationship(back_populates="refunds")
    enrolments: Mapped[list[Enrolment]] = relationship(secondary="refund_enrolment", order_by="Enrolment.id")


class RefundEnrolment(Model):
    """The people whose fee a refund gives back."""

    __tablename__ = "refund_enrolment"
    refund_id: Mapped[int] = mapped_column(ForeignKey("refund.id", ondelete="CASCADE"), primary_key=True)
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"), primary_key=True, index=True)
