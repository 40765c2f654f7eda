"""Payments that come late, twice, half-way or unreported, and how each ends (C6, E16; docs/money.md)."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from app import clock as time
from app.actors import SYSTEM
from app.extensions import db, transaction
from app.gateways.payment import Trade
from app.operations import orders, payments
from models import Enrolment, Job, Order, Payment, TrainingPlan
from tests.shop import FIRST, SECOND, Look, Shop, at_once


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    return Shop(app, make, login, standins)


def check(shop: Shop) -> None:
    """The job of every two minutes."""
    with shop.tables():
        orders.run_check(0, lambda done, total: None)


def release(shop: Shop, clock: Any, order: Look) -> None:
    """The order expires as it does when the scheduler works."""
    clock.set(order.release_at)
    with shop.tables():
        orders.run_expiry(order.id, lambda done, total: None)
    assert shop.look(order.id).state == "expired"


def test_a_payment_at_59_59_is_honoured_though_the_notice_is_late(shop: Shop, clock: Any) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    clock.set(order.expires_at - timedelta(seconds=1))
    shop.pay(order)
    clock.set(order.expires_at + timedelta(seconds=90))
    assert shop.notify(order.number) == "success"
    shop.enrolled(order, plan, 3)


def test_the_expiry_itself_finds_a_payment_nobody_reported(shop: Shop, clock: Any, run_jobs: Any) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    clock.set(order.expires_at - timedelta(seconds=1))
    shop.pay(order)
    clock.set(order.release_at)
    run_jobs()
    shop.enrolled(order, plan, 3)


def test_a_payment_in_time_heard_of_after_the_expiry_gets_its_seats_again(shop: Shop, clock: Any) -> None:
    """The gateway was asked too early to know; C6: paid in time is honoured while seats remain."""
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    url = shop.pay_url(order.id)
    release(shop, clock, order)
    assert shop.seats(plan) == 0
    shop.standins.pay(url, order.number, paid_at=order.expires_at - timedelta(seconds=1), notify=False, even_if_late=True)
    assert shop.notify(order.number) == "success"
    shop.enrolled(order, plan, 3, "reseated")
    assert "已恢复报名" in shop.login(FIRST).get(f"/orders/{order.id}").text


def late(shop: Shop, clock: Any, order: Look) -> None:
    """Paid a minute after everything was over; the notification is posted."""
    url = shop.pay_url(order.id)
    release(shop, clock, order)
    shop.standins.pay(url, order.number, paid_at=order.release_at + timedelta(minutes=1), notify=False, even_if_late=True)


def test_a_late_payment_is_honoured_while_seats_remain(shop: Shop, clock: Any) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    late(shop, clock, order)
    assert shop.notify(order.number) == "success"
    shop.enrolled(order, plan, 3, "reseated")


def test_a_late_payment_goes_back_when_the_seats_are_gone(shop: Shop, clock: Any, run_jobs: Any) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    late(shop, clock, order)
    shop.order(plan, 2, enterprise=SECOND)
    assert shop.notify(order.number) == "success"
    look = shop.look(order.id)
    assert (look.state, look.people, look.invoice) == ("expired", {"draft": 3}, None)
    assert look.payments == [("refunding", "付款到账时名额已满，款项将原路退回。")]
    assert "退款正在办理" in shop.login(FIRST).get(f"/orders/{order.id}").text
    run_jobs()
    assert shop.look(order.id).payments[0][0] == "refunded"
    assert list(shop.trade(order.number)["refunds"].values()) == [order.amount_fen]
    assert "原路退回" in shop.login(FIRST).get(f"/orders/{order.id}").text
    assert shop.seats(plan) == 2


def test_a_refund_is_sent_again_under_its_number_and_moves_the_money_once(shop: Shop, clock: Any, run_jobs: Any) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    late(shop, clock, order)
    shop.order(plan, 2, enterprise=SECOND)
    shop.notify(order.number)
    shop.standins.control("alipay", "settings", {"next_answers": ["late-500", "500"]})  # done, but the answer is lost
    for _each in range(3):
        run_jobs()
        clock.advance(minutes=2)
    assert shop.look(order.id).payments[0][0] == "refunded"
    assert list(shop.trade(order.number)["refunds"].values()) == [order.amount_fen]
    assert shop.audits("refund_payment") == 1


def test_a_late_payment_goes_back_when_its_people_have_a_new_order(shop: Shop, clock: Any, run_jobs: Any) -> None:
    plan = shop.plan()
    batch = shop.batch(plan, 3)
    client = shop.login(FIRST)
    client.post(f"/orders/add/{batch}")
    first = shop.newest(batch)
    late(shop, clock, first)
    client.post(f"/orders/add/{batch}")
    second = shop.newest(batch)
    shop.notify(first.number)
    run_jobs()
    assert shop.look(first.id).payments[0][0] == "refunded"
    assert (shop.look(first.id).state, shop.look(second.id).state) == ("expired", "pending")
    assert shop.seats(plan) == 3


@pytest.mark.parametrize(("in_time", "confirmed", "ends"), [
    (False, False, "refunding"), (True, False, "reseated"), (True, True, "refunding"),
])
def test_after_the_class_opened_only_money_paid_in_time_is_honoured(
        shop: Shop, clock: Any, in_time: bool, confirmed: bool, ends: str) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    url = shop.pay_url(order.id)
    release(shop, clock, order)
    paid_at = order.expires_at if in_time else order.release_at
    shop.standins.pay(url, order.number, paid_at=paid_at, notify=False, even_if_late=True)
    shop.change(TrainingPlan, plan, class_opened_at=time.now(), attendance_confirmed_at=time.now() if confirmed else None)
    shop.notify(order.number)
    assert shop.look(order.id).payments[0][0] == ends
    assert shop.seats(plan) == (3 if ends == "reseated" else 0)


def test_a_cancelled_order_that_is_paid_after_all_is_honoured_while_seats_remain(shop: Shop) -> None:
    """A pay page still open in another window can begin the trade: it did not exist when the order was cancelled."""
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    url = shop.pay_url(order.id)
    shop.login(FIRST).post(f"/orders/{order.id}/cancel")
    shop.standins.pay(url, order.number, notify=False)
    assert shop.notify(order.number) == "success"
    shop.enrolled(order, plan, 3, "reseated")


def test_a_second_payment_of_a_paid_order_goes_back_and_the_first_stays(shop: Shop, run_jobs: Any) -> None:
    plan = shop.plan()
    order = shop.order(plan, 3)
    shop.pay(order)
    shop.notify(order.number)
    with shop.tables():
        payments.settle(payments.receive(Trade(order.number, "second", "paid", order.amount_fen, time.now())))
    assert [state for state, _reason in shop.look(order.id).payments] == ["applied", "refunding"]
    run_jobs()
    # The refund names the second trade, which this gateway does not know: the first one's money stays where it is.
    assert not shop.trade(order.number)["refunds"]
    assert shop.look(order.id).payments[1][0] == "refunding"
    assert shop.jobs("refund_payment", "failed") == 1


def test_a_notification_of_a_trade_the_gateway_does_not_confirm_is_kept_and_moves_nothing(shop: Shop) -> None:
    plan = shop.plan()
    order = shop.order(plan, 3)
    shop.pay(order)
    assert shop.notify(order.number, fields={"trade_no": "other"}) == "success"
    assert shop.look(order.id).state == "pending"
    assert shop.look(order.id).payments[0][0] == "unmatched"
    assert shop.notify(order.number) == "success"
    assert shop.look(order.id).state == "paid"


def test_a_payment_that_was_refunded_at_the_gateway_is_not_applied(shop: Shop) -> None:
    order = shop.order(shop.plan())
    shop.pay(order)
    form = shop.standins.notification(order.number)
    with shop.tables():
        shop.gateway().refund(order.number, order.amount_fen, "by hand", "x")
    assert shop.post(form) == "success"
    look = shop.look(order.id)
    assert (look.state, look.payments[0][0]) == ("pending", "unmatched")


class Killed(BaseException):
    """What a killed process looks like from inside."""


@pytest.mark.parametrize("where", ["settle", "enrol", "open_invoice"])
def test_killed_between_the_fact_and_its_application_is_finished_by_the_check(
        shop: Shop, monkeypatch: Any, where: str) -> None:
    plan = shop.plan()
    order = shop.order(plan, 3)
    shop.pay(order)

    def die(*_any: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        places = {"settle": (payments, "settle"), "enrol": (payments.seats, "enrol"),
                  "open_invoice": (payments.invoices, "open_invoice")}
        patch.setattr(*places[where], die)
        with pytest.raises(Killed):
            shop.notify(order.number)
    look = shop.look(order.id)
    assert (look.state, look.people, look.payments) == ("pending", {"held": 3}, [("received", "")])
    assert shop.seats(plan) == 3
    check(shop)
    shop.enrolled(order, plan, 3)
    check(shop)
    assert shop.audits("pay_order") == 1


def test_the_check_finds_a_payment_whose_notification_was_lost(shop: Shop, clock: Any) -> None:
    plan = shop.plan()
    order = shop.order(plan, 3)
    shop.pay(order)
    check(shop)
    shop.enrolled(order, plan, 3)


def test_the_check_asks_about_each_pending_order_every_two_minutes(shop: Shop, clock: Any) -> None:
    order = shop.order(shop.plan())
    asked = []
    for _each in range(3):
        check(shop)
        with shop.tables():
            asked.append(db.session.get_one(Order, order.id).asked_at)
        clock.advance(minutes=1)
    assert asked[0] == asked[1]
    assert asked[2] == asked[0] + timedelta(minutes=2)


def test_the_check_stops_at_a_gateway_that_is_away_and_goes_on_the_next_time(shop: Shop, clock: Any) -> None:
    plan = shop.plan()
    one, two = shop.order(plan, 2), shop.order(plan, 2)
    shop.pay(one)
    shop.pay(two)
    shop.standins.control("alipay", "settings", {"next_answers": ["500"]})
    check(shop)
    assert (shop.look(one.id).state, shop.look(two.id).state) == ("pending", "pending")
    check(shop)
    assert (shop.look(one.id).state, shop.look(two.id).state) == ("paid", "paid")
    assert shop.seats(plan) == 4


def test_money_for_a_hold_that_the_next_order_took_is_found_and_goes_back(shop: Shop, clock: Any, run_jobs: Any) -> None:
    """The gateway was away at the deadline, the hold was over by its time, the seats went to the next order."""
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    clock.set(order.expires_at - timedelta(seconds=1))
    shop.pay(order)
    clock.set(order.release_at)
    shop.order(plan, 3, enterprise=SECOND)
    assert shop.look(order.id).state == "expired"
    run_jobs()
    assert shop.look(order.id).payments[0][0] == "refunded"
    assert shop.seats(plan) == 3


def test_an_ended_order_is_asked_about_once_more_even_if_its_job_gave_up(shop: Shop, clock: Any) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    clock.set(order.expires_at - timedelta(seconds=1))
    shop.pay(order)
    clock.set(order.release_at)
    with shop.tables():
        db.session.query(Job).delete()
        with transaction():
            orders.end_open_orders(plan, actor=SYSTEM)
        db.session.query(Job).delete()
        db.session.commit()
    check(shop)
    shop.enrolled(order, plan, 3, "reseated")


def test_an_overdue_order_whose_job_is_lost_expires_by_the_check(shop: Shop, clock: Any, run_jobs: Any) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    with shop.tables():
        db.session.query(Job).delete()
        db.session.commit()
    clock.set(order.release_at)
    check(shop)
    run_jobs()
    assert shop.look(order.id).state == "expired"
    assert shop.seats(plan) == 0


def test_one_payment_that_cannot_be_settled_does_not_keep_the_others(shop: Shop, monkeypatch: Any, caplog: Any) -> None:
    plan = shop.plan()
    one, two = shop.order(plan, 2), shop.order(plan, 2)
    for order in (one, two):
        with shop.tables():
            payments.receive(Trade(order.number, f"t{order.id}", "paid", order.amount_fen, time.now()))
    with shop.tables():
        db.session.query(Enrolment).filter_by(order_id=one.id).update({"state": "draft", "order_id": None})
        db.session.commit()
    with caplog.at_level(logging.CRITICAL):
        check(shop)
    assert (shop.look(one.id).state, shop.look(two.id).state) == ("pending", "paid")
    assert shop.count(Payment, state="received") == 1


def test_money_is_written_once_when_two_hear_of_it_at_the_same_moment(shop: Shop) -> None:
    plan = shop.plan()
    order = shop.order(plan, 3)
    shop.pay(order)
    form = shop.standins.notification(order.number)
    clients = [shop.app.test_client() for _each in range(3)]
    answers = at_once(shop, *[lambda client=client: client.post("/pay/alipay/notify", data=form).text for client in clients])
    assert answers == ["success"] * 3
    shop.enrolled(order, plan, 3)
    assert shop.audits("pay_order") == 1


@pytest.mark.parametrize("_round", range(4))
def test_expiry_notification_and_the_next_order_at_the_same_moment_agree(
        shop: Shop, clock: Any, run_jobs: Any, _round: int) -> None:
    """Whoever comes first, the three seats belong to one of the two orders and the other's money goes back."""
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    rival, batch = shop.login(SECOND), shop.batch(plan, 3, enterprise=SECOND)
    clock.set(order.expires_at)
    with shop.tables():
        url = shop.gateway().pay_url(order.number, order.amount_fen, "x", order.release_at, "", "")
    shop.standins.pay(url, order.number, notify=False)
    clock.set(order.release_at)
    form, buyer = shop.standins.notification(order.number), shop.app.test_client()
    at_once(shop, lambda: buyer.post("/pay/alipay/notify", data=form), lambda: rival.post(f"/orders/add/{batch}"),
            lambda: orders.run_expiry(order.id, lambda done, total: None))
    assert shop.seats(plan) == 3
    won = shop.look(order.id).state == "paid"
    assert shop.count(Order, batch_id=batch) == (0 if won else 1)
    run_jobs()
    assert shop.look(order.id).payments[0][0] == ("applied" if won else "refunded")


def test_a_gateway_is_never_asked_while_a_transaction_is_open(shop: Shop) -> None:
    order = shop.order(shop.plan())
    with shop.tables(), pytest.raises(RuntimeError, match="inside a transaction"), transaction():
        payments.ask(order.number)
