"""A demonstration that is switched to production: the published password must not come along."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask_appbuilder.security.sqla.models import User
from sqlalchemy import update
from werkzeug.security import generate_password_hash

from app.demo import ACCOUNTS
from app.extensions import db, limiter
from app.release import DemoAccountsLeft, release


@pytest.fixture
def production(app: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The settings of this portal, switched over."""
    # An application in production switches the limits on, which all applications of a process share.
    monkeypatch.setattr(limiter, "enabled", limiter.enabled)
    return replace(app.extensions["settings"], mode="production", public_url="https://portal.example",
                   database_url=app.config["SQLALCHEMY_DATABASE_URI"])


def test_a_release_in_production_names_every_demo_account_that_is_left(production: Any) -> None:
    with pytest.raises(DemoAccountsLeft) as refused:
        release(production)
    message = str(refused.value)
    assert all(entry.username in message for entry in ACCOUNTS)
    assert "DATABASE_URL" in message
    assert "Demo2026!" not in message


def test_only_active_accounts_that_still_have_the_password_stop_it(production: Any) -> None:
    changed = generate_password_hash("Xinde-2027", "pbkdf2:sha256:1000")
    db.session.execute(update(User).where(User.username != "hjp", User.username != "nbp").values(password=changed))
    db.session.execute(update(User).where(User.username == "nbp").values(active=False))
    db.session.commit()
    with pytest.raises(DemoAccountsLeft, match=r"password: hjp\."):
        release(production)
    db.session.execute(update(User).where(User.username == "hjp").values(password=changed))
    db.session.commit()
    release(production)
