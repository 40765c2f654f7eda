"""A released portal in a folder of its own, without servers: what a subject is measured in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from flask import Flask

from bench.measure import Options
from tests import services


@contextmanager
def released(folder: Path, options: Options) -> Iterator[Flask]:
    """The application on a fresh database with the demo parties: SQLite as the product sets it up, or PostgreSQL on a cluster
    of its own that syncs to disk as it does in production."""
    from app import create_app
    from app.extensions import db
    from config import load

    environ = {"MODE": "demo", "VAR_DIR": str(folder), "PORT": str(services.free_port())}
    with ExitStack() as stack:
        if options.postgres:
            environ["DATABASE_URL"] = stack.enter_context(services.postgres(durable=True))
        # In a process of its own, as a start does it: what a sample's fork inherits has asked nothing of storage or database.
        subprocess.run([sys.executable, "run.py", "release"], cwd=services.ROOT, env={**services.user_environment(), **environ},
                       check=True)
        app = create_app(load(environ))
        with app.app_context():
            db.engine.dispose()
        try:
            yield app
        finally:
            with app.app_context():
                db.session.remove()
                db.engine.dispose()
