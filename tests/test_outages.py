"""Outages, with the real product: what it stands on goes away and comes back, and nobody loses a seat, a fen or a person.

One product for all, with a broker, a database server and a disk of its own that may be stopped, restarted and filled.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import func, select, text, update

from app import clock, create_app
from app.extensions import db, transaction, within
from config import load
from models import AuditEvent, Enrolment, ImportBatch, Invoice, Job, Order, Payment, PhotoUpload, StoredFile, Timer, TrainingPlan
from tests import home, services
from tests.factory import Factory
from tests.people import Person, filled_roster, people_of, photo_zip
from tests.processes import kill_around, stopped
from tests.services import wait_for
from tests.shop import FIRST, LIVE, SECOND
from tests.test_fire import Clerk
from tests.walker import let_pass

pytestmark = pytest.mark.own_database


@dataclass
class Outage:
    """The product and what it stands on."""

    product: services.Portal
    bell: services.Bell
    disk: services.SmallDisk
    database: services.Cluster | None
    serial: int = 0
    http: requests.Session = field(default_factory=requests.Session)

    def gateway(self, what: str, **wish: Any) -> Any:
        """Tell the stand-in of Alipay something."""
        self.http.trust_env = False
        answer = self.http.post(f"http://127.0.0.1:{self.product.environ['STANDINS_PORT']}/alipay/_control/{what}", json=wish, timeout=20)
        answer.raise_for_status()
        return answer.json()

    def batch(self, people: int, *, plan_id: int = 0, seats: int = 0, **values: Any) -> tuple[int, int]:
        """A batch ready to be ordered, of a plan of its own unless one is named; the ids of both."""
        make = Factory()
        make.serial = self.serial
        plan = db.session.get_one(TrainingPlan, plan_id) if plan_id else make.plan(seats=seats or people)
        found = plan.id, make.batch(plan, people, **values).id
        self.serial = make.serial
        db.session.rollback()  # a look must not hold the lock the product needs
        return found

    def ordered(self, clerk: Clerk, batch_id: int) -> tuple[int, str]:
        """Press 生成订单; the order's id and number."""
        clerk.send(f"/orders/add/{batch_id}", {}, at=f"/enrol/batches/{batch_id}")
        row = db.session.execute(select(Order.id, Order.number).where(Order.batch_id == batch_id)).one()
        db.session.rollback()
        return row.id, row.number

    def page(self, clerk: Clerk, path: str) -> str:
        return clerk.http.get(self.product.url + path, timeout=60).text

    def open_pay_page(self, clerk: Clerk, order_id: int) -> None:
        assert "演示支付网关" in self.page(clerk, f"/orders/{order_id}/pay")


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    with contextlib.ExitStack() as stack:
        var_dir = tmp_path_factory.mktemp("outages")
        stack.callback(shutil.rmtree, var_dir, ignore_errors=True)
        disk = services.SmallDisk(var_dir / "files", 24)
        stack.callback(disk.remove)
        bell = services.Bell(tmp_path_factory.mktemp("bell"))
        bell.start()
        stack.callback(bell.stop)
        server = stack.enter_context(services.cluster(folder=services.quick_folder())) if services.POSTGRES else None
        # No copy where the server is killed: the sequences of a copied database may go back by that.
        environ = {"DATABASE_URL": server.address} if server else home.move_in(var_dir)
        product = stack.enter_context(services.portal(var_dir, REDIS_URL=bell.broker.url, OCR="off", **environ))
        yield Outage(product, bell, disk, server)


@pytest.fixture
def inside(outage: Outage) -> Iterator[Flask]:
    """A look into the running product's database."""
    with within(create_app(load(outage.product.environ))) as app:
        yield app


def fresh(statement: Any) -> Any:
    """One value as it is now; no lock is kept."""
    db.session.rollback()
    found = db.session.scalar(statement)
    db.session.rollback()
    return found


def reads(statement: Any, value: Any) -> bool:
    return bool(fresh(statement) == value)


def is_closed(outage: Outage, number: str) -> bool:
    """Whether the gateway has closed the trade of an order."""
    trades = outage.http.get(f"http://127.0.0.1:{outage.product.environ['STANDINS_PORT']}/alipay/_control/trades", timeout=20).json()
    return any(each["order_no"] == number and each["status"] == "TRADE_CLOSED" for each in trades)


