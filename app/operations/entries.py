"""The versions of a dictionary's rows: each change is an audit event with what was before and after, and can be brought back (B7)."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from sqlalchemy import inspect, select

from app import audit
from app.actors import Actor
from app.errors import Invalid, NotFound
from app.extensions import db, transaction
from models import AuditEvent, Education, Occupation, Parameter, Region, Remark, SkillLevel, Title

DICTIONARIES: dict[str, type[Any]] = {model.__tablename__: model for model in (
    Region, Occupation, SkillLevel, Title, Education, Remark, Parameter)}
# What a version may bring back. The code of a row is what others refer to, and never changes.
RESTORED = frozenset(("name", "position", "enabled", "value", "subject_kind"))


def key_of(row: Any) -> str:
    """By what a row is known for good: its code, or a parameter's name."""
    return str(getattr(row, "code", None) or row.key)


def row_of(dictionary: str, key: str) -> Any:
    """A dictionary's row by its key, or `NotFound`."""
    model = DICTIONARIES.get(dictionary)
    column = getattr(model, "code", None) or getattr(model, "key", None)
    row = db.session.scalars(select(model).where(column == key)).first() if model is not None and column is not None else None
    if row is None:
        raise NotFound(_("没有找到这条记录，或您无权查看。"))
    return row


def versions(dictionary: str, key: str) -> list[AuditEvent]:
    """The changes of one row, the newest first."""
    return list(db.session.scalars(
        select(AuditEvent).where(AuditEvent.subject_kind == dictionary, AuditEvent.facts["key"].as_string() == key)
        .order_by(AuditEvent.id.desc())))


def record(row: Any, *, actor: Actor, created: bool, levels: tuple[list[str], list[str]] | None = None) -> None:
    """Write down a change of a row that is not flushed yet, in the transaction of the change."""
    changes = audit.changed(row)
    if levels is not None and levels[0] != levels[1]:
        changes["levels"] = [list(each) for each in levels]
    if changes or created:
        audit.record(actor, "add_entry" if created else "change_entry", row.__tablename__, {"key": key_of(row), "changed": changes})


def restore(dictionary: str, key: str, event_id: int, *, actor: Actor) -> Any:
    """Bring back what a row was before one of its changes, as a new change. Raises `NotFound` for an event that is none of this
    row's, `Invalid` where there is nothing to bring back."""
    event = next((each for each in versions(dictionary, key) if each.id == event_id), None)
    if event is None:
        raise NotFound(_("没有找到这条记录，或您无权查看。"))
    before = {name: pair[0] for name, pair in event.facts.get("changed", {}).items() if name in RESTORED and pair[0] is not None}
    if event.verb == "add_entry" or not before:
        raise Invalid(_("这一版本没有可以恢复的内容。"))
    with transaction() as session:
        row = row_of(dictionary, key)
        session.refresh(row, with_for_update={"of": type(row)})
        for name, value in before.items():
            setattr(row, name, type(getattr(row, name))(value) if not isinstance(value, bool) else value)
        if inspect(row).modified:
            record(row, actor=actor, created=False)
    return row
