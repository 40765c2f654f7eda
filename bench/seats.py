"""`seats`: 64 clients buy the 500 seats of one plan in orders of 1 to 5 people, each batch with its photos, until nothing is left.

Ours: POST /orders/add/<batch> over HTTP with a session and its token, to gunicorn as the product runs it (`run.py web`), answered by the
redirect to the order. Worker and scheduler do not run.
Floor: one transaction with the conditional UPDATE of the seats and the INSERT of the order (on PostgreSQL one statement, the
UPDATE feeding the INSERT), from 64 threads on the bare driver, the same numbers of people. No HTTP, no person, no people.
Both are seconds an order, refusals at the end not counted. Counts: orders, orders_per_s, clients, oversold (seats sold beyond 500, must
be 0), lost (people of orders that were answered but are not held, and seats counted that nobody has; must be 0), p95_ms of
one order, statements of one order (session and permissions too).
"""

from __future__ import annotations

import http.client
import itertools
import random
import re
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import func, insert, select

from bench.listing import signed_in, statements
from bench.measure import Counts, Options, Pair, Subject
from bench.place import released
from bench.starting import _memory_mb
from tests import services

CLIENTS = 64
SEATS = 500
WHO = ("91330100MA2AAAA05G", "91330212MA2AAAA052", "91330000MA2BBBB07Q")
_TOKEN = re.compile(r'<meta name="csrf-token" content="([^"]+)"')


def sizes(seats: int) -> list[int]:
    """People of each batch: a tenth more than there are seats."""
    drawn, found = random.Random(seats), []
    while sum(found) < seats * 1.1:
        found.append(drawn.randint(1, 5))
    return found


def fill(seats: int) -> tuple[int, list[tuple[int, str]]]:
    """A plan, and (batch, whose) of each batch. Needs an application context."""
    from app.crypto import blind
    from app.extensions import db, transaction
    from models import Enrolment, ImportBatch
    from tests.factory import Factory, id_number, phone_number

    make = Factory()
    make.serial = db.session.scalar(select(func.count()).select_from(Enrolment)) or 0
    plan = make.plan(seats=seats, name=f"杭建培{make.serial}")
    likeness = {who: make.batch(plan, 1, enterprise=who) for who in WHO}
    batches: list[tuple[int, str]] = []
    with transaction() as session:
        for people, who in zip(sizes(seats), itertools.cycle(WHO), strict=False):
            first = likeness[who]
            batch = session.scalar(insert(ImportBatch).values(
                plan_id=plan.id, enterprise_id=first.enterprise_id, workbook_id=first.workbook_id, state="clean", people=people, faults=[],
                created_by_id=1, created_at=first.created_at).returning(ImportBatch.id))
            like = {column.key: getattr(first.enrolments[0], column.key) for column in Enrolment.__table__.columns if column.key != "id"}
            rows = []
            for _each in range(people):
                make.serial += 1
                number, phone = id_number(make.serial), phone_number(make.serial)
                rows.append(like | {"batch_id": batch, "id_number": number, "id_number_index": blind(number, "id_number"),
                                    "phone": phone, "phone_index": blind(phone, "phone")})
            session.execute(insert(Enrolment), rows)
            batches.append((int(batch or 0), who))
    plan_id = plan.id
    db.session.remove()
    db.engine.dispose()
    return plan_id, batches


def _at_once(work: list[Any], act: Callable[[Any, list[Any]], None]) -> float:
    """`CLIENTS` threads take from the work until it is done; the seconds it took. Each thread's results go into a list of its own."""
    left, gate, lists = iter(work), threading.Barrier(CLIENTS + 1), [[] for _each in range(CLIENTS)]  # type: ignore[var-annotated]
    lock = threading.Lock()

    def take() -> Iterator[Any]:
        while True:
            with lock:
                each = next(left, None)
            if each is None:
                return
            yield each

    def run(mine: list[Any]) -> None:
        gate.wait()
        act(take(), mine)

    threads = [threading.Thread(target=run, args=(mine,)) for mine in lists]
    for thread in threads:
        thread.start()
    gate.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    work[:] = [each for mine in lists for each in mine]
    return took


