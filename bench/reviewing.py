"""`review-bulk`: approve 5,000 submitted and accepted training plans, with an event row each.

Ours: `workflow.take_steps`, the call behind every desk's bulk button: compare-and-set, events, notices, audit, one commit.
Floor: the same UPDATE ... RETURNING and one INSERT of the same events on the bare driver (psycopg, sqlite3), one commit.
Each sample takes plans that no other has touched.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import insert, select

from bench.measure import Counts, Options, Pair, Subject
from bench.place import released

PLANS = 5_000
WHO = "hangzhou"
_SET = """UPDATE training_plan SET review_state = 'approved', review_remark = '', review_version = review_version + 1,
    decided_at = {now}, decided_by_id = {who} WHERE id {among} AND review_state = 'accepted' AND authority_id = {authority}
    RETURNING id, review_version, review_round"""
_EVENT = """INSERT INTO review_event (subject_kind, subject_id, sequence, round, step, from_state, to_state, actor_id, actor_name,
    organisation, at, remark) """


def fill(plans: int) -> None:
    """Accepted plans of one institution. Needs an application context."""
    from app.extensions import transaction
    from models import TrainingPlan
    from tests.factory import Factory

    first = Factory().plan(state="accepted", occupations=("020",))
    table = TrainingPlan.__table__
    with transaction() as session:
        likeness = dict(session.execute(select(table).where(table.c.id == first.id)).mappings().one())
        session.execute(insert(table), [{**likeness, "id": 1_000_000 + n, "name": f"杭建培{n}"} for n in range(plans)])


@contextmanager
def prepare(folder: Path, options: Options) -> Iterator[Pair]:
    """Enough plans for every sample of both sides."""
    from app.extensions import db

    plans = options.size or PLANS
    with released(folder / "var", options) as app:
        with app.app_context():
            fill(plans * 2 * (options.rounds + 1))
            dialect = db.engine.dialect.name
            bare: Any = db.engine.raw_connection().driver_connection
            bare.execute("ANALYZE")
            bare.commit()
            db.session.remove()
            db.engine.dispose()
        yield Pair(lambda: _ours(app, plans), lambda: _floor(app, plans), {"plans": plans, "database": dialect})


def _fresh(plans: int) -> list[int]:
    """Plans that are still to be decided."""
    from app.extensions import db
    from models import TrainingPlan

    ids = list(db.session.scalars(select(TrainingPlan.id).where(TrainingPlan.review_state == "accepted")
                                  .order_by(TrainingPlan.id).limit(plans)))
    assert len(ids) == plans
    db.session.rollback()
    return ids


def _ours(app: Flask, plans: int) -> tuple[float, Counts]:
    from app import workflow
    from tests.factory import Factory

    with app.app_context():
        actor, ids = Factory().actor(WHO), _fresh(plans)
        began = time.perf_counter()
        outcome = workflow.take_steps("training_plan", ids, "approve", actor=actor)
        took = time.perf_counter() - began
    assert len(outcome.moved) == plans
    return took, {}


def _floor(app: Flask, plans: int) -> tuple[float, Counts]:
    from app import clock
    from app.extensions import db
    from tests.factory import Factory

    with app.app_context():
        actor, ids = Factory().actor(WHO), _fresh(plans)
        bare: Any = db.engine.raw_connection().driver_connection
        postgres = db.engine.dialect.name == "postgresql"
        act = _on_postgres if postgres else _on_sqlite
        began = time.perf_counter()
        moved = act(bare, ids, actor, clock.now())
        bare.commit()
        took = time.perf_counter() - began
    assert moved == plans
    return took, {}


def _on_postgres(bare: Any, ids: list[int], actor: Any, now: Any) -> int:
    rows = bare.execute(_SET.format(now="%s", who="%s", among="= ANY(%s)", authority="%s"),
                        (now, actor.user_id, ids, actor.authority_id)).fetchall()
    same = ("approve", "accepted", "approved", actor.user_id, actor.name, actor.organisation, now, "")
    bare.execute(_EVENT + "SELECT 'training_plan', subject, version, turn, %s, %s, %s, %s, %s, %s, %s, %s "
                 "FROM unnest(%s::bigint[], %s::int[], %s::int[]) AS given (subject, version, turn)",
                 (*same, *(list(column) for column in zip(*rows, strict=True))))
    return len(rows)


def _on_sqlite(bare: Any, ids: list[int], actor: Any, now: Any) -> int:
    bare.execute("BEGIN IMMEDIATE")
    moment = now.replace(tzinfo=None).isoformat(" ")
    rows = bare.execute(_SET.format(now="?", who="?", among="IN (SELECT value FROM json_each(?))", authority="?"),
                        (moment, actor.user_id, json.dumps(ids), actor.authority_id)).fetchall()
    bare.executemany(_EVENT + "VALUES ('training_plan', ?, ?, ?, 'approve', 'accepted', 'approved', ?, ?, ?, ?, '')",
                     [(*row, actor.user_id, actor.name, actor.organisation, moment) for row in rows])
    return len(rows)


SUBJECT = Subject("review-bulk", prepare)
