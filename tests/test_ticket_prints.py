"""准考证 of a large exam: a job draws them, and only who asked has the file, for a day (I25, E18)."""

from __future__ import annotations

import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select

from app import clock
from app.extensions import db
from app.gateways.storage import Storage
from app.operations import ticket_prints
from models import AuditEvent, ExamPlan, Job, StoredFile, TicketPrint
from tests.shop import FIRST as ENTERPRISE
from tests.shop import SECOND as OTHER
from tests.test_exam_papers import of_two, text
from tests.test_seat_races import in_processes

Wanted = tuple[Any, Any]


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two people are many here."""
    monkeypatch.setattr(ticket_prints, "AT_ONCE", 1)


def test_a_large_exam_is_drawn_by_a_job_and_handed_out_when_it_is_done(login: Any, make: Any, run_jobs: Any) -> None:
    exam, people = of_two(make)
    client = login("hjp")
    answer = client.post(f"/exams/{exam.id}/tickets")
    assert answer.status_code == 303
    page = answer.location
    assert "正在生成准考证" in client.get(page).text
    assert client.get(f"{page}/tickets.pdf").status_code == 409
    assert client.post(f"/exams/{exam.id}/tickets").location == page, "asked again, the one under way is shown"
    run_jobs()
    assert "正在生成准考证" not in client.get(page).text
    found = client.get(f"{page}/tickets.pdf")
    assert found.mimetype == "application/pdf"
    assert all(each.enrolment.name in text(found.data) for each in people)
    job = db.session.scalars(select(Job).where(Job.name == ticket_prints.JOB)).one()
    assert (job.state, job.done_units, job.total_units) == ("done", 3, 3)
    assert db.session.scalar(select(func.count()).where(AuditEvent.verb == "download_tickets")) == 1


def test_a_print_is_of_whom_one_may_see_and_nobody_elses(login: Any, make: Any, run_jobs: Any) -> None:
    exam, (one, two, stranger) = of_two(make)
    client = login(ENTERPRISE)
    page = client.post(f"/enrolled/exams/{exam.id}/tickets").location
    run_jobs()
    found = text(client.get(f"{page}/tickets.pdf").data)
    assert one.enrolment.name in found
    assert two.enrolment.name in found
    assert stranger.enrolment.name not in found
    number = page.rsplit("/", 1)[1]
    stored = db.session.scalars(select(StoredFile.id).where(StoredFile.kind == ticket_prints.KIND)).one()
    for username, path in ((OTHER, "/enrolled"), ("hjp", "/exams"), ("nbp", "/exams")):
        other = login(username)
        assert other.get(f"{path}/prints/{number}").status_code == 404
        assert other.get(f"{path}/prints/{number}/tickets.pdf").status_code == 404
        assert other.get(f"/files/{stored}").status_code == 404
    assert login(OTHER).post(f"/enrolled/exams/{exam.id}/tickets").mimetype == "application/pdf", "one person's is handed out at once"


def test_a_print_survives_a_store_that_is_away_a_second_run_and_goes_after_a_day(
        login: Any, make: Any, run_jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.extensions import gateways
    from app.gateways.errors import GatewayError

    exam, _people = of_two(make)
    client = login("hjp")
    page = client.post(f"/exams/{exam.id}/tickets").location

    def away(self: Storage, key: str) -> bytes:
        raise GatewayError("the store is away", permanent=False)

    with monkeypatch.context() as broken:
        broken.setattr(type(gateways().storage), "get", away)
        run_jobs()
    job = db.session.scalars(select(Job).where(Job.name == ticket_prints.JOB)).one()
    assert job.state == "waiting"
    assert db.session.scalars(select(TicketPrint)).one().file_id is None
    ticket_prints.run_draw(job.subject_id, lambda *_counts: None)
    kept = db.session.scalars(select(TicketPrint)).one().file_id
    ticket_prints.run_draw(job.subject_id, lambda *_counts: None)
    assert db.session.scalars(select(TicketPrint)).one().file_id == kept
    ticket_prints.run_tidy(0, lambda *_counts: None)
    assert client.get(page).status_code == 200
    db.session.scalars(select(TicketPrint)).one().created_at = clock.now() - timedelta(days=2)
    db.session.commit()
    ticket_prints.run_tidy(0, lambda *_counts: None)
    assert client.get(page).status_code == 404
    assert db.session.scalar(select(func.count()).where(StoredFile.kind == ticket_prints.KIND)) == 0


def pressed_twice(app: Any, make: Any, look_first: bool = False) -> tuple[int, int, int]:
    """Two windows of one clerk ask in the same moment: how many prints, jobs and entries on record that makes. `look_first` is the naive
    way: looked before the lock is held, and not again."""
    key, actor = make.exam(people=2).id, make.actor("hjp")

    def press() -> bool:
        exam = db.session.get_one(ExamPlan, key)
        if look_first:
            seen = ticket_prints._under_way(exam, actor)
            db.session.rollback()
            time.sleep(0.3)
            setattr(ticket_prints, "_under_way", lambda *_asked: seen)  # noqa: B010  # in this process only
        return isinstance(ticket_prints.ask(exam, actor=actor), TicketPrint)

    assert in_processes(SimpleNamespace(app=app), [press] * 2) == [True, True]
    db.session.rollback()
    counted = (select(func.count(TicketPrint.id)), select(func.count(Job.id)).where(Job.name == ticket_prints.JOB),
               select(func.count()).where(AuditEvent.verb == "download_tickets"))
    prints, asked, recorded = (db.session.scalar(each) or 0 for each in counted)
    return prints, asked, recorded


def test_pressed_twice_at_once_is_one_print_one_job_and_one_entry_on_record(app: Any, make: Any) -> None:
    assert pressed_twice(app, make) == (1, 1, 1)


def test_looked_for_before_the_lock_is_held_it_would_be_drawn_twice(app: Any, make: Any) -> None:
    """Negative control."""
    assert pressed_twice(app, make, look_first=True) == (2, 2, 2)
