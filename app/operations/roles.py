"""角色: the administrator says what an authority's staff may do, area by area, and in which region (B9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import current_app
from flask_appbuilder.security.sqla.models import Role, User, assoc_user_role
from flask_babel import gettext as _
from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError

from app import areas, audit, scope
from app.actors import Actor
from app.errors import Conflict, Forbidden, InvalidFields
from app.extensions import db, transaction
from app.operations.checks import Findings
from app.permissions import ADMIN, AUTHORITY, OWNED, known_pairs, verbs_of, write_role
from models import Region, RoleRegion

BUILT_IN = (*OWNED, ADMIN, "Public")


@dataclass(frozen=True)
class RoleForm:
    """What an administrator sets: a name, the keys of the ticked entries, and a region (empty: the whole province)."""

    name: str
    entries: tuple[str, ...]
    region_code: str


@dataclass(frozen=True)
class Made:
    """A role made here, as the screens show it."""

    role: Role
    region: Region | None
    entries: tuple[str, ...]
    people: int


def only_administrators(actor: Actor) -> None:
    if actor.party != "administrator":
        raise Forbidden(_("只有系统管理员可以维护角色和帐号。"))


def made_roles(*, actor: Actor) -> Select[Role]:
    """The roles an administrator made here."""
    return scope.visible(actor, Role).join(RoleRegion, RoleRegion.role_id == Role.id)


def described(roles: Sequence[Role]) -> list[Made]:
    """These roles with their region, their ticks and how many people have each."""
    keys = [role.id for role in roles]
    regions = {row.role_id: row.region for row in db.session.scalars(select(RoleRegion).where(RoleRegion.role_id.in_(keys)))}
    counted = select(assoc_user_role.c.role_id, func.count().label("people")).where(assoc_user_role.c.role_id.in_(keys))
    people = {row.role_id: row.people for row in db.session.execute(counted.group_by(assoc_user_role.c.role_id))}
    return [Made(role, regions.get(role.id), tuple(areas.held(verbs_of(role))), people.get(role.id, 0)) for role in roles]


def save(role: Role | None, given: RoleForm, *, actor: Actor) -> Role:
    """Make a role, or set an existing one anew. Whoever may do something in an area may look at it too.

    Raises `InvalidFields`: no name, a name that is taken, nothing ticked, a region that is none.
    """
    only_administrators(actor)
    if role is not None:
        _ours_to_change(role)
    name, entries = given.name.strip(), areas.with_looking(given.entries)
    found = Findings()
    if not name:
        found.add("name", _("请填写角色名称。"))
    elif name in BUILT_IN or _taken(name, role):
        found.add("name", _("这个名称已被使用，请换一个。"))
    if not entries:
        found.add("entries", _("请至少勾选一项。"))
    if given.region_code and db.session.get(Region, given.region_code) is None:
        found.add("region_code", _("请从列表中选择地区。"))
    found.settle()
    try:
        with transaction() as session:
            fresh = role or Role(name=name)
            session.add(fresh)
            session.flush()
            limit = session.get(RoleRegion, fresh.id) or RoleRegion(role_id=fresh.id)
            before = {"name": fresh.name, "entries": areas.held(verbs_of(fresh)), "region_code": limit.region_code} if role else {}
            after = {"name": name, "entries": entries, "region_code": _limit(given.region_code)}
            fresh.name, limit.region_code = name, _limit(given.region_code)
            session.add(limit)
            write_role(fresh, areas.pairs_of(entries), known_pairs(), current_app.extensions["appbuilder"])
            audit.record(actor, "change_role" if role else "make_role", fresh, {"name": name, "changed": {
                key: [before.get(key), each] for key, each in after.items() if before.get(key) != each}})
    except IntegrityError:
        raise InvalidFields({"name": _("这个名称已被使用，请换一个。")}, _("未能保存。")) from None
    return fresh


def delete(role: Role, *, actor: Actor) -> None:
    """Remove a role that nobody has any more."""
    only_administrators(actor)
    _ours_to_change(role)
    with transaction() as session:
        having = session.scalars(
            select(User.first_name).join(assoc_user_role, assoc_user_role.c.user_id == User.id)
            .where(assoc_user_role.c.role_id == role.id).order_by(User.id).limit(6)).all()
        if having:
            names = "、".join(having[:5]) + (_(" 等") if len(having) > 5 else "")
            raise Conflict(_("“%(role)s”还有人使用：%(names)s。请先在帐号中收回，再删除。", role=role.name, names=names))
        audit.record(actor, "delete_role", role, {"name": role.name})
        limit = session.get(RoleRegion, role.id)
        if limit is not None:
            session.delete(limit)
            session.flush()
        session.delete(role)


def giveable(*, actor: Actor) -> list[Role]:
    """The roles that an authority's person may be given: the whole one, and those made here."""
    whole = list(db.session.scalars(scope.visible(actor, Role).where(Role.name == AUTHORITY)))
    return whole + list(db.session.scalars(made_roles(actor=actor).order_by(Role.name)))


def _ours_to_change(role: Role) -> None:
    if role.name in BUILT_IN:
        raise Forbidden(_("系统自带的角色不能修改或删除。需要不同的权限时，请新建一个角色。"))


def _taken(name: str, role: Role | None) -> bool:
    other = select(Role.id).where(Role.name == name)
    return db.session.scalars(other.where(Role.id != role.id) if role else other).first() is not None


def _limit(region_code: str) -> str | None:
    """The province's own code is no limit."""
    return None if not region_code or region_code.endswith("0000") else region_code
