"""Buying seats as a person does, and looking at what is left in the tables, for the tests of orders, payments, invoices."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.extensions import db
from app.gateways.payment import AlipayGateway
from app.operations import merchants
from models import AuditEvent, Enrolment, Invoice, Job, Order, Payment, TrainingPlan
from tests.factory import Factory
from tests.standin_server import RunningStandins

FIRST, SECOND = "91330100MA2AAAA05G", "91330212MA2AAAA052"
LIVE = ("held", "enrolled")


@dataclass(frozen=True)
class Look:
    """One order as the tables have it, in plain values."""

    id: int
    number: str
    state: str
    amount_fen: int
    expires_at: datetime
    release_at: datetime
    trade_no: str | None
    people: dict[str, int]
    payments: list[tuple[str, str]]
    invoice: str | None


class Shop:
    """Every look opens a session of its own and leaves no lock behind."""

    def __init__(self, app: Flask, make: Factory, login: Any, standins: RunningStandins) -> None:
        self.app, self.make, self.login, self.standins = app, make, login, standins
        standins.control("alipay", "settings", {"notify": "off"})

    @contextmanager
    def tables(self) -> Iterator[None]:
        """A session of its own; what the test itself has read before lets its lock go first."""
        db.session.commit()
        with self.app.app_context():
            yield

    def plan(self, seats: int = 10, **values: Any) -> int:
        with self.tables():
            return int(self.make.plan(seats=seats, **values).id)

    def batch(self, plan_id: int, people: int = 3, **values: Any) -> int:
        with self.tables():
            return int(self.make.batch(db.session.get_one(TrainingPlan, plan_id), people, **values).id)

    def order(self, plan_id: int, people: int = 3, *, enterprise: str = FIRST) -> Look:
        """Import, photos and 生成订单."""
        batch_id = self.batch(plan_id, people, enterprise=enterprise)
        answer = self.login(enterprise).post(f"/orders/add/{batch_id}")
        assert answer.status_code == 303, answer.text
        return self.newest(batch_id)

    def newest(self, batch_id: int) -> Look:
        with self.tables():
            order_id = db.session.scalars(
                select(Order.id).where(Order.batch_id == batch_id).order_by(Order.id.desc()).limit(1)).one()
        return self.look(order_id)

    def look(self, order_id: int) -> Look:
        with self.tables():
            row = db.session.get_one(Order, order_id)
            people = db.session.execute(select(Enrolment.state, func.count()).where(Enrolment.batch_id == row.batch_id)
                                        .group_by(Enrolment.state))
            paid = db.session.execute(select(Payment.state, Payment.reason).where(Payment.order_id == order_id)
                                      .order_by(Payment.id))
            invoice = db.session.scalar(select(Invoice.state).where(Invoice.order_id == order_id))
            return Look(row.id, row.number, row.state, row.amount_fen, row.expires_at, row.release_at, row.trade_no,
                        dict(people.all()), [(state, reason) for state, reason in paid], invoice)

    def count(self, model: Any, **values: Any) -> int:
        with self.tables():
            return int(db.session.scalar(select(func.count()).select_from(model).filter_by(**values)) or 0)

    def seats(self, plan_id: int) -> int:
        """The counter, having checked that it is the number of people with a seat."""
        with self.tables():
            taken = db.session.get_one(TrainingPlan, plan_id).seats_taken
            people = db.session.scalar(select(func.count()).select_from(Enrolment).where(
                Enrolment.plan_id == plan_id, Enrolment.state.in_(LIVE)))
        assert taken == people, f"the counter says {taken}, {people} people have a seat"
        return taken

    def change(self, model: Any, key: int, **values: Any) -> None:
        """Set columns of one row, as if it had come so."""
        with self.tables():
            row = db.session.get_one(model, key)
            for name, value in values.items():
                setattr(row, name, value)
            db.session.commit()

    def audits(self, verb: str) -> int:
        return self.count(AuditEvent, verb=verb)

    def jobs(self, name: str, state: str = "waiting") -> int:
        return self.count(Job, name=name, state=state)

    def pay_url(self, order_id: int, enterprise: str = FIRST) -> str:
        answer = self.login(enterprise).get(f"/orders/{order_id}/pay")
        assert answer.status_code == 303, answer.text
        return str(answer.headers["Location"])

    def pay(self, order: Look, *, enterprise: str = FIRST, paid_at: datetime | None = None) -> None:
        """The buyer pays at the gateway; the portal has not heard of it yet."""
        self.standins.pay(self.pay_url(order.id, enterprise), order.number, paid_at=paid_at, notify=False)

    def notify(self, number: str, **changes: Any) -> str:
        """Post the gateway's notification, changed before (`fields`) or after (`tamper`) it was signed."""
        return self.post(self.standins.notification(number, **changes))

    def post(self, form: dict[str, str]) -> str:
        client: FlaskClient = self.app.test_client()
        answer = client.post("/pay/alipay/notify", data=form)
        assert answer.status_code == 200
        return answer.text

    def enrolled(self, order: Look, plan_id: int, people: int, payment: str = "applied") -> None:
        """The order is paid, everyone is enrolled, the seats add up, the invoice waits."""
        look = self.look(order.id)
        assert (look.state, look.people) == ("paid", {"enrolled": people})
        assert [state for state, _reason in look.payments] == [payment]
        assert look.invoice == "waiting"
        assert self.seats(plan_id) == people

    @staticmethod
    def gateway() -> AlipayGateway:
        """The client of the merchant that is paid."""
        merchant = merchants.default()
        assert merchant is not None
        return merchants.client(merchant)

    def trade(self, number: str) -> dict[str, Any]:
        found: dict[str, Any] = next(each for each in self.standins.control("alipay", "trades") if each["order_no"] == number)
        return found


def at_once(shop: Shop, *acts: Any) -> list[Any]:
    """Run the acts in threads that start together; their results in order."""
    gate, results = threading.Barrier(len(acts)), [None] * len(acts)

    def run(index: int, act: Any) -> None:
        with shop.app.app_context():
            gate.wait(10)
            results[index] = act()

    threads = [threading.Thread(target=run, args=(index, act)) for index, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results
