"""Roles and people as an administrator makes them, for the tests of who may do what, and where."""

from __future__ import annotations

from typing import Any

from flask_appbuilder.security.sqla.models import Role, User
from sqlalchemy import select

from app.extensions import db
from app.operations import roles
from models import Region


def role(make: Any, name: str, *entries: str, region: str = "") -> Role:
    """A role with these entries of `app.areas`, in a region or the whole province."""
    return roles.save(None, roles.RoleForm(name, entries, region), actor=make.actor("admin"))


def give(username: str, *given: Role) -> None:
    """These roles and no other."""
    db.session.scalars(select(User).where(User.username == username)).one().roles = list(given)
    db.session.commit()


def county(city: str, name: str) -> str:
    """The code of a county by its name."""
    return db.session.scalars(select(Region.code).where(Region.parent_code == city, Region.name == name)).one()
