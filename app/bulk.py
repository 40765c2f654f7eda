"""Thousands of rows into one table in the current transaction: COPY on PostgreSQL, one prepared INSERT on SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.orm import Session


def load(session: Session, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, ready: Sequence[str] = ()) -> None:
    """Add rows to `table`; the values of a row stand in the order of `columns`.

    The database sees to its keys, constraints and defaults as ever; the session's objects are not told. Columns in `ready`
    are already in the form they are kept in (sealed in bulk, say); the others are bound as their types say.
    """
    connection = session.connection()
    bind = _binder(session, table, columns, ready)
    names = ", ".join(columns)
    if connection.dialect.name == "postgresql":
        raw: Any = connection.connection.driver_connection
        with raw.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(bind(row))
        return
    marks = ", ".join("?" * len(columns))
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({marks})",  # noqa: S608  names of our own tables
                               [tuple(bind(row)) for row in rows])


def _binder(session: Session, table: Table, columns: Sequence[str], ready: Sequence[str]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """How the values of a row become those the driver takes; nothing is done where nothing has to be."""
    dialect = session.connection().dialect
    found = []
    for at, name in enumerate(columns):
        process = None if name in ready else table.c[name].type.dialect_impl(dialect).bind_processor(dialect)
        if process is not None:
            found.append((at, process))

    def bind(row: Sequence[Any]) -> Sequence[Any]:
        values = list(row)
        for at, process in found:
            values[at] = process(values[at])
        return values

    return bind if found else lambda row: row
