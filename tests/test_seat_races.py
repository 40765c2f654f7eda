"""Seats raced for by real processes, each race with its negative control: the guard off, the same race must be lost, or it proves nothing.

A process takes part as another machine would: an engine of its own, made after the fork; all start together.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update

from app import clock as module
from app.extensions import db, transaction
from app.operations import offers, orders, seat_counter, seats, waitlist
from models import Enrolment, ImportBatch, Order, TrainingPlan, WaitlistEntry
from tests.shop import FIRST, SECOND, Shop

THIRD = "91330000MA2BBBB07Q"
FORKED = multiprocessing.get_context("fork")


@pytest.fixture
def shop(app: Any, make: Any, login: Any, standins: Any) -> Shop:
    """Time runs on: each process has its own clock."""
    return Shop(app, make, login, standins)


def in_processes(shop: Shop, acts: Sequence[Callable[[], object]]) -> list[bool]:
    """Run each act in a process of its own, together; whether it was done. What it raises of the portal's own is a refusal."""
    db.session.remove()
    db.engine.dispose()
    at = time.monotonic() + 0.3
    pids = []
    for act in acts:
        pid = os.fork()
        if pid == 0:
            code = 2
            try:
                with shop.app.app_context():
                    db.session.scalar(select(1))
                    db.session.rollback()
                    time.sleep(max(0.0, at - time.monotonic()))
                    code = 0 if act() else 1
            except Exception as error:
                code = 1 if type(error).__module__ in ("app.errors", "sqlalchemy.exc") else 2
                if code == 2:
                    traceback.print_exc()
            finally:
                os._exit(code)
        pids.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert 2 not in codes, "a process failed; its trace is above"
    return [code == 0 for code in codes]


def buyers(shop: Shop, plan: int, sizes: Sequence[int]) -> list[Callable[[], object]]:
    """One act for each batch: 生成订单."""
    batches = [shop.batch(plan, people, enterprise=(FIRST, SECOND, THIRD)[n % 3]) for n, people in enumerate(sizes)]
    actors = {who: shop.make.actor(who) for who in (FIRST, SECOND, THIRD)}
    return [lambda batch=batch, who=(FIRST, SECOND, THIRD)[n % 3]: orders.create(
        db.session.get_one(ImportBatch, batch), actor=actors[who]) for n, batch in enumerate(batches)]


def held(shop: Shop, plan: int) -> int:
    return shop.count(Enrolment, plan_id=plan, state="held")


def careless(shop: Shop, monkeypatch: Any) -> None:
    """The naive way: read what is left, decide, then write; the table's own guard is off."""
    def take(plan_id: int, people: int, **_any: Any) -> bool:
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as line:
            left = line.execute(text(f"SELECT seats - seats_taken FROM training_plan WHERE id = {plan_id}")).scalar_one()
        if left < people:
            return False
        time.sleep(0.2)
        if db.engine.dialect.name == "sqlite":
            db.session.execute(text("PRAGMA ignore_check_constraints=ON"))
        db.session.execute(update(TrainingPlan).where(TrainingPlan.id == plan_id).values(seats_taken=TrainingPlan.seats_taken + people)
                           .execution_options(synchronize_session=False))
        return True

    monkeypatch.setattr(seats, "take", take)
    without_check(shop)


def without_check(shop: Shop) -> None:
    if db.engine.dialect.name != "sqlite":
        with shop.tables():
            db.session.execute(text("ALTER TABLE training_plan DROP CONSTRAINT training_plan_seats"))
            db.session.commit()


def many_for_few(shop: Shop) -> tuple[int, int]:
    """Twelve buyers of 2 want 9 seats. Returns (seats sold, seats counted)."""
    plan = shop.plan(seats=9)
    in_processes(shop, buyers(shop, plan, [2] * 12))
    with shop.tables():
        return held(shop, plan), db.session.get_one(TrainingPlan, plan).seats_taken


def test_many_buyers_of_the_last_seats_get_what_there_is_and_no_more(shop: Shop) -> None:
    assert many_for_few(shop) == (8, 8)


def test_reading_before_writing_would_oversell(shop: Shop, monkeypatch: Any) -> None:
    """Negative control. SQLite has one writer at a time, so there the naive reader must not hold the lock while it thinks."""
    careless(shop, monkeypatch)
    if db.engine.dialect.name == "sqlite":
        plan = shop.plan(seats=3)
        assert sum(in_processes(shop, [lambda: naive_on_sqlite(plan, 2)] * 4)) > 1
        return
    sold, _counted = many_for_few(shop)
    assert sold > 9


def naive_on_sqlite(plan: int, people: int) -> bool:
    line = db.engine.raw_connection()
    bare: Any = line.driver_connection
    bare.execute("PRAGMA ignore_check_constraints=ON")
    left = bare.execute("SELECT seats - seats_taken FROM training_plan WHERE id = ?", (plan,)).fetchone()[0]
    time.sleep(0.2)
    if left >= people:
        bare.execute("UPDATE training_plan SET seats_taken = seats_taken + ? WHERE id = ?", (people, plan))
    return bool(left >= people)


