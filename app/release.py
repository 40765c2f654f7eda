"""The release step: everything that a new version or an empty machine needs before the portal may serve."""

from __future__ import annotations

from flask_appbuilder.security.sqla.models import User
from flask_migrate import upgrade
from sqlalchemy import select
from werkzeug.security import check_password_hash

from app import create_app
from app.audit import chain
from app.demo import ACCOUNTS, PASSWORD, load_demo
from app.dictionaries import load_dictionaries
from app.extensions import db, within
from app.operations import merchants
from app.permissions import add_roles, sync_roles
from config import Settings


class DemoAccountsLeft(Exception):
    """A database that was a demonstration's is about to serve in production with passwords that everyone knows."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(
            "refused: these accounts are active and still have the demonstration's published password: " + ", ".join(names) + ".\n"
            "Nothing is served in production while they exist. Either set DATABASE_URL to a database of its own (a demonstration's\n"
            "data is not meant to be kept), or start once more with MODE=demo, sign in as admin, and give each of them a new password or\n"
            "disable it under 系统 > 帐号. Then run  python run.py release  again.")


def _refuse_demo_accounts() -> None:
    names = db.session.execute(select(User.username, User.password).where(
        User.username.in_([entry.username for entry in ACCOUNTS]), User.active.is_(True)).order_by(User.username)).all()
    left = [name for name, secret in names if check_password_hash(secret or "", PASSWORD)]
    db.session.rollback()
    if left:
        raise DemoAccountsLeft(left)


def release(settings: Settings) -> None:
    """Migrate, create FAB's permission rows, write the portal's roles, load dictionaries, and in a demonstration the
    demo parties. Safe to run again: what is there stays. Raises `DemoAccountsLeft` in production."""
    with within(create_app(settings)):
        upgrade()
        if settings.production:
            _refuse_demo_accounts()
        add_roles()
    with within(create_app(settings, update_permissions=True)) as app:
        appbuilder = app.extensions["appbuilder"]
        appbuilder.add_permissions(update_perms=True)
        sync_roles(appbuilder)
        load_dictionaries()
        merchants.sync_default(settings.alipay_app_id, settings.alipay_seller_id, settings.alipay_private_key,
                               settings.alipay_public_key)
        if not settings.production:
            load_demo()
        chain.seal()  # what the release itself has on record, so that the first start after it finds nothing to do
