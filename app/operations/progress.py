"""个人进度状态: the four states of each person, in the manuals' own words (X2, C8, C9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app.extensions import db
from models import Certificate, Enrolment, ExamPlan, ScoreReport, Sitting, TrainingPlan


@dataclass(frozen=True)
class Word:
    """A state as it is shown."""

    label: Any
    tone: str


ENROLLING, TRAINED = Word(_l("报名中"), "info"), Word(_l("培训结束"), "ok")
LEFT, CANCELLED = Word(_l("已退班"), "neutral"), Word(_l("计划取消"), "bad")
NOT_REPORTED, FAILED, APPROVED = Word(_l("未上报"), "neutral"), Word(_l("未通过"), "bad"), Word(_l("已审核"), "ok")
EXAM_WORDS = {"none": NOT_REPORTED, "draft": NOT_REPORTED, "submitted": Word(_l("未审核"), "warn"),
              "accepted": Word(_l("未审核"), "warn"), "approved": APPROVED, "rejected": FAILED}
SCORE_WORDS = {"none": NOT_REPORTED, "draft": NOT_REPORTED, "submitted": Word(_l("已上报"), "info"),
               "accepted": Word(_l("已受理"), "warn"), "approved": APPROVED, "rejected": FAILED}
CERTIFICATE_WORDS = {"none": Word(_l("证书未生成"), "neutral"), "waiting": Word(_l("证书已生成未推送"), "info"),
                     "exported": Word(_l("证书已生成未推送"), "info"), "failed": Word(_l("证书已生成未推送"), "info"),
                     "pushed": Word(_l("证书已推送"), "ok")}
REVOKED = Word(_l("证书已撤销"), "bad")


@dataclass(frozen=True)
class Progress:
    """Where one person stands, with the rows the detail page opens."""

    plan: Word
    exam: Word
    scores: Word
    certificate: Word
    sitting: Sitting | None = None
    issued: Certificate | None = None


def states_of(people: Sequence[Enrolment]) -> dict[int, Progress]:
    """The progress of each person, by enrolment id. Three statements however many people; their plans should be loaded.

    Of several exams, and of certificates that replaced each other, the latest counts (C16).
    """
    ids = [person.id for person in people]
    plans = {row.id: row for row in db.session.scalars(
        select(TrainingPlan).where(TrainingPlan.id.in_({person.plan_id for person in people})))}
    sittings = {row.enrolment_id: row for row in db.session.scalars(
        select(Sitting).where(Sitting.enrolment_id.in_(ids)).order_by(Sitting.id)
        .options(joinedload(Sitting.exam_plan).joinedload(ExamPlan.report), joinedload(Sitting.room)))}
    certificates = {row.enrolment_id: row for row in db.session.scalars(
        select(Certificate).where(Certificate.enrolment_id.in_(ids)).order_by(Certificate.id))}
    return {person.id: _progress(person, plans[person.plan_id], sittings.get(person.id), certificates.get(person.id))
            for person in people}


def _training_word(person: Enrolment, plan: TrainingPlan) -> Word:
    if person.state == "withdrawn":
        return CANCELLED if plan.cancelled_at is not None else LEFT
    return TRAINED if plan.enrolment_ended else ENROLLING


def _progress(person: Enrolment, plan: TrainingPlan, sitting: Sitting | None, certificate: Certificate | None) -> Progress:
    exam = sitting.exam_plan if sitting is not None else None
    report: ScoreReport | None = exam.report if exam is not None else None
    return Progress(
        plan=_training_word(person, plan),
        exam=EXAM_WORDS[exam.review_state if exam is not None else "none"],
        scores=SCORE_WORDS[report.review_state if report is not None else "none"],
        certificate=_certificate_word(certificate), sitting=sitting, issued=certificate)


def _certificate_word(certificate: Certificate | None) -> Word:
    """How far the latest certificate is; that it was revoked, where none has followed it."""
    if certificate is None:
        return CERTIFICATE_WORDS["none"]
    return REVOKED if certificate.state == "revoked" else CERTIFICATE_WORDS[certificate.push_word]
