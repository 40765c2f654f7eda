"""Alembic, run by Flask-Migrate inside the application: `flask --app run db upgrade`, or the release step."""

from typing import Any

from alembic import context
from flask import current_app
from sqlalchemy.types import TypeDecorator

database = current_app.extensions["migrate"].db


def render_item(kind: str, item: Any, _context: Any) -> str | bool:
    """Write the portal's own column types as the plain types they are stored as: a migration must not change when the
    code does."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


with database.engine.connect() as connection:
    # SQLite changes a table by making it anew: while the old one goes, nothing that refers to it may be counted as broken, or
    # go with it. Outside a transaction, where alone the pragma has an effect.
    sqlite = connection.dialect.name == "sqlite"
    plain: Any = connection.connection.driver_connection
    if sqlite:
        plain.execute("PRAGMA foreign_keys=OFF")
    context.configure(connection=connection, target_metadata=database.metadata, render_item=render_item,
                      **{**current_app.extensions["migrate"].configure_args, "compare_type": True})
    with context.begin_transaction():
        context.run_migrations()
        if sqlite and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all()):
            raise RuntimeError(f"a migration has left rows that refer to nothing: {broken[:5]}")
    if sqlite:
        plain.execute("PRAGMA foreign_keys=ON")
