"""A released portal in a folder of its own, without servers: what a subject is measured in."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from flask import Flask

from bench.measure import Options
from tests import home, services

_running = ExitStack()


@cache
def _server() -> str:
    """The PostgreSQL of this run, which syncs to disk as in production."""
    atexit.register(_running.close)
    return _running.enter_context(services.postgres(durable=True))


def make_ready(options: Options) -> None:
    """What all rows begin with, made once: the release, and the server where there is one."""
    home.make(_server() if options.postgres else "")


@contextmanager
def released(folder: Path, options: Options) -> Iterator[Flask]:
    """The application on a fresh database with the demo parties: SQLite as the product sets it up, or PostgreSQL."""
    from app import create_app
    from app.extensions import close
    from config import load

    environ = {"MODE": "demo", "VAR_DIR": str(folder), "PORT": str(services.free_port()), "SIGNING_TIMESTAMP_URL": "none",
               **home.move_in(folder, _server() if options.postgres else "", f"portal_{folder.parent.name}_{folder.name}")}
    app = create_app(load(environ))
    try:
        yield app
    finally:
        close(app)
