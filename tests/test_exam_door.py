"""核验准考证 at the door of an exam: who is admitted, once, and what a second person with the same ticket meets (I25, E18)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from app import clock, presentation
from app.extensions import db
from app.operations import door
from app.operations.door import SAME_SCAN
from app.operations.papers import token
from models import ExamPlan, Sitting
from tests.test_exam_papers import check, of_two


@pytest.fixture
def today(make: Any) -> tuple[ExamPlan, list[Sitting]]:
    """An exam that begins in an hour, with three people in one room."""
    exam, people = of_two(make)
    exam.starts_at, exam.ends_at = clock.now() + timedelta(hours=1), clock.now() + timedelta(hours=3)
    db.session.commit()
    return exam, people


def admitted(sitting: Sitting) -> Sitting:
    return db.session.get_one(Sitting, sitting.id, populate_existing=True)


def earlier(sitting: Sitting, by: timedelta = timedelta(minutes=10)) -> str:
    """As if the ticket had been shown that long ago; the time of day that is said."""
    row = admitted(sitting)
    assert row.admitted_at is not None
    row.admitted_at -= by
    db.session.commit()
    return presentation.moment(admitted(sitting).admitted_at)[-5:]


def test_a_ticket_shown_twice_is_told_with_the_time_and_by_whom(login: Any, today: Any) -> None:
    exam, (one, two, _stranger) = today
    client = login("hjp")
    first = check(client, exam, token(one))
    assert (first.json["tone"], first.json["scanned"], first.json["people"]) == ("ok", 1, 3)
    at, name = earlier(one), admitted(one).admitted_by_name
    for code in (token(one), one.ticket_number):
        again = check(client, exam, code)
        assert again.json["tone"] == "warn"
        assert f"{at} 已由{name}核验入场" in again.json["message"]
        assert "准考证有效" not in again.json["message"]
        assert again.json["scanned"] == 1
    assert check(client, exam, token(two)).json["tone"] == "ok"
    assert "2 / 3" in client.get(f"/exams/{exam.id}/door").text
    page = client.get(f"/exams/{exam.id}").text
    assert "已入场 2 人" in page
    assert f"{at} 入场" in page


def test_a_scan_sent_again_because_its_answer_was_lost_is_no_second_person(login: Any, today: Any) -> None:
    exam, (one, *_rest) = today
    client = login("hjp")
    check(client, exam, token(one))
    was = admitted(one).admitted_at
    # The phone tries again after a minute and says that the scan is a minute old.
    row = admitted(one)
    row.admitted_at = was - timedelta(seconds=60) + SAME_SCAN / 5
    db.session.commit()
    answer = client.post(f"/exams/{exam.id}/door", data={"code": token(one), "session": "0", "waited": "60"},
                         headers={"X-Requested-With": "fetch"})
    assert answer.json["tone"] == "ok"
    row = admitted(one)
    row.admitted_by_name = "另一位"
    db.session.commit()
    assert "已由另一位核验入场" in check(client, exam, token(one)).json["message"]


def test_at_the_wrong_door_and_outside_the_hours_nobody_is_admitted(login: Any, today: Any) -> None:
    exam, (one, *_rest) = today
    client = login("hjp")
    assert "不在本考场" in check(client, exam, token(one), 999).json["message"]
    assert admitted(one).admitted_at is None
    for starts, ends in ((3, 4), (-3, -1)):
        row = db.session.get_one(ExamPlan, exam.id, populate_existing=True)
        row.starts_at, row.ends_at = clock.now() + timedelta(hours=starts), clock.now() + timedelta(hours=ends)
        db.session.commit()
        assert "未登记入场" in check(client, row, token(one)).json["message"]
        assert admitted(one).admitted_at is None
        exam = row


def test_of_two_doors_at_once_one_admits(login: Any, today: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    exam, (one, *_rest) = today
    named = door._named

    def outrun(*args: Any) -> Any:
        found = named(*args)
        db.session.execute(update(Sitting).where(Sitting.id == one.id).values(admitted_at=clock.now(), admitted_by_name="另一位")
                           .execution_options(synchronize_session=False))
        return found

    monkeypatch.setattr(door, "_named", outrun)
    assert "已由另一位核验入场" in check(login("hjp"), exam, token(one)).json["message"]
    assert admitted(one).admitted_by_name == "另一位"


def test_an_admission_without_a_name_cannot_be_written(make: Any) -> None:
    _exam, (one, *_rest) = of_two(make)
    one.admitted_at = clock.now()
    with pytest.raises(IntegrityError):
        db.session.commit()
    db.session.rollback()
