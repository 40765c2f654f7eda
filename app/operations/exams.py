"""Exam plans: who sits when and where, the way to the authority, and the online exam (I21–I24, C7, C9, C16)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.orm import aliased

from app import audit, clock, parameters, presentation, scope, workflow
from app.actors import Actor
from app.errors import Conflict, Forbidden, Invalid, InvalidFields, NotFound, PortalError
from app.extensions import db, gateways, let_go, transaction
from app.gateways.errors import GatewayError
from app.gateways.exam import Candidate
from app.operations import exam_rooms, room_times, seats
from app.operations.filings import rooms_of
from models import (
    Enrolment,
    ExamPlan,
    Occupation,
    PlanOccupation,
    Room,
    ScoreReport,
    Sitting,
    SkillLevel,
    TrainingPlan,
)

LONGEST = timedelta(days=7)
MOST_EXAMS = 99
log = logging.getLogger("portal.exams")


@dataclass(frozen=True)
class ExamDraft:
    """An exam plan as typed: moments aware, and the enrolments that are to sit it."""

    place: str
    starts_at: datetime
    ends_at: datetime
    enrolment_ids: list[int] = field(default_factory=list)
    # The institution's own rooms to be used, in this order.
    room_ids: list[int] = field(default_factory=list)


def _may_sit(exam_id: int | None) -> ColumnElement[bool]:
    """Attended, and neither passed nor bound by another exam plan (C16).

    Another exam binds a person until its scores are approved; then who failed or was away may sit again, where the
    parameter ``resit`` allows it. `exam_id` is the exam being arranged, which does not bind its own people.
    """
    other = aliased(Sitting)
    report = aliased(ScoreReport)
    final = exists(select(report.id).where(report.exam_plan_id == other.exam_plan_id, report.review_state == "approved"))
    free = and_(other.result.in_(("failed", "absent")), final) if parameters.number("resit") else None
    elsewhere = other.enrolment_id == Enrolment.id
    if exam_id is not None:
        elsewhere = and_(elsewhere, other.exam_plan_id != exam_id)
    bound = exists(select(other.id).where(elsewhere if free is None else and_(elsewhere, or_(other.result.is_(None), ~free))))
    return and_(Enrolment.state == "enrolled", Enrolment.attendance == "full", ~bound)


def candidates(plan: TrainingPlan, exam: ExamPlan | None = None, *options: Any) -> list[Enrolment]:
    """Who may sit an exam of this plan: occupation by occupation in plan order, in enrolment order within each (C7)."""
    order = (select(PlanOccupation.occupation_id, func.min(PlanOccupation.position).label("position"))
             .where(PlanOccupation.plan_id == plan.id).group_by(PlanOccupation.occupation_id).subquery())
    return list(db.session.scalars(
        select(Enrolment).outerjoin(order, order.c.occupation_id == Enrolment.occupation_id)
        .where(Enrolment.plan_id == plan.id, _may_sit(exam.id if exam else None))
        .order_by(func.coalesce(order.c.position, 10_000), Enrolment.occupation_id, Enrolment.id).options(*options)))


def plans_to_examine(*, actor: Actor) -> list[tuple[TrainingPlan, int]]:
    """The institution's attended plans (I21) that still have people to examine, and how many each."""
    waiting = (select(func.count(Enrolment.id)).where(Enrolment.plan_id == TrainingPlan.id, _may_sit(None))
               .correlate(TrainingPlan).scalar_subquery())
    rows = db.session.execute(
        scope.visible(actor, TrainingPlan).add_columns(waiting)
        .where(TrainingPlan.attendance_confirmed_at.is_not(None), waiting > 0).order_by(TrainingPlan.id.desc()))
    return [(plan, people) for plan, people in rows]


def last_training_day(plan: TrainingPlan) -> Any:
    """The day after which the exam may be; None where no days are planned."""
    return max((each.day for each in plan.days), default=None)


def suggested(plan: TrainingPlan, people: Sequence[Enrolment], rooms: Sequence[Room] = ()) -> ExamDraft:
    """What a new exam plan begins with: everyone, and the first two hours from the day after tomorrow, and after the training, in
    which enough of these rooms are free."""
    first = clock.shanghai_day() + timedelta(days=2)
    last = last_training_day(plan)
    day = max(first, last + timedelta(days=1)) if last else first
    begin, end, free = room_times.free_from(day, rooms, len(people), exam_rooms.most_in_a_room())
    return ExamDraft(plan.place, begin, end, [each.id for each in people], [each.id for each in free])


def _check(draft: ExamDraft, plan: TrainingPlan) -> None:
    """Every rule that needs no lock, at its field."""
    errors: dict[str, object] = {}
    if not draft.place.strip():
        errors["place"] = _("请填写考核地点。")
    last = last_training_day(plan)
    if last is not None and clock.shanghai_day(draft.starts_at) <= last:
        errors["starts_at"] = _("考核应在最后一个培训日 %(day)s 之后。", day=last.isoformat())
    if draft.ends_at <= draft.starts_at:
        errors["ends_at"] = _("结束时间应晚于开始时间。")
    elif draft.ends_at - draft.starts_at > LONGEST:
        errors["ends_at"] = _("结束时间距开始时间超过 7 天，请核对日期。")
    if not draft.enrolment_ids:
        errors["enrolment_ids"] = _("请至少选择一名考生。")
    if errors:
        raise InvalidFields(errors, _("有 %(n)s 处需要修改，见标红的栏目。", n=len(errors)))


