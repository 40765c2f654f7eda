"""Institutions: accounts that an authority issues, filings that it reviews, teachers (I1, I2, I7, A1, A2)."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from sqlalchemy import select

from app.extensions import db
from models import Account, Institution, Teacher
from tests.parties import Parties, Photo, photo, picture
from tests.shop import at_once

DEMO = "Demo2026!"
OWN = "Jiangong-2026"
NEW = {"name": "杭州匠心职业培训学校", "short_name": "匠心", "uscc": "52330100MA2AAAA05H", "username": "jiangxin"}


@pytest.fixture
def parties(app: Any, clock: Any, login: Any, standins: Any) -> Parties:
    return Parties(app, login, standins)


@pytest.fixture
def hangzhou(parties: Parties) -> Any:
    return parties.enter("hangzhou", DEMO, "authority")


def issued(answer: Any) -> str:
    """The password on the page that shows it once."""
    assert answer.status_code == 200
    assert "只显示这一次" in answer.text
    return str(re.findall(r"<code>([^<]+)</code>", answer.text)[1])


def opened(parties: Parties, hangzhou: Any) -> tuple[int, Any]:
    """An institution that has just been opened and has set its own password: its id and its client."""
    password = issued(hangzhou.post("/institutions/add", data=NEW))
    client = parties.enter("jiangxin", password, "institution")
    assert client.post("/password/", data={"current": password, "new": OWN, "again": OWN}).status_code == 303
    return parties.institution("匠心")["id"], client  # type: ignore[index]


def filing(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"address": "天目山路 9 号", "contact_name": "钱老师", "contact_phone": "13922223333"}
    files: dict[str, Photo | None] = {"licence": (photo(), "营业执照.jpg"), "commitment": (photo("承诺书"), "IMG_2031.JPG")}
    for name, value in changes.items():
        (files if name in files else given)[name] = value
    return given | {name: (io.BytesIO(each[0]), each[1]) for name, each in files.items() if each is not None}


def save(client: Any, **changes: Any) -> Any:
    return client.post("/filing/edit", data=filing(**changes), content_type="multipart/form-data")


def add_teacher(client: Any, **changes: Any) -> Any:
    teacher = {"name": "吴师傅", "kind": "external", "qualification": "高级技师", "phone": ""}
    return client.post("/filing/teachers", data=teacher | changes)


def filed(client: Any) -> None:
    assert save(client).status_code == 303
    assert add_teacher(client).status_code == 303
    assert client.post("/filing/submit").status_code == 303


# Accounts


def test_the_desk_offers_to_open_an_institution(hangzhou: Any, parties: Parties) -> None:
    assert "开通培训机构" in hangzhou.get("/institutions/").text
    assert "开通培训机构" not in parties.enter("admin", DEMO, "authority").get("/institutions/").text


def test_an_authority_opens_an_institution_and_hands_over_a_password_once(parties: Parties, hangzhou: Any) -> None:
    answer = hangzhou.post("/institutions/add", data=NEW)
    password = issued(answer)
    assert "no-store" in answer.headers["Cache-Control"]
    row = parties.institution("匠心")
    assert row is not None
    assert (row["state"], row["authority"]) == ("draft", "杭州市城乡建设委员会")
    page = hangzhou.get(f"/institutions/{row['id']}").text
    assert password not in page
    assert "初始密码，尚未修改" in page
    assert parties.audits("create_institution") == 1


def test_an_issued_password_is_changed_before_anything_else(parties: Parties, hangzhou: Any) -> None:
    password = issued(hangzhou.post("/institutions/add", data=NEW))
    client = parties.enter("jiangxin", password, "institution")
    for place in ("/", "/filing/", "/filing/edit", "/plans/"):
        answer = client.get(place)
        assert (answer.status_code, answer.location) == (302, "/password/"), place
    assert client.post("/filing/teachers", data={"name": "吴师傅", "kind": "own"}).status_code == 302
    assert parties.count(Teacher, name="吴师傅") == 0
    assert "请先设置自己的密码" in client.get("/password/").text
    assert client.post("/password/", data={"current": password, "new": OWN, "again": OWN}).status_code == 303
    assert client.get("/filing/").status_code == 200
    assert parties.enter("jiangxin", OWN, "institution").get("/filing/").status_code == 200


@pytest.mark.parametrize("changes, words", [
    ({"short_name": "匠心职业培训"}, "1 至 5 个汉字"), ({"short_name": "JX"}, "1 至 5 个汉字"),
    ({"short_name": "杭建"}, "这个简称已被"), ({"name": "杭州建工职业培训中心"}, "这个名称已被"),
    ({"uscc": "91330100MA2CCCC01J"}, "这个社会信用代码已被"), ({"uscc": "52330100MA2AAAA05I"}, "把 1 写成 I"),
    ({"username": "hjp"}, "这个用户名已被使用"), ({"username": "Jiang Xin"}, "小写字母"),
    ({"username": "91330100MA2AAAA05G"}, "小写字母"), ({"name": "  "}, "此项必填"), ({"username": "a"}, "小写字母"),
])
def test_an_institution_that_cannot_be_opened_says_why_at_its_field(
        parties: Parties, hangzhou: Any, changes: Any, words: str) -> None:
    before = parties.count(Institution), parties.count(Account)
    answer = hangzhou.post("/institutions/add", data=NEW | changes)
    assert answer.status_code == 200
    assert words in answer.text
    assert (parties.count(Institution), parties.count(Account)) == before


def test_two_authorities_opening_the_same_institution_at_once_open_it_once(parties: Parties, hangzhou: Any) -> None:
    ningbo = parties.enter("ningbo", DEMO, "authority")
    answers = at_once(parties, *[lambda client=client: client.post("/institutions/add", data=NEW)
                                 for client in (hangzhou, ningbo)])
    assert sorted("只显示这一次" in each.text for each in answers) == [False, True]
    assert parties.count(Institution, short_name="匠心") == 1


def test_a_reset_password_ends_the_sessions_and_must_be_changed(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    password = issued(hangzhou.post(f"/institutions/{institution}/reset"))
    assert client.get("/filing/").status_code == 302
    assert "/login/" in client.get("/filing/").location
    again = parties.visitor().post("/login/", data={"party": "institution", "username": "jiangxin", "password": OWN})
    assert again.status_code == 200
    assert parties.enter("jiangxin", password, "institution").get("/filing/").location == "/password/"


def test_a_disabled_account_is_out_at_once_and_comes_back_when_enabled(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    assert hangzhou.post(f"/institutions/{institution}/disable").status_code == 303
    assert "/login/" in client.get("/filing/").location
    refused = parties.visitor().post("/login/", data={"party": "institution", "username": "jiangxin", "password": OWN})
    assert refused.status_code == 200
    assert "用户名或密码不正确，或与所选身份不符" in refused.text
    assert "已停用" in hangzhou.get(f"/institutions/{institution}").text
    hangzhou.post(f"/institutions/{institution}/enable")
    assert parties.enter("jiangxin", OWN, "institution").get("/filing/").status_code == 200
    assert (parties.audits("disable_account"), parties.audits("enable_account")) == (1, 1)


@pytest.mark.parametrize("act", ["reset", "disable", "enable"])
def test_an_account_is_managed_by_its_own_authority_only(parties: Parties, hangzhou: Any, act: str) -> None:
    institution, client = opened(parties, hangzhou)
    assert parties.enter("ningbo", DEMO, "authority").post(f"/institutions/{institution}/{act}").status_code == 404
    above = parties.enter("province", DEMO, "authority")
    assert "只有该机构的主管部门可以管理其帐号" in above.post(f"/institutions/{institution}/{act}", follow_redirects=True).text
    assert "重置密码" not in above.get(f"/institutions/{institution}").text
    assert client.get("/filing/").status_code == 200
    for party, name in (("institution", "nbp"), ("enterprise", "91330100MA2AAAA05G")):
        assert parties.enter(name, DEMO, party).post(f"/institutions/{institution}/{act}").status_code == 403


def test_an_institution_can_be_opened_by_an_authority_only(parties: Parties) -> None:
    for party, name in (("institution", "hjp"), ("enterprise", "91330100MA2AAAA05G"), ("authority", "admin")):
        client = parties.enter(name, DEMO, party)
        assert client.post("/institutions/add", data=NEW).status_code == 403
        assert client.get("/institutions/add").status_code == 403
    assert parties.institution("匠心") is None


# Filing


def test_a_new_institution_reads_what_it_still_has_to_do(parties: Parties, hangzhou: Any) -> None:
    _institution, client = opened(parties, hangzhou)
    page = client.get("/filing/").text
    for words in ("请填写地址、联系人和联系电话", "请上传营业执照", "请上传承诺书", "请至少登记一名授课老师", "还没有登记老师"):
        assert words in page
    assert "提交审核</button>" not in page
    assert "请上传营业执照" in client.post("/filing/submit", follow_redirects=True).text
    assert parties.institution("匠心")["state"] == "draft"  # type: ignore[index]


def test_a_filing_is_written_submitted_and_approved(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    filed(client)
    assert "等待杭州市城乡建设委员会受理" in client.get("/filing/").text
    page = hangzhou.get(f"/institutions/{institution}").text
    assert "天目山路 9 号" in page
    assert "吴师傅" in page
    assert "139****3333" in page
    assert "13922223333" not in page
    assert page.count('<img src="/files/') == 2
    for each in re.findall(r'<img src="(/files/\d+)"', page):
        assert hangzhou.get(each).data.startswith(b"\xff\xd8")
    for step in ("accept", "approve"):
        assert hangzhou.post(f"/institutions/{institution}/{step}").status_code == 303
    page = client.get("/filing/").text
    assert "已通过杭州市城乡建设委员会审核，可以上报培训计划" in page
    assert parties.steps("institution", institution) == ["submit", "accept", "approve"]


def test_a_rejected_filing_shows_the_reason_and_can_be_filed_again(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    filed(client)
    hangzhou.post(f"/institutions/{institution}/accept")
    assert "请填写不通过的原因" in hangzhou.post(f"/institutions/{institution}/reject", data={"remark": "  "},
                                          follow_redirects=True).text
    hangzhou.post(f"/institutions/{institution}/reject", data={"remark": "承诺书没有公章"})
    assert "未通过杭州市城乡建设委员会审核：承诺书没有公章" in client.get("/filing/").text
    assert "承诺书没有公章" in client.get("/filing/edit").text
    assert save(client, licence=None, address="新址 2 号").status_code == 303
    assert client.post("/filing/submit").status_code == 303
    assert parties.institution("匠心") == {"id": institution, "state": "submitted", "authority": "杭州市城乡建设委员会",
                                         "address": "新址 2 号", "teachers": ["吴师傅"]}


def test_a_submitted_filing_is_settled_until_withdrawn(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    filed(client)
    assert "不能修改" in save(client, address="偷改 1 号").text
    assert parties.institution("匠心")["address"] == "天目山路 9 号"  # type: ignore[index]
    assert client.post("/filing/withdraw").status_code == 303
    assert save(client, address="新址 3 号").status_code == 303
    client.post("/filing/submit")
    hangzhou.post(f"/institutions/{institution}/accept")
    assert "状态已变化" in client.post("/filing/withdraw", follow_redirects=True).text
    assert parties.institution("匠心")["state"] == "accepted"  # type: ignore[index]


@pytest.mark.parametrize("changes, words", [
    ({"licence": (picture("PNG", (800, 600)), "a.jpg")}, "不是 JPG 图片"),
    ({"commitment": (b"", "cns.jpg")}, "不是 JPG 图片"),
    ({"licence": (photo() + b"\0" * 2_200_000, "a.jpg")}, "超过 2 MB"),
    ({"contact_phone": "0571-88888888"}, "手机号应为 11 位数字"), ({"address": " "}, "此项必填"),
    ({"commitment": (picture("JPEG", (1, 50000)), "a.jpg")}, "尺寸太小"),
])
def test_a_filing_that_will_not_do_is_not_written(parties: Parties, hangzhou: Any, changes: Any, words: str) -> None:
    _institution, client = opened(parties, hangzhou)
    answer = save(client, **changes)
    assert answer.status_code == 200
    assert words in answer.text
    assert parties.institution("匠心")["address"] == ""  # type: ignore[index]


def test_both_photos_are_found_wanting_at_once(parties: Parties, hangzhou: Any) -> None:
    _institution, client = opened(parties, hangzhou)
    page = save(client, licence=(b"%PDF-1.7", "a.jpg"), commitment=(photo()[:3000], "b.jpg"), contact_phone="1").text
    assert "营业执照照片：不是 JPG 图片" in page
    assert "承诺书照片：图片已损坏" in page
    assert "手机号应为 11 位数字" in page


# Teachers


def test_teachers_own_and_external_are_entered_and_switched(parties: Parties) -> None:
    client = parties.enter("hjp", DEMO, "institution")
    assert add_teacher(client, phone="13922224444").location == "/filing/#teachers"
    page = client.get("/filing/").text
    assert "吴师傅" in page
    assert "外聘" in page
    assert "139****4444" in page
    with parties.tables():
        teacher = db.session.scalars(select(Teacher.id).where(Teacher.name == "吴师傅")).one()
    assert "已停用 吴师傅" in client.post(f"/filing/teachers/{teacher}/disable", follow_redirects=True).text
    assert parties.count(Teacher, id=teacher, enabled=False) == 1
    client.post(f"/filing/teachers/{teacher}/enable")
    assert parties.count(Teacher, id=teacher, enabled=True) == 1


def test_a_second_click_does_not_enter_a_teacher_twice(parties: Parties) -> None:
    client = parties.enter("hjp", DEMO, "institution")
    add_teacher(client)
    assert "这位老师已经登记过" in add_teacher(client).text
    assert parties.count(Teacher, name="吴师傅") == 1
    assert add_teacher(client, phone="13922225555").status_code == 303


@pytest.mark.parametrize("changes, words", [
    ({"name": ""}, "此项必填"), ({"phone": "123"}, "手机号应为 11 位数字"), ({"kind": "ghost"}, ""),
    ({"name": "吴" * 51}, "不能超过 50 个字符"),
])
def test_a_teacher_that_will_not_do_is_not_entered(parties: Parties, changes: Any, words: str) -> None:
    client = parties.enter("hjp", DEMO, "institution")
    before = parties.count(Teacher)
    answer = add_teacher(client, **changes)
    assert answer.status_code == 200
    assert words in answer.text
    assert parties.count(Teacher) == before


def test_another_institutions_teacher_is_not_found(parties: Parties, make: Any) -> None:
    with parties.tables():
        theirs = make.institution("nbp").teachers[0].id
    client = parties.enter("hjp", DEMO, "institution")
    assert client.post(f"/filing/teachers/{theirs}/disable").status_code == 404
    assert parties.count(Teacher, id=theirs, enabled=True) == 1


def test_another_authority_sees_neither_the_filing_nor_its_papers(parties: Parties, hangzhou: Any, make: Any) -> None:
    with parties.tables():
        row = make.institution("hjp")
        institution, licence = row.id, row.licence_id
    assert hangzhou.get(f"/files/{licence}").status_code == 200
    stranger = parties.enter("ningbo", DEMO, "authority")
    for place in (f"/institutions/{institution}", f"/files/{licence}", f"/records/institution/{institution}"):
        assert stranger.get(place).status_code == 404
    assert "杭州建工职业培训中心" not in stranger.get("/institutions/").text
