"""The process of the queue `ocr`: it sleeps small, wakes for a job, and falls back asleep when there is nothing to read.

Asleep it holds neither the application nor the reading engine, only an eye on the queue. Awake it is a worker that does not
fork, so that the engine is loaded once and stays between jobs; after some idle minutes it starts itself afresh, which is the
one sure way to give a gigabyte back. Killed in the middle of a job it loses nothing: the job's lease runs out, and the
scheduler rings again.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import NoReturn

from redis import Redis
from redis.exceptions import RedisError

from config import load

# As in app.jobs.OWN_QUEUE, which cannot be asked asleep; a test holds that they agree.
QUEUE = "ocr"
IDLE = 300
LOOK = 0.5
log = logging.getLogger("portal.reader")


def sleep_until_rung(connection: Redis) -> None:
    """Until the queue holds something. A broker that is away is waited for."""
    while True:
        try:
            if connection.llen(f"rq:queue:{QUEUE}"):
                return
        except RedisError as error:
            log.warning("the broker cannot be reached: %s", error)
            time.sleep(5)
        time.sleep(LOOK)


def work() -> bool:
    """Do jobs until idle or told to stop; whether it was told to."""
    from rq import SimpleWorker
    from rq.serializers import JSONSerializer

    import workers.jobs  # noqa: F401
    from workers.runtime import application

    class Reader(SimpleWorker):
        told_to_stop = False

        def request_stop(self, *args: object) -> None:
            self.told_to_stop = True
            super().request_stop(*args)

    app = application()
    worker = Reader([app.extensions["queues"][QUEUE]], connection=app.extensions["redis"], serializer=JSONSerializer, worker_ttl=30)
    worker.work(logging_level="WARNING", with_scheduler=False, max_idle_time=IDLE)
    return worker.told_to_stop


def main() -> None:
    """Sleep and work until told to stop."""
    settings = load()
    if settings.ocr != "on":
        raise SystemExit("OCR=off: there is nothing to run")
    os.setpriority(os.PRIO_PROCESS, 0, 10)  # it takes every core while it reads: pages go first
    with Redis.from_url(settings.redis_url, socket_connect_timeout=2) as connection:
        sleep_until_rung(connection)
    if not work():
        afresh()


def afresh() -> NoReturn:
    """Become a new, small process under the same number."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606
