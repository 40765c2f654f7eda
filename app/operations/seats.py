"""The seats of a plan: taken and given back by conditional UPDATEs, never read and then written (E11, E16, C5).

Whoever changes seats locks the plan first, then orders, then people, then payments: one order of locks, so that two who
meet wait for each other and never for ever.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, exists, func, select, update
from sqlalchemy.orm import aliased
from sqlalchemy.orm.util import identity_key

from app import audit, clock, workflow
from app.actors import SYSTEM
from app.extensions import db, transaction
from app.workflow import ENROLMENT_MOVES
from models import Enrolment, Order, TrainingPlan
from models.rosters import LIVE


def lock(plan_id: int) -> TrainingPlan:
    """The plan as it is now, locked until the transaction ends. SQLite has locked everything already."""
    return db.session.scalars(select(TrainingPlan).where(TrainingPlan.id == plan_id).with_for_update()
                              .execution_options(populate_existing=True)).one()


def take(plan_id: int, people: int, *, enrolling: bool = True) -> bool:
    """Take that many seats at once, or none: True when they were there.

    With `enrolling` the plan must also be approved, within its enrolment window and not opened as a class (E11); without
    it only the seats count, for a payment that comes after its order ended (C6). A cancelled plan has none.
    """
    at = clock.now()
    wanted = [TrainingPlan.id == plan_id, TrainingPlan.seats_taken + people <= TrainingPlan.seats,
              TrainingPlan.cancelled_at.is_(None)]
    if enrolling:
        wanted += [TrainingPlan.review_state == "approved", TrainingPlan.class_opened_at.is_(None),
                   TrainingPlan.enrolment_opens_at <= at, TrainingPlan.enrolment_closes_at > at]
    return _count(plan_id, update(TrainingPlan).where(*wanted).values(seats_taken=TrainingPlan.seats_taken + people))


def give_back(plan_id: int, people: int) -> None:
    """Give back seats that were taken. The table's CHECK stops a count below zero."""
    if not _count(plan_id, update(TrainingPlan).where(TrainingPlan.id == plan_id)
                  .values(seats_taken=TrainingPlan.seats_taken - people)):
        raise RuntimeError(f"plan {plan_id} is not there to take {people} seats back")


def _count(plan_id: int, statement: Any) -> bool:
    done = db.session.execute(statement.returning(TrainingPlan.id).execution_options(synchronize_session=False)).first()
    loaded = db.session.identity_map.get(identity_key(TrainingPlan, plan_id))
    if loaded is not None:
        db.session.expire(loaded, ["seats_taken"])  # the UPDATE went past it
    return done is not None


def drafts_of(batch_id: int) -> list[Enrolment]:
    """The people of a batch whom no order holds, in the order of the workbook."""
    return list(db.session.scalars(
        select(Enrolment).where(Enrolment.batch_id == batch_id, Enrolment.state == "draft").order_by(Enrolment.id)))


def hold(order: Order) -> bool:
    """Move the drafts of the order's batch under the order; False when they are not the number it is for."""
    ids = db.session.scalars(select(Enrolment.id).where(Enrolment.batch_id == order.batch_id, Enrolment.state == "draft"))
    moved = workflow.move(Enrolment, ids, "state", ENROLMENT_MOVES, "draft", "held", order_id=order.id)
    return len(moved) == order.people


def let_drop(order: Order) -> int:
    """Make drafts of the people an order held, and give back exactly their seats. Returns how many.

    Safe twice: people who are no longer held are not moved, and only who moved gives a seat back.
    """
    ids = db.session.scalars(select(Enrolment.id).where(Enrolment.order_id == order.id, Enrolment.state == "held"))
    moved = workflow.move(Enrolment, ids, "state", ENROLMENT_MOVES, "held", "draft", order_id=None)
    if moved:
        give_back(order.plan_id, len(moved))
    return len(moved)


def enrol(order: Order) -> int:
    """Enrol the people an order holds; they keep their seats. Returns how many."""
    ids = db.session.scalars(select(Enrolment.id).where(Enrolment.order_id == order.id, Enrolment.state == "held"))
    return len(workflow.move(Enrolment, ids, "state", ENROLMENT_MOVES, "held", "enrolled"))


def already_live(batch_id: int, plan_id: int) -> list[Enrolment]:
    """Drafts of the batch whose person is already live (C15): in this plan, or for the same occupation and level in
    another plan whose training is not over."""
    other, plan = aliased(Enrolment), aliased(TrainingPlan)
    here = other.plan_id == plan_id
    elsewhere = and_(other.occupation_id == Enrolment.occupation_id, other.level_id == Enrolment.level_id,
                     plan.attendance_confirmed_at.is_(None), plan.cancelled_at.is_(None))
    live = exists(select(other.id).join(plan, other.plan_id == plan.id).where(
        other.id_number_index == Enrolment.id_number_index, other.state.in_(LIVE), here | elsewhere))
    return list(db.session.scalars(select(Enrolment).where(
        Enrolment.batch_id == batch_id, Enrolment.state == "draft", live).order_by(Enrolment.id)))


def differences() -> list[tuple[TrainingPlan, int]]:
    """Plans whose counter is not the number of people who have a seat, with that number. One statement, so that both
    sides are of the same moment."""
    live = (select(Enrolment.plan_id, func.count().label("people")).where(Enrolment.state.in_(LIVE))
            .group_by(Enrolment.plan_id).subquery())
    people = func.coalesce(live.c.people, 0)
    rows = db.session.execute(select(TrainingPlan, people).outerjoin(live, live.c.plan_id == TrainingPlan.id)
                              .where(TrainingPlan.seats_taken != people).order_by(TrainingPlan.id))
    return [(row[0], int(row[1])) for row in rows]


def record_differences() -> int:
    """Write each difference to the audit record; nothing is mended unseen. Returns how many there were."""
    with transaction():
        found = differences()
        for plan, people in found:
            audit.record(SYSTEM, "seats_differ", plan, {"counter": plan.seats_taken, "people": people})
    return len(found)
