"""考勤 session by session and as a whole: by hand, by rule, from a sheet; exports; two people at once (I20, X4)."""

from __future__ import annotations

import io
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.extensions import db
from app.operations import attendance, classes
from app.operations.scanning import short_code
from models import AuditEvent, Parameter, TrainingPlan
from tests.classes import confirmed, days, held, marks, people
from tests.test_scores import kept

ENTERPRISE = "91330100MA2AAAA05G"
FETCH = {"X-Requested-With": "fetch"}


def cell(plan: TrainingPlan, person: int, session: int | None) -> str:
    """The name of a cell in the form; session None is the whole training."""
    return f"{people(plan)[person].id}-{days(plan)[session] if session is not None else 0}"


def tick(client: Any, plan: TrainingPlan, *cells: str, shown: str = "") -> Any:
    return client.post(f"/classes/{plan.id}/attendance/marks", data={"shown": shown, "away": list(cells)}, headers=FETCH)


def results(plan: TrainingPlan) -> list[str | None]:
    return [person.attendance for person in people(plan)]


def test_only_who_was_away_is_marked_and_the_mark_can_be_taken_back(login: Any, make: Any) -> None:
    plan, client = held(make), login("hjp")
    answer = tick(client, plan, cell(plan, 1, 0), cell(plan, 1, 2)).json
    assert answer["people"][str(people(plan)[1].id)] == {"missed": 2, "absent": False, "by": ""}
    assert answer["sessions"][str(days(plan)[0])] == 1
    assert marks(plan) == {(1, 0): "absent", (1, 2): "absent"}
    tick(client, plan, shown=cell(plan, 1, 0))
    assert marks(plan) == {(1, 2): "absent"}
    said = db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "mark_sessions").order_by(AuditEvent.id)).all()
    assert [list(each.facts["absent"].values()) for each in said] == [[[people(plan)[1].id]] * 2, []]


def test_a_page_saved_whole_writes_only_what_its_person_changed(login: Any, make: Any) -> None:
    """Both opened the page while nothing was marked; what the other has ticked meanwhile stays."""
    plan = held(make)
    login("hjp").post(f"/classes/{plan.id}/attendance/marks", data={"shown": "", "away": [cell(plan, 0, 0)]})
    login("hjp").post(f"/classes/{plan.id}/attendance/marks", data={"shown": "", "away": [cell(plan, 3, 1)]})
    assert marks(plan) == {(0, 0): "absent", (3, 1): "absent"}


def test_a_session_still_to_come_another_class_and_nonsense_are_not_marked(login: Any, make: Any) -> None:
    plan, other = held(make, sessions=((0, "all"), (1, "all"))), held(make)
    client = login("hjp")
    assert tick(client, plan, cell(plan, 0, 1)).status_code == 409
    assert tick(client, plan, cell(other, 0, 0), f"{people(plan)[0].id}-{days(other)[0]}", "x-y", "12", "-").status_code == 200
    assert marks(plan) == marks(other) == {}
    assert tick(login("nbp"), plan, cell(plan, 0, 0)).status_code == 404
    assert tick(client, held(make, opened=False), "1-1").status_code == 409


def test_the_institution_decides_by_mark_and_sees_what_was_missed(login: Any, make: Any) -> None:
    plan, client = held(make), login("hjp")
    tick(client, plan, *(cell(plan, 0, session) for session in range(3)), cell(plan, 2, None))
    page = client.get(f"/classes/{plan.id}/attendance").text
    assert "由本机构逐人标记" in page
    client.post(f"/classes/{plan.id}/confirm")
    assert results(plan) == ["full", "full", "absent", "full"]


def test_by_the_share_a_person_is_away_and_may_be_kept_by_hand(login: Any, make: Any) -> None:
    db.session.merge(Parameter(key="attendance_share", value="50"))
    db.session.commit()
    plan, client = held(make), login("hjp")
    away = [cell(plan, person, session) for person in (0, 1) for session in (0, 1)]
    answer = tick(client, plan, *away, cell(plan, 2, 0)).json
    assert [one["by"] for one in answer["people"].values()] == ["rule", "rule", ""]
    assert answer["absent"] == 2
    assert "缺勤 2 人，其余 2 人" in answer["question"]
    tick(client, plan, shown=cell(plan, 1, None))
    assert "报名人员" in client.get(f"/classes/{plan.id}?attendance=absent").text
    client.post(f"/classes/{plan.id}/confirm")
    assert results(plan) == ["absent", "full", "full", "full"]
    assert tick(client, plan, cell(plan, 3, 0)).status_code == 409
    assert (3, 0) not in marks(plan)


