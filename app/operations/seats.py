"""The seats of a plan: taken and given back by conditional UPDATEs, never read and then written (E11, E16, C5).

Whoever changes seats locks the plan first, then orders, then people, then payments: one order of locks, so that two who
meet wait for each other and never for ever.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, select, text
from sqlalchemy.orm import aliased

from app import audit, clock, workflow
from app.actors import SYSTEM
from app.extensions import db, transaction
from app.operations import offers, seat_counter
from app.operations.seat_counter import lock
from app.workflow import ENROLMENT_MOVES
from models import Enrolment, Order, TrainingPlan, WaitlistEntry
from models.rosters import LIVE, lacks_photo

__all__ = ["already_live", "differences", "drafts_of", "enrol", "freed", "give_back", "hold", "let_drop", "lock", "queue_up",
           "record_differences", "take"]


def take(plan_id: int, people: int, *, enrolling: bool = True, offer: int = 0) -> bool:
    """Take that many seats at once, or none: True when they were there.

    With `enrolling` the plan must also be approved, within its enrolment window and not opened as a class (E11); without
    it only the seats count, for a payment that comes after its order ended (C6). `offer` is how many seats are reserved for
    the buyer: the reservation is used up. Seats reserved for others are not there, and a cancelled plan has none.
    """
    at = clock.now()
    wanted: list[ColumnElement[bool]] = [TrainingPlan.cancelled_at.is_(None)]
    if enrolling:
        wanted += [TrainingPlan.review_state == "approved", TrainingPlan.class_opened_at.is_(None),
                   TrainingPlan.enrolment_opens_at <= at, TrainingPlan.enrolment_closes_at > at]
    return seat_counter.change(plan_id, *wanted, taken=people, reserved=-offer)


def give_back(plan_id: int, people: int) -> None:
    """Give back seats that were taken, and offer them to who waits. The table's CHECK stops a count below zero."""
    if not seat_counter.change(plan_id, taken=-people):
        raise RuntimeError(f"plan {plan_id} is not there to take {people} seats back")
    freed(plan_id)


def freed(plan_id: int) -> None:
    """Seats of a plan may have become free: who waits is offered them. Inside the transaction that freed them, the plan locked.

    `give_back` and `let_drop` have called it already; who makes a plan larger, or ends its enrolment, calls it.
    """
    offers.go_on(plan_id)


def drafts_of(batch_id: int) -> list[Enrolment]:
    """The people of a batch whom no order holds, in the order of the workbook."""
    return list(db.session.scalars(
        select(Enrolment).where(Enrolment.batch_id == batch_id, Enrolment.state == "draft").order_by(Enrolment.id)))


def hold(order: Order) -> bool:
    """Move the drafts of the order's batch under the order; False when they are not the number it is for, or a photo was taken
    away meanwhile (E15)."""
    ids = db.session.scalars(select(Enrolment.id).where(
        Enrolment.batch_id == order.batch_id, Enrolment.state == "draft", ~lacks_photo()))
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


# Made once: building a statement over an alias costs more than asking it.
_OTHER, _PLAN = aliased(Enrolment), aliased(TrainingPlan)
_HERE = _OTHER.plan_id == bindparam("plan_id")
_ELSEWHERE = and_(_OTHER.occupation_id == Enrolment.occupation_id, _OTHER.level_id == Enrolment.level_id,
                  _PLAN.attendance_confirmed_at.is_(None), _PLAN.cancelled_at.is_(None))
_ALREADY_LIVE = select(Enrolment).where(
    Enrolment.batch_id == bindparam("batch_id"), Enrolment.state == "draft",
    exists(select(_OTHER.id).join(_PLAN, _OTHER.plan_id == _PLAN.id).where(
        _OTHER.id_number_index == Enrolment.id_number_index, _OTHER.state.in_(LIVE), _HERE | _ELSEWHERE))).order_by(Enrolment.id)


# So many queues are enough that two orders seldom share one by chance, and few enough for one order to stand in all of them.
QUEUES = 512


def queue_up(batch_id: int) -> None:
    """Until this transaction ends, other orders of these people wait, in whatever plan (C15): each plan's lock knows only its own
    seats, and `already_live` sees only what is committed. SQLite has one writer anyway.

    Call it before any plan is locked, so that nobody waits crosswise.
    """
    if db.session.get_bind().dialect.name == "postgresql":
        db.session.execute(text(
            "SELECT pg_advisory_xact_lock(15, queue) FROM (SELECT DISTINCT (get_byte(id_number_index, 0) * 256 "
            "+ get_byte(id_number_index, 1)) % :queues AS queue FROM enrolment WHERE batch_id = :batch ORDER BY queue) AS queued"),
            {"queues": QUEUES, "batch": batch_id})


def already_live(batch_id: int, plan_id: int) -> list[Enrolment]:
    """Drafts of the batch whose person is already live (C15): in this plan, or for the same occupation and level in
    another plan whose training is not over."""
    return list(db.session.scalars(_ALREADY_LIVE, {"batch_id": batch_id, "plan_id": plan_id}))


def differences() -> list[tuple[TrainingPlan, int, int]]:
    """Plans whose counters are not what they count, with the people who have a seat and the seats that open offers reserve.
    One statement, so that all sides are of the same moment."""
    live = (select(Enrolment.plan_id, func.count().label("people")).where(Enrolment.state.in_(LIVE))
            .group_by(Enrolment.plan_id).subquery())
    open_ = (select(WaitlistEntry.plan_id, func.sum(WaitlistEntry.offered).label("offered")).where(WaitlistEntry.state == "offered")
             .group_by(WaitlistEntry.plan_id).subquery())
    people, offered = func.coalesce(live.c.people, 0), func.coalesce(open_.c.offered, 0)
    rows = db.session.execute(
        select(TrainingPlan, people, offered).outerjoin(live, live.c.plan_id == TrainingPlan.id)
        .outerjoin(open_, open_.c.plan_id == TrainingPlan.id)
        .where((TrainingPlan.seats_taken != people) | (TrainingPlan.seats_reserved != offered)).order_by(TrainingPlan.id))
    return [(row[0], int(row[1]), int(row[2])) for row in rows]


def record_differences() -> int:
    """Write each difference to the audit record; nothing is mended unseen. Returns how many plans there were."""
    with transaction():
        found = differences()
        for plan, people, offered in found:
            if plan.seats_taken != people:
                audit.record(SYSTEM, "seats_differ", plan, {"counter": plan.seats_taken, "people": people})
            if plan.seats_reserved != offered:
                audit.record(SYSTEM, "seats_differ", plan, {"reserved": plan.seats_reserved, "offers": offered})
    return len(found)
