"""E-invoices: the Shanghai day after the payment, one for each order, kept as a file (E17, J3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app import clock as time
from app.extensions import db
from app.operations import invoices, orders
from models import Invoice, Job, Order, StoredFile
from tests.shop import FIRST, SECOND, Look, Shop


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    """At ten in the morning in Shanghai, so that "the day after" is a day after."""
    clock.set(time.at_shanghai(time.shanghai_day() + timedelta(days=1), 10))
    return Shop(app, make, login, standins)


def paid(shop: Shop) -> Look:
    order = shop.order(shop.plan())
    shop.pay(order)
    assert shop.notify(order.number) == "success"
    return shop.look(order.id)


def invoice_of(shop: Shop, order: Look) -> dict[str, Any]:
    """The invoice in plain values."""
    with shop.tables():
        row = db.session.scalars(select(Invoice).where(Invoice.order_id == order.id, Invoice.kind == "blue")).one()
        names = ("id", "state", "serial", "number", "reason", "due_on", "pdf_id", "attempt", "amount_fen", "provider", "title")
        return {name: getattr(row, name) for name in names}


def requests_of(shop: Shop) -> list[Any]:
    """What the platform was asked for."""
    found: list[Any] = shop.standins.control("invoice", "invoices.json")
    return found


def next_morning(clock: Any) -> datetime:
    return time.at_shanghai(time.shanghai_day() + timedelta(days=1), 9)


def test_the_invoice_is_made_the_next_day_at_nine_and_not_before(shop: Shop, clock: Any, run_jobs: Any) -> None:
    order = paid(shop)
    due = next_morning(clock)
    assert invoice_of(shop, order)["due_on"] == time.shanghai_day() + timedelta(days=1)
    clock.set(due - timedelta(seconds=1))
    run_jobs()
    assert invoice_of(shop, order)["state"] == "waiting"
    assert requests_of(shop) == []
    assert "待开具" in shop.login(FIRST).get(f"/orders/{order.id}").text
    clock.set(due)
    run_jobs()
    made = invoice_of(shop, order)
    assert made["state"] == "issued"
    assert len(requests_of(shop)) == 1


@pytest.mark.parametrize(("hour", "days"), [(0, 1), (23, 1)])
def test_the_day_after_is_the_shanghai_day(shop: Shop, clock: Any, hour: int, days: int) -> None:
    """Half past midnight in Shanghai is still yesterday in UTC."""
    clock.set(time.at_shanghai(time.shanghai_day() + timedelta(days=1), hour, 30))
    order = paid(shop)
    assert invoice_of(shop, order)["due_on"] == time.shanghai_day() + timedelta(days=days)


def test_the_job_run_early_asks_for_nothing(shop: Shop) -> None:
    order = paid(shop)
    invoice_id = invoice_of(shop, order)["id"]
    with shop.tables():
        invoices.run_issue(invoice_id, lambda done, total: None)
    assert requests_of(shop) == []
    assert invoice_of(shop, order)["state"] == "waiting"


def test_title_tax_number_and_amount_are_the_orders(shop: Shop, clock: Any, run_jobs: Any) -> None:
    order = paid(shop)
    clock.set(next_morning(clock))
    run_jobs()
    asked = requests_of(shop)[0]["order"]
    assert (asked["buyerName"], asked["buyerTaxNum"]) == ("杭州第一建筑工程有限公司", FIRST)
    assert asked["invoiceDetail"][0]["price"] == "2490.00"
    assert asked["orderNo"] == order.number
    assert len(order.number) <= 18


def test_buyer_and_seller_download_and_print_it_and_nobody_else(shop: Shop, clock: Any, run_jobs: Any) -> None:
    order = paid(shop)
    client = shop.login(FIRST)
    page = f"/invoices/{invoice_of(shop, order)['id']}"
    assert client.get(f"{page}/pdf").status_code == 404
    clock.set(next_morning(clock))
    run_jobs()
    number = invoice_of(shop, order)["number"]
    for who in (FIRST, "hjp"):
        answer = shop.login(who).get(f"{page}/pdf")
        assert answer.data.startswith(b"%PDF-")
        assert f"{number}.pdf" in answer.headers["Content-Disposition"]
        assert answer.headers["Cache-Control"] == "private, no-store"
    assert client.get(f"{page}/pdf?print=1").headers["Content-Disposition"].startswith("inline")
    assert client.get(f"{page}/xml").data.startswith(b"<?xml")
    assert client.get(f"{page}/ofd").status_code == 404
    assert f"发票号码 {number}" in client.get(f"/orders/{order.id}").text
    file_id = invoice_of(shop, order)["pdf_id"]
    for other in (SECOND, "nbp"):
        stranger = shop.login(other)
        assert stranger.get(f"/files/{file_id}").status_code == 404
        for path in ("", "/pdf"):
            assert stranger.get(page + path).status_code == 404
        assert order.number not in stranger.get("/invoices/").text
        assert stranger.post(f"{page}/{'edit' if other == SECOND else 'upload'}").status_code == 404


def test_an_invoice_in_the_making_is_looked_at_again(shop: Shop, clock: Any, run_jobs: Any) -> None:
    order = paid(shop)
    shop.standins.control("invoice", "settings", {"delay_s": 300})
    clock.set(next_morning(clock))
    run_jobs()
    assert invoice_of(shop, order)["state"] == "requested"
    assert "开具中" in shop.login(FIRST).get(f"/orders/{order.id}").text
    for _each in range(3):
        clock.advance(minutes=2)
        run_jobs()
    assert invoice_of(shop, order)["state"] == "issued"
    assert len(requests_of(shop)) == 1


def test_a_lost_answer_makes_no_second_invoice(shop: Shop, clock: Any, run_jobs: Any) -> None:
    order = paid(shop)
    shop.standins.control("invoice", "settings", {"next_answers": ["late-500", "500", "garbage"]})
    clock.set(next_morning(clock))
    for _each in range(5):
        run_jobs()
        clock.advance(minutes=3)
    assert invoice_of(shop, order)["state"] == "issued"
    assert len(requests_of(shop)) == 1
    assert shop.count(StoredFile, kind="invoice") == 2  # PDF and XML


def test_the_job_run_twice_keeps_one_file(shop: Shop, clock: Any, run_jobs: Any) -> None:
    order = paid(shop)
    clock.set(next_morning(clock))
    run_jobs()
    first = invoice_of(shop, order)
    with shop.tables():
        invoices.run_issue(first["id"], lambda done, total: None)
    assert invoice_of(shop, order) == first
    assert shop.count(StoredFile, kind="invoice") == 2  # PDF and XML
    assert shop.audits("issue_invoice") == 1


def test_a_failed_invoice_says_why_and_can_be_asked_for_again(shop: Shop, clock: Any, run_jobs: Any) -> None:
    order = paid(shop)
    shop.standins.control("invoice", "settings", {"fail_with": "购方税号有误"})
    clock.set(next_morning(clock))
    run_jobs()
    client, invoice_id = shop.login(FIRST), invoice_of(shop, order)["id"]
    page = client.get(f"/orders/{order.id}").text
    assert "开具失败" in page
    assert "购方税号有误" in page
    assert "重新申请开具" in page
    shop.standins.control("invoice", "settings", {"fail_with": ""})
    assert "已重新申请开具" in client.post(f"/invoices/{invoice_id}/again", follow_redirects=True).text
    run_jobs()
    made = invoice_of(shop, order)
    assert (made["state"], made["attempt"], made["reason"]) == ("issued", 2, "")
    assert [each["order"]["orderNo"] for each in requests_of(shop)] == [order.number, f"{order.number}-2"]
    assert "状态已变化" in client.post(f"/invoices/{invoice_id}/again", follow_redirects=True).text
    assert invoice_of(shop, order) == made


def test_what_the_platform_refuses_is_told_to_the_person(shop: Shop, clock: Any, run_jobs: Any, monkeypatch: Any) -> None:
    order = paid(shop)
    other = replace(shop.app.extensions["settings"], invoice_seller_tax_number="91330100MA2ZZZZ05G")
    monkeypatch.setitem(shop.app.extensions, "settings", other)
    clock.set(next_morning(clock))
    run_jobs()
    failed = invoice_of(shop, order)
    assert failed["state"] == "failed"
    assert "销方税号与授权企业不符" in failed["reason"]


def test_a_due_invoice_whose_job_gave_up_is_taken_up_again(shop: Shop, clock: Any, run_jobs: Any) -> None:
    order = paid(shop)
    with shop.tables():
        db.session.query(Job).delete()
        db.session.commit()
    with shop.tables():
        orders.run_check(0, lambda done, total: None)
    assert shop.jobs("issue_invoice") == 0
    clock.set(next_morning(clock))
    for _each in range(2):
        with shop.tables():
            orders.run_check(0, lambda done, total: None)
    assert shop.jobs("issue_invoice") == 1
    run_jobs()
    assert invoice_of(shop, order)["state"] == "issued"


def test_a_payment_reported_days_later_gets_its_invoice_at_once(shop: Shop, clock: Any, run_jobs: Any) -> None:
    order = shop.order(shop.plan())
    shop.pay(order)
    paid_on = time.shanghai_day()
    clock.advance(days=3)
    with shop.tables():
        orders.run_check(0, lambda done, total: None)
    assert shop.look(order.id).state == "paid"
    run_jobs()
    made = invoice_of(shop, order)
    assert (made["state"], made["due_on"]) == ("issued", paid_on + timedelta(days=1))


def test_an_unpaid_order_has_no_invoice(shop: Shop, clock: Any, run_jobs: Any) -> None:
    order = shop.order(shop.plan())
    clock.advance(days=2)
    run_jobs()
    assert shop.look(order.id).state == "expired"
    assert shop.count(Invoice) == 0
    assert shop.count(Order, state="paid") == 0
