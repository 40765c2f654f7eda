"""Under fire, with the real product: a broker emptied while an order waits, a worker killed while certificates are signed and pushed,
and at every point of an invoice."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import func, select, update

from app import clock, create_app
from app.demo import PASSWORD
from app.extensions import db, transaction, within
from app.operations import invoices
from config import load
from models import Certificate, CertificateEvent, Enrolment, Invoice, Job, Order, StoredFile, Timer, TrainingPlan
from tests import home, services
from tests.factory import Factory
from tests.services import wait_for
from tests.walker import let_pass

ENTERPRISE = "91330100MA2AAAA05G"
# Two chunks of signing, and five times as many as are pushed at once.
CERTIFICATES = 40


@pytest.fixture(scope="module")
def product(_database: services.Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Portal]:
    """A product of its own: what is done to it here must not happen to another test's."""
    var_dir = tmp_path_factory.mktemp("fire")
    try:
        with services.portal(var_dir, **home.move_in(var_dir, _database.server, "portal_fire")) as running:
            yield running
    finally:
        shutil.rmtree(var_dir, ignore_errors=True)


@pytest.fixture
def inside(product: services.Portal) -> Iterator[Flask]:
    """A look into the running product's database."""
    with within(create_app(load(product.environ))) as app:
        yield app


class Clerk:
    """A person's session, over plain HTTP."""

    def __init__(self, product: services.Portal, username: str = ENTERPRISE, party: str = "enterprise") -> None:
        self.product = product
        self.http = requests.Session()
        self.http.trust_env = False
        self.send("/login/", {"party": party, "username": username, "password": PASSWORD}, at="/login/")

    def send(self, path: str, data: dict[str, str], *, at: str = "/", files: Any = None) -> requests.Response:
        """Post a form with the token of the page `at`."""
        answer = self.http.post(self.product.url + path, data={**data, "csrf_token": self.token(at)}, files=files, timeout=60)
        answer.raise_for_status()
        return answer

    def token(self, at: str) -> str:
        """The token of a page's forms."""
        return str(re.findall(r'<meta name="csrf-token" content="([^"]+)"', self.http.get(self.product.url + at, timeout=30).text)[0])


def test_an_order_expires_on_time_though_the_broker_was_emptied(product: services.Portal, inside: Flask) -> None:
    make = Factory()
    plan = make.plan(seats=5, name="杭建培20260102")
    batch = make.batch(plan, 3)
    batch_id, plan_id = batch.id, plan.id
    db.session.rollback()  # a look must not hold the lock the product needs
    clerk = Clerk(product)
    clerk.send(f"/orders/add/{batch_id}", {}, at=f"/enrol/batches/{batch_id}")
    order_id = db.session.scalar(select(Order.id).where(Order.batch_id == batch_id, Order.state == "pending"))
    assert db.session.scalar(select(TrainingPlan.seats_taken).where(TrainingPlan.id == plan_id)) == 3
    db.session.rollback()
    product.redis().flushall()
    let_pass(product, minutes=59)
    time.sleep(3)
    assert db.session.scalar(select(Order.state).where(Order.id == order_id)) == "pending", "not a minute too early"
    db.session.rollback()
    let_pass(product, minutes=3, seconds=1)
    wait_for(lambda: db.session.scalar(select(Order.state).where(Order.id == order_id)) == "expired", 30, "the order never expired")
    assert db.session.scalar(select(TrainingPlan.seats_taken).where(TrainingPlan.id == plan_id)) == 0
    drafts = db.session.scalars(select(Enrolment.state).where(Enrolment.batch_id == batch_id)).all()
    assert drafts == ["draft"] * 3
    db.session.rollback()
    assert "可以生成订单" in clerk.http.get(f"{product.url}/enrol/batches/{batch_id}", timeout=30).text


def fresh(statement: Any) -> Any:
    """One value as it is now; no lock is kept."""
    db.session.rollback()
    found = db.session.scalar(statement)
    db.session.rollback()
    return found


def ministry(product: services.Portal, verb: str, **settings: Any) -> Any:
    """Look at the register of the stand-in, or tell it something."""
    address = f"http://127.0.0.1:{product.environ['STANDINS_PORT']}/ministry/_control/{verb}"
    answer = requests.post(address, json=settings, timeout=20) if settings else requests.get(address, timeout=20)
    answer.raise_for_status()
    return answer.json()


def calls(product: services.Portal) -> int:
    """How many requests have reached the register."""
    return sum(ministry(product, "certificates.json")["calls"].values())


def end_leases() -> None:
    """As if the time of every lease had passed: those of jobs, and those of certificates on their way."""
    at = clock.now()
    with transaction() as session:
        session.execute(update(Job).where(Job.state == "running").values(lease_until=at - timedelta(seconds=1)))
        session.execute(update(Certificate).where(Certificate.push_state == "waiting").values(push_due_at=at))


def push_at(moment: datetime) -> None:
    with transaction() as session:
        session.execute(update(Timer).where(Timer.name == "push_certificates").values(due_at=moment))


