"""`lookup`: the public page of one certificate among 1,000,000, by its QR address, against an empty page of the same server.

Ours: GET /c/<number> of certificates drawn at random, through gunicorn as the product runs it (two processes of four threads), the
rate limit counting each visitor. Floor: a view added to the same server that answers an empty page in the portal's public frame,
behind the same hooks. Both are asked by two processes of four kept connections each, for `requests` requests.
Seconds are those of all requests. Counts: certificates, requests, requests_per_s (ours); peak_mb is all of the server.
Only certificates are filled in: the look-up reads no person, exam or report, so references to them are not kept here.
"""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, text

from bench.measure import Counts, Options, Pair, Subject
from bench.place import released
from tests import services

CERTIFICATES = 1_000_000
REQUESTS = 2_000
CLIENTS, CONNECTIONS = 2, 4
FIRST = 10_000_000
SERVER = """
import sys
from flask import render_template_string
from config import load
from workers.web import Web
class Measured(Web):
    def load(self):
        app = super().load()
        app.add_url_rule("/empty", view_func=lambda: render_template_string('{% extends "portal/public.html" %}'))
        return app
Measured(load()).run()
"""


def number_of(n: int) -> str:
    """The n-th certificate's number, of the form the portal gives out."""
    return f"3320260203{n:07d}"


def fill(certificates: int) -> None:
    """That many certificates of one kind, each with a person of its own. Needs an application context."""
    from app.extensions import db
    from app.operations.certificates import run_issue
    from models import Certificate
    from tests.factory import Factory

    run_issue(Factory().report(people=1).id, lambda _done, _total: None)
    table, postgres = Certificate.__table__, db.engine.dialect.name == "postgresql"
    with db.engine.connect() as connection:
        bare: Any = connection.connection.driver_connection
        bare.execute("SET session_replication_role = replica" if postgres else "PRAGMA foreign_keys = OFF")
        bare.commit()
        like = dict(connection.execute(select(table)).mappings().one())
        for start in range(0, certificates, 20_000):
            connection.execute(insert(table), [
                {**like, "id": FIRST + n, "number": number_of(n), "enrolment_id": FIRST + n, "sitting_id": FIRST + n,
                 "id_number_index": (FIRST + n).to_bytes(16, "big"), "name": f"王{chr(0x4E00 + n % 5000)}"}
                for n in range(start, min(start + 20_000, certificates))])
        connection.commit()
        connection.execute(text("ANALYZE"))
        connection.commit()


@contextmanager
def served(settings: Any) -> Iterator[int]:
    """The product's web server with the empty page, and the broker the limits are counted in; its port."""
    from workers.broker import embedded_broker

    broker = embedded_broker(settings.var_dir)
    port = services.free_port()
    environ = {**services.user_environment(), "MODE": "demo", "VAR_DIR": str(settings.var_dir), "PORT": str(port),
               "DATABASE_URL": settings.database_url, "REDIS_URL": broker.url, "TRUSTED_PROXIES": "1"}
    quiet: dict[str, Any] = {"env": environ, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": services.ROOT}
    store = subprocess.Popen(broker.command, **quiet)
    server = subprocess.Popen([sys.executable, "-c", SERVER], **quiet)
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.1)
        yield port
    finally:
        for process in (server, store):
            process.terminate()
            process.wait(20)


def _memory(port: int) -> float:
    """Megabytes of the server's processes together, shared pages counted once."""
    found = 0
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"PORT={port}".encode() in (entry / "environ").read_bytes().split(b"\0") and b"python" in (entry / "cmdline").read_bytes():
                found += int(re.findall(rb"^Pss:\s+(\d+)", (entry / "smaps_rollup").read_bytes(), re.MULTILINE)[0])
    return found / 1024


def _one(line: socket.socket, path: str, visitor: int) -> None:
    """One request on a kept connection; its answer is read whole and must be 200."""
    address = ".".join(str(visitor >> shift & 255) for shift in (24, 16, 8, 0))
    line.sendall(f"GET {path} HTTP/1.1\r\nHost: portal\r\nX-Forwarded-For: {address}\r\nAccept: text/html\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += line.recv(65536)
    head, _blank, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head[:16], head[:200]
    length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
    while len(body) < length:
        body += line.recv(65536)


def _client(port: int, paths: list[str], seed: int) -> None:
    """Ask for each path once, over several kept connections, as another visitor each time."""
    def run(share: list[str], first: int) -> None:
        line = socket.create_connection(("127.0.0.1", port), timeout=60)
        for n, path in enumerate(share):
            _one(line, path, first + n)
        line.close()

    threads = [threading.Thread(target=run, args=(paths[n::CONNECTIONS], seed * 1_000_000 + n * 100_000)) for n in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def asked(port: int, paths: list[str]) -> float:
    """Seconds until two processes have asked for all of it."""
    seed = random.randrange(1, 4000)
    began = time.perf_counter()
    children = []
    for n in range(CLIENTS):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _client(port, paths[n::CLIENTS], seed + n)
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    for pid in children:
        if os.waitpid(pid, 0)[1]:
            raise SystemExit("the server did not answer every request with 200")
    return time.perf_counter() - began


@contextmanager
def prepare(folder: Path, options: Options) -> Iterator[Pair]:
    """The certificates, and one server that both sides are asked of."""
    from app.extensions import db

    certificates = options.size or CERTIFICATES
    requests = REQUESTS if certificates >= 1000 else 80
    with released(folder / "var", options) as app:
        with app.app_context():
            fill(certificates)
            dialect = db.engine.dialect.name
            db.engine.dispose()
        with served(app.extensions["settings"]) as port:
            asked(port, [f"/c/{number_of(0)}", "/empty"] * 20)

            def ours() -> tuple[float, Counts]:
                took = asked(port, [f"/c/{number_of(random.randrange(certificates))}" for _each in range(requests)])
                return took, {"requests_per_s": round(requests / took, 1), "peak_mb": round(_memory(port), 1)}

            def floor() -> tuple[float, Counts]:
                return asked(port, ["/empty"] * requests), {}

            yield Pair(ours, floor, {"certificates": certificates, "requests": requests, "database": dialect})


SUBJECT = Subject("lookup", prepare)
