"""What an institution files beside its teachers: the working copy of its filing, its rooms, the papers of its teachers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_appbuilder import Model
from sqlalchemy import JSON, CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.crypto import Sealed
from models.files import StoredFile
from models.types import Id, UtcDateTime

ROOM_KINDS = ("classroom", "exam", "practice")


class Filing(Model):
    """The filing as it is being written, however much of it there is. Approval copies it to the institution, so that the
    approved one counts while the next is prepared. Name, short name and code stand here once more as they were last submitted:
    two institutions cannot submit the same."""

    __tablename__ = "filing"
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(100), unique=True)
    short_name: Mapped[str | None] = mapped_column(String(5), unique=True)
    uscc: Mapped[str | None] = mapped_column(String(18), unique=True)
    # As typed, by field; `rooms` is a list of such.
    typed: Mapped[dict[str, Any]] = mapped_column(JSON)
    contact_phone: Mapped[str | None] = mapped_column(Sealed("phone"))
    licence_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    commitment_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    # Raised by every save; `saved_by_id` is whose save it was, so that a colleague's is not written over unseen.
    version: Mapped[int] = mapped_column(default=0)
    saved_by_id: Mapped[int | None]
    saved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Room(Model):
    """教室, 考场 or 实训场地, as it was approved. One that is no longer filed is switched off: plans may refer to it."""

    __tablename__ = "room"
    __table_args__ = (
        CheckConstraint("kind IN ('classroom','exam','practice')", name="room_kind"),
        CheckConstraint("capacity BETWEEN 1 AND 2000", name="room_capacity"),
        UniqueConstraint("institution_id", "key", name="room_once"),
    )
    id: Mapped[Id]
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id", ondelete="CASCADE"), index=True)
    # Names the room in the working copy from round to round.
    key: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(50))
    address: Mapped[str] = mapped_column(String(200))
    capacity: Mapped[int]
    kind: Mapped[str] = mapped_column(String(10))
    enabled: Mapped[bool] = mapped_column(default=True)

    def __str__(self) -> str:
        return self.name


class TeacherPaper(Model):
    """A photographed certificate of a teacher."""

    __tablename__ = "teacher_paper"
    id: Mapped[Id]
    teacher_id: Mapped[int] = mapped_column(ForeignKey("teacher.id", ondelete="CASCADE"), index=True)
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"))
    file: Mapped[StoredFile] = relationship()


class TeacherOccupation(Model):
    """An occupation that a teacher may teach."""

    __tablename__ = "teacher_occupation"
    teacher_id: Mapped[int] = mapped_column(ForeignKey("teacher.id", ondelete="CASCADE"), primary_key=True)
    occupation_id: Mapped[int] = mapped_column(ForeignKey("occupation.id"), primary_key=True)
