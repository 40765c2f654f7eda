"""Under fire, with the real product: a broker emptied while an order waits."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import select

from app import create_app
from app.demo import PASSWORD
from app.extensions import db
from config import load
from models import Enrolment, Order, TrainingPlan
from tests import services
from tests.factory import Factory
from tests.walker import let_pass

ENTERPRISE = "91330100MA2AAAA05G"


@pytest.fixture(scope="module")
def product(_database: services.Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Portal]:
    """A product of its own: what is done to it here must not happen to another test's."""
    var_dir = tmp_path_factory.mktemp("fire")
    try:
        with services.portal(var_dir, DATABASE_URL=_database.empty("fire")) as running:
            yield running
    finally:
        shutil.rmtree(var_dir, ignore_errors=True)


@pytest.fixture
def inside(product: services.Portal) -> Iterator[Flask]:
    """A look into the running product's database."""
    app = create_app(load(product.environ))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


class Clerk:
    """A person's session, over plain HTTP."""

    def __init__(self, product: services.Portal, username: str = ENTERPRISE) -> None:
        self.product = product
        self.http = requests.Session()
        self.http.trust_env = False
        self.send("/login/", {"party": "enterprise", "username": username, "password": PASSWORD}, at="/login/")

    def send(self, path: str, data: dict[str, str], *, at: str = "/", files: Any = None) -> requests.Response:
        """Post a form with the token of the page `at`."""
        page = self.http.get(self.product.url + at, timeout=30).text
        token = re.findall(r'<meta name="csrf-token" content="([^"]+)"', page)[0]
        answer = self.http.post(self.product.url + path, data={**data, "csrf_token": token}, files=files, timeout=60)
        answer.raise_for_status()
        return answer


def wait_for(what: Callable[[], Any], seconds: float, why: str) -> Any:
    """The first true answer of `what`, asked again and again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := what():
            return found
        db.session.rollback()
        time.sleep(0.01)
    raise AssertionError(why)


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


def test_the_product_says_that_it_is_well_again(product: services.Portal) -> None:
    services.wait_until_healthy(product, 60)
    assert product.health()["status"] == "ok"