def _chosen(draft: ExamDraft, plan: TrainingPlan, exam: ExamPlan | None) -> list[Enrolment]:
    """The chosen candidates in seating order. Raises `InvalidFields` when someone may not sit (any more)."""
    able = candidates(plan, exam)
    wanted = set(draft.enrolment_ids)
    chosen = [each for each in able if each.id in wanted]
    if lost := len(wanted) - len(chosen):
        message = _("所选人员中有 %(n)s 人不能参加本次考核（未完成培训、已通过或已安排其他考核）。名单已刷新，请重新核对。", n=lost)
        raise InvalidFields({"enrolment_ids": message}, message)
    return chosen


def save(exam: ExamPlan | None, plan: TrainingPlan, draft: ExamDraft, *, actor: Actor) -> ExamPlan:
    """Write a draft to a new exam plan or to one that may be edited, and seat its people, in one transaction. Who was seated
    keeps room, seat and ticket number where the rule allows it.

    The plan is locked, so that nobody is put into two exams. Raises `InvalidFields` when a rule is broken, `Conflict`
    when the exam was submitted meanwhile or attendance is not confirmed (I21).
    """
    if actor.institution_id is None or actor.institution_id != plan.institution_id:
        raise Forbidden(_("只有培训机构可以编制本机构的考核计划。"))
    _check(draft, plan)
    with transaction() as session:
        plan = seats.lock(plan.id)
        if plan.attendance_confirmed_at is None:
            raise Conflict(_("请先确认“%(name)s”的考勤，再创建考核计划。", name=plan.name))
        if exam is None:
            exam = _new(plan)
            session.add(exam)
        else:
            exam_rooms.still_editable(exam)
        exam.place, exam.starts_at, exam.ends_at = draft.place.strip(), draft.starts_at, draft.ends_at
        changes = audit.changed(exam)
        session.flush()
        rooms = exam_rooms.seat(exam, _chosen(draft, plan, exam), _own_rooms(draft, plan))
        audit.record(actor, "save_exam", exam, {
            "name": exam.name, "people": len(draft.enrolment_ids), "rooms": rooms, "changed": changes})
    db.session.expire_all()
    return exam


def _own_rooms(draft: ExamDraft, plan: TrainingPlan) -> list[Room]:
    """The chosen rooms, in their order. Raises `InvalidFields` for one that is not the institution's."""
    offered = {room.id: room for room in rooms_of(plan.institution)}
    if any(key not in offered for key in draft.room_ids):
        message = _("请从备案的场地中选择。")
        raise InvalidFields({"room_ids": message}, message)
    return [offered[key] for key in dict.fromkeys(draft.room_ids)]


def preview(exam: ExamPlan | None, plan: TrainingPlan, draft: ExamDraft) -> exam_rooms.Proposal:
    """The rooms as `save` would make them, and nothing written. Raises `InvalidFields` as `save` does."""
    _check(draft, plan)
    return exam_rooms.propose(exam, _chosen(draft, plan, exam), _own_rooms(draft, plan))


def lost_people(exam: ExamPlan) -> list[str]:
    """The names of those seated who may not sit (any more): who has left the plan, or is absent after the attendance was
    confirmed anew."""
    able = select(Enrolment.id).where(Enrolment.plan_id == exam.plan_id, _may_sit(exam.id))
    return list(db.session.scalars(
        select(Enrolment.name).join(Sitting, Sitting.enrolment_id == Enrolment.id)
        .where(Sitting.exam_plan_id == exam.id, Enrolment.id.not_in(able)).order_by(Sitting.ticket_number)))


def reseat(exam: ExamPlan, *, fresh: bool = False, actor: Actor) -> exam_rooms.Proposal:
    """重新编排: whoever may not sit any more drops out; the others keep their seats, or with `fresh` are seated by the rule anew.
    Raises `Conflict` once the exam is submitted."""
    with transaction() as session:
        plan = seats.lock(exam.plan_id)
        exam_rooms.still_editable(exam)
        seated = set(session.scalars(select(Sitting.enrolment_id).where(Sitting.exam_plan_id == exam.id)))
        people = [each for each in candidates(plan, exam) if each.id in seated]
        told = exam_rooms.reseat(exam, people, fresh=fresh, actor=actor)
    db.session.expire_all()
    return told


