"""候补: waiting for seats of a full plan, in line. What frees seats and who is offered them is `app.operations.offers`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import joinedload

from app import audit, clock, scope
from app.actors import Actor
from app.errors import Conflict, Forbidden, Invalid
from app.extensions import db, transaction
from app.operations import offers, orders, seats
from models import Enterprise, TrainingPlan, WaitlistEntry
from models.waitlist import WAITING


@dataclass(frozen=True)
class Line:
    """How many wait for a plan, and for how many seats."""

    enterprises: int = 0
    people: int = 0


def join(plan: TrainingPlan, people: int, least: int, *, actor: Actor) -> WaitlistEntry:
    """Stand in line for `people` seats of a full plan; fewer than `least` are of no use and go to the next. A second click
    answers with the first one's place.

    Raises `Invalid` for a number that cannot be, or where seats are there to be had now; `Conflict` when the plan does not enrol;
    `Forbidden` when the enterprise may not (E7).
    """
    _check_enterprise(actor)
    with transaction() as session:
        plan = seats.lock(plan.id)
        _check_open(plan, actor)
        orders.release_overdue(plan.id)
        if (there := mine(plan.id, actor)) is not None:
            return there
        _check_numbers(seats.lock(plan.id), people, least)
        assert actor.enterprise_id is not None
        entry = WaitlistEntry(plan_id=plan.id, enterprise_id=actor.enterprise_id, institution_id=plan.institution_id, people=people,
                              least=least, state="waiting", offered=0, created_at=clock.now(), created_by_id=actor.user_id)
        session.add(entry)
        session.flush()
        audit.record(actor, "join_waitlist", entry, {"people": people, "least": least})
        seats.freed(plan.id)
    return entry


def _check_enterprise(actor: Actor) -> None:
    if actor.enterprise_id is None or not db.session.get_one(Enterprise, actor.enterprise_id).may_enrol:
        raise Forbidden(_("贵单位的注册信息尚未通过主管部门审核，暂不能报名。请在“企业信息”页查看审核状态。"))


def _check_open(plan: TrainingPlan, actor: Actor) -> None:
    if not plan.enrolling or not scope.sees(actor, plan):
        raise Conflict(_("培训计划“%(name)s”现在不能报名，也不能候补。", name=plan.name))


def _check_numbers(plan: TrainingPlan, people: int, least: int) -> None:
    """Only what is not there can be waited for: nobody reserves free seats by standing in line."""
    if not 1 <= people <= plan.seats:
        raise Invalid(_("候补人数请填写 1 到 %(n)s 之间的整数。", n=plan.seats), "people")
    if not 1 <= least <= people:
        raise Invalid(_("“至少需要”的人数不能超过候补人数。"), "least")
    if plan.seats_left >= least:
        raise Invalid(_("现在还有 %(n)s 个名额，请直接导入名单、生成订单。", n=plan.seats_left), "people")


def leave(entry: WaitlistEntry, *, actor: Actor) -> None:
    """退出候补, or decline an offer: the next in line is offered. Raises `Conflict` when it is over already."""
    with transaction() as session:
        seats.lock(entry.plan_id)
        session.refresh(entry)
        if entry.state not in WAITING or not offers.end(entry, "declined"):
            raise Conflict(_("这项候补已经结束。请刷新页面查看最新状态。"))
        audit.record(actor, "leave_waitlist", entry)
        seats.freed(entry.plan_id)


def mine(plan_id: int, actor: Actor) -> WaitlistEntry | None:
    """This enterprise's place in a plan's line. An offer whose time is over is none, whether a job has ended it or not."""
    entry = db.session.scalars(scope.visible(actor, WaitlistEntry).where(
        WaitlistEntry.plan_id == plan_id, WaitlistEntry.state.in_(WAITING)).execution_options(populate_existing=True)).first()
    return entry if entry is not None and (entry.state == "waiting" or entry.open_offer) else None


def before(entry: WaitlistEntry) -> int:
    """How many stand before this one."""
    return db.session.scalar(select(func.count()).select_from(WaitlistEntry).where(
        WaitlistEntry.plan_id == entry.plan_id, WaitlistEntry.state == "waiting", WaitlistEntry.id < entry.id)) or 0


def waited_for() -> ColumnElement[bool]:
    """Asked of `TrainingPlan`: an enterprise stands in its line, and the plan may still be enrolled in."""
    line = select(WaitlistEntry.plan_id).where(WaitlistEntry.state.in_(WAITING))
    return TrainingPlan.id.in_(line) & TrainingPlan.class_opened_at.is_(None) & TrainingPlan.cancelled_at.is_(None)


def line_of(plan: TrainingPlan, actor: Actor) -> list[WaitlistEntry]:
    """Who stands in a plan's line, in its order; for its institution."""
    return list(db.session.scalars(scope.visible(actor, WaitlistEntry).where(
        WaitlistEntry.plan_id == plan.id, WaitlistEntry.state.in_(WAITING)).order_by(WaitlistEntry.id)
        .options(joinedload(WaitlistEntry.enterprise))))


def lines(plan_ids: Iterable[int]) -> dict[int, Line]:
    """Who waits for each of these plans; for its institution."""
    rows = db.session.execute(select(WaitlistEntry.plan_id, func.count(), func.sum(WaitlistEntry.people)).where(
        WaitlistEntry.plan_id.in_(list(plan_ids)), WaitlistEntry.state.in_(WAITING)).group_by(WaitlistEntry.plan_id))
    return {row[0]: Line(row[1], int(row[2])) for row in rows}