def state_of(order_id: int) -> Any:
    return fresh(select(Order.state).where(Order.id == order_id))


def adds_up(plan_id: int) -> int:
    """The seats taken: as many as people who have one, and as the living orders are for."""
    taken = fresh(select(TrainingPlan.seats_taken).where(TrainingPlan.id == plan_id))
    assert taken == fresh(select(func.count(Enrolment.id)).where(Enrolment.plan_id == plan_id, Enrolment.state.in_(LIVE)))
    assert taken == fresh(select(func.coalesce(func.sum(Order.people), 0)).where(
        Order.plan_id == plan_id, Order.state.in_(("pending", "paid"))))
    return int(taken)


def uploaded(clerk: Clerk, outage: Outage, plan_id: int, people: list[Person]) -> None:
    template = clerk.http.get(outage.product.url + "/enrol/roster.xlsx", timeout=60).content
    clerk.send(f"/enrol/plans/{plan_id}/import", {"consent": "1"}, at=f"/enrol/plans/{plan_id}",
               files={"workbook": ("名单.xlsx", filled_roster(template, people))})


def test_while_the_broker_is_silent_or_away_people_go_on_and_jobs_are_done_once_it_is_back(outage: Outage, inside: Flask) -> None:
    clerk = Clerk(outage.product)
    plan_id, overdue_batch = outage.batch(3, seats=8)
    _plan, paying_batch = outage.batch(2, plan_id=plan_id)
    overdue, _number = outage.ordered(clerk, overdue_batch)
    outage.bell.send(signal.SIGSTOP)
    began = time.monotonic()
    uploaded(clerk, outage, plan_id, people_of([("钢筋工", 3)], start=40_000))
    waited = time.monotonic() - began
    outage.bell.send(signal.SIGCONT)
    outage.bell.stop()
    assert waited < 12, "a broker that says nothing keeps nobody waiting"
    uploaded(clerk, outage, plan_id, people_of([("钢筋工", 2)], start=41_000))
    let_pass(outage.product, minutes=62, seconds=1)
    assert outage.product.health()["redis"].startswith("cannot be reached")
    assert "正在向支付平台核实" in outage.page(clerk, f"/orders/{overdue}"), "the person is told what is going on"
    paying, number = outage.ordered(clerk, paying_batch)
    outage.open_pay_page(clerk, paying)
    outage.gateway("pay", order_no=number)
    wait_for(lambda: state_of(paying) == "paid", 15, "a payment needs no broker")
    assert "全部报名成功" in outage.page(clerk, f"/orders/{paying}")
    assert state_of(overdue) == "pending"
    waiting = select(func.count(Job.id)).where(Job.name == "import_roster", Job.state == "waiting")
    assert fresh(waiting) >= 1
    outage.bell.start()
    wait_for(lambda: state_of(overdue) == "expired", 40, "the order never expired")
    wait_for(lambda: fresh(waiting) == 0, 20, "the lists were not taken up")
    assert "名额已释放" in outage.page(clerk, f"/orders/{overdue}")
    services.wait_until_healthy(outage.product, 30)
    states = select(func.count(ImportBatch.id)).where(ImportBatch.plan_id == plan_id, ImportBatch.state == "clean")
    wait_for(lambda: fresh(states) == 4, 20, "a list was lost")
    last = fresh(select(ImportBatch.id).where(ImportBatch.plan_id == plan_id).order_by(ImportBatch.id.desc()).limit(1))
    assert "已导入 2 人" in outage.page(clerk, f"/enrol/batches/{last}")
    assert adds_up(plan_id) == 2


