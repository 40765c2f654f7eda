"""Hold, pay, expire, cancel, resize, carry over, withdraw, refund and call off, in any order: seats and fen add up after each step.

A state machine drives the real operations on a real database, with the stand-in of the gateway over HTTP and a clock of its own.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select

from app import clock as time
from app.errors import PortalError
from app.extensions import db, transaction
from app.operations import carry_over, merchants, orders, payments, plan_changes, seats, withdrawals
from models import Enrolment, ImportBatch, Order, Parameter, Payment, Refund, TrainingPlan, Withdrawal
from models.rosters import LIVE
from tests.factory import Factory
from tests.shop import FIRST, SECOND
from tests.standin_server import RunningStandins

BOUNDS = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}
ENDED = {"applied", "reseated", "refunded"}
numbers = itertools.count(10_000_001)
some, few = st.integers(0, 50), st.integers(1, 3)


@dataclass
class World:
    """What the machine stands on."""

    make: Factory
    clock: Any
    standins: RunningStandins
    run_jobs: Callable[[], int]


@pytest.fixture
def world(make: Any, clock: Any, standins: Any, run_jobs: Any) -> World:
    standins.control("alipay", "settings", {"notify": "off"})
    with transaction() as session:
        for key, value in (("cancel_consent", "0"), ("resize_percent", "100")):
            session.merge(Parameter(key=key, value=value, note=""))
    return World(make, clock, standins, run_jobs)


@dataclass
class Books:
    """What is written of seats and money: rows, and the fen by payment that went back, by order that its people left with."""

    plans: Sequence[Any]
    people: Sequence[Any]
    orders: Sequence[Any]
    payments: Sequence[Any]
    back: Counter[int]
    left: Counter[int]


def total(rows: Iterable[Any]) -> Counter[int]:
    found: Counter[int] = Counter()
    for key, fen in rows:
        found[key] += fen
    return found


class SeatsAndMoney(RuleBasedStateMachine):
    """Two plans that two people are enrolled in, and an earlier class that three of four people missed, all of it paid for."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        make = self.world.make
        self.owner, self.buyers = make.actor("hjp"), [make.actor(FIRST), make.actor(SECOND)]
        earlier = make.plan(seats=4, name=self.name())
        self.plans, self.orders = [earlier.id], list[int]()
        self.hold(0, 4, 0)
        self.pay(0, heard=True)
        with transaction() as session:
            plan = session.get_one(TrainingPlan, earlier.id)
            plan.class_opened_at = plan.attendance_confirmed_at = time.now()
            for number, person in enumerate(session.scalars(select(Enrolment).where(Enrolment.plan_id == earlier.id))):
                person.attendance = "absent" if number else "full"
        self.plans += [make.plan(seats=seats, name=self.name()).id for seats in (7, 5)]
        for number in (0, 1):
            self.hold(number, 2, number)
            self.pay(0, heard=True)

    @staticmethod
    def name() -> str:
        """Of its own for each plan, however many examples there are."""
        return f"杭建培{next(numbers)}"

    def act(self, operation: Callable[[], Any]) -> Any:
        """Do it, or be told why not: both leave the books in order."""
        try:
            return operation()
        except PortalError:
            return None
        finally:
            db.session.rollback()
            db.session.expire_all()

    def plan(self, number: int) -> TrainingPlan:
        return db.session.get_one(TrainingPlan, self.plans[1:][number % 2] if self.plans[1:] else self.plans[0])

    def order(self, number: int) -> Order:
        return db.session.get_one(Order, self.orders[number % len(self.orders)])

    def people(self, *wanted: Any) -> list[Enrolment]:
        return list(db.session.scalars(select(Enrolment).where(Enrolment.plan_id.in_(self.plans), *wanted).order_by(Enrolment.id)))

    @rule(number=some, people=few, buyer=st.integers(0, 1))
    def hold(self, number: int, people: int, buyer: int) -> None:
        self._ordered(self._batch(number, people, buyer), buyer)

    def _batch(self, number: int, people: int, buyer: int) -> ImportBatch:
        """A list whose people share one picture: what is on it is not of interest here."""
        batch = self.world.make.batch(self.plan(number), people, enterprise=(FIRST, SECOND)[buyer], photos=False)
        for person in batch.enrolments:
            person.portrait_id = person.id_front_id = batch.workbook_id
        db.session.commit()
        return batch

    @rule(number=some, buyer=st.integers(0, 1))
    def enrol_again(self, number: int, buyer: int) -> None:
        """Somebody who left, or missed a class, is put on a new list."""
        known = self.people(Enrolment.state.in_(("withdrawn", "enrolled")))
        batch = self._batch(number, 1, buyer)
        person, other = batch.enrolments[0], known[number % len(known)]
        person.id_number, person.id_number_index = other.id_number, other.id_number_index
        db.session.commit()
        self._ordered(batch, buyer)

    def _ordered(self, batch: ImportBatch, buyer: int) -> None:
        order = self.act(lambda: orders.create(batch, actor=self.buyers[buyer]).id)
        if order is not None:
            self.orders.append(order)

    @rule(number=some, heard=st.booleans())
    def pay(self, number: int, heard: bool) -> None:
        """The buyer of one of the open orders pays; it may be that nobody here hears of it."""
        for order in [each for each in map(self.order, range(len(self.orders))) if each.payable][number % 2:][:1]:
            url = merchants.of_order(order.number).pay_url(order.number, order.amount_fen, "x", order.expires_at, "", "")
            self.world.standins.pay(url, order.number, notify=False)
            if heard:
                self.act(lambda number=order.number: payments.ask(number))

    @rule(number=some)
    def hear(self, number: int) -> None:
        found = self.order(number).number
        self.act(lambda: payments.ask(found))

    @rule(minutes=st.sampled_from((1, 30, 61, 70)))
    def wait(self, minutes: int) -> None:
        self.world.clock.advance(minutes=minutes)

    @rule()
    def work(self) -> None:
        self.world.run_jobs()

    @rule(number=some)
    def cancel_order(self, number: int) -> None:
        order = self.order(number)
        self.act(lambda: orders.cancel(order, actor=self.buyers[0]))

    @rule(number=some, wanted=st.integers(1, 9))
    def resize(self, number: int, wanted: int) -> None:
        plan = self.plan(number)
        self.act(lambda: plan_changes.resize(plan, wanted, "教室更换", actor=self.owner))

    @rule(number=some, most=few)
    def carry_over(self, number: int, most: int) -> None:
        plan = self.plan(number)
        ids = [each.id for each in self.people(Enrolment.attendance == "absent")][number % 2:][:most]
        self.act(lambda: carry_over.add(plan, ids, actor=self.owner))

    @rule(number=some)
    def undo_carry_over(self, number: int) -> None:
        ids = [each.id for each in self.people(Enrolment.carried_from_id.is_not(None))][:1 + number % 2]
        plan = self.plan(number)
        self.act(lambda: carry_over.undo(plan, ids, actor=self.owner))

    @rule(number=some, percent=st.sampled_from((0, 50, 100)), consent=st.sampled_from((False, False, True)))
    def withdraw(self, number: int, percent: int, consent: bool) -> None:
        with transaction() as session:
            for key, value in (("withdraw_percent", percent), ("withdraw_consent", int(consent))):
                session.merge(Parameter(key=key, value=str(value), note=""))
        enrolled = self.people(Enrolment.state == "enrolled", Enrolment.attendance.is_(None)) or self.people()
        person = enrolled[number % len(enrolled)]
        buyer = next(each for each in self.buyers if each.enterprise_id == person.enterprise_id)
        plan = person.plan
        self.act(lambda: withdrawals.ask(plan, [person.id], "离职", actor=buyer))

    @rule(granted=st.booleans())
    def answer_withdrawals(self, granted: bool) -> None:
        ids = list(db.session.scalars(select(Withdrawal.id).where(Withdrawal.plan_id.in_(self.plans), Withdrawal.state == "asked")))
        self.act(lambda: withdrawals.decide(ids, granted, "不同意", actor=self.owner))

    @precondition(lambda self: len(self.orders) > 3)
    @rule()
    def call_off(self) -> None:
        plan = self.plan(1)
        self.act(lambda: plan_changes.cancel(plan, "报名不足", actor=self.owner))

    @invariant()
    def everything_adds_up(self) -> None:
        books = self.books()
        self.seats_add_up(books)
        self.nobody_is_live_twice(books)
        self.fen_add_up(books)

    def books(self) -> Books:
        """All that counts, as it is now: one statement for each table."""
        db.session.rollback()
        session = db.session
        orders_ = Order.id.in_(self.orders)
        read = Books(
            session.execute(select(TrainingPlan.name, TrainingPlan.id, TrainingPlan.seats, TrainingPlan.seats_taken,
                                   TrainingPlan.seats_reserved).where(TrainingPlan.id.in_(self.plans))).all(),
            session.execute(select(Enrolment.id, Enrolment.plan_id, Enrolment.order_id, Enrolment.state, Enrolment.id_number_index,
                                   Enrolment.attendance, Enrolment.carried_from_id, Enrolment.carried_at)
                            .where(Enrolment.plan_id.in_(self.plans))).all(),
            session.execute(select(Order.id, Order.state, Order.people).where(orders_)).all(),
            session.execute(select(Payment.id, Payment.order_id, Payment.state, Payment.amount_fen, Payment.refund_fen)
                            .where(Payment.order_id.in_(self.orders))).all(),
            total(session.execute(select(Refund.payment_id, Refund.amount_fen).where(Refund.state != "declined"))),
            total(session.execute(select(Withdrawal.order_id, Withdrawal.amount_fen).where(Withdrawal.state == "granted"))))
        session.rollback()
        return read

    def seats_add_up(self, books: Books) -> None:
        for plan in books.plans:
            live = sum(each.state in LIVE and each.plan_id == plan.id for each in books.people)
            assert plan.seats_taken == live, f"{plan.name}: {plan.seats_taken} seats, {live} people"
            assert plan.seats_taken + plan.seats_reserved <= plan.seats
            assert plan.seats_reserved == 0

    def nobody_is_live_twice(self, books: Books) -> None:
        running = [each.id_number_index for each in books.people if each.state in LIVE and each.plan_id != self.plans[0]]
        assert max(Counter(running).values(), default=0) <= 1
        absences = Counter(each.carried_from_id for each in books.people if each.carried_from_id is not None and each.state != "discarded")
        for person in books.people:
            if person.attendance == "absent":
                assert absences[person.id] == (0 if person.carried_at is None else 1)

    def fen_add_up(self, books: Books) -> None:
        for order in books.orders:
            theirs = Counter(each.state for each in books.people if each.order_id == order.id)
            assert theirs == {"pending": Counter(held=order.people)}.get(order.state, theirs)
            if order.state == "paid":
                assert theirs["enrolled"] + theirs["withdrawn"] == order.people
            elif order.state != "pending":
                assert not theirs
            taken = 0
            for payment in [each for each in books.payments if each.order_id == order.id]:
                back = books.back[payment.id]
                assert back == payment.refund_fen <= payment.amount_fen
                if payment.state in ("applied", "reseated"):
                    taken += 1
                    assert (order.state, back) == ("paid", books.left[order.id])
                elif payment.state in ("refunding", "refunded"):
                    assert back == payment.amount_fen
            assert taken == (order.state == "paid")

    def teardown(self) -> None:
        """In the end all that is due is done: every payment is applied, re-seated or refunded, here and at the gateway."""
        self.world.clock.advance(hours=2)
        self.work()
        for number in range(len(self.orders)):
            self.hear(number)
        self.work()
        self.everything_adds_up()
        trades = {each["order_no"]: each for each in self.world.standins.control("alipay", "trades")}
        for payment in db.session.scalars(select(Payment).where(Payment.order_id.in_(self.orders))):
            assert payment.state in ENDED, payment.state
            assert {row.state for row in payment.refunds} <= {"done"}
            assert sum(trades[payment.order_number]["refunds"].values()) == payment.refund_fen
        db.session.rollback()


def machine(world: World) -> type[SeatsAndMoney]:
    return type("Machine", (SeatsAndMoney,), {"world": world})


def test_seats_and_fen_add_up_whatever_happens_in_whatever_order(world: World) -> None:
    run_state_machine_as_test(machine(world), settings=settings(max_examples=12, stateful_step_count=24, **BOUNDS))


def test_the_machine_would_find_a_seat_that_is_not_given_back(world: World, monkeypatch: Any) -> None:
    """Negative control: where a seat is forgotten, the machine says so."""
    monkeypatch.setattr(seats, "give_back", lambda _plan, _people: None)
    with pytest.raises(BaseException, match=r"seats, \d+ people"):
        run_state_machine_as_test(machine(world), settings=settings(
            max_examples=3, stateful_step_count=16, phases=[Phase.generate], **BOUNDS))