def test_a_worker_killed_while_signing_makes_each_certificate_once_after_all(product: services.Portal, inside: Flask) -> None:
    make = Factory()
    make.serial = 30_000
    push_at(clock.now() + timedelta(days=1))
    report = make.report(people=CERTIFICATES)
    report_id = report.id
    db.session.rollback()  # a look must not hold the lock the product needs
    clerk = Clerk(product, "hangzhou", "authority")
    clerk.send("/certificates/issue/", {"ids": str(report_id)}, at="/certificates/issue/")
    drawn, job = select(func.count(Certificate.file_id)), select(Job.state).where(Job.name == "render_certificates")
    wait_for(lambda: fresh(drawn), 60, "nothing was ever signed", every=0.1)
    product.kill("worker")
    before = dict(db.session.execute(select(Certificate.id, Certificate.file_id).where(Certificate.file_id.is_not(None))).all())
    db.session.rollback()
    assert 0 < len(before) < CERTIFICATES, "all were signed before the worker was killed: the test proves nothing"
    assert fresh(job) == "running"
    end_leases()
    wait_for(lambda: fresh(job) == "done", 90, "the signing was not taken up again", every=0.3)
    after = dict(db.session.execute(select(Certificate.id, Certificate.file_id)).all())
    assert before.items() <= after.items(), "what was signed stays as it was handed out"
    assert len(set(after.values()) - {None}) == CERTIFICATES
    assert fresh(select(func.count(StoredFile.id)).where(StoredFile.kind == "certificate")) == CERTIFICATES
    pdf = clerk.http.get(f"{product.url}/certificates/{min(after.keys() - before.keys())}/certificate.pdf", timeout=30)
    said = clerk.http.post(f"{product.url}/verify/", data={"csrf_token": clerk.token("/verify/")},
                           files={"file": ("证书.pdf", pdf.content)}, headers={"X-Requested-With": "fetch"}, timeout=30).json()
    assert (said["untouched"], said["state"]) == (True, "valid")


def test_a_worker_killed_while_pushing_registers_each_certificate_once(product: services.Portal, inside: Flask) -> None:
    """Goes on with the certificates of the test before."""
    ministry(product, "settings", latency_s=1)
    pushed = select(func.count(Certificate.id)).where(Certificate.push_state == "pushed")
    push_at(clock.now())
    wait_for(lambda: fresh(pushed), 60, "nothing was ever pushed", every=0.1)
    wait_for(lambda: calls(product) > fresh(pushed), 20, "no more were sent", every=0.1)
    product.kill("worker")
    before, arrived = fresh(pushed), calls(product)
    assert 0 < before < CERTIFICATES, "all were pushed before the worker was killed: the test proves nothing"
    assert arrived > before, "some were on their way, and nobody knows what became of them"
    ministry(product, "settings", latency_s=0)
    push_at(clock.now())
    end_leases()
    wait_for(lambda: fresh(pushed) == CERTIFICATES, 90, "the push was not taken up again", every=0.3)
    register = ministry(product, "certificates.json")
    numbers = set(db.session.scalars(select(Certificate.number)))
    assert set(register["certificates"]) == set(register["calls"]) == numbers
    assert all(each["status"] == "valid" for each in register["certificates"].values())
    assert calls(product) <= CERTIFICATES + arrived - before + 8, "what was written down is not sent again"
    assert fresh(select(func.count(CertificateEvent.id)).where(CertificateEvent.kind == "pushed")) == CERTIFICATES


def test_the_product_says_that_it_is_well_again(product: services.Portal) -> None:
    services.wait_until_healthy(product, 60)
    assert product.health()["status"] == "ok"


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
    order = make.paid(make.plan(name=f"杭建培2027{number[-4:]}"), 1)
    with transaction() as session:
        row = session.get_one(Order, order.id)
        row.number, row.trade_no, row.paid_at = number, f"trade-{number}", clock.now() - timedelta(days=2)
        invoice = invoices.open_invoice(row)
    return invoice.id


def test_a_worker_killed_at_any_point_of_an_invoice_leaves_one(product: services.Portal, inside: Flask) -> None:
    platform = Platform(product)

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
        time.sleep(0.3)
        product.kill("worker")
        product.redis().flushall()
        interrupted = now(invoice_id)
        assert (interrupted.state, interrupted.pdf_id) == ("requested", None), "it was over before the worker was killed"
        db.session.rollback()
        platform.tell(next_answers=[], pdf_latency_s=0)
        end_leases()
        wait_for(lambda i=invoice_id: now(i).state == "issued", 40, f"{number}: the invoice was never issued")
        db.session.rollback()
        assert platform.has(number) == 1
    assert db.session.scalar(select(func.count(StoredFile.id)).where(StoredFile.kind == "invoice")) == 2 * len(points)
    tries = db.session.scalars(select(Job.attempts).where(Job.name == invoices.JOB)).all()
    assert list(tries) == [2] * len(points)
