"""Sign-in and permission checks on FAB's tables: one query a request instead of one for each question."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from flask import abort, current_app, g, has_request_context, redirect, request, session, url_for
from flask_appbuilder.security.sqla.manager import SecurityManager
from flask_appbuilder.security.sqla.models import (
    Permission,
    PermissionView,
    Role,
    ViewMenu,
    assoc_group_role,
    assoc_permissionview_role,
    assoc_user_group,
    assoc_user_role,
)
from flask_login import current_user
from sqlalchemy import select, union, update
from sqlalchemy.orm import joinedload

from app import clock
from app.actors import VISITOR, Actor, Regions
from app.areas import OPENED_BY, REGIONAL
from app.extensions import db
from app.operations.sign_ins import lift_lock
from models import Account, RoleRegion

SESSION_VERSION = "account_version"
# The second in which the person last did something.
SEEN = "seen"


# Screens of FAB that the portal has its own of, or that would go around them (a token API past the three tabs).
CLOSED = frozenset(("SecurityApi", "ResetMyPasswordView", "UserInfoEditView", "UserStatsChartView", "MenuApi",
                    "UserDBModelView", "RoleModelView", "UserGroupModelView", "ResetPasswordView"))
# Where a person with an issued password may still go.
_BEFORE_NEW_PASSWORD = frozenset(("PasswordView", "LoginView", "LocaleView", "appbuilder"))


# (permission, view) -> the regions in which the person's roles grant it.
Granted = dict[tuple[str, str], Regions]


class PortalSecurity(SecurityManager):
    """FAB's security manager, asking the database once a request and honouring ended sessions."""

    def load_user(self, pk: int) -> Any:
        """The signed-in user, unless the account's sessions were ended since (a changed or reset password) or the person has done
        nothing for too long. `g.ended` then says which."""
        user = super().load_user(pk)
        if user is None:
            return None
        account = db.session.get(Account, user.id)
        if account is not None and session.get(SESSION_VERSION) != account.session_version:
            g.ended = "elsewhere"
            return None
        if this_second() - session.get(SEEN, 0) >= current_app.extensions["settings"].idle_minutes * 60:
            g.ended, g.ended_party = "idle", account.party if account is not None else None
            return None
        return user

    def reset_password(self, userid: int, password: str) -> None:
        """A password set by an administrator ends that person's sessions, and must be changed at the next sign-in."""
        super().reset_password(userid, password)
        db.session.execute(update(Account).where(Account.user_id == userid).values(
            session_version=Account.session_version + 1, must_change_password=True))
        account = db.session.get(Account, userid, populate_existing=True)
        if account is not None:
            lift_lock(account, address=request.remote_addr or "" if has_request_context() else "")
        db.session.commit()

    def has_access(self, permission_name: str, view_name: str) -> bool:
        return (permission_name, view_name) in self.granted()

    def get_user_menu_access(self, menu_names: list[str] | None = None) -> set[str]:
        return {view for permission, view in self.granted() if permission == "menu_access"}

    def granted(self) -> Granted:
        """What the person of this request may do, and each in which regions."""
        if not hasattr(g, "granted"):
            g.granted = self.granted_to(current_user.id if current_user.is_authenticated else None)
        found: Granted = g.granted
        return found

    def granted_to(self, user_id: int | None) -> Granted:
        """The same of any person; None is a visitor. One statement. Where one of the roles has no limit there is none."""
        statement = (select(Permission.name, ViewMenu.name, RoleRegion.region_code).select_from(PermissionView)
                     .join(Permission, PermissionView.permission_id == Permission.id)
                     .join(ViewMenu, PermissionView.view_menu_id == ViewMenu.id)
                     .join(assoc_permissionview_role, assoc_permissionview_role.c.permission_view_id == PermissionView.id)
                     .outerjoin(RoleRegion, RoleRegion.role_id == assoc_permissionview_role.c.role_id))
        if user_id is not None:
            statement = statement.where(assoc_permissionview_role.c.role_id.in_(self._roles_of(user_id)))
        else:
            statement = statement.join(Role, assoc_permissionview_role.c.role_id == Role.id).where(
                Role.name == self.auth_role_public)
        found: Granted = {}
        for permission, view, code in db.session.execute(statement):
            before = found.get((permission, view), frozenset())
            found[permission, view] = None if code is None or before is None else before | {code}
        return found

    @staticmethod
    def _roles_of(user_id: int) -> Any:
        """The ids of the roles a person has, by themselves or by a group."""
        return union(
            select(assoc_user_role.c.role_id).where(assoc_user_role.c.user_id == user_id),
            select(assoc_group_role.c.role_id)
            .join(assoc_user_group, assoc_user_group.c.group_id == assoc_group_role.c.group_id)
            .where(assoc_user_group.c.user_id == user_id))


