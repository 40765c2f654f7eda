"""考场与座位: shown before it is fixed, the institution's own rooms, moving by hand within the rule, and who keeps a seat (I22, C7)."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select

from app import clock
from app.extensions import db
from app.operations.seating import Room, allocate
from models import AuditEvent, Enrolment, ExamPlan, ExamRoom, PlanDay, Sitting, TrainingPlan
from models import Room as OwnRoom
from tests.test_exams import enrolled, form


def drawn_up(login: Any, make: Any, people: int = 32, **changed: Any) -> ExamPlan:
    """An exam that was saved through the page."""
    plan = make.attended(people, photos=False, occupations=("020",))
    login("hjp").post(f"/exams/add/{plan.id}", data=form(plan, enrolled(plan), **changed))
    return db.session.scalars(select(ExamPlan).where(ExamPlan.plan_id == plan.id)).one()


def seats(exam: ExamPlan) -> dict[int, tuple[int, int, str]]:
    """Room number, seat and ticket by enrolment id."""
    rows = db.session.scalars(select(Sitting).where(Sitting.exam_plan_id == exam.id))
    return {row.enrolment_id: (row.room.number, row.seat, row.ticket_number) for row in rows}


def at(exam: ExamPlan, room: int, seat: int) -> Sitting:
    return db.session.scalars(select(Sitting).join(ExamRoom, Sitting.room_id == ExamRoom.id).where(
        Sitting.exam_plan_id == exam.id, ExamRoom.number == room, Sitting.seat == seat)).one()


def rooms(exam: ExamPlan) -> dict[int, ExamRoom]:
    return {room.number: room for room in db.session.scalars(select(ExamRoom).where(ExamRoom.exam_plan_id == exam.id))}


def test_rooms_without_a_place_are_told_before_the_exam_is_submitted(login: Any, make: Any) -> None:
    exam = drawn_up(login, make)
    rooms(exam)[1].place = "教学楼 301"
    db.session.commit()
    assert "第 2 考场还没有填写地点，准考证上只有考核地点“考试中心”" in login("hjp").get(f"/exams/{exam.id}").text


def move(client: Any, exam: ExamPlan, person: Sitting, to: str) -> Any:
    return client.post(f"/exams/{exam.id}/seats", follow_redirects=True, data={
        "person": str(person.id), "from": f"{person.room_id}-{person.seat}", "to": to})


@pytest.mark.parametrize(("people", "limits", "numbers"), [
    (list(range(9)), {1: 4}, [(1, 4), (2, 5)]), (list(range(12)), {1: 4, 2: 3}, [(1, 4), (2, 3), (3, 5)]),
])
def test_a_smaller_room_holds_fewer(people: list[int], limits: dict[int, int], numbers: list[tuple[int, int]]) -> None:
    assert [(room.number, len(room.people)) for room in allocate([("A", people)], 5, limits=limits)] == numbers


def test_whoever_is_seated_stays_and_the_new_take_what_is_free() -> None:
    before = [Room(1, "A", {1: 11, 2: 12, 3: 13}), Room(2, "B", {1: 21}), Room(3, "A", {1: 14})]
    after = allocate([("A", [12, 13, 14, 15, 16, 17, 18]), ("C", [31])], 3, kept=before)
    assert {room.number: (room.key, room.seats) for room in after} == {
        1: ("A", {1: 15, 2: 12, 3: 13}), 3: ("A", {1: 14, 2: 16, 3: 17}), 2: ("A", {1: 18}), 4: ("C", {1: 31})}


def test_the_rooms_are_shown_before_anything_is_saved(login: Any, make: Any) -> None:
    plan = make.attended(32, photos=False, occupations=("020",))
    answer = login("hjp").post(f"/exams/add/{plan.id}", data=form(plan, enrolled(plan), act="preview"))
    assert answer.status_code == 200
    assert "考场编排预览" in answer.text
    assert "2 个考场" in answer.text
    assert db.session.scalars(select(ExamPlan)).all() == []


def test_the_institutions_own_rooms_give_place_and_capacity(login: Any, make: Any) -> None:
    own = db.session.scalars(select(OwnRoom).where(OwnRoom.institution_id == make.institution().id, OwnRoom.kind == "exam")).one()
    own.capacity = 20
    db.session.commit()
    exam = drawn_up(login, make, room_ids=[str(own.id)])
    assert {number: (room.room_id, room.place, len(room.sittings)) for number, room in rooms(exam).items()} == {
        1: (own.id, own.name, 20), 2: (None, "", 12)}


def test_another_institutions_room_is_not_taken(login: Any, make: Any) -> None:
    strange = OwnRoom(institution_id=make.institution("nbp").id, key="x", name="别家", address="别家", capacity=40, kind="exam")
    db.session.add(strange)
    db.session.commit()
    plan = make.attended(2)
    client = login("hjp")
    client.post(f"/exams/add/{plan.id}", data=form(plan, enrolled(plan), room_ids=[str(strange.id)]))
    assert db.session.scalars(select(ExamPlan)).all() == []
    exam = make.exam("draft", people=1)
    room = rooms(exam)[1]
    client.post(f"/exams/{exam.id}/rooms", data={f"room-{room.id}": "", f"own-{room.id}": str(strange.id)})
    assert db.session.get_one(ExamRoom, room.id).room_id is None


def test_a_room_too_small_for_its_people_or_chosen_twice_is_refused(login: Any, make: Any) -> None:
    exam = drawn_up(login, make)
    own = db.session.scalars(select(OwnRoom).where(OwnRoom.institution_id == make.institution().id, OwnRoom.kind == "exam")).one()
    both = {f"own-{room.id}": str(own.id) for room in rooms(exam).values()} | {f"room-{room.id}": "" for room in rooms(exam).values()}
    client = login("hjp")
    assert "不能同时作两个考场" in client.post(f"/exams/{exam.id}/rooms", data=both, follow_redirects=True).text
    own.capacity = 20
    db.session.commit()
    first = rooms(exam)[1]
    told = client.post(f"/exams/{exam.id}/rooms", data={f"room-{first.id}": "", f"own-{first.id}": str(own.id)},
                       headers={"Referer": f"http://localhost/exams/{exam.id}/seats"}, follow_redirects=True).text
    assert "只能坐 20 人" in told
    assert [room.room_id for room in rooms(exam).values()] == [None, None]


def test_two_people_change_places_and_keep_their_tickets(login: Any, make: Any) -> None:
    exam = drawn_up(login, make)
    before = seats(exam)
    one, two = at(exam, 1, 3), at(exam, 2, 2)
    told = move(login("hjp"), exam, one, f"{two.room_id}-2-{two.id}").text
    assert "已对调座位" in told
    after = seats(exam)
    assert after[one.enrolment_id] == (2, 2, before[one.enrolment_id][2])
    assert after[two.enrolment_id] == (1, 3, before[two.enrolment_id][2])
    assert {key: value for key, value in after.items() if key not in (one.enrolment_id, two.enrolment_id)} == {
        key: value for key, value in before.items() if key not in (one.enrolment_id, two.enrolment_id)}
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "move_seat")).one()
    assert event.facts["changed"]["seat"] == ["第 1 考场 03 号", "第 2 考场 02 号"]


def test_a_person_moves_to_a_free_seat_or_a_new_room_and_an_empty_room_goes(login: Any, make: Any) -> None:
    exam = drawn_up(login, make, people=31)
    client = login("hjp")
    alone = at(exam, 2, 1)
    move(client, exam, alone, f"{alone.room_id}-17-0")
    assert seats(exam)[alone.enrolment_id][:2] == (2, 17)
    move(client, exam, at(exam, 1, 5), "0-1-0")
    assert seats(exam)[enrolled(db.session.get_one(TrainingPlan, exam.plan_id))[4].id][:2] == (3, 1)
    move(client, exam, at(exam, 2, 17), f"{rooms(exam)[1].id}-5-0")
    assert sorted(rooms(exam)) == [1, 3]


def test_a_room_of_31_is_refused_by_hand_and_by_a_tampered_request(login: Any, make: Any) -> None:
    exam = drawn_up(login, make)
    client, before = login("hjp"), seats(exam)
    one, full = at(exam, 2, 1), rooms(exam)[1]
    page = client.get(f"/exams/{exam.id}/seats?person={one.id}").text
    assert f'value="{full.id}-30-' in page
    assert f'value="{full.id}-31-' not in page
    assert "最多 30 人" in move(client, exam, one, f"{full.id}-31-0").text
    assert "刚有变动" in move(client, exam, one, f"{full.id}-30-0").text
    assert "没有看懂" in move(client, exam, one, f"{full.id}--5-0").text
    for target in (f"{full.id}-0-0", "999999-1-0"):
        move(client, exam, one, target)
    assert seats(exam) == before


def test_occupations_are_never_mixed_and_other_exams_not_reached(login: Any, make: Any) -> None:
    plan = make.plan(occupations=("020", "040"))
    make.paid(plan, 2, occupation="020")
    make.paid(plan, 2, occupation="040")
    plan = db.session.get_one(TrainingPlan, plan.id)
    plan.class_opened_at = plan.attendance_confirmed_at = plan.created_at
    for person in enrolled(plan):
        person.attendance = "full"
    db.session.commit()
    client = login("hjp")
    client.post(f"/exams/add/{plan.id}", data=form(plan, enrolled(plan)))
    exam = db.session.scalars(select(ExamPlan)).one()
    other = make.exam("draft", people=1)
    before = seats(exam)
    one = at(exam, 1, 1)
    assert "不同工种不能同场" in move(client, exam, one, f"{rooms(exam)[2].id}-5-0").text
    swapped = at(exam, 2, 1)
    assert "不同工种不能同场" in move(client, exam, one, f"{swapped.room_id}-1-{swapped.id}").text
    assert move(client, exam, one, f"{rooms(other)[1].id}-5-0").status_code == 404
    assert move(client, other, one, f"{rooms(other)[1].id}-5-0").status_code == 404
    stranger = login("nbp")
    assert stranger.get(f"/exams/{exam.id}/seats").status_code == 404
    assert move(stranger, exam, one, f"{one.room_id}-5-0").status_code == 404
    assert seats(exam) == before


def test_a_stale_page_and_a_doubled_click_change_nothing_twice(login: Any, make: Any) -> None:
    exam = drawn_up(login, make)
    client = login("hjp")
    one, two = at(exam, 1, 1), at(exam, 1, 2)
    data = {"person": str(one.id), "from": f"{one.room_id}-1", "to": f"{two.room_id}-2-{two.id}"}
    client.post(f"/exams/{exam.id}/seats", data=data)
    once = seats(exam)
    assert "刚被调整过" in client.post(f"/exams/{exam.id}/seats", data=data, follow_redirects=True).text
    assert seats(exam) == once
    client.post(f"/exams/{exam.id}/submit")
    assert "不能修改" in move(client, exam, at(exam, 1, 5), f"{two.room_id}-6-{at(exam, 1, 6).id}").text
    assert seats(exam) == once


def test_a_changed_list_keeps_whom_it_can(login: Any, make: Any) -> None:
    exam = drawn_up(login, make)
    client = login("hjp")
    plan = db.session.get_one(TrainingPlan, exam.plan_id)
    one, two = at(exam, 1, 3), at(exam, 2, 2)
    move(client, exam, one, f"{two.room_id}-2-{two.id}")
    before, people = seats(exam), enrolled(plan)
    client.post(f"/exams/{exam.id}/edit", data=form(plan, [each for each in people if each.id != people[6].id]))
    kept = seats(exam)
    assert kept == {key: value for key, value in before.items() if key != people[6].id}
    client.post(f"/exams/{exam.id}/edit", data=form(plan, people))
    again = seats(exam)
    assert {key: value for key, value in again.items() if key != people[6].id} == kept
    assert again[people[6].id][:2] == (1, 7)
    assert again[people[6].id][2] not in {ticket for _room, _seat, ticket in kept.values()}


def test_by_the_rule_anew_puts_everyone_back_and_leaves_the_tickets(login: Any, make: Any) -> None:
    exam = drawn_up(login, make)
    client = login("hjp")
    before = seats(exam)
    one, two = at(exam, 1, 3), at(exam, 2, 2)
    move(client, exam, one, f"{two.room_id}-2-{two.id}")
    assert seats(exam) != before
    client.post(f"/exams/{exam.id}/seats/again", data={"fresh": "1"})
    assert seats(exam) == before


@pytest.mark.parametrize("change", [{"state": "withdrawn"}, {"attendance": "absent"}])
def test_who_left_after_the_plan_was_drawn_up_drops_out_cleanly(login: Any, make: Any, change: dict[str, str]) -> None:
    exam = drawn_up(login, make, people=4)
    client, before = login("hjp"), seats(exam)
    gone = enrolled(db.session.get_one(TrainingPlan, exam.plan_id))[1]
    for name, value in change.items():
        setattr(gone, name, value)
    db.session.commit()
    page = client.get(f"/exams/{exam.id}").text
    assert "不能参加本次考核" in page
    client.post(f"/exams/{exam.id}/submit")
    assert db.session.get_one(ExamPlan, exam.id).review_state == "draft"
    assert gone.name in client.get(f"/exams/{exam.id}/seats").text
    client.post(f"/exams/{exam.id}/seats/again")
    assert seats(exam) == {key: value for key, value in before.items() if key != gone.id}
    client.post(f"/exams/{exam.id}/submit")
    assert db.session.get_one(ExamPlan, exam.id).review_state == "submitted"


def test_a_room_where_another_exam_sits_at_that_time_is_told(login: Any, make: Any) -> None:
    own = db.session.scalars(select(OwnRoom).where(OwnRoom.institution_id == make.institution().id, OwnRoom.kind == "exam")).one()
    first = drawn_up(login, make, people=2, room_ids=[str(own.id)])
    second = drawn_up(login, make, people=2, room_ids=[str(own.id)])
    client = login("hjp")
    client.post(f"/exams/{first.id}/submit")
    client.post(f"/exams/{second.id}/submit")
    assert db.session.get_one(ExamPlan, second.id).review_state == "draft"
    assert "同一时间已安排考核" in client.get(f"/exams/{second.id}").text
    second = db.session.get_one(ExamPlan, second.id)
    second.starts_at += timedelta(days=1)
    second.ends_at += timedelta(days=1)
    db.session.commit()
    client.post(f"/exams/{second.id}/submit")
    assert db.session.get_one(ExamPlan, second.id).review_state == "submitted"
    assert db.session.scalars(select(Enrolment.id)).first() is not None


@pytest.mark.parametrize(("session", "taken"), [("all", True), ("morning", True), ("afternoon", False)])
def test_a_room_in_which_a_class_is_taught_at_that_time_is_told(login: Any, make: Any, session: str, taken: bool) -> None:
    own = db.session.scalars(select(OwnRoom).where(OwnRoom.institution_id == make.institution().id, OwnRoom.kind == "exam")).one()
    exam = drawn_up(login, make, people=2, room_ids=[str(own.id)])
    begin = clock.at_shanghai(clock.shanghai_day(exam.starts_at), 9)
    exam.starts_at, exam.ends_at = begin, begin + timedelta(hours=2)
    taught = make.plan("approved")
    taught.days[0].day, taught.days[0].session, taught.days[0].room_id = clock.shanghai_day(begin), session, own.id
    db.session.commit()
    client = login("hjp")
    assert "还没有填写地点" not in client.get(f"/exams/{exam.id}").text
    assert ("的课堂，请换一间或改时间" in client.get(f"/exams/{exam.id}").text) == taken
    client.post(f"/exams/{exam.id}/submit")
    assert db.session.get_one(ExamPlan, exam.id, populate_existing=True).review_state == ("draft" if taken else "submitted")


@pytest.mark.parametrize(("state", "session", "taken"), [("approved", "morning", True), ("approved", "afternoon", False),
                                                         ("rejected", "morning", False)])
def test_a_class_is_not_planned_in_a_room_in_which_an_exam_sits(login: Any, make: Any, state: str, session: str, taken: bool) -> None:
    own = db.session.scalars(select(OwnRoom).where(OwnRoom.institution_id == make.institution().id, OwnRoom.kind == "exam")).one()
    exam = make.exam(state, people=1)
    begin = clock.at_shanghai(clock.shanghai_day(exam.starts_at), 9)
    exam.starts_at, exam.ends_at, exam.rooms[0].room_id = begin, begin + timedelta(hours=2), own.id
    db.session.execute(delete(PlanDay))  # of the class before the exam, whose teacher is the same
    plan = make.plan("draft")
    plan.days[0].day, plan.days[0].session, plan.days[0].room_id = clock.shanghai_day(begin), session, own.id
    db.session.commit()
    client = login("hjp")
    client.post(f"/plans/{plan.id}/submit")
    answer = client.get(f"/plans/{plan.id}").text
    said = f"场地“{own.name}” {clock.shanghai_day(begin).isoformat()} 上午已用于“{exam.name}”"
    assert (said in answer) == taken
    assert db.session.get_one(TrainingPlan, plan.id, populate_existing=True).review_state == ("draft" if taken else "submitted")


@pytest.mark.parametrize(("state", "told"), [
    ("submitted", "请先撤回"), ("accepted", "审核期间不能修改"), ("approved", "已审核通过，不能再修改"),
])
def test_seats_of_a_plan_out_of_hand_stay_and_it_is_said_why(login: Any, make: Any, state: str, told: str) -> None:
    exam = make.exam(state, people=1)
    before = seats(exam)
    client = login("hjp")
    for answer in (client.get(f"/exams/{exam.id}/seats"), client.get(f"/exams/{exam.id}/edit"),
                   client.post(f"/exams/{exam.id}/seats/again", data={"fresh": "1"}, follow_redirects=True)):
        assert told in answer.text
    assert seats(exam) == before


def proposed(page: str) -> tuple[str, bool]:
    """The beginning that the form of a new exam shows, and whether its room is ticked."""
    begin = re.search(r'name="starts_at"[^>]*value="([^"]+)"|value="([^"]+)"[^>]*name="starts_at"', page)
    assert begin is not None
    return begin[1] or begin[2], 'name="room_ids"' in page and re.search(r'name="room_ids" value="\d+" checked', page) is not None


def test_a_new_exam_is_offered_a_time_at_which_its_room_is_free(login: Any, make: Any) -> None:
    client = login("hjp")
    own = db.session.scalars(select(OwnRoom).where(OwnRoom.institution_id == make.institution().id, OwnRoom.kind == "exam")).one()
    exam = drawn_up(login, make, people=2, room_ids=[str(own.id)])
    plan = make.attended(2, photos=False, occupations=("020",))
    begin, ticked = proposed(client.get(f"/exams/add/{plan.id}").text)
    assert ticked
    exam.starts_at = clock.at_shanghai(date.fromisoformat(begin[:10]), 9)
    exam.ends_at = exam.starts_at + timedelta(hours=2)
    db.session.commit()
    assert proposed(client.get(f"/exams/add/{plan.id}").text) == (begin, True), "a draft holds no room"
    client.post(f"/exams/{exam.id}/submit")
    page = client.get(f"/exams/add/{plan.id}").text
    assert proposed(page) == (f"{begin[:10]}T14:00", True), "the afternoon of the same day"
    assert "所选时间已占用" not in page
    taught = make.plan("approved")
    taught.days[0].day, taught.days[0].session, taught.days[0].room_id = date.fromisoformat(begin[:10]), "afternoon", own.id
    db.session.commit()
    assert proposed(client.get(f"/exams/add/{plan.id}").text)[0] == f"{date.fromisoformat(begin[:10]) + timedelta(days=1)}T09:00"
    taken = form(plan, enrolled(plan), starts_at=f"{begin[:10]}T10:00", ends_at=f"{begin[:10]}T12:00", room_ids=[str(own.id)],
                 act="preview")
    for words in ("所选时间已占用", f"考核“{exam.name}”", "请换一间或改时间，否则不能提交审核"):
        assert words in client.post(f"/exams/add/{plan.id}", data=taken).text, words
    assert "所选时间已占用" not in client.get(f"/exams/{exam.id}").text
    long_ago = {**taken, "starts_at": "0001-01-01T00:00", "ends_at": "0001-01-01T02:00"}
    assert client.post(f"/exams/add/{plan.id}", data=long_ago).status_code == 200
    client.get("/lang/en")
    assert "Taken at this time" in client.post(f"/exams/add/{plan.id}", data=taken).text
