"""The filing of an institution: written bit by bit, judged when it is submitted, read by its authority (I2, A2)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import select

from app.extensions import db
from models import Filing, Institution, Room, StoredFile
from tests.filing import (
    DEMO,
    NEW,
    ROOM,
    accounts,
    add_teacher,
    approved,
    filed,
    filled,
    issued,
    opened,
    row,
    save,
    save_quietly,
    send_photo,
    take,
    typed,
)
from tests.parties import Parties, photo, picture
from tests.shop import at_once


@pytest.fixture
def parties(app: Any, clock: Any, login: Any, standins: Any) -> Parties:
    return Parties(app, login, standins)


@pytest.fixture
def hangzhou(parties: Parties) -> Any:
    return parties.enter("hangzhou", DEMO, "authority")


def kept(parties: Parties, institution: int) -> dict[str, Any]:
    """The working copy."""
    with parties.tables():
        filing = db.session.get_one(Filing, institution)
        return filing.typed | {"phone": filing.contact_phone, "licence": filing.licence_id, "version": filing.version}


def submit_with(client: Any, **changes: Any) -> Any:
    """The form's submit button."""
    return client.post("/filing/edit", data=typed(**changes) | {"submit": "1"}, content_type="multipart/form-data")


def at_field(page: str, field: str) -> str:
    """The messages that stand at one field of a page."""
    start = page.index(f'id="{field}-help"')
    return page[start:page.index("</div>\n", start)]


def test_a_new_institution_reads_what_it_still_has_to_do(parties: Parties, hangzhou: Any) -> None:
    _institution, client = opened(parties, hangzhou)
    page = client.get("/filing/").text
    for words in ("请填写单位地址", "请填写法定代表人", "请填写联系电话", "请上传营业执照", "请上传承诺书",
                  "请填写营业执照的有效期起始日期", "请至少登记一名授课老师", "请至少登记一间教室或考场"):
        assert words in page
    assert "请填写机构名称" not in page, "the authority has typed it already"
    assert 'action="/filing/submit"' not in page