def one_batch_twice(shop: Shop) -> tuple[int, int]:
    """Four processes order one batch. Returns (orders, seats counted)."""
    plan = shop.plan(seats=20)
    batch = shop.batch(plan, 3)
    actor = shop.make.actor(FIRST)
    in_processes(shop, [lambda: orders.create(db.session.get_one(ImportBatch, batch), actor=actor)] * 4)
    with shop.tables():
        return shop.count(Order, batch_id=batch), db.session.get_one(TrainingPlan, plan).seats_taken


def test_one_batch_is_ordered_once_whoever_clicks(shop: Shop) -> None:
    assert one_batch_twice(shop) == (1, 3)


def test_without_its_guards_a_batch_would_be_ordered_twice(shop: Shop, monkeypatch: Any) -> None:
    """Negative control: nobody looks for the first order, people are held without asking, the index is gone."""
    def hold(order: Order) -> bool:
        db.session.execute(update(Enrolment).where(Enrolment.batch_id == order.batch_id).values(state="held", order_id=order.id)
                           .execution_options(synchronize_session=False))
        return True

    monkeypatch.setattr(orders, "_live_order", lambda _batch: None)
    monkeypatch.setattr(orders, "_count_people", lambda _batch: 3)
    monkeypatch.setattr(seats, "already_live", lambda _batch, _plan: [])
    monkeypatch.setattr(seats, "hold", hold)
    with shop.tables():
        db.session.execute(text("DROP INDEX order_live_once"))
        db.session.commit()
    made, _counted = one_batch_twice(shop)
    assert made > 1


def release(plan: int) -> bool:
    """What the next buyer does with holds past their time."""
    with transaction():
        seats.lock(plan)
        orders.release_overdue(plan)
    return True


def blindly(plan: int) -> bool:
    """The same decided before the payment and written after it, whatever the state is by then."""
    time.sleep(0.7)
    with transaction() as session:
        session.execute(update(Order).where(Order.plan_id == plan).values(state="expired").execution_options(synchronize_session=False))
    return True


def expiry_against_payment(shop: Shop, monkeypatch: Any, expire: Callable[[int], bool] = release) -> tuple[str, list[str], int, int]:
    """Paid in the last second, the notification comes as the hold ends. Returns (state, payments, seats, people enrolled)."""
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    shop.pay(order)
    late = order.release_at + timedelta(seconds=1)
    real = module.now
    ahead = late - real()
    monkeypatch.setattr(module, "now", lambda: real() + ahead)

    in_processes(shop, [lambda: expire(plan), lambda: orders.look(db.session.get_one(Order, order.id)) or True])
    look = shop.look(order.id)
    with shop.tables():
        counted = db.session.get_one(TrainingPlan, plan).seats_taken
    return look.state, [state for state, _reason in look.payments], counted, look.people.get("enrolled", 0)


def test_money_that_meets_the_expiry_is_honoured_once(shop: Shop, monkeypatch: Any) -> None:
    state, payments, counted, enrolled = expiry_against_payment(shop, monkeypatch)
    assert (state, counted, enrolled) == ("paid", 3, 3)
    assert payments in (["applied"], ["reseated"])


def test_an_expiry_that_does_not_look_again_would_undo_a_paid_order(shop: Shop, monkeypatch: Any) -> None:
    """Negative control."""
    state, payments, _counted, enrolled = expiry_against_payment(shop, monkeypatch, blindly)
    assert (state, payments, enrolled) == ("expired", ["applied"], 3)


def offered_seat(shop: Shop) -> tuple[int, int, int]:
    """A plan with one seat, offered to the second enterprise; the third stands behind. Returns (plan, entry, next entry)."""
    plan = shop.plan(seats=1)
    order = shop.order(plan, 1)
    keys = []
    for who in (SECOND, THIRD):
        with shop.tables():
            keys.append(waitlist.join(db.session.get_one(TrainingPlan, plan), 1, 1, actor=shop.make.actor(who)).id)
    assert shop.login(FIRST).post(f"/orders/{order.id}/cancel").status_code == 303
    return plan, keys[0], keys[1]


