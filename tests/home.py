"""A portal that has been released and never started, made once in each process. Who needs a portal of its own moves into a copy,
which takes a tenth of a second where the release step takes ten."""

from __future__ import annotations

import atexit
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from config import load
from tests import services
from workers import stamp

COPIED = ("secrets.json", "standins")

_homes: dict[str, Path] = {}


def make(server: str = "") -> Path:
    """VAR_DIR of the release. Its database is in it, or on a PostgreSQL `server`, as `_template` names it."""
    if server not in _homes:
        _homes[server] = _released(server)
    return _homes[server]


def _released(server: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="portal-home-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if server:
        _on(server, f'CREATE DATABASE "{_template(folder)}" TEMPLATE template0 ENCODING \'UTF8\'')
    # In a process of its own, as a start does it: what a fork of this one inherits has asked nothing of storage or database.
    ran = subprocess.run([sys.executable, "run.py", "release"], cwd=services.ROOT, capture_output=True, text=True, check=False,
                         env={**services.user_environment(), "VAR_DIR": str(folder), "DATABASE_URL": _url(server, _template(folder))})
    assert ran.returncode == 0, ran.stderr
    if not server:
        with sqlite3.connect(folder / "portal.db") as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    return folder


def _template(folder: Path) -> str:
    return folder.name.replace("-", "_")


def _url(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False) if server else ""


def _on(server: str, *statements: str) -> None:
    engine = create_engine(make_url(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def leave(server: str) -> None:
    """Take the released database off a server that may go on after this process."""
    if server and (folder := _homes.pop(server, None)):
        _on(server, f'DROP DATABASE IF EXISTS "{_template(folder)}" WITH (FORCE)')


def move_in(var_dir: Path, server: str = "", name: str = "") -> dict[str, str]:
    """Make `var_dir` what a release leaves, its database in it or, as `name`, on a PostgreSQL `server`. Answers what the
    portal's environment needs for that beside VAR_DIR."""
    home = make(server)
    var_dir.mkdir(parents=True, exist_ok=True)
    for each in COPIED:
        (shutil.copytree if (home / each).is_dir() else shutil.copy2)(home / each, var_dir / each)
    environ = {}
    if server:
        _on(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}" TEMPLATE "{_template(home)}"')
        environ["DATABASE_URL"] = _url(server, name)
    else:
        shutil.copyfile(home / "portal.db", var_dir / "portal.db")
    stamp.write(load({"VAR_DIR": str(var_dir), **environ}), json.loads((home / "released.json").read_text(encoding="utf-8"))["accounts"])
    return environ
