"""Opening the class, attendance: only the absent are marked, and what is confirmed stays (I17–I20, C19)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.extensions import db
from models import AuditEvent, Enrolment, PlanDay, TrainingPlan


@pytest.fixture
def plan(make: Any) -> TrainingPlan:
    """Enrolled, window over, training days past."""
    found = make.plan(window=(timedelta(days=-9), timedelta(days=-2)))
    make.paid(found, 4)
    db.session.execute(update(PlanDay).values(day=db.session.scalars(select(PlanDay.day)).first() - timedelta(days=9)))  # type: ignore[operator]
    db.session.commit()
    return found


def people(plan: TrainingPlan) -> list[Enrolment]:
    return list(db.session.scalars(select(Enrolment).where(Enrolment.plan_id == plan.id).order_by(Enrolment.id)))


def state(plan: TrainingPlan) -> tuple[bool, bool]:
    found = db.session.get_one(TrainingPlan, plan.id)
    return found.class_opened_at is not None, found.attendance_confirmed_at is not None


def test_from_opening_to_confirmed_attendance(login: Any, plan: TrainingPlan) -> None:
    client = login("hjp")
    client.post(f"/classes/{plan.id}/open")
    assert state(plan) == (True, False)
    away = people(plan)[1]
    client.post(f"/classes/{plan.id}/attendance", data={"attendance": "absent", "ids": [str(away.id)]})
    client.post(f"/classes/{plan.id}/confirm")
    assert state(plan) == (True, True)
    assert [person.attendance for person in people(plan)] == ["full", "absent", "full", "full"]
    assert "全勤 3 人，缺勤 1 人" in client.get(f"/classes/{plan.id}").text


def test_a_mark_can_be_taken_back_before_the_confirmation_only(login: Any, plan: TrainingPlan) -> None:
    client = login("hjp")
    client.post(f"/classes/{plan.id}/open")
    person = people(plan)[0]
    for attendance in ("absent", "full"):
        client.post(f"/classes/{plan.id}/attendance", data={"attendance": attendance, "ids": [str(person.id)]})
    client.post(f"/classes/{plan.id}/confirm")
    client.post(f"/classes/{plan.id}/attendance", data={"attendance": "absent", "ids": [str(person.id)]})
    assert [person.attendance for person in people(plan)] == ["full"] * 4


def test_before_opening_there_is_no_attendance(login: Any, plan: TrainingPlan) -> None:
    client = login("hjp")
    client.post(f"/classes/{plan.id}/attendance", data={"attendance": "absent", "ids": [str(people(plan)[0].id)]})
    client.post(f"/classes/{plan.id}/confirm")
    assert state(plan) == (False, False)
    assert {person.attendance for person in people(plan)} == {None}


def test_attendance_waits_for_the_last_training_day(login: Any, make: Any) -> None:
    early = make.plan(seats=2)
    make.paid(early, 2)
    client = login("hjp")
    client.post(f"/classes/{early.id}/open")
    client.post(f"/classes/{early.id}/confirm")
    assert state(early) == (True, False)


def test_an_open_window_is_ended_only_when_said(login: Any, make: Any) -> None:
    open_plan = make.plan(seats=10)
    make.paid(open_plan, 2)
    client = login("hjp")
    client.post(f"/classes/{open_plan.id}/open")
    assert state(open_plan) == (False, False)
    client.post(f"/classes/{open_plan.id}/open", data={"early": "1"})
    assert state(open_plan) == (True, False)
    assert not db.session.get_one(TrainingPlan, open_plan.id).enrolling


def test_nobody_enrolled_nothing_opened(login: Any, make: Any) -> None:
    empty = make.plan(window=(timedelta(days=-9), timedelta(days=-2)))
    login("hjp").post(f"/classes/{empty.id}/open", data={"early": "1"})
    assert state(empty) == (False, False)


def test_another_institution_finds_no_class(login: Any, plan: TrainingPlan) -> None:
    client = login("nbp")
    for url in ("", "/open", "/confirm", "/attendance"):
        assert client.open(f"/classes/{plan.id}{url}", method="POST" if url else "GET").status_code == 404
    assert state(plan) == (False, False)


def test_the_contact_of_an_enterprise_is_shown_on_record(login: Any, plan: TrainingPlan) -> None:
    client = login("hjp")
    enterprise_id = people(plan)[0].enterprise_id
    client.post(f"/classes/{plan.id}/contacts/{enterprise_id}")
    assert "13800138001" in client.get(f"/classes/{plan.id}").text
    assert db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "reveal_contact")).one()
    assert client.get(f"/classes/{plan.id}/roster.xlsx").data.startswith(b"PK")
