"""Changing the key that ID numbers and phones are sealed with, while the portal runs.

The new key becomes DATA_KEY, the old one goes to DATA_KEYS_OLD: from then on everything is sealed with the new key and opened
with either. `rotate` then seals what is left anew, part by part; when `remaining` is 0 the old key may go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask_appbuilder import Model
from sqlalchemy import Column, ColumnElement, LargeBinary, Table, and_, bindparam, func, select, type_coerce, update

from app import audit
from app.actors import SYSTEM
from app.crypto import Sealed, vault
from app.extensions import db, transaction

PART = 500


@dataclass(frozen=True)
class SealedColumn:
    """A column of sealed values, and the key by which its rows are told apart."""

    table: Table
    column: Column[str]

    def __str__(self) -> str:
        return f"{self.table.name}.{self.column.name}"

    @property
    def purpose(self) -> str:
        sealed = self.column.type
        assert isinstance(sealed, Sealed)
        return sealed.purpose


def sealed_columns() -> list[SealedColumn]:
    """Every sealed column of every table: read from the tables themselves, so that none is forgotten."""
    return [SealedColumn(table, column) for table in Model.metadata.sorted_tables for column in table.columns
            if isinstance(column.type, Sealed)]


def remaining() -> dict[str, int]:
    """How many values of each column are not under the present key."""
    counts = {}
    for each in sealed_columns():
        counts[str(each)] = db.session.scalar(select(func.count()).select_from(each.table).where(_old(each))) or 0
    db.session.rollback()
    return counts


def rotate(report: Callable[[str, int], None]) -> int:
    """Seal every value that is under an older key anew; answers how many. Each part is a transaction of its own and replaces a
    value only where it is still what was read, so that a person's change meanwhile stays. May be stopped and run again.
    Raises `ValueError` for a value whose key is not given, `InvalidTag` for one that was tampered with, and changes neither."""
    total = 0
    for each in sealed_columns():
        done = 0
        while part := _next_part(each):
            done += part
            report(str(each), done)
        total += done
    if total:
        with transaction():
            audit.record(SYSTEM, "rotate_keys", "sealed values", {"number": total})
    return total


def _raw(each: SealedColumn) -> Column[bytes]:
    """The column as the bytes that are stored."""
    return type_coerce(each.column, LargeBinary)  # type: ignore[return-value]


def _old(each: SealedColumn) -> ColumnElement[bool]:
    return and_(each.column.is_not(None), func.substr(_raw(each), 1, 1) != vault().mark)


def _next_part(each: SealedColumn) -> int:
    """Seal the next few values anew; how many were looked at."""
    keys, raw, here = list(each.table.primary_key.columns), _raw(each), vault()
    with transaction() as session:
        rows = session.execute(select(*keys, raw.label("was")).where(_old(each)).limit(PART)).all()
        if not rows:
            return 0
        fresh = [{**{f"key_{n}": row[n] for n in range(len(keys))}, "was": bytes(row.was),
                  "now": here.seal(here.open(bytes(row.was), each.purpose), each.purpose)} for row in rows]
        same = and_(*(key == bindparam(f"key_{n}") for n, key in enumerate(keys)),
                    raw == bindparam("was", type_=LargeBinary))
        statement = update(each.table).where(same).values({each.column: type_coerce(bindparam("now", type_=LargeBinary), LargeBinary)})
        session.connection().execute(statement, fresh)
    return len(rows)
