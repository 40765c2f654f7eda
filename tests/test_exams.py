"""Exam plans, rooms, papers (I21–I25, E18, C7, C10, C16)."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from openpyxl import load_workbook
from pypdf import PdfReader
from sqlalchemy import select

from app import clock as module
from app.extensions import db
from app.operations.seating import allocate
from models import Enrolment, ExamPlan, ExamRoom, Sitting, TrainingPlan

ENTERPRISE, OTHER = "91330100MA2AAAA05G", "91330212MA2AAAA052"


@pytest.mark.parametrize(("groups", "rooms"), [
    ([("A", 50), ("B", 30), ("C", 20)], [(1, "A", 30), (2, "A", 20), (3, "B", 30), (4, "C", 20)]),
    ([("A", 31), ("B", 1)], [(1, "A", 30), (2, "A", 1), (3, "B", 1)]), ([], []), ([("A", 0)], []),
])
def test_rooms_are_filled_as_the_manual_says(groups: list[tuple[str, int]], rooms: list[tuple[int, str, int]]) -> None:
    found = allocate([(key, list(range(count))) for key, count in groups], 30)
    assert [(room.number, room.key, len(room.people)) for room in found] == rooms


def form(plan: TrainingPlan, people: list[Enrolment], **changed: Any) -> dict[str, Any]:
    start = module.shanghai_day() + timedelta(days=30)
    chosen = [str(each.id) for each in people]
    return {"place": "考试中心", "starts_at": f"{start}T09:00", "ends_at": f"{start}T11:00", "enrolment_ids": chosen, **changed}


def enrolled(plan: TrainingPlan) -> list[Enrolment]:
    return list(db.session.scalars(select(Enrolment).where(Enrolment.plan_id == plan.id).order_by(Enrolment.id)))


def test_everyone_is_seated_by_occupation_with_a_ticket_of_their_own(login: Any, make: Any) -> None:
    plan = make.attended(32, photos=False, occupations=("020",))
    login("hjp").post(f"/exams/add/{plan.id}", data=form(plan, enrolled(plan)))
    exam = db.session.scalars(select(ExamPlan)).one()
    assert [len(room.sittings) for room in exam.rooms] == [30, 2]
    tickets = [sitting.ticket_number for sitting in exam.sittings]
    assert len(set(tickets)) == 32
    assert [sitting.enrolment_id for sitting in exam.sittings] == [person.id for person in enrolled(plan)]


@pytest.mark.parametrize(("changed", "told"), [
    ({"place": " "}, "此项必填"), ({"enrolment_ids": []}, "至少选择一名考生"), ({"starts_at": "2020-01-01T09:00"}, "最后一个培训日"),
    ({"ends_at": "2020-01-01T09:00"}, "结束时间应晚于"), ({"starts_at": "2027-02-31T09:00"}, "请填写有效的日期和时间"),
])
def test_a_broken_rule_of_an_exam_is_told(login: Any, make: Any, changed: dict[str, Any], told: str) -> None:
    plan = make.attended(2)
    page = login("hjp").post(f"/exams/add/{plan.id}", data=form(plan, enrolled(plan), **changed))
    assert told in page.text
    assert db.session.scalars(select(ExamPlan)).all() == []


def test_the_absent_and_strangers_cannot_sit(login: Any, make: Any) -> None:
    plan = make.attended(3, absent=1)
    away = enrolled(plan)[0]
    stranger = make.attended(1, institution="nbp")
    client = login("hjp")
    for extra in (away, enrolled(stranger)[0]):
        client.post(f"/exams/add/{plan.id}", data=form(plan, [extra]))
    assert db.session.scalars(select(ExamPlan)).all() == []
    assert f'name="enrolment_ids" value="{away.id}"' not in client.get(f"/exams/add/{plan.id}").text


def test_without_confirmed_attendance_there_is_no_exam(login: Any, make: Any) -> None:
    plan = make.plan()
    make.paid(plan, 2)
    assert login("hjp").post(f"/exams/add/{plan.id}", data=form(plan, enrolled(plan))).status_code in (303, 409)
    assert db.session.scalars(select(ExamPlan)).all() == []


def test_nobody_sits_two_exams_at_once(login: Any, make: Any) -> None:
    exam = make.exam("approved", people=2)
    plan = db.session.get_one(TrainingPlan, exam.plan_id)
    login("hjp").post(f"/exams/add/{plan.id}", data=form(plan, enrolled(plan)))
    assert len(db.session.scalars(select(ExamPlan)).all()) == 1


def test_who_failed_may_sit_again_once_the_scores_stand(login: Any, make: Any) -> None:
    report = make.report("approved", people=2)
    plan = db.session.get_one(TrainingPlan, report.exam_plan.plan_id)
    failed, passed = db.session.scalars(select(Sitting).order_by(Sitting.id)).all()
    failed.result = "failed"
    db.session.commit()
    client = login("hjp")
    client.post(f"/exams/add/{plan.id}", data=form(plan, [passed.enrolment]))
    assert len(db.session.scalars(select(ExamPlan)).all()) == 1
    client.post(f"/exams/add/{plan.id}", data=form(plan, [failed.enrolment]))
    assert len(db.session.scalars(select(ExamPlan)).all()) == 2


def test_the_places_of_rooms_are_kept_and_other_exams_untouched(login: Any, make: Any) -> None:
    mine, other = make.exam("draft", people=1), make.exam("draft", people=1, institution="nbp")
    rooms = {room.exam_plan_id: room for room in db.session.scalars(select(ExamRoom))}
    login("hjp").post(f"/exams/{mine.id}/rooms", data={f"room-{room.id}": "教学楼 301" for room in rooms.values()})
    assert db.session.get_one(ExamRoom, rooms[mine.id].id).place == "教学楼 301"
    assert db.session.get_one(ExamRoom, rooms[other.id].id).place == "101"


def test_submit_withdraw_accept_approve_and_confirm_online_once(login: Any, make: Any, standins: Any) -> None:
    exam = make.exam("draft", people=2)
    client, city = login("hjp"), login("hangzhou")
    for verb in ("submit", "withdraw", "submit"):
        client.post(f"/exams/{exam.id}/{verb}")
    client.post(f"/exams/{exam.id}/confirm")
    assert db.session.get_one(ExamPlan, exam.id).online_confirmed_at is None
    for step in ("accept", "approve"):
        city.post(f"/reviews/exams/{exam.id}/{step}")
    for _twice in range(2):
        client.post(f"/exams/{exam.id}/confirm")
    assert db.session.get_one(ExamPlan, exam.id).online_confirmed_at is not None
    sessions = standins.control("exam", "sessions.json")
    assert exam.number in str(sessions)


@pytest.mark.parametrize("state", ["draft", "submitted", "accepted", "rejected"])
def test_there_are_no_papers_before_the_approval(login: Any, make: Any, state: str) -> None:
    exam = make.exam(state, people=1)
    client = login("hjp")
    for paper in ("tickets", "sign-in", "summary"):
        answer = client.post(f"/exams/{exam.id}/{paper}")
        assert answer.status_code == 303
        assert answer.mimetype != "application/pdf"


def test_the_papers_name_everyone(login: Any, make: Any) -> None:
    exam = make.exam(people=3)
    client = login("hjp")
    tickets = PdfReader(io.BytesIO(client.post(f"/exams/{exam.id}/tickets").data))
    assert len(tickets.pages) == 3
    text = "".join(page.extract_text() for page in tickets.pages)
    sheet = "".join(page.extract_text() for page in PdfReader(io.BytesIO(client.post(f"/exams/{exam.id}/sign-in").data)).pages)
    summary = load_workbook(io.BytesIO(client.post(f"/exams/{exam.id}/summary").data)).worksheets[0]
    cells = {str(cell.value) for row in summary.iter_rows() for cell in row}
    for sitting in db.session.scalars(select(Sitting).where(Sitting.exam_plan_id == exam.id)):
        assert sitting.ticket_number in text
        assert sitting.ticket_number in sheet
        assert sitting.ticket_number in cells
        assert sitting.enrolment.id_number in text, "the door compares it with the card"
        assert sitting.enrolment.id_number not in sheet + str(cells)


def test_an_enterprise_prints_its_own_tickets_only(login: Any, make: Any) -> None:
    exam = make.exam(people=2)
    sitting = db.session.scalars(select(Sitting).where(Sitting.exam_plan_id == exam.id)).first()
    assert sitting is not None
    own = login(ENTERPRISE)
    assert "下载准考证" in own.get("/enrolled/").text
    assert own.post(f"/enrolled/tickets/{sitting.id}").data.startswith(b"%PDF")
    assert len(PdfReader(io.BytesIO(own.post(f"/enrolled/exams/{exam.id}/tickets").data)).pages) == 2
    other = login(OTHER)
    assert other.post(f"/enrolled/tickets/{sitting.id}").status_code == 404
    assert other.post(f"/enrolled/exams/{exam.id}/tickets").status_code == 404
    assert exam.name not in other.get("/enrolled/").text


def test_an_exam_is_edited_and_its_people_seated_anew(login: Any, make: Any) -> None:
    exam = make.exam("rejected", people=3)
    plan = db.session.get_one(TrainingPlan, exam.plan_id)
    kept = enrolled(plan)[:2]
    answer = login("hjp").post(f"/exams/{exam.id}/edit", data=form(plan, kept, place="新考点"))
    assert answer.status_code == 303
    assert db.session.get_one(ExamPlan, exam.id).place == "新考点"
    assert {sitting.enrolment_id for sitting in db.session.scalars(select(Sitting))} == {person.id for person in kept}
