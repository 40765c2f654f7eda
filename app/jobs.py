"""Jobs: how work is asked for, leased, reported on and ended. The database row is the truth, Redis is the doorbell.

A job is written in the transaction of the act that needs it, so it exists exactly if the act does. After the commit its
id is rung to the queue; were the ring lost, the scheduler finds the due row within seconds. A worker leases the row
before it begins and renews the lease as it reports; a lease that runs out makes the row waiting again. Every job may
therefore run twice, and must end with the same result when it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from flask import current_app
from redis.exceptions import RedisError
from sqlalchemy import and_, or_, select, update

from app import clock
from app.extensions import after_commit, db, transaction
from app.workflow import JOB_MOVES, move
from models import Job

LEASE = timedelta(seconds=30)
RETRIES = 8
PERFORM = "workers.jobs.perform"
# The queue of all jobs but those that have one, and so a process, of their own. Where that one is left out (OCR=off)
# theirs go with the others.
QUEUE = "portal"
OWN_QUEUE = {"read_licence": "ocr", "read_id_fronts": "ocr"}


def schedule(name: str, subject_id: int, *, due_at: datetime | None = None, enterprise_id: int | None = None,
             institution_id: int | None = None, authority_id: int | None = None, total: int = 0) -> Job:
    """Ask for a job in the current transaction, due now or at `due_at`. The party ids say who may watch it."""
    at = clock.now()
    job = Job(name=name, subject_id=subject_id, due_at=due_at or at, created_at=at, enterprise_id=enterprise_id,
              institution_id=institution_id, authority_id=authority_id, total_units=total)
    db.session.add(job)
    db.session.flush()
    if job.due_at <= at:
        after_commit(partial(ring, [job.id], queue_of(name)))
    return job


def schedule_each(name: str, subjects: Mapping[int, int | None]) -> None:
    """Ask for a job now for each of many subjects, given with their enterprises, in one statement."""
    at = clock.now()
    rows = [Job(name=name, subject_id=subject_id, due_at=at, created_at=at, enterprise_id=enterprise_id)
            for subject_id, enterprise_id in subjects.items()]
    db.session.add_all(rows)
    db.session.flush()
    after_commit(partial(ring, [row.id for row in rows], queue_of(name)))


def queues() -> dict[str, Any]:
    """The queues there are, by name; none where no Redis is set."""
    found: dict[str, Any] = current_app.extensions.get("queues", {})
    return found


def queue_of(name: str) -> str:
    """The queue that jobs of this name are rung to."""
    own = OWN_QUEUE.get(name, QUEUE)
    return own if own in queues() else QUEUE


def ring(ids: list[int], queue_name: str = QUEUE) -> bool:
    """Tell a queue about due jobs. A queue that cannot be reached only makes them later: the scheduler rings again."""
    queue = queues().get(queue_name)
    if queue is None:
        return False
    try:
        for job_id in ids:
            queue.enqueue_call(PERFORM, args=(job_id,), timeout=3600, result_ttl=0, failure_ttl=3600)
    except RedisError as error:
        current_app.logger.warning("the queue cannot be reached, jobs wait for the scheduler: %s", error)
        return False
    return True


def due(limit: int = 100, queue_name: str = "") -> list[int]:
    """Ids of jobs that are due, or whose worker has let its lease run out, oldest first: all, or those of one queue, so that
    what waits for a process that is away keeps nothing else waiting."""
    at = clock.now()
    wanted = or_(and_(Job.state == "waiting", Job.due_at <= at), and_(Job.state == "running", Job.lease_until < at))
    if queue_name:
        own = [name for name in OWN_QUEUE if queue_of(name) != QUEUE]
        here = [name for name in own if queue_of(name) == queue_name]
        wanted = and_(wanted, Job.name.not_in(own) if queue_name == QUEUE else Job.name.in_(here))
    return list(db.session.scalars(select(Job.id).where(wanted).order_by(Job.due_at).limit(limit)))


def take(job_id: int) -> Job | None:
    """Lease a due job for this worker; None when it is not due, or another worker has it."""
    at = clock.now()
    with transaction() as session:
        taken = session.execute(
            update(Job)
            .where(Job.id == job_id, or_(and_(Job.state == "waiting", Job.due_at <= at),
                                         and_(Job.state == "running", Job.lease_until < at)))
            .values(state="running", lease_until=at + LEASE, attempts=Job.attempts + 1, error="")
            .returning(Job.id).execution_options(synchronize_session=False)).first()
        return session.get(Job, job_id, populate_existing=True) if taken else None


def report(job_id: int, done: int, total: int) -> None:
    """Tell how far a job is, and renew its lease. Its own short transaction: call it between units of work, never
    inside one on SQLite, where a second writer would wait for the first."""
    with transaction() as session:
        session.execute(update(Job).where(Job.id == job_id, Job.state == "running")
                        .values(done_units=done, total_units=total, lease_until=clock.now() + LEASE)
                        .execution_options(synchronize_session=False))


def finish(job_id: int) -> None:
    """The job's work is done and committed."""
    move(Job, [job_id], "state", JOB_MOVES, "running", "done", finished_at=clock.now(), lease_until=None)


def put_off(job: Job, detail: str) -> None:
    """The job met a passing obstacle: again later, waiting longer each time, and failed for good after `RETRIES`."""
    if job.attempts >= RETRIES:
        fail(job.id, detail)
        return
    later = clock.now() + timedelta(seconds=min(2 ** job.attempts * 5, 3600))
    move(Job, [job.id], "state", JOB_MOVES, "running", "waiting", due_at=later, lease_until=None, error=detail[:300])


class MoreToDo(Exception):
    """Raised by a job that has done a part, which is committed, and gives way: what else waits comes first, then it goes on."""


def go_on(job: Job) -> None:
    """The job has done a part of its work: it stands at the end of the line again, as the same row, with its progress."""
    with transaction():
        if move(Job, [job.id], "state", JOB_MOVES, "running", "waiting", due_at=clock.now(), lease_until=None, attempts=0):
            after_commit(partial(ring, [job.id], queue_of(job.name)))


def fail(job_id: int, detail: str) -> None:
    """The job cannot succeed as things are; a person may ask for it again."""
    move(Job, [job_id], "state", JOB_MOVES, "running", "failed", finished_at=clock.now(), lease_until=None,
         error=detail[:300])


def again(job: Job) -> bool:
    """Run a failed job once more, at a person's request."""
    with transaction():
        moved = move(Job, [job.id], "state", JOB_MOVES, "failed", "waiting", due_at=clock.now(), attempts=0,
                     finished_at=None, error="")
        if moved:
            after_commit(partial(ring, moved, queue_of(job.name)))
    return bool(moved)


def latest(name: str, subject_id: int) -> Job | None:
    """The newest job of this name about this subject, for its progress bar."""
    found: Any = db.session.scalars(
        select(Job).where(Job.name == name, Job.subject_id == subject_id).order_by(Job.id.desc()).limit(1)).first()
    return found