@pytest.mark.parametrize("point", ["read_workbook", "mark_workbook", "about to write"])
def test_a_worker_killed_at_any_point_of_an_import_leaves_nothing_and_does_it_once_after_all(
        outage: Outage, inside: Flask, point: str) -> None:
    """While it reads, while it marks, and while it waits for the database to write; each time the broker forgets all as well."""
    clerk = Clerk(outage.product)
    plan_id, _batch = outage.batch(1, seats=400)
    people = people_of([("钢筋工", 300)], start=42_000 + plan_id * 1000)
    if point == "mark_workbook":
        people[7] = replace(people[7], phone="1")
    worker = outage.product.pids("worker")[0]
    uploaded(clerk, outage, plan_id, people)
    batch_id = fresh(select(ImportBatch.id).where(ImportBatch.plan_id == plan_id).order_by(ImportBatch.id.desc()).limit(1))
    child = wait_for(lambda: stopped(worker, "read_workbook" if point == "about to write" else point), 20, "the import never began")
    if point == "about to write":
        with transaction() as session:
            session.execute(text("LOCK TABLE enrolment IN SHARE MODE" if services.POSTGRES else "SELECT 1"))
            os.kill(child, signal.SIGCONT)
            time.sleep(1.5)
            outage.product.kill("worker")
    else:
        kill_around(worker, child)
    outage.product.redis().flushall()
    job = select(Job.state).where(Job.name == "import_roster", Job.subject_id == batch_id)
    state, written = (select(ImportBatch.state).where(ImportBatch.id == batch_id),
                      select(func.count(Enrolment.id)).where(Enrolment.batch_id == batch_id))
    assert (fresh(job), fresh(state), fresh(written)) == ("running", "waiting", 0), "it was over before the kill"
    assert "正在检查名单" in outage.page(clerk, f"/enrol/batches/{batch_id}")
    let_pass(outage.product, seconds=31)
    wait_for(partial(reads, job, "done"), 30, "the import was not taken up again")
    wrong = point == "mark_workbook"
    assert (fresh(state), fresh(written)) == (("faulty", 0) if wrong else ("clean", 300))
    assert fresh(select(Job.attempts).where(Job.name == "import_roster", Job.subject_id == batch_id)) == 2
    assert ("下载标注了错误的表格" if wrong else "已导入 300 人") in outage.page(clerk, f"/enrol/batches/{batch_id}")


def test_a_worker_killed_at_any_point_of_an_expiry_ends_the_order_once(outage: Outage, inside: Flask) -> None:
    """Before the gateway answers, and when it has closed the trade but has not said so; each time the broker forgets all as well."""
    clerk = Clerk(outage.product)
    with transaction() as session:  # what looks after lost orders stays away: the expiry must end them by itself
        session.execute(update(Timer).where(Timer.name == "check_orders").values(due_at=clock.now() + timedelta(days=9)))
    for answers in (["timeout"], ["ok", "late-timeout"]):
        plan_id, batch_id = outage.batch(3)
        order_id, number = outage.ordered(clerk, batch_id)
        outage.open_pay_page(clerk, order_id)
        outage.gateway("settings", next_answers=answers, timeout_s=20)
        let_pass(outage.product, minutes=62, seconds=1)
        job = select(Job.state).where(Job.name == "expire_order", Job.subject_id == order_id)
        wait_for(partial(reads, job, "running"), 20, "the expiry never began")
        if len(answers) == 2:
            wait_for(partial(is_closed, outage, number), 20, "the trade was never closed")
        outage.product.kill("worker")
        outage.product.redis().flushall()
        assert (fresh(job), state_of(order_id), adds_up(plan_id)) == ("running", "pending", 3), "it was over before the kill"
        assert "正在向支付平台核实" in outage.page(clerk, f"/orders/{order_id}")
        outage.gateway("settings", next_answers=[])
        let_pass(outage.product, seconds=31)
        wait_for(partial(reads, job, "done"), 30, "the expiry was not taken up again")
        assert (state_of(order_id), adds_up(plan_id)) == ("expired", 0)
        assert fresh(select(func.count(AuditEvent.id)).where(AuditEvent.verb == "expire_order", AuditEvent.subject_id == order_id)) == 1
        assert is_closed(outage, number)
        assert "名额已释放" in outage.page(clerk, f"/orders/{order_id}")
    with transaction() as session:
        session.execute(update(Timer).where(Timer.name == "check_orders").values(due_at=clock.now()))


def test_paid_in_the_last_second_and_heard_of_after_the_end_is_honoured(outage: Outage, inside: Flask) -> None:
    clerk = Clerk(outage.product)
    plan_id, batch_id = outage.batch(2)
    order_id, number = outage.ordered(clerk, batch_id)
    outage.open_pay_page(clerk, order_id)
    let_pass(outage.product, minutes=61)
    ended = fresh(select(Order.expires_at).where(Order.id == order_id))
    outage.gateway("pay", order_no=number, paid_at=(ended - timedelta(seconds=1)).isoformat(), notify=False)
    assert "时限内已付款的，报名有效" in outage.page(clerk, f"/orders/{order_id}")
    assert outage.gateway("notify", order_no=number) == ["success"]
    assert (state_of(order_id), adds_up(plan_id)) == ("paid", 2)
    assert "全部报名成功" in outage.page(clerk, f"/orders/{order_id}")


