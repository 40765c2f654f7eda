"""/healthz: whether each part of the portal does its work, for supervisors and load balancers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import current_app, jsonify
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app import SCHEDULER_BEAT, WORKER_BEAT, clock
from app.extensions import db, limiter
from config import VERSION
from views.base import PortalView, public_page

STALE = 40


class HealthView(PortalView):
    """Says for each part ok, or the reason; 503 when one is down."""

    route_base = "/healthz"
    default_view = "health"

    @public_page("")
    @limiter.exempt
    def health(self) -> Any:
        parts = {"database": _database(), "redis": _redis(), "worker": _worker(), "scheduler": _scheduler()}
        well = all(state == "ok" for state in parts.values())
        return jsonify(status="ok" if well else "down", version=VERSION, **parts), 200 if well else 503


def _connection() -> Redis | None:
    found: Redis | None = current_app.extensions.get("redis")
    return found


def _database() -> str:
    try:
        db.session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        db.session.rollback()
        return f"cannot be reached: {type(error).__name__}"
    return "ok"


def _redis() -> str:
    connection = _connection()
    try:
        return "ok" if connection is not None and connection.ping() else "REDIS_URL is not set"
    except RedisError as error:
        return f"cannot be reached: {type(error).__name__}"


def _worker() -> str:
    return _beating(WORKER_BEAT, "worker")


def _scheduler() -> str:
    return _beating(SCHEDULER_BEAT, "scheduler")


def _beating(key: str, part: str) -> str:
    """Whether a part has shown itself lately, by the moment it left in the broker."""
    connection = _connection()
    try:
        beat: Any = connection.get(key) if connection is not None else None
    except RedisError:
        return "unknown while redis is away"
    if beat is None or (clock.now() - datetime.fromisoformat(beat.decode())).total_seconds() > STALE:
        return f"no {part} has shown itself lately"
    return "ok"
