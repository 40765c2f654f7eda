"""The Alipay client against the stand-in gateway, over real HTTP and with real signatures on both sides."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from app.gateways.errors import AlreadyPaid
from app.gateways.payment import AlipayGateway, fen, yuan
from tests.paying import Receiver, gateway, make_gateway, outside, pay_url, portal, refused, served  # noqa: F401
from tests.standin_server import RunningStandins


@pytest.mark.parametrize(("amount", "text"), [(1, "0.01"), (10, "0.10"), (12345, "123.45"), (6400000, "64000.00")])
def test_an_amount_travels_as_text_with_two_decimals_and_comes_back(amount: int, text: str) -> None:
    assert yuan(amount) == text
    assert fen(text) == amount


@pytest.mark.parametrize("text", ["", "1.234", "-1.00", "1e3", "1,000.00", "１.00", "1.00\n", "NaN"])
def test_text_that_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        fen(text)


def test_a_price_of_nothing_cannot_be_asked_for(gateway: AlipayGateway) -> None:
    with pytest.raises(ValueError, match="cannot be paid"):
        pay_url(gateway, amount=0)


def test_the_pay_page_shows_what_is_bought_and_until_when(outside: RunningStandins, gateway: AlipayGateway) -> None:
    page = outside.open_pay_page(pay_url(gateway, "P-7", subject="杭建培20261101 培训费"))
    for words in ("杭建培20261101 培训费", "640.00", "P-7", "剩余时间", "确认付款", "返回商户", "演示支付网关"):
        assert words in page


def test_a_trade_does_not_exist_until_the_pay_page_is_opened(outside: RunningStandins, gateway: AlipayGateway) -> None:
    url = pay_url(gateway)
    assert gateway.query("P1") is None
    outside.open_pay_page(url)
    trade = gateway.query("P1")
    assert trade is not None
    assert (trade.status, trade.amount_fen, trade.paid_at) == ("waiting", 64000, None)


def test_a_buyer_pays_the_portal_is_notified_and_the_buyer_returns(
    outside: RunningStandins, gateway: AlipayGateway, portal: Receiver
) -> None:
    url = pay_url(gateway, back=f"{portal.url}/back?order=P1", notify=f"{portal.url}/notify")
    action = re.search('action="(/alipay/pay/[^"]+)"', outside.open_pay_page(url))
    assert action is not None
    answer = outside.http.post(outside.url + action[1], allow_redirects=False, timeout=10)
    assert answer.status_code == 303
    back = urlsplit(answer.headers["Location"])
    assert dict(parse_qsl(back.query))["out_trade_no"] == "P1"
    assert dict(parse_qsl(back.query))["order"] == "P1"
    portal.wait_for(1)
    notification = gateway.read_notification(portal.forms[0])
    assert notification is not None
    assert (notification.order_no, notification.amount_fen, notification.status) == ("P1", 64000, "paid")
    trade = gateway.query("P1")
    assert trade is not None
    assert trade.status == "paid"
    assert trade.trade_no == notification.trade_no
    assert trade.paid_at == notification.paid_at
    assert trade.paid_at is not None
    assert abs(trade.paid_at - datetime.now(UTC)) < timedelta(seconds=30)
    assert "请勿重复支付" in outside.open_pay_page(url)


def test_a_notification_is_repeated_until_the_portal_answers_success(
    outside: RunningStandins, gateway: AlipayGateway, portal: Receiver
) -> None:
    outside.control("alipay", "settings", {"notify_scale": 0.0001})
    portal.answers = ["出错了", "fail"]
    outside.pay(pay_url(gateway, notify=f"{portal.url}/notify"), "P1")
    portal.wait_for(3)
    read = [gateway.read_notification(form) for form in portal.forms]
    assert read[0] is not None
    assert read.count(read[0]) == 3  # the same notification, told apart from a new one by its id
    time.sleep(0.5)
    assert len(portal.forms) == 3
    assert outside.control("alipay", "notifications")[0]["state"] == "delivered"


def test_a_suppressed_notification_can_be_sent_later_by_hand(
    outside: RunningStandins, gateway: AlipayGateway, portal: Receiver
) -> None:
    outside.control("alipay", "settings", {"notify": "off"})
    outside.pay(pay_url(gateway, notify=f"{portal.url}/notify"), "P1")
    assert portal.forms == []
    assert outside.control("alipay", "notify", {"order_no": "P1", "times": 2}) == ["success", "success"]
    assert len(portal.forms) == 2


def test_an_empty_field_of_a_notification_is_part_of_its_signature(outside: RunningStandins, gateway: AlipayGateway) -> None:
    outside.pay(pay_url(gateway), "P1")
    form = outside.notification("P1", fields={"body": ""})
    assert gateway.read_notification(form) is not None
    assert gateway.read_notification({k: v for k, v in form.items() if v}) is None


def test_reading_a_notification_leaves_the_form_as_it_was(outside: RunningStandins, gateway: AlipayGateway) -> None:
    outside.pay(pay_url(gateway), "P1")
    form = outside.notification("P1")
    before = dict(form)
    assert gateway.read_notification(form) == gateway.read_notification(form)
    assert form == before


@pytest.mark.parametrize("tamper", [
    {"total_amount": "0.01"},
    {"out_trade_no": "P2"},
    {"trade_status": "TRADE_FINISHED"},
    {"gmt_payment": "2020-01-01 00:00:00"},
    {"sign": ""},
    {"sign": "not base64 at all!"},
    {"sign": "abc"},
    {"sign": "QUJD"},
    {"sign": "签名"},
    {"sign_type": "RSA"},
    {"extra": "1"},
    {"subject": "\ud800"},
])
def test_a_tampered_notification_is_not_believed(
    outside: RunningStandins, gateway: AlipayGateway, tamper: dict[str, str]
) -> None:
    outside.pay(pay_url(gateway), "P1")
    form = outside.notification("P1")
    assert gateway.read_notification(form) is not None
    assert gateway.read_notification(form | tamper) is None


@pytest.mark.parametrize("fields", [
    {"app_id": "2021000000000002"},
    {"seller_id": "2088000000000009"},
    {"trade_status": "TRADE_PENDING"},
    {"total_amount": "640.001"},
    {"gmt_payment": "yesterday"},
])
def test_a_genuine_notification_about_another_merchant_or_of_no_sense_is_not_taken(
    outside: RunningStandins, gateway: AlipayGateway, fields: dict[str, str]
) -> None:
    outside.pay(pay_url(gateway), "P1")
    assert gateway.read_notification(outside.notification("P1", fields=fields)) is None


def test_a_genuine_notification_of_another_amount_is_read_as_it_stands(
    outside: RunningStandins, gateway: AlipayGateway
) -> None:
    outside.pay(pay_url(gateway), "P1")
    notification = outside.notification("P1", fields={"total_amount": "0.01"})
    read = gateway.read_notification(notification)
    assert read is not None
    assert read.amount_fen == 1


def test_the_moment_of_payment_is_shanghai_time(outside: RunningStandins, gateway: AlipayGateway) -> None:
    at = datetime(2026, 11, 5, 1, 59, 30, tzinfo=UTC)
    outside.pay(pay_url(gateway), "P1", paid_at=at)
    read, trade = gateway.read_notification(outside.notification("P1")), gateway.query("P1")
    assert read is not None
    assert read.paid_at == at
    assert trade is not None
    assert trade.paid_at == at
    assert outside.notification("P1")["gmt_payment"] == "2026-11-05 09:59:30"


def test_requests_carry_shanghai_time_wherever_the_machine_is(
    outside: RunningStandins, gateway: AlipayGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        fields = dict(parse_qsl(urlsplit(pay_url(gateway)).query))
    finally:
        monkeypatch.undo()
        time.tzset()
    sent = datetime.strptime(fields["timestamp"] + " +0800", "%Y-%m-%d %H:%M:%S %z")
    assert abs(sent - datetime.now(UTC)) < timedelta(seconds=30)
    assert re.search(r'"time_expire":"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"', fields["biz_content"])
    assert "timeout_express" not in fields["biz_content"]


def test_an_expired_trade_can_no_longer_be_paid(outside: RunningStandins, gateway: AlipayGateway) -> None:
    url = pay_url(gateway, minutes=60)
    action = re.search('action="(/alipay/pay/[^"]+)"', outside.open_pay_page(url))
    assert action is not None
    outside.set_time(datetime.now(UTC) + timedelta(minutes=60, seconds=1))
    assert outside.http.post(outside.url + action[1], timeout=10).status_code == 409
    assert "确认付款" not in outside.open_pay_page(url)
    trade = gateway.query("P1")
    assert trade is not None
    assert (trade.status, trade.paid_at) == ("closed", None)


def test_a_pay_page_first_opened_after_the_deadline_cannot_be_paid(
    outside: RunningStandins, gateway: AlipayGateway
) -> None:
    assert "交易已关闭" in outside.open_pay_page(pay_url(gateway, minutes=-1))


def test_a_closed_trade_can_no_longer_be_paid_and_closing_again_is_no_error(
    outside: RunningStandins, gateway: AlipayGateway
) -> None:
    url = pay_url(gateway)
    outside.open_pay_page(url)
    gateway.close("P1")
    gateway.close("P1")
    trade = gateway.query("P1")
    assert trade is not None
    assert (trade.status, trade.paid_at) == ("closed", None)
    assert "交易已关闭" in outside.open_pay_page(url)


def test_closing_a_trade_that_never_began_is_no_error(gateway: AlipayGateway) -> None:
    gateway.close("P-none")
    assert gateway.query("P-none") is None


def test_closing_a_paid_trade_says_so_and_leaves_it_paid(outside: RunningStandins, gateway: AlipayGateway) -> None:
    outside.pay(pay_url(gateway), "P1")
    with pytest.raises(AlreadyPaid):
        gateway.close("P1")
    trade = gateway.query("P1")
    assert trade is not None
    assert trade.status == "paid"
