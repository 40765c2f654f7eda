"""帐号: the administrator makes the accounts of the authorities' people and of administrators (B9)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask_appbuilder.security.sqla.models import Role, User
from flask_babel import gettext as _
from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.exc import IntegrityError

from app import audit
from app.actors import Actor
from app.errors import Conflict, InvalidFields
from app.extensions import db, transaction
from app.operations.accounts import hashed
from app.operations.checks import Findings
from app.operations.institutions import issued_password
from app.operations.phone_codes import checked_phone
from app.operations.roles import giveable, only_administrators
from app.operations.sign_ins import lift_lock
from app.permissions import ADMIN
from models import Account, Authority

PARTIES = ("authority", "administrator")


@dataclass(frozen=True)
class StaffForm:
    """Who the person is, and what they may do. An administrator has no authority and no other role."""

    party: str
    name: str
    phone: str
    authority_id: int | None = None
    role_ids: tuple[int, ...] = ()


def is_staff() -> ColumnElement[bool]:
    """The accounts that are made here."""
    return or_(Account.party == "authority", Account.party == "administrator")


def create(given: StaffForm, username: str, *, actor: Actor) -> tuple[Account, str]:
    """Make an account. Answers it with the password to hand over, shown once. Raises `InvalidFields`."""
    only_administrators(actor)
    found = Findings()
    if not re.fullmatch("[a-z][a-z0-9_]{2,29}", username):
        found.add("username", _("用户名为 3 至 30 位小写字母、数字或下划线，以字母开头。"))
    elif db.session.scalars(select(User.id).where(User.username == username)).first():
        found.add("username", _("这个用户名已被使用，请换一个。"))
    phone, roles = _checked(given, found, actor)
    password = issued_password()
    secret = hashed(password)
    try:
        with transaction() as session:
            user = User(username=username, first_name=given.name.strip(), last_name="", email=f"{username}@{given.party}.invalid",
                        active=True, password=secret, roles=roles)
            session.add(user)
            session.flush()
            account = Account(user=user, party=given.party, authority_id=_authority(given), must_change_password=True, phone=phone)
            session.add(account)
            audit.record(actor, "create_account", "account", {"user_id": user.id, "username": username, "roles": _names(roles)})
    except IntegrityError:
        raise InvalidFields({"username": _("这个用户名已被使用，请换一个。")}, _("未能开通。")) from None
    return account, password


def change(account: Account, given: StaffForm, *, actor: Actor) -> None:
    """Another name, phone, authority or other roles. What the person may do changes with their next page."""
    only_administrators(actor)
    found = Findings()
    phone, roles = _checked(given, found, actor)
    with transaction() as session:
        session.refresh(account, with_for_update={"of": Account})
        if given.party != account.party:
            raise Conflict(_("帐号的身份不能更改，请另开一个帐号。"))
        before = {"name": account.user.first_name, "roles": _names(account.user.roles)}
        account.user.first_name, account.phone, account.authority_id = given.name.strip(), phone, _authority(given)
        account.user.roles = roles
        after = {"name": given.name.strip(), "roles": _names(roles)}
        audit.record(actor, "change_account", "account", {"user_id": account.user_id, "changed": audit.changed(account) | {
            key: [before[key], each] for key, each in after.items() if before[key] != each}})


def reset_password(account: Account, *, actor: Actor) -> str:
    """A fresh issued password; every session of the person ends, and the next sign-in must change it."""
    only_administrators(actor)
    if account.user_id == actor.user_id:
        raise Conflict(_("请在“修改密码”中修改自己的密码。"))
    password = issued_password()
    secret = hashed(password)
    with transaction() as session:
        session.execute(update(User).where(User.id == account.user_id).values(password=secret, fail_login_count=0))
        account.must_change_password = True
        account.session_version = Account.session_version + 1
        lift_lock(account, address=actor.address)
        audit.record(actor, "reset_password", "account", {"user_id": account.user_id})
    return password


def set_enabled(account: Account, enabled: bool, *, actor: Actor) -> None:
    """Disable or enable an account; disabling ends its sessions at once. Nobody locks out themselves or the last administrator."""
    only_administrators(actor)
    if account.user_id == actor.user_id:
        raise Conflict(_("不能停用自己的帐号。"))
    with transaction() as session:
        if not enabled and account.party == "administrator" and not _others_active(account):
            raise Conflict(_("这是最后一个可用的管理员帐号，不能停用。"))
        session.execute(update(User).where(User.id == account.user_id).values(active=enabled))
        account.session_version = Account.session_version + 1
        audit.record(actor, "enable_account" if enabled else "disable_account", "account", {"user_id": account.user_id})
    session.expire(account)


def _others_active(account: Account) -> bool:
    """Whether another administrator may still sign in. The rows are locked, so that no two are disabled at once."""
    every = db.session.scalars(select(Account.user_id).where(Account.party == "administrator").order_by(Account.user_id).with_for_update())
    others = [user_id for user_id in every if user_id != account.user_id]
    return db.session.scalars(select(User.id).where(User.id.in_(others), User.active.is_(True))).first() is not None


def _checked(given: StaffForm, found: Findings, actor: Actor) -> tuple[str | None, list[Role]]:
    """The phone and the roles of what was typed; raises `InvalidFields` with all that is wrong."""
    if given.party not in PARTIES:
        found.add("party", _("请选择身份。"))
    if not given.name.strip():
        found.add("name", _("请填写姓名。"))
    phone = found.tried(lambda: checked_phone(given.phone)) if given.phone.strip() else None
    if given.party == "administrator":
        roles = list(db.session.scalars(select(Role).where(Role.name == ADMIN)))
    else:
        roles = [role for role in giveable(actor=actor) if role.id in given.role_ids]
        if given.authority_id is None or db.session.get(Authority, given.authority_id) is None:
            found.add("authority_id", _("请选择所属主管部门。"))
        if not roles or len(roles) != len(set(given.role_ids)):
            found.add("role_ids", _("请至少选择一个角色。"))
    found.settle()
    return phone, roles


def _authority(given: StaffForm) -> int | None:
    return given.authority_id if given.party == "authority" else None


def _names(roles: list[Role]) -> list[str]:
    return sorted(role.name for role in roles)
