"""The Nuonuo client against the stand-in platform, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.gateways.errors import GatewayError
from app.gateways.invoice import Bill, NuonuoInvoiceGateway, RedLetter, Seller
from app.gateways.nuonuo import MemoryTokens, signature
from tests.standin_server import RunningStandins, running_standins


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStandins]:
    with running_standins(tmp_path_factory.mktemp("standins")) as server:
        yield server


@pytest.fixture
def outside(served: RunningStandins) -> RunningStandins:
    served.reset()
    return served


SELLER = Seller("91330100MA2AAAA05G", "建设工人培训演示收款单位")


def make_gateway(outside: RunningStandins, **changed: Any) -> NuonuoInvoiceGateway:
    s = outside.settings() | {k: v for k, v in changed.items() if k not in ("timeout", "tokens")}
    return NuonuoInvoiceGateway(s["invoice_url"], s["invoice_token_url"], s["invoice_app_key"], s["invoice_app_secret"],
                                tokens=changed.get("tokens"), timeout=changed.get("timeout", 10.0))


@pytest.fixture
def gateway(outside: RunningStandins) -> NuonuoInvoiceGateway:
    return make_gateway(outside)


def bill(order_no: str = "P1", amount: int = 64000, **changed: Any) -> Bill:
    values = {"seller": SELLER, "buyer_name": "杭州建工有限公司", "buyer_tax_number": "91330100MA2AAAA05G", "goods_name": "培训费",
              "goods_code": "3070201020000000000", "tax_rate": "0.03", "email": "a@example.cn"} | changed
    return Bill(order_no=order_no, amount_fen=amount, **values)


def ask(gateway: NuonuoInvoiceGateway, order_no: str = "P1", amount: int = 64000) -> str:
    return gateway.request(bill(order_no, amount))


def red(gateway: NuonuoInvoiceGateway, fen: int, before: int = 0, bill_id: str = "P1R1", **changed: Any) -> RedLetter:
    """A red letter over so many fen of the invoice P1."""
    number = gateway.fetch(ask(gateway), bill()).number
    return RedLetter(bill_id, bill(), changed.get("number", number), fen, before)


def test_the_signature_is_the_published_one() -> None:
    # The value was made once with openssl: printf '%s' "a=...&f={}" | openssl dgst -sha1 -hmac secret -binary | base64
    made = signature("secret", "/open/v1/services", "key", "senid", "12345678", "1600000000", b"{}")
    assert made == "xBzk8kdedqzX+TS/04bRuTRlqqQ="


def test_an_invoice_is_requested_and_fetched_with_its_paper(outside: RunningStandins, gateway: NuonuoInvoiceGateway) -> None:
    outside.control("invoice", "settings", {"delay_s": 60})
    serial = ask(gateway)
    assert gateway.fetch(serial, bill()).state == "issuing"
    outside.set_time(datetime.now(UTC) + timedelta(seconds=61))
    result = gateway.fetch(serial, bill())
    assert result.state == "issued"
    assert len(result.number) == 20
    assert result.issued_on is not None
    assert set(result.files) == {"pdf", "xml"}
    assert result.files["pdf"].startswith(b"%PDF-")


def test_the_standins_paper_is_a_receipt_and_never_calls_itself_an_invoice(gateway: NuonuoInvoiceGateway) -> None:
    pdf = gateway.fetch(ask(gateway), bill()).files["pdf"]

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
    result = gateway.fetch(ask(gateway), bill())
    assert (result.state, result.reason, result.files) == ("failed", "购方税号校验不通过", {})


def test_content_the_platform_refuses_is_refused_for_good(outside: RunningStandins, gateway: NuonuoInvoiceGateway) -> None:
    with pytest.raises(GatewayError) as caught:
        gateway.request(bill(buyer_name=""))
    assert caught.value.permanent is True
    with pytest.raises(GatewayError) as caught:
        gateway.request(bill(seller=Seller("91330212MA2AAAA052", "乙")))
    assert caught.value.permanent is True
    assert outside.control("invoice", "invoices.json") == []


def test_an_unknown_serial_is_refused_for_good(gateway: NuonuoInvoiceGateway) -> None:
    with pytest.raises(GatewayError) as caught:
        gateway.fetch("26110100000000000000", bill())
    assert caught.value.permanent is True


@pytest.mark.parametrize("changed", [
    {"invoice_app_secret": "wrong"}, {"invoice_app_key": "wrong"},
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
        gateway.fetch(serial, bill())
    assert caught.value.permanent is False
    assert gateway.fetch(serial, bill()).state == "issued"


class Tokens(MemoryTokens):
    """A store that another process has left something in."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self.write(token, 1000)


def tokens_of(outside: RunningStandins) -> int:
    return len(outside.control("invoice", "tokens.json"))