def sheet_of(client: Any, plan: TrainingPlan) -> Any:
    book = load_workbook(io.BytesIO(client.get(f"/classes/{plan.id}/attendance/template.xlsx").data))
    return book, book["考勤"]


def bring(client: Any, plan: TrainingPlan, book: Any) -> Any:
    out = io.BytesIO()
    book.save(out)
    return client.post(f"/classes/{plan.id}/attendance/upload", data={"workbook": (io.BytesIO(out.getvalue()), "考勤.xlsx")},
                       follow_redirects=True)


def test_a_sheet_is_downloaded_filled_in_and_taken(login: Any, make: Any) -> None:
    plan, client = held(make), login("hjp")
    tick(client, plan, cell(plan, 0, 0))
    book, sheet = sheet_of(client, plan)
    assert [sheet.cell(3, 1).value, sheet.cell(3, 2).value] == [short_code(plan.id, people(plan)[0].id), people(plan)[0].name]
    assert sheet.cell(3, 4).value == "缺"
    assert people(plan)[0].id_number not in str([value for row in sheet.iter_rows(values_only=True) for value in row])
    sheet.cell(3, 4).value = None
    sheet.cell(4, 5).value = "缺勤"
    sheet.cell(5, 7).value = "缺"
    asked = bring(client, plan, book).text
    assert people(plan)[0].name in asked, "an absence would be taken back"
    assert marks(plan) == {(0, 0): "absent"}, "nothing is written before the answer"
    assert "考勤已写入，3 处有变化，其中替换原有考勤 1 处" in answer(client, plan, asked).text
    assert marks(plan) == {(1, 1): "absent"}
    client.post(f"/classes/{plan.id}/confirm")
    assert results(plan) == ["full", "full", "absent", "full"]


def answer(client: Any, plan: TrainingPlan, page: str, which: str = "all") -> Any:
    return client.post(f"/classes/{plan.id}/attendance/upload/take", data={"kept": kept(page), "which": which}, follow_redirects=True)


def test_a_sheet_from_before_later_marks_asks_by_person_before_it_takes_them_back(login: Any, make: Any) -> None:
    plan, client = held(make), login("hjp")
    book, sheet = sheet_of(client, plan)
    tick(client, plan, cell(plan, 0, None), cell(plan, 1, 0))
    client.post(f"/classes/{plan.id}/attendance/scan", data={"session": days(plan)[2], "code": short_code(plan.id, people(plan)[2].id)})
    sheet.cell(5, 6).value = sheet.cell(6, 4).value = "缺"
    before = {(1, 0): "absent", (2, 2): "present"}
    asked = bring(client, plan, book).text
    for words in (people(plan)[0].name, people(plan)[1].name, people(plan)[2].name, "整体缺勤", "逐人标记", "页面登记", "扫码签到",
                  "有 3 处与已有考勤不同，还没有写入", "另有 1 处是新登记的"):
        assert words in asked, words
    assert people(plan)[3].name not in asked, "what is only added is nobody's loss"
    assert (marks(plan), people(plan)[0].attendance_mark) == (before, "absent")
    assert "考勤已写入，1 处有变化。" in answer(client, plan, asked, "fresh").text
    assert (marks(plan), people(plan)[0].attendance_mark) == ({**before, (3, 0): "absent"}, "absent")
    assert login("nbp").post(f"/classes/{plan.id}/attendance/upload/take", data={"kept": kept(asked), "which": "all"}).status_code == 404
    for _twice in range(2):
        assert "考勤已写入" in answer(client, plan, asked).text
        assert marks(plan) == {(2, 2): "absent", (3, 0): "absent"}
    assert people(plan)[0].attendance_mark is None


def test_a_mark_made_while_the_person_looked_is_not_written_over(login: Any, make: Any) -> None:
    plan, other, client = held(make), held(make), login("hjp")
    book, sheet = sheet_of(client, plan)
    sheet.cell(6, 4).value = "缺"
    tick(client, plan, cell(plan, 1, 2))
    asked = bring(client, plan, book).text
    client.post(f"/classes/{plan.id}/attendance/scan", data={"session": days(plan)[0], "code": short_code(plan.id, people(plan)[3].id)})
    stale = answer(client, plan, asked).text
    assert f"{people(plan)[3].name} 的考勤刚被修改过，表格没有写入" in stale
    assert marks(plan) == {(1, 2): "absent", (3, 0): "present"}
    for place, text in ((plan, "x"), (plan, ""), (other, kept(asked))):
        told = client.post(f"/classes/{place.id}/attendance/upload/take", data={"kept": text, "which": "all"}, follow_redirects=True).text
        assert "请重新上传登记表" in told
    client.get("/lang/en")
    english = bring(client, plan, book).text
    assert "not been written" in english
    assert "Slip scanned" in english, "a sheet of one language is read in the other"


