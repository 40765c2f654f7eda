"""The scheduler: rings the queue for due jobs, and schedules what the timetable says. Any number may run at once."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from datetime import timedelta
from types import FrameType

from redis.exceptions import RedisError
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from app import SCHEDULER_BEAT, clock, jobs
from app.extensions import DATABASE_AWAY, db, transaction
from models import Job, Timer
from workers.runtime import application
from workers.timetable import NEEDED, TIMETABLE

BEAT = 0.5
RING_AGAIN = 5.0
QUEUE_FULL = 200
log = logging.getLogger("portal.scheduler")
# When each due job of a queue was last rung by this process: the worker is given a moment before the bell sounds again.
_rung: dict[str, dict[int, float]] = {}


def set_timers() -> None:
    """Give every entry of the timetable a timer, and schedule the job of each that is due.

    Moving the timer on is compare-and-set: of two schedulers one moves it, and only that one schedules. A job of the
    same name that is still waiting or running is enough; no second one is laid on top.
    """
    at = clock.now()
    timers = {timer.name: timer.due_at for timer in db.session.scalars(select(Timer))}
    for name, every in TIMETABLE.items():
        if name not in timers:
            try:
                with transaction() as session:
                    session.execute(insert(Timer).values(name=name, due_at=at + min(every, timedelta(seconds=5))))
            except IntegrityError:
                continue  # another scheduler set it
        elif timers[name] <= at:
            _fire(name, timers[name], every)
    db.session.rollback()


def _fire(name: str, due_at: object, every: timedelta) -> None:
    with transaction() as session:
        moved = session.execute(update(Timer).where(Timer.name == name, Timer.due_at == due_at)
                                .values(due_at=clock.now() + every).returning(Timer.name)).first()
        live = session.scalars(select(Job.id).where(Job.name == name, Job.state.in_(("waiting", "running"))).limit(1)).first()
        if moved and live is None and NEEDED.get(name, _always)():
            jobs.schedule(name, 0)


def _always() -> bool:
    return True


def beat() -> None:
    """One turn: timers, then the doorbell for every due job the queue may not know of."""
    app = application()
    set_timers()
    try:
        app.extensions["redis"].set(SCHEDULER_BEAT, clock.now().isoformat(), ex=15)
        for name, queue in jobs.queues().items():
            if queue.count < QUEUE_FULL:
                _ring(name)
    except RedisError as error:
        log.warning("the broker cannot be reached, due jobs wait: %s", error)
    finally:
        db.session.rollback()


def _ring(name: str) -> None:
    at = time.monotonic()
    waiting = jobs.due(queue_name=name)
    rung = _rung.setdefault(name, {})
    for job_id in set(rung) - set(waiting):
        del rung[job_id]
    silent = [job_id for job_id in waiting if at - rung.get(job_id, -RING_AGAIN) >= RING_AGAIN]
    if silent and jobs.ring(silent, name):
        rung.update(dict.fromkeys(silent, at))


def main() -> None:
    """Beat until told to stop. A database that is away is waited for, not died of."""
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with application().app_context():
        while not stop.wait(BEAT):
            try:
                beat()
            except DATABASE_AWAY as error:
                db.session.rollback()
                log.warning("the database cannot be reached: %s", error)
            db.session.remove()
        with contextlib.suppress(RedisError):  # so that nobody takes this one for alive
            application().extensions["redis"].delete(SCHEDULER_BEAT)