@contextmanager
def _web(environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The product's web part, until it answers."""
    with subprocess.Popen([sys.executable, "run.py", "web"], cwd=services.ROOT, env={**services.user_environment(), **environ}) as web:
        try:
            services.wait_for(lambda: services.answers(int(environ["PORT"]), "/login/"), 60, "the web part does not answer")
            yield web
        finally:
            web.terminate()


def _tokens(app: Flask) -> dict[str, dict[str, str]]:
    """The headers of a signed-in person with the token of a page, for each enterprise."""
    found = {}
    for who in WHO:
        client = signed_in(app, who, "enterprise")
        page = _TOKEN.search(client.get("/orders/").get_data(as_text=True))
        cookie = client.get_cookie("session")
        assert page is not None
        assert cookie is not None
        found[who] = {"Cookie": f"session={cookie.value}", "X-CSRFToken": page[1], "Content-Type": "application/x-www-form-urlencoded"}
    return found


def _ours(app: Flask, environ: dict[str, str], seats: int) -> tuple[float, Counts]:
    with app.app_context():
        plan_id, batches = fill(seats)
    headers = _tokens(app)
    port = int(environ["PORT"])

    def buy(work: Iterator[tuple[int, str]], results: list[Any]) -> None:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for batch_id, who in work:
            began = time.perf_counter()
            line.request("POST", f"/orders/add/{batch_id}", b"", headers[who])
            answer = line.getresponse()
            answer.read()
            assert answer.status == 303, answer.status
            place = re.search(r"/orders/(\d+)$", answer.headers["Location"])
            results.append((time.perf_counter() - began, int(place[1]) if place else 0))
        line.close()

    with _web(environ) as web:
        work: list[Any] = list(batches)
        took = _at_once(work, buy)
        children = Path(f"/proc/{web.pid}/task/{web.pid}/children").read_text(encoding="ascii").split()
        memory = _memory_mb([web.pid, *map(int, children)])
    sold = [order_id for _seconds, order_id in work if order_id]
    slow = statistics.quantiles([seconds for seconds, _order in work], n=20)[-1]
    return took / len(sold), {**_proof(app, plan_id, seats, sold), "orders": len(sold), "orders_per_s": len(sold) / took,
                              "p95_ms": slow * 1000, "statements": _statements(app), "peak_mb": memory}


def _proof(app: Flask, plan_id: int, seats: int, sold: list[int]) -> Counts:
    """That what was answered is what is there: counter, orders and people agree, and none was sold beyond the seats."""
    from app.extensions import db
    from models import Enrolment, Order, TrainingPlan

    with app.app_context():
        plan = db.session.get_one(TrainingPlan, plan_id)
        held = db.session.scalar(select(func.count()).where(Enrolment.plan_id == plan_id, Enrolment.state == "held")) or 0
        ordered = db.session.scalar(select(func.sum(Order.people)).where(Order.id.in_(sold), Order.state == "pending")) or 0
        orders = db.session.scalar(select(func.count()).where(Order.plan_id == plan_id)) or 0
        lost = abs(ordered - held) + abs(plan.seats_taken - held) + abs(orders - len(set(sold)))
        db.session.remove()
        db.engine.dispose()
    return {"oversold": max(0, held - seats), "lost": int(lost), "sold": int(held)}


def _statements(app: Flask) -> int:
    """What one order sends, in this process."""
    with app.app_context():
        _plan, batches = fill(10)
    batch_id, who = batches[0]
    client = signed_in(app, who, "enterprise")
    token = _TOKEN.search(client.get("/orders/").get_data(as_text=True))
    assert token is not None
    with statements(app) as sent:
        answer = client.post(f"/orders/add/{batch_id}", headers={"X-CSRFToken": token[1]})
    assert re.search(r"/orders/\d+$", answer.headers["Location"]), answer.headers["Location"]
    return len([each for each in sent if not each[0].startswith("BEGIN")])


FLOOR_TABLES = ("CREATE TABLE floor_plan (id integer PRIMARY KEY, seats integer, taken integer CHECK (taken <= seats))",
                "CREATE TABLE floor_order (number varchar(32) PRIMARY KEY, plan_id integer, people integer, state varchar(20))")


def _floor(app: Flask, seats: int) -> tuple[float, Counts]:
    from app.extensions import db

    with app.app_context():
        url, sqlite = db.engine.url, db.engine.dialect.name == "sqlite"

    def connect() -> Any:
        if sqlite:
            line = sqlite3.connect(url.database or "", timeout=60, isolation_level=None)
            line.execute("PRAGMA synchronous=NORMAL")
            return line
        import psycopg

        return psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True)

    first = connect()
    for table in ("floor_order", "floor_plan"):
        first.execute(f"DROP TABLE IF EXISTS {table}")
    for each in FLOOR_TABLES:
        first.execute(each)
    first.execute(f"INSERT INTO floor_plan VALUES (1, {seats}, 0)")

    def buy(work: Iterator[tuple[int, int]], results: list[Any]) -> None:
        line = connect()
        for number, people in work:
            results.append(_bought_sqlite(line, number, people) if sqlite else _bought_postgres(line, number, people))
        line.close()

    work: list[Any] = list(enumerate(sizes(seats)))
    took = _at_once(work, buy)
    assert first.execute("SELECT taken FROM floor_plan").fetchone() == first.execute("SELECT sum(people) FROM floor_order").fetchone()
    first.close()
    return took / sum(work), {}


def _bought_sqlite(line: Any, number: int, people: int) -> bool:
    line.execute("BEGIN IMMEDIATE")
    there = line.execute("UPDATE floor_plan SET taken = taken + ? WHERE id = 1 AND taken + ? <= seats RETURNING id",
                         (people, people)).fetchall()
    if there:
        line.execute("INSERT INTO floor_order VALUES (?, 1, ?, 'pending')", (str(number), people))
    line.execute("COMMIT")
    return bool(there)


def _bought_postgres(line: Any, number: int, people: int) -> bool:
    return bool(line.execute(
        "WITH seat AS (UPDATE floor_plan SET taken = taken + %s WHERE id = 1 AND taken + %s <= seats RETURNING id) "
        "INSERT INTO floor_order SELECT %s, id, %s, 'pending' FROM seat", (people, people, str(number), people)).rowcount)


@contextmanager
def prepare(folder: Path, options: Options) -> Iterator[Pair]:
    seats = options.size or SEATS
    with released(folder / "var", options) as app:
        settings = app.extensions["settings"]
        environ = {"MODE": "demo", "VAR_DIR": str(settings.var_dir), "PORT": str(settings.port), "DATABASE_URL": settings.database_url}
        with app.app_context():
            from app.extensions import db

            dialect = db.engine.dialect.name
            db.engine.dispose()
        yield Pair(lambda: _ours(app, environ, seats), lambda: _floor(app, seats),
                   {"seats": seats, "clients": CLIENTS, "database": dialect})


SUBJECT = Subject("seats", prepare)
