"""The keys that certificates are signed with: one in use for each authority, and one for those that have none of their own."""

from __future__ import annotations

from datetime import datetime

from flask_appbuilder import Model
from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.crypto import Sealed
from models.parties import Authority
from models.types import Id, UtcDateTime


class SigningKey(Model):
    """A private key, sealed, with its certificate (and those above it) as PEM. A key that was put out of use stays: what it
    has signed must be recognised for ever. Without an authority it is everyone's default."""

    __tablename__ = "signing_key"
    id: Mapped[Id]
    authority_id: Mapped[int | None] = mapped_column(ForeignKey("authority.id"), index=True)
    subject: Mapped[str] = mapped_column(String(200))
    issuer: Mapped[str] = mapped_column(String(200))
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    valid_from: Mapped[datetime] = mapped_column(UtcDateTime)
    valid_until: Mapped[datetime] = mapped_column(UtcDateTime)
    certificate: Mapped[str] = mapped_column(Text)
    private_key: Mapped[str] = mapped_column(Sealed("signing_key"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by_name: Mapped[str] = mapped_column(String(100))
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    authority: Mapped[Authority | None] = relationship()


# At most one key of an authority is in use.
_IN_USE = SigningKey.retired_at.is_(None)
Index("signing_key_in_use", SigningKey.authority_id, unique=True, sqlite_where=_IN_USE, postgresql_where=_IN_USE)
