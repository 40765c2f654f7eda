"""What waits for a person: the counts on the first page, each with the page that deals with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import and_, exists, func, or_, select

from app import clock, scope
from app.actors import Actor
from app.extensions import db
from app.notices import ended
from app.operations import certificates, corrections, finance, reconciliations, score_corrections, scores, waitlist
from app.operations.filings import licence_warning
from app.workflow import SUBJECTS
from models import (
    AttendanceUnlock,
    Certificate,
    CertificateChange,
    Enrolment,
    Enterprise,
    ExamPlan,
    ImportBatch,
    Institution,
    Invoice,
    Order,
    Payment,
    PlanChange,
    Reconciliation,
    Refund,
    ScoreReport,
    TrainingPlan,
    WaitlistEntry,
    Withdrawal,
)

SeenAt = Callable[[str], Actor]


@dataclass(frozen=True)
class Task:
    """One count: the view's endpoint and arguments, how many, and what they are; shown to who may do `verb` there."""

    endpoint: str
    arguments: dict[str, Any]
    count: int
    label: str
    verb: str = "list"


def _count(actor: Actor, model: type[Any], *clauses: Any) -> int:
    return db.session.scalar(select(func.count()).select_from(model).where(scope.visible_clause(actor, model), *clauses)) or 0


def _for_authority(actor: Actor, at: SeenAt) -> list[Task]:
    desks = (("enterprise", "EnterpriseReviewView", _("企业待办理")), ("institution", "InstitutionView", _("机构备案待办理")),
             ("training_plan", "PlanReviewView", _("培训计划待办理")), ("exam_plan", "ExamReviewView", _("考核计划待办理")),
             ("score_report", "ScoreReviewView", _("成绩待办理")), ("score_correction", "ScoreCorrectionReviewView", _("成绩更正待办理")))
    tasks = []
    for kind, view, label in desks:
        model = SUBJECTS[kind].model
        count = _count(actor, model, model.authority_id == actor.authority_id, model.review_state.in_(("submitted", "accepted")))
        tasks.append(Task(f"{view}.list", {"state": "waiting"}, count, label))
    tasks.append(Task("CertificateIssueView.list", {}, _count(
        actor, ScoreReport, ScoreReport.authority_id == actor.authority_id, ScoreReport.review_state == "approved",
        certificates.lacks_certificates()), _("待生成证书的考核")))
    asked = exists().where(CertificateChange.certificate_id == Certificate.id, CertificateChange.state == "asked")
    tasks.append(Task("CertificateView.list", {"change": "asked"}, _count(
        actor, Certificate, Certificate.authority_id == actor.authority_id, asked), _("待复核的证书申请")))
    tasks.append(Task("PushView.list", {"push": "failed"}, _count(actor, Certificate, Certificate.push_state == "failed"),
                      _("推送失败的证书")))
    tasks.append(Task("PlanChangeReviewView.list", {}, _count(
        at("PlanChangeReviewView"), PlanChange, PlanChange.authority_id == actor.authority_id, PlanChange.state == "asked"),
        _("待审批的名额调整与取消")))
    tasks.append(Task("AttendanceUnlockView.list", {}, _count(
        actor, AttendanceUnlock, AttendanceUnlock.authority_id == actor.authority_id, AttendanceUnlock.state == "asked"),
        _("待办理的考勤解锁")))
    return tasks + _of_money(at("FinanceView"), at("BillView"))


def _of_money(actor: Actor, at_bills: Actor) -> list[Task]:
    """What the finance desk has to look at. A refund that this person has proposed waits for another."""
    others = or_(Refund.proposed_by_id.is_(None), Refund.proposed_by_id != actor.user_id)
    return [
        Task("FinanceView.refunds", {"state": "proposed"}, _count(actor, Refund, Refund.state == "proposed", others), _("待批准的退款"),
             "approve"),
        Task("FinanceView.refunds", {"state": "failed"}, _count(actor, Refund, Refund.state == "failed"), _("退款失败")),
        Task("FinanceView.open", {}, _count(actor, Payment, finance.not_ended()), _("未了结的付款"), "propose"),
        Task("BillView.list", {"state": "open"}, _count(at_bills, Reconciliation, reconciliations.waiting_clause()), _("待处理的对账"),
             "resolve"),
    ]


