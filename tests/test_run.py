"""The product as a user starts, stops, kills and misconfigures it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

import app
from app.demo import ACCOUNTS, PASSWORD
from tests import services
from tests.services import wait_for
from workers import stamp
from workers.broker import SIGNS_OF_LIFE


@pytest.fixture(scope="module")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, str]]:
    """The folder in which a portal was started once, and stopped again; its address, and what it said."""
    folder = tmp_path_factory.mktemp("run")
    with services.portal(folder) as first:
        wait_for(lambda: first.url in first.said(), 30, "its address is not said", every=0.1)
        wait_for(lambda: all(each.username in first.said() for each in ACCOUNTS), 30, "an account is not named", every=0.1)
    yield folder, first.url, first.said()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def var_dir(first_start: tuple[Path, str, str]) -> Path:
    return first_start[0]


def contents(var_dir: Path) -> str:
    """Every row of the database, but for timers and the jobs they schedule, which are meant to move."""
    connection = sqlite3.connect(f"file:{var_dir / 'portal.db'}?mode=ro", uri=True)
    try:
        moving = ('INSERT INTO "timer"', 'INSERT INTO "job"')
        return "\n".join(line for line in connection.iterdump() if not line.startswith(moving))
    finally:
        connection.close()


def refused(*arguments: str, **environ: str) -> str:
    """What `python run.py` says when it does not start; it must be short, and no trace of Python."""
    values = {**services.user_environment(), **environ}
    ran = subprocess.run([sys.executable, str(services.ROOT / "run.py"), *arguments], env=values, capture_output=True, text=True,
                         timeout=60, check=False)
    assert ran.returncode not in (0, -signal.SIGTERM), ran.stdout
    assert "Traceback" not in ran.stderr
    return ran.stderr.strip()


def test_the_first_start_prepares_the_database_and_tells_the_address_and_every_demo_account(
        first_start: tuple[Path, str, str]) -> None:
    _folder, address, said = first_start
    assert "preparing the database" in said
    assert address in said
    assert [each.username for each in ACCOUNTS if each.username not in said] == []
    assert PASSWORD in said


def test_a_second_start_prepares_nothing_and_changes_no_data(var_dir: Path) -> None:
    before = contents(var_dir)
    with services.portal(var_dir) as portal:
        assert portal.health() == {"status": "ok", "version": portal.health()["version"], "database": "ok", "redis": "ok",
                                   "worker": "ok", "scheduler": "ok"}
        assert "preparing the database" not in portal.said()
    assert contents(var_dir) == before


def test_a_changed_release_is_prepared_again(var_dir: Path) -> None:
    (var_dir / "released.json").write_text('{"fingerprint": "of an older version", "accounts": []}', encoding="utf-8")
    before = contents(var_dir)
    with services.portal(var_dir) as portal:
        assert "preparing the database" in portal.said()
    assert contents(var_dir) == before, "what is there stays"


def test_a_database_put_back_from_before_a_migration_is_prepared_again(var_dir: Path) -> None:
    settings = stamp_settings(var_dir)
    assert stamp.read(settings) is not None
    connection = sqlite3.connect(var_dir / "portal.db")
    head = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    assert {head} == stamp.code_heads()
    connection.execute("UPDATE alembic_version SET version_num = 'older'")
    connection.commit()
    try:
        assert stamp.read(settings) is None
    finally:
        connection.execute("UPDATE alembic_version SET version_num = ?", (head,))
        connection.commit()
        connection.close()
    assert stamp.read(settings) is not None


def stamp_settings(var_dir: Path):  # type: ignore[no-untyped-def]
    from config import load

    return load({"VAR_DIR": str(var_dir)})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_within_seconds_and_leaves_nothing(var_dir: Path, number: int) -> None:
    with services.portal(var_dir) as portal:
        assert len(portal.pids()) >= 6  # web and its processes, worker, scheduler, stand-ins, broker
        began = time.monotonic()
        assert portal.stop(number) == 0
        assert time.monotonic() - began < 12
        assert portal.pids() == []
        assert "Traceback" not in portal.said()
    with pytest.raises(requests.ConnectionError):
        requests.get(portal.url, timeout=2)


def test_a_killed_part_is_started_again_and_that_is_said(var_dir: Path) -> None:
    with services.portal(var_dir) as portal:
        killed = {part: portal.kill(part) for part in ("scheduler", "worker", "standins", "web", "broker")}
        for part, pid in killed.items():
            wait_for(lambda part=part, pid=pid: portal.pids(part) and pid not in portal.pids(part), 30, f"{part} was not started again",
                     every=0.1)
            assert f"[portal] {part} died (signal 9); starting it again" in portal.said()
        services.wait_until_healthy(portal)


def test_beside_a_running_portal_no_second_one_starts_but_another_worker_joins(var_dir: Path, tmp_path: Path) -> None:
    with services.portal(var_dir) as portal:
        said = refused(VAR_DIR=str(var_dir), PORT=str(services.free_port()))
        assert said == f"a portal is already running on {var_dir}: stop it, or set another VAR_DIR"
        said = refused(VAR_DIR=str(tmp_path), PORT=portal.environ["PORT"])
        assert said.startswith(f"port {portal.environ['PORT']} cannot be used (Address already in use): set PORT to another one")
        assert "\n" not in said
        assert portal.health()["status"] == "ok"
        second = subprocess.Popen([sys.executable, str(services.ROOT / "run.py"), "worker"], env=portal.environ)

        def waits_for_work() -> bool:
            redis = portal.redis()
            return any(redis.hmget(key, "pid", "state") == [str(second.pid).encode(), b"idle"]
                       for key in redis.smembers("rq:workers"))  # type: ignore[union-attr]

        try:
            wait_for(waits_for_work, 30, "it does not wait for work", every=0.1)
        finally:
            second.terminate()
            assert second.wait(20) == 0
        assert not waits_for_work()


def test_a_taken_port_of_the_stand_ins_is_said_too(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        said = refused(VAR_DIR=str(tmp_path), PORT=str(services.free_port()), STANDINS_PORT=taken)
    assert said.startswith(f"port {taken} cannot be used (Address already in use): set STANDINS_PORT")


def test_a_worker_without_any_broker_says_what_to_do(tmp_path: Path) -> None:
    said = refused("worker", VAR_DIR=str(tmp_path))
    assert said == "worker needs the broker: set REDIS_URL, or start everything with  python run.py"


def test_production_names_every_setting_it_lacks(tmp_path: Path) -> None:
    said = refused(MODE="production", VAR_DIR=str(tmp_path), SECRET_KEY="short", PUBLIC_URL="http://portal.example",
                   MINISTRY_URL="http://127.0.0.1:8081/ministry", SIGNING_TIMESTAMP_URL="http://localhost:8081/timestamp/")
    assert said.startswith("the settings cannot be used:\n")
    for expected in ("DATABASE_URL is not set", "REDIS_URL is not set", "ALIPAY_PRIVATE_KEY is not set",
                     "SECRET_KEY is shorter than 32 characters", "PUBLIC_URL must start with https:// in production",
                     "MINISTRY_URL points at this machine: stand-ins are refused in production",
                     "SIGNING_TIMESTAMP_URL points at this machine: stand-ins are refused in production"):
        assert expected in said.splitlines()
    assert list(tmp_path.iterdir()) == [], "nothing is drawn or written for a start that is refused"


def test_stand_ins_do_not_start_in_production(tmp_path: Path) -> None:
    assert refused("standins", MODE="production", VAR_DIR=str(tmp_path)).startswith("the settings cannot be used:")


def test_a_database_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    said = refused(VAR_DIR=str(tmp_path), PORT=str(services.free_port()), STANDINS_PORT=str(services.free_port()),
                   DATABASE_URL=f"postgresql+psycopg://nobody@127.0.0.1:{services.free_port()}/portal")
    assert said.startswith("the database cannot be used (DATABASE_URL): ")
    assert said.splitlines()[-1] == "the database could not be prepared (exit code 1); nothing was started"


def test_a_killed_supervisor_takes_everything_with_it_and_its_signs_of_life_do_not_pass_for_those_of_the_next_start(var_dir: Path) -> None:
    assert set(SIGNS_OF_LIFE) == {app.WORKER_BEAT, app.SCHEDULER_BEAT}
    with services.portal(var_dir) as portal:
        before = [portal.redis().get(sign) for sign in SIGNS_OF_LIFE]
        assert None not in before
        os.kill(portal.process.pid, signal.SIGKILL)  # nothing is tidied up
        portal.process.wait()
        wait_for(lambda: portal.pids() == [], 15, "something is left over", every=0.1)
    with services.portal(var_dir) as portal:
        now = [portal.redis().get(sign) for sign in SIGNS_OF_LIFE]
        assert None not in now
        assert not set(now) & set(before)


def test_an_unknown_part_is_answered_with_the_parts_there_are() -> None:
    assert refused("wbe") == "usage: python run.py [web|worker|ocr|scheduler|standins|release]"
