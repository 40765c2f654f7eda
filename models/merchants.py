"""Who is paid: the merchants at the payment platform, one for each institution that has its own, and a default (C18)."""

from __future__ import annotations

from datetime import datetime

from flask_appbuilder import Model
from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.crypto import Sealed
from models.parties import Institution
from models.types import Id, UtcDateTime


class Merchant(Model):
    """An application at Alipay and the account it is paid to. `app_id` and `seller_id` never change: orders keep their merchant,
    whatever is chosen for later ones. Its keys may be replaced, and are shown to nobody.

    One without an institution takes the payments of all institutions that have none of their own; what was ended takes no new orders.
    """

    __tablename__ = "merchant"
    __table_args__ = (
        CheckConstraint("fee_rate BETWEEN 0 AND 1000", name="merchant_fee_rate"),
        CheckConstraint("is_default = (institution_id IS NULL)", name="merchant_default"),
    )
    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(50))
    app_id: Mapped[str] = mapped_column(String(32), unique=True)
    seller_id: Mapped[str] = mapped_column(String(32))
    private_key: Mapped[str] = mapped_column(Sealed("merchant_key"))
    alipay_key: Mapped[str] = mapped_column(Sealed("merchant_key"))
    institution_id: Mapped[int | None] = mapped_column(ForeignKey("institution.id"))
    is_default: Mapped[bool] = mapped_column(default=lambda context: context.get_current_parameters().get("institution_id") is None)
    # The platform's fee in ten-thousandths, as agreed; the bill is compared with it.
    fee_rate: Mapped[int] = mapped_column(default=60)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    institution: Mapped[Institution | None] = relationship()

    def __str__(self) -> str:
        return self.name


_LIVE = Merchant.ended_at.is_(None)
_DEFAULT = Merchant.ended_at.is_(None) & Merchant.institution_id.is_(None)
Index("merchant_live_once", Merchant.institution_id, unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE)
Index("merchant_default_once", Merchant.is_default, unique=True, sqlite_where=_DEFAULT, postgresql_where=_DEFAULT)
