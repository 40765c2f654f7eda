"""What a refund means for the invoice: a red letter for what was issued, less for what was not (E17, B8)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app import clock as time
from app.extensions import db, transaction
from app.operations import invoices, refunds
from models import Invoice, Payment
from tests.shop import FIRST, Look, Shop
from tests.test_invoices import next_morning, paid, requests_of, shop
from tests.test_refunds import ANNA

__all__ = ["shop"]


def rows(shop: Shop, order: Look) -> list[tuple[str, str, int]]:
    """(kind, state, fen) of an order's invoice and red letters."""
    with shop.tables():
        return [(row.kind, row.state, row.amount_fen) for row in db.session.scalars(
            select(Invoice).where(Invoice.order_id == order.id).order_by(Invoice.id))]


def refund(shop: Shop, order: Look, fen: int) -> int:
    with shop.tables(), transaction():
        payment_id = db.session.scalars(select(Payment.id).where(Payment.order_id == order.id)).one()
        return refunds.open_refund(payment_id, fen, "退出培训", actor=ANNA).id


def forms(shop: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.standins.control("invoice", "red_forms.json")
    return found


@pytest.fixture
def issued(shop: Shop, clock: Any, run_jobs: Any) -> Look:
    order = paid(shop)
    clock.set(next_morning(clock))
    run_jobs()
    return order


def test_a_whole_refund_takes_the_whole_invoice_back_and_a_repeat_nothing_more(shop: Shop, issued: Look, run_jobs: Any) -> None:
    done = refund(shop, issued, 249_000)
    run_jobs()
    assert rows(shop, issued) == [("blue", "issued", 249_000), ("red", "issued", 249_000)]
    with shop.tables():
        refunds.run_refund(done, lambda done, total: None)
        for each in db.session.scalars(select(Invoice.id)).all():
            invoices.run_issue(each, lambda done, total: None)
    run_jobs()
    assert len(rows(shop, issued)) == 2
    assert len(forms(shop)) == 1
    page = shop.login(FIRST).get(f"/orders/{issued.id}").text
    assert "红字发票" in page
    assert "-¥2,490.00" in page
    assert "开具红字发票" in page, "it stands in the line of what happened"


def test_parts_are_taken_back_one_by_one_and_the_invoice_stays(shop: Shop, issued: Look, run_jobs: Any) -> None:
    for _each in range(3):
        refund(shop, issued, 83_000)
        run_jobs()
    assert rows(shop, issued) == [("blue", "issued", 249_000), *[("red", "issued", 83_000)] * 3]
    assert sum(round(float(form["taxExcludedAmount"]) * 100) for form in forms(shop)) == -round(249_000 / 1.03)
    assert len({form["billId"] for form in forms(shop)}) == 3


def test_what_was_not_issued_yet_becomes_smaller_or_is_not_issued_at_all(shop: Shop, clock: Any, run_jobs: Any) -> None:
    part, whole = paid(shop), paid(shop)
    refund(shop, part, 83_000)
    refund(shop, whole, 249_000)
    run_jobs()
    assert rows(shop, part) == [("blue", "waiting", 166_000)]
    assert rows(shop, whole) == [("blue", "cancelled", 0)]
    assert "无需开具" in shop.login(FIRST).get(f"/orders/{whole.id}").text
    clock.set(next_morning(clock))
    run_jobs()
    assert [each["order"]["invoiceDetail"][0]["price"] for each in requests_of(shop)] == ["1660.00"]
    assert forms(shop) == []


def test_a_refund_while_the_invoice_is_being_issued_waits_for_it(shop: Shop, clock: Any, run_jobs: Any) -> None:
    """Its amount is the platform's already: it must not become smaller under its feet."""
    order = paid(shop)
    shop.standins.control("invoice", "settings", {"delay_s": 300})
    clock.set(next_morning(clock))
    run_jobs()
    refund(shop, order, 83_000)
    run_jobs()
    assert rows(shop, order) == [("blue", "requested", 249_000), ("red", "waiting", 83_000)]
    assert forms(shop) == []
    for _each in range(6):
        clock.advance(minutes=2)
        run_jobs()
    # The red invoice takes five minutes of its own.
    assert rows(shop, order) == [("blue", "issued", 249_000), ("red", "issued", 83_000)]


def test_a_refund_of_an_invoice_that_then_fails_makes_the_next_one_smaller(shop: Shop, clock: Any, run_jobs: Any) -> None:
    order = paid(shop)
    shop.standins.control("invoice", "settings", {"delay_s": 300, "fail_with": "购方税号有误"})
    clock.set(next_morning(clock))
    run_jobs()
    refund(shop, order, 83_000)
    run_jobs()
    for _each in range(4):
        clock.advance(minutes=2)
        run_jobs()
    assert rows(shop, order) == [("blue", "failed", 166_000), ("red", "cancelled", 83_000)]
    shop.standins.control("invoice", "settings", {"fail_with": "", "delay_s": 0})
    with shop.tables():
        invoice_id = db.session.scalars(select(Invoice.id).where(Invoice.kind == "blue")).one()
    shop.login(FIRST).post(f"/invoices/{invoice_id}/again")
    run_jobs()
    assert rows(shop, order)[0] == ("blue", "issued", 166_000)
    assert requests_of(shop)[-1]["order"]["invoiceDetail"][0]["price"] == "1660.00"
    assert forms(shop) == []


@pytest.mark.parametrize(("answer", "state"), [("agree", "issued"), ("deny", "failed")])
def test_a_red_letter_may_need_the_buyer(shop: Shop, issued: Look, clock: Any, run_jobs: Any, answer: str, state: str) -> None:
    shop.standins.control("invoice", "settings", {"red_confirm": True})
    refund(shop, issued, 249_000)
    run_jobs()
    assert rows(shop, issued)[1][1] == "requested"
    assert "待购方确认" in shop.login(FIRST).get("/invoices/").text
    shop.standins.control("invoice", "settings", {"red_buyer": answer})
    clock.advance(minutes=61)
    run_jobs()
    assert rows(shop, issued)[1][1] == state


def test_a_refused_red_letter_says_why_and_is_applied_for_under_a_new_number(shop: Shop, issued: Look, run_jobs: Any) -> None:
    shop.standins.control("invoice", "settings", {"red_fail_with": "税务局维护中"})
    refund(shop, issued, 249_000)
    run_jobs()
    with shop.tables():
        red = db.session.scalars(select(Invoice).where(Invoice.kind == "red")).one().id
    client = shop.login(FIRST)
    assert "税务局维护中" in client.get(f"/invoices/{red}").text
    shop.standins.control("invoice", "settings", {"red_fail_with": ""})
    client.post(f"/invoices/{red}/again")
    run_jobs()
    assert rows(shop, issued)[1] == ("red", "issued", 249_000)
    assert [form["billId"][-2:] for form in forms(shop)] == ["R1", "-2"]


def test_money_of_a_second_payment_leaves_the_invoice_alone(shop: Shop, clock: Any, run_jobs: Any) -> None:
    """What was never taken into the order was never invoiced."""
    order = paid(shop)
    clock.set(next_morning(clock))
    run_jobs()
    with shop.tables(), transaction() as session:
        late = Payment(trade_no="late", order_id=order.id, order_number=order.number, amount_fen=249_000, paid_at=time.now(),
                       received_at=time.now(), state="received")
        session.add(late)
        session.flush()
        late_id = late.id
    from app.operations import payments

    with shop.tables():
        payments.settle(late_id)
    run_jobs()
    assert rows(shop, order) == [("blue", "issued", 249_000)]
    assert clock.moment < time.now() + timedelta(days=1)
