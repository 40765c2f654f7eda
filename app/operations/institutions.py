"""Institutions and their accounts, made and kept by their authority (I1, A1)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from flask_appbuilder.security.sqla.models import Role, User
from flask_babel import gettext as _
from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from app import audit, clock, scope
from app.actors import Actor
from app.errors import Forbidden, Invalid, InvalidFields
from app.extensions import db, transaction
from app.operations.accounts import hashed
from app.operations.checks import Findings, checked_uscc
from app.operations.filing_checks import checked_short_name, taken
from app.operations.filings import beginning
from app.operations.sign_ins import lift_lock
from app.permissions import INSTITUTION
from models import Account, Authority, Institution

_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz"
MOST_ACCOUNTS = 20


def issued_password() -> str:
    """A password to be read out once and changed at first sign-in: letters, digits and a sign, nothing to mistake."""
    letters = "".join(secrets.choice(_LETTERS) for _each in range(6))
    return f"{letters.capitalize()}-{secrets.randbelow(9000) + 1000}a"


@dataclass(frozen=True)
class NewInstitution:
    """What an authority types to open an institution's account."""

    username: str
    name: str
    short_name: str
    uscc: str


def _check_username(text: str, found: Findings) -> None:
    if not re.fullmatch("[a-z][a-z0-9_]{2,29}", text):
        found.add("username", _("用户名为 3 至 30 位小写字母、数字或下划线，以字母开头。"))
    elif db.session.scalars(select(User.id).where(User.username == text)).first():
        found.add("username", _("这个用户名已被使用，请换一个。"))


def create(given: NewInstitution, *, actor: Actor) -> tuple[Institution, str]:
    """Open an institution under the actor's authority. Answers the row and the password to hand over, shown once.

    Raises `InvalidFields` for a name, short name, code or user name that is wrong or taken.
    """
    if actor.authority_id is None:
        raise Forbidden(_("只有主管部门可以开通培训机构。"))
    own = select(Authority.id).where(Authority.id == actor.authority_id, scope.authorities(actor))
    if db.session.scalar(own) is None:
        raise Forbidden(_("您的角色限于部分地区，不能以本单位名义开通培训机构。"))
    found = Findings()
    uscc = found.tried(lambda: checked_uscc(given.uscc)) or ""
    found.tried(lambda: checked_short_name(given.short_name))
    _check_username(given.username, found)
    unique = {"name": given.name, "short_name": given.short_name, "uscc": uscc}
    for name, message in taken({name: text for name, text in unique.items() if name not in found}, None).items():
        found.add(name, message)
    found.settle()
    return _insert(given, uscc, actor.authority_id, actor)


def _insert(given: NewInstitution, uscc: str, authority_id: int, actor: Actor) -> tuple[Institution, str]:
    password = issued_password()
    secret = hashed(password)
    try:
        with transaction() as session:
            row = Institution(name=given.name, short_name=given.short_name, uscc=uscc, authority_id=authority_id,
                              created_at=clock.now())
            session.add(row)
            session.flush()
            session.add(beginning(row))
            _open(row, given.username, given.name, secret)
            audit.record(actor, "create_institution", row, {"username": given.username})
    except IntegrityError:
        raise InvalidFields({"name": _("名称、简称、代码或用户名刚被别人使用，请核对。")}, _("未能开通。")) from None
    return row, password


def _open(row: Institution, username: str, person: str, secret: str) -> Account:
    """An account of the institution, with a password that must be changed at first sign-in; in the current transaction."""
    role = db.session.scalars(select(Role).where(Role.name == INSTITUTION)).one()
    user = User(username=username, first_name=person[:60], last_name="", email=f"{username}@institution.invalid", active=True,
                password=secret, roles=[role])
    account = Account(user=user, party="institution", institution_id=row.id, must_change_password=True)
    db.session.add_all((user, account))
    db.session.flush()
    return account


def accounts_of(row: Institution) -> list[Account]:
    """The accounts of an institution, the oldest first."""
    return list(db.session.scalars(select(Account).where(Account.institution_id == row.id).order_by(Account.user_id)
                                   .options(joinedload(Account.user))).unique())


def _manage(row: Institution, actor: Actor) -> None:
    """The accounts are kept by the authority that made them and by no other (I1)."""
    if actor.authority_id is None or actor.authority_id != row.authority_id:
        raise Forbidden(_("只有该机构的主管部门可以管理其帐号。"))


def _reason(text: str) -> str:
    reason = text.strip()
    if not reason:
        raise Invalid(_("请填写原因，将记入操作记录。"), "remark")
    if len(reason) > 500:
        raise Invalid(_("原因不能超过 500 个字。"), "remark")
    return reason


def add_account(row: Institution, username: str, person: str, *, actor: Actor) -> tuple[Account, str]:
    """Another account of the institution, for a colleague. Answers it and its issued password, shown once."""
    _manage(row, actor)
    found = Findings()
    if not person.strip():
        found.add("person", _("请填写使用人姓名。"))
    _check_username(username, found)
    found.settle()
    if len(accounts_of(row)) >= MOST_ACCOUNTS:
        raise Invalid(_("每个机构最多开通 %(n)s 个帐号。", n=MOST_ACCOUNTS), "username")
    password = issued_password()
    secret = hashed(password)
    try:
        with transaction():
            account = _open(row, username, person.strip(), secret)
            audit.record(actor, "add_account", row, {"username": username})
    except IntegrityError:
        raise InvalidFields({"username": _("这个用户名已被使用，请换一个。")}, _("未能开通。")) from None
    return account, password


def reset_password(row: Institution, account: Account, reason: str, *, actor: Actor) -> str:
    """A fresh issued password; every session of the account ends, and the next sign-in must change it (A1)."""
    _manage(row, actor)
    reason = _reason(reason)
    password = issued_password()
    secret = hashed(password)
    with transaction() as session:
        session.execute(update(User).where(User.id == account.user_id).values(password=secret, fail_login_count=0))
        account.must_change_password = True
        account.session_version = Account.session_version + 1
        lift_lock(account, address=actor.address)
        audit.record(actor, "reset_password", row, {"username": account.user.username, "reason": reason})
    return password


def set_enabled(row: Institution, accounts: Sequence[Account], enabled: bool, reason: str, *, actor: Actor) -> int:
    """Disable or enable accounts of an institution, one or all; disabling ends their sessions at once. What was approved
    stays. Answers how many were changed."""
    _manage(row, actor)
    reason = _reason(reason)
    changed = [each for each in accounts if each.user.active != enabled]
    with transaction() as session:
        session.execute(update(User).where(User.id.in_([each.user_id for each in changed])).values(active=enabled))
        for account in changed:
            account.session_version = Account.session_version + 1
            audit.record(actor, "enable_account" if enabled else "disable_account", row,
                         {"username": account.user.username, "reason": reason, "changed": {"active": [not enabled, enabled]}})
    return len(changed)


def with_account(clause: ColumnElement[bool]) -> ColumnElement[bool]:
    """Institutions that have an account of which `clause` (on `User`) is true."""
    return exists().where(Account.institution_id == Institution.id, Account.user_id == User.id, clause)


def disabled() -> ColumnElement[bool]:
    """Institutions nobody of whom can sign in."""
    return ~with_account(User.active.is_(True))
