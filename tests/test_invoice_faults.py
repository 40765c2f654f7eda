"""Invoices under fire: the disk full, two at once, midnight in Shanghai, wrong answers. The worker is killed in `test_fire.py`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app import clock as time
from app.extensions import db, gateways
from app.gateways.errors import GatewayError
from app.operations import invoices
from models import StoredFile
from tests.shop import Shop, at_once
from tests.test_invoices import invoice_of, next_morning, paid, requests_of, shop

__all__ = ["shop"]


def test_a_full_disk_makes_it_later_and_loses_nothing(shop: Shop, clock: Any, run_jobs: Any, monkeypatch: Any) -> None:
    order = paid(shop)
    clock.set(next_morning(clock))
    with monkeypatch.context() as patched:
        def full(key: str, data: bytes) -> None:
            raise GatewayError("storage: put: No space left on device (os error 28)", permanent=False)

        with shop.tables():
            patched.setattr(gateways().storage, "put", full)
        run_jobs()
        assert invoice_of(shop, order)["state"] == "requested"
        assert shop.count(StoredFile, kind="invoice") == 0
        assert shop.jobs("issue_invoice") == 1
    clock.advance(minutes=5)
    run_jobs()
    assert invoice_of(shop, order)["state"] == "issued"
    assert len(requests_of(shop)) == 1
    assert shop.count(StoredFile, kind="invoice") == 2


def test_two_jobs_at_once_make_one_invoice(shop: Shop, clock: Any) -> None:
    order = paid(shop)
    invoice_id = invoice_of(shop, order)["id"]
    clock.set(next_morning(clock))

    def run() -> str:
        try:
            invoices.run_issue(invoice_id, lambda done, total: None)
        except GatewayError as error:
            return str(error)
        return "done"

    db.session.commit()
    assert at_once(shop, run, run) == ["done", "done"]
    assert invoice_of(shop, order)["state"] == "issued"
    assert len(requests_of(shop)) == 1
    assert shop.count(StoredFile, kind="invoice") == 2
    assert shop.audits("issue_invoice") == 1


@pytest.mark.parametrize(("second", "days"), [(-1, 1), (0, 2)])
def test_midnight_in_shanghai_parts_the_days(shop: Shop, clock: Any, second: int, days: int) -> None:
    """Paid at 23:59:59 it is due tomorrow; a second later, the day after that."""
    today = time.shanghai_day()
    midnight = time.at_shanghai(today + timedelta(days=1), 0)
    clock.set(midnight - timedelta(minutes=20))
    order = shop.order(shop.plan())
    clock.set(midnight + timedelta(seconds=second))
    shop.pay(order)
    assert shop.notify(order.number) == "success"
    assert invoice_of(shop, shop.look(order.id))["due_on"] == today + timedelta(days=days)


@pytest.mark.parametrize("faults", [["500"], ["garbage"], ["half"], ["error"], ["late-500"], ["ok", "500", "half"]])
def test_what_the_platform_answers_wrongly_is_asked_again(shop: Shop, clock: Any, run_jobs: Any, faults: list[str]) -> None:
    order = paid(shop)
    shop.standins.control("invoice", "settings", {"next_answers": faults})
    clock.set(next_morning(clock))
    for _each in range(4):
        run_jobs()
        clock.advance(minutes=3)
    assert invoice_of(shop, order)["state"] == "issued"
    assert len(requests_of(shop)) == 1


def test_details_changed_at_the_moment_of_asking_are_either_in_it_or_refused(shop: Shop, clock: Any) -> None:
    order = paid(shop)
    invoice_id = invoice_of(shop, order)["id"]
    clock.set(next_morning(clock))
    with shop.tables():
        invoices.begin(invoice_id)
    page = shop.login("91330100MA2AAAA05G").post(f"/invoices/{invoice_id}/edit", data={
        "title": "另一家", "tax_number": "91330100MA2AAAA05G"}, follow_redirects=True).text
    assert "不能再修改" in page
    with shop.tables():
        invoices.run_issue(invoice_id, lambda done, total: None)
    assert requests_of(shop)[0]["order"]["buyerName"] == "杭州第一建筑工程有限公司"
