"""Orders and money: the order with its hold, and each payment as a fact."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from flask_appbuilder import Model
from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from models.merchants import Merchant
from models.parties import Enterprise, Institution
from models.plans import TrainingPlan
from models.rosters import Enrolment, ImportBatch
from models.types import Id, State, UtcDateTime

if TYPE_CHECKING:
    from models.invoices import Invoice
    from models.refunds import Refund


# How an order ends that nobody paid.
ENDED = ("expired", "cancelled", "closed")


class Order(Model):
    """One order = one import = one trade, all or nothing (C5). Amounts are fen, frozen at creation (C14).

    The buyer may pay until `expires_at`; the seats are kept until `release_at`, in which time the gateway is asked. One that nobody
    paid ends `expired` by its time, `cancelled` by hand or with its plan, `closed` by its class, which opened first (C19).
    """

    __tablename__ = "order_"
    __table_args__ = (
        CheckConstraint("state IN ('pending','paid','expired','cancelled','closed')", name="order_state"),
        CheckConstraint("state <> 'paid' OR (paid_at IS NOT NULL AND trade_no IS NOT NULL)", name="order_paid_evidence"),
        CheckConstraint("amount_fen = unit_fee_fen * people AND people > 0", name="order_amount"),
        Index("order_plan_state", "plan_id", "state"),
        Index("order_asked", "state", "asked_at"),
    )
    id: Mapped[Id]
    number: Mapped[str] = mapped_column(String(32), unique=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("import_batch.id"), index=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("training_plan.id"))
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"), index=True)
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"), index=True)
    # C18: who is paid, as chosen when the order was made; nobody for a free one.
    merchant_id: Mapped[int | None] = mapped_column(ForeignKey("merchant.id"))
    people: Mapped[int]
    unit_fee_fen: Mapped[int]
    amount_fen: Mapped[int]
    state: Mapped[State] = mapped_column(String(20), default="pending")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by_id: Mapped[int]
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    release_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    # When it expired, was cancelled or closed; unknown of those that ended before it was kept.
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paid_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    trade_no: Mapped[str | None] = mapped_column(String(64))
    # When the gateway last answered about this order; an order that ended is asked about once more after its end.
    asked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    batch: Mapped[ImportBatch] = relationship()
    plan: Mapped[TrainingPlan] = relationship()
    enterprise: Mapped[Enterprise] = relationship()
    institution: Mapped[Institution] = relationship()
    enrolments: Mapped[list[Enrolment]] = relationship(primaryjoin="Order.id == foreign(Enrolment.order_id)",
                                                       order_by="Enrolment.id", viewonly=True)
    # The invoice and, after refunds, its red letters, in the order in which they came to be.
    invoices: Mapped[list[Invoice]] = relationship(back_populates="order", order_by="Invoice.id")

    merchant: Mapped[Merchant | None] = relationship()

    @property
    def invoice(self) -> Invoice | None:
        """The invoice itself, without its red letters."""
        return next((each for each in self.invoices if not each.is_red), None)

    @property
    def payable(self) -> bool:
        """E16: pending and within the buyer's deadline."""
        return self.state == "pending" and clock.now() < self.expires_at

    @property
    def ended_with_plan(self) -> bool:
        """It was not paid when its plan was called off, and ended with it."""
        return (self.state == "cancelled" and self.ended_at is not None and self.plan.cancelled_at is not None
                and self.ended_at >= self.plan.cancelled_at)

    def __str__(self) -> str:
        return self.number


# C5: a batch has at most one order that is alive.
_LIVE_ORDER = Order.state.in_(("pending", "paid"))
Index("order_live_once", Order.batch_id, unique=True, sqlite_where=_LIVE_ORDER, postgresql_where=_LIVE_ORDER)


class Payment(Model):
    """Money that the gateway confirmed. Written first and never changed but for how it ended: applied to its order,
    re-seated after expiry, or refunded (C6). ``received`` is on its way to one of these.

    `refund_fen` is the sum of its refunds that were not declined, and never more than the payment; what has been applied stays so
    when some or all of it goes back later.
    """

    __tablename__ = "payment"
    __table_args__ = (
        CheckConstraint("state IN ('received','applied','reseated','refunding','refunded','unmatched')", name="payment_state"),
        Index("payment_day", "merchant_id", "paid_on"),
        Index("payment_paid_on", "paid_on"),
        CheckConstraint("refund_fen BETWEEN 0 AND amount_fen", name="payment_refunds"),
        CheckConstraint("state NOT IN ('refunding','refunded') OR refund_fen = amount_fen", name="payment_refund_evidence"),
    )
    id: Mapped[Id]
    trade_no: Mapped[str] = mapped_column(String(64), unique=True)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("order_.id"), index=True)
    order_number: Mapped[str] = mapped_column(String(64))
    amount_fen: Mapped[int]
    merchant_id: Mapped[int | None] = mapped_column(ForeignKey("merchant.id"))
    paid_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # The Shanghai day of `paid_at`: what days are summed and compared with the platform's bill by.
    paid_on: Mapped[date] = mapped_column(default=lambda context: clock.shanghai_day(context.get_current_parameters()["paid_at"]))
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[State] = mapped_column(String(20), default="received")
    reason: Mapped[str] = mapped_column(String(200), default="")
    refund_fen: Mapped[int] = mapped_column(default=0)
    order: Mapped[Order | None] = relationship()
    merchant: Mapped[Merchant | None] = relationship()
    refunds: Mapped[list[Refund]] = relationship(back_populates="payment", order_by="Refund.id")

    @property
    def refundable_fen(self) -> int:
        """What is left of it to be refunded."""
        return self.amount_fen - self.refund_fen
