"""The audit record. One row for each act that someone may have to answer for."""

from __future__ import annotations

from typing import Any

from app import clock
from app.actors import Actor
from app.extensions import db
from models import AuditEvent


def record(actor: Actor, verb: str, subject: Any, facts: dict[str, Any] | None = None) -> None:
    """Add an audit row to the current transaction: it is kept exactly if the act is.

    `subject` is a row of a table, or a plain name where the act concerns none. `facts` holds what changed, never an ID
    number, phone or password in full.
    """
    named = isinstance(subject, str)
    db.session.add(AuditEvent(
        at=clock.now(), actor_id=actor.user_id, actor_name=actor.name, organisation=actor.organisation,
        address=actor.address, verb=verb, subject_kind=subject if named else subject.__tablename__,
        subject_id=None if named else getattr(subject, "id", None), facts=facts or {}))
