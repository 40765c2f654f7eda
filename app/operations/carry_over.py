"""缺勤转入: who missed an earlier class of the institution goes on in another plan of its own, without paying again (I16, C4).

The new enrolment takes a seat and keeps data and photos; `carried_from` leads to the absence, whose order has the money. An
absence is carried over once, and is free again where that is undone before the class opens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, Select, and_, exists, func, insert, literal, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from app import audit, clock, notices, presentation, scope, workflow
from app.actors import Actor
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.extensions import db, transaction
from app.operations import seats
from app.sets import among
from app.workflow import ENROLMENT_MOVES
from models import Enrolment, Order, PlanOccupation, TrainingPlan, Withdrawal
from models.rosters import LIVE

# What the new enrolment takes over as it is; sealed columns are copied sealed.
_SAME = ("enterprise_id", "institution_id", "name", "id_number", "id_number_index", "phone", "phone_index", "sex", "birth",
         "occupation_id", "level_id", "title_id", "education_id", "note", "portrait_id", "id_front_id")


def obstacle(plan: TrainingPlan) -> str:
    """Why nobody can be carried over into this plan now, as a sentence; empty when it can be done."""
    if plan.review_state != "approved":
        return _("培训计划审核通过后，才能转入缺勤人员。")
    if plan.cancelled_at is not None:
        return _("该计划已于 %(at)s 取消，不能转入人员。", at=presentation.moment(plan.cancelled_at))
    if plan.class_opened_at is not None:
        return _("该计划已于 %(at)s 开班，不能再转入或移出人员。", at=presentation.moment(plan.class_opened_at))
    return ""


def _absent_for(plan: TrainingPlan) -> ColumnElement[bool]:
    """Absences that may be carried over into this plan: of an own class whose attendance is confirmed, for an occupation and level
    that the plan teaches, not carried over yet, of people who are live nowhere else for it (C15)."""
    taught = select(PlanOccupation.occupation_id, PlanOccupation.level_id).where(PlanOccupation.plan_id == plan.id)
    earlier, other, running = aliased(TrainingPlan), aliased(Enrolment), aliased(TrainingPlan)
    confirmed = exists(select(earlier.id).where(
        earlier.id == Enrolment.plan_id, earlier.attendance_confirmed_at.is_not(None), earlier.institution_id == plan.institution_id))
    elsewhere = and_(other.occupation_id == Enrolment.occupation_id, other.level_id == Enrolment.level_id,
                     running.attendance_confirmed_at.is_(None), running.cancelled_at.is_(None))
    live = exists(select(other.id).join(running, other.plan_id == running.id).where(
        other.id_number_index == Enrolment.id_number_index, other.state.in_(LIVE), or_(other.plan_id == plan.id, elsewhere)))
    return and_(Enrolment.institution_id == plan.institution_id, Enrolment.plan_id != plan.id, Enrolment.state == "enrolled",
                Enrolment.attendance == "absent", Enrolment.carried_at.is_(None), confirmed,
                tuple_(Enrolment.occupation_id, Enrolment.level_id).in_(taught), ~live)


def candidates(plan: TrainingPlan, *, actor: Actor) -> Select[Enrolment]:
    """The absences this person may carry over into a plan; refine it with where, order_by and options."""
    return scope.visible(actor, Enrolment).where(_absent_for(plan))


def carried(plan: TrainingPlan, *, actor: Actor) -> Select[Enrolment]:
    """Who was carried over into a plan."""
    return scope.visible(actor, Enrolment).where(
        Enrolment.plan_id == plan.id, Enrolment.state == "enrolled", Enrolment.carried_from_id.is_not(None))


def _own(plan_id: int, actor: Actor) -> TrainingPlan:
    """The plan as it is now, locked, and open to the act."""
    if actor.institution_id is None:
        raise Forbidden(_("只有培训机构可以转入缺勤人员。"))
    plan = seats.lock(plan_id)
    if plan.institution_id != actor.institution_id:
        raise NotFound(_("没有找到这条记录，或您无权查看。"))
    if reason := obstacle(plan):
        raise Conflict(reason)
    return plan


def add(plan: TrainingPlan, ids: Iterable[int], *, actor: Actor) -> int:
    """Carry these absences over, all that may be or none for want of seats. Returns how many.

    Of a person who missed two classes the later absence is taken. Raises `Invalid` when nobody was chosen, `Conflict` when seats
    are lacking, the class has opened, or none of them may be carried over (any more).
    """
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        raise Invalid(_("请先勾选要转入的人员。"))
    try:
        with transaction():
            return _add(_own(plan.id, actor), wanted, actor)
    except IntegrityError as error:
        # The tables' own guards (enrolment_live_once, enrolment_carried_once) saw what the checks could not.
        raise Conflict(_("这些人员的报名情况刚刚发生变化，没有转入。请刷新页面后再试。")) from error


def _add(plan: TrainingPlan, wanted: Sequence[int], actor: Actor) -> int:
    session = db.session
    latest = select(func.max(Enrolment.id)).where(among(Enrolment.id, wanted), _absent_for(plan)).group_by(Enrolment.id_number_index)
    chosen = list(session.scalars(latest))
    # Compare-and-set: of two who carry the same absence over, one finds it taken.
    taken = list(session.scalars(
        update(Enrolment).where(among(Enrolment.id, chosen), Enrolment.carried_at.is_(None), Enrolment.state == "enrolled",
                                Enrolment.attendance == "absent")
        .values(carried_at=clock.now()).returning(Enrolment.id).execution_options(synchronize_session=False)))
    if not taken:
        raise Conflict(_("所选人员已转入其他计划，或不符合条件。请刷新页面查看。"))
    if not seats.take(plan.id, len(taken), enrolling=False):
        left = seats.lock(plan.id).seats_left
        raise Conflict(_("名额不足：需要 %(n)s 个，只剩 %(left)s 个，没有转入。", n=len(taken), left=left))
    _copy(plan, taken)
    audit.record(actor, "carry_over", plan, {"plan": plan.name, "people": len(taken), "enrolments": taken})
    _tell("carried_over", plan, taken)
    session.expire_all()
    return len(taken)


def _copy(plan: TrainingPlan, taken: Sequence[int]) -> None:
    """One INSERT ... SELECT: the people as they were enrolled, in the new plan."""
    columns = Enrolment.__table__.c
    fresh = {"plan_id": plan.id, "authority_id": plan.authority_id, "state": "enrolled", "created_at": clock.now()}
    values = [literal(value, columns[name].type) for name, value in fresh.items()]
    rows = select(columns.id, *(columns[name] for name in _SAME), *values).where(among(columns.id, taken)).order_by(columns.id)
    db.session.execute(insert(Enrolment).from_select(["carried_from_id", *_SAME, *fresh], rows, include_defaults=False))


def _tell(event: str, plan: TrainingPlan, absences: Sequence[int]) -> None:
    """Tell each enterprise of its people, by the enrolment in this plan; where that is undone, by the absence."""
    key = Enrolment.carried_from_id if event == "carried_over" else Enrolment.id
    rows = db.session.execute(select(Enrolment.enterprise_id, Enrolment.id, Enrolment.name).where(
        among(key, absences), Enrolment.state == "enrolled").order_by(Enrolment.id)).all()
    notices.tell_each(event, "enrolment", rows, name="name", remark=plan.name)


def undo(plan: TrainingPlan, ids: Iterable[int], *, actor: Actor) -> int:
    """Take people who were carried over out again: the seat is free, the absence may be carried over anew. Returns how many.

    Raises `Conflict` once the class has opened, `Invalid` when nobody was chosen.
    """
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        raise Invalid(_("请先勾选要移出的人员。"))
    with transaction():
        plan = _own(plan.id, actor)
        moved = put_back(plan, wanted)
        if not moved:
            raise Conflict(_("所选人员的状态已变化，没有移出。请刷新页面查看。"))
        audit.record(actor, "undo_carry_over", plan, {"plan": plan.name, "people": len(moved), "enrolments": moved})
        _tell("carry_over_undone", plan, moved)
    db.session.expire_all()
    return len(moved)


def put_back(plan: TrainingPlan, ids: Sequence[int]) -> list[int]:
    """Give the absences of these people back, inside the caller's transaction, the plan locked. Returns the absences."""
    session = db.session
    here = session.scalars(select(Enrolment.id).where(
        among(Enrolment.id, ids), Enrolment.plan_id == plan.id, Enrolment.carried_from_id.is_not(None)))
    moved = workflow.move(Enrolment, here, "state", ENROLMENT_MOVES, "enrolled", "discarded")
    if not moved:
        return []
    seats.give_back(plan.id, len(moved))
    # What was asked for a person who is no longer here needs no answer.
    asked = list(session.scalars(select(Withdrawal.id).where(among(Withdrawal.enrolment_id, moved), Withdrawal.state == "asked")))
    workflow.move(Withdrawal, asked, "state", workflow.REQUEST_MOVES, "asked", "taken_back", decided_at=clock.now())
    absences = [each for each in session.scalars(select(Enrolment.carried_from_id).where(among(Enrolment.id, moved))) if each]
    session.execute(update(Enrolment).where(among(Enrolment.id, absences)).values(carried_at=None)
                    .execution_options(synchronize_session=False))
    return absences


def gone_on_as(person: Enrolment) -> Enrolment | None:
    """The enrolment with which an absent person goes on in another plan."""
    if person.carried_at is None:
        return None
    return db.session.scalars(select(Enrolment).where(
        Enrolment.carried_from_id == person.id, Enrolment.state != "discarded")).first()


def paid_by(person: Enrolment) -> Order | None:
    """The order that paid for a person, whatever plan it was for: of who was carried over that of the first absence."""
    first = person
    while first.order_id is None and first.carried_from is not None:
        first = first.carried_from
    return db.session.get(Order, first.order_id) if first.order_id is not None else None
