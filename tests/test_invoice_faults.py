"""Invoices under fire: the worker killed at every point, the broker emptied, the disk full, two at once, midnight in Shanghai."""

from __future__ import annotations

import shutil
import time as wall
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from sqlalchemy import func, select

from app import clock as time
from app import create_app
from app.extensions import db, gateways, transaction
from app.gateways.errors import GatewayError
from app.operations import invoices
from config import load
from models import Invoice, Job, Order, StoredFile
from tests import home, services
from tests.factory import Factory
from tests.shop import Shop, at_once
from tests.test_fire import wait_for
from tests.test_invoices import invoice_of, next_morning, paid, requests_of, shop
from tests.walker import let_pass

__all__ = ["shop"]


@pytest.fixture(scope="module")
def product(_database: services.Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Portal]:
    """A product of its own: what is done to it here must not happen to another test's."""
    var_dir = tmp_path_factory.mktemp("invoices")
    try:
        with services.portal(var_dir, **home.move_in(var_dir, _database.server, "portal_invoices"), OCR="off") as running:
            yield running
    finally:
        shutil.rmtree(var_dir, ignore_errors=True)


class Platform:
    """The product's own stand-in of the invoice platform."""

    def __init__(self, product: services.Portal) -> None:
        self.url = f"http://127.0.0.1:{product.environ['STANDINS_PORT']}/invoice/_control"
        self.http = requests.Session()
        self.http.trust_env = False

    def tell(self, **settings: Any) -> None:
        self.http.post(f"{self.url}/settings", json=settings, timeout=10).raise_for_status()

    def has(self, number: str) -> int:
        return sum(row["order"]["orderNo"] == number for row in self.http.get(f"{self.url}/invoices.json", timeout=10).json())


def due_now(number: str) -> int:
    """A paid order whose invoice is due; the invoice's id."""
    make = Factory()
    order = make.paid(make.plan(name=f"杭建培2026{number[-4:]}"), 1)
    with transaction() as session:
        row = session.get_one(Order, order.id)
        row.number, row.trade_no, row.paid_at = number, f"trade-{number}", time.now() - timedelta(days=2)
        invoice = invoices.open_invoice(row)
    return invoice.id


def test_a_worker_killed_at_any_point_leaves_one_invoice(product: services.Portal) -> None:
    app = create_app(load(product.environ))
    platform = Platform(product)
    with app.app_context():
        def now(invoice_id: int) -> Invoice:
            db.session.rollback()
            return db.session.get_one(Invoice, invoice_id, populate_existing=True)

        points = {
            # The platform stays silent and does nothing; has done it and stays silent; and is slow to give the file.
            "260101000000000101": ({"next_answers": ["timeout"], "timeout_s": 20}, lambda one, _number: one.state == "requested"),
            "260101000000000102": ({"next_answers": ["late-timeout"], "timeout_s": 20}, lambda _one, number: platform.has(number) == 1),
            "260101000000000103": ({"pdf_latency_s": 20}, lambda one, _number: one.serial is not None),
        }
        for number, (fault, reached) in points.items():
            platform.tell(**fault)
            invoice_id = due_now(number)
            wait_for(lambda here=reached, i=invoice_id, n=number: here(now(i), n), 20, f"{number}: the point was never reached")
            wall.sleep(0.3)
            product.kill("worker")
            product.redis().flushall()
            interrupted = now(invoice_id)
            assert (interrupted.state, interrupted.pdf_id) == ("requested", None), "it was over before the worker was killed"
            db.session.rollback()
            platform.tell(next_answers=[], pdf_latency_s=0)
            let_pass(product, seconds=31)
            wait_for(lambda i=invoice_id: now(i).state == "issued", 40, f"{number}: the invoice was never issued")
            db.session.rollback()
            assert platform.has(number) == 1
        assert db.session.scalar(select(func.count(StoredFile.id)).where(StoredFile.kind == "invoice")) == 2 * len(points)
        tries = db.session.scalars(select(Job.attempts).where(Job.name == invoices.JOB)).all()
        assert list(tries) == [2] * len(points)
        db.session.remove()
        db.engine.dispose()


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
