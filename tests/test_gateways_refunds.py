"""Refunds through the Alipay client, and answers that are not Alipay's word."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from app.gateways.payment import AlipayGateway
from tests.paying import Receiver, gateway, make_gateway, outside, pay_url, portal, refused, served  # noqa: F401
from tests.standin_server import RunningStandins, running_standins


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
