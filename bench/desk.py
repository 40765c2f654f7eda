"""`desk`: the province's desk over 200,000 training plans of 11 cities: what waits, page 3,000 of all, part of a
name, one state.

Ours: GET /reviews/plans/ through the whole application. Floor: the same four pages over 200 plans, in a database of its own.
`ratio` is that of the sums; `worst` that of the page that grows most. Each page is the mean of ten in a row; `statements` are
those of the page that sends most, the session's and the frame's included.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import insert, select

from bench.listing import signed_in, statements
from bench.measure import Counts, Options, Pair, Subject
from bench.place import released

PLANS, FEW = 200_000, 200
PAGES = 10
WHO = "province"
# Of a hundred plans of a desk that has worked for years, two wait to be accepted and two to be decided.
STATES = ("submitted",) * 2 + ("accepted",) * 2 + ("approved",) * 90 + ("rejected",) * 6
ADDRESSES = {"first": "/reviews/plans/", "page_3000": "/reviews/plans/?state=all&page=3000",
             "name": "/reviews/plans/?state=all&q=%E5%9F%B9202612", "state": "/reviews/plans/?state=approved"}


def fill(plans: int) -> None:
    """Plans of eleven cities with an institution each, in every state an authority sees. Needs an application context."""
    from app.extensions import transaction
    from models import Authority, Institution, PlanOccupation, Region, TrainingPlan
    from tests.factory import Factory

    make = Factory()
    like = {state: make.plan(state=state, occupations=("020", "010")).id for state in set(STATES)}
    table, taught, institutions = TrainingPlan.__table__, PlanOccupation.__table__, Institution.__table__
    with transaction() as session:
        province = session.scalars(select(Authority).where(Authority.parent_id.is_(None))).one()
        cities = [each for each in session.scalars(select(Region).order_by(Region.code)) if each.level == "city"]
        known = {each.region_code: each.id for each in session.scalars(select(Authority))}
        for city in cities:
            if city.code not in known:
                row = Authority(name=f"{city.name}建设局", region_code=city.code, parent_id=province.id)
                session.add(row)
                session.flush()
                known[city.code] = row.id
        model = dict(session.execute(select(institutions).limit(1)).mappings().one())
        schools = [{**model, "id": 900_000 + n, "name": f"{city.name}职业培训中心", "short_name": f"{city.name[:1]}训{n}"[:5],
                    "uscc": f"9133000000000{n:05d}", "authority_id": known[city.code]} for n, city in enumerate(cities)]
        session.execute(insert(institutions), schools)
        rows = {state: dict(session.execute(select(table).where(table.c.id == key)).mappings().one()) for state, key in like.items()}
        pairs = [dict(row) for row in session.execute(select(taught).where(taught.c.plan_id == like["approved"])).mappings()]
        for start in range(0, plans, 20_000):
            numbers = range(start, min(start + 20_000, plans))
            session.execute(insert(table), [
                {**rows[STATES[n // 11 % 100]], "id": 1_000_000 + n, "institution_id": 900_000 + n % 11,
                 "authority_id": schools[n % 11]["authority_id"],
                 "name": f"训{n % 11}培{2020 + n % 7}{n % 12 + 1:02d}{n}"} for n in numbers])
            session.execute(insert(taught), [
                {"plan_id": 1_000_000 + n, **{key: pair[key] for key in ("occupation_id", "level_id", "position")}}
                for n in numbers for pair in pairs])


@contextmanager
def prepare(folder: Path, options: Options) -> Iterator[Pair]:
    """The same portal twice, with many plans and with few."""
    plans = options.size or PLANS
    with (released(folder / "many", options) as many, released(folder / "few", replace(options)) as few):
        dialect = ""
        for app, number in ((many, plans), (few, FEW)):
            dialect = _filled(app, number)
        yield Pair(lambda: _pages(many), lambda: _pages(few), {"plans": plans, "few": FEW, "database": dialect})


def _filled(app: Flask, number: int) -> str:
    from app.extensions import db

    with app.app_context():
        fill(number)
        bare: Any = db.engine.raw_connection().driver_connection
        bare.commit()
        if db.engine.dialect.name == "postgresql":
            bare.autocommit = True
            bare.execute("VACUUM ANALYZE")
        else:
            bare.execute("ANALYZE")
        db.session.remove()
        db.engine.dispose()
        return str(db.engine.dialect.name)


def _pages(app: Flask) -> tuple[float, Counts]:
    client = signed_in(app, WHO, "authority")
    took: dict[str, float] = {}
    most = 0
    for name, address in ADDRESSES.items():
        assert client.get(address).status_code == 200
        with statements(app) as sent:
            client.get(address)
        most = max(most, len([each for each in sent if not each[0].startswith("BEGIN")]))
        began = time.perf_counter()
        for _each in range(PAGES):
            client.get(address)
        took[name] = (time.perf_counter() - began) / PAGES
    return sum(took.values()), {"statements": most, **{f"{name}_s": seconds for name, seconds in took.items()}}


SUBJECT = Subject("desk", prepare)
