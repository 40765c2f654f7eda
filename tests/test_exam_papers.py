"""准考证, 签到表, 桌签, 汇总表, and the check at the door (I25, E18, C10)."""

from __future__ import annotations

import io
from typing import Any

import pytest
from openpyxl import load_workbook
from pypdf import PdfReader
from sqlalchemy import select

from app.extensions import db
from app.operations.papers import token
from models import ExamPlan, ExamRoom, Sitting, TrainingPlan
from tests.shop import FIRST as ENTERPRISE
from tests.shop import SECOND as OTHER


def text(data: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


def sittings(exam: ExamPlan) -> list[Sitting]:
    return list(db.session.scalars(select(Sitting).where(Sitting.exam_plan_id == exam.id).order_by(Sitting.id)))


def of_two(make: Any) -> tuple[ExamPlan, list[Sitting]]:
    """An approved exam with two people of one enterprise and one of another."""
    exam = make.exam(people=2)
    plan = db.session.get_one(TrainingPlan, exam.plan_id)
    stranger = make.paid(plan, 1, enterprise=OTHER).enrolments[0]
    stranger.attendance = "full"
    room = sittings(exam)[0].room_id
    db.session.add(Sitting(exam_plan_id=exam.id, enrolment_id=stranger.id, room_id=room, seat=7, ticket_number="999000111"))
    db.session.commit()
    return exam, sittings(exam)


def check(client: Any, exam: ExamPlan, code: str, room: int = 0) -> Any:
    return client.post(f"/exams/{exam.id}/door", data={"code": code, "session": str(room)}, headers={"X-Requested-With": "fetch"})


def test_every_paper_names_the_right_people_and_the_labels_have_their_seats(login: Any, make: Any) -> None:
    exam, people = of_two(make)
    elsewhere = make.exam(people=1, institution="nbp")
    client = login("hjp")
    papers = {name: client.post(f"/exams/{exam.id}/{name}", data=data) for name, data in (
        ("tickets", {}), ("sign-in", {}), ("desk-labels", {}), ("summary", {"format": "pdf"}))}
    stranger = sittings(elsewhere)[0]
    for name, answer in papers.items():
        assert answer.mimetype == "application/pdf", name
        found = text(answer.data)
        assert all(each.enrolment.name in found and each.ticket_number in found for each in people), name
        assert stranger.enrolment.name not in found
        assert stranger.ticket_number not in found
        assert (people[0].enrolment.id_number in found) == (name == "tickets"), name
    assert "07" in text(papers["desk-labels"].data)
    assert "考生须知" in text(papers["tickets"].data)
    cells = {str(cell.value) for row in load_workbook(io.BytesIO(client.post(f"/exams/{exam.id}/summary").data)).worksheets[0].iter_rows()
             for cell in row}
    assert {each.ticket_number for each in people} <= cells


def test_an_enterprises_tickets_hold_nobody_of_another(login: Any, make: Any) -> None:
    exam, (one, two, stranger) = of_two(make)
    found = text(login(ENTERPRISE).post(f"/enrolled/exams/{exam.id}/tickets").data)
    assert one.enrolment.name in found
    assert two.enrolment.name in found
    assert stranger.enrolment.name not in found
    theirs = PdfReader(io.BytesIO(login(OTHER).post(f"/enrolled/exams/{exam.id}/tickets").data))
    assert len(theirs.pages) == 1
    assert stranger.ticket_number in theirs.pages[0].extract_text()


@pytest.mark.parametrize("path", ["tickets", "sign-in", "desk-labels", "summary", "door"])
def test_another_institutions_exam_is_not_there(login: Any, make: Any, path: str) -> None:
    exam = make.exam(people=1)
    assert login("nbp").post(f"/exams/{exam.id}/{path}", data={"code": "1"}).status_code == 404
    assert login("nbp").get(f"/exams/{exam.id}/door").status_code == 404


def test_the_sheet_of_one_room_is_that_rooms(login: Any, make: Any) -> None:
    exam, people = of_two(make)
    other = make.exam(people=1)
    client = login("hjp")
    assert people[0].enrolment.name in text(client.post(f"/exams/{exam.id}/sign-in", data={"room": str(people[0].room_id)}).data)
    assert client.post(f"/exams/{exam.id}/sign-in", data={"room": str(sittings(other)[0].room_id)}).status_code == 404


def test_the_sheet_follows_room_and_seat_after_moves_by_hand(login: Any, make: Any) -> None:
    exam = make.exam(people=4)
    one, two, three, four = people = sittings(exam)
    second = ExamRoom(exam_plan_id=exam.id, number=2, occupation_id=one.room.occupation_id, place="")
    db.session.add(second)
    for each in people:
        each.seat += 10
    db.session.flush()
    one.room, one.seat = second, 1
    two.seat, three.seat, four.seat = 5, 2, 1
    db.session.commit()
    sheet = PdfReader(io.BytesIO(login("hjp").post(f"/exams/{exam.id}/sign-in").data))
    first, last = (page.extract_text() for page in sheet.pages)
    places = [first.index(each.ticket_number) for each in (four, three, two)]
    assert places == sorted(places)
    assert "第 1 考场" in first
    assert "第 2 考场" in last
    assert one.ticket_number in last
    assert one.ticket_number not in first


LONG = "买买提·阿卜杜热合曼·吐尔逊江"


def written(data: bytes) -> list[tuple[str, float, float]]:
    """Each piece of text with its baseline from the foot of the page and its size, in points."""
    found: list[tuple[str, float, float]] = []
    for page in PdfReader(io.BytesIO(data)).pages:
        page.extract_text(visitor_text=lambda piece, outer, matrix, _font, size: found.append(
            (piece.strip(), outer[5] + outer[3] * matrix[5], abs(outer[3] * matrix[3]) * size)))
    return [each for each in found if each[0]]


def test_a_long_name_stays_in_its_row_and_beside_what_belongs_to_it(login: Any, make: Any) -> None:
    exam = make.exam(people=3)
    _first, second, _last = people = sittings(exam)
    second.enrolment.name = LONG
    db.session.commit()
    client = login("hjp")
    sheet = written(client.post(f"/exams/{exam.id}/sign-in").data)
    base, size = next((base, size) for text, base, size in sheet if people[1].ticket_number in text)
    lines = [(base, size) for text, base, size in sheet if text in LONG and len(text) > 1]
    assert lines, "the name is on the sheet"
    middle, half_a_row = base + 0.38 * size, 7 / 2 * 72 / 25.4
    assert all(abs(low + 0.38 * high - middle) + high / 2 <= half_a_row for low, high in lines), "no line crosses a rule"
    ticket = written(client.post(f"/exams/tickets/{second.id}").data)
    label, value = (next(base for text, base, _size in ticket if text == word) for word in ("性别", second.enrolment.sex))
    assert label == value


def test_who_has_left_since_is_on_no_paper_and_not_let_in(login: Any, make: Any) -> None:
    exam, (one, two, _stranger) = of_two(make)
    code = token(one)
    one.enrolment.state = "withdrawn"
    db.session.commit()
    client = login("hjp")
    for name in ("tickets", "sign-in", "desk-labels"):
        found = text(client.post(f"/exams/{exam.id}/{name}").data)
        assert one.enrolment.name not in found
        assert two.enrolment.name in found
    assert "已退出" in check(client, exam, code).json["message"]


def test_a_name_that_no_font_can_print_is_said_on_the_page_and_on_the_ticket(login: Any, make: Any) -> None:
    exam = make.exam(people=1)
    person = sittings(exam)[0].enrolment
    person.name = "王\U0003fffe"
    db.session.commit()
    client = login("hjp")
    assert "字库里没有下列姓名中的字" in client.get(f"/exams/{exam.id}").text
    exam.review_state = "draft"
    db.session.commit()
    assert "王\U0003fffe（U+3FFFE）" in client.get(f"/exams/{exam.id}/edit").text, "before the rooms are drawn up"
    exam.review_state = "approved"
    db.session.commit()
    found = text(client.post(f"/exams/{exam.id}/tickets").data)
    assert "王〔U+3FFFE〕" in found
    assert "请监考人员用笔补写" in found


def test_the_door_shows_whose_ticket_it_is_and_where_to_sit(login: Any, make: Any) -> None:
    exam, (one, *_rest) = of_two(make)
    answer = check(login("hjp"), exam, token(one))
    assert answer.json["name"] == one.enrolment.name
    assert answer.json["tone"] == "ok"
    assert "准考证有效" in answer.json["message"]
    assert "第 1 考场" in answer.json["message"]
    assert one.enrolment.id_number not in answer.text
    assert login("hjp").get(answer.json["portrait"]).mimetype == "image/jpeg"


def test_the_door_tells_the_forged_the_other_exam_and_the_other_room(login: Any, make: Any) -> None:
    exam, (one, two, _stranger) = of_two(make)
    other, foreign = make.exam(people=1), make.exam(people=1, institution="nbp")
    client = login("hjp")
    good = token(one)
    forged = f"PXKS:{two.ticket_number}:{good.rpartition(':')[2]}"
    told = {code: check(client, exam, code, room) for code, room in (
        (forged, 0), ("PXKS:1:" + "0" * 20, 0), (token(sittings(other)[0]), 0), (token(sittings(foreign)[0]), 0), ("你好", 0), ("123", 0))}
    assert ["伪造" in each.json["message"] for each in told.values()] == [True, True, False, False, False, False]
    assert [each.status_code for each in told.values()] == [422] * 6
    assert f"这是“{other.name}”的准考证" in told[token(sittings(other)[0])].json["message"]
    hidden = told[token(sittings(foreign)[0])].json["message"]
    assert "其他机构" in hidden
    assert foreign.name not in hidden
    assert "不在本考场" in check(client, exam, good, 999).json["message"]
    assert "没有核验二维码" in check(client, exam, one.ticket_number).json["message"]


def test_there_is_no_door_before_the_approval(login: Any, make: Any) -> None:
    exam = make.exam("submitted", people=1)
    client = login("hjp")
    assert "还不能核验" in client.get(f"/exams/{exam.id}/door").text
    assert "审核通过后才能核验" in check(client, exam, token(sittings(exam)[0])).json["message"]
