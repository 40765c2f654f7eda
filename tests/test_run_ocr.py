"""The process that reads licences, in the product as it is started: small until it is needed, and killed without a loss."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from rq import Queue
from rq.serializers import JSONSerializer

from app import files
from app.actors import VISITOR
from app.extensions import transaction, within
from app.jobs import PERFORM
from app.operations import readings
from models import LicenceReading
from tests import home, licences, services
from tests.services import wait_for
from tests.test_run import refused

LICENCE = licences.invent(3)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Portal]:
    folder = tmp_path_factory.mktemp("reading")
    with services.portal(folder, **home.move_in(folder)) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def inside(product: services.Portal) -> Iterator[Flask]:
    """An application on the product's own database, files and broker."""
    from app import create_app
    from config import load

    broker = "unix://" + str(product.redis().connection_pool.connection_kwargs["path"])
    with within(create_app(load({**product.environ, "REDIS_URL": broker}))) as app:
        yield app


def asked() -> int:
    """A picture brought and its reading asked for, as a page would."""
    with transaction():
        stored = files.keep(licences.photograph(LICENCE, licences.Shot(2.0, 5.0, 75, 1600)), kind="licence", name="营业执照.jpg",
                            content_type=files.JPEG)
        return readings.ask_reading(stored, actor=VISITOR).id


def state(reading_id: int) -> LicenceReading:
    """The row as it is now; the look holds no lock that the product needs."""
    with transaction() as session:
        return session.get_one(LicenceReading, reading_id, populate_existing=True)


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_it_is_small_until_a_licence_comes_and_a_kill_in_the_middle_costs_only_time(product: services.Portal, inside: Flask) -> None:
    (asleep,) = product.pids("ocr")
    assert resident_mb(asleep) < 80
    reading_id = asked()
    wait_for(lambda: state(reading_id).state == "reading", 60, "the reading never began", every=0.05)
    os.kill(asleep, signal.SIGKILL)
    assert state(reading_id).state == "reading", "it was over before the kill: the test proves nothing"
    wait_for(lambda: state(reading_id).ended, 120, "the reading was not taken up again", every=0.05)
    reading = state(reading_id)
    assert (reading.state, reading.attempts) == ("read", 2)
    assert reading.value("uscc") == LICENCE.uscc
    assert "ocr died (signal 9); starting it again" in product.said()
    (awake,) = product.pids("ocr")
    assert awake != asleep
    assert resident_mb(awake) > 200, "the engine stays for the next one"
    assert product.health()["status"] == "ok"


def test_its_end_is_quick_and_without_a_word(product: services.Portal, inside: Flask) -> None:
    (running,) = product.pids("ocr")
    began = time.monotonic()
    os.kill(running, signal.SIGTERM)
    wait_for(lambda: not Path(f"/proc/{running}").exists() or running not in product.pids("ocr"), 10, "it did not end", every=0.05)
    assert time.monotonic() - began < 10
    assert "Traceback" not in product.said()


def test_left_out_it_is_not_started_and_one_beside_it_wakes_and_falls_asleep_again(tmp_path: Path) -> None:
    program = tmp_path / "reader.py"
    program.write_text(f"import sys; sys.path.insert(0, {str(services.ROOT)!r})\n"
                       "from workers import reader\nreader.IDLE = 2\nreader.main()\n", encoding="utf-8")
    with services.portal(tmp_path, OCR="off", **home.move_in(tmp_path)) as portal:
        assert portal.pids("ocr") == []
        assert portal.health()["status"] == "ok"
        redis = portal.redis()
        address = f"unix://{redis.connection_pool.connection_kwargs['path']}"
        alone = subprocess.Popen([sys.executable, str(program)], env={**portal.environ, "OCR": "on", "REDIS_URL": address})
        try:
            for _ in range(2):
                wait_for(lambda: small(alone), 20, "it is not small", every=0.05)
                Queue("ocr", connection=redis, serializer=JSONSerializer).enqueue_call(PERFORM, args=(0,), timeout=60)
                wait_for(lambda: resident_mb(alone.pid) > 90, 30, "it did not wake", every=0.05)
            wait_for(lambda: small(alone), 30, "it did not fall asleep again", every=0.05)
            assert alone.poll() is None, "the same process throughout"
            assert redis.llen("rq:queue:ocr") == 0
        finally:
            alone.terminate()
            alone.wait(20)


def small(process: subprocess.Popen[bytes]) -> bool:
    return 10 < resident_mb(process.pid) < 80


def test_alone_it_says_why_it_does_not_start(tmp_path: Path) -> None:
    assert refused("ocr", VAR_DIR=str(tmp_path)) == "ocr needs the broker: set REDIS_URL, or start everything with  python run.py"
    assert refused("ocr", VAR_DIR=str(tmp_path), REDIS_URL="redis://127.0.0.1:1", OCR="off") == "OCR=off: there is nothing to run"
    assert "OCR='maybe' must be on or off" in refused("ocr", VAR_DIR=str(tmp_path), OCR="maybe")
