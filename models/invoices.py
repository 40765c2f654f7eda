"""E-invoices: what an enterprise wants on them, who issues them, each invoice and red letter, and the platform's token."""

from __future__ import annotations

from datetime import date, datetime

from flask_appbuilder import Model
from sqlalchemy import CheckConstraint, ForeignKey, Index, String, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.crypto import Sealed
from models.files import StoredFile
from models.orders import Order
from models.parties import Enterprise, Institution
from models.types import Id, State, UtcDateTime

FORMATS = ("pdf", "ofd", "xml")


class InvoiceDetails:
    """What is written of the buyer (购买方信息). Phone and account are there for who wants them on the paper."""

    title: Mapped[str] = mapped_column(String(100))
    tax_number: Mapped[str] = mapped_column(String(20))
    email: Mapped[str] = mapped_column(String(100), default="")
    address: Mapped[str] = mapped_column(String(100), default="")
    phone: Mapped[str | None] = mapped_column(Sealed("phone"))
    account: Mapped[str | None] = mapped_column(Sealed("bank_account"))


class InvoiceProfile(InvoiceDetails, Model):
    """开票信息 of an enterprise: new orders begin with it. Without a row it is the enterprise's name and credit code."""

    __tablename__ = "invoice_profile"
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"), primary_key=True)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class InvoiceSeller(Model):
    """An institution that issues its invoices in its own name (C18). All others are the default seller's, of the settings."""

    __tablename__ = "invoice_seller"
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    tax_number: Mapped[str] = mapped_column(String(20))
    # 分机号: the platform's number of the issuing desk, where it has given one.
    extension: Mapped[str] = mapped_column(String(5), default="")
    tax_rate: Mapped[str] = mapped_column(String(6))
    enabled: Mapped[bool] = mapped_column(default=True)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    institution: Mapped[Institution] = relationship()


class Invoice(InvoiceDetails, Model):
    """An e-invoice (kind blue, one for each paid order), or a red letter (kind red, one for each refund of an invoiced order).

    waiting → requested → issued, or failed and waiting again. A red letter of an invoice that was uploaded by hand is `to_upload`: no
    platform can issue it, a person does and uploads it (→ issued). What is asked for is frozen with the move to `requested`, before
    the platform hears of it: from then on the same request goes out however often. An invoice whose money went back before
    that is smaller, or cancelled. Amounts are fen with tax and positive, of a red letter too.
    """

    __tablename__ = "invoice"
    __table_args__ = (
        CheckConstraint("kind IN ('blue','red')", name="invoice_kind"),
        CheckConstraint("state IN ('waiting','requested','issued','failed','cancelled','to_upload')", name="invoice_state"),
        CheckConstraint("state <> 'issued' OR (number IS NOT NULL AND (pdf_id IS NOT NULL OR ofd_id IS NOT NULL OR xml_id IS NOT NULL))",
                        name="invoice_evidence"),
        CheckConstraint("state <> 'requested' OR (order_no IS NOT NULL AND seller_tax_number <> '' AND provider <> '')",
                        name="invoice_requested_evidence"),
        CheckConstraint("(kind = 'red') = (red_of_id IS NOT NULL) AND (kind = 'red') = (refund_no IS NOT NULL)",
                        name="invoice_red_evidence"),
        CheckConstraint("amount_fen > 0 OR (amount_fen = 0 AND state = 'cancelled')", name="invoice_amount"),
        CheckConstraint("provider <> 'hand' OR (uploaded_at IS NOT NULL AND uploaded_by <> '')", name="invoice_upload_evidence"),
        Index("invoice_due", "state", "due_on"),
    )
    id: Mapped[Id]
    kind: Mapped[str] = mapped_column(String(4), default="blue", server_default="blue")
    order_id: Mapped[int] = mapped_column(ForeignKey("order_.id"), index=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"), index=True)
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"), index=True)
    amount_fen: Mapped[int]
    due_on: Mapped[date]
    state: Mapped[State] = mapped_column(String(20), default="waiting")
    reason: Mapped[str] = mapped_column(String(200), default="")
    # The platform takes an order number once: each new attempt after a failure goes out under a number of its own.
    attempt: Mapped[int] = mapped_column(default=1)
    # What was asked for, of whom, in whose name; empty until then.
    provider: Mapped[str] = mapped_column(String(10), default="", server_default="")
    order_no: Mapped[str | None] = mapped_column(String(32), unique=True)
    seller_tax_number: Mapped[str] = mapped_column(String(20), default="", server_default="")
    seller_name: Mapped[str] = mapped_column(String(100), default="", server_default="")
    seller_extension: Mapped[str] = mapped_column(String(5), default="", server_default="")
    tax_rate: Mapped[str] = mapped_column(String(6), default="", server_default="")
    goods_code: Mapped[str] = mapped_column(String(19), default="", server_default="")
    goods_name: Mapped[str] = mapped_column(String(90), default="", server_default="")
    requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    serial: Mapped[str | None] = mapped_column(String(64))
    # The buyer must agree to this red letter at the tax bureau before it is issued.
    confirming: Mapped[bool] = mapped_column(default=False, server_default=false())
    number: Mapped[str | None] = mapped_column(String(64))
    issued_on: Mapped[date | None]
    issued_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    pdf_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    ofd_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    xml_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    # The red letter's invoice, the number of its refund, and how much earlier red letters had taken back.
    red_of_id: Mapped[int | None] = mapped_column(ForeignKey("invoice.id"), index=True)
    refund_no: Mapped[str | None] = mapped_column(String(64), unique=True)
    before_fen: Mapped[int] = mapped_column(default=0, server_default="0")
    # Uploaded by hand: by whom and when.
    uploaded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    uploaded_by_id: Mapped[int | None]
    uploaded_by: Mapped[str] = mapped_column(String(100), default="", server_default="")
    order: Mapped[Order] = relationship(back_populates="invoices")
    enterprise: Mapped[Enterprise] = relationship()
    institution: Mapped[Institution] = relationship()
    blue: Mapped[Invoice | None] = relationship(remote_side="Invoice.id", foreign_keys=[red_of_id])
    pdf: Mapped[StoredFile | None] = relationship(foreign_keys=[pdf_id])
    ofd: Mapped[StoredFile | None] = relationship(foreign_keys=[ofd_id])
    xml: Mapped[StoredFile | None] = relationship(foreign_keys=[xml_id])

    @property
    def is_red(self) -> bool:
        return self.kind == "red"

    @property
    def is_receipt(self) -> bool:
        """Drawn by the portal itself, where no tax platform is connected: no invoice."""
        return self.provider == "local"

    @property
    def formats(self) -> list[str]:
        """In which formats it is there."""
        return [name for name in FORMATS if getattr(self, f"{name}_id") is not None]

    @property
    def editable(self) -> bool:
        """The buyer's details may be changed until it is asked for, and again once that has failed."""
        return not self.is_red and self.state in ("waiting", "failed")

    @property
    def uploadable(self) -> bool:
        """By hand: while the platform is not at work on it, and in place of a receipt."""
        return self.state in ("waiting", "failed", "to_upload") or (self.state == "issued" and self.is_receipt)

    def __str__(self) -> str:
        return self.number or self.order.number


# One invoice for each order.
_BLUE = Invoice.kind == "blue"
Index("invoice_blue_once", Invoice.order_id, unique=True, sqlite_where=_BLUE, postgresql_where=_BLUE)


class GatewayToken(Model):
    """The access token of an outside system, shared by all processes."""

    __tablename__ = "gateway_token"
    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    token: Mapped[str] = mapped_column(Sealed("gateway_token"))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
