"""The audit record. One row for each act that someone may have to answer for (docs/audit.md).

`record` writes it, `changed` says what a row was and becomes, `words` has the plain words for the screen, `chain` seals the
rows and proves that none was touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from sqlalchemy import LargeBinary, inspect, select
from sqlalchemy.orm import ColumnProperty, InstanceState, RelationshipDirection

from app import clock
from app.actors import Actor
from app.crypto import Sealed
from app.extensions import db
from app.identifiers import mask_id_number, mask_phone
from models import AuditEvent

HIDDEN = "***"
LONGEST = 300
_MASKS = {"id_number": mask_id_number, "phone": mask_phone}


def record(actor: Actor, verb: str, subject: Any, facts: dict[str, Any] | None = None) -> AuditEvent:
    """Add an audit row to the current transaction: it is kept exactly if the act is.

    `subject` is a row of a table, or a plain name where the act concerns none. `facts` holds what changed, never an ID
    number, phone or password in full.
    """
    named = isinstance(subject, str)
    event = AuditEvent(
        at=clock.now(), actor_id=actor.user_id, actor_name=actor.name, organisation=actor.organisation,
        address=actor.address, verb=verb, subject_kind=subject if named else subject.__tablename__,
        subject_id=None if named else getattr(subject, "id", None), facts=facts or {})
    db.session.add(event)
    return event


def changed(row: Any, *, without: Iterable[str] = ()) -> dict[str, list[Any]]:
    """What the plain columns of a row were and become, {"field": [before, after]}; of a new row everything it begins with.

    Call it before the change is flushed: the session forgets what was once it has written. Sealed columns are masked,
    passwords hidden, digests and the serial id left out.
    """
    state: InstanceState[Any] = inspect(row)
    found: dict[str, list[Any]] = {}
    for name, column in _columns(state, frozenset(without)).items():
        history = state.attrs[name].history
        if not history.has_changes():
            continue
        after = history.added[0] if history.added else None
        before = history.deleted[0] if history.deleted else _stored(state, name)
        if before != after:
            found[name] = [_shown(name, column, before), _shown(name, column, after)]
    return found | _referred(state, frozenset(without))


def _columns(state: InstanceState[Any], without: frozenset[str]) -> dict[str, Any]:
    """The plain columns by attribute: no serial id, and no digest, which would say something to nobody."""
    columns = {each.key: each.columns[0] for each in state.mapper.attrs if isinstance(each, ColumnProperty)}
    return {name: column for name, column in columns.items()
            if name not in without and name != "id" and not isinstance(column.type, LargeBinary)}


def _referred(state: InstanceState[Any], without: frozenset[str]) -> dict[str, list[Any]]:
    """Keys of other rows that were set through their relationship: the column itself follows only with the flush."""
    found = {}
    for relation in state.mapper.relationships:
        history = state.attrs[relation.key].history
        if relation.direction is not RelationshipDirection.MANYTOONE or not history.added or len(relation.local_remote_pairs or ()) != 1:
            continue
        local, remote = (relation.local_remote_pairs or [])[0]
        name = state.mapper.get_property_by_column(local).key
        other = history.added[0]
        after = getattr(other, inspect(other).mapper.get_property_by_column(remote).key) if other is not None else None
        before = state.attrs[name].value
        if before != after and name not in without:
            found[name] = [_shown(name, local, before), _shown(name, local, after)]
    return found


def _stored(state: InstanceState[Any], name: str) -> Any:
    """What stands in the database, where the row was changed before it had been read."""
    if not state.persistent:
        return None
    key = [column == value for column, value in zip(state.mapper.primary_key, state.identity or (), strict=True)]
    with db.session.no_autoflush:
        return db.session.scalar(select(getattr(state.class_, name)).where(*key))


def _shown(name: str, column: Any, value: Any) -> Any:
    """A value as it may stand in the record."""
    if value in (None, ""):
        return value
    if isinstance(column.type, Sealed):
        mask = _MASKS.get(column.type.purpose)
        return mask(value) if mask else HIDDEN
    if "password" in name or "secret" in name:
        return HIDDEN
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, bool | int | float) else str(value)[:LONGEST]
