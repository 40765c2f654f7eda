"""Institutions and their accounts, opened, reset, disabled by their authority (I1, A1)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app.extensions import db
from models import Account, AuditEvent, Filing, Institution, Teacher, TrainingPlan
from tests.filing import DEMO, NEW, OWN, accounts, issued, opened
from tests.parties import Parties
from tests.shop import at_once

WHY = {"remark": "经办人离职"}
BACK = {"Referer": "http://localhost/institutions/1"}


@pytest.fixture
def parties(app: Any, clock: Any, login: Any, standins: Any) -> Parties:
    return Parties(app, login, standins)


@pytest.fixture
def hangzhou(parties: Parties) -> Any:
    return parties.enter("hangzhou", DEMO, "authority")


def refused(parties: Parties, username: str = "jiangxin") -> bool:
    answer = parties.visitor().post("/login/", data={"party": "institution", "username": username, "password": OWN})
    return answer.status_code == 200


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
    assert "尚未提交备案" in page
    assert parties.audits("create_institution") == 1
    assert parties.count(Filing, institution_id=row["id"], short_name="匠心") == 1


def test_an_issued_password_is_changed_before_anything_else(parties: Parties, hangzhou: Any) -> None:
    password = issued(hangzhou.post("/institutions/add", data=NEW))
    client = parties.enter("jiangxin", password, "institution")
    for place in ("/", "/filing/", "/filing/edit", "/plans/", "/filing/teachers/add"):
        answer = client.get(place)
        assert (answer.status_code, answer.location) == (302, "/password/"), place
    assert client.post("/filing/teachers/add", data={"name": "吴师傅", "kind": "own"}).status_code == 302
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
    answers = at_once(parties, *[lambda client=client: client.post("/institutions/add", data=NEW)  # type: ignore[arg-type]
                                 for client in (hangzhou, ningbo)])
    assert sorted("只显示这一次" in each.text for each in answers) == [False, True]
    assert parties.count(Institution, short_name="匠心") == 1


def test_a_reset_password_ends_the_sessions_and_must_be_changed(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    (account,) = accounts(parties, institution)
    password = issued(hangzhou.post(f"/institutions/{institution}/accounts/{account}/reset", data={"remark": "忘记密码"}))
    assert "/login/" in client.get("/filing/").location
    assert refused(parties)
    assert parties.enter("jiangxin", password, "institution").get("/filing/").location == "/password/"
    with parties.tables():
        facts = db.session.scalars(select(AuditEvent.facts).where(AuditEvent.verb == "reset_password")).one()
    assert facts == {"username": "jiangxin", "reason": "忘记密码"}


@pytest.mark.parametrize("act", ["reset", "disable", "enable"])
def test_an_act_on_an_account_needs_a_reason(parties: Parties, hangzhou: Any, act: str) -> None:
    institution, client = opened(parties, hangzhou)
    (account,) = accounts(parties, institution)
    answer = hangzhou.post(f"/institutions/{institution}/accounts/{account}/{act}", data={"remark": "  "},
                           headers=BACK, follow_redirects=True)
    assert "请填写原因" in answer.text
    assert client.get("/filing/").status_code == 200
    assert parties.audits("reset_password") + parties.audits("disable_account") == 0


def test_a_disabled_account_is_out_at_once_and_comes_back_when_enabled(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    (account,) = accounts(parties, institution)
    assert hangzhou.post(f"/institutions/{institution}/accounts/{account}/disable", data=WHY).status_code == 303
    assert "/login/" in client.get("/filing/").location
    assert refused(parties)
    assert "已停用" in hangzhou.get(f"/institutions/{institution}").text
    assert "杭州匠心" in hangzhou.get("/institutions/?account=disabled").text
    assert "杭州匠心" not in hangzhou.get("/institutions/?account=open").text
    hangzhou.post(f"/institutions/{institution}/accounts/{account}/enable", data={"remark": "复工"})
    assert parties.enter("jiangxin", OWN, "institution").get("/filing/").status_code == 200
    assert (parties.audits("disable_account"), parties.audits("enable_account")) == (1, 1)


def test_what_was_approved_stays_when_an_institution_is_disabled(parties: Parties, hangzhou: Any, make: Any) -> None:
    with parties.tables():
        plan, institution = make.plan(seats=60).id, make.institution().id
    hangzhou.post(f"/institutions/{institution}/disable", data=WHY)
    with parties.tables():
        assert db.session.get_one(TrainingPlan, plan).review_state == "approved"
        assert db.session.get_one(Institution, institution).review_state == "approved"
    assert parties.enter("91330100MA2AAAA05G", DEMO).get(f"/enrol/plans/{plan}").status_code == 200


def test_a_colleague_gets_an_account_of_his_own(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    password = issued(hangzhou.post(f"/institutions/{institution}/accounts", data={"person": "孙老师", "username": "jiangxin2"}))
    colleague = parties.enter("jiangxin2", password, "institution")
    colleague.post("/password/", data={"current": password, "new": OWN, "again": OWN})
    assert NEW["name"] in colleague.get("/filing/").text
    first, second = accounts(parties, institution)
    assert "2 个" in hangzhou.get("/institutions/?q=jiangxin2").text
    hangzhou.post(f"/institutions/{institution}/accounts/{first}/disable", data=WHY)
    assert "/login/" in client.get("/filing/").location
    assert colleague.get("/filing/").status_code == 200
    assert "杭州匠心" not in hangzhou.get("/institutions/?account=disabled").text
    hangzhou.post(f"/institutions/{institution}/disable", data=WHY)
    assert "/login/" in colleague.get("/filing/").location
    assert parties.audits("disable_account") == 2, "an account that is disabled already is left as it is"


@pytest.mark.parametrize("given, words", [
    ({"person": "孙老师", "username": "jiangxin"}, "这个用户名已被使用"), ({"person": " ", "username": "sun"}, "此项必填"),
    ({"person": "孙老师", "username": "孙"}, "小写字母"),
])
def test_a_colleagues_account_that_will_not_do_is_not_opened(parties: Parties, hangzhou: Any, given: Any, words: str) -> None:
    institution, _client = opened(parties, hangzhou)
    answer = hangzhou.post(f"/institutions/{institution}/accounts", data=given)
    assert words in answer.text
    assert len(accounts(parties, institution)) == 1


@pytest.mark.parametrize("act", ["reset", "disable", "enable"])
def test_an_account_is_managed_by_its_own_authority_only(parties: Parties, hangzhou: Any, act: str) -> None:
    institution, client = opened(parties, hangzhou)
    (account,) = accounts(parties, institution)
    place = f"/institutions/{institution}/accounts/{account}/{act}"
    assert parties.enter("ningbo", DEMO, "authority").post(place, data=WHY).status_code == 404
    above = parties.enter("province", DEMO, "authority")
    assert "只有该机构的主管部门可以管理其帐号" in above.post(place, data=WHY, headers=BACK, follow_redirects=True).text
    assert "重置密码" not in above.get(f"/institutions/{institution}").text
    assert client.get("/filing/").status_code == 200
    for party, name in (("institution", "nbp"), ("enterprise", "91330100MA2AAAA05G")):
        assert parties.enter(name, DEMO, party).post(place, data=WHY).status_code == 403


def test_an_account_is_reached_by_way_of_its_own_institution_only(parties: Parties, hangzhou: Any, make: Any) -> None:
    institution, client = opened(parties, hangzhou)
    (account,) = accounts(parties, institution)
    with parties.tables():
        other, own = make.institution().id, make.actor("hangzhou").user_id
    for place in (f"/institutions/{other}/accounts/{account}", f"/institutions/{institution}/accounts/{own}"):
        for act in ("reset", "disable"):
            assert hangzhou.post(f"{place}/{act}", data=WHY).status_code == 404
    assert client.get("/filing/").status_code == 200


def test_an_institution_can_be_opened_by_an_authority_only(parties: Parties) -> None:
    for party, name in (("institution", "hjp"), ("enterprise", "91330100MA2AAAA05G"), ("authority", "admin")):
        client = parties.enter(name, DEMO, party)
        assert client.post("/institutions/add", data=NEW).status_code == 403
        assert client.get("/institutions/add").status_code == 403
    assert parties.institution("匠心") is None


@pytest.mark.parametrize("text, found", [("匠心", True), ("52330100MA2", True), ("jiangxin", True), ("甬建", False), ("%", False)])
def test_the_list_is_searched_by_name_code_and_user_name(parties: Parties, hangzhou: Any, text: str, found: bool) -> None:
    opened(parties, hangzhou)
    page = hangzhou.get("/institutions/", query_string={"q": text}).text
    assert ("杭州匠心职业培训学校" in page) == found
    assert "宁波" not in page
