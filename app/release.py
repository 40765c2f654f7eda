"""The release step: everything that a new version or an empty machine needs before the portal may serve."""

from __future__ import annotations

from flask_migrate import upgrade

from app import create_app
from app.demo import load_demo
from app.dictionaries import load_dictionaries
from app.permissions import add_roles, sync_roles
from config import Settings


def release(settings: Settings) -> None:
    """Migrate, create FAB's permission rows, write the portal's roles, load dictionaries, and in a demonstration the
    demo parties. Safe to run again: what is there stays."""
    with create_app(settings).app_context():
        upgrade()
        add_roles()
    app = create_app(settings, update_permissions=True)
    with app.app_context():
        appbuilder = app.extensions["appbuilder"]
        appbuilder.add_permissions(update_perms=True)
        sync_roles(appbuilder)
        load_dictionaries()
        if not settings.production:
            load_demo()
