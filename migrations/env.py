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
    context.configure(connection=connection, target_metadata=database.metadata, render_item=render_item,
                      **{**current_app.extensions["migrate"].configure_args, "compare_type": True})
    with context.begin_transaction():
        context.run_migrations()
