"""Scores: the rules of a mark and of the report that brings them to the authority (I26, B5).

Marks are tenths of a point, 0–1000. `result` is computed here and nowhere else. How marks come in: `score_intakes`; how approved ones
change: `score_corrections`.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, and_, exists, func, select

from app import clock, parameters, workflow
from app.actors import Actor
from app.errors import Conflict, Forbidden, Invalid
from app.extensions import db, transaction
from models import ExamPlan, ScoreReport, Sitting

# Each result in words, with its tone.
RESULTS = {"passed": (_l("合格"), "ok"), "failed": (_l("不合格"), "bad"), "absent": (_l("缺考"), "warn"), "cheating": (_l("违纪"), "bad")}


@dataclass(frozen=True)
class Mark:
    """The marks of one ticket. Who was absent or is excluded for cheating has none."""

    ticket_number: str
    theory: int | None
    practice: int | None
    absent: bool = False
    cheating: bool = False


@dataclass(frozen=True)
class PassMarks:
    """The marks from which theory and practice are passed, in tenths of a point."""

    theory: int
    practice: int


def pass_marks() -> PassMarks:
    """The pass marks as the administrator has set them (B7)."""
    return PassMarks(parameters.number("pass_theory") * 10, parameters.number("pass_practice") * 10)


def result_of(mark: Mark, passing: PassMarks) -> str | None:
    """passed, failed, absent or cheating; None while a mark is lacking."""
    if mark.cheating:
        return "cheating"
    if mark.absent:
        return "absent"
    if mark.theory is None or mark.practice is None:
        return None
    return "passed" if mark.theory >= passing.theory and mark.practice >= passing.practice else "failed"


def check_time(exam: ExamPlan) -> None:
    """Scores exist once the exam plan is approved and its time has come. Raises `Conflict`."""
    if exam.review_state != "approved":
        raise Conflict(_("考核计划审核通过后才能录入成绩。"))
    if clock.now() < exam.starts_at:
        raise Conflict(_("考核尚未开始，还没有成绩。"))


def check_editable(report: ScoreReport | None) -> None:
    """Reported marks do not change. Raises `Conflict`."""
    if report is not None and report.review_state == "approved":
        raise Conflict(_("成绩已审核通过，不能再修改。确有错误的，请申请成绩更正。"))
    if report is not None and not report.editable:
        raise Conflict(_("成绩已上报，不能再修改。如需修改，请先撤回。"))


def to_report() -> ColumnElement[bool]:
    """The exams that have begun and whose scores the institution has yet to report, or to report again."""
    return and_(ExamPlan.review_state == "approved", ExamPlan.starts_at <= clock.now(),
                ~exists().where(ScoreReport.exam_plan_id == ExamPlan.id, ScoreReport.review_state.not_in(("draft", "rejected"))))


def report_of(exam: ExamPlan) -> ScoreReport | None:
    """The report of an exam, made with its first scores."""
    return db.session.scalars(select(ScoreReport).where(ScoreReport.exam_plan_id == exam.id)).first()


def tally(exam: ExamPlan) -> dict[str, int]:
    """How many candidates (`people`), and how many of them passed, failed, were absent or excluded, and are `lacking` a result."""
    counts = {**dict.fromkeys(RESULTS, 0), "lacking": 0}
    for result, count in db.session.execute(
            select(Sitting.result, func.count()).where(Sitting.exam_plan_id == exam.id).group_by(Sitting.result)):
        counts[result or "lacking"] = count
    return {"people": sum(counts.values()), **counts}


def submit(exam: ExamPlan, *, actor: Actor) -> None:
    """成绩上报. Raises `Invalid` while a result is lacking, `Conflict` when it is reported already."""
    if actor.institution_id != exam.institution_id:
        raise Forbidden(_("只有组织考核的培训机构可以上报成绩。"))
    with transaction() as session:
        # The row stays locked: a pull that comes now finds the scores reported.
        report = session.scalars(select(ScoreReport).where(ScoreReport.exam_plan_id == exam.id).with_for_update(),
                                 execution_options={"populate_existing": True}).first()
        if report is None:
            raise Invalid(_("还没有成绩，请先拉取或上传。"))
        if report.editable and (n := tally(exam)["lacking"]):
            raise Invalid(_("还有 %(n)s 名考生没有成绩，请补全后再上报；缺考的请标为缺考。", n=n))
        workflow.take_step(report, "submit", actor=actor)
