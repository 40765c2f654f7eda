"""A review step on thousands at once, as a job: part by part, each part with its place in one transaction (B4)."""

from __future__ import annotations

from collections.abc import Callable

from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app import audit, clock, jobs, scope, workflow
from app.actors import Actor
from app.areas import OPENED_BY, VERB_OF
from app.extensions import db, transaction
from app.security import actor_of, narrowed
from app.sets import among
from models import Account, BulkRun

# More than this many rows go as a job; fewer are done before the page answers.
AT_ONCE = 1000
PART = 1000
JOB = "take_bulk_steps"


def start(kind: str, ids: list[int], step: str, *, actor: Actor, remark: str = "") -> BulkRun:
    """Ask for a step on many subjects, which the caller has chosen through scope. Raises what the step itself would: `Invalid`
    for a missing remark, `Forbidden` for a step that is not this party's."""
    workflow.take_steps(kind, [], step, actor=actor, remark=remark)
    with transaction() as session:
        run = BulkRun(kind=kind, step=step, remark=remark.strip(), user_id=actor.user_id, authority_id=actor.authority_id, ids=ids,
                      left=[], created_at=clock.now())
        session.add(run)
        session.flush()
        jobs.schedule(JOB, run.id, authority_id=actor.authority_id, total=len(ids))
        audit.record(actor, "ask_bulk_step", run, {"kind": kind, "step": step, "number": len(ids)})
    return run


def run_steps(run_id: int, report: Callable[[int, int], None]) -> None:
    """Job: take the step on the next part until none is left. Run twice it goes on where the other stopped: a part and the place
    after it are committed together. What the person may do, and where, is asked again: rows that are no longer theirs are left."""
    account = db.session.scalars(
        select(Account).join(BulkRun, BulkRun.user_id == Account.user_id).where(BulkRun.id == run_id)
        .options(joinedload(Account.user), joinedload(Account.authority))).one()
    asked = db.session.get_one(BulkRun, run_id)
    granted = current_app.extensions["appbuilder"].sm.granted_to(account.user_id)
    actor = narrowed(actor_of(account), granted, (f"can_{VERB_OF[asked.step]}", OPENED_BY[asked.kind][0]))
    while True:
        with transaction() as session:
            run = session.scalars(select(BulkRun).where(BulkRun.id == run_id).with_for_update()
                                  .execution_options(populate_existing=True)).one()
            part, total = run.ids[run.position:run.position + PART], len(run.ids)
            if part:
                theirs = _theirs(run.kind, part, actor)
                outcome = workflow.take_steps(run.kind, [key for key in part if key in theirs], run.step, actor=actor, remark=run.remark)
                moved = set(outcome.moved)
                run.position, run.left = run.position + len(part), [*run.left, *(key for key in part if key not in moved)]
            done = run.position
        if not part:
            return
        report(done, total)


def _theirs(kind: str, ids: list[int], actor: Actor) -> set[int]:
    """Those of these ids that are in the regions where the person may take the step."""
    if actor.regions is None:
        return set(ids)
    model = workflow.SUBJECTS[kind].model
    return set(db.session.scalars(select(model.id).where(among(model.id, ids), scope.visible_clause(actor, model))))
