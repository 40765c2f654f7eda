"""申请解锁考勤: what was confirmed is opened again only by the authority, with a reason, and never behind an exam's back."""

from __future__ import annotations

from flask_babel import gettext as _
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from app import audit, clock, notices, workflow
from app.actors import Actor
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.extensions import db, transaction
from app.operations import seats
from app.operations.attendance import own_plan, people_of
from app.workflow import UNLOCK_MOVES
from models import AttendanceUnlock, Enrolment, ExamPlan, TrainingPlan

LONGEST_REASON = 500


def obstacle_to_unlocking(plan: TrainingPlan) -> str:
    """Why confirmed attendance must stay as it is, as a sentence; empty when it may be opened again."""
    if plan.attendance_confirmed_at is None:
        return _("考勤还没有确认，可以直接修改。")
    exam = db.session.scalars(select(ExamPlan.name).where(
        ExamPlan.plan_id == plan.id, ExamPlan.review_state.not_in(("draft", "rejected"))).order_by(ExamPlan.id)).first()
    if exam is not None:
        return _("考核计划“%(name)s”已按这份考勤上报，考生名单以它为准，不能再解锁。如须更改，请先撤回考核计划。", name=exam)
    return _carried_over(plan)


def carried_into(plan: TrainingPlan) -> list[TrainingPlan]:
    """The later classes in which people go on who were away from this one."""
    onwards = aliased(Enrolment)
    return list(db.session.scalars(
        select(TrainingPlan).where(TrainingPlan.id.in_(
            select(onwards.plan_id).join(Enrolment, onwards.carried_from_id == Enrolment.id)
            .where(people_of(plan), Enrolment.carried_at.is_not(None), onwards.state == "enrolled")))
        .order_by(TrainingPlan.id)))


def _carried_over(plan: TrainingPlan) -> str:
    """An absence that someone went on from in a later class stays one (I16)."""
    names = db.session.scalars(select(Enrolment.name).where(people_of(plan), Enrolment.carried_at.is_not(None))
                               .order_by(Enrolment.id)).all()
    if not names:
        return ""
    named = "、".join(names[:5]) + (_(" 等") if len(names) > 5 else "")
    later = carried_into(plan)
    words = _("%(names)s 因本班缺勤已转入“%(plans)s”继续培训，不能再解锁。", names=named, plans="、".join(each.name for each in later))
    opened = [each.name for each in later if each.class_opened_at is not None]
    if opened:
        return words + _("“%(plans)s”已开班，转入不能再撤销。", plans="、".join(opened))
    return words + _("如须更改，请先在该计划的“缺勤转入”中移出。")


def open_request(plan: TrainingPlan) -> AttendanceUnlock | None:
    """The request that waits for the authority."""
    return db.session.scalars(select(AttendanceUnlock).where(
        AttendanceUnlock.plan_id == plan.id, AttendanceUnlock.state == "asked")).first()


def requests_of(plan: TrainingPlan) -> list[AttendanceUnlock]:
    """Every request about a class, newest first."""
    return list(db.session.scalars(select(AttendanceUnlock).where(AttendanceUnlock.plan_id == plan.id)
                                   .order_by(AttendanceUnlock.id.desc())))


def _reason(text: str, message: object, field: str) -> str:
    words = text.strip()
    if not words:
        raise Invalid(message, field)
    if len(words) > LONGEST_REASON:
        raise Invalid(_("备注不能超过 500 个字。"), field)
    return words


def ask(plan: TrainingPlan, reason: str, *, actor: Actor) -> AttendanceUnlock:
    """Ask for it (I20). Raises `Invalid` without a reason, `Conflict` when it may not be, or is asked for already."""
    words = _reason(reason, _("请填写申请解锁的原因，主管部门将据此办理。"), "remark")
    try:
        with transaction() as session:
            plan = own_plan(plan.id, actor)
            if why := obstacle_to_unlocking(plan):
                raise Conflict(why)
            if open_request(plan) is not None:
                raise Conflict(_("已申请解锁，正在等待主管部门办理。"))
            row = AttendanceUnlock(plan_id=plan.id, institution_id=plan.institution_id, authority_id=plan.authority_id, state="asked",
                                   reason=words, asked_at=clock.now(), asked_by_name=actor.name)
            session.add(row)
            session.flush()
            audit.record(actor, "ask_attendance_unlock", plan, {"reason": words})
            notices.tell("unlock_asked", "attendance_unlock", ids=[row.id], name=plan.name, authority_id=plan.authority_id)
    except IntegrityError as error:
        raise Conflict(_("已申请解锁，正在等待主管部门办理。")) from error
    return row


def drop(plan: TrainingPlan, *, actor: Actor) -> None:
    """Take the request back. Raises `Conflict` when the authority was faster."""
    with transaction():
        plan = own_plan(plan.id, actor)
        row = open_request(plan)
        if row is None or not workflow.move(AttendanceUnlock, [row.id], "state", UNLOCK_MOVES, "asked", "dropped"):
            raise Conflict(_("没有等待办理的解锁申请。"))
        audit.record(actor, "drop_attendance_unlock", plan)


def decide(row: AttendanceUnlock, verdict: str, remark: str, *, actor: Actor) -> None:
    """解锁 (granted) or 不同意 (refused, with a reason), by the authority of the class. A granted one opens the attendance again in
    the same transaction: marks stay, the result goes. Raises `Conflict` when it was decided or an exam plan submitted meanwhile."""
    if actor.authority_id is None:
        raise Forbidden(_("只有主管部门可以办理考勤解锁。"))
    if actor.authority_id != row.authority_id:
        raise NotFound(_("没有找到这条记录，或您无权查看。"))
    words = remark.strip()[:LONGEST_REASON]
    if verdict == "refused":
        words = _reason(remark, _("请填写不同意的原因，培训机构会看到。"), "remark")
    with transaction() as session:
        plan = seats.lock(row.plan_id)
        if verdict == "granted" and (why := obstacle_to_unlocking(plan)):
            raise Conflict(why)
        moved = workflow.move(AttendanceUnlock, [row.id], "state", UNLOCK_MOVES, "asked", verdict, decided_at=clock.now(),
                              decided_by_id=actor.user_id, decided_by_name=actor.name, remark=words)
        if not moved:
            raise Conflict(_("这项申请已经办理或撤销，请刷新页面查看。"))
        if verdict == "granted":
            plan.attendance_confirmed_at = None
            session.execute(update(Enrolment).where(people_of(plan)).values(attendance=None).execution_options(synchronize_session=False))
            if why := _carried_over(plan):  # someone was faster, and the rows of this class are locked only now
                raise Conflict(why)
        audit.record(actor, "unlock_attendance" if verdict == "granted" else "refuse_attendance_unlock", plan, {"reason": words})
        notices.tell("unlock_granted" if verdict == "granted" else "unlock_refused", "attendance_unlock", ids=[row.id], name=plan.name,
                     remark=words, institution_id=plan.institution_id)
    db.session.expire_all()