def test_an_empty_cell_says_nothing_of_who_still_has_to_be_settled(login: Any, make: Any) -> None:
    plan, client = held(make), login("hjp")
    client.post(f"/classes/{plan.id}/attendance/scan", data={"session": days(plan)[2], "code": short_code(plan.id, people(plan)[0].id)})
    book, sheet = sheet_of(client, plan)
    sheet.cell(4, 6).value, sheet.cell(5, 6).value = "缺", "到"
    assert "考勤已写入，2 处有变化" in bring(client, plan, book).text
    assert marks(plan) == {(0, 2): "present", (1, 2): "absent", (2, 2): "present"}


def test_one_wrong_row_and_nothing_of_a_sheet_is_written(login: Any, make: Any) -> None:
    plan, client = held(make, sessions=((0, "morning"), (1, "all"))), login("hjp")
    book, sheet = sheet_of(client, plan)
    sheet.cell(3, 4).value = "缺"
    sheet.cell(4, 4).value = "请假"
    sheet.cell(5, 5).value = "缺"
    sheet.cell(6, 2).value = "别人"
    sheet.cell(7, 1).value = "AAA-AAA"
    answer = bring(client, plan, book)
    assert answer.status_code == 422
    for words in ("第 4 行", "请假", "第 5 行", "还没有到", "第 6 行", "不是别人", "第 7 行", "不是本班学员"):
        assert words in answer.text, words
    assert marks(plan) == {}
    for data in (b"", b"%PDF-1.4", b"PK\x03\x04nothing"):
        answer = client.post(f"/classes/{plan.id}/attendance/upload", data={"workbook": (io.BytesIO(data), "a.xlsx")})
        assert answer.status_code == 303
    assert marks(plan) == {}
    assert "请下载考勤登记表" in client.get(f"/classes/{plan.id}/attendance").text
    assert marks(plan) == {}


def test_the_record_is_handed_out_as_a_workbook_and_on_paper_without_numbers(login: Any, make: Any) -> None:
    plan, client = held(make, sessions=tuple((-day, "all") for day in range(10))), login("hjp")
    tick(client, plan, cell(plan, 0, 0))
    sheet = load_workbook(io.BytesIO(client.post(f"/classes/{plan.id}/attendance/record").data)).worksheets[0]
    values = [str(value) for row in sheet.iter_rows(values_only=True) for value in row if value is not None]
    assert people(plan)[0].name in values
    assert values.count("缺") == 1
    assert people(plan)[0].id_number not in values
    assert client.post(f"/classes/{plan.id}/attendance/printed").data.startswith(b"%PDF")
    verbs = db.session.scalars(select(AuditEvent.verb).where(AuditEvent.verb == "download_attendance")).all()
    assert len(verbs) == 2
    for kind in ("record", "printed", "slips"):
        assert login("nbp").post(f"/classes/{plan.id}/attendance/{kind}").status_code == 404


def test_the_detail_of_a_person_shows_each_session_to_all_three(login: Any, make: Any) -> None:
    plan = held(make, sessions=((-1, "morning"), (0, "all"), (1, "all")))
    tick(login("hjp"), plan, cell(plan, 0, 0))
    person = people(plan)[0]
    for username in ("hjp", "hangzhou", ENTERPRISE):
        block = login(username).get(f"/people/{person.id}").text.split("展开培训明细")[1].split("</details>")[0]
        assert [word for word in ("缺课", "到课", "未到") if word in block] == ["缺课", "到课", "未到"], username


@pytest.mark.parametrize("size", [3, 30])
def test_the_grid_costs_the_same_however_many_they_are(login: Any, make: Any, size: int) -> None:
    from sqlalchemy import event

    plan, client = held(make, size), login("hjp")
    client.get(f"/classes/{plan.id}/attendance")
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", listener := lambda *args: statements.append(args[2]))
    client.get(f"/classes/{plan.id}/attendance")
    event.remove(db.engine, "before_cursor_execute", listener)
    assert len(statements) <= 38
    assert not confirmed(plan)
    assert classes.attendance_of(plan).people == size
    assert len(attendance.sessions_of(plan)) == 3


def test_a_mark_is_there_or_away_whoever_writes(make: Any) -> None:
    people(held(make))[0].attendance_mark = "late"
    with pytest.raises(IntegrityError):
        db.session.commit()
    db.session.rollback()
