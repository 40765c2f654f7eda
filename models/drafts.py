"""What a visitor has begun and not yet sent."""

from __future__ import annotations

from datetime import datetime

from flask_appbuilder import Model
from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.crypto import Sealed
from models.files import StoredFile
from models.types import Id, UtcDateTime


class RegistrationDraft(Model):
    """A registration that is being filled in, known by the digest of a token that only that browser has."""

    __tablename__ = "registration_draft"
    id: Mapped[Id]
    token_digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    # JSON of what was typed, by field. Sealed: a phone number is in it.
    typed: Mapped[str] = mapped_column(Sealed("draft"))
    licence_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    qualification_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    commitment_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    licence: Mapped[StoredFile | None] = relationship(foreign_keys=[licence_id])
    qualification: Mapped[StoredFile | None] = relationship(foreign_keys=[qualification_id])
    commitment: Mapped[StoredFile | None] = relationship(foreign_keys=[commitment_id])


class SpentCaptcha(Model):
    """The digest of a captcha's token that was answered: each is answered once."""

    __tablename__ = "spent_captcha"
    digest: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
