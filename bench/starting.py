"""`start`: the second `python run.py`, until /healthz says that all four parts are well.

Floor: a bare Flask view under gunicorn with the same processes and threads, until it answers. It has no database, broker,
worker or scheduler, and nothing can start sooner with this web server.
Counts: processes; stop_s, from SIGTERM until all are gone; peak_mb is the memory of all processes together (PSS).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import Counts, Options, Pair, Subject
from tests import home, services

BARE = """
import sys
from flask import Flask
from gunicorn.app.base import BaseApplication
class Bare(BaseApplication):
    def load_config(self):
        for name, value in dict(bind="127.0.0.1:" + sys.argv[1], workers=2, threads=4, worker_class="gthread", loglevel="warning",
                                preload_app=True, control_socket_disable=True).items():
            self.cfg.set(name, value)
    def load(self):
        app = Flask("bare")
        app.add_url_rule("/healthz", view_func=lambda: {"status": "ok"})
        return app
Bare().run()
"""


def _memory_mb(pids: list[int]) -> float:
    """Shared pages counted once, in parts (PSS)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


@contextmanager
def prepare(folder: Path, _options: Options) -> Iterator[Pair]:
    """One start before, which leaves the broker's data as well."""
    with services.portal(folder, **home.move_in(folder)):
        pass

    def ours() -> tuple[float, Counts]:
        began = time.perf_counter()
        with services.portal(folder, healthy=False) as portal:
            services.wait_for(lambda: services.answers(int(portal.environ["PORT"])), 60, "not healthy within a minute")
            took = time.perf_counter() - began
            pids = [portal.process.pid, *portal.pids()]
            memory = _memory_mb(pids)
            stopping = time.perf_counter()
            portal.stop()
            return took, {"processes": len(pids), "stop_s": time.perf_counter() - stopping, "peak_mb": memory}

    def floor() -> tuple[float, Counts]:
        port = services.free_port()
        began = time.perf_counter()
        with subprocess.Popen([sys.executable, "-c", BARE, str(port)], env=dict(os.environ)) as bare:
            services.wait_for(lambda: services.answers(port), 60, "not healthy within a minute")
            took = time.perf_counter() - began
            bare.terminate()
        return took, {}

    yield Pair(ours, floor)


SUBJECT = Subject("start", prepare)
