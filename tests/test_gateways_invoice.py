"""The Nuonuo client against the stand-in platform, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.gateways.errors import GatewayError
from app.gateways.invoice import NuonuoInvoiceGateway, signature
from tests.standin_server import RunningStandins, running_standins


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStandins]:
    with running_standins(tmp_path_factory.mktemp("standins")) as server:
        yield server


@pytest.fixture
def outside(served: RunningStandins) -> RunningStandins:
    served.reset()
    return served


def make_gateway(outside: RunningStandins, **changed: Any) -> NuonuoInvoiceGateway:
    s = outside.settings() | {k: v for k, v in changed.items() if k != "timeout"}
    return NuonuoInvoiceGateway(
        s["invoice_url"], s["invoice_app_key"], s["invoice_app_secret"], s["invoice_access_token"],
        s["invoice_seller_tax_number"], timeout=changed.get("timeout", 10.0),
    )


@pytest.fixture
def gateway(outside: RunningStandins) -> NuonuoInvoiceGateway:
    return make_gateway(outside)


def ask(gateway: NuonuoInvoiceGateway, order_no: str = "P1", amount: int = 64000) -> str:
    return gateway.request(order_no, "杭州建工有限公司", "91330100MA2AAAA05G", amount, "培训费", "a@example.cn")


def test_the_signature_is_the_published_one() -> None:
    # The value was made once with openssl: printf '%s' "a=...&f={}" | openssl dgst -sha1 -hmac secret -binary | base64
    made = signature("secret", "/open/v1/services", "key", "senid", "12345678", "1600000000", b"{}")
    assert made == "xBzk8kdedqzX+TS/04bRuTRlqqQ="


def test_an_invoice_is_requested_and_fetched_with_its_paper(outside: RunningStandins, gateway: NuonuoInvoiceGateway) -> None:
    outside.control("invoice", "settings", {"delay_s": 60})
    serial = ask(gateway)
    assert gateway.fetch(serial).state == "issuing"
    outside.set_time(datetime.now(UTC) + timedelta(seconds=61))
    result = gateway.fetch(serial)
    assert result.state == "issued"
    assert len(result.number) == 20
    assert result.pdf is not None
    assert result.pdf.startswith(b"%PDF-")


def test_the_standins_paper_is_a_receipt_and_never_calls_itself_an_invoice(gateway: NuonuoInvoiceGateway) -> None:
    pdf = gateway.fetch(ask(gateway)).pdf
    assert pdf is not None

    def holds(text: str) -> bool:
        return text.encode("utf-16-be").hex().upper().encode() in pdf

    assert holds("收据")
    assert holds("640.00")
    assert holds("杭州建工有限公司")
    assert not holds("发票")


def test_asking_again_for_the_same_order_gives_the_same_invoice(outside: RunningStandins, gateway: NuonuoInvoiceGateway) -> None:
    assert ask(gateway) == ask(gateway)
    assert len(outside.control("invoice", "invoices.json")) == 1


@pytest.mark.parametrize("fault", ["late-500", "half"])
def test_a_request_whose_answer_was_lost_is_found_again(
    outside: RunningStandins, gateway: NuonuoInvoiceGateway, fault: str
) -> None:
    outside.control("invoice", "settings", {"next_answers": [fault]})
    with pytest.raises(GatewayError) as caught:
        ask(gateway)
    assert caught.value.permanent is False
    serial = ask(gateway)
    assert [row["serial"] for row in outside.control("invoice", "invoices.json")] == [serial]


def test_a_failed_invoice_says_why(outside: RunningStandins, gateway: NuonuoInvoiceGateway) -> None:
    outside.control("invoice", "settings", {"fail_with": "购方税号校验不通过"})
    result = gateway.fetch(ask(gateway))
    assert (result.state, result.reason, result.pdf) == ("failed", "购方税号校验不通过", None)


def test_content_the_platform_refuses_is_refused_for_good(outside: RunningStandins, gateway: NuonuoInvoiceGateway) -> None:
    with pytest.raises(GatewayError) as caught:
        gateway.request("P1", "", "91330100MA2AAAA05G", 64000, "培训费", "")
    assert caught.value.permanent is True
    with pytest.raises(GatewayError) as caught:
        make_gateway(outside, invoice_seller_tax_number="91330212MA2AAAA052").request("P1", "甲", "", 1, "培训费", "")
    assert caught.value.permanent is True
    assert outside.control("invoice", "invoices.json") == []


def test_an_unknown_serial_is_refused_for_good(gateway: NuonuoInvoiceGateway) -> None:
    with pytest.raises(GatewayError) as caught:
        gateway.fetch("26110100000000000000")
    assert caught.value.permanent is True


@pytest.mark.parametrize("changed", [
    {"invoice_app_secret": "wrong"}, {"invoice_app_key": "wrong"}, {"invoice_access_token": "wrong"},
])
def test_a_wrong_key_issues_nothing_and_is_the_operators_to_mend(outside: RunningStandins, changed: dict[str, str]) -> None:
    with pytest.raises(GatewayError) as caught:
        ask(make_gateway(outside, **changed))
    assert caught.value.permanent is False
    assert outside.control("invoice", "invoices.json") == []


@pytest.mark.parametrize("fault", ["500", "garbage", "half", "error", "timeout"])
def test_the_platforms_own_trouble_is_passing(outside: RunningStandins, fault: str) -> None:
    gateway = make_gateway(outside, timeout=0.5)
    serial = ask(gateway)
    outside.control("invoice", "settings", {"next_answers": [fault], "timeout_s": 2})
    with pytest.raises(GatewayError) as caught:
        gateway.fetch(serial)
    assert caught.value.permanent is False
    assert gateway.fetch(serial).state == "issued"
