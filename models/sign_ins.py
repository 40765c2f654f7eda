"""What is remembered of signing in: each attempt, and the second factor of those who use one."""

from __future__ import annotations

from datetime import datetime

from flask_appbuilder import Model
from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.crypto import Sealed
from models.types import Id, UtcDateTime

# Attempts that count towards a lock, and what ends the counting.
FAILURES = ("wrong", "second_factor_wrong", "disabled")
CLEARING = ("ok", "reset")


class SignIn(Model):
    """One attempt to sign in, never changed, kept for a year. The lock follows from these rows and from nothing else.

    `subject` is the blind index of the account, or of the name as typed where there is none: unknown names are counted as
    known ones are. Such a name is kept shortened, because people type passwords into the wrong field. `network` is what
    an address is counted by: the address itself, or the /64 of an IPv6 address.
    """

    __tablename__ = "sign_in"
    __table_args__ = (
        Index("sign_in_subject", "subject", "at"), Index("sign_in_network", "network", "at"), Index("sign_in_account", "account_id", "at"),
    )
    id: Mapped[Id]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.user_id", ondelete="SET NULL"))
    subject: Mapped[bytes] = mapped_column(LargeBinary(16))
    username: Mapped[str] = mapped_column(String(64))
    party: Mapped[str] = mapped_column(String(20))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    address: Mapped[str] = mapped_column(String(45))
    network: Mapped[str] = mapped_column(String(45))
    browser: Mapped[str] = mapped_column(String(60))
    # ok, wrong, locked, second_factor_wrong, disabled; reset: a new password was set and the counting begins anew.
    outcome: Mapped[str] = mapped_column(String(20))


class SecondFactor(Model):
    """The secret an authenticator app shares with the portal (RFC 6238). It is in force once a code was confirmed."""

    __tablename__ = "second_factor"
    account_id: Mapped[int] = mapped_column(ForeignKey("account.user_id", ondelete="CASCADE"), primary_key=True)
    secret: Mapped[str] = mapped_column(Sealed("totp"))
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # The 30-second step of the last code that was accepted: a code is good once.
    last_step: Mapped[int] = mapped_column(default=0)


class RecoveryCode(Model):
    """A code for the day the phone is lost, kept as a keyed digest; good once."""

    __tablename__ = "recovery_code"
    id: Mapped[Id]
    account_id: Mapped[int] = mapped_column(ForeignKey("account.user_id", ondelete="CASCADE"), index=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(16))
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