def _new(plan: TrainingPlan) -> ExamPlan:
    """An exam plan with the next name of its training plan: 杭建培20261101考01, and a number of digits only.

    The number is year, plan and serial; two plans never share one, because year and serial have two digits each.
    """
    serial = (db.session.scalar(select(func.count(ExamPlan.id)).where(ExamPlan.plan_id == plan.id)) or 0) + 1
    if serial > MOST_EXAMS:
        raise Conflict(_("该培训计划的考核序号 01–99 已用完。"))
    at = clock.now()
    return ExamPlan(number=f"{clock.shanghai_day(at):%y}{plan.id:05d}{serial:02d}", name=f"{plan.name}考{serial:02d}",
                    plan_id=plan.id, institution_id=plan.institution_id, authority_id=plan.authority_id, created_at=at,
                    review_state="draft", review_round=1)


def missing_for_submission(exam: ExamPlan) -> list[str]:
    """What still stands between a saved exam plan and its submission, each as a sentence (I22, I23)."""
    missing = []
    seated = db.session.scalar(select(func.count(Sitting.id)).where(Sitting.exam_plan_id == exam.id)) or 0
    if not seated:
        missing.append(_("还没有安排考场和考生，请修改考核计划并选择考生。"))
    if exam.starts_at <= clock.now():
        missing.append(_("考核开始时间 %(at)s 已过，请修改考核时间。", at=presentation.moment(exam.starts_at)))
    if db.session.scalar(select(TrainingPlan.attendance_confirmed_at).where(TrainingPlan.id == exam.plan_id)) is None:
        missing.append(_("这个班的考勤已解锁，请先重新确认考勤，再提交考核计划。"))
    elif lost := lost_people(exam):
        missing.append(_("%(names)s 不能参加本次考核（已退出、缺勤或已安排其他考核），请重新编排考场。",
                         names="、".join(lost[:5]) + (_(" 等 %(n)s 人", n=len(lost)) if len(lost) > 5 else "")))
    missing += exam_rooms.too_full(exam)
    missing += exam_rooms.double_booked(exam)
    missing += exam_rooms.taught_in(exam)
    return missing


def submit(exam: ExamPlan, *, actor: Actor) -> None:
    """提交审核 (I23, C9). Raises `Invalid` saying what is missing, `Conflict` when it is submitted already."""
    with transaction() as session:
        seats.lock(exam.plan_id)  # while this is submitted, nobody unlocks the attendance it stands on
        session.refresh(exam, with_for_update={"of": type(exam)})
        if exam.editable and (missing := missing_for_submission(exam)):
            raise Invalid(" ".join(missing))
        workflow.take_step(exam, "submit", actor=actor)


def confirm_online(exam: ExamPlan, *, actor: Actor) -> None:
    """确认线上考核 (I24): send the roster to the exam system, then record it, once.

    The exam system is asked outside any transaction; asking twice is harmless to it, and only one of two clicks is
    recorded. Raises `Conflict` before approval, or when it is confirmed already; `PortalError` when the exam system
    refuses (a person must act) or cannot be reached (the same button again, later).
    """
    if actor.institution_id is None or actor.institution_id != exam.institution_id:
        raise NotFound(_("没有找到这条记录，或您无权查看。"))
    if exam.review_state != "approved":
        raise Conflict(_("考核计划审核通过后才能确认线上考核。"))
    if exam.online_confirmed_at is not None:
        raise Conflict(_("线上考核已于 %(at)s 确认，无需重复操作。", at=presentation.moment(exam.online_confirmed_at)))
    exam_id, number, name, starts_at, ends_at = exam.id, exam.number, exam.name, exam.starts_at, exam.ends_at
    roster = _roster(exam_id)
    if not roster:
        raise Conflict(_("该考核计划没有考生，不能确认线上考核。"))
    let_go()
    try:
        gateways().exam.open_session(number, name, starts_at, ends_at, roster)
    except GatewayError as error:
        log.error("exam %s was not opened: %s", number, error)
        if error.permanent:
            raise PortalError(_("考试系统没有接受本次考核的考生名单（代码 %(code)s）。请联系系统管理员核对后再确认。",
                                code=error.code or "—")) from None
        raise PortalError(_("考试系统暂时联系不上，本次考核尚未确认。请稍后再点一次，不会重复。")) from None
    with transaction() as session:
        won = session.execute(
            update(ExamPlan).where(ExamPlan.id == exam_id, ExamPlan.review_state == "approved",
                                   ExamPlan.online_confirmed_at.is_(None))
            .values(online_confirmed_at=clock.now()).returning(ExamPlan.id).execution_options(synchronize_session=False)).first()
        if won is not None:
            audit.record(actor, "confirm_online_exam", exam, {"number": number, "people": len(roster)})
    db.session.expire_all()


def _roster(exam_id: int) -> list[Candidate]:
    rows = db.session.execute(
        select(Sitting.ticket_number, Enrolment.name, Enrolment.id_number, Occupation.name, SkillLevel.name)
        .join(Enrolment, Sitting.enrolment_id == Enrolment.id).join(Occupation, Enrolment.occupation_id == Occupation.id)
        .join(SkillLevel, Enrolment.level_id == SkillLevel.id).where(Sitting.exam_plan_id == exam_id, Enrolment.state == "enrolled")
        .order_by(Sitting.ticket_number))
    return [Candidate(*row) for row in rows]
