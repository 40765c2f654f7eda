"""The parties: authorities, institutions with their teachers, enterprises."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from flask_appbuilder import Model
from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from app.crypto import Sealed
from models.dictionaries import Occupation, Region
from models.files import StoredFile
from models.filings import Room, TeacherPaper
from models.reviews import Reviewed, review_constraints
from models.types import Id, Name, UtcDateTime

if TYPE_CHECKING:
    from models.accounts import Account

# How long before a licence ends its institution and its authority are told.
WARNING_DAYS = 30


class Authority(Model):
    """行政主管部门: of the province, a city or a county (B1)."""

    __tablename__ = "authority"
    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(100), unique=True)
    region_code: Mapped[str] = mapped_column(ForeignKey("region.code"), unique=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("authority.id"))
    region: Mapped[Region] = relationship()

    @property
    def is_provincial(self) -> bool:
        return self.region_code.endswith("0000")

    def __str__(self) -> str:
        return self.name


class Institution(Reviewed, Model):
    """培训机构. Its account is made by its authority (I1); its filing 备案 is reviewed (I2)."""

    __tablename__ = "institution"
    __table_args__ = review_constraints("institution")
    review_kind = "institution"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(100), unique=True)
    short_name: Mapped[str] = mapped_column(String(5), unique=True)
    uscc: Mapped[str] = mapped_column(String(18), unique=True)
    address: Mapped[str] = mapped_column(String(200), default="")
    contact_name: Mapped[str] = mapped_column(String(50), default="")
    contact_phone: Mapped[str | None] = mapped_column(Sealed("phone"))
    legal_representative: Mapped[str] = mapped_column(String(50), default="")
    # Blank where the licence carries no number but the social credit code.
    licence_number: Mapped[str] = mapped_column(String(50), default="")
    licence_from: Mapped[date | None]
    # The last day of the licence; None where it is without term (长期).
    licence_until: Mapped[date | None] = mapped_column(index=True)
    # The round that was approved last. It counts while a later one is prepared, reviewed or refused.
    approved_round: Mapped[int | None]
    licence_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    commitment_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    licence: Mapped[StoredFile | None] = relationship(foreign_keys=[licence_id])
    commitment: Mapped[StoredFile | None] = relationship(foreign_keys=[commitment_id])
    teachers: Mapped[list[Teacher]] = relationship(back_populates="institution", order_by="Teacher.id")
    rooms: Mapped[list[Room]] = relationship(order_by="Room.id")
    accounts: Mapped[list[Account]] = relationship(viewonly=True, order_by="Account.user_id")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def filed(self) -> bool:
        """A filing of it is approved, whatever has become of a later one."""
        return self.review_state == "approved" or self.approved_round is not None

    @property
    def licence_days(self) -> int | None:
        """How many days the approved licence is still good for, 0 on its last; None where it is without term."""
        return None if self.licence_until is None else (self.licence_until - clock.shanghai_day()).days

    @property
    def licence_expired(self) -> bool:
        return self.licence_days is not None and self.licence_days < 0

    @property
    def licence_expires_soon(self) -> bool:
        return self.licence_days is not None and 0 <= self.licence_days <= WARNING_DAYS

    def __str__(self) -> str:
        return self.name


class Teacher(Model):
    """师资: of the institution itself, or external 外聘 (I7)."""

    __tablename__ = "teacher"
    __table_args__ = (CheckConstraint("kind IN ('own','external')", name="teacher_kind"),
                      UniqueConstraint("institution_id", "id_number_index", name="teacher_once"))
    id: Mapped[Id]
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"), index=True)
    name: Mapped[Name]
    kind: Mapped[str] = mapped_column(String(10), default="own")
    qualification: Mapped[str] = mapped_column(String(100), default="")
    phone: Mapped[str | None] = mapped_column(Sealed("phone"))
    id_number: Mapped[str | None] = mapped_column(Sealed("id_number"))
    id_number_index: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    teaches: Mapped[str] = mapped_column(String(100), default="")
    # The round of the filing that first had this teacher. Who came after the approved one may not be planned with yet.
    since_round: Mapped[int] = mapped_column(default=1)
    enabled: Mapped[bool] = mapped_column(default=True)
    institution: Mapped[Institution] = relationship(back_populates="teachers")
    occupations: Mapped[list[Occupation]] = relationship(secondary="teacher_occupation", order_by="Occupation.position")
    papers: Mapped[list[TeacherPaper]] = relationship(order_by="TeacherPaper.id", cascade="all, delete-orphan")

    def __str__(self) -> str:
        return self.name


class Enterprise(Reviewed, Model):
    """企业. Registers itself (E1); may enrol once its registration is approved (E7)."""

    __tablename__ = "enterprise"
    __table_args__ = review_constraints("enterprise")
    review_kind = "enterprise"

    id: Mapped[Id]
    uscc: Mapped[str] = mapped_column(String(18), unique=True)
    name: Mapped[str] = mapped_column(String(100), index=True)
    region_code: Mapped[str] = mapped_column(ForeignKey("region.code"))
    is_provincial: Mapped[bool] = mapped_column(default=False)
    address: Mapped[str] = mapped_column(String(200), default="")
    legal_representative: Mapped[str] = mapped_column(String(50), default="")
    founded_on: Mapped[date | None]
    # The last day of the licence; None where it is without term (长期).
    licence_until: Mapped[date | None]
    contact_name: Mapped[str] = mapped_column(String(50))
    phone: Mapped[str] = mapped_column(Sealed("phone"))
    phone_index: Mapped[bytes] = mapped_column(LargeBinary(16), index=True)
    licence_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"))
    commitment_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"))
    qualification_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    region: Mapped[Region] = relationship()
    licence: Mapped[StoredFile] = relationship(foreign_keys=[licence_id])
    commitment: Mapped[StoredFile] = relationship(foreign_keys=[commitment_id])
    qualification: Mapped[StoredFile] = relationship(foreign_keys=[qualification_id])

    @property
    def may_enrol(self) -> bool:
        """E7: blocked until the authority has approved."""
        return self.review_state == "approved"

    def __str__(self) -> str:
        return self.name
