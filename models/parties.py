"""The parties: authorities, institutions with their teachers, enterprises."""

from __future__ import annotations

from datetime import date, datetime

from flask_appbuilder import Model
from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.crypto import Sealed
from models.dictionaries import Region
from models.files import StoredFile
from models.reviews import Reviewed, review_constraints
from models.types import Id, Name, UtcDateTime


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
    licence_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    commitment_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    licence: Mapped[StoredFile | None] = relationship(foreign_keys=[licence_id])
    commitment: Mapped[StoredFile | None] = relationship(foreign_keys=[commitment_id])
    teachers: Mapped[list[Teacher]] = relationship(back_populates="institution", order_by="Teacher.id")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    def __str__(self) -> str:
        return self.name


class Teacher(Model):
    """师资: of the institution itself, or external 外聘 (I7)."""

    __tablename__ = "teacher"
    __table_args__ = (CheckConstraint("kind IN ('own','external')", name="teacher_kind"),)
    id: Mapped[Id]
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"), index=True)
    name: Mapped[Name]
    kind: Mapped[str] = mapped_column(String(10), default="own")
    qualification: Mapped[str] = mapped_column(String(100), default="")
    phone: Mapped[str | None] = mapped_column(Sealed("phone"))
    enabled: Mapped[bool] = mapped_column(default=True)
    institution: Mapped[Institution] = relationship(back_populates="teachers")

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
