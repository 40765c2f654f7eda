"""How an order ends that nobody pays: by its time, by hand, by an opened class (E16, C19, J2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app import clock as time
from app.operations import orders
from tests.shop import FIRST, SECOND, Shop


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    return Shop(app, make, login, standins)


def test_an_unpaid_order_expires_and_its_seats_are_free_again(shop: Shop, clock: Any, run_jobs: Any) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    clock.set(order.release_at - timedelta(seconds=1))
    run_jobs()
    assert shop.look(order.id).state == "pending"
    assert shop.seats(plan) == 3
    clock.set(order.release_at)
    run_jobs()
    look = shop.look(order.id)
    assert (look.state, look.people) == ("expired", {"draft": 3})
    assert shop.seats(plan) == 0
    page = shop.login(FIRST).get(f"/orders/{order.id}").text
    assert "已过期" in page
    assert "名额已释放" in page
    assert "查看名单" in page
    assert "去支付宝付款" not in page


def test_expiring_twice_gives_the_seats_back_once(shop: Shop, clock: Any) -> None:
    plan = shop.plan()
    order = shop.order(plan, 3)
    shop.order(plan, 2)
    clock.set(order.release_at)
    for _each in range(2):
        with shop.tables():
            orders.run_expiry(order.id, lambda done, total: None)
    assert shop.seats(plan) == 2
    assert shop.audits("expire_order") == 1


def test_after_expiry_the_same_draft_can_be_ordered_again(shop: Shop, clock: Any, run_jobs: Any) -> None:
    plan = shop.plan(seats=3)
    batch = shop.batch(plan, 3)
    client = shop.login(FIRST)
    client.post(f"/orders/add/{batch}")
    first = shop.newest(batch)
    clock.set(first.release_at)
    run_jobs()
    client.post(f"/orders/add/{batch}")
    second = shop.newest(batch)
    assert second.id != first.id
    assert second.state == "pending"
    assert shop.seats(plan) == 3


def test_a_hold_is_over_by_its_time_even_if_no_job_ran(shop: Shop, clock: Any) -> None:
    """The next order takes the seats of one that is overdue; an order within its two minutes keeps them."""
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    batch = shop.batch(plan, 3, enterprise=SECOND)
    client = shop.login(SECOND)
    clock.set(order.release_at - timedelta(seconds=1))
    assert "名额不足" in client.post(f"/orders/add/{batch}", follow_redirects=True).text
    assert shop.look(order.id).state == "pending"
    clock.set(order.release_at)
    client.post(f"/orders/add/{batch}")
    assert shop.look(order.id).state == "expired"
    assert shop.newest(batch).state == "pending"
    assert shop.seats(plan) == 3


def test_one_whose_own_hold_is_overdue_gets_a_new_order(shop: Shop, clock: Any) -> None:
    plan = shop.plan(seats=3)
    batch = shop.batch(plan, 3)
    client = shop.login(FIRST)
    client.post(f"/orders/add/{batch}")
    first = shop.newest(batch)
    clock.set(first.release_at)
    client.post(f"/orders/add/{batch}")
    assert shop.newest(batch).id != first.id
    assert shop.look(first.id).state == "expired"


def test_after_the_deadline_the_order_cannot_be_paid(shop: Shop, clock: Any) -> None:
    order = shop.order(shop.plan())
    clock.set(order.expires_at)
    client = shop.login(FIRST)
    assert client.get(f"/orders/{order.id}/pay").status_code == 409
    page = client.get(f"/orders/{order.id}").text
    assert "核实中" in page
    assert "去支付宝付款" not in page
    assert order.number in client.get("/orders/?state=checking").text


def test_an_expiry_waits_while_the_gateway_is_away(shop: Shop, clock: Any, run_jobs: Any) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    clock.set(order.release_at)
    shop.standins.control("alipay", "settings", {"next_answers": ["500", "garbage", "unsigned"]})
    for _each in range(3):
        run_jobs()
        assert shop.look(order.id).state == "pending"
        assert shop.jobs("expire_order") == 1
        clock.set(time.now() + timedelta(minutes=2))
    run_jobs()
    assert shop.look(order.id).state == "expired"
    assert shop.seats(plan) == 0


def test_expiry_closes_the_trade_that_waits_at_the_gateway(shop: Shop, clock: Any, run_jobs: Any) -> None:
    order = shop.order(shop.plan())
    shop.standins.open_pay_page(shop.pay_url(order.id))
    clock.moment = order.release_at  # the gateway's own clock is behind: the trade still waits there
    run_jobs()
    assert shop.look(order.id).state == "expired"
    assert shop.trade(order.number)["closed_why"] == "merchant"


def test_a_cancelled_order_frees_its_seats_and_closes_its_trade(shop: Shop) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    shop.standins.open_pay_page(shop.pay_url(order.id))
    client = shop.login(FIRST)
    assert "订单已取消" in client.post(f"/orders/{order.id}/cancel", follow_redirects=True).text
    look = shop.look(order.id)
    assert (look.state, look.people) == ("cancelled", {"draft": 3})
    assert shop.seats(plan) == 0
    assert shop.trade(order.number)["closed_why"] == "merchant"
    assert "状态已变化" in client.post(f"/orders/{order.id}/cancel", follow_redirects=True).text
    assert shop.seats(plan) == 0
    assert shop.audits("cancel_order") == 1


def test_an_order_is_not_cancelled_while_the_gateway_cannot_be_asked(shop: Shop) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    shop.standins.control("alipay", "settings", {"next_answers": ["500"]})
    page = shop.login(FIRST).post(f"/orders/{order.id}/cancel", follow_redirects=True).text
    assert "没有取消" in page
    assert shop.look(order.id).state == "pending"
    assert shop.seats(plan) == 3


def test_cancelling_an_order_that_was_just_paid_takes_the_payment_instead(shop: Shop) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    shop.pay(order)
    page = shop.login(FIRST).post(f"/orders/{order.id}/cancel", follow_redirects=True).text
    assert "已支付成功，不能取消" in page
    look = shop.look(order.id)
    assert (look.state, look.people) == ("paid", {"enrolled": 3})
    assert shop.seats(plan) == 3


def test_opening_the_class_closes_the_orders_nobody_paid_and_says_so(shop: Shop, clock: Any, run_jobs: Any) -> None:
    """C19: nothing of a time that was over, and no way back that cannot work; who had not paid in time has expired."""
    plan = shop.plan()
    paid, late = shop.order(plan, 2), shop.order(plan, 1, enterprise=SECOND)
    shop.pay(paid)
    shop.notify(paid.number)
    clock.set(late.expires_at)
    order = shop.order(plan, 3)
    shop.standins.open_pay_page(shop.pay_url(order.id))
    institution = shop.login("hjp")
    institution.post(f"/classes/{plan}/open", data={"early": "1"})
    run_jobs()
    assert [shop.look(each.id).state for each in (order, paid, late)] == ["closed", "paid", "expired"]
    assert shop.trade(order.number)["closed_why"] == "merchant"
    assert shop.seats(plan) == 2
    client = shop.login(FIRST)
    page = client.get(f"/orders/{order.id}").text
    assert "开班截止" in page
    assert "报名截止，订单随之关闭" in page
    for word in ("超时", "已过期", "重新生成", "查看名单"):
        assert word not in page, word
    assert order.number in client.get("/orders/?state=closed").text
    assert order.number not in client.get("/orders/?state=expired").text
    assert "重新生成" not in shop.login(SECOND).get(f"/orders/{late.id}").text, "its enrolment is over as well"
    told = client.get("/notices/").text
    assert f"订单“{order.number}”未支付，培训班已开班" in told
    assert "未在时限内支付" not in told
    assert "未在时限内支付" in shop.login(SECOND).get("/notices/").text
    assert "开班截止" in institution.get("/orders/").text
    assert "开班截止" in institution.get("/finance/days?part=orders").text


def test_money_that_was_paid_before_the_class_opened_still_enrols(shop: Shop, run_jobs: Any) -> None:
    plan = shop.plan()
    other, order = shop.order(plan, 2), shop.order(plan, 3)
    shop.pay(other)
    shop.notify(other.number)
    shop.pay(order)  # and nobody has heard of it
    shop.login("hjp").post(f"/classes/{plan}/open", data={"early": "1"})
    assert shop.look(order.id).state == "closed"
    run_jobs()
    assert shop.look(order.id).state == "paid"
    assert shop.seats(plan) == 5
    assert "开班截止" in shop.login(FIRST).get(f"/orders/{order.id}").text, "the line of what happened keeps it"


def test_an_order_whose_enrolment_is_over_does_not_invite_to_another(shop: Shop, clock: Any, run_jobs: Any) -> None:
    plan = shop.plan()
    order = shop.order(plan)
    clock.advance(days=60)
    run_jobs()
    page = shop.login(FIRST).get(f"/orders/{order.id}").text
    assert "已过期" in page
    assert "报名已结束，不能再报名" in page
    for word in ("重新生成", "查看名单"):
        assert word not in page, word