def test_a_half_filled_filing_is_kept_and_no_field_complains(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    answer = save_quietly(client, address="天目山路", contact_phone="139", licence_from="2020-", licence_until="", short_name="",
                          rooms=[{"name": "101", "kind": "exam", "capacity": "abc", "address": ""}])
    assert (answer.status_code, answer.json["message"]) == (200, "已保存")
    page = client.get("/filing/edit").text
    assert 'value="天目山路"' in page
    assert 'value="139"' in page
    assert 'value="abc"' in page
    assert 'class="error"' not in page
    assert row(parties, institution)["short_name"] == "匠心", "what counts is not touched by what is being written"
    assert parties.count(Room, institution_id=institution) == 0


def test_a_phone_is_sealed_in_the_working_copy_too(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    save(client)
    with parties.tables():
        raw = db.session.connection().exec_driver_sql(
            f"SELECT typed, contact_phone FROM filing WHERE institution_id = {institution}").one()
    assert "13922223333" not in str(raw)


def test_submitting_too_early_lists_what_is_missing_and_marks_the_fields(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    page = submit_with(client, address="", contact_phone="0571-88", rooms=[]).text
    assert "还不能提交" in page
    assert "请填写单位地址" in at_field(page, "address")
    assert "手机号应为 11 位数字" in at_field(page, "contact_phone")
    assert "请上传营业执照" in at_field(page, "licence")
    assert 'href="#address"' in page
    assert (row(parties, institution)["state"], parties.steps("institution", institution)) == ("draft", [])
    assert kept(parties, institution)["phone"] == "0571-88", "what was typed stays for correction"
    page = submit_with(client, rooms=[ROOM, ROOM | {"name": "102", "capacity": "0"}]).text
    assert "教室与考场第 2 处：可容纳人数应为" in page


@pytest.mark.parametrize("changes, field, words", [
    ({"short_name": "匠心职业培训"}, "short_name", "1 至 5 个汉字"), ({"short_name": "JX"}, "short_name", "1 至 5 个汉字"),
    ({"short_name": "杭建"}, "short_name", "这个简称已被"), ({"name": "杭州建工职业培训中心"}, "name", "这个名称已被"),
    ({"uscc": "91330100ma2cccc01j"}, "uscc", "这个社会信用代码已被"), ({"uscc": "52330100MA2AAAA05J"}, "uscc", "校验不通过"),
    ({"licence_until": "2019-01-01"}, "licence_until", "截止日期应晚于起始日期"),
    ({"licence_until": "2021-01-01"}, "licence_until", "营业执照已过期"), ({"licence_until": "某天"}, "licence_until", "请填写有效期截止"),
    ({"licence_forever": "y"}, "licence_until", "已勾选长期"),
    ({"licence_from": "2099-01-01"}, "licence_from", "不能晚于今天"),
    ({"rooms": [ROOM | {"capacity": "0"}]}, "rooms-0-capacity", "1 到 2000"),
    ({"rooms": [ROOM | {"capacity": "10000"}]}, "rooms-0-capacity", "1 到 2000"),
    ({"rooms": [ROOM | {"capacity": "三十"}]}, "rooms-0-capacity", "1 到 2000"),
    ({"rooms": [ROOM | {"address": ""}]}, "rooms-0-address", "请填写地址"), ({"rooms": [ROOM, ROOM]}, "rooms-1-name", "重复"),
    ({"rooms": [ROOM | {"kind": "ghost"}]}, "rooms-0-kind", "请选择用途"), ({"rooms": []}, "rooms", "请至少登记一间"),
])
def test_each_rule_speaks_at_its_field_and_nothing_is_submitted(
        parties: Parties, hangzhou: Any, changes: Any, field: str, words: str) -> None:
    institution, client = opened(parties, hangzhou)
    filled(parties, client)
    page = submit_with(client, **changes).text
    assert words in (at_field(page, field) if field != "rooms" else page)
    assert row(parties, institution)["state"] == "draft"
    assert parties.count(Room, institution_id=institution) == 0


def test_a_licence_without_term_needs_no_last_day(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    filed(parties, client, licence_until="", licence_forever="y")
    assert "长期" in client.get("/filing/").text
    take(hangzhou, institution, "accept", "approve")
    assert row(parties, institution)["until"] is None


BAD_PHOTOS = [
    ((picture("PNG", (800, 600)), "a.jpg"), "不是 JPG 图片"), ((b"", "a.jpg"), "不是 JPG 图片"),
    ((b"<html><script>alert(1)</script></html>", "a.jpg"), "不是 JPG 图片"),
    ((photo() + b"\0" * 2_100_000, "a.jpg"), "超过 2 MB"), ((picture("JPEG", (1, 50000)), "a.jpg"), "尺寸太小"),
    ((picture("JPEG", (6000, 6000)), "a.jpg"), "像素过大"), ((photo()[:3000], "a.jpg"), "图片已损坏"),
]


@pytest.mark.parametrize("given, words", BAD_PHOTOS)
def test_a_photo_that_will_not_do_is_refused_at_once_and_not_kept(parties: Parties, hangzhou: Any, given: Any, words: str) -> None:
    institution, client = opened(parties, hangzhou)
    answer = send_photo(client, "licence", given)
    assert (answer.status_code, answer.json["field"] in ("licence", None)) == (400, True)
    assert words in answer.json["message"]
    page = save(client, licence=given, address="新址").text
    assert words in at_field(page, "licence")
    assert kept(parties, institution)["licence"] is None
    assert kept(parties, institution)["address"] == "", "nothing of a form is kept by half"
    assert parties.count(StoredFile, institution_id=institution) == 0


def test_a_photo_replaced_before_it_was_submitted_is_forgotten_and_one_submitted_is_not(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    for _each in range(2):
        assert send_photo(client, "licence").status_code == 200
    assert parties.count(StoredFile, institution_id=institution, kind="licence") == 1
    filed(parties, client)
    assert client.post("/filing/withdraw").status_code == 303
    send_photo(client, "licence")
    assert parties.count(StoredFile, institution_id=institution, kind="licence") == 2


def test_a_filing_is_submitted_read_and_approved(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    filled(parties, client)
    assert "提交审核</button>" in client.get("/filing/").text
    assert submit_with(client).status_code == 303
    assert "等待杭州市城乡建设委员会受理" in client.get("/filing/").text
    page = hangzhou.get(f"/institutions/{institution}").text
    for words in ("天目山路 9 号", "钱匠心", "吴师傅", "高级技师", "外聘", "139****3333", "101 教室", "2030-02-28"):
        assert words in page, words
    for number in ("13922223333", "13922224444"):
        assert number not in page
    assert page.count('<img src="/files/') == 3
    for each in re.findall(r'<img src="(/files/\d+)"', page):
        assert hangzhou.get(each).data.startswith(b"\xff\xd8")
    assert row(parties, institution)["rooms"] == []
    take(hangzhou, institution, "accept", "approve")
    assert "已通过杭州市城乡建设委员会审核，可以上报培训计划" in client.get("/filing/").text
    assert parties.steps("institution", institution) == ["submit", "accept", "approve"]
    after = row(parties, institution)
    assert (after["address"], after["phone"], str(after["until"]), after["approved"]) == (
        "天目山路 9 号", "13922223333", "2030-02-28", 1)
    assert after["rooms"] == [("101 教室", 60, "classroom", True)]


def test_a_bulk_approval_counts_each_filing(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    filed(parties, client)
    for step in ("accept", "approve"):
        assert hangzhou.post(f"/institutions/bulk/{step}", data={"ids": [institution]}).status_code == 303
    assert row(parties, institution)["rooms"] == [("101 教室", 60, "classroom", True)]


def test_a_teachers_numbers_are_shown_in_full_to_the_authority_and_recorded(parties: Parties, hangzhou: Any, make: Any) -> None:
    institution, client = opened(parties, hangzhou)
    filed(parties, client)
    with parties.tables():
        teacher, other = db.session.get_one(Institution, institution).teachers[0].id, make.institution().teachers[0].id
    assert "13922224444" in hangzhou.post(f"/institutions/{institution}/teachers/{teacher}/reveal").text
    assert parties.audits("reveal_teacher") == 1
    assert hangzhou.post(f"/institutions/{institution}/teachers/{other}/reveal").status_code == 404
    assert parties.enter("ningbo", DEMO, "authority").post(f"/institutions/{institution}/teachers/{teacher}/reveal").status_code == 404
    assert client.post(f"/institutions/{institution}/teachers/{teacher}/reveal").status_code == 403
    assert parties.audits("reveal_teacher") == 1


def test_a_rejected_filing_shows_the_reason_and_can_be_filed_again(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    filed(parties, client)
    take(hangzhou, institution, "accept")
    assert "请填写不通过的原因" in hangzhou.post(f"/institutions/{institution}/reject", data={"remark": "  "}, follow_redirects=True).text
    take(hangzhou, institution, "reject", remark="承诺书没有公章")
    assert "未通过杭州市城乡建设委员会审核：承诺书没有公章" in client.get("/filing/").text
    assert "承诺书没有公章" in client.get("/filing/edit").text
    assert save(client, address="新址 2 号").status_code == 303
    own = client.get("/filing/").text
    assert "您已修改" in own
    assert "新址 2 号" not in hangzhou.get(f"/institutions/{institution}").text, "a filing being written is its owner's alone"
    assert client.post("/filing/submit").status_code == 303
    page = hangzhou.get(f"/institutions/{institution}").text
    assert "与上次上报相比的变化" in page
    assert "新址 2 号" in page


def test_a_submitted_filing_is_settled_until_withdrawn(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    filed(parties, client)
    assert "不能修改" in save(client, address="偷改 1 号").text
    assert "不能修改" in add_teacher(client, name="偷加").text
    assert send_photo(client, "licence").status_code == 409
    assert kept(parties, institution)["address"] == "天目山路 9 号"
    assert client.get("/filing/edit").status_code == 303
    assert client.post("/filing/withdraw").status_code == 303
    assert save(client, address="新址 3 号").status_code == 303
    client.post("/filing/submit")
    take(hangzhou, institution, "accept")
    assert "状态已变化" in client.post("/filing/withdraw", follow_redirects=True).text
    assert row(parties, institution)["state"] == "accepted"


def test_two_institutions_that_submit_one_short_name_at_once_do_not_both_get_it(parties: Parties, hangzhou: Any) -> None:
    second = {"name": "杭州新匠职业培训学校", "short_name": "新匠", "uscc": "52330100MA2BBBB03J", "username": "xinjiang"}
    one, client = opened(parties, hangzhou)
    other, rival = opened(parties, hangzhou, **second)
    filled(parties, client, short_name="工匠")
    filled(parties, rival, **{**second, "short_name": "工匠"})
    answers = at_once(parties, *[lambda each=each: each.post("/filing/submit") for each in (client, rival)])  # type: ignore[arg-type]
    assert sorted(each.status_code for each in answers) == [200, 303]
    (late,) = [each for each in answers if each.status_code == 200]
    assert re.search("这个简称.*已被其他培训机构使用", at_field(late.text, "short_name"))
    assert sorted(row(parties, each)["state"] for each in (one, other)) == ["draft", "submitted"]


def test_a_colleagues_newer_text_is_not_written_over_unseen(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    password = issued(hangzhou.post(f"/institutions/{institution}/accounts", data={"person": "孙老师", "username": "sun"}))
    colleague = parties.enter("sun", password, "institution")
    colleague.post("/password/", data={"current": password, "new": "Tongshi-2026", "again": "Tongshi-2026"})
    version = save_quietly(client, address="一路 1 号").json["version"]
    assert save_quietly(colleague, address="二路 2 号", version=str(version)).status_code == 200
    answer = save_quietly(client, address="三路 3 号", version=str(version))
    assert (answer.status_code, "同事修改过" in answer.json["message"]) == (409, True)
    assert kept(parties, institution)["address"] == "二路 2 号"
    assert len(accounts(parties, institution)) == 2


def test_another_authority_sees_neither_the_filing_nor_its_papers(parties: Parties, hangzhou: Any) -> None:
    institution, client = approved(parties, hangzhou)
    with parties.tables():
        files = list(db.session.scalars(select(StoredFile.id).where(StoredFile.institution_id == institution)))
    assert len(files) == 3
    stranger, other = parties.enter("ningbo", DEMO, "authority"), parties.enter("nbp", DEMO, "institution")
    for each in files:
        assert (hangzhou.get(f"/files/{each}").status_code, client.get(f"/files/{each}").status_code) == (200, 200)
        assert (stranger.get(f"/files/{each}").status_code, other.get(f"/files/{each}").status_code) == (404, 404)
    for place in (f"/institutions/{institution}", f"/records/institution/{institution}"):
        assert stranger.get(place).status_code == 404
    assert NEW["name"] not in stranger.get("/institutions/").text
