"""Accounts: signing in under the right party, and passwords."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flask import current_app
from flask_appbuilder.security.sqla.models import User
from flask_babel import gettext as _
from sqlalchemy import select
from werkzeug.security import check_password_hash, generate_password_hash

from app import audit
from app.actors import Actor
from app.errors import Invalid
from app.extensions import db, transaction
from app.operations.checks import Findings
from models import Account

# Administrators have no tab of their own; they are the authority's colleagues and sign in there.
TABS = {"authority": ("authority", "administrator"), "institution": ("institution",), "enterprise": ("enterprise",)}


def sign_in(party: str, username: str, password: str, *, check: Callable[[str, str], Any]) -> Account | None:
    """The account of these credentials, if it belongs to the chosen party (X1); else None, without a reason.

    `check` is the security manager's own test of name and password; it spends the same time on an unknown name.
    """
    name = username.strip()
    user = check(name.upper() if party == "enterprise" else name, password)
    if user is None:
        return None
    account = db.session.get(Account, user.id)
    if account is None or account.party not in TABS.get(party, ()):
        return None
    return account


def check_new_password(password: str, field: str = "new") -> None:
    """At least 8 characters, of at least 3 of the classes lower, upper, digit, other. Raises `Invalid`."""
    classes = sum(bool(re.search(pattern, password)) for pattern in ("[a-z]", "[A-Z]", "[0-9]", "[^a-zA-Z0-9]"))
    if len(password) < 8 or classes < 3:
        raise Invalid(_("密码至少 8 位，并包含大写字母、小写字母、数字、符号中的三种。"), field)
    if len(password) > 128:
        raise Invalid(_("密码不能超过 128 位。"), field)


def hashed(password: str) -> str:
    """The hash FAB's own check understands."""
    return generate_password_hash(password, current_app.config["FAB_PASSWORD_HASH_METHOD"])


def change_password(user_id: int, current: str, new: str, again: str, *, actor: Actor) -> int:
    """Set one's own new password and end every other session (X3). Returns the new session version.

    Raises `InvalidFields`.
    """
    user = db.session.get_one(User, user_id)
    found = Findings()
    if not check_password_hash(user.password, current):
        found.add("current", _("当前密码不正确。"))
    elif new == current:
        found.add("new", _("新密码不能与当前密码相同。"))
    found.tried(lambda: check_new_password(new))
    if new != again:
        found.add("again", _("两次输入的新密码不一致。"))
    found.settle()
    secret = hashed(new)
    with transaction() as session:
        account = session.scalars(select(Account).where(Account.user_id == user_id).with_for_update()).one()
        user.password = secret
        account.must_change_password = False
        account.session_version += 1
        audit.record(actor, "change_password", "account", {"user_id": user_id})
    return account.session_version
