"""Certificates: the numbered record, its push to the ministry, and the counters the numbers come from."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from flask_appbuilder import Model
from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.crypto import Sealed
from app.identifiers import mask_id_number
from models.dictionaries import Occupation, SkillLevel
from models.exams import Sitting
from models.files import StoredFile
from models.parties import Authority, Enterprise, Institution
from models.rosters import Enrolment
from models.types import Id, State, UtcDateTime

CERTIFICATE_STATES = ("valid", "revoked", "replaced")


class PushBatch(Model):
    """Certificates that were written to a file for the ministry, instead of being sent (docs/ministry-protocol.md).

    exported → confirmed once someone has said what became of them, or discarded, and then they wait again.
    """

    __tablename__ = "push_batch"
    __table_args__ = (
        CheckConstraint("state IN ('exported','confirmed','discarded')", name="push_batch_state"),
        CheckConstraint("state = 'exported' OR (ended_at IS NOT NULL AND ended_by_name <> '')", name="push_batch_evidence"),
    )
    id: Mapped[Id]
    authority_id: Mapped[int] = mapped_column(ForeignKey("authority.id"), index=True)
    state: Mapped[State] = mapped_column(String(20), default="exported")
    people: Mapped[int]
    pushed: Mapped[int] = mapped_column(default=0)
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by_name: Mapped[str] = mapped_column(String(100))
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_by_name: Mapped[str] = mapped_column(String(100), default="")
    file: Mapped[StoredFile] = relationship()
    authority: Mapped[Authority] = relationship()


class Certificate(Model):
    """One certificate. What is printed on it is copied here: it must not change when a roster or dictionary does.

    One that is lost or says something wrong is replaced by another row with a number of its own, which names it in
    `replaces_id`. Rows are never deleted and never become valid again.
    """

    __tablename__ = "certificate"
    __table_args__ = (
        CheckConstraint("push_state IN ('waiting','exported','pushed','failed')", name="certificate_push_state"),
        CheckConstraint("push_state <> 'pushed' OR pushed_at IS NOT NULL", name="certificate_push_evidence"),
        CheckConstraint("push_state <> 'exported' OR push_batch_id IS NOT NULL", name="certificate_export_evidence"),
        CheckConstraint("state IN ('valid','revoked','replaced')", name="certificate_state"),
        CheckConstraint("state = 'valid' OR ended_at IS NOT NULL", name="certificate_end_evidence"),
        Index("certificate_push_due", "push_state", "push_due_at"),
    )
    id: Mapped[Id]
    number: Mapped[str] = mapped_column(String(40), unique=True)
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"), index=True)
    sitting_id: Mapped[int] = mapped_column(ForeignKey("sitting.id"), index=True)
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"), index=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"), index=True)
    authority_id: Mapped[int] = mapped_column(ForeignKey("authority.id"), index=True)
    name: Mapped[str] = mapped_column(String(50), index=True)
    id_number: Mapped[str] = mapped_column(Sealed("id_number"))
    id_number_index: Mapped[bytes] = mapped_column(LargeBinary(16), index=True)
    sex: Mapped[str] = mapped_column(String(1))
    occupation_id: Mapped[int] = mapped_column(ForeignKey("occupation.id"))
    level_id: Mapped[int] = mapped_column(ForeignKey("skill_level.id"))
    occupation_name: Mapped[str] = mapped_column(String(50))
    level_name: Mapped[str] = mapped_column(String(50))
    institution_name: Mapped[str] = mapped_column(String(100))
    issued_on: Mapped[date]
    state: Mapped[State] = mapped_column(String(20), default="valid")
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_reason: Mapped[str] = mapped_column(String(200), default="")
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("certificate.id"), unique=True)
    # The signed PDF: made once, so that what was handed out stays the same to the last byte.
    file_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    push_state: Mapped[State] = mapped_column(String(20), default="waiting")
    # What the ministry will have been told once the batch of files this one is in is confirmed.
    push_sent: Mapped[str] = mapped_column(String(20), default="")
    push_batch_id: Mapped[int | None] = mapped_column(ForeignKey("push_batch.id"), index=True)
    push_due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    push_attempts: Mapped[int] = mapped_column(default=0)
    push_error: Mapped[str] = mapped_column(String(300), default="")
    # When the ministry first had it. It stays while a later change waits to be pushed.
    pushed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    enrolment: Mapped[Enrolment] = relationship()
    sitting: Mapped[Sitting] = relationship()
    institution: Mapped[Institution] = relationship()
    enterprise: Mapped[Enterprise] = relationship()
    authority: Mapped[Authority] = relationship()
    occupation: Mapped[Occupation] = relationship()
    level: Mapped[SkillLevel] = relationship()
    file: Mapped[StoredFile | None] = relationship()
    replaces: Mapped[Certificate | None] = relationship(remote_side="Certificate.id", back_populates="replacement")
    replacement: Mapped[Certificate | None] = relationship(back_populates="replaces", uselist=False)

    @property
    def push_word(self) -> str:
        """Which of the manuals' words says how far its push is (`progress.CERTIFICATE_WORDS`): known to the ministry is
        known, also while a change of it waits."""
        return "pushed" if self.pushed_at is not None else self.push_state

    @property
    def masked_id_number(self) -> str:
        return mask_id_number(self.id_number)

    def __str__(self) -> str:
        return self.number


# Generated once for each person who passed, and at most one of a person's certificates of an enrolment is valid.
_FIRST, _VALID = Certificate.replaces_id.is_(None), Certificate.state == "valid"
Index("certificate_first_once", Certificate.enrolment_id, unique=True, sqlite_where=_FIRST, postgresql_where=_FIRST)
Index("certificate_valid_once", Certificate.enrolment_id, unique=True, sqlite_where=_VALID, postgresql_where=_VALID)
# Looked through every hour, among a million that have theirs.
_LACKING = _VALID & Certificate.file_id.is_(None)
Index("certificate_without_file", Certificate.id, sqlite_where=_LACKING, postgresql_where=_LACKING)


class CertificateCounter(Model):
    """The last serial given out for numbers of one shape: what stands before it, and a # for each of its digits. Numbers
    are never used again, not even after a revocation."""

    __tablename__ = "certificate_counter"
    shape: Mapped[str] = mapped_column(String(40), primary_key=True)
    last: Mapped[int] = mapped_column(default=0)


class CertificateChange(Model):
    """A wish to revoke or replace a certificate: asked for, then done or refused. Where two people must act, the second
    ends it; else it is done as it is asked."""

    __tablename__ = "certificate_change"
    __table_args__ = (
        CheckConstraint("kind IN ('revoke','replace')", name="certificate_change_kind"),
        CheckConstraint("state IN ('asked','done','refused')", name="certificate_change_state"),
        CheckConstraint("state = 'asked' OR (ended_at IS NOT NULL AND ended_by_id IS NOT NULL)", name="certificate_change_evidence"),
    )
    id: Mapped[Id]
    certificate_id: Mapped[int] = mapped_column(ForeignKey("certificate.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    # Why it is replaced: lost, damaged or corrected.
    cause: Mapped[str] = mapped_column(String(20), default="")
    reason: Mapped[str] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(String(50), default="")
    id_number: Mapped[str | None] = mapped_column(Sealed("id_number"))
    state: Mapped[State] = mapped_column(String(20), default="asked")
    asked_by_id: Mapped[int]
    asked_by_name: Mapped[str] = mapped_column(String(100))
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_by_id: Mapped[int | None]
    ended_by_name: Mapped[str] = mapped_column(String(100), default="")
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    remark: Mapped[str] = mapped_column(String(200), default="")
    certificate: Mapped[Certificate] = relationship()


_ASKED = CertificateChange.state == "asked"
Index("certificate_change_once", CertificateChange.certificate_id, unique=True, sqlite_where=_ASKED, postgresql_where=_ASKED)


class CertificateEvent(Model):
    """What has happened to a certificate since it was generated: pushed, refused, exported, revoked ... Rows are only added."""

    __tablename__ = "certificate_event"
    id: Mapped[Id]
    certificate_id: Mapped[int] = mapped_column(ForeignKey("certificate.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor_name: Mapped[str] = mapped_column(String(100), default="")
    detail: Mapped[str] = mapped_column(String(300), default="")


class CertificateArchive(Model):
    """Many signed PDFs asked for at once: a job packs them, the file is kept for a day. `faults` names those that are not in it."""

    __tablename__ = "certificate_archive"
    id: Mapped[Id]
    institution_id: Mapped[int | None] = mapped_column(ForeignKey("institution.id"), index=True)
    enterprise_id: Mapped[int | None] = mapped_column(ForeignKey("enterprise.id"), index=True)
    authority_id: Mapped[int | None] = mapped_column(ForeignKey("authority.id"), index=True)
    user_id: Mapped[int]
    ids: Mapped[list[int]] = mapped_column(JSON)
    faults: Mapped[list[Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    file_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    file: Mapped[StoredFile | None] = relationship()
