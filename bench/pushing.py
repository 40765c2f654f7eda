"""`push`: 5,000 certificates go to a register that takes 50 ms for an answer and fails one call in ten.

Ours: the job's own call (`push.run_push`), again and again until all are there, over HTTP. Floor: the bound that the
register sets, so many calls times its latency by the calls that may be under way at once (`push_at_once`). Counts: rows, database, calls,
`duplicates` (taken in more than once) and `missing`, both of which must be 0.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from flask import Flask
from sqlalchemy import func, select, update

from bench import certifying
from bench.measure import Counts, Options, Pair, Subject
from bench.place import released

LATENCY_S = 0.05
FAIL_EVERY = 10


class Register(ThreadingHTTPServer):
    """A register that keeps numbers, says no to every tenth call, and does little else: the machine is for what is measured."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Call)
        self.guard, self.calls, self.taken = threading.Lock(), 0, Counter[str]()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Call(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Register

    def do_PUT(self) -> None:  # the server's own name for it
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(LATENCY_S)
        with self.server.guard:
            self.server.calls += 1
            good = self.server.calls % FAIL_EVERY != 0
            if good:
                self.server.taken[self.path.rsplit("/", 1)[-1]] += 1
        body = b'{"code":0,"message":"ok"}' if good else b'{"code":2001,"message":"busy"}'
        self.send_response(201 if good else 500)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_given: object) -> None:
        """Nothing: a line for each call would be part of what is measured."""


@contextmanager
def prepare(folder: Path, options: Options) -> Iterator[Pair]:
    """So many certificates that wait."""
    from app import parameters
    from app.extensions import db
    from app.operations import certificates

    rows = options.size or certifying.ROWS
    with released(folder / "var", options) as app:
        report_id, dialect = certifying.filled(app, rows)
        with app.app_context():
            certificates.run_issue(report_id, lambda _done, _total: None)
            at_once = parameters.number("push_at_once")
            db.session.remove()
            db.engine.dispose()
        bound = rows * FAIL_EVERY / (FAIL_EVERY - 1) * LATENCY_S / at_once
        yield Pair(lambda: _ours(app, rows), lambda: (bound, {}), {"rows": rows, "database": dialect, "at_once": at_once})


def _ours(app: Flask, rows: int) -> tuple[float, Counts]:
    from dataclasses import replace

    from app import clock
    from app.extensions import db, transaction
    from app.gateways.ministry import MinistryGateway
    from app.operations import push
    from models import Certificate

    register = Register()
    with app.app_context():
        app.extensions["gateways"] = replace(app.extensions["gateways"], ministry=MinistryGateway(register.url, "bench"))
        with transaction() as session:
            session.execute(update(Certificate).values(push_state="waiting", push_due_at=clock.now(), push_attempts=0, pushed_at=None))
        began = time.perf_counter()
        while db.session.scalar(select(func.count(Certificate.id)).where(Certificate.push_state != "pushed")):
            db.session.commit()
            push.run_push(0, lambda _done, _total: None)
            due = db.session.scalar(select(func.min(Certificate.push_due_at)).where(Certificate.push_state == "waiting"))
            db.session.commit()
            if due is not None:
                time.sleep(max(0.0, (due - clock.now()).total_seconds()))
        took = time.perf_counter() - began
    return took, {"calls": register.calls, "duplicates": sum(times > 1 for times in register.taken.values()),
                  "missing": rows - len(register.taken)}


SUBJECT = Subject("push", prepare)
