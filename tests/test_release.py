"""A demonstration that is switched to production: the published password must not come along."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask_appbuilder.cli import fab
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


def test_the_first_administrator_of_a_new_portal_can_enter_it(app: Any, client: Any) -> None:
    """deploy/README.md: made by FAB's own command, which knows nothing of parties."""
    arguments = ("--username", "chief", "--firstname", "总", "--lastname", "管", "--email", "chief@portal.example")
    made = app.test_cli_runner().invoke(fab, ["create-admin", *arguments, "--password", "Ausgabe-2027"])
    assert "Admin User chief created" in made.output
    given = {"party": "authority", "username": "chief", "password": "Ausgabe-2027"}
    assert client.post("/login/", data=given | {"party": "institution"}).status_code == 200
    assert client.post("/login/", data=given | {"password": "wrong"}).status_code == 200
    assert client.post("/login/", data=given).status_code == 303
    assert client.get("/console/").status_code == 200
    assert client.get("/safety/").status_code == 200


def test_a_user_of_no_party_and_no_administrator_stays_outside(app: Any, client: Any) -> None:
    security = app.appbuilder.sm
    security.add_user("guest", "客", "人", "guest@portal.example", security.find_role("培训机构"), password="Ausgabe-2027")
    for tab in ("authority", "institution", "enterprise"):
        assert client.post("/login/", data={"party": tab, "username": "guest", "password": "Ausgabe-2027"}).status_code == 200


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
