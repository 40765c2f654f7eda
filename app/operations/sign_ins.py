"""Signing in: who may, who is locked out for how long, and the history that both follow from.

Every failure is answered alike, and takes as long: an unknown name is hashed, counted and locked as a known one is. Attempts on
one account or from one address are judged one after the other, so that of any number made at once only so many count as the lock
allows.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from flask import current_app
from flask_appbuilder.security.sqla.models import User
from sqlalchemy import BigInteger, Select, delete, func, literal, select
from sqlalchemy.orm import aliased
from werkzeug.security import check_password_hash, generate_password_hash

from app import clock
from app.crypto import vault
from app.extensions import db, let_go, transaction
from app.permissions import ADMIN
from models import Account, SecondFactor, SignIn
from models.sign_ins import CLEARING, FAILURES

# Administrators have no tab of their own; they are the authority's colleagues and sign in there.
TABS = {"authority": ("authority", "administrator"), "institution": ("institution",), "enterprise": ("enterprise",)}
WINDOW = timedelta(minutes=15)
# The law asks for six months of such a record; a year is long enough for the person, too.
KEPT = timedelta(days=365)


@dataclass(frozen=True)
class Origin:
    """Where an attempt comes from: the visitor's address and their browser in plain words."""

    address: str = ""
    browser: str = ""

    @property
    def network(self) -> str:
        """What attempts are counted by. Whoever has one IPv6 address has its whole /64."""
        try:
            found = ipaddress.ip_address(self.address)
        except ValueError:
            return self.address[:45]
        return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


@dataclass(frozen=True)
class Last:
    """What a person is told after signing in: the time before this one, and the failures since."""

    before: SignIn | None
    failures: int


@dataclass(frozen=True)
class Answer:
    """How an attempt ended. Without an account it failed, without a reason; with `needs_code` it is half done."""

    account: Account | None = None
    locked: bool = False
    needs_code: bool = False
    last: Last | None = None


@dataclass(frozen=True)
class Attempt:
    """One attempt on one name, known or not, from one place."""

    subject: bytes
    username: str
    party: str
    origin: Origin
    account_id: int | None = None

    @property
    def locked(self) -> bool:
        """Whether too much has failed of late: on this name, or from this address. Inside `judging` only."""
        settings = current_app.extensions["settings"]
        if _is_full(_failures_of(self.subject), settings.sign_in_failures):
            return True
        return bool(self.origin.network) and _is_full(_failures_from(self.origin.network), settings.sign_in_address_failures)

    def record(self, outcome: str) -> None:
        """Add this attempt to the history, within the current transaction."""
        db.session.add(SignIn(
            account_id=self.account_id, subject=self.subject, username=self.username, party=self.party[:20], at=clock.now(),
            address=self.origin.address[:45], network=self.origin.network, browser=self.origin.browser[:60], outcome=outcome))
        db.session.flush()

    def take_turn(self) -> None:
        """Wait until nobody else judges this name or address, until the end of the transaction. SQLite has one writer anyway."""
        if db.engine.dialect.name == "postgresql":
            keys = (self.subject, vault().index(self.origin.network, "sign_in_network"))
            for key in sorted(int.from_bytes(each[:8], "big", signed=True) for each in keys):
                db.session.execute(select(func.pg_advisory_xact_lock(literal(key, BigInteger))))


def attempt_on(account: Account, origin: Origin) -> Attempt:
    """An attempt on a known account."""
    return Attempt(_subject(account.user_id), account.user.username[:64], account.party, origin, account.user_id)


def _subject(user_id: int | None, name: str = "") -> bytes:
    return vault().index(f"user:{user_id}" if user_id is not None else f"name:{name.casefold()}", "sign_in")


def _failures_of(subject: bytes) -> Select[datetime]:
    cleared = select(func.coalesce(func.max(SignIn.id), 0)).where(SignIn.subject == subject, SignIn.outcome.in_(CLEARING)).scalar_subquery()
    return select(SignIn.at).where(SignIn.subject == subject, SignIn.id > cleared)


def _failures_from(network: str) -> Select[datetime]:
    """Those of a person who got in from the same place afterwards were mistypings."""
    later = aliased(SignIn)
    forgiven = select(later.id).where(later.network == network, later.subject == SignIn.subject, later.id > SignIn.id,
                                      later.outcome.in_(CLEARING)).exists()
    return select(SignIn.at).where(SignIn.network == network, ~forgiven)


def _is_full(attempts: Select[datetime], most: int) -> bool:
    """Whether the last `most` failures fell within one window that ended less than a window ago."""
    now = clock.now()
    moments: Sequence[datetime] = db.session.scalars(
        attempts.where(SignIn.outcome.in_(FAILURES), SignIn.at > now - 2 * WINDOW)
        .order_by(SignIn.at.desc(), SignIn.id.desc()).limit(most)).all()
    return len(moments) == most and moments[0] > now - WINDOW and moments[0] - moments[-1] < WINDOW


