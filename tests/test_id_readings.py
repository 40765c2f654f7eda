"""The fronts of ID cards are read and compared with what was typed: a hint, taken up again after a kill, never a block (I18)."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app import clock as moments
from app import jobs
from app.documents import samples
from app.documents.id_card import name_and_number
from app.extensions import db
from app.gateways.errors import GatewayError
from app.gateways.ocr import LicenceReader, Line
from app.identifiers import parse_id_number
from app.operations import id_readings, photos
from app.operations.id_readings import Hint, hints_of
from models import Enrolment, PhotoReading
from tests.factory import id_number

ENTERPRISE = "91330100MA2AAAA05G"


def line(text: str, x: float, y: float, width: float = 100) -> Line:
    return Line(text, ((x, y), (x + width, y), (x + width, y + 20), (x, y + 20)), 0.98)


class Engine(LicenceReader):
    """A reader that answers, picture by picture, what it was told to."""

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers = list(answers)

    def read(self, jpeg: bytes, quarter_turns: int = 0) -> list[Line]:
        assert not db.session().in_transaction(), "a lock is held while the engine reads"
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        found: list[Line] = answer
        return found


@pytest.fixture
def reads_with(app: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(*answers: Any) -> None:
        reader = Engine(*answers) if answers else LicenceReader()
        monkeypatch.setitem(app.extensions, "gateways", dataclasses.replace(app.extensions["gateways"], reader=reader))

    return install


def right(text: str) -> bool:
    try:
        return bool(parse_id_number(text, moments.shanghai_day()))
    except ValueError:
        return False


@pytest.mark.parametrize("lines", [
    [line("姓名 王建国", 10, 10), line("公民身份号码 330106199001010018", 10, 300)],
    [line("姓名", 10, 10), line("王建国", 130, 12), line("性别男民族汉", 10, 60), line("330106199001010018", 200, 300)],
    [line("姓名王建国", 10, 10), line("住址浙江省杭州市", 10, 200), line("公民身份号码330106 19900101 0018", 10, 300)],
])
def test_name_and_number_are_found_however_the_lines_came(lines: list[Line]) -> None:
    assert name_and_number(lines, right) == ("王建国", "330106199001010018")


def test_a_number_that_does_not_check_is_not_taken_and_not_mended() -> None:
    assert name_and_number([line("公民身份号码330106199001010019", 10, 300)], right) == ("", "")


def given(make: Any, count: int = 1) -> list[Enrolment]:
    batch = make.batch(make.plan(), count, photos=False)
    for person in batch.enrolments:
        person.name = "王建华"
        db.session.commit()
        photos.upload_one(person, "id_front", samples.id_front(person.name, person.id_number), actor=make.actor(ENTERPRISE))
    db.session.expire_all()
    return list(db.session.scalars(select(Enrolment).where(Enrolment.batch_id == batch.id).order_by(Enrolment.id)))


def test_a_drawn_card_is_read_and_agrees(make: Any, reads_with: Any, run_jobs: Any) -> None:
    """The one test here that loads the engine."""
    reads_with()
    person, = given(make)
    assert hints_of([person])[person.id] == Hint("waiting", "waiting")
    run_jobs()
    assert hints_of([person])[person.id] == Hint("match", "match")


def test_what_differs_is_said_and_what_cannot_be_read_too(make: Any, login: Any, reads_with: Any, run_jobs: Any) -> None:
    reads_with([line("姓名王建国", 10, 10), line(f"公民身份号码{id_number(900)}", 10, 300)], [])
    first, second = given(make, 2)
    run_jobs()
    hints = hints_of([first, second])
    assert hints[first.id] == Hint("differs", "differs", "王建国")
    assert hints[second.id] == Hint("unreadable", "unreadable")
    page = login(ENTERPRISE).get(f"/enrol/batches/{first.batch_id}/photos").text
    assert "识别姓名不一致" in page
    assert "识别身份证号不一致" in page
    assert id_number(900) not in page
    differing = db.session.scalars(select(Enrolment.id).where(id_readings.seems_to_differ())).all()
    assert differing == [first.id]


def test_more_than_a_few_are_read_in_several_jobs_so_that_others_come_between(
        make: Any, reads_with: Any, run_jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_readings, "AT_ONCE", 2)
    reads_with([line("姓名王建国", 10, 10), line(id_number(900), 10, 300)])
    given(make, 5)
    run_jobs()
    assert set(db.session.scalars(select(PhotoReading.state))) == {"read"}


def test_a_front_whose_process_was_killed_is_read_after_all_and_one_that_kills_three_times_is_given_up(
        make: Any, reads_with: Any, clock: Any) -> None:
    reads_with(KeyboardInterrupt())
    person, = given(make)
    job = jobs.latest("read_id_fronts", person.batch_id or 0)
    assert job is not None
    for _time in range(3):
        with pytest.raises(KeyboardInterrupt):
            id_readings.run_readings(job.subject_id, lambda _done, _total: None)
        db.session.rollback()
        clock.advance(minutes=3)
    id_readings.run_readings(job.subject_id, lambda _done, _total: None)
    db.session.expire_all()
    reading = db.session.scalars(select(PhotoReading)).one()
    assert (reading.state, reading.attempts) == ("failed", 4)
    assert clock.now() - reading.created_at > timedelta(minutes=5)


def test_an_engine_that_stumbles_leaves_no_hint_and_blocks_nobody(make: Any, login: Any, reads_with: Any, run_jobs: Any) -> None:
    reads_with(GatewayError("out of memory", permanent=False))
    person, = given(make)
    run_jobs()
    assert hints_of([person])[person.id] == Hint("unreadable", "unreadable")
    assert login(ENTERPRISE).get(f"/enrol/batches/{person.batch_id}/photos").status_code == 200


def test_with_the_reading_switched_off_nothing_is_asked_for(make: Any) -> None:
    person, = given(make)
    assert jobs.latest("read_id_fronts", person.batch_id or 0) is None
    assert hints_of([person])[person.id] == Hint()
