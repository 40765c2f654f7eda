"""The private address of a calendar: made, renewed and switched off by the person, and answered to whoever knows it."""

from __future__ import annotations

import secrets
from typing import Any

from flask_appbuilder.security.sqla.models import User
from sqlalchemy import delete, select
from sqlalchemy.orm import joinedload

from app import audit, clock
from app.actors import Actor
from app.crypto import blind
from app.errors import Forbidden
from app.extensions import db, transaction
from app.security import actor_of
from models import Account, CalendarFeed

# 256 bits: nobody finds one by trying.
TOKEN_BYTES = 32


def own(*, actor: Actor) -> CalendarFeed | None:
    """The address this person has, if it still answers."""
    return db.session.scalars(_living().where(CalendarFeed.user_id == actor.user_id)).first()


def make(*, actor: Actor) -> str:
    """A new address in place of any older one. Its token is returned this once and kept nowhere."""
    account = db.session.get(Account, actor.user_id) if actor.user_id else None
    if account is None:
        raise Forbidden("")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with transaction() as session:
        session.execute(delete(CalendarFeed).where(CalendarFeed.user_id == account.user_id))
        session.add(CalendarFeed(user_id=account.user_id, digest=blind(token, "calendar"), made_at=clock.now(),
                                 session_version=account.session_version))
        audit.record(actor, "make_calendar_address", "calendar_feed")
    return token


def switch_off(*, actor: Actor) -> None:
    """The address answers no longer."""
    with transaction() as session:
        session.execute(delete(CalendarFeed).where(CalendarFeed.user_id == actor.user_id))
        audit.record(actor, "stop_calendar_address", "calendar_feed")


def reader(token: str) -> Actor | None:
    """For whom an address answers. One statement, whether the token is wrong, old, or of an account that was disabled."""
    feed = db.session.scalars(_living().where(CalendarFeed.digest == blind(token, "calendar"))).first()
    return actor_of(feed.account) if feed is not None else None


def _living() -> Any:
    """Addresses of active accounts whose sessions were not ended since."""
    parties = (joinedload(Account.user), joinedload(Account.authority), joinedload(Account.institution), joinedload(Account.enterprise))
    return (select(CalendarFeed).join(Account, CalendarFeed.user_id == Account.user_id).join(User, Account.user_id == User.id)
            .where(User.active.is_(True), CalendarFeed.session_version == Account.session_version)
            .options(joinedload(CalendarFeed.account).options(*parties)))
