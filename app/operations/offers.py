"""Offers to who waits: free seats are reserved for the next in line for a set time (docs/money.md, Waiting list).

`go_on` is the one way: it ends what is over, offers what is free, and closes the line when the enrolment has ended. Whoever
frees seats calls it by `seats.freed`, in the same transaction, so that nobody who comes later gets between. An offer past its time
is over even if no job ran: every reader looks at the clock, and every buyer who finds no seat calls `go_on` first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from sqlalchemy import and_, or_, select

from app import audit, clock, jobs, notices, parameters, workflow
from app.actors import SYSTEM
from app.extensions import db, transaction
from app.operations import seat_counter
from app.operations.notice_texts import after_quiet
from app.presentation import moment
from app.workflow import WAITLIST_MOVES
from models import TrainingPlan, WaitlistEntry
from models.waitlist import WAITING

OFFER_JOB = "end_offer"


class Waiter(Protocol):
    """What is needed of who waits to know what they are offered."""

    @property
    def people(self) -> int: ...

    @property
    def least(self) -> int: ...


Each = TypeVar("Each", bound=Waiter)


def allot(free: int, line: Iterable[Each]) -> Iterator[tuple[Each, int]]:
    """Who of a line is offered how many of the free seats: first come, first served, each as many as it wants or as are left.
    Who could not use so few is passed over and keeps the place, so that no seat stays empty for somebody's sake."""
    for entry in line:
        if free and free >= entry.least:
            share = min(free, entry.people)
            yield entry, share
            free -= share


def go_on(plan_id: int) -> None:
    """Bring a plan's line up to date. Inside a transaction; locks the plan where anybody waits."""
    line = _line(plan_id)
    if not line:
        return
    plan = seat_counter.lock(plan_id)
    line = _line(plan_id)  # as it is under the lock
    if not plan.enrolling:
        for entry in line:
            _close(entry)
        return
    for entry in line:
        if entry.state == "offered" and not entry.open_offer:
            _lapse(entry)
    db.session.refresh(plan, ["seats_taken", "seats_reserved"])
    for entry, share in allot(plan.seats_left, [each for each in line if each.state == "waiting"]):
        _offer(plan, entry, share)


def _line(plan_id: int) -> list[WaitlistEntry]:
    return list(db.session.scalars(
        select(WaitlistEntry).where(WaitlistEntry.plan_id == plan_id, WaitlistEntry.state.in_(WAITING)).order_by(WaitlistEntry.id)
        .execution_options(populate_existing=True)))


def _offer(plan: TrainingPlan, entry: WaitlistEntry, share: int) -> None:
    until = _until(plan)
    if not seat_counter.change(plan.id, reserved=share):
        raise RuntimeError(f"plan {plan.id} changed under our lock")
    if not workflow.move(WaitlistEntry, [entry.id], "state", WAITLIST_MOVES, "waiting", "offered", offered=share, offer_until=until):
        raise RuntimeError(f"the place {entry.id} of plan {plan.id} changed under our lock")
    jobs.schedule(OFFER_JOB, entry.id, due_at=until, enterprise_id=entry.enterprise_id)
    audit.record(SYSTEM, "offer_seats", entry, {"seats": share, "until": until.isoformat()})
    notices.tell("seats_offered", "training_plan", ids=[plan.id], name=plan.name, remark=moment(until),
                 enterprise_id=entry.enterprise_id)


def _until(plan: TrainingPlan) -> datetime:
    """When an offer made now ends. What comes at night counts from eight in the morning: nobody is told before."""
    until = after_quiet(clock.now().replace(microsecond=0)) + timedelta(minutes=parameters.number("offer_minutes"))
    return min(until, plan.enrolment_closes_at)


def _lapse(entry: WaitlistEntry) -> None:
    if end(entry, "lapsed"):
        audit.record(SYSTEM, "lapse_offer", entry)
        notices.tell("offer_lapsed", "training_plan", ids=[entry.plan_id], name=entry.plan.name, enterprise_id=entry.enterprise_id)


def _close(entry: WaitlistEntry) -> None:
    if end(entry, "closed"):
        audit.record(SYSTEM, "close_waitlist", entry)
        notices.tell("waitlist_closed", "training_plan", ids=[entry.plan_id], name=entry.plan.name, enterprise_id=entry.enterprise_id)


def end(entry: WaitlistEntry, state: str) -> bool:
    """End a place in line by compare-and-set, and give back what was reserved for it. The plan is locked; `go_on` comes after."""
    reserved, before = entry.offered, entry.state
    if not workflow.move(WaitlistEntry, [entry.id], "state", WAITLIST_MOVES, before, state, offered=0):
        return False
    if reserved:
        seat_counter.change(entry.plan_id, reserved=-reserved)
    return True


def used(entry: WaitlistEntry, people: int, order_id: int) -> None:
    """An order for `people` was made of an offer, whose reservation became its seats. Who got fewer than wanted, because there
    were no more, keeps the place for the rest. The plan is locked."""
    rest = entry.people - people if people >= entry.offered else 0
    if rest > 0:
        moved = workflow.move(WaitlistEntry, [entry.id], "state", WAITLIST_MOVES, "offered", "waiting", offered=0, people=rest,
                              least=min(entry.least, rest), order_id=order_id)
    else:
        moved = workflow.move(WaitlistEntry, [entry.id], "state", WAITLIST_MOVES, "offered", "accepted", offered=0, order_id=order_id)
    if not moved:
        raise RuntimeError(f"the offer {entry.id} changed under our lock")


def of(plan_id: int, enterprise_id: int) -> WaitlistEntry | None:
    """The open offer an enterprise has for seats of a plan."""
    return db.session.scalars(select(WaitlistEntry).where(
        WaitlistEntry.plan_id == plan_id, WaitlistEntry.enterprise_id == enterprise_id, WaitlistEntry.state == "offered",
        WaitlistEntry.offer_until > clock.now()).execution_options(populate_existing=True)).first()


def run_end(entry_id: int, report: Callable[[int, int], None]) -> None:
    """Job, due when an offer's time is over: it lapses, and the next in line is offered. Safe twice."""
    with transaction() as session:
        entry = session.get_one(WaitlistEntry, entry_id, populate_existing=True)
        seat_counter.lock(entry.plan_id)
        go_on(entry.plan_id)
    report(1, 1)


def take_up_forgotten() -> None:
    """Lines in which something is due and nobody did it: an offer past its time, an enrolment that ended, seats that are free."""
    at = clock.now()
    due = or_(and_(WaitlistEntry.state == "offered", WaitlistEntry.offer_until <= at),
              TrainingPlan.enrolment_closes_at <= at, TrainingPlan.class_opened_at.is_not(None), TrainingPlan.cancelled_at.is_not(None),
              TrainingPlan.review_state != "approved",
              and_(WaitlistEntry.state == "waiting",
                   TrainingPlan.seats_taken + TrainingPlan.seats_reserved < TrainingPlan.seats))
    plans = db.session.scalars(select(WaitlistEntry.plan_id).join(TrainingPlan, TrainingPlan.id == WaitlistEntry.plan_id)
                               .where(WaitlistEntry.state.in_(WAITING), due).distinct()).all()
    for plan_id in plans:
        with transaction():
            seat_counter.lock(plan_id)
            go_on(plan_id)
