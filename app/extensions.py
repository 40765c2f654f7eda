"""What the rooms share: the database, the queue, the gateways, and the one way to a transaction."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from flask import Flask, current_app, g, has_request_context, request
from flask_appbuilder import Model
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf.csrf import CSRFProtect
from redis.exceptions import RedisError
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from app.gateways import Gateways

log = logging.getLogger("portal")

# Alembic, create_all and FAB must speak of one set of tables.
db = SQLAlchemy(metadata=Model.metadata, session_options={"expire_on_commit": False})
migrate = Migrate()
csrf = CSRFProtect()
limiter = Limiter(key_func=get_remote_address)

# The database is away, being started again, or does not get round to it in time.
DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)

# What posts, but looks who it is and what it may before it takes the write lock by `will_write`: many wait for one plan's seats.
LOOK_FIRST = frozenset(("OrderView.add",))


def limit_left() -> int:
    """Seconds until every limit that this request ran into lets the next one through; a minute where nobody can say."""
    try:
        ends = [limit.reset_at for limit in limiter.current_limits if limit.breached]
    except RedisError:
        ends = []
    return max(1, math.ceil(max(ends) - time.time())) if ends else 60


def gateways() -> Gateways:
    """The clients of the outside systems, made once by the app factory."""
    return cast("Gateways", current_app.extensions["gateways"])


@contextmanager
def transaction() -> Iterator[Session]:
    """One unit of work: commits at the end of the outermost block, rolls everything back on any error.

    Functions queued with `after_commit` run once the outermost block has committed, and never if it has not.
    """
    session = cast(Session, db.session())
    depth: int = session.info.get("depth", 0)
    session.info["depth"] = depth + 1
    try:
        yield session
        if depth == 0:
            session.commit()
    except BaseException:
        if depth == 0:
            session.info.pop("after_commit", None)
            session.rollback()
        raise
    finally:
        session.info["depth"] = depth
    if depth == 0:
        for act in session.info.pop("after_commit", ()):
            act()


def after_commit(act: Callable[[], object]) -> None:
    """Run `act` after the current transaction has committed."""
    db.session().info.setdefault("after_commit", []).append(act)


def let_go() -> None:
    """End the transaction this thread is reading in, before it asks the outside world: nobody waits for a lock that a slow
    answer holds. Rows read before are read again when they are used. Not inside `transaction()`."""
    session = db.session()
    if session.info.get("depth", 0):
        raise RuntimeError("the outside world is not asked inside a transaction")
    session.rollback()


def leave_database(_error: BaseException | None = None) -> None:
    """End the session of a request or job. What was to be kept is committed by now: a connection that is lost only here takes
    nothing with it, and must not turn a good answer into a fault."""
    try:
        db.session.remove()
    except DATABASE_AWAY:
        log.warning("the database went away while a session was ended")
        db.session.registry.clear()


@contextmanager
def within(app: Flask) -> Iterator[Flask]:
    """An application beside the one that runs, for a while: its connections are closed afterwards, which nobody else would do."""
    try:
        with app.app_context():
            yield app
    finally:
        close(app)


def close(app: Flask) -> None:
    """Close the connections of an application that is done."""
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def will_write() -> None:
    """For the rare GET that writes (the way back from the pay page), and what posts yet looks first: from here on it takes the
    write lock first. Not inside `transaction()`."""
    g.writes = True
    let_go()


def _prepare_sqlite(engine: Engine) -> None:
    """WAL, foreign keys, and honest transactions: pysqlite's own BEGIN comes too late to prevent lost updates.

    A page that only reads begins deferred and never waits for a writer; everything else takes the write lock first, so
    that check-then-write cannot be overtaken.
    """

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reading = has_request_context() and not g.get("writes") and (
            request.method in ("GET", "HEAD", "OPTIONS") or request.endpoint in LOOK_FIRST)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def prepare_engine(engine: Engine) -> None:
    """Set up an engine for its back end, once."""
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
