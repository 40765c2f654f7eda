"""What tests stand on: one application and one template database per process, a fresh copy of it for each test.

The back end is SQLite, or PostgreSQL with ``DB=postgres``. Outside systems are the stand-ins over real HTTP. A browser test
asks for `portal`, the whole product started as a user starts it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests import home, services
from tests.factory import Factory
from tests.standin_server import RunningStandins, running_standins

os.environ.pop("REDIS_URL", None)


class PortalClient(FlaskClient):
    """A browser of a person: each request has a context of its own, as on a server, and what it wrote is seen after it."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        from app.extensions import db

        db.session.commit()  # a test's own reads must not hold the lock a request needs
        try:
            with self.application.app_context():
                answer = super().open(*args, **kwargs)
            for each in (*answer.history, answer):  # a large form was put on disk, and nobody else closes that file
                each.request.environ["wsgi.input"].close()
            return answer
        finally:
            db.session.expire_all()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL run what meets a database: all else is the same on both, and has had its turn beside SQLite."""
    if services.POSTGRES:
        meets = [each for each in items if "_database" in getattr(each, "fixturenames", ()) or each.get_closest_marker("own_database")]
        config.hook.pytest_deselected(items=[each for each in items if each not in set(meets)])
        items[:] = meets


@pytest.fixture(scope="session")
def _standins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStandins]:
    with running_standins(tmp_path_factory.mktemp("standins")) as running:
        yield running


@pytest.fixture(scope="session")
def _database(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[services.Database]:
    with services.database(tmp_path_factory.mktemp("database"), worker_id) as database:
        yield database
        home.leave(database.server)


@pytest.fixture(scope="session")
def _application(_standins: RunningStandins, _database: services.Database, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The application, released once into the template database."""
    from app import create_app
    from app.release import release
    from config import load

    var_dir = tmp_path_factory.mktemp("var")
    # Most tests move the clock by days and go on as the same person; those of idle sessions set the minutes themselves.
    environ = {**_standins.environ(), "MODE": "test", "VAR_DIR": str(var_dir), "PUBLIC_URL": "http://portal.test",
               "OCR": "off", "IDLE_MINUTES": "5000000"}
    release(load({**environ, "DATABASE_URL": _database.template_url}))
    app = create_app(load({**environ, "DATABASE_URL": _database.url}))
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False, SERVER_NAME=None)
    app.test_client_class = PortalClient
    return app


@pytest.fixture
def app(_application: Flask, _database: services.Database) -> Iterator[Flask]:
    """The application with a fresh database, inside a context for the test's own reads."""
    from app.extensions import db

    with _application.app_context():
        _database.refresh(db.engine)
        yield _application
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A visitor."""
    return app.test_client()


@pytest.fixture
def limited(app: Flask) -> Iterator[FlaskClient]:
    """A visitor of the product as a demonstration runs it, with the limits that tests otherwise do without."""
    from app import create_app
    from app.extensions import close, limiter

    product = create_app(replace(app.extensions["settings"], mode="demo"))
    limiter.reset()
    yield product.test_client()
    limiter.reset()
    limiter.enabled = False
    close(product)


@pytest.fixture
def login(app: Flask) -> Callable[[str], FlaskClient]:
    """`login("hjp")`: a client signed in as that demo account, through the sign-in page."""
    from app.demo import ACCOUNTS, PASSWORD

    parties = {entry.username: entry.party for entry in ACCOUNTS}

    def sign_in(username: str, password: str = PASSWORD, party: str = "") -> FlaskClient:
        client = app.test_client()
        tab = party or parties[username].replace("administrator", "authority")
        answer = client.post("/login/", data={"party": tab, "username": username, "password": password})
        assert answer.status_code == 303, f"{username} could not sign in"
        return client

    return sign_in


@pytest.fixture
def make(app: Flask) -> Factory:
    """Rows a test begins with."""
    return Factory()


class Clock:
    """The portal's and the stand-ins' clock, moved by hand."""

    def __init__(self, standins: RunningStandins, start: datetime) -> None:
        self._standins = standins
        self.moment = start

    def now(self) -> datetime:
        return self.moment

    def set(self, moment: datetime) -> None:
        self.moment = moment
        self._standins.set_time(moment, stopped=True)

    def advance(self, **delta: float) -> None:
        """`advance(minutes=59, seconds=30)`."""
        self.set(self.moment + timedelta(**delta))


@pytest.fixture
def clock(app: Flask, standins: RunningStandins, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time stands still at the present moment, until the test moves it."""
    from app import clock as module

    frozen = Clock(standins, module.now().replace(microsecond=0))
    frozen.set(frozen.moment)
    monkeypatch.setattr(module, "now", frozen.now)
    return frozen


@pytest.fixture
def standins(_standins: RunningStandins) -> RunningStandins:
    """The outside systems, remembering nothing of other tests."""
    _standins.reset()
    return _standins


@pytest.fixture
def run_jobs(app: Flask) -> Callable[[], int]:
    """Run every job that is due, in this process, until none is; answers how many ran."""
    from app.extensions import db
    from workers.jobs import run_due

    def run() -> int:
        db.session.commit()
        total = 0
        while ran := run_due():
            total += ran
        db.session.expire_all()
        return total

    return run


@pytest.fixture(scope="session")
def portal(_database: services.Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Portal]:
    """The whole product, started with `python run.py` on a free port, just released."""
    var_dir = tmp_path_factory.mktemp("portal")
    try:
        with services.portal(var_dir, **home.move_in(var_dir, _database.server, "portal_product")) as running:
            yield running
    finally:
        shutil.rmtree(var_dir, ignore_errors=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium, driven by Playwright. Where there is none the test fails and says how to install it.

    Gone with its module: while it is driven, this thread has a running event loop, in which nothing else (a signature) can have its own.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=services.chromium(), args=list(services.CHROMIUM_FLAGS))
        yield running
        running.close()


@pytest.fixture
def here() -> Path:
    """The project's folder."""
    return Path(__file__).resolve().parent.parent
