"""The Alipay client against the stand-in gateway, over real HTTP and with real signatures on both sides."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from app.gateways.errors import AlreadyPaid, GatewayError
from app.gateways.payment import AlipayGateway, fen, yuan
from tests.standin_server import RunningStandins, running_standins


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStandins]:
    with running_standins(tmp_path_factory.mktemp("standins")) as server:
        yield server


@pytest.fixture
def outside(served: RunningStandins) -> RunningStandins:
    served.reset()
    return served


def make_gateway(outside: RunningStandins, **changed: Any) -> AlipayGateway:
    s = outside.settings() | {k: v for k, v in changed.items() if k != "timeout"}
    return AlipayGateway(
        s["alipay_gateway_url"], s["alipay_app_id"], s["alipay_seller_id"], s["alipay_private_key"],
        s["alipay_public_key"], timeout=changed.get("timeout", 10.0),
    )


@pytest.fixture
def gateway(outside: RunningStandins) -> AlipayGateway:
    return make_gateway(outside)


class Receiver:
    """A portal that only takes notifications: what came, and what to answer next."""

    def __init__(self) -> None:
        self.forms: list[dict[str, str]] = []
        self.answers: list[str] = []
        self.url = ""

    def __call__(self, environ: Any, start: Any) -> Any:
        self.forms.append(Request(environ).form.to_dict())
        answer = self.answers.pop(0) if self.answers else "success"
        return Response(answer)(environ, start)

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.forms) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.forms) >= count


@pytest.fixture
def portal() -> Iterator[Receiver]:
    receiver = Receiver()
    server = make_server("127.0.0.1", 0, receiver, threaded=True)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield receiver
    server.shutdown()
    thread.join()
    server.server_close()


def pay_url(gateway: AlipayGateway, order_no: str = "P1", *, amount: int = 64000, minutes: float = 60,
            subject: str = "培训费", back: str = "http://127.0.0.1:9/back", notify: str = "") -> str:
    expires = datetime.now(UTC) + timedelta(minutes=minutes)
    return gateway.pay_url(order_no, amount, subject, expires, back, notify)


@contextmanager
def refused(permanent: bool) -> Iterator[pytest.ExceptionInfo[GatewayError]]:
    with pytest.raises(GatewayError) as caught:
        yield caught
    assert caught.value.permanent is permanent


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


def test_a_refund_sent_twice_moves_money_once(outside: RunningStandins, gateway: AlipayGateway) -> None:
    outside.pay(pay_url(gateway), "P1")
    gateway.refund("P1", 30000, "R1", "名额已满")
    gateway.refund("P1", 30000, "R1", "名额已满")
    assert outside.control("alipay", "trades")[0]["refunds"] == {"R1": 30000}
    trade = gateway.query("P1")
    assert trade is not None
    assert trade.status == "paid"


def test_a_refund_whose_answer_was_lost_is_confirmed_by_sending_it_again(
    outside: RunningStandins, gateway: AlipayGateway
) -> None:
    outside.pay(pay_url(gateway), "P1")
    outside.control("alipay", "settings", {"next_answers": ["late-500"]})
    with refused(permanent=False):
        gateway.refund("P1", 64000, "R1", "名额已满")
    gateway.refund("P1", 64000, "R1", "名额已满")
    assert outside.control("alipay", "trades")[0]["refunds"] == {"R1": 64000}


def test_a_full_refund_closes_the_trade_which_still_says_when_it_was_paid(
    outside: RunningStandins, gateway: AlipayGateway
) -> None:
    outside.pay(pay_url(gateway), "P1")
    gateway.refund("P1", 64000, "R1", "名额已满")
    trade = gateway.query("P1")
    assert trade is not None
    assert trade.status == "closed"
    assert trade.paid_at is not None


def test_more_than_was_paid_or_another_amount_under_the_same_number_is_not_refunded(
    outside: RunningStandins, gateway: AlipayGateway
) -> None:
    outside.pay(pay_url(gateway), "P1")
    with refused(permanent=True):
        gateway.refund("P1", 64001, "R1", "名额已满")
    gateway.refund("P1", 100, "R2", "名额已满")
    with refused(permanent=True):
        gateway.refund("P1", 200, "R2", "名额已满")
    assert outside.control("alipay", "trades")[0]["refunds"] == {"R2": 100}


def test_a_refund_that_names_another_trade_moves_nothing(outside: RunningStandins, gateway: AlipayGateway) -> None:
    paid = outside.pay(pay_url(gateway), "P1")
    with refused(permanent=True):
        gateway.refund("P1", 100, "R1", "名额已满", trade_no="2026010122001400000000000000")
    assert outside.control("alipay", "trades")[0]["refunds"] == {}
    gateway.refund("P1", 100, "R1", "名额已满", trade_no=paid["trade_no"])
    assert outside.control("alipay", "trades")[0]["refunds"] == {"R1": 100}


def test_a_refund_of_an_unknown_trade_is_refused_for_good(gateway: AlipayGateway) -> None:
    with refused(permanent=True) as caught:
        gateway.refund("P-none", 100, "R1", "名额已满")
    assert caught.value.code == "ACQ.TRADE_NOT_EXIST"


@pytest.mark.parametrize("fault", ["bad_signature", "unsigned", "500", "garbage", "half", "error"])
def test_an_answer_that_is_not_alipays_word_is_not_believed_and_may_be_asked_again(
    outside: RunningStandins, gateway: AlipayGateway, fault: str
) -> None:
    outside.pay(pay_url(gateway), "P1")
    outside.control("alipay", "settings", {"next_answers": [fault]})
    with refused(permanent=False):
        gateway.query("P1")
    assert gateway.query("P1") is not None


def test_an_unsigned_word_that_a_trade_does_not_exist_is_not_believed(
    outside: RunningStandins, gateway: AlipayGateway
) -> None:
    outside.control("alipay", "settings", {"next_answers": ["unsigned"]})
    with refused(permanent=False):
        gateway.query("P-none")


@pytest.mark.parametrize("call", ["close", "refund"])
def test_closing_and_refunding_demand_a_signed_answer_too(
    outside: RunningStandins, gateway: AlipayGateway, call: str
) -> None:
    url = pay_url(gateway)
    outside.open_pay_page(url)
    if call == "refund":
        outside.pay(url, "P1")
    outside.control("alipay", "settings", {"next_answers": ["bad_signature"]})
    with refused(permanent=False):
        gateway.close("P1") if call == "close" else gateway.refund("P1", 100, "R1", "名额已满")


def test_a_silent_gateway_is_given_up_in_time(outside: RunningStandins) -> None:
    outside.control("alipay", "settings", {"next_answers": ["timeout"], "timeout_s": 5})
    began = time.monotonic()
    with refused(permanent=False):
        make_gateway(outside, timeout=0.3).query("P1")
    assert time.monotonic() - began < 3


def test_a_gateway_that_is_not_there_is_passing_trouble(outside: RunningStandins) -> None:
    with refused(permanent=False) as caught:
        make_gateway(outside, alipay_gateway_url="http://127.0.0.1:9/gateway.do").query("P1")
    assert "sign=" not in caught.value.detail


def test_a_request_signed_with_another_key_or_for_another_app_is_refused(
    outside: RunningStandins, tmp_path: Path
) -> None:
    from standins.keys import ensure_keys

    other = ensure_keys(tmp_path)["app_private"].read_text(encoding="ascii")
    for changed in ({"alipay_private_key": other}, {"alipay_app_id": "2021000000000002"}):
        stranger = make_gateway(outside, **changed)
        assert "无法付款" in outside.open_pay_page(pay_url(stranger))
        with refused(permanent=False):
            stranger.query("P1")
    assert outside.control("alipay", "trades") == []


def test_a_changed_amount_in_the_address_is_refused(outside: RunningStandins, gateway: AlipayGateway) -> None:
    assert "无法付款" in outside.open_pay_page(pay_url(gateway).replace("640.00", "0.01"))
    assert outside.control("alipay", "trades") == []


def test_braces_and_reserved_characters_in_a_subject_do_no_harm(
    outside: RunningStandins, gateway: AlipayGateway
) -> None:
    outside.pay(pay_url(gateway, subject="培训费 {一/二=三&四 }}"), "P1")
    trade = gateway.query("P1")
    assert trade is not None
    assert trade.status == "paid"
    assert outside.control("alipay", "trades")[0]["subject"] == "培训费 {一 二 三 四 }}"


def test_trades_outlive_a_restart_of_the_standin(tmp_path: Path) -> None:
    with running_standins(tmp_path) as first:
        gateway = make_gateway(first)
        first.pay(pay_url(gateway), "P1")
    with running_standins(tmp_path) as second:
        trade = make_gateway(second).query("P1")
    assert trade is not None
    assert trade.status == "paid"
