"""Accounts: passwords, and which sessions of a person go on."""

from __future__ import annotations

import re

from flask import current_app
from flask_appbuilder.security.sqla.models import User
from flask_babel import gettext as _
from sqlalchemy import select
from werkzeug.security import generate_password_hash

from app import audit
from app.actors import Actor
from app.errors import Conflict, Invalid
from app.extensions import db, transaction
from app.operations.checks import Findings
from app.operations.sign_ins import Origin, attempt_on, password_is
from models import Account


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


def end_other_sessions(account: Account) -> int:
    """Within the current transaction, end every session of an account. Answers the version with which this one goes on."""
    db.session.refresh(account, with_for_update={"of": Account})
    account.session_version += 1
    return account.session_version


def sign_out_elsewhere(account: Account, *, actor: Actor) -> int:
    """End the person's sessions on every other device. Answers the new session version."""
    with transaction():
        version = end_other_sessions(account)
        audit.record(actor, "sign_out_elsewhere", "account", {"user_id": account.user_id})
    return version


def change_password(account: Account, current: str, new: str, again: str, *, actor: Actor, origin: Origin) -> int:
    """Set one's own new password and end every other session (X3). Answers the new session version. A wrong current password
    counts towards the lock: an open screen is no place to guess at. Raises `InvalidFields`."""
    stored = db.session.scalar(select(User.password).where(User.id == account.user_id))
    right = password_is(stored, current)
    found = Findings()
    if not right:
        found.add("current", _wrong_password(account, origin))
    elif new == current:
        found.add("new", _("新密码不能与当前密码相同。"))
    found.tried(lambda: check_new_password(new))
    if new != again:
        found.add("again", _("两次输入的新密码不一致。"))
    found.settle()
    secret = hashed(new)
    with transaction() as session:
        attempt = attempt_on(account, origin)
        attempt.take_turn()
        version = end_other_sessions(account)
        user = session.get_one(User, account.user_id, populate_existing=True)
        if attempt.locked or user.password != stored:
            raise Conflict(_("密码暂时不能修改。请在 15 分钟后再试。"))
        user.password = secret
        account.must_change_password = False
        audit.record(actor, "change_password", "account", {"user_id": account.user_id})
    return version


def _wrong_password(account: Account, origin: Origin) -> str:
    with transaction():
        attempt = attempt_on(account, origin)
        attempt.take_turn()
        locked = attempt.locked
        attempt.record("locked" if locked else "wrong")
    return _("失败次数过多。请在 15 分钟后再试。") if locked else _("当前密码不正确。")
