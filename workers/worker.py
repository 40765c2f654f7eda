"""The RQ worker: one queue per process, JSON only, the application loaded once before the forks."""

from __future__ import annotations

import logging
import signal
import time
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq import Worker
from rq.serializers import JSONSerializer

from app import WORKER_BEAT, clock
from app.extensions import db
from app.jobs import QUEUE
from workers.runtime import application
from workers.supervisor import die_with_parent

log = logging.getLogger("portal.worker")


class PortalWorker(Worker):
    """A worker whose jobs end with it, and share none of its connections. It is back soon after its broker."""

    max_connection_wait_time = 2.0

    def main_work_horse(self, *args: object, **kwargs: object) -> None:
        """In the forked child: RQ gives it a process group of its own, so it would outlive a killed worker and still write
        while its job is run again."""
        die_with_parent(signal.SIGKILL)
        with application().app_context():
            db.engine.dispose(close=False)
        super().main_work_horse(*args, **kwargs)  # type: ignore[arg-type]

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Beside RQ's own register, which an emptied broker forgets for good, a sign of life that comes back by itself."""
        super().heartbeat(timeout, pipeline)
        (pipeline if pipeline is not None else self.connection).set(WORKER_BEAT, clock.now().isoformat(), ex=60)


def wait_for_broker(connection: Redis) -> None:
    """Until it answers: RQ would give up, and starting anew again and again takes longer than waiting."""
    while True:
        try:
            connection.ping()
            return
        except RedisError as error:
            log.warning("the broker cannot be reached: %s", error)
            time.sleep(1)


def main() -> None:
    """Work until told to stop. Short time-outs, so that a killed worker is noticed within a minute."""
    app = application()
    import workers.jobs  # noqa: F401  # loaded before the forks: each child then starts at once

    wait_for_broker(app.extensions["redis"])

    worker = PortalWorker([app.extensions["queues"][QUEUE]], connection=app.extensions["redis"], serializer=JSONSerializer,
                          worker_ttl=30, job_monitoring_interval=2)
    worker.work(logging_level="WARNING", with_scheduler=False)
