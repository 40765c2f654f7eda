"""企业审核 and 修改: what an authority has before it, what an enterprise may change when (E7, E9, A3, C1)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.extensions import db
from models import Authority, Enrolment, Enterprise, ImportBatch, Order, TrainingPlan
from tests.parties import NAMES, PHONE, USCC, WENZHOU, XIHU, Parties, papers, photo
from tests.shop import at_once

DEMO = "Demo2026!"
FETCH = {"X-Requested-With": "fetch"}


@pytest.fixture
def parties(app: Any, clock: Any, login: Any, standins: Any) -> Parties:
    return Parties(app, login, standins)


@pytest.fixture
def hangzhou(parties: Parties) -> Any:
    return parties.enter("hangzhou", DEMO, "authority")


def step(client: Any, enterprise: int, name: str, remark: str = "") -> Any:
    return client.post(f"/reviews/enterprises/{enterprise}/{name}", data={"remark": remark}, follow_redirects=True)


def approved(parties: Parties, hangzhou: Any, **changes: Any) -> int:
    enterprise = parties.registered(**changes)
    for name in ("accept", "approve"):
        step(hangzhou, enterprise, name)
    assert parties.enterprise(enterprise)["state"] == "approved"
    return enterprise


def corrected(client: Any, files: dict[str, Any] | None = None, **changes: Any) -> Any:
    form = {"name": "杭州新城建设有限公司", "legal_representative": "周新", "region_code": XIHU, "address": "文三路 1 号",
            "contact_name": "沈经理", "phone": PHONE, "code": ""} | changes
    given = {name: value for name, value in form.items() if value is not None}
    return client.post("/enterprise/edit", data=given | (files or {}), content_type="multipart/form-data")


# The authority's desk


def test_a_registration_waits_on_the_desk_of_its_city_only(parties: Parties, hangzhou: Any) -> None:
    enterprise = parties.registered()
    assert "杭州新城建设有限公司" in hangzhou.get("/reviews/enterprises/").text
    ningbo = parties.enter("ningbo", DEMO, "authority")
    assert "杭州新城建设有限公司" not in ningbo.get("/reviews/enterprises/?state=all").text
    assert ningbo.get(f"/reviews/enterprises/{enterprise}").status_code == 404
    assert step(ningbo, enterprise, "accept").status_code == 404
    assert ningbo.get(f"/records/enterprise/{enterprise}").status_code == 404
    assert ningbo.get(f"/files/{parties.enterprise(enterprise)['licence']}").status_code == 404
    assert parties.enterprise(enterprise)["state"] == "submitted"


def test_the_province_looks_on_but_a_citys_review_is_the_citys(parties: Parties) -> None:
    enterprise = parties.registered()
    above = parties.enter("province", DEMO, "authority")
    page = above.get(f"/reviews/enterprises/{enterprise}").text
    assert "杭州新城建设有限公司" in page
    assert 'value="accept"' not in page
    step(above, enterprise, "accept")
    assert parties.enterprise(enterprise)["state"] == "submitted"


def test_papers_stand_beside_what_was_typed(parties: Parties, hangzhou: Any) -> None:
    enterprise = parties.registered()
    page = hangzhou.get(f"/reviews/enterprises/{enterprise}").text
    for words in ("营业执照", "资质证书", "企业承诺书", USCC, "周新", "文三路 1 号", "杭州市 / 西湖区", "沈经理", "139****2222"):
        assert words in page
    assert PHONE not in page
    pictures = re.findall(r'<img src="(/files/\d+)"', page)
    assert len(set(pictures)) == 3
    for each in pictures:
        answer = hangzhou.get(each)
        assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
        assert "no-store" in answer.headers["Cache-Control"]


def test_a_registration_is_accepted_and_approved_and_may_then_enrol(parties: Parties, hangzhou: Any) -> None:
    enterprise = parties.registered()
    client = parties.enter()
    step(hangzhou, enterprise, "accept")
    assert "杭州市城乡建设委员会已受理，正在审核" in client.get("/enterprise/").text
    step(hangzhou, enterprise, "approve")
    assert "已通过杭州市城乡建设委员会审核，可以报名" in client.get("/enterprise/").text
    assert parties.enterprise(enterprise)["may_enrol"]
    assert parties.steps("enterprise", enterprise) == ["submit", "accept", "approve"]
    records = client.get(f"/records/enterprise/{enterprise}").text
    assert "杭州经办" in records


def test_nothing_is_approved_or_rejected_before_it_is_accepted(parties: Parties, hangzhou: Any) -> None:
    enterprise = parties.registered()
    assert "状态已变化" in step(hangzhou, enterprise, "approve").text
    step(hangzhou, enterprise, "reject", "太早")
    assert parties.enterprise(enterprise)["state"] == "submitted"


def test_a_rejection_says_why_and_the_enterprise_corrects_and_submits_again(parties: Parties, hangzhou: Any) -> None:
    enterprise = parties.registered()
    client = parties.enter()
    step(hangzhou, enterprise, "accept")
    assert "请填写不通过的原因" in step(hangzhou, enterprise, "reject").text
    step(hangzhou, enterprise, "reject", "营业执照看不清")
    assert "未通过杭州市城乡建设委员会审核：营业执照看不清" in client.get("/enterprise/").text
    before = parties.enterprise(enterprise)["licence"]
    new = {"licence": papers(licence=(photo("新执照"), "yyzz.jpg"))["licence"]}
    assert corrected(client, new, name="杭州新城建设集团有限公司").status_code == 303
    look = parties.enterprise(enterprise)
    assert look["name"] == "杭州新城建设集团有限公司"
    assert look["licence"] != before
    assert look["state"] == "rejected"
    assert client.post("/enterprise/submit").status_code == 303
    assert parties.enterprise(enterprise)["round"] == 2
    assert f"/files/{look['licence']}" in hangzhou.get(f"/reviews/enterprises/{enterprise}").text


def test_many_are_accepted_at_once_and_those_that_were_not_waiting_are_named(parties: Parties, hangzhou: Any) -> None:
    first = parties.registered()
    second = parties.registered(uscc="91350100M000100Y43", phone="13911113333", name="西湖建设有限公司")
    step(hangzhou, first, "accept")
    page = hangzhou.post("/reviews/enterprises/bulk/accept", data={"ids": [first, second]}, follow_redirects=True).text
    assert "受理：已处理 1 项" in page
    assert "1 项当前状态不能受理，未处理：杭州新城建设有限公司" in page
    assert parties.enterprise(second)["state"] == "accepted"


def test_a_withdrawal_and_an_acceptance_at_the_same_moment_cannot_both_win(parties: Parties, hangzhou: Any) -> None:
    enterprise = parties.registered()
    client = parties.enter()
    at_once(parties, lambda: client.post("/enterprise/withdraw"), lambda: step(hangzhou, enterprise, "accept"))
    steps = parties.steps("enterprise", enterprise)
    assert steps in (["submit", "withdraw"], ["submit", "accept"])
    assert parties.enterprise(enterprise)["state"] == {"withdraw": "draft", "accept": "accepted"}[steps[1]]


def test_an_enterprise_reviews_nobody(parties: Parties) -> None:
    enterprise = parties.registered()
    client = parties.enter()
    assert client.get("/reviews/enterprises/").status_code == 403
    assert step(client, enterprise, "accept").status_code == 403


# Before approval nothing is ordered


def _batch(parties: Parties, make: Any, enterprise: str) -> tuple[int, int]:
    with parties.tables():
        plan = make.plan()
        return int(plan.id), int(make.batch(plan, 2, enterprise=enterprise).id)


def test_enrolment_is_blocked_before_approval(parties: Parties, make: Any) -> None:
    parties.registered()
    plan, batch = _batch(parties, make, USCC)
    client = parties.enter()
    client.post(f"/orders/add/{batch}", follow_redirects=True)
    assert parties.count(Order, plan_id=plan) == 0
    with parties.tables():
        assert db.session.get_one(TrainingPlan, plan).seats_taken == 0
        assert {each.state for each in db.session.get_one(ImportBatch, batch).enrolments} == {"draft"}


def test_after_approval_it_is_not(parties: Parties, hangzhou: Any, make: Any) -> None:
    approved(parties, hangzhou)
    plan, batch = _batch(parties, make, USCC)
    assert parties.enter().post(f"/orders/add/{batch}").status_code == 303
    assert parties.count(Order, plan_id=plan) == 1


# 修改


def test_contact_and_address_change_at_once(parties: Parties, hangzhou: Any) -> None:
    enterprise = approved(parties, hangzhou)
    client = parties.enter()
    answer = corrected(client, address="古墩路 5 号", contact_name="陆经理", name=None, legal_representative=None)
    assert answer.status_code == 303
    look = parties.enterprise(enterprise)
    assert (look["address"], look["state"], look["may_enrol"]) == ("古墩路 5 号", "approved", True)
    assert "<b>陆经理</b>" in client.get("/enterprise/").text
    assert parties.audits("correct_enterprise") == 1


@pytest.mark.parametrize("changes, authority", [
    ({"region_code": "330108"}, "杭州市城乡建设委员会"), ({"region_code": "330203"}, "宁波市住房和城乡建设局"),
    ({"is_provincial": "y"}, "浙江省住房和城乡建设厅"),
])
def test_another_region_or_flag_is_reviewed_again_and_blocks_enrolment(
        parties: Parties, hangzhou: Any, make: Any, changes: Any, authority: str) -> None:
    enterprise = approved(parties, hangzhou)
    with parties.tables():
        order = make.paid(make.plan(), 2, enterprise=USCC).id
    client = parties.enter()
    page = client.get("/enterprise/edit").text
    assert "需由新的主管部门重新审核，审核通过前不能报名，已有订单不受影响" in page
    assert corrected(client, name=None, legal_representative=None, **changes).status_code == 303
    look = parties.enterprise(enterprise)
    assert (look["state"], look["authority"], look["may_enrol"]) == ("submitted", authority, False)
    assert parties.steps("enterprise", enterprise) == ["submit", "accept", "approve", "reopen"]
    assert f"等待{authority}受理" in client.get("/enterprise/").text
    with parties.tables():
        assert db.session.get_one(Order, order).state == "paid"
        assert {each.state for each in db.session.get_one(Order, order).enrolments} == {"enrolled"}


def test_the_old_authority_has_no_part_in_the_new_review(parties: Parties, hangzhou: Any) -> None:
    enterprise = approved(parties, hangzhou)
    corrected(parties.enter(), name=None, legal_representative=None, region_code="330203")
    assert hangzhou.get(f"/reviews/enterprises/{enterprise}").status_code == 404
    ningbo = parties.enter("ningbo", DEMO, "authority")
    step(ningbo, enterprise, "accept")
    step(ningbo, enterprise, "approve")
    assert parties.enterprise(enterprise)["may_enrol"]


def test_a_city_without_authority_cannot_be_moved_to(parties: Parties, hangzhou: Any) -> None:
    enterprise = approved(parties, hangzhou)
    answer = corrected(parties.enter(), name=None, legal_representative=None, region_code=WENZHOU)
    assert "尚未开通" in answer.text
    assert parties.enterprise(enterprise)["state"] == "approved"


def test_name_and_papers_of_an_approved_enterprise_stay(parties: Parties, hangzhou: Any) -> None:
    enterprise = approved(parties, hangzhou)
    client = parties.enter()
    page = client.get("/enterprise/edit").text
    assert 'name="name"' not in page
    assert 'name="licence"' not in page
    before = parties.enterprise(enterprise)
    corrected(client, name="改名公司")
    answer = corrected(client, {"licence": papers()["licence"]}, address="不该写下的地址")
    assert "审核通过后，企业名称、法定代表人和证件不能修改" in answer.text
    assert parties.enterprise(enterprise) == before


def test_what_is_being_read_does_not_change_under_the_reader(parties: Parties, hangzhou: Any) -> None:
    enterprise = parties.registered()
    client = parties.enter()
    page = client.get("/enterprise/edit").text
    assert 'name="region_code"' not in page
    before = parties.enterprise(enterprise)
    corrected(client, name="改名公司", region_code="330203")
    assert "暂不能修改" in corrected(client, {"licence": papers()["licence"]}).text
    assert parties.enterprise(enterprise) == before
    step(hangzhou, enterprise, "accept")
    assert corrected(client, address="古墩路 5 号").status_code == 303
    assert parties.enterprise(enterprise)["address"] == "古墩路 5 号"
    assert parties.enterprise(enterprise)["region"] == XIHU


def test_a_withdrawn_registration_can_be_changed_and_submitted_elsewhere(parties: Parties) -> None:
    enterprise = parties.registered()
    client = parties.enter()
    client.post("/enterprise/withdraw")
    assert corrected(client, region_code="330203", name="宁波新城建设有限公司").status_code == 303
    assert parties.enterprise(enterprise)["state"] == "draft"
    client.post("/enterprise/submit")
    look = parties.enterprise(enterprise)
    assert (look["state"], look["authority"], look["name"]) == ("submitted", "宁波市住房和城乡建设局", "宁波新城建设有限公司")


def test_another_phone_needs_its_own_code(parties: Parties, hangzhou: Any, clock: Any) -> None:
    enterprise = approved(parties, hangzhou)
    client = parties.enter()
    number = "13955556666"
    assert "验证码不正确或已过期" in corrected(client, phone=number, code="").text
    for_registering = parties.code(number)
    assert "验证码不正确或已过期" in corrected(client, phone=number, code=for_registering).text
    clock.advance(minutes=2)
    assert client.post("/enterprise/code", data={"phone": number}, headers=FETCH).status_code == 200
    assert corrected(client, phone=number, code=parties.standins.last_code(number), address="新址").status_code == 303
    assert parties.enterprise(enterprise)["phone"] == number


def test_a_refused_code_changes_nothing_else_either(parties: Parties, hangzhou: Any) -> None:
    enterprise = approved(parties, hangzhou)
    before = parties.enterprise(enterprise)
    assert corrected(parties.enter(), phone="13955556666", code="000000", address="新址").status_code == 200
    assert parties.enterprise(enterprise) == before


@pytest.mark.parametrize("changes, words", [
    ({"address": ""}, "此项必填"), ({"contact_name": "  "}, "此项必填"), ({"phone": "139"}, "手机号应为 11 位数字"),
    ({"region_code": "999999"}, ""), ({"region_code": ""}, ""), ({"address": "址" * 201}, "不能超过 200 个字符"),
])
def test_a_correction_that_will_not_do_is_not_written(parties: Parties, hangzhou: Any, changes: Any, words: str) -> None:
    enterprise = approved(parties, hangzhou)
    before = parties.enterprise(enterprise)
    answer = corrected(parties.enter(), **changes)
    assert answer.status_code == 200
    assert words in answer.text
    assert parties.enterprise(enterprise) == before


@pytest.mark.parametrize("kind", NAMES)
def test_a_replaced_paper_carries_its_own_name(parties: Parties, kind: str) -> None:
    enterprise = parties.registered()
    client = parties.enter()
    client.post("/enterprise/withdraw")
    before = parties.enterprise(enterprise)
    answer = corrected(client, {kind: papers(**{kind: (photo(), "other.jpg")})[kind]})
    assert f"文件名应为 {NAMES[kind]}" in answer.text
    assert parties.enterprise(enterprise) == before


def test_a_provincial_enterprise_keeps_its_region_when_it_corrects_its_address(parties: Parties) -> None:
    """One registered for the province as a whole has a region that the list does not offer to others."""
    client = parties.enter("91330000MA2BBBB07Q", DEMO, "enterprise")
    assert corrected(client, name=None, legal_representative=None, region_code="330000", is_provincial="y", address="省府路 1 号",
                     phone="13800138003").status_code == 303
    page = client.get("/enterprise/").text
    assert "省府路 1 号" in page
    assert "已通过浙江省住房和城乡建设厅审核" in page


def test_an_enterprise_sees_its_own_papers_and_nobody_elses(parties: Parties, make: Any) -> None:
    enterprise = parties.registered()
    licence = parties.enterprise(enterprise)["licence"]
    assert parties.enter().get(f"/files/{licence}").status_code == 200
    other = parties.enter("91330212MA2AAAA052", DEMO, "enterprise")
    assert other.get(f"/files/{licence}").status_code == 404
    assert parties.enter("hjp", DEMO, "institution").get(f"/files/{licence}").status_code == 404
    assert parties.visitor().get(f"/files/{licence}").status_code == 302


def test_the_tables_hold_no_more_than_was_asked_for(parties: Parties, hangzhou: Any) -> None:
    before = parties.count(Enterprise), parties.count(Authority), parties.count(Enrolment)
    approved(parties, hangzhou)
    after = parties.count(Enterprise), parties.count(Authority), parties.count(Enrolment)
    assert after == (before[0] + 1, before[1], before[2])