def test_one_token_serves_many_calls_and_is_renewed_when_its_time_is_over(outside: RunningStandins, gateway: NuonuoInvoiceGateway) -> None:
    for order_no in ("P1", "P2"):
        ask(gateway, order_no)
    assert tokens_of(outside) == 1
    outside.set_time(datetime.now(UTC) + timedelta(hours=25))  # ours still believes in it; the platform does not
    ask(gateway, "P3")
    assert tokens_of(outside) == 2
    assert len(outside.control("invoice", "invoices.json")) == 3


def test_a_token_the_platform_does_not_know_is_renewed_once(outside: RunningStandins) -> None:
    ask(make_gateway(outside, tokens=Tokens("stale")))
    assert tokens_of(outside) == 1


def test_where_no_more_tokens_are_given_the_call_waits(outside: RunningStandins, gateway: NuonuoInvoiceGateway) -> None:
    outside.control("invoice", "settings", {"tokens_a_month": 0})
    with pytest.raises(GatewayError) as caught:
        ask(gateway)
    assert caught.value.permanent is False
    assert "已达上限" in caught.value.detail


def test_the_platform_mails_the_invoice_where_an_address_is_given(outside: RunningStandins, gateway: NuonuoInvoiceGateway) -> None:
    gateway.request(bill())
    gateway.request(bill("P2", email=""))
    orders = [row["order"] for row in outside.control("invoice", "invoices.json")]
    assert [(order["pushMode"], order["email"]) for order in orders] == [("0", "a@example.cn"), ("-1", "")]


def test_an_order_number_that_is_another_invoice_is_not_taken_for_ours(gateway: NuonuoInvoiceGateway) -> None:
    ask(gateway)
    with pytest.raises(GatewayError) as caught:
        ask(gateway, amount=63900)
    assert caught.value.permanent is True


def test_an_invoice_whose_file_was_not_signed_is_signed_and_not_made_again(outside: RunningStandins, gateway: NuonuoInvoiceGateway) -> None:
    outside.control("invoice", "settings", {"unsealed": True})
    serial = ask(gateway)
    assert gateway.fetch(serial, bill()).state == "issuing"
    assert gateway.fetch(serial, bill()).state == "issued"
    assert len(outside.control("invoice", "invoices.json")) == 1


def test_a_whole_invoice_is_taken_back_without_lines(outside: RunningStandins, gateway: NuonuoInvoiceGateway) -> None:
    letter = red(gateway, 64000)
    assert gateway.request_red(letter) == gateway.request_red(letter) == "P1R1"
    result = gateway.fetch_red("P1R1", letter)
    assert (result.state, len(result.number)) == ("issued", 20)
    assert result.files["pdf"].startswith(b"%PDF-")
    forms = outside.control("invoice", "red_forms.json")
    assert [(form["taxExcludedAmount"], form["taxAmount"]) for form in forms] == [("-621.36", "-18.64")]


def test_parts_of_an_invoice_add_up_to_a_fen(outside: RunningStandins, gateway: NuonuoInvoiceGateway) -> None:
    before = 0
    for n, fen in enumerate((21333, 21333, 21334), 1):
        letter = red(gateway, fen, before, f"P1R{n}")
        gateway.request_red(letter)
        assert gateway.fetch_red(letter.bill_id, letter).state == "issued"
        before += fen
    forms = outside.control("invoice", "red_forms.json")
    assert sum(round(float(form["taxExcludedAmount"]) * 100) for form in forms) == -62136
    assert sum(round(float(form["taxAmount"]) * 100) for form in forms) == -1864
    letter = red(gateway, 1, 0, "P1R4")
    gateway.request_red(letter)
    result = gateway.fetch_red("P1R4", letter)
    assert (result.state, result.reason) == ("failed", "该发票已全额冲红")


def test_a_red_letter_of_an_unknown_invoice_is_refused_for_good(gateway: NuonuoInvoiceGateway) -> None:
    with pytest.raises(GatewayError) as caught:
        gateway.request_red(red(gateway, 100, number="25337000999999999999"))
    assert caught.value.permanent is True


@pytest.mark.parametrize("fault", ["late-500", "half"])
def test_a_red_letter_whose_answer_was_lost_is_found_again(outside: RunningStandins, gateway: NuonuoInvoiceGateway, fault: str) -> None:
    letter = red(gateway, 100)
    outside.control("invoice", "settings", {"next_answers": [fault]})
    with pytest.raises(GatewayError) as caught:
        gateway.request_red(letter)
    assert caught.value.permanent is False
    gateway.request_red(letter)
    assert len(outside.control("invoice", "red_forms.json")) == 1


@pytest.mark.parametrize(("answer", "state"), [("agree", "issued"), ("deny", "failed"), ("", "confirming")])
def test_a_red_letter_may_wait_for_the_buyer(outside: RunningStandins, gateway: NuonuoInvoiceGateway, answer: str, state: str) -> None:
    letter = red(gateway, 100)
    outside.control("invoice", "settings", {"red_confirm": True, "red_buyer": answer})
    gateway.request_red(letter)
    assert gateway.fetch_red(letter.bill_id, letter).state == state
