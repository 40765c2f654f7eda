"""An approved filing that is changed, and a licence that ends: what counts meanwhile (A2, I2)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from app import clock as portal_clock
from app.extensions import db
from app.operations.teachers import teachers_of
from models import Institution, TrainingPlan
from tests.factory import Factory, id_number
from tests.filing import DEMO, add_teacher, approved, row, save, send_photo, take, teacher_id, whole_teacher
from tests.parties import Parties


@pytest.fixture
def parties(app: Any, clock: Any, login: Any, standins: Any) -> Parties:
    return Parties(app, login, standins)


@pytest.fixture
def hangzhou(parties: Parties) -> Any:
    return parties.enter("hangzhou", DEMO, "authority")


def usable(parties: Parties, institution: int) -> list[str]:
    with parties.tables():
        return [each.name for each in teachers_of(db.session.get_one(Institution, institution))]


def expiring(parties: Parties, days: int, username: str = "hjp") -> None:
    """The licence of a demo institution ends so many days from today."""
    with parties.tables():
        Factory().institution(username).licence_until = portal_clock.shanghai_day() + timedelta(days=days)
        db.session.commit()


def test_an_approved_filing_is_edited_only_after_asking_for_a_change(parties: Parties, hangzhou: Any) -> None:
    institution, client = approved(parties, hangzhou)
    assert "请先申请变更" in save(client, address="偷改").text
    assert "请先申请变更" in add_teacher(client, name="偷加", id_number="").text
    assert send_photo(client, "licence").status_code == 409
    assert "申请变更" in client.get("/filing/").text
    assert client.post("/filing/change").status_code == 303
    assert client.post("/filing/change", follow_redirects=True).status_code in (200, 409)
    assert (row(parties, institution)["state"], row(parties, institution)["round"]) == ("draft", 2)
    assert parties.steps("institution", institution) == ["submit", "accept", "approve", "change"]
    page = client.get("/filing/edit").text
    assert "原备案继续有效" in page
    assert "天目山路 9 号" in page


def test_the_approved_filing_counts_until_the_change_is_approved(parties: Parties, hangzhou: Any) -> None:
    institution, client = approved(parties, hangzhou)
    client.post("/filing/change")
    save(client, address="新址 5 号", short_name="新匠", contact_phone="13955556666")
    whole_teacher(parties, client, name="郑师傅", id_number=id_number(21))
    for act in (lambda: client.post("/filing/submit"), lambda: take(hangzhou, institution, "accept"),
                lambda: take(hangzhou, institution, "reject", remark="地址证明不足")):
        act()
        now = row(parties, institution)
        assert (now["address"], now["short_name"], now["phone"], now["filed"]) == ("天目山路 9 号", "匠心", "13922223333", True)
        assert usable(parties, institution) == ["吴师傅"]
        assert "郑师傅（" not in client.get("/plans/add").text
        assert "匠心培" in client.get("/plans/add").text
    page = client.get("/filing/").text
    assert "变更未通过杭州市城乡建设委员会审核：地址证明不足" in page
    assert "原备案继续有效" in page
    client.post("/filing/submit")
    take(hangzhou, institution, "accept", "approve")
    now = row(parties, institution)
    assert (now["address"], now["short_name"], now["phone"], now["approved"]) == ("新址 5 号", "新匠", "13955556666", 3)
    assert usable(parties, institution) == ["吴师傅", "郑师傅"]
    assert "新匠培" in client.get("/plans/add").text


def test_plans_are_submitted_while_a_change_is_prepared(parties: Parties, make: Any) -> None:
    with parties.tables():
        plan = make.plan("draft", window=(timedelta(days=1), timedelta(days=9))).id
    client = parties.enter("hjp", DEMO, "institution")
    client.post("/filing/change")
    assert "备案尚未通过" not in client.get(f"/plans/{plan}").text
    client.post(f"/plans/{plan}/submit")
    with parties.tables():
        assert db.session.get_one(TrainingPlan, plan).review_state == "submitted"


def test_the_authority_sees_what_a_change_changes_and_that_the_old_one_counts(parties: Parties, hangzhou: Any) -> None:
    institution, client = approved(parties, hangzhou)
    client.post("/filing/change")
    save(client, address="新址 5 号")
    page = hangzhou.get(f"/institutions/{institution}").text
    assert "原备案在变更通过之前继续有效" in page
    assert "新址 5 号" not in page
    send_photo(client, "commitment")
    client.post("/filing/submit")
    page = hangzhou.get(f"/institutions/{institution}").text
    told = page[page.index("与上次上报相比的变化"):]
    told = told[:told.index("</section>")]
    assert "新址 5 号" in told
    assert "承诺书" in told
    assert "法定代表人" not in told


def test_only_the_owner_asks_for_a_change_and_only_when_it_is_approved(parties: Parties, hangzhou: Any) -> None:
    institution, client = approved(parties, hangzhou)
    for who, party in (("hangzhou", "authority"), ("91330100MA2AAAA05G", "enterprise")):
        assert parties.enter(who, DEMO, party).post("/filing/change").status_code == 403
    assert row(parties, institution)["state"] == "approved"
    client.post("/filing/change")
    client.post("/filing/submit")
    assert "状态已变化" in client.post("/filing/change", follow_redirects=True).text
    assert row(parties, institution)["state"] == "submitted"


@pytest.mark.parametrize("days, words", [(31, ""), (30, "还有 30 天"), (0, "还有 0 天"), (-1, "已于")])
def test_a_licence_that_ends_is_told_in_good_time(parties: Parties, hangzhou: Any, days: int, words: str) -> None:
    expiring(parties, days)
    client = parties.enter("hjp", DEMO, "institution")
    for place in ("/", "/filing/", "/plans/"):
        page = client.get(place).text
        assert ("营业执照将于" in page or "营业执照已于" in page) == bool(words), place
        assert words in page
    with parties.tables():
        institution = db.session.query(Institution).filter_by(short_name="杭建").one().id
    page = hangzhou.get(f"/institutions/{institution}").text
    assert ("到期" in page.split('class="compare"')[0]) == bool(words)
    soon, over = (("杭州建工" in hangzhou.get(f"/institutions/?licence={value}").text) for value in ("soon", "expired"))
    assert (soon, over) == (0 <= days <= 30, days < 0)


def test_after_its_licence_an_institution_makes_and_submits_no_plans_and_running_ones_go_on(
        parties: Parties, hangzhou: Any, make: Any) -> None:
    with parties.tables():
        draft, running = make.plan("draft", window=(timedelta(days=1), timedelta(days=9))).id, make.plan("approved").id
    client = parties.enter("hjp", DEMO, "institution")
    form = client.get("/plans/add")
    assert form.status_code == 200
    expiring(parties, -1)
    for answer in (client.get("/plans/add"), client.post("/plans/add", data={"name": "杭建培20270101"})):
        assert (answer.status_code, answer.location) == (303, "/filing/")
    assert "不能创建或提交新的培训计划" in client.get("/filing/").text
    assert "创建培训计划</a>" not in client.get("/plans/").text
    page = client.get(f"/plans/{draft}").text
    assert "营业执照已于" in page
    assert 'href="/filing/"' in page
    client.post(f"/plans/{draft}/submit")
    with parties.tables():
        assert db.session.get_one(TrainingPlan, draft).review_state == "draft"
        assert db.session.query(TrainingPlan).count() == 2
    assert parties.enter("91330100MA2AAAA05G", DEMO).get(f"/enrol/plans/{running}").status_code == 200


def test_a_new_licence_opens_plans_again_once_it_is_approved(parties: Parties, hangzhou: Any) -> None:
    institution, client = approved(parties, hangzhou)
    with parties.tables():
        db.session.get_one(Institution, institution).licence_until = date(2020, 1, 1)
        db.session.commit()
    client.post("/filing/change")
    save(client, licence_until="2031-12-31")
    client.post("/filing/submit")
    assert client.get("/plans/add").location == "/filing/"
    take(hangzhou, institution, "accept", "approve")
    assert client.get("/plans/add").status_code == 200
    assert teacher_id(parties) > 0