def test_a_notification_and_the_buyer_that_meet_a_busy_database_are_both_answered_and_the_money_counts_once(
        outage: Outage, inside: Flask) -> None:
    """The gateway tells us, and sends the buyer back, while the plan is locked by somebody else for some seconds."""
    clerk = Clerk(outage.product)
    plan_id, batch_id = outage.batch(2)
    order_id, number = outage.ordered(clerk, batch_id)
    pay_page = outage.page(clerk, f"/orders/{order_id}/pay")
    action = re.findall(r'action="([^"]*/pay/[^"]+)"', pay_page)[0]
    answer: list[str] = []
    buyer = threading.Thread(target=lambda: answer.append(clerk.http.post(
        f"http://127.0.0.1:{outage.product.environ['STANDINS_PORT']}{action}", timeout=60).text))
    with transaction() as session:
        session.get_one(TrainingPlan, plan_id, with_for_update=True)
        buyer.start()
        time.sleep(3)  # the notification waits, and so does the buyer, who was sent back after a second and a half
    buyer.join(60)
    assert "支付成功" in answer[0]
    wait_for(lambda: fresh(select(Payment.state).where(Payment.order_id == order_id)) == "applied", 20, "the payment was not settled")
    assert fresh(select(func.count(Payment.id)).where(Payment.order_id == order_id)) == 1
    assert fresh(select(func.count(Invoice.id)).where(Invoice.order_id == order_id)) == 1
    assert fresh(select(func.count(AuditEvent.id)).where(AuditEvent.verb == "pay_order", AuditEvent.subject_id == order_id)) == 1
    assert (state_of(order_id), adds_up(plan_id)) == ("paid", 2)


def test_a_full_disk_is_said_and_no_photo_is_lost_or_half_stored(outage: Outage, inside: Flask) -> None:
    clerk = Clerk(outage.product)
    _plan, batch_id = outage.batch(12, photos=False)
    rows = db.session.scalars(select(Enrolment).where(Enrolment.batch_id == batch_id))
    people = [Person(row.name, row.id_number, "", "") for row in rows]
    zipped = {"photos": ("寸照.zip", photo_zip(people, "portrait"))}
    path, at = f"/enrol/batches/{batch_id}/photos/portrait", f"/enrol/batches/{batch_id}/photos"
    files, uploads = select(func.count(StoredFile.id)), select(func.count(PhotoUpload.id)).where(PhotoUpload.batch_id == batch_id)
    before = fresh(files)
    outage.disk.fill(0)
    refused = clerk.send(path, {}, at=at, files=zipped).text
    outage.disk.free()
    assert "暂时不可用" in refused
    assert "没有完成" in refused
    assert (fresh(files), fresh(uploads)) == (before, 0), "nothing is half there"
    worker = outage.product.pids("worker")[0]
    os.kill(worker, signal.SIGSTOP)
    clerk.send(path, {}, at=at, files=zipped)
    outage.disk.fill(6000)
    os.kill(worker, signal.SIGCONT)
    wait_for(lambda: "自动重试" in outage.page(clerk, at), 30, "nobody was told")
    shown = select(func.count(Enrolment.id)).where(Enrolment.batch_id == batch_id, Enrolment.portrait_id.is_not(None))
    assert fresh(shown) == fresh(select(func.count(StoredFile.id)).where(StoredFile.kind == "portrait", StoredFile.id > before)) < 12
    outage.disk.free()
    let_pass(outage.product, minutes=1)
    wait_for(lambda: fresh(shown) == 12, 30, "the photos were not made good")
    wait_for(lambda: "匹配 12 人" in outage.page(clerk, at), 10, "the end was not told")


