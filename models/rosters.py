"""Rosters: an uploaded workbook, and the people it enrols."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from flask_appbuilder import Model
from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, foreign, mapped_column, relationship

from app.crypto import Sealed
from app.identifiers import mask_id_number, mask_phone
from models.dictionaries import Education, Occupation, SkillLevel, Title
from models.files import StoredFile
from models.parties import Enterprise, Institution
from models.plans import TrainingPlan
from models.types import Id, State, UtcDateTime

LIVE = ("held", "enrolled")


class ImportBatch(Model):
    """One list of workers, from one workbook and those that mend it.

    States: waiting → clean (its people are drafts), faulty (nothing was written) or unmapped (a person must say which column
    is which); the latter two wait again when a person mends, maps, or takes the good rows alone.
    """

    __tablename__ = "import_batch"
    __table_args__ = (
        CheckConstraint("state IN ('waiting','unmapped','clean','faulty','discarded')", name="import_batch_state"),
        CheckConstraint("state <> 'clean' OR people > 0", name="import_batch_evidence"),
    )
    id: Mapped[Id]
    plan_id: Mapped[int] = mapped_column(ForeignKey("training_plan.id"), index=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"), index=True)
    workbook_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"))
    marked_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    state: Mapped[State] = mapped_column(String(20), default="waiting")
    people: Mapped[int] = mapped_column(default=0)
    # While faulty: how many people are without a fault, and how many faults there are (`faults` holds the first of them).
    good: Mapped[int] = mapped_column(default=0)
    fault_count: Mapped[int] = mapped_column(default=0)
    faulty_rows: Mapped[int] = mapped_column(default=0)
    # A person has chosen to take the rows without a fault and leave the others.
    take_good: Mapped[bool] = mapped_column(default=False)
    # [{"row": 3, "column": "身份证号", "reason": "...", "advice": "..."}], row numbers as Excel shows them; row 0 is the whole
    # workbook. Loaded when asked for: a list of lists needs none of it.
    faults: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list, deferred=True)
    # What else a person must know: {"mended": [{"row", "column", "was", "now"}], "mended_count": 3, "notes": ["..."],
    # "marked": [{"upload", "file", "name"}], "missing": [{"book", "row", "name", "reason"}], "missing_count": 2,
    # "columns": {"heading_row": 2, "headings": [[1, "姓名", "王伟"]], "fields": {"姓名": 1}}}. Numbers of people are masked.
    findings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict, deferred=True)
    created_by_id: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    plan: Mapped[TrainingPlan] = relationship()
    enterprise: Mapped[Enterprise] = relationship()
    workbook: Mapped[StoredFile] = relationship(foreign_keys=[workbook_id])
    marked: Mapped[StoredFile | None] = relationship(foreign_keys=[marked_id])
    enrolments: Mapped[list[Enrolment]] = relationship(back_populates="batch", order_by="Enrolment.id")
    uploads: Mapped[list[RosterUpload]] = relationship(back_populates="batch", order_by="RosterUpload.id")


class RosterUpload(Model):
    """One workbook of a list, the first or one that mends it, and the consent that was confirmed with it: who, when, which words."""

    __tablename__ = "roster_upload"
    __table_args__ = (CheckConstraint("consent <> ''", name="roster_upload_consent"),)
    id: Mapped[Id]
    batch_id: Mapped[int] = mapped_column(ForeignKey("import_batch.id"), index=True)
    workbook_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"))
    # Field -> column, where a person has said it for this workbook.
    columns: Mapped[dict[str, int]] = mapped_column(JSON, default=dict)
    consent: Mapped[str] = mapped_column(String(300))
    # That of the page it was brought on: the job answers in it.
    language: Mapped[str] = mapped_column(String(20), default="zh_Hans_CN")
    created_by_id: Mapped[int]
    created_by_name: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    batch: Mapped[ImportBatch] = relationship(back_populates="uploads")
    workbook: Mapped[StoredFile] = relationship()


class RosterHeading(Model):
    """What an enterprise calls a column in its own workbooks: learnt once, kept for the next."""

    __tablename__ = "roster_heading"
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"), primary_key=True)
    heading: Mapped[str] = mapped_column(String(50), primary_key=True)
    field: Mapped[str] = mapped_column(String(20))


class Enrolment(Model):
    """One person in one plan: a draft until ordered (held) and paid (enrolled), or carried over from an earlier class.

    The institution and the authority are those of the plan, copied here so that every list is one indexed read. Who was
    carried over (C4) came by no list and no order of this plan: `carried_from` is the absence, whose order has the money. An absence
    that was carried over has `carried_at`, and is not carried over again. Of who withdrew, `Withdrawal` says why.
    """

    __tablename__ = "enrolment"
    __table_args__ = (
        UniqueConstraint("batch_id", "id_number_index", name="enrolment_once_in_batch"),
        # One key in place of three: each row of thousands is looked at once, and what is copied cannot be another plan's.
        ForeignKeyConstraint(["plan_id", "institution_id", "authority_id"],
                             ["training_plan.id", "training_plan.institution_id", "training_plan.authority_id"], name="enrolment_plan"),
        CheckConstraint("state IN ('draft','held','enrolled','withdrawn','discarded')", name="enrolment_state"),
        CheckConstraint("state NOT IN ('held','enrolled','withdrawn') OR order_id IS NOT NULL OR carried_from_id IS NOT NULL",
                        name="enrolment_order_evidence"),
        CheckConstraint("batch_id IS NOT NULL OR carried_from_id IS NOT NULL", name="enrolment_origin"),
        CheckConstraint("carried_at IS NULL OR attendance = 'absent'", name="enrolment_carried_absence"),
        CheckConstraint("attendance IS NULL OR attendance IN ('full','absent')", name="enrolment_attendance"),
        CheckConstraint("attendance_mark IS NULL OR attendance_mark IN ('full','absent')", name="enrolment_attendance_mark"),
    )
    id: Mapped[Id]
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("import_batch.id"))
    plan_id: Mapped[int] = mapped_column(BigInteger, index=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"), index=True)
    institution_id: Mapped[int] = mapped_column(BigInteger, index=True)
    authority_id: Mapped[int] = mapped_column(BigInteger, index=True)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("order_.id"))
    state: Mapped[State] = mapped_column(String(20), default="draft")
    name: Mapped[str] = mapped_column(String(50), index=True)
    id_number: Mapped[str] = mapped_column(Sealed("id_number"))
    id_number_index: Mapped[bytes] = mapped_column(LargeBinary(16), index=True)
    phone: Mapped[str] = mapped_column(Sealed("phone"))
    phone_index: Mapped[bytes] = mapped_column(LargeBinary(16), index=True)
    sex: Mapped[str] = mapped_column(String(1))
    birth: Mapped[date]
    occupation_id: Mapped[int] = mapped_column(ForeignKey("occupation.id"))
    level_id: Mapped[int] = mapped_column(ForeignKey("skill_level.id"))
    title_id: Mapped[int] = mapped_column(ForeignKey("title.id"))
    education_id: Mapped[int] = mapped_column(ForeignKey("education.id"))
    note: Mapped[str] = mapped_column(String(200), default="")
    portrait_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    id_front_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    # The whole training: None until attendance is confirmed.
    attendance: Mapped[str | None] = mapped_column(String(10))
    carried_from_id: Mapped[int | None] = mapped_column(ForeignKey("enrolment.id", name="enrolment_carried_from"))
    carried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # What a person has said of the whole training, before it is confirmed; None leaves it to the sessions.
    attendance_mark: Mapped[str | None] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    batch: Mapped[ImportBatch | None] = relationship(back_populates="enrolments")
    carried_from: Mapped[Enrolment | None] = relationship(remote_side="Enrolment.id")
    plan: Mapped[TrainingPlan] = relationship(primaryjoin=lambda: TrainingPlan.id == foreign(Enrolment.plan_id))
    enterprise: Mapped[Enterprise] = relationship()
    institution: Mapped[Institution] = relationship(primaryjoin=lambda: Institution.id == foreign(Enrolment.institution_id))
    occupation: Mapped[Occupation] = relationship()
    level: Mapped[SkillLevel] = relationship()
    title: Mapped[Title] = relationship()
    education: Mapped[Education] = relationship()
    portrait: Mapped[StoredFile | None] = relationship(foreign_keys=[portrait_id])
    id_front: Mapped[StoredFile | None] = relationship(foreign_keys=[id_front_id])

    @property
    def masked_id_number(self) -> str:
        return mask_id_number(self.id_number)

    @property
    def masked_phone(self) -> str:
        return mask_phone(self.phone)

    @property
    def photos_complete(self) -> bool:
        """E15: both photos are there."""
        return self.portrait_id is not None and self.id_front_id is not None

    def __str__(self) -> str:
        return self.name


def lacks_photo() -> ColumnElement[bool]:
    """E15, asked of the table: one of the two photos is missing."""
    return Enrolment.portrait_id.is_(None) | Enrolment.id_front_id.is_(None)


# C15: the same person cannot be live twice in one plan, whoever writes.
_LIVE_ONLY = Enrolment.state.in_(LIVE)
# What a draft does not have yet is not indexed: thousands of drafts are written at once. Of `carried_from_id` both are needed: without
# the first, each draft that goes would be looked for in the whole table.
for _column in (Enrolment.order_id, Enrolment.portrait_id, Enrolment.id_front_id, Enrolment.carried_from_id):
    Index(f"ix_enrolment_{_column.key}", _column, sqlite_where=_column.is_not(None), postgresql_where=_column.is_not(None))

Index("enrolment_live_once", Enrolment.plan_id, Enrolment.id_number_index, unique=True,
      sqlite_where=_LIVE_ONLY, postgresql_where=_LIVE_ONLY)
# C4: an absence is carried over once; who was carried over by mistake is discarded and does not count.
_CARRIED = Enrolment.state != "discarded"
Index("enrolment_carried_once", Enrolment.carried_from_id, unique=True, sqlite_where=_CARRIED, postgresql_where=_CARRIED)
