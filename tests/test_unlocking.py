"""Confirmed attendance stays: only the authority opens it again, with reasons, and never behind an exam's back (I20, I21)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from app.extensions import db
from models import AttendanceUnlock, AuditEvent, ExamPlan, Notice, TrainingPlan
from tests.classes import confirmed, held, people

REASON = "王五上午实际到课，漏登记"


@pytest.fixture
def plan(login: Any, make: Any) -> TrainingPlan:
    """Confirmed, with one person away."""
    found = held(make)
    client = login("hjp")
    client.post(f"/classes/{found.id}/attendance", data={"attendance": "absent", "ids": [str(people(found)[0].id)]})
    client.post(f"/classes/{found.id}/confirm")
    assert confirmed(found)
    return found


def ask(client: Any, plan: TrainingPlan, reason: str = REASON) -> Any:
    return client.post(f"/classes/{plan.id}/attendance/unlock", data={"remark": reason}, follow_redirects=True)


def the_request() -> AttendanceUnlock:
    return db.session.scalars(select(AttendanceUnlock).order_by(AttendanceUnlock.id.desc())).first()  # type: ignore[return-value]


def decide(client: Any, verdict: str, remark: str = "") -> Any:
    return client.post(f"/reviews/attendance/{the_request().id}/{verdict}", data={"remark": remark}, follow_redirects=True)


def test_from_the_request_to_the_second_confirmation(login: Any, plan: TrainingPlan) -> None:
    client, city = login("hjp"), login("hangzhou")
    assert "等待" in (asked := ask(client, plan).text)
    assert 'href="#unlock">已申请解锁，查看</a>' in asked
    assert ">申请解锁<" not in asked, "it is asked already"
    assert plan.name in city.get("/reviews/attendance/").text
    assert REASON in city.get(f"/reviews/attendance/{the_request().id}").text
    assert "已解锁" in decide(city, "granted").text
    assert not confirmed(plan)
    assert {person.attendance for person in people(plan)} == {None}
    assert [person.attendance_mark for person in people(plan)] == ["absent", None, None, None]
    client.post(f"/classes/{plan.id}/attendance", data={"attendance": "full", "ids": [str(people(plan)[0].id)]})
    client.post(f"/classes/{plan.id}/confirm")
    assert [person.attendance for person in people(plan)] == ["full"] * 4
    told = [(row.event, row.authority_id is not None) for row in db.session.scalars(select(Notice).order_by(Notice.id))]
    assert told == [("unlock_asked", True), ("unlock_granted", False)]
    kept = db.session.scalars(select(AuditEvent.verb).where(AuditEvent.verb.contains("unlock")).order_by(AuditEvent.id)).all()
    assert kept == ["ask_attendance_unlock", "unlock_attendance"]
    newest = db.session.scalars(select(Notice.id).order_by(Notice.id.desc())).first()
    assert client.post(f"/notices/{newest}/open").location == f"/classes/{plan.id}/attendance"


def test_a_refusal_needs_a_reason_and_leaves_all_as_it_was(login: Any, plan: TrainingPlan) -> None:
    client, city = login("hjp"), login("hangzhou")
    ask(client, plan)
    decide(city, "refused")
    assert the_request().state == "asked"
    decide(city, "refused", "签到表显示未到")
    assert the_request().state == "refused"
    assert confirmed(plan)
    assert "签到表显示未到" in client.get(f"/classes/{plan.id}/attendance").text
    decide(city, "granted")
    assert confirmed(plan), "what was decided stays decided"


def test_one_request_at_a_time_with_a_reason_and_it_may_be_taken_back(login: Any, plan: TrainingPlan) -> None:
    client = login("hjp")
    ask(client, plan, "  ")
    assert the_request() is None
    ask(client, plan)
    assert "正在等待主管部门" in ask(client, plan).text
    client.post(f"/classes/{plan.id}/attendance/unlock/drop")
    assert the_request().state == "dropped"
    decide(login("hangzhou"), "granted")
    assert confirmed(plan)
    ask(client, plan)
    assert db.session.scalars(select(AttendanceUnlock.state).order_by(AttendanceUnlock.id)).all() == ["dropped", "asked"]


@pytest.mark.parametrize("state", ["submitted", "accepted", "approved"])
def test_once_an_exam_plan_is_submitted_nobody_unlocks_and_it_says_why(login: Any, make: Any, state: str) -> None:
    exam = make.exam(state, people=2)
    plan = db.session.get_one(TrainingPlan, exam.plan_id)
    client = login("hjp")
    assert f"考核计划“{exam.name}”已按这份考勤上报" in client.get(f"/classes/{plan.id}/attendance").text
    assert "已按这份考勤上报" in ask(client, plan).text
    assert the_request() is None


def test_an_exam_submitted_after_the_request_keeps_it_from_being_granted(login: Any, make: Any) -> None:
    exam = make.exam("draft", people=2)
    plan = db.session.get_one(TrainingPlan, exam.plan_id)
    ask(login("hjp"), plan)
    db.session.execute(update(ExamPlan).where(ExamPlan.id == exam.id).values(**make.review("submitted")))
    db.session.commit()
    city = login("hangzhou")
    assert "已按这份考勤上报" in city.get(f"/reviews/attendance/{the_request().id}").text
    assert "已按这份考勤上报" in decide(city, "granted").text
    assert confirmed(plan)
    assert the_request().state == "asked"


def test_a_draft_exam_waits_for_the_second_confirmation_and_for_who_is_now_away(login: Any, make: Any) -> None:
    exam = make.exam("draft", people=2)
    plan = db.session.get_one(TrainingPlan, exam.plan_id)
    db.session.execute(update(TrainingPlan).where(TrainingPlan.id == plan.id).values(
        class_opened_at=plan.attendance_confirmed_at))
    for day in plan.days:
        day.day = plan.created_at.date()
    db.session.commit()
    client = login("hjp")
    ask(client, plan)
    decide(login("hangzhou"), "granted")
    assert not confirmed(plan)
    assert "请先重新确认考勤" in client.post(f"/exams/{exam.id}/submit", follow_redirects=True).text
    client.post(f"/classes/{plan.id}/attendance", data={"attendance": "absent", "ids": [str(people(plan)[0].id)]})
    client.post(f"/classes/{plan.id}/confirm")
    assert "不能参加本次考核" in client.post(f"/exams/{exam.id}/submit", follow_redirects=True).text
    assert db.session.get_one(ExamPlan, exam.id, populate_existing=True).review_state == "draft"


def test_another_institution_and_another_authority_find_nothing(login: Any, plan: TrainingPlan) -> None:
    assert ask(login("nbp"), plan).status_code == 404
    ask(login("hjp"), plan)
    other = login("ningbo")
    assert plan.name not in other.get("/reviews/attendance/").text
    assert decide(other, "granted").status_code == 404
    assert decide(login("province"), "granted").status_code == 404, "above it one looks, and decides nothing"
    assert login("hjp").post(f"/reviews/attendance/{the_request().id}/granted").status_code in (302, 303, 403)
    assert confirmed(plan)
