"""The platform's bill of each day beside what is written here: its lines, and each difference until a person has resolved it."""

from __future__ import annotations

from datetime import date, datetime

from flask_appbuilder import Model
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.merchants import Merchant
from models.orders import Payment
from models.refunds import Refund
from models.types import Id, State, UtcDateTime


class Reconciliation(Model):
    """One merchant and one Shanghai day. waiting (for the bill) → done or failed; both may be done again by hand. The figures are
    the bill's and ours, in fen."""

    __tablename__ = "reconciliation"
    __table_args__ = (
        CheckConstraint("state IN ('waiting','done','failed')", name="reconciliation_state"),
        CheckConstraint("state <> 'done' OR finished_at IS NOT NULL", name="reconciliation_done_evidence"),
        UniqueConstraint("merchant_id", "day", name="reconciliation_once"),
        Index("reconciliation_day", "day", "merchant_id"),
    )
    id: Mapped[Id]
    merchant_id: Mapped[int] = mapped_column(ForeignKey("merchant.id"))
    day: Mapped[date]
    state: Mapped[State] = mapped_column(String(20), default="waiting")
    error: Mapped[str] = mapped_column(String(300), default="")
    their_paid_fen: Mapped[int] = mapped_column(BigInteger, default=0)
    their_refunded_fen: Mapped[int] = mapped_column(BigInteger, default=0)
    their_fee_fen: Mapped[int] = mapped_column(BigInteger, default=0)
    our_paid_fen: Mapped[int] = mapped_column(BigInteger, default=0)
    our_refunded_fen: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    merchant: Mapped[Merchant] = relationship()
    differences: Mapped[list[BillDifference]] = relationship(back_populates="reconciliation", order_by="BillDifference.id")

    @property
    def open_differences(self) -> int:
        """How many wait for a person."""
        return sum(each.resolved_at is None for each in self.differences)


class BillEntry(Model):
    """One line of a bill, as the platform has it."""

    __tablename__ = "bill_entry"
    id: Mapped[Id]
    reconciliation_id: Mapped[int] = mapped_column(ForeignKey("reconciliation.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    trade_no: Mapped[str] = mapped_column(String(64), index=True)
    order_number: Mapped[str] = mapped_column(String(64))
    request_no: Mapped[str] = mapped_column(String(64), index=True)
    amount_fen: Mapped[int] = mapped_column(BigInteger)
    fee_fen: Mapped[int]
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class BillDifference(Model):
    """What does not agree: its kind, the number of the trade or refund, both amounts; a person notes how it was resolved."""

    __tablename__ = "bill_difference"
    __table_args__ = (
        UniqueConstraint("reconciliation_id", "kind", "reference", name="bill_difference_once"),
        CheckConstraint("resolved_at IS NULL OR remark <> ''", name="bill_difference_evidence"),
    )
    id: Mapped[Id]
    reconciliation_id: Mapped[int] = mapped_column(ForeignKey("reconciliation.id"))
    kind: Mapped[str] = mapped_column(String(20))
    reference: Mapped[str] = mapped_column(String(64))
    order_number: Mapped[str] = mapped_column(String(64), default="")
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payment.id"))
    refund_id: Mapped[int | None] = mapped_column(ForeignKey("refund.id"))
    ours_fen: Mapped[int | None] = mapped_column(BigInteger)
    theirs_fen: Mapped[int | None] = mapped_column(BigInteger)
    found_at: Mapped[datetime] = mapped_column(UtcDateTime)
    resolved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    resolved_by: Mapped[str] = mapped_column(String(100), default="")
    remark: Mapped[str] = mapped_column(String(200), default="")
    reconciliation: Mapped[Reconciliation] = relationship(back_populates="differences")
    payment: Mapped[Payment | None] = relationship()
    refund: Mapped[Refund | None] = relationship()
