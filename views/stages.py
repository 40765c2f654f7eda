"""Where a training plan stands: the stepper of its page, what comes next, and whose turn it is."""

from __future__ import annotations

from dataclasses import dataclass

from flask_babel import gettext as _
from sqlalchemy import func, select

from app import clock
from app.extensions import db
from app.operations.certificates import lacks_certificate
from app.presentation import window_words
from models import Certificate, ExamPlan, ScoreReport, Sitting, TrainingPlan

REACHED = {"draft": 0, "rejected": 0, "submitted": 1, "accepted": 2, "approved": 3}


@dataclass(frozen=True)
class Standing:
    """The stepper of a plan and the one next act: `who` is the party whose turn it is."""

    steps: list[tuple[str, str, str]]
    next_act: str
    who: str


def standing_of(plan: TrainingPlan) -> Standing:
    """Read from the plan, its exams, their reports and certificates; four small statements."""
    exams = list(db.session.scalars(select(ExamPlan).where(ExamPlan.plan_id == plan.id)))
    reports = list(db.session.scalars(select(ScoreReport).join(ExamPlan, ScoreReport.exam_plan_id == ExamPlan.id)
                                      .where(ExamPlan.plan_id == plan.id)))
    certificates = db.session.scalar(
        select(func.count(Certificate.id)).join(Sitting, Certificate.sitting_id == Sitting.id)
        .join(ExamPlan, Sitting.exam_plan_id == ExamPlan.id).where(ExamPlan.plan_id == plan.id, Certificate.state == "valid")) or 0
    reached = _reached(plan, reports, certificates)
    labels = (_("编制"), _("上报"), _("受理"), _("审核通过"), _("报名"), _("培训考勤"), _("考核"), _("成绩"), _("证书"))
    steps = []
    for index, label in enumerate(labels):
        state = "done" if index < reached else "current" if index == reached else "todo"
        if index == (4 if plan.cancelled_at else 3) and (plan.cancelled_at or plan.review_state == "rejected"):
            state = "stopped"
        steps.append((label, state, _note(plan, index)))
    lacking = db.session.scalar(select(func.count(Sitting.id)).join(ExamPlan, Sitting.exam_plan_id == ExamPlan.id).join(
        ScoreReport, ScoreReport.exam_plan_id == ExamPlan.id).where(ExamPlan.plan_id == plan.id, ScoreReport.review_state == "approved",
                                                                    lacks_certificate())) or 0
    act, who = _next(plan, exams, reports, certificates, lacking)
    return Standing(steps, act, who)


def _note(plan: TrainingPlan, index: int) -> str:
    """A word under a step: when the enrolment is, how many seats are left; that the plan was cancelled."""
    if index == 4 and plan.cancelled_at is not None:
        return _("已取消")
    if index == 4 and plan.review_state == "approved" and not plan.enrolment_ended and plan.cancelled_at is None:
        if clock.now() < plan.enrolment_opens_at:
            return window_words(plan)[0]
        return _("剩 %(left)s/%(seats)s", left=plan.seats_left, seats=plan.seats)
    return ""


def _reached(plan: TrainingPlan, reports: list[ScoreReport], certificates: int) -> int:
    if plan.review_state != "approved":
        return REACHED[plan.review_state]
    if certificates:
        return 9
    if any(report.review_state == "approved" for report in reports):
        return 8
    if reports:
        return 7
    if plan.attendance_confirmed_at:
        return 6
    return 5 if plan.enrolment_ended and plan.cancelled_at is None else 4


def _next(plan: TrainingPlan, exams: list[ExamPlan], reports: list[ScoreReport], certificates: int,
          lacking: int) -> tuple[str, str]:
    """The next act in words, and the party whose turn it is."""
    reviewing = {
        "draft": (_("填写完整后提交审核"), "institution"),
        "rejected": (_("按不通过原因修改后，再次提交审核"), "institution"),
        "submitted": (_("等待%(who)s受理；受理前可以撤回", who=plan.authority.name), "authority"),
        "accepted": (_("等待%(who)s审核", who=plan.authority.name), "authority"),
    }
    if plan.review_state in reviewing:
        return reviewing[plan.review_state]
    if plan.cancelled_at is not None:
        return _("计划已取消，已支付的款项原路退回"), ""
    if not plan.enrolment_ended:
        return (_("企业报名中；报名结束或满员后开班"), "enterprise") if plan.enrolling else (_("等待报名开始"), "")
    if plan.class_opened_at is None:
        return _("报名已结束，请开班"), "institution"
    if plan.attendance_confirmed_at is None:
        return _("培训后标记缺勤人员，并确认考勤"), "institution"
    if not exams:
        return _("创建考核计划"), "institution"
    if lacking:
        return _("等待%(who)s生成证书", who=plan.authority.name), "authority"
    if certificates:
        return _("证书已生成"), ""
    if any(report.review_state in ("submitted", "accepted") for report in reports):
        return _("等待%(who)s审核成绩", who=plan.authority.name), "authority"
    if any(exam.review_state in ("submitted", "accepted") for exam in exams):
        return _("等待%(who)s审核考核计划", who=plan.authority.name), "authority"
    if all(exam.editable for exam in exams):
        return _("完善考核计划后提交审核"), "institution"
    if reports and all(report.review_state == "approved" for report in reports) and len(reports) == len(exams):
        return _("成绩已审核，没有合格人员；允许补考的可再建考核计划"), "institution"
    return _("组织考核，拉取成绩后上报"), "institution"

