"""Accounts: which party a signed-in person belongs to, and the phone codes that prove a number."""

from __future__ import annotations

from datetime import datetime

from flask_appbuilder import Model
from flask_appbuilder.security.sqla.models import Role, User
from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.crypto import Sealed
from models.dictionaries import Region
from models.parties import Authority, Enterprise, Institution
from models.types import Id, UtcDateTime


class Account(Model):
    """The party of a user. FAB keeps the person, the password and the roles; this row says on whose behalf they act."""

    __tablename__ = "account"
    __table_args__ = (
        CheckConstraint(
            "(party = 'authority' AND authority_id IS NOT NULL AND institution_id IS NULL AND enterprise_id IS NULL)"
            " OR (party = 'institution' AND institution_id IS NOT NULL AND authority_id IS NULL AND enterprise_id IS NULL)"
            " OR (party = 'enterprise' AND enterprise_id IS NOT NULL AND authority_id IS NULL AND institution_id IS NULL)"
            " OR (party = 'administrator' AND authority_id IS NULL AND institution_id IS NULL AND enterprise_id IS NULL)",
            name="account_one_party",
        ),
    )
    user_id: Mapped[int] = mapped_column(ForeignKey("ab_user.id", ondelete="CASCADE"), primary_key=True)
    party: Mapped[str] = mapped_column(String(20))
    authority_id: Mapped[int | None] = mapped_column(ForeignKey("authority.id"), index=True)
    institution_id: Mapped[int | None] = mapped_column(ForeignKey("institution.id"), index=True)
    enterprise_id: Mapped[int | None] = mapped_column(ForeignKey("enterprise.id"), index=True)
    must_change_password: Mapped[bool] = mapped_column(default=False)
    # Written into each session at sign-in; raising it ends every other session of this person.
    session_version: Mapped[int] = mapped_column(default=1)
    # Of an authority's staff and of administrators; the other parties' phones are their organisations'.
    phone: Mapped[str | None] = mapped_column(Sealed("phone"))
    user: Mapped[User] = relationship()
    authority: Mapped[Authority | None] = relationship()
    institution: Mapped[Institution | None] = relationship()
    enterprise: Mapped[Enterprise | None] = relationship()

    @property
    def organisation(self) -> str:
        """The name of the party this person acts for."""
        party = self.authority or self.institution or self.enterprise
        return str(party) if party else ""


class RoleRegion(Model):
    """The region that a role made on 角色 is limited to; None is the whole province. The portal's own roles have no row."""

    __tablename__ = "role_region"
    role_id: Mapped[int] = mapped_column(ForeignKey("ab_role.id", ondelete="CASCADE"), primary_key=True)
    region_code: Mapped[str | None] = mapped_column(ForeignKey("region.code"))
    role: Mapped[Role] = relationship()
    region: Mapped[Region | None] = relationship()


class CalendarFeed(Model):
    """The private address of a person's calendar. The address itself is not kept, only its keyed digest, so nobody can read it
    here. It lives as long as the person's sessions would: `session_version` is the account's of the day it was made."""

    __tablename__ = "calendar_feed"
    user_id: Mapped[int] = mapped_column(ForeignKey("account.user_id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(16), unique=True)
    session_version: Mapped[int]
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    account: Mapped[Account] = relationship()


class PhoneCode(Model):
    """One code sent to one number for one purpose. Kept only as a keyed digest; valid once, for minutes, for few tries."""

    __tablename__ = "phone_code"
    __table_args__ = (Index("phone_code_lookup", "phone_index", "purpose", "sent_at"),)
    id: Mapped[Id]
    phone_index: Mapped[bytes] = mapped_column(LargeBinary(16))
    purpose: Mapped[str] = mapped_column(String(20))
    code_digest: Mapped[bytes] = mapped_column(LargeBinary(16))
    sent_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
