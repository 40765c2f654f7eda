"""What is looked after unattended: orders whose payment nobody reported, payments that stopped half-way, seats that do
not add up. The rows are the truth; a lost notification, a killed worker or an emptied queue only makes things later."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select

from app import clock, jobs
from app.extensions import db, transaction
from app.gateways.errors import GatewayError
from app.operations import invoices, offers, payments, refunds, seats
from models import Job, Order, Payment, Refund
from models.orders import ENDED

# How many orders one check asks about, and how long one that was asked about is left alone.
MOST_ASKED = 100
ASK_AGAIN = timedelta(minutes=2)
# An ended order is asked about after its end, for this long: its trade can begin no more after `expires_at`.
ASK_ENDED = timedelta(days=2)
# A refund whose job gave up is tried again this much later.
REFUND_AGAIN = timedelta(hours=1)
log = logging.getLogger("portal.orders")


def run_check(_subject: int, report: Callable[[int, int], None]) -> None:
    """Job of every two minutes: finish payments, ask about orders, take up what gave up. Safe twice."""
    _settle_received()
    _refund_forgotten()
    invoices.schedule_forgotten()
    offers.take_up_forgotten()
    numbers = _to_ask()
    for done, (order_id, number, overdue) in enumerate(numbers, 1):
        try:
            payments.ask(number)
        except GatewayError as error:
            db.session.rollback()
            log.warning("order %s: %s", number, error)
            if not error.permanent:
                break  # the gateway is away: the others wait for the next check as well
            payments.note_asked(number)
        if overdue:
            _expire_forgotten(order_id)
        report(done, len(numbers))


def _settle_received() -> None:
    """Payments written down but not brought to an end: whoever began was killed in between."""
    ids = db.session.scalars(select(Payment.id).where(Payment.state == "received").order_by(Payment.id).limit(100)).all()
    for payment_id in ids:
        try:
            payments.settle(payment_id)
        except Exception:  # one that cannot be settled must not keep the others from their end
            db.session.rollback()
            log.exception("payment %s cannot be settled", payment_id)


def _alive(name: str, subject: Any, again: timedelta) -> ColumnElement[bool]:
    """Whether a job of this name still works on that subject, or gave up only lately."""
    return select(Job.id).where(Job.name == name, Job.subject_id == subject, or_(
        Job.state.in_(("waiting", "running")), Job.finished_at > clock.now() - again)).exists()


def _refund_forgotten() -> None:
    alive = _alive(refunds.JOB, Refund.id, REFUND_AGAIN)
    with transaction() as session:
        ids = session.scalars(select(Refund.id).where(Refund.state == "due", ~alive).order_by(Refund.id).limit(100)).all()
        for refund_id in ids:
            jobs.schedule(refunds.JOB, refund_id)


def _to_ask() -> list[tuple[int, str, bool]]:
    """Orders to ask about, the longest unasked first: the pending ones, and those that ended without a word since."""
    at = clock.now()
    pending = and_(Order.state == "pending", or_(Order.asked_at.is_(None), Order.asked_at <= at - ASK_AGAIN))
    ended = and_(Order.state.in_(ENDED), Order.expires_at <= at, Order.created_at > at - ASK_ENDED,
                 or_(Order.asked_at.is_(None), Order.asked_at < Order.expires_at))
    rows = db.session.execute(select(Order.id, Order.number, Order.state, Order.release_at).where(or_(pending, ended))
                              .order_by(Order.asked_at.is_not(None), Order.asked_at, Order.id).limit(MOST_ASKED)).all()
    return [(row.id, row.number, row.state == "pending" and row.release_at <= at) for row in rows]


def _expire_forgotten(order_id: int) -> None:
    """An overdue order whose own job gave up gets a new one."""
    alive = _alive("expire_order", order_id, timedelta(minutes=10))
    with transaction() as session:
        if session.scalar(select(Order.id).where(Order.id == order_id, Order.state == "pending", ~alive)):
            jobs.schedule("expire_order", order_id)


def run_seat_reconciliation(_subject: int, report: Callable[[int, int], None]) -> None:
    """Job of every day: compare each plan's counter with its people, and record every difference."""
    found = seats.record_differences()
    if found:
        log.error("the seats of %s plans do not add up; see the audit record (seats_differ)", found)
    report(1, 1)
