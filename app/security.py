"""Sign-in and permission checks on FAB's tables: one query a request instead of one for each question."""

from __future__ import annotations

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
from app.actors import VISITOR, Actor
from app.extensions import db
from app.operations.sign_ins import lift_lock
from models import Account

SESSION_VERSION = "account_version"
# The second in which the person last did something.
SEEN = "seen"


# Screens of FAB that the portal has its own of, or that would go around them (a token API past the three tabs).
CLOSED = frozenset(("SecurityApi", "ResetMyPasswordView", "UserInfoEditView", "UserStatsChartView", "MenuApi"))
# Where a person with an issued password may still go.
_BEFORE_NEW_PASSWORD = frozenset(("PasswordView", "LoginView", "LocaleView", "appbuilder"))


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
        return (permission_name, view_name) in self._granted()

    def get_user_menu_access(self, menu_names: list[str] | None = None) -> set[str]:
        return {view for permission, view in self._granted() if permission == "menu_access"}

    def allows(self, user_id: int, permission_name: str, view_name: str) -> bool:
        """The same question of a person who has not signed in, for what answers without a session."""
        statement = self._pairs().where(assoc_permissionview_role.c.role_id.in_(self._roles_of(user_id)),
                                        Permission.name == permission_name, ViewMenu.name == view_name)
        return db.session.execute(statement).first() is not None

    def _granted(self) -> set[tuple[str, str]]:
        if not hasattr(g, "granted"):
            g.granted = self._read_granted()
        granted: set[tuple[str, str]] = g.granted
        return granted

    def _read_granted(self) -> set[tuple[str, str]]:
        statement = self._pairs()
        if current_user.is_authenticated:
            statement = statement.where(assoc_permissionview_role.c.role_id.in_(self._roles_of(current_user.id)))
        else:
            statement = statement.join(Role, assoc_permissionview_role.c.role_id == Role.id).where(
                Role.name == self.auth_role_public)
        return {(permission, view) for permission, view in db.session.execute(statement)}

    @staticmethod
    def _pairs() -> Any:
        """(permission, view) of every role."""
        return (select(Permission.name, ViewMenu.name).select_from(PermissionView)
                .join(Permission, PermissionView.permission_id == Permission.id)
                .join(ViewMenu, PermissionView.view_menu_id == ViewMenu.id)
                .join(assoc_permissionview_role, assoc_permissionview_role.c.permission_view_id == PermissionView.id))

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


def current_actor() -> Actor:
    """Who acts in this request. A user without an account row (made on FAB's screens) belongs to no party and sees
    no organisation's rows."""
    if not has_request_context():
        return VISITOR
    account = current_account()
    if account is not None:
        return actor_of(account, request.remote_addr or "")
    return replace(VISITOR, user_id=getattr(current_user, "id", None), address=request.remote_addr or "")


def guard() -> Any:
    """Before each request: closed screens are not there, and an issued password is changed before anything else (I1)."""
    if request.blueprint in CLOSED or not _understood():
        abort(404)
    if request.endpoint == "RoleModelView.delete" and _is_built_in((request.view_args or {}).get("pk", "")):
        abort(403)
    # Text that no table can hold: PostgreSQL would answer it with an error, page by page.
    if any("\0" in text for given in (request.args, request.form) for _name, texts in given.lists() for text in texts):
        abort(400)
    if request.endpoint in (None, "static") or request.blueprint in _BEFORE_NEW_PASSWORD:
        return None
    account = current_account()
    if account is not None and account.must_change_password:
        return redirect(url_for("PasswordView.change"))
    return None


def _understood() -> bool:
    """FAB's own lists answer 500 to an action they do not have and to a page size that is no number, and obey any number:
    such requests are not understood here."""
    if any(not value.isdigit() or int(value) > 500 for name, value in request.args.items() if name.startswith(("psize_", "page_"))):
        return False
    if not (request.endpoint or "").endswith((".action", ".action_post")):
        return True
    view = next((each for each in current_app.extensions["appbuilder"].baseviews
                 if type(each).__name__ == request.blueprint), None)
    name = (request.view_args or {}).get("name") or request.form.get("action", "")
    return name in getattr(view, "actions", {})


def _is_built_in(key: str) -> bool:
    """The portal's own roles and FAB's two: without them nobody could sign in to what they are for."""
    from app.permissions import ADMIN, OWNED

    role = db.session.get(Role, int(key)) if key.isdigit() else None
    return role is not None and role.name in (*OWNED, ADMIN, "Public")
