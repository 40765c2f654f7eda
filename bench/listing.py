"""`lists`: the first page of an institution's plan list, over 20,000 plans.

Ours: GET /plans/ through the whole application (session, permissions, scope, query, page), as a signed-in institution.
Floor: the statements that fetch the list's own rows, as ours sent them, on the bare driver and fetched into tuples: no session,
no permission, no objects, no page.
Both are the mean of 20 in a row. Counts: plans, statements of one page (all of them, the session's too), floor_statements,
last_page_s for the last page, kb of HTML.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, insert, select

from bench.measure import Counts, Options, Pair, Subject
from bench.place import released

PLANS = 20_000
PAGES = 20
WHO = "hjp"
# Tables of the list's own rows; the rest of a page's statements are session, permissions and frame.
LISTED = re.compile(r"\bFROM \(?(SELECT )?.*\b(training_plan|plan_occupation)\b", re.DOTALL)


def fill(plans: int) -> None:
    """Plans of one institution in every state of review, each with two occupations. Needs an application context."""
    from app.extensions import transaction
    from models import PlanOccupation, TrainingPlan
    from tests.factory import Factory

    make = Factory()
    states = {state: make.plan(state=state, occupations=("020", "010")) for state in
              ("draft", "submitted", "accepted", "rejected", "approved")}
    table, pairs = TrainingPlan.__table__, PlanOccupation.__table__
    with transaction() as session:
        for state, first in states.items():
            likeness = dict(session.execute(select(table).where(table.c.id == first.id)).mappings().one())
            taught = [dict(row) for row in session.execute(select(pairs).where(pairs.c.plan_id == first.id)).mappings()]
            ids = range(1_000_000 + list(states).index(state), 1_000_000 + plans, len(states))
            session.execute(insert(table), [{**likeness, "id": n, "name": f"杭建培{n}"} for n in ids])
            session.execute(insert(pairs), [{"plan_id": n, **{key: row[key] for key in ("occupation_id", "level_id", "position")}}
                                            for n in ids for row in taught])


def signed_in(app: Flask, who: str = WHO, party: str = "institution") -> FlaskClient:
    """A browser of that account, through the sign-in page."""
    from app.demo import PASSWORD

    client = app.test_client()
    page = client.get("/login/").get_data(as_text=True)
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert token is not None
    answer = client.post("/login/", data={"csrf_token": token[1], "party": party, "username": who, "password": PASSWORD})
    assert answer.status_code == 303, answer.status
    return client


@contextmanager
def prepare(folder: Path, options: Options) -> Iterator[Pair]:
    """The plans, and the statistics a database that has lived for a while would have."""
    from app.extensions import db

    plans = options.size or PLANS
    with released(folder / "var", options) as app:
        with app.app_context():
            fill(plans)
            dialect = db.engine.dialect.name
            bare = db.engine.raw_connection().driver_connection
            assert bare is not None
            bare.execute("ANALYZE")
            bare.commit()
            db.session.remove()
            db.engine.dispose()
        yield Pair(lambda: _ours(app, plans), lambda: _floor(app), {"plans": plans, "database": dialect})


@contextmanager
def statements(app: Flask) -> Iterator[list[tuple[str, Any]]]:
    """The statements sent meanwhile, with their parameters as the driver got them."""
    from app.extensions import db

    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        sent.append((statement, parameters))

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def _ours(app: Flask, plans: int) -> tuple[float, Counts]:
    client = signed_in(app)
    page = client.get("/plans/")
    assert page.status_code == 200
    assert f"{plans + 5:,}" in page.get_data(as_text=True) or str(plans + 5) in page.get_data(as_text=True)
    with statements(app) as sent:
        client.get("/plans/")
    took = _mean(lambda: client.get("/plans/"))
    last = _mean(lambda: client.get(f"/plans/?page={-(-(plans + 5) // 25)}"))
    return took, {"statements": len([each for each in sent if not each[0].startswith("BEGIN")]),
                  "floor_statements": len([each for each in sent if LISTED.search(each[0])]),
                  "last_page_s": last, "kb": len(page.data) // 1024}


def _floor(app: Flask) -> tuple[float, Counts]:
    from app.extensions import db

    client = signed_in(app)
    with statements(app) as sent:
        client.get("/plans/")
    listed = [each for each in sent if LISTED.search(each[0])]
    with app.app_context():
        bare = db.engine.raw_connection().driver_connection
        assert bare is not None

        def page() -> None:
            for statement, parameters in listed:
                bare.execute(statement, parameters).fetchall()

        return _mean(page), {}


def _mean(act: Any) -> float:
    act()
    began = time.perf_counter()
    for _each in range(PAGES):
        act()
    return (time.perf_counter() - began) / PAGES


SUBJECT = Subject("lists", prepare)
