"""Licences read by machine: a proposal for the form, and never in anyone's way (E1)."""

from __future__ import annotations

import builtins
import dataclasses
import importlib.util
import io
import socket
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import func, select

from app import files, jobs
from app.actors import VISITOR
from app.documents import samples
from app.extensions import db, transaction
from app.gateways.errors import GatewayError
from app.gateways.ocr import LicenceReader, Line, NotInstalled
from app.operations import readings
from models import AuditEvent, Job, LicenceReading, StoredFile
from tests import licences
from workers import reader as process
from workers.jobs import perform_here

CODE = "91330100MA2AAAA05G"
LINES = [Line("统一社会信用代码", ((0, 0), (160, 0), (160, 20), (0, 20)), 0.99), Line(CODE, ((0, 30), (200, 30), (200, 50), (0, 50)), 0.97)]


class Engine(LicenceReader):
    """A reader that answers what it was told to."""

    def __init__(self, *answers: list[Line] | BaseException) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked = 0

    def read(self, jpeg: bytes, quarter_turns: int = 0) -> list[Line]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def reads_with(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[[LicenceReader], LicenceReader]:
    """`reads_with(reader)`: the portal reads licences with this one."""

    def install(reader: LicenceReader) -> LicenceReader:
        monkeypatch.setitem(app.extensions, "gateways", dataclasses.replace(app.extensions["gateways"], reader=reader))
        return reader

    return install


def picture(data: bytes = b"") -> StoredFile:
    with transaction():
        return files.keep(data or samples.paper("营业执照"), kind="licence", name="营业执照.jpg", content_type=files.JPEG)


def asked(data: bytes = b"") -> LicenceReading:
    return readings.ask_reading(picture(data), actor=VISITOR)


def job_of(reading: LicenceReading) -> Job:
    found = jobs.latest("read_licence", reading.id)
    assert found is not None
    return found


def test_a_drawn_licence_is_read_from_end_to_end(
        app: Flask, reads_with: Callable[..., Any], run_jobs: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The one test that loads the engine; and it asks nobody over a network."""

    def refuse(*_args: object) -> None:
        raise AssertionError("reading must not use the network")

    reads_with(LicenceReader())
    licence = licences.invent(7)
    reading = asked(lying(licences.photograph(licence, licences.Shot(3.0, 6.0, 70, 1600))))
    assert readings.explain_reading(reading) == "正在排队识别营业执照，您可以先手工填写。"
    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        assert run_jobs() == 1
    assert (reading.state, reading.attempts, reading.error) == ("read", 1, "")
    assert {name: reading.value(name) for name in reading.fields} == licences.printed(licence)
    assert all(field["confidence"] > 0.5 for field in reading.fields.values())
    assert reading.finished_at is not None
    assert job_of(reading).state == "done"


def lying(jpeg: bytes) -> bytes:
    """The same picture on its side, as a telephone that lay may send it."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(jpeg)) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(out, "JPEG", quality=75)
    return out.getvalue()


def test_asking_writes_row_job_and_audit_together_or_not_at_all(reads_with: Callable[..., Any]) -> None:
    reads_with(Engine(LINES))
    stored = picture()

    def ask_and_think_again() -> None:
        with transaction():
            readings.ask_reading(stored, actor=VISITOR)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        ask_and_think_again()
    assert [db.session.scalar(select(func.count()).select_from(table)) for table in (LicenceReading, Job)] == [0, 0]
    reading = readings.ask_reading(stored, actor=VISITOR)
    assert readings.reading_of(stored) is reading
    assert job_of(reading).state == "waiting"
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "ask_licence_reading")).one()
    assert (event.subject_id, event.facts) == (reading.id, {"file": stored.id})


def test_the_newest_reading_of_a_picture_counts(reads_with: Callable[..., Any]) -> None:
    reads_with(Engine(LINES))
    stored = picture()
    assert readings.reading_of(stored) is None
    readings.ask_reading(stored, actor=VISITOR)
    second = readings.ask_reading(stored, actor=VISITOR)
    assert readings.reading_of(stored) is second
    assert readings.reading_of(picture()) is None


def test_a_picture_that_was_taken_back_takes_its_readings_along(reads_with: Callable[..., Any], run_jobs: Callable[[], int]) -> None:
    engine = reads_with(Engine(LINES))
    stored = picture()
    reading = readings.ask_reading(stored, actor=VISITOR)
    job = job_of(reading)
    with transaction():
        files.forget(stored)
    assert run_jobs() == 1
    assert (job.state, engine.asked) == ("done", 0)
    assert db.session.scalar(select(func.count()).select_from(LicenceReading)) == 0


def test_a_second_run_of_the_job_changes_nothing(reads_with: Callable[..., Any], run_jobs: Callable[[], int]) -> None:
    engine = reads_with(Engine(LINES, []))
    reading = asked()
    run_jobs()
    readings.read_licence(reading.id, lambda _done, _total: None)
    db.session.expire_all()
    assert (reading.state, reading.value("uscc"), engine.asked) == ("read", CODE, 4)  # each way up, once
    readings.read_licence(reading.id + 1000, lambda _done, _total: None)


