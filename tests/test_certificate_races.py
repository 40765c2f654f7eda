"""生成证书 pressed twice at once, by real processes, with negative controls: decided before the lock is held, the same race makes two
certificates of one person, or it proves nothing."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select, text

from app.errors import Conflict
from app.extensions import db
from app.operations import certificates
from models import AuditEvent, Certificate, CertificateCounter, Job, ScoreReport, Sitting
from tests.test_seat_races import in_processes
from workers.jobs import perform_here

PEOPLE = 5


def pressed_twice(app: Any, make: Any) -> ScoreReport:
    """Two clerks press 生成证书 in the same moment, and two workers take up what they asked for."""
    report, actor = make.report(people=PEOPLE), make.actor("hangzhou")
    key = report.id

    def press() -> bool:
        try:
            asked = certificates.start_issue([db.session.get_one(ScoreReport, key)], actor=actor)
        except Conflict:  # too late: everyone has one
            return True
        return all(perform_here(job.id) or True for job in asked)

    assert in_processes(SimpleNamespace(app=app), [press] * 2) == [True, True]
    return report


def issued() -> tuple[int, int, int]:
    """Certificates, people who have one, and the last serial given out."""
    found = db.session.execute(select(func.count(Certificate.id), func.count(Certificate.enrolment_id.distinct()))).one()
    return found[0], found[1], db.session.scalar(select(CertificateCounter.last)) or 0


def asked_for() -> tuple[int, int]:
    """Jobs, and presses on record."""
    jobs = db.session.scalar(select(func.count(Job.id)).where(Job.name == certificates.ISSUE_JOB))
    return jobs or 0, db.session.scalar(select(func.count(AuditEvent.id)).where(AuditEvent.verb == "issue_certificates")) or 0


def decide_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The naive way: who lacks a certificate is looked up before the lock is held, and not again."""
    run = certificates.run_issue

    def naive(report_id: int, report: Any) -> None:
        lacking = list(db.session.scalars(select(Sitting.id).where(Sitting.result == "passed")))
        db.session.rollback()
        time.sleep(0.3)
        monkeypatch.setattr(certificates, "lacks_certificate", lambda: Sitting.id.in_(lacking))
        run(report_id, report)

    monkeypatch.setitem(perform_here.__globals__["JOBS"], certificates.ISSUE_JOB, naive)
    # One job for each press, or there is no race.
    monkeypatch.setattr(certificates, "start_issue", lambda reports, *, actor: [
        _asked(report) for report in reports])


def _asked(report: ScoreReport) -> Job:
    from app import jobs
    from app.extensions import transaction

    with transaction():
        return jobs.schedule(certificates.ISSUE_JOB, report.id)


def test_pressed_twice_at_once_makes_each_certificate_once_and_leaves_no_gap(app: Any, make: Any) -> None:
    pressed_twice(app, make)
    assert issued() == (PEOPLE, PEOPLE, PEOPLE)
    assert asked_for() == (1, 1), "the second press finds the job of the first"
    assert sorted(int(number[-6:]) for number in db.session.scalars(select(Certificate.number))) == [1, 2, 3, 4, 5]


def test_decided_before_the_lock_is_held_it_would_make_two_of_each(app: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control, without the indexes as well."""
    decide_first(monkeypatch)
    for index in ("certificate_first_once", "certificate_valid_once"):
        db.session.execute(text(f"DROP INDEX {index}"))
    db.session.commit()
    pressed_twice(app, make)
    assert issued() == (2 * PEOPLE, PEOPLE, 2 * PEOPLE)


def test_even_then_the_table_itself_refuses_a_second_one_and_its_serials_come_back(app: Any, make: Any,
                                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    decide_first(monkeypatch)
    pressed_twice(app, make)
    assert issued() == (PEOPLE, PEOPLE, PEOPLE)
    assert sorted(db.session.scalars(select(Job.state).where(Job.name == certificates.ISSUE_JOB))) == ["done", "failed"]