@dataclass
class Buyer:
    """A clerk who orders and pays batch after batch, and tries again when the portal says that it is recovering."""

    outage: Outage
    clerk: Clerk
    batches: list[int]
    seen: Counter[Any] = field(default_factory=Counter)
    orders: list[int] = field(default_factory=list)

    def send(self, method: str, path: str, **data: str) -> requests.Response:
        until = time.monotonic() + 90
        while time.monotonic() < until:
            try:
                answer = self.clerk.http.request(method, self.outage.product.url + path, data=data, allow_redirects=False, timeout=60)
            except requests.RequestException:
                self.seen["cut off"] += 1
            else:
                self.seen[answer.status_code] += 1
                if answer.status_code != 503:
                    return answer
                assert "系统正在恢复" in answer.text
                assert int(answer.headers["Retry-After"]) > 0
            time.sleep(0.2)
        raise AssertionError(f"{path}: the portal did not come back")

    def buy(self) -> None:
        token = re.findall(r'<meta name="csrf-token" content="([^"]+)"', self.send("GET", "/").text)[0]
        for batch_id in self.batches:
            found = re.search(r"/orders/(\d+)$", self.send("POST", f"/orders/add/{batch_id}", csrf_token=token).headers.get("Location", ""))
            if found is None:
                continue  # no seats left
            self.orders.append(int(found[1]))
            page = self.clerk.http.get(self.send("GET", f"/orders/{found[1]}/pay").headers["Location"], timeout=60).text
            self.outage.gateway("pay", order_no=re.findall(r"\b\d{18}\b", page)[0])


def test_what_breaks_under_load_costs_nobody_a_seat_or_a_fen(outage: Outage, inside: Flask) -> None:
    """The database crashes and is started again while four clerks order and pay; where it is a file, the web part is killed."""
    product = outage.product
    plan_id, first = outage.batch(2, seats=20)
    batches = [first, *(outage.batch(2, plan_id=plan_id, enterprise=(FIRST, SECOND)[n % 2])[1] for n in range(1, 14))]
    buyers = [Buyer(outage, Clerk(product, (FIRST, SECOND)[n % 2]), batches[n::4]) for n in range(4)]
    outage.gateway("settings", notify_scale=0.01)
    parts = {part: product.pids(part)[0] for part in ("worker", "scheduler")}
    threads = [threading.Thread(target=buyer.buy) for buyer in buyers]
    db.session.remove()
    for thread in threads:
        thread.start()
    until = time.monotonic() + 60
    while sum(len(buyer.orders) for buyer in buyers) < 4 and time.monotonic() < until:
        time.sleep(0.02)
    if outage.database is not None:
        outage.database.stop(signal.SIGQUIT)
        time.sleep(1.5)
        outage.database.start()
        db.engine.dispose()
    else:
        product.kill("web")
    broken_at = clock.now()
    for thread in threads:
        thread.join(120)
    seen = sum((buyer.seen for buyer in buyers), Counter())
    assert seen[503] + seen["cut off"] > 0, "nobody was there when it broke"
    assert set(seen) <= {200, 302, 303, 503, "cut off"}, seen
    numbers = set(db.session.scalars(select(Order.number).where(Order.plan_id == plan_id)))
    assert len(numbers) == 10
    paid = select(func.count(Order.id)).where(Order.plan_id == plan_id, Order.state == "paid")
    wait_for(lambda: fresh(paid) == 10, 60, "a payment was lost")
    assert adds_up(plan_id) == 20
    whole = (select(func.count(model.id), func.sum(amount)).join(Order, model.order_id == Order.id).where(Order.plan_id == plan_id)
             for model, amount in ((Payment, Payment.amount_fen), (Invoice, Invoice.amount_fen)))
    fen = fresh(select(func.sum(Order.amount_fen)).where(Order.plan_id == plan_id))
    assert [tuple(db.session.execute(each).one()) for each in whole] == [(10, fen), (10, fen)]
    ids = select(Order.id).where(Order.plan_id == plan_id)
    for verb in ("create_order", "pay_order"):
        assert fresh(select(func.count(AuditEvent.id)).where(AuditEvent.verb == verb, AuditEvent.subject_id.in_(ids))) == 10
    assert fresh(select(func.count(Job.id)).where(Job.name == "expire_order", Job.subject_id.in_(ids))) == 10
    services.wait_until_healthy(product, 40)
    let_pass(product, minutes=3)
    wait_for(lambda: fresh(select(Job.id).where(Job.name == "check_orders", Job.state == "done", Job.finished_at > broken_at)), 30,
             "no job was done any more")
    assert {part: product.pids(part)[0] for part in parts} == parts, "worker and scheduler wait for a database, they do not die of it"
    for buyer in buyers:
        assert all("全部报名成功" in outage.page(buyer.clerk, f"/orders/{order_id}") for order_id in buyer.orders)