def this_second() -> int:
    """The present moment as a session keeps it."""
    return int(clock.now().timestamp())


def actor_of(account: Account, address: str = "") -> Actor:
    """The actor a signed-in account stands for."""
    user = account.user
    return Actor(user_id=user.id, name=f"{user.last_name}{user.first_name}".strip() or user.username,
                 party=account.party,  # type: ignore[arg-type]  # the column's CHECK allows these values only
                 authority_id=account.authority_id, institution_id=account.institution_id,
                 enterprise_id=account.enterprise_id, organisation=account.organisation, address=address,
                 provincial=account.authority is not None and account.authority.is_provincial)


def current_account() -> Account | None:
    """The account of the person of this request; None for a visitor."""
    if not has_request_context() or not current_user.is_authenticated:
        return None
    if not hasattr(g, "account"):
        g.account = db.session.scalars(
            select(Account).where(Account.user_id == current_user.id)
            .options(joinedload(Account.user), joinedload(Account.authority), joinedload(Account.institution),
                     joinedload(Account.enterprise))).first()
    account: Account | None = g.account
    return account


def current_actor(permission: str = "", view: str = "") -> Actor:
    """Who acts in this request, narrowed to where their roles allow what is asked for (or the permission given). A user without
    an account row belongs to no party and sees no organisation's rows."""
    if not has_request_context():
        return VISITOR
    account = current_account()
    if account is None:
        return replace(VISITOR, user_id=getattr(current_user, "id", None), address=request.remote_addr or "")
    asked = (permission, view) if permission else _asked_for()
    return narrowed(actor_of(account, request.remote_addr or ""), current_app.extensions["appbuilder"].sm.granted(), asked)


def _asked_for() -> tuple[str, str]:
    """The permission of the page being served; empty where it needs none."""
    verb = getattr(current_app.view_functions.get(request.endpoint or ""), "_permission_name", "")
    return f"can_{verb}", request.blueprint or ""


def narrowed(actor: Actor, granted: Granted, asked: tuple[str, str] = ("", "")) -> Actor:
    """An authority's person in the regions of the roles that grant what is asked. On a page of nobody's area, in each table where
    their roles let them look at it."""
    if not actor.is_authority:
        return actor
    if asked[1] in REGIONAL:
        return replace(actor, regions=granted.get(asked, frozenset()))
    return replace(actor, reach={table: _joined(granted.get(("can_show", view), frozenset()) for view in views)
                                 for table, views in OPENED_BY.items()})


def _joined(each: Iterable[Regions]) -> Regions:
    given = list(each)
    return None if None in given else frozenset(code for codes in given if codes for code in codes)


def guard() -> Any:
    """Before each request: closed screens are not there, and an issued password is changed before anything else (I1)."""
    if request.blueprint in CLOSED:
        abort(404)
    # Text that no table can hold: PostgreSQL would answer it with an error, page by page.
    if any("\0" in text for given in (request.args, request.form) for _name, texts in given.lists() for text in texts):
        abort(400)
    if request.endpoint in (None, "static") or request.blueprint in _BEFORE_NEW_PASSWORD:
        return None
    account = current_account()
    if account is not None and account.must_change_password:
        return redirect(url_for("PasswordView.change"))
    return None
