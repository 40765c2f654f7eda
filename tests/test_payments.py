"""Payments: what is believed, and that it is written once (E16; docs/money.md)."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from app import clock as time
from models import Payment
from tests.shop import FIRST, SECOND, Shop


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    return Shop(app, make, login, standins)


def test_a_paid_order_enrols_everyone_and_its_invoice_is_due(shop: Shop) -> None:
    plan = shop.plan()
    order = shop.order(plan, 3)
    shop.pay(order)
    assert shop.notify(order.number) == "success"
    shop.enrolled(order, plan, 3)
    assert shop.look(order.id).trade_no == shop.trade(order.number)["trade_no"]
    page = shop.login(FIRST).get(f"/orders/{order.id}").text
    assert "已支付" in page
    assert "3 人已全部报名成功" in page
    assert "去支付宝付款" not in page


def test_the_way_back_from_the_pay_page_shows_the_paid_order(shop: Shop) -> None:
    """The notification may still be on its way: the gateway is asked."""
    plan = shop.plan()
    order = shop.order(plan, 3)
    shop.pay(order)
    client = shop.login(FIRST)
    answer = client.get(f"/pay/alipay/return?out_trade_no={order.number}&trade_no=x&total_amount=0.01")
    assert answer.headers["Location"].endswith(f"/orders/{order.id}")
    assert "支付成功" in client.get(f"/orders/{order.id}").text
    shop.enrolled(order, plan, 3)
    assert shop.notify(order.number) == "success"
    assert shop.count(Payment) == 1


def test_the_way_back_proves_nothing(shop: Shop) -> None:
    plan = shop.plan()
    order = shop.order(plan, 3)
    client = shop.login(FIRST)
    page = client.get(f"/pay/alipay/return?out_trade_no={order.number}&trade_status=TRADE_SUCCESS", follow_redirects=True).text
    assert "支付成功" not in page
    assert shop.look(order.id).state == "pending"
    assert shop.login(SECOND).get(f"/pay/alipay/return?out_trade_no={order.number}").status_code == 404
    assert client.get("/pay/alipay/return").status_code == 404
    visitor = shop.app.test_client().get(f"/pay/alipay/return?out_trade_no={order.number}")
    assert "/login/" in visitor.headers["Location"]
    assert shop.count(Payment) == 0


def test_a_person_may_ask_for_the_result(shop: Shop) -> None:
    plan = shop.plan()
    order = shop.order(plan, 3)
    client = shop.login(FIRST)
    assert "还没有这笔订单的付款记录" in client.post(f"/orders/{order.id}/check", follow_redirects=True).text
    shop.pay(order)
    shop.standins.control("alipay", "settings", {"next_answers": ["500"]})
    assert "暂时无法查询" in client.post(f"/orders/{order.id}/check", follow_redirects=True).text
    assert "已支付" in client.post(f"/orders/{order.id}/check", follow_redirects=True).text
    shop.enrolled(order, plan, 3)


def test_a_notification_may_come_again_and_changes_nothing(shop: Shop) -> None:
    plan = shop.plan()
    order = shop.order(plan, 3)
    shop.pay(order)
    form = shop.standins.notification(order.number)
    assert [shop.post(form) for _each in range(3)] == ["success"] * 3
    assert shop.notify(order.number) == "success"  # the same payment under another notify_id
    shop.enrolled(order, plan, 3)
    assert shop.audits("pay_order") == 1
    assert shop.audits("receive_payment") == 1


def test_notifications_of_two_orders_may_come_in_any_order(shop: Shop) -> None:
    plan = shop.plan()
    one, two = shop.order(plan, 2), shop.order(plan, 3, enterprise=SECOND)
    shop.pay(one)
    shop.pay(two, enterprise=SECOND)
    first, second = shop.standins.notification(one.number), shop.standins.notification(two.number)
    assert shop.post(second) == "success"
    assert (shop.look(one.id).state, shop.look(two.id).state) == ("pending", "paid")
    assert shop.post(first) == "success"
    assert shop.look(one.id).state == "paid"
    assert shop.seats(plan) == 5


@pytest.mark.parametrize("tamper", [
    {"total_amount": "0.01"}, {"out_trade_no": "1"}, {"trade_no": "1"}, {"gmt_payment": "2020-01-01 00:00:00"},
    {"sign": "AAAA"}, {"sign": ""}, {"sign": "not base64 !"}, {"sign_type": "RSA"}, {"extra": "1"},
])
def test_a_tampered_notification_changes_nothing(shop: Shop, tamper: dict[str, str]) -> None:
    order = shop.order(shop.plan())
    shop.pay(order)
    assert shop.notify(order.number, tamper=tamper) == "fail"
    assert shop.look(order.id).state == "pending"
    assert shop.count(Payment) == 0


@pytest.mark.parametrize("fields", [{"seller_id": "2088999999999999"}, {"app_id": "2021999999999999"}])
def test_a_notification_of_another_seller_changes_nothing(shop: Shop, fields: dict[str, str]) -> None:
    order = shop.order(shop.plan())
    shop.pay(order)
    assert shop.notify(order.number, fields=fields) == "fail"
    assert shop.count(Payment) == 0


def test_what_is_no_notification_at_all_is_refused(shop: Shop) -> None:
    client = shop.app.test_client()
    assert client.post("/pay/alipay/notify", data={}).text == "fail"
    assert client.post("/pay/alipay/notify", data=b"\xff\xfe", content_type="text/plain").text == "fail"
    assert client.get("/pay/alipay/notify").status_code == 405
    assert shop.count(Payment) == 0


def test_the_gateway_needs_no_token_of_ours(shop: Shop, monkeypatch: Any) -> None:
    """The address is exempt from the check of forms; every other POST is not."""
    order = shop.order(shop.plan())
    shop.pay(order)
    client = shop.login(FIRST)
    monkeypatch.setitem(shop.app.config, "WTF_CSRF_ENABLED", True)
    assert shop.notify(order.number) == "success"
    assert client.post(f"/orders/{order.id}/cancel").status_code == 400
    assert shop.look(order.id).state == "paid"


@pytest.mark.parametrize("status", ["WAIT_BUYER_PAY", "TRADE_CLOSED"])
def test_a_notification_of_another_status_is_acknowledged_and_ignored(shop: Shop, status: str) -> None:
    order = shop.order(shop.plan())
    shop.standins.open_pay_page(shop.pay_url(order.id))
    assert shop.notify(order.number, fields={"trade_status": status}) == "success"
    assert shop.look(order.id).state == "pending"
    assert shop.count(Payment) == 0


def test_a_signed_claim_is_not_believed_when_the_gateway_says_otherwise(shop: Shop, caplog: Any) -> None:
    order = shop.order(shop.plan())
    shop.standins.open_pay_page(shop.pay_url(order.id))
    with caplog.at_level(logging.ERROR):
        assert shop.notify(order.number, fields={"trade_status": "TRADE_SUCCESS"}) == "fail"
    assert "the gateway says waiting" in caplog.text
    assert shop.look(order.id).state == "pending"
    assert shop.count(Payment) == 0


def test_a_notification_waits_for_its_repetition_while_the_gateway_cannot_be_asked(shop: Shop) -> None:
    plan = shop.plan()
    order = shop.order(plan, 3)
    shop.pay(order)
    shop.standins.control("alipay", "settings", {"next_answers": ["500", "unsigned"]})
    assert [shop.notify(order.number) for _each in range(3)] == ["fail", "fail", "success"]
    shop.enrolled(order, plan, 3)


def test_a_payment_of_another_amount_is_kept_for_a_person_to_judge(shop: Shop) -> None:
    order = shop.order(shop.plan())
    with shop.tables():
        url = shop.gateway().pay_url(order.number, 1, "x", order.expires_at, "", "http://portal.test/pay/alipay/notify")
    shop.standins.pay(url, order.number, notify=False)
    assert shop.notify(order.number) == "success"
    look = shop.look(order.id)
    assert look.state == "pending"
    assert look.payments == [("unmatched", "付款金额与订单金额不符，已转财务核对。")]
    assert "没有记入订单" in shop.login(FIRST).get(f"/orders/{order.id}").text
    assert not shop.trade(order.number)["refunds"]


def test_a_payment_without_an_order_is_kept_for_a_person_to_judge(shop: Shop) -> None:
    with shop.tables():
        url = shop.gateway().pay_url("elsewhere1", 100, "x", time.now() + timedelta(hours=1), "", "http://portal.test/n")
    shop.standins.pay(url, "elsewhere1", notify=False)
    assert shop.notify("elsewhere1") == "success"
    assert shop.count(Payment, state="unmatched", order_number="elsewhere1", amount_fen=100) == 1