def acceptance_against_lapse(shop: Shop, monkeypatch: Any, patience: float = 0.4) -> tuple[int, int, list[str]]:
    """The order comes as the offer's time ends, which it does while the buyer, having read its offer, is about to take the seat: for
    that it gives the other `patience` seconds. Returns (taken, reserved, states of both places)."""
    plan, entry, next_ = offered_seat(shop)
    batch = shop.batch(plan, 1, enterprise=SECOND)
    actor = shop.make.actor(SECOND)
    with shop.tables():
        until = db.session.get_one(WaitlistEntry, entry).offer_until
    assert until is not None
    real, take = module.now, seats.take
    has_read, has_lapsed = FORKED.Event(), FORKED.Event()

    def slowly(*given: Any, **more: Any) -> bool:
        has_read.set()
        has_lapsed.wait(patience)
        return take(*given, **more)

    monkeypatch.setattr(seats, "take", slowly)
    # The buyer's clock is a moment before the end, the other's a moment after: both believe to be right.
    before, after = until - real() - timedelta(seconds=20), until - real() + timedelta(seconds=20)

    def buy() -> object:
        module.now = lambda: real() + before
        return orders.create(db.session.get_one(ImportBatch, batch), actor=actor)

    def lapse() -> object:
        module.now = lambda: real() + after
        has_read.wait(patience)
        offers.run_end(entry, lambda done, total: None)
        has_lapsed.set()
        return True

    in_processes(shop, [buy, lapse])
    with shop.tables():
        row = db.session.get_one(TrainingPlan, plan)
        states = [db.session.get_one(WaitlistEntry, key).state for key in (entry, next_)]
        assert held(shop, plan) <= 1
        return row.seats_taken, row.seats_reserved, states


def test_an_offer_is_accepted_or_goes_to_the_next_never_both(shop: Shop, monkeypatch: Any) -> None:
    taken, reserved, states = acceptance_against_lapse(shop, monkeypatch)
    assert (taken, reserved, states) in ((1, 0, ["accepted", "waiting"]), (0, 1, ["lapsed", "offered"]))
    with shop.tables():
        assert seats.differences() == []


def test_without_the_lock_an_offer_would_be_used_after_it_went_to_the_next(shop: Shop, monkeypatch: Any) -> None:
    """Negative control: nobody locks the plan, and an offer is used without a look at what has become of it. On SQLite it is the one
    writer's lock that guards."""
    def unlocked(plan_id: int) -> TrainingPlan:
        return db.session.get_one(TrainingPlan, plan_id, populate_existing=True)

    def used(entry: WaitlistEntry, _people: int, order_id: int) -> None:
        db.session.execute(update(WaitlistEntry).where(WaitlistEntry.id == entry.id).values(state="accepted", offered=0, order_id=order_id)
                           .execution_options(synchronize_session=False))

    for room in (seats, seat_counter):
        monkeypatch.setattr(room, "lock", unlocked)
    monkeypatch.setattr(offers, "used", used)
    if db.engine.dialect.name == "sqlite":
        taken, reserved, states = acceptance_against_lapse(shop, monkeypatch)
        assert (taken, reserved, states) in ((1, 0, ["accepted", "waiting"]), (0, 1, ["lapsed", "offered"]))
        return
    taken, reserved, states = acceptance_against_lapse(shop, monkeypatch, patience=20)
    assert (taken, reserved, states) == (1, 0, ["accepted", "offered"]), "one seat, sold to the one and offered to the other"
    with shop.tables():
        assert [(people, offered) for _plan, people, offered in seats.differences()] == [(1, 1)]


def one_person_in_two_plans(shop: Shop, monkeypatch: Any) -> int:
    """Two lists of the same people for the same occupation and level, in two plans, ordered at once by processes that have both
    looked before either writes; how many of the two were ordered."""
    first, second = shop.plan(), shop.plan()
    batches = [shop.batch(first), shop.batch(second)]
    with shop.tables(), transaction() as session:
        people = session.scalars(select(Enrolment).where(Enrolment.batch_id == batches[0]).order_by(Enrolment.id)).all()
        again = session.scalars(select(Enrolment).where(Enrolment.batch_id == batches[1]).order_by(Enrolment.id)).all()
        for one, same in zip(people, again, strict=True):
            same.id_number, same.id_number_index = one.id_number, one.id_number_index
    real = seats.already_live

    def slowly(batch_id: int, plan_id: int) -> list[Enrolment]:
        found = real(batch_id, plan_id)
        time.sleep(0.5)
        return found

    monkeypatch.setattr(seats, "already_live", slowly)
    actor = shop.make.actor(FIRST)

    def ordering(batch: int) -> Callable[[], object]:
        return lambda: orders.create(db.session.get_one(ImportBatch, batch), actor=actor)

    return sum(in_processes(shop, [ordering(batch) for batch in batches]))


def test_one_person_is_not_ordered_into_two_plans_at_once(shop: Shop, monkeypatch: Any) -> None:
    assert one_person_in_two_plans(shop, monkeypatch) == 1


def test_without_the_queue_one_person_would_be_ordered_into_two_plans(shop: Shop, monkeypatch: Any) -> None:
    """Negative control. On SQLite it is the one writer's lock that guards."""
    monkeypatch.setattr(seats, "queue_up", lambda _batch: None)
    assert one_person_in_two_plans(shop, monkeypatch) == (1 if db.engine.dialect.name == "sqlite" else 2)
