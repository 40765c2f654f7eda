"""Teachers of an institution, own and external, with their certificates; and its rooms (I7, I2)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app.crypto import blind
from app.extensions import db
from app.operations.filings import rooms_of
from app.operations.teachers import teachers_of
from models import Institution, Room, StoredFile, Teacher, TeacherPaper
from tests.factory import id_number
from tests.filing import (
    DEMO,
    ROOM,
    TEACHER,
    add_teacher,
    approved,
    filed,
    filled,
    opened,
    row,
    save,
    send_certificates,
    take,
    teacher_id,
    whole_teacher,
)
from tests.parties import Parties, photo, picture

BACK = {"Referer": "http://localhost/filing/"}


@pytest.fixture
def parties(app: Any, clock: Any, login: Any, standins: Any) -> Parties:
    return Parties(app, login, standins)


@pytest.fixture
def hangzhou(parties: Parties) -> Any:
    return parties.enter("hangzhou", DEMO, "authority")


@pytest.fixture
def client(parties: Parties, hangzhou: Any) -> Any:
    """An institution that is filling in its filing."""
    return opened(parties, hangzhou)[1]


def usable(parties: Parties, institution: int) -> list[str]:
    with parties.tables():
        return [each.name for each in teachers_of(db.session.get_one(Institution, institution))]


def test_a_teacher_is_entered_by_name_and_completed_later(parties: Parties, client: Any) -> None:
    assert add_teacher(client, id_number="", phone="", qualification="", subject="").status_code == 303
    page = client.get("/filing/edit").text
    assert "待补充：身份证号、手机号、职称或资格、任教科目或工种、资格证书照片" in page
    found = teacher_id(parties)
    assert "老师 吴师傅 还缺：身份证号" in client.get("/filing/").text
    assert client.post(f"/filing/teachers/{found}", data=TEACHER).status_code == 303
    assert "待补充：资格证书照片" in client.get("/filing/edit").text
    send_certificates(client, found)
    assert "齐全" in client.get("/filing/edit").text


def test_an_id_number_is_sealed_masked_and_kept_when_left_blank(parties: Parties, client: Any) -> None:
    add_teacher(client)
    found = teacher_id(parties)
    page = client.get(f"/filing/teachers/{found}").text
    assert TEACHER["id_number"] not in page
    assert f"{TEACHER['id_number'][:6]}********{TEACHER['id_number'][-4:]}" in page
    client.post(f"/filing/teachers/{found}", data=TEACHER | {"id_number": "", "subject": "理论"})
    with parties.tables():
        raw = db.session.connection().exec_driver_sql(f"SELECT id_number, phone FROM teacher WHERE id = {found}").one()
        teacher = db.session.get_one(Teacher, found)
        assert (teacher.id_number, teacher.teaches) == (TEACHER["id_number"], "理论")
        assert teacher.id_number_index == blind(TEACHER["id_number"], "id_number")
    assert TEACHER["id_number"].encode() not in bytes(raw[0])


@pytest.mark.parametrize("changes, words", [
    ({"name": ""}, "此项必填"), ({"phone": "123"}, "手机号应为 11 位数字"), ({"kind": "ghost"}, "error"),
    ({"name": "吴" * 51}, "不能超过 50 个字符"), ({"id_number": "330106199001010011"}, "身份证号校验不通过"),
    ({"id_number": "33010619900101001"}, "身份证号应为 18 位"), ({"occupation_ids": ["999999"]}, "error"),
])
def test_a_teacher_that_will_not_do_is_not_entered(parties: Parties, client: Any, changes: Any, words: str) -> None:
    before = parties.count(Teacher)
    answer = add_teacher(client, **changes)
    assert answer.status_code == 200
    assert words in answer.text
    assert parties.count(Teacher) == before


def test_nobody_is_entered_twice_and_one_switched_off_is_pointed_at(parties: Parties, client: Any) -> None:
    add_teacher(client)
    assert "这位老师已经登记过：吴师傅" in add_teacher(client, name="吴老师").text
    client.post(f"/filing/teachers/{teacher_id(parties)}/disable")
    assert "已停用：吴师傅" in add_teacher(client, name="吴老师").text
    assert parties.count(Teacher, id_number_index=blind_of(parties)) == 1


def blind_of(parties: Parties) -> Any:
    with parties.tables():
        return blind(TEACHER["id_number"], "id_number")


def test_two_institutions_may_have_the_same_external_teacher(parties: Parties, hangzhou: Any) -> None:
    _one, client = opened(parties, hangzhou)
    _other, rival = opened(parties, hangzhou, name="杭州新匠职业培训学校", short_name="新匠", uscc="52330100MA2BBBB03J", username="xinj")
    assert (add_teacher(client).status_code, add_teacher(rival).status_code) == (303, 303)


def test_occupations_are_chosen_for_a_teacher(parties: Parties, client: Any, make: Any) -> None:
    with parties.tables():
        ids = [make.occupation("020").id]
    add_teacher(client, subject="", occupation_ids=ids)
    with parties.tables():
        assert [each.id for each in db.session.get_one(Teacher, teacher_id(parties)).occupations] == ids


BAD = [(picture("PNG", (800, 600)), "a.jpg"), (b"<html></html>", "b.jpg"), (photo() + b"\0" * 2_100_000, "c.jpg"),
       (picture("JPEG", (1, 50000)), "d.jpg"), (picture("JPEG", (6000, 6000)), "e.jpg"), (photo()[:3000], "f.jpg"), (b"%PDF-1.7", "g.jpg")]


@pytest.mark.parametrize("bad", BAD)
def test_one_bad_certificate_keeps_the_whole_upload_out_and_is_named(parties: Parties, client: Any, bad: Any) -> None:
    add_teacher(client)
    page = send_certificates(client, teacher_id(parties), (photo(), "好.jpg"), bad).text
    assert f"{bad[1]}：" in page
    assert "好.jpg：" not in page
    assert (parties.count(TeacherPaper, teacher_id=teacher_id(parties)), parties.count(StoredFile, name="好.jpg")) == (0, 0)


def test_certificates_come_several_at_once_and_no_more_than_ten(parties: Parties, client: Any) -> None:
    add_teacher(client)
    found = teacher_id(parties)
    one = photo("证书")
    assert "已上传 6 张" in send_certificates(client, found, *[(one, f"{n}.jpg") for n in range(6)]).text
    assert "最多保存 10 张" in send_certificates(client, found, *[(one, f"{n}.jpg") for n in range(5)]).text
    assert parties.count(TeacherPaper, teacher_id=found) == 6
    assert "请先选择文件" in client.post(f"/filing/teachers/{found}/papers", headers=BACK, follow_redirects=True).text


def test_a_certificate_is_taken_away_with_its_picture(parties: Parties, client: Any) -> None:
    found = whole_teacher(parties, client)
    with parties.tables():
        paper = db.session.scalars(select(TeacherPaper).where(TeacherPaper.teacher_id == found)).one()
        number, file = paper.id, paper.file_id
    assert client.post(f"/filing/teachers/{found}/papers/{number}/remove").status_code == 303
    assert parties.count(StoredFile, id=file) == 0
    assert client.post(f"/filing/teachers/{found}/papers/{number}/remove").status_code == 404


def test_a_teacher_entered_by_mistake_is_struck_off(parties: Parties, client: Any) -> None:
    found = whole_teacher(parties, client)
    assert client.post(f"/filing/teachers/{found}/remove").status_code == 303
    assert parties.count(Teacher, id=found) == 0
    assert parties.count(StoredFile, kind="qualification", name="zs.jpg") == 0


def test_a_teacher_on_an_approved_filing_is_switched_off_never_deleted(parties: Parties, hangzhou: Any) -> None:
    institution, client = approved(parties, hangzhou)
    found = teacher_id(parties)
    client.post("/filing/change")
    assert "不能删除，可以停用" in client.post(f"/filing/teachers/{found}/remove", headers=BACK, follow_redirects=True).text
    assert "姓名不能修改" in client.post(f"/filing/teachers/{found}", data=TEACHER | {"name": "换人"}).text
    assert "身份证号不能修改" in client.post(f"/filing/teachers/{found}", data=TEACHER | {"id_number": id_number(9)}).text
    assert client.post(f"/filing/teachers/{found}", data=TEACHER | {"qualification": "技师"}).status_code == 303
    assert parties.count(Teacher, id=found, name="吴师傅", qualification="技师") == 1
    assert usable(parties, institution) == ["吴师傅"]


def test_a_teacher_may_be_switched_off_and_on_at_any_time(parties: Parties, hangzhou: Any) -> None:
    institution, client = approved(parties, hangzhou)
    found = teacher_id(parties)
    assert "已停用 吴师傅" in client.post(f"/filing/teachers/{found}/disable", follow_redirects=True).text
    assert usable(parties, institution) == []
    client.post(f"/filing/teachers/{found}/enable")
    assert usable(parties, institution) == ["吴师傅"]
    assert parties.audits("disable_teacher") == 1


def test_a_teacher_of_a_plan_stays_in_it_when_switched_off(parties: Parties, make: Any) -> None:
    with parties.tables():
        plan = make.plan("approved")
        number, teacher = plan.id, plan.days[0].teacher_id
    own = parties.enter("hjp", DEMO, "institution")
    own.post(f"/filing/teachers/{teacher}/disable")
    assert "王卫东" in own.get(f"/plans/{number}").text
    assert "王卫东（" not in own.get("/plans/add").text


def test_another_institutions_teacher_and_certificates_are_not_found(parties: Parties, client: Any, make: Any) -> None:
    with parties.tables():
        teacher = make.institution("nbp").teachers[0]
        theirs, paper, file = teacher.id, teacher.papers[0].id, teacher.papers[0].file_id
    assert client.get(f"/filing/teachers/{theirs}").status_code == 404
    assert client.get(f"/files/{file}").status_code == 404
    for act in ("", "/disable", "/enable", "/remove", "/papers", f"/papers/{paper}/remove"):
        assert client.post(f"/filing/teachers/{theirs}{act}", data=TEACHER).status_code == 404, act
    mine = whole_teacher(parties, client)
    assert client.post(f"/filing/teachers/{mine}/papers/{paper}/remove").status_code == 404
    assert parties.count(Teacher, id=theirs, enabled=True, name="王卫东") == 1
    assert parties.count(TeacherPaper, id=paper) == 1


def test_rooms_are_those_of_the_approved_filing(parties: Parties, hangzhou: Any) -> None:
    institution, client = approved(parties, hangzhou)
    with parties.tables():
        key = db.session.scalars(select(Room.key).where(Room.institution_id == institution)).one()
    client.post("/filing/change")
    save(client, rooms=[ROOM | {"key": key, "capacity": "40"}, {"name": "201", "kind": "exam", "capacity": "30", "address": "二楼"}])
    assert row(parties, institution)["rooms"] == [("101 教室", 60, "classroom", True)]
    client.post("/filing/submit")
    page = hangzhou.get(f"/institutions/{institution}").text
    told = page[page.index("与上次上报相比的变化"):]
    assert "场地 101 教室 · 可容纳人数" in told
    assert "场地 201" in told
    take(hangzhou, institution, "accept", "approve")
    assert row(parties, institution)["rooms"] == [("101 教室", 40, "classroom", True), ("201", 30, "exam", True)]
    client.post("/filing/change")
    save(client, rooms=[{"name": "201", "kind": "exam", "capacity": "30", "address": "二楼"}])
    client.post("/filing/submit")
    take(hangzhou, institution, "accept", "approve")
    assert [each[3] for each in row(parties, institution)["rooms"]] == [False, False, True], "a row typed anew is another room"
    with parties.tables():
        assert [each.name for each in rooms_of(db.session.get_one(Institution, institution))] == ["201"]


def test_a_room_cannot_be_taken_over_by_another_institutions_key(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    filled(parties, client, rooms=[ROOM | {"key": "demo-1"}])
    client.post("/filing/submit")
    take(hangzhou, institution, "accept", "approve")
    assert parties.count(Room, key="demo-1") == 3
    assert row(parties, institution)["rooms"] == [("101 教室", 60, "classroom", True)]


def test_empty_rows_of_rooms_are_left_out(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    empty = {"name": "", "kind": "classroom", "capacity": "", "address": ""}
    filed(parties, client, rooms=[empty, ROOM, empty])
    take(hangzhou, institution, "accept", "approve")
    assert len(row(parties, institution)["rooms"]) == 1
