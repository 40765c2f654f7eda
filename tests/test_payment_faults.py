"""A gateway that answers wrongly, and clocks that disagree: what is late loses nothing (C6, E16; docs/money.md)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from models import Payment
from tests.shop import Shop


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    return Shop(app, make, login, standins)


@pytest.mark.parametrize("fault", ["500", "half", "garbage", "bad_signature", "unsigned", "error"])
def test_a_gateway_that_answers_wrongly_delays_a_payment_and_loses_nothing(shop: Shop, fault: str) -> None:
    plan = shop.plan()
    order = shop.order(plan, 3)
    shop.pay(order)
    shop.standins.control("alipay", "settings", {"next_answers": [fault]})
    assert shop.notify(order.number) == "fail"
    assert shop.count(Payment) == 0
    assert shop.notify(order.number) == "success"
    shop.enrolled(order, plan, 3)


SKEW = timedelta(minutes=5)


def test_with_our_clock_ahead_a_payment_in_time_by_the_gateways_clock_is_honoured(shop: Shop, clock: Any, run_jobs: Any) -> None:
    """Whether it was in time is the gateway's to say; when seats go is ours, once the trade is closed."""
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    shop.standins.open_pay_page(shop.pay_url(order.id))
    clock.moment = order.release_at
    shop.standins.set_time(clock.moment - SKEW, stopped=True)
    shop.standins.control("alipay", "pay", {"order_no": order.number, "notify": False})
    run_jobs()
    shop.enrolled(order, plan, 3)


def test_with_our_clock_ahead_an_unpaid_trade_is_closed_before_its_seats_go(shop: Shop, clock: Any, run_jobs: Any) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    shop.standins.open_pay_page(shop.pay_url(order.id))
    clock.moment = order.release_at
    shop.standins.set_time(clock.moment - SKEW, stopped=True)
    run_jobs()
    assert (shop.look(order.id).state, shop.seats(plan)) == ("expired", 0)
    assert shop.trade(order.number)["closed_why"] == "merchant"


@pytest.mark.parametrize(("before", "ends"), [(timedelta(seconds=1), "paid"), (-timedelta(seconds=1), "expired")])
def test_with_our_clock_behind_the_gateway_closes_first_and_nothing_is_lost(
        shop: Shop, clock: Any, run_jobs: Any, before: timedelta, ends: str) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    url = shop.pay_url(order.id)
    shop.standins.set_time(order.expires_at - before, stopped=True)
    clock.moment = order.expires_at - before - SKEW
    if ends == "paid":
        shop.standins.pay(url, order.number, notify=False)
        assert shop.notify(order.number) == "success"
    else:
        assert "交易已关闭" in shop.standins.open_pay_page(url)
    clock.moment = order.release_at
    run_jobs()
    assert shop.look(order.id).state == ends
    assert shop.seats(plan) == (3 if ends == "paid" else 0)