def test_a_reading_whose_process_was_killed_is_taken_up_again(reads_with: Callable[..., Any], clock: Any) -> None:
    reads_with(Engine(KeyboardInterrupt(), LINES))  # what no handler catches, as a kill
    reading = asked()
    with pytest.raises(KeyboardInterrupt):
        perform_here(job_of(reading).id)
    db.session.rollback()
    db.session.expire_all()
    assert (reading.state, reading.attempts) == ("reading", 1)
    assert not perform_here(job_of(reading).id), "the lease is still held"
    clock.advance(seconds=31)
    assert perform_here(job_of(reading).id)
    db.session.expire_all()
    assert (reading.state, reading.attempts, reading.value("uscc")) == ("read", 2, CODE)


def test_a_picture_that_takes_the_process_with_it_is_given_up_after_three_times(reads_with: Callable[..., Any], clock: Any) -> None:
    reads_with(Engine(KeyboardInterrupt()))
    reading = asked()
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            perform_here(job_of(reading).id)
        db.session.rollback()
        clock.advance(seconds=31)
    assert perform_here(job_of(reading).id)
    db.session.expire_all()
    assert (reading.state, reading.fields) == ("failed", {})
    assert readings.explain_reading(reading) == "没有识别成功，请手工填写。"
    assert job_of(reading).state == "done"


def test_trouble_of_the_engine_is_tried_again_and_then_said(reads_with: Callable[..., Any], clock: Any) -> None:
    reads_with(Engine(GatewayError("out of memory", permanent=False)))
    reading = asked()
    for attempt in (1, 2):
        perform_here(job_of(reading).id)
        db.session.expire_all()
        assert (reading.state, reading.attempts, job_of(reading).state) == ("reading", attempt, "waiting")
        clock.advance(seconds=60)
    perform_here(job_of(reading).id)
    db.session.expire_all()
    assert (reading.state, reading.error, job_of(reading).state) == ("failed", "out of memory", "done")


def test_what_is_no_picture_fails_at_once(reads_with: Callable[..., Any], run_jobs: Callable[[], int]) -> None:
    reader = reads_with(LicenceReader())
    reader._engine = lambda picture: pytest.fail("it never comes so far")
    reading = asked(b"not a picture")
    assert run_jobs() == 1
    assert (reading.state, reading.attempts) == ("failed", 1)


def test_without_the_packages_the_job_ends_and_says_so(
        reads_with: Callable[..., Any], run_jobs: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "onnxruntime" else found(name, *rest))
    reader = reads_with(LicenceReader())
    reading = asked()
    assert run_jobs() == 1
    assert (reading.state, reading.error) == ("unavailable", "not installed: onnxruntime")
    assert readings.explain_reading(reading) == "识别组件未安装，请手工填写。"
    assert job_of(reading).state == "done"
    assert not reader.loaded


def test_packages_that_cannot_be_loaded_are_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def broken(name: str, *rest: Any, **more: Any) -> Any:
        if name == "rapidocr":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return load(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(NotInstalled, match="libGL"):
        LicenceReader().read(samples.paper("营业执照"))


def test_switched_off_nothing_is_asked_for_and_the_form_is_free(app: Flask, run_jobs: Callable[[], int]) -> None:
    assert app.extensions["settings"].ocr == "off"
    reading = asked()
    assert (reading.state, reading.ended) == ("unavailable", True)
    assert jobs.latest("read_licence", reading.id) is None
    assert run_jobs() == 0
    with pytest.raises(NotInstalled):
        LicenceReader("off").read(b"")


def test_a_code_that_does_not_check_is_not_offered(reads_with: Callable[..., Any], run_jobs: Callable[[], int]) -> None:
    reads_with(Engine([LINES[0], dataclasses.replace(LINES[1], text=CODE[:-1] + "H")]))
    reading = asked()
    run_jobs()
    assert reading.fields["uscc"] == {"value": CODE[:-1] + "H", "confidence": 0.0, "suspect": True}
    assert reading.value("uscc") == ""
    assert "统一社会信用代码没有识别准确" in readings.explain_reading(reading)


def test_a_picture_with_nothing_on_it_says_so(reads_with: Callable[..., Any], run_jobs: Callable[[], int]) -> None:
    reads_with(Engine([]))
    reading = asked()
    run_jobs()
    assert (reading.state, reading.fields) == ("read", {})
    assert readings.explain_reading(reading) == "没有从图片中识别出营业执照内容，请手工填写。"


def test_readings_have_a_queue_of_their_own_and_keep_nobody_else_waiting(app: Flask, reads_with: Callable[..., Any]) -> None:
    assert jobs.OWN_QUEUE["read_licence"] == process.QUEUE
    reads_with(Engine(LINES))
    reading, other = job_of(asked()), jobs.schedule("reconcile_seats", 0)
    db.session.commit()
    assert jobs.due(queue_name="portal") == [reading.id, other.id], "without a queue of its own it goes with the others"
    app.extensions["queues"] = {"portal": object(), "ocr": object()}
    try:
        assert [jobs.queue_of(name) for name in ("read_licence", "reconcile_seats")] == ["ocr", "portal"]
        assert [jobs.due(queue_name=name) for name in ("portal", "ocr")] == [[other.id], [reading.id]]
        assert jobs.due() == [reading.id, other.id]
    finally:
        del app.extensions["queues"]