@lru_cache
def _nobodys_hash(method: str) -> str:
    return generate_password_hash("nobody has this password", method)


def password_is(stored: str | None, given: str) -> bool:
    """Whether a password is the stored one; takes as long when there is none. Nobody waits for a lock meanwhile."""
    let_go()
    known = bool(stored)
    right = check_password_hash(stored or _nobodys_hash(current_app.config["FAB_PASSWORD_HASH_METHOD"]), given)
    return right and known


def sign_in(party: str, username: str, password: str, *, origin: Origin) -> Answer:
    """Judge a name and a password under a tab (X1). An account with a second factor is half in: `enter_with_code` goes on."""
    name = username.strip()
    found = db.session.execute(select(User.id, User.password).where(func.lower(User.username) == name.lower()).order_by(User.id)).first()
    user_id, stored = found or (None, None)
    right = password_is(stored, password)
    with transaction() as session:
        user = session.get(User, user_id, populate_existing=True) if user_id is not None else None
        account = session.get(Account, user_id, populate_existing=True) if user_id is not None else None
        known = user.username if user is not None and account is not None else shortened(name)
        attempt = Attempt(_subject(user_id, name), known, party, origin, account.user_id if account is not None else None)
        attempt.take_turn()
        if attempt.locked:
            attempt.record("locked")
            return Answer(locked=True)
        # A password that was changed while this one was looked at is not the right one any more.
        right = right and user is not None and user.password == stored
        if user is not None and right and account is None:
            account = _first_account(user)
            attempt = replace(attempt, username=user.username, account_id=user_id) if account is not None else attempt
        if user is None or not right or account is None or account.party not in TABS.get(party, ()):
            return _refused(attempt, user, "wrong")
        if not user.active:
            return _refused(attempt, user, "disabled")
        factor = session.get(SecondFactor, user_id)
        if factor is not None and factor.confirmed_at is not None:
            return Answer(account, needs_code=True)
        return entered(attempt, account)


def _first_account(user: User) -> Account | None:
    """The account of an administrator whom FAB's command or screen has made: without one nobody could enter a new portal."""
    if not any(role.name == ADMIN for role in user.roles):
        return None
    account = Account(user=user, party="administrator")
    db.session.add(account)
    db.session.flush()
    return account


def shortened(name: str) -> str:
    """A name that nobody has, as it may be kept."""
    return f"{name[:2]}…" if name else ""


def _refused(attempt: Attempt, user: User | None, outcome: str) -> Answer:
    if user is not None:
        user.fail_login_count = (user.fail_login_count or 0) + 1
    attempt.record(outcome)
    return Answer(locked=attempt.locked)


def refused_code(attempt: Attempt, account: Account) -> Answer:
    """Count a wrong code of the second factor, within the current transaction."""
    return _refused(attempt, account.user, "second_factor_wrong")


def entered(attempt: Attempt, account: Account) -> Answer:
    """Record that an account is in, within the current transaction."""
    last = _last(account.user_id)
    attempt.record("ok")
    user: Any = account.user
    user.login_count = (user.login_count or 0) + 1
    # FAB's own screens read this column as local time without a zone.
    user.last_login, user.fail_login_count = clock.now().astimezone(clock.SHANGHAI).replace(tzinfo=None), 0
    return Answer(account, last=last)


def _last(account_id: int) -> Last:
    entries = select(SignIn).where(SignIn.account_id == account_id, SignIn.outcome == "ok")
    before = db.session.scalars(entries.order_by(SignIn.id.desc()).limit(1)).first()
    failures = select(func.count(SignIn.id)).where(
        SignIn.account_id == account_id, SignIn.outcome.in_((*FAILURES, "locked")), SignIn.id > (before.id if before else 0))
    return Last(before, db.session.scalar(failures) or 0)


def lift_lock(account: Account, *, address: str = "") -> None:
    """Within the current transaction: a new password was set by someone who may, and what failed before it is forgiven."""
    attempt_on(account, Origin(address)).record("reset")


def history(account_id: int, most: int = 30) -> list[SignIn]:
    """The latest attempts on an account, newest first, for the person whose it is."""
    return list(db.session.scalars(select(SignIn).where(SignIn.account_id == account_id).order_by(SignIn.id.desc()).limit(most)))


def run_forgetting(_subject_id: int, _report: Callable[[int, int], None]) -> None:
    """Job: let go of attempts of more than a year ago. Run twice it finds nothing more."""
    with transaction() as session:
        session.execute(delete(SignIn).where(SignIn.at < clock.now() - KEPT).execution_options(synchronize_session=False))
