"""Seats: never more than there are, whoever races, and counted (C5, E11)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, text, update

from app import clock as time
from app.extensions import db, transaction
from app.operations import orders, seats
from models import AuditEvent, Order, TrainingPlan
from tests.shop import FIRST, SECOND, Shop, at_once


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    return Shop(app, make, login, standins)


def test_the_update_itself_refuses_a_plan_that_stopped_enrolling_since_the_check(shop: Shop) -> None:
    plan = shop.plan()
    shop.change(TrainingPlan, plan, enrolment_closes_at=time.now())
    with shop.tables(), transaction():
        assert not seats.take(plan, 1)
        assert seats.take(plan, 1, enrolling=False)
        seats.give_back(plan, 1)
    assert shop.seats(plan) == 0


def race_for_the_last_seats(shop: Shop) -> tuple[int, int]:
    """Two enterprises order 3 seats each where 4 are left. Returns (orders made, seats counted)."""
    plan = shop.plan(seats=4)
    pairs = [(shop.login(who), shop.batch(plan, 3, enterprise=who)) for who in (FIRST, SECOND)]
    at_once(shop, *[lambda client=client, batch=batch: client.post(f"/orders/add/{batch}") for client, batch in pairs])
    with shop.tables():
        taken = db.session.get_one(TrainingPlan, plan).seats_taken
    return shop.count(Order, plan_id=plan), taken


def test_two_orders_racing_for_the_last_seats_cannot_both_win(shop: Shop) -> None:
    assert race_for_the_last_seats(shop) == (1, 3)


def test_the_race_would_be_lost_without_the_condition(shop: Shop, monkeypatch: Any) -> None:
    """Negative control: with the condition and the CHECK off, both win; so the test above proves something."""
    def careless(plan_id: int, people: int, **_any: Any) -> bool:
        if db.engine.dialect.name == "sqlite":
            db.session.execute(text("PRAGMA ignore_check_constraints=ON"))
        db.session.execute(update(TrainingPlan).where(TrainingPlan.id == plan_id)
                           .values(seats_taken=TrainingPlan.seats_taken + people).execution_options(synchronize_session=False))
        return True

    with shop.tables():
        if db.engine.dialect.name != "sqlite":
            db.session.execute(text("ALTER TABLE training_plan DROP CONSTRAINT training_plan_seats"))
            db.session.commit()
    monkeypatch.setattr(seats, "take", careless)
    try:
        assert race_for_the_last_seats(shop) == (2, 6)
    finally:
        with shop.tables():
            db.engine.dispose()  # the connections that ignore constraints


def test_the_table_itself_refuses_to_oversell(shop: Shop) -> None:
    plan = shop.plan(seats=2)
    with shop.tables(), pytest.raises(Exception, match="training_plan_seats"), transaction() as session:
        session.execute(update(TrainingPlan).where(TrainingPlan.id == plan).values(seats_taken=3))
    assert shop.seats(plan) == 0


def test_the_nightly_comparison_records_each_difference_and_mends_nothing(shop: Shop) -> None:
    good, bad = shop.plan(), shop.plan()
    shop.order(good, 3)
    shop.change(TrainingPlan, bad, seats_taken=2)
    with shop.tables():
        orders.run_seat_reconciliation(0, lambda done, total: None)
    with shop.tables():
        rows = db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "seats_differ")).all()
        assert [(row.subject_id, row.facts) for row in rows] == [(bad, {"counter": 2, "people": 0})]
        assert db.session.get_one(TrainingPlan, bad).seats_taken == 2