def _for_institution(actor: Actor) -> list[Task]:
    to_check = (corrections.still_correctable(), corrections.in_state("new", "corrected"))
    over = TrainingPlan.enrolment_closes_at <= clock.now()
    approved = and_(TrainingPlan.review_state == "approved", TrainingPlan.cancelled_at.is_(None))
    return [
        Task("PlanView.list", {"stage": "rejected"}, _count(actor, TrainingPlan, TrainingPlan.review_state == "rejected"),
             _("未通过的培训计划")),
        Task("PlanView.list", {"stage": "draft"}, _count(actor, TrainingPlan, TrainingPlan.review_state == "draft"), _("未上报的培训计划")),
        Task("CheckView.list", {}, _count(actor, Enrolment, *to_check), _("待核对的人员")),
        Task("WithdrawalView.list", {"state": "asked"}, _count(actor, Withdrawal, Withdrawal.state == "asked"), _("待办理的退班")),
        Task("InvoiceView.list", {"state": "to_upload"}, _count(actor, Invoice, Invoice.state == "to_upload"), _("待上传的红字发票")),
        _failed_invoices(actor),
        Task("PlanView.list", {"stage": "waitlist"}, _count(actor, TrainingPlan, waitlist.waited_for()), _("有企业候补的计划")),
        Task("ClassView.list", {"stage": "ready"}, _count(actor, TrainingPlan, approved, over, TrainingPlan.class_opened_at.is_(None)),
             _("待开班")),
        Task("ClassView.list", {"stage": "training"}, _count(
            actor, TrainingPlan, TrainingPlan.class_opened_at.is_not(None), TrainingPlan.attendance_confirmed_at.is_(None)),
             _("待确认考勤")),
        Task("ExamView.list", {"state": "rejected"}, _count(actor, ExamPlan, ExamPlan.review_state == "rejected"), _("未通过的考核计划")),
        Task("ScoreView.list", {"stage": "report"}, _count(actor, ExamPlan, scores.to_report()), _("待上报的成绩")),
        Task("ScoreView.list", {"stage": "correction"}, _count(actor, ExamPlan, score_corrections.unfinished()), _("未提交的成绩更正")),
    ]


def _failed_invoices(actor: Actor) -> Task:
    """Either side asks for them again, once what kept them from being issued is gone."""
    return Task("InvoiceView.list", {"state": "failed"}, _count(actor, Invoice, Invoice.state == "failed"), _("开具失败的发票"))


def _for_enterprise(actor: Actor) -> list[Task]:
    at = clock.now()
    open_now = (TrainingPlan.class_opened_at.is_(None), TrainingPlan.cancelled_at.is_(None), TrainingPlan.enrolment_opens_at <= at,
                TrainingPlan.enrolment_closes_at > at,
                TrainingPlan.seats_taken + TrainingPlan.seats_reserved < TrainingPlan.seats)
    ordered = exists().where(Enrolment.batch_id == ImportBatch.id, Enrolment.order_id.is_not(None))
    offered = (WaitlistEntry.state == "offered", WaitlistEntry.offer_until > at)
    return [
        Task("EnrolView.list", {}, _count(actor, WaitlistEntry, *offered), _("保留了名额、待下单的候补")),
        Task("EnrolView.list", {}, _count(actor, TrainingPlan, *open_now), _("可报名的培训计划")),
        Task("EnrolView.list", {}, _count(actor, ImportBatch, ImportBatch.state == "clean", ~ordered), _("未生成订单的名单")),
        Task("OrderView.list", {"state": "pending"}, _count(actor, Order, Order.state == "pending"), _("待支付的订单")),
        _failed_invoices(actor),
        Task("CorrectionView.list", {}, _count(
            actor, Enrolment, corrections.still_correctable(), corrections.in_state("mismatch")), _("待更正的人员")),
        Task("EnrolledView.list", {}, _count(actor, Enrolment, Enrolment.state == "enrolled"), _("已报名人员")),
    ]


def waiting_for(actor: Actor, at: SeenAt | None = None) -> list[Task]:
    """The counts of this person's first page, in the order of the journey. `at` narrows the person to what a view would show them,
    so that a count is that of the page it leads to."""
    if actor.is_authority:
        return _for_authority(actor, at or (lambda _view: actor))
    if actor.is_institution:
        return _for_institution(actor)
    return _for_enterprise(actor) if actor.is_enterprise else []


def blocked(actor: Actor) -> str:
    """Why an enterprise cannot enrol yet (E7), or that an institution's licence ends, in a sentence; empty when all is well."""
    if actor.institution_id:
        return licence_warning(db.session.get_one(Institution, actor.institution_id))
    enterprise = db.session.get(Enterprise, actor.enterprise_id) if actor.enterprise_id else None
    if enterprise is None or enterprise.may_enrol:
        return ""
    if enterprise.review_state == "rejected":
        return _("注册信息未通过审核：%(remark)s 请修改后重新提交。", remark=ended(enterprise.review_remark))
    return _("注册信息正在由%(authority)s审核，通过后即可报名。", authority=enterprise.authority.name)
