"""A class: opening it, who was away, and the confirmed attendance that exams build on (I17–I20, C19)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flask_babel import gettext as _
from sqlalchemy import case, func, select, update

from app import audit, clock, files, presentation, scope
from app.actors import Actor
from app.documents.tables import Value, write_table
from app.errors import Conflict, Invalid, NotFound
from app.extensions import db, transaction
from app.identifiers import mask_id_number, mask_phone
from app.operations import corrections, orders
from app.operations.attendance import absent_clause, check_in_class, mark, own_plan, people_of, unsettled
from models import Enrolment, Enterprise, Occupation, Order, SkillLevel, TrainingPlan

ATTENDANCE = ("full", "absent")


@dataclass(frozen=True)
class EnrolledEnterprise:
    """One line of 报名企业 (I17): `people` are enrolled, `absent` of them were marked as away."""

    id: int
    name: str
    contact_name: str
    people: int
    absent: int


@dataclass(frozen=True)
class Attendance:
    """How many are enrolled in a plan, and how many of them are marked as away."""

    people: int
    absent: int

    @property
    def full(self) -> int:
        return self.people - self.absent


def enrolled_enterprises(plan: TrainingPlan, *, actor: Actor) -> list[EnrolledEnterprise]:
    """The enterprises with people enrolled in a plan, of the people this person may see (I17)."""
    absent = func.count(Enrolment.id).filter(absent_clause(plan))
    rows = db.session.execute(
        select(Enterprise.id, Enterprise.name, Enterprise.contact_name, func.count(Enrolment.id), absent)
        .join(Enrolment, Enrolment.enterprise_id == Enterprise.id)
        .where(scope.visible_clause(actor, Enrolment), Enrolment.plan_id == plan.id, Enrolment.state == "enrolled")
        .group_by(Enterprise.id, Enterprise.name, Enterprise.contact_name).order_by(func.min(Enrolment.id)))
    return [EnrolledEnterprise(*row) for row in rows]


def attendance_of(plan: TrainingPlan) -> Attendance:
    """The head count of a plan the caller has fetched through scope."""
    absent = func.count(Enrolment.id).filter(absent_clause(plan))
    people, away = db.session.execute(select(func.count(Enrolment.id), absent).where(people_of(plan))).one()
    return Attendance(people, away)


def pending_orders(plan: TrainingPlan) -> int:
    """Orders of a plan that wait for payment: opening the class ends them (C19)."""
    return db.session.scalar(
        select(func.count(Order.id)).where(Order.plan_id == plan.id, Order.state == "pending")) or 0


def obstacle_to_opening(plan: TrainingPlan) -> str:
    """Why the class cannot be opened now, as a sentence; empty when it can."""
    if plan.review_state != "approved":
        return _("培训计划尚未审核通过，不能开班。")
    if plan.cancelled_at is not None:
        return _("该计划已于 %(at)s 取消，不能开班。", at=presentation.moment(plan.cancelled_at))
    if plan.class_opened_at is not None:
        return _("该计划已于 %(at)s 开班。", at=presentation.moment(plan.class_opened_at))
    if clock.now() < plan.enrolment_opens_at:
        return _("报名还没有开始，不能开班。")
    if not attendance_of(plan).people:
        return _("还没有人员报名成功，不能开班。")
    return corrections.obstacle(plan)


def closes_early(plan: TrainingPlan) -> bool:
    """Opening now would end an enrolment that is still running and has seats left; the person has to say so (C19)."""
    return plan.seats_left > 0 and clock.now() < plan.enrolment_closes_at


def open_class(plan: TrainingPlan, *, early: bool = False, actor: Actor) -> int:
    """开班 (I19): ends the enrolment and the orders nobody has paid (C19). Returns how many orders ended.

    Before the window closes it takes a full plan, or `early`, with which the person closes the enrolment now. Raises
    `Conflict` when the plan is not ready or is opened already, `Invalid` at ``early`` when that was not said.
    """
    with transaction():
        plan = own_plan(plan.id, actor)
        if reason := obstacle_to_opening(plan):
            raise Conflict(reason)
        if closes_early(plan) and not early:
            raise Invalid(_("报名截止时间未到，还剩 %(n)s 个名额。如确定不再招生，请勾选“提前结束报名”后再开班。",
                            n=plan.seats_left), "early")
        plan.class_opened_at = clock.now()
        ended = orders.end_open_orders(plan.id, actor=actor)
        audit.record(actor, "open_class", plan, {"people": attendance_of(plan).people, "orders_ended": ended, "early": early})
    return ended


def mark_attendance(plan: TrainingPlan, ids: Iterable[int], attendance: str, *, actor: Actor) -> int:
    """Mark people of a class as away, or take the mark back (I20). Returns how many.

    Ids that are not of this class are not touched. Raises `Conflict` before 开班 and once attendance is confirmed.
    """
    if attendance not in ATTENDANCE:
        raise Invalid(_("请选择缺勤或全勤。"))
    wanted = list(ids)
    if not wanted:
        raise Invalid(_("请先勾选要标记的人员。"))
    cells = [(each, 0) for each in wanted]
    return mark(plan, cells if attendance == "absent" else (), () if attendance == "absent" else cells, actor=actor)


def obstacle_to_confirming(plan: TrainingPlan) -> str:
    """Why attendance cannot be confirmed yet, as a sentence; empty when it can. Training comes first (I20)."""
    last = max((each.day for each in plan.days), default=None)
    if last is not None and clock.shanghai_day() < last:
        return _("培训要到 %(day)s 才结束，最后一个培训日起才能确认考勤。", day=last.isoformat())
    if waiting := pending_orders(plan):
        return _("还有 %(n)s 个订单正在与支付平台核实，请几分钟后再确认考勤。", n=waiting)
    if not attendance_of(plan).people:
        return _("没有报名成功的人员，无需确认考勤。")
    if open_ones := unsettled(plan):
        return _("%(sessions)s已扫码签到，请先核对未扫码的人员，再确认考勤。", sessions="、".join(each.short for each in open_ones))
    return ""


def confirm_attendance(plan: TrainingPlan, *, actor: Actor) -> Attendance:
    """确认考勤 (I20): who is not marked as away was there throughout, and nothing is changed any more.

    Raises `Conflict` before 开班, before the last training day, and when it is confirmed already.
    """
    with transaction() as session:
        plan = own_plan(plan.id, actor)
        check_in_class(plan)
        if reason := obstacle_to_confirming(plan):
            raise Conflict(reason)
        session.execute(update(Enrolment).where(people_of(plan)).values(attendance=case((absent_clause(plan), "absent"), else_="full"))
                        .execution_options(synchronize_session=False))
        plan.attendance_confirmed_at = clock.now()
        found = attendance_of(plan)
        audit.record(actor, "confirm_attendance", plan, {"full": found.full, "absent": found.absent})
    db.session.expire_all()
    return found


def contact_of(plan: TrainingPlan, enterprise_id: int, *, actor: Actor) -> tuple[str, str, str]:
    """Name, contact and phone of an enterprise with people in this class, to ask it for a correction (I18). Audited.

    Raises `NotFound` for an enterprise that has nobody here.
    """
    with transaction() as session:
        here = select(Enrolment.enterprise_id).where(
            scope.visible_clause(actor, Enrolment), Enrolment.plan_id == plan.id, Enrolment.state == "enrolled")
        row = session.scalars(select(Enterprise).where(Enterprise.id == enterprise_id, Enterprise.id.in_(here))).one_or_none()
        if row is None:
            raise NotFound(_("没有找到这条记录，或您无权查看。"))
        audit.record(actor, "reveal_contact", row, {"plan": plan.name})
        return row.name, row.contact_name, row.phone


def roster(plan: TrainingPlan, *, actor: Actor) -> tuple[str, bytes, str]:
    """学员名册 of a class as a workbook: file name, bytes, content type. Numbers are masked; audited."""
    with transaction() as session:
        rows = session.execute(
            select(Enrolment.name, Enrolment.sex, Enrolment.id_number, Enrolment.phone, Occupation.name, SkillLevel.name,
                   Enterprise.name, case((absent_clause(plan), "absent")))
            .join(Occupation, Enrolment.occupation_id == Occupation.id).join(SkillLevel, Enrolment.level_id == SkillLevel.id)
            .join(Enterprise, Enrolment.enterprise_id == Enterprise.id)
            .where(scope.visible_clause(actor, Enrolment), Enrolment.plan_id == plan.id, Enrolment.state == "enrolled")
            .order_by(Enrolment.id)).all()
        audit.record(actor, "download_roster", plan, {"people": len(rows)})
        confirmed = plan.attendance_confirmed_at is not None
    lines: list[list[Value]] = [
        [number, name, sex, mask_id_number(id_number), mask_phone(phone), occupation, level, enterprise,
         attendance_label(attendance, confirmed)]
        for number, (name, sex, id_number, phone, occupation, level, enterprise, attendance) in enumerate(rows, 1)]
    headings = [_("序号"), _("姓名"), _("性别"), _("身份证号"), _("手机号"), _("职业工种"), _("技能等级"), _("企业"), _("考勤")]
    return f"{plan.name}学员名册.xlsx", write_table(_("学员名册"), headings, lines), files.XLSX


def attendance_label(attendance: str | None, confirmed: bool) -> str:
    """The word for a person's attendance; before the confirmation only the mark counts."""
    if attendance == "absent":
        return _("缺勤")
    return _("全勤") if confirmed else ""
