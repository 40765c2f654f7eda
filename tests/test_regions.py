"""A role's region narrows the rows of exactly the permissions that role grants, on every page and in what goes on later (B9)."""

from __future__ import annotations

import io
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy import select, update

from app import files
from app.extensions import db, transaction
from app.operations import bulk_steps
from models import Authority, BulkRun, Certificate, Enrolment, Enterprise, Institution, ScoreReport, StoredFile, TrainingPlan
from tests.factory import Factory
from tests.staffing import give, role
from tests.test_calendar_feed import subscribe

HANGZHOU, XIHU, BINJIANG = "330100", "330106", "330108"
EVERYTHING = ("enterprises.look", "institutions.look", "plans.look", "exams.look", "scores.look", "certificates.download",
              "people.download", "people.reveal")


@pytest.fixture
def two_counties(make: Factory) -> tuple[int, int]:
    """Two enterprises that wait at Hangzhou's authority: one in 西湖区, one in 滨江区."""
    authority, ids = make.authority().id, []
    for username, region in (("91330100MA2AAAA05G", XIHU), ("91330212MA2AAAA052", BINJIANG)):
        key = make.enterprise(username).id
        with transaction() as session:
            session.execute(update(Enterprise).where(Enterprise.id == key).values(
                region_code=region, authority_id=authority, **{**make.review("submitted"), "review_version": 10}))
        ids.append(key)
    db.session.expire_all()
    return ids[0], ids[1]


@pytest.fixture
def two_cities(make: Factory) -> dict[str, ScoreReport]:
    """A reported exam in Hangzhou and one in Ningbo."""
    return {"hangzhou": make.report(), "ningbo": make.report(institution="nbp")}


def state(enterprise: int) -> str:
    return db.session.get_one(Enterprise, enterprise, populate_existing=True).review_state


def test_accepting_in_one_county_and_looking_everywhere_are_two_things(login: Any, make: Factory, two_counties: tuple[int, int]) -> None:
    here, there = two_counties
    give("hangzhou", role(make, "西湖受理", "enterprises.accept", region=XIHU), role(make, "全市查看", "enterprises.look"))
    city = login("hangzhou")
    desk = city.get("/reviews/enterprises/").text
    assert "杭州第一建筑工程" in desk
    assert "宁波东海建设" in desk
    assert f"/reviews/enterprises/{here}/accept" in city.get(f"/reviews/enterprises/{here}").text
    seen = city.get(f"/reviews/enterprises/{there}")
    assert seen.status_code == 200
    assert f"/reviews/enterprises/{there}/accept" not in seen.text
    assert city.post(f"/reviews/enterprises/{there}/accept").status_code == 404
    answer = city.post("/reviews/enterprises/bulk/accept", data={"ids": [there]}, follow_redirects=True)
    assert "不在您可以受理的地区内" in answer.text
    city.post("/reviews/enterprises/bulk/accept", data={"all": "1", "state": "waiting"})
    assert (state(here), state(there)) == ("accepted", "submitted")


def test_the_region_of_one_role_does_not_lend_itself_to_another(login: Any, make: Factory, two_counties: tuple[int, int]) -> None:
    """Deciding in 滨江区 does not let one accept there."""
    here, there = two_counties
    give("hangzhou", role(make, "西湖受理", "enterprises.accept", region=XIHU),
         role(make, "滨江审核", "enterprises.decide", region=BINJIANG))
    city = login("hangzhou")
    assert city.post(f"/reviews/enterprises/{there}/accept").status_code == 404
    assert city.post(f"/reviews/enterprises/{here}/approve").status_code == 404
    city.post(f"/reviews/enterprises/{here}/accept")
    assert (state(here), state(there)) == ("accepted", "submitted")


def test_a_provincial_enterprise_is_where_it_is(login: Any, make: Factory, two_counties: tuple[int, int]) -> None:
    here, there = two_counties
    province = make.authority("province").id
    db.session.execute(update(Enterprise).where(Enterprise.id.in_(two_counties)).values(authority_id=province, is_provincial=True))
    db.session.execute(update(Enterprise).where(Enterprise.id == there).values(region_code="330212"))
    db.session.commit()
    give("province", role(make, "杭州省属企业", "enterprises.accept", region=HANGZHOU))
    above = login("province")
    assert above.get(f"/reviews/enterprises/{there}").status_code == 404
    above.post(f"/reviews/enterprises/{here}/accept")
    assert (state(here), state(there)) == ("accepted", "submitted")


def test_another_regions_row_is_nowhere(login: Any, make: Factory, two_cities: dict[str, ScoreReport]) -> None:
    give("province", role(make, "杭州查询", *EVERYTHING, region=HANGZHOU))
    above, report = login("province"), two_cities["ningbo"]
    exam = report.exam_plan
    person = db.session.scalars(select(Enrolment).where(Enrolment.plan_id == exam.plan_id)).first()
    assert person is not None
    addresses = [f"/reviews/scores/{report.id}", f"/reviews/exams/{exam.id}", f"/reviews/plans/{exam.plan_id}",
                 f"/institutions/{exam.institution_id}", f"/people/{person.id}", f"/files/{person.portrait_id}",
                 f"/records/training_plan/{exam.plan_id}", f"/records/score_report/{report.id}",
                 f"/reviews/enterprises/{make.enterprise('91330212MA2AAAA052').id}", f"/certificates/exams/{exam.id}/cards.xlsx"]
    for address in addresses:
        assert above.get(address).status_code == 404, address
    assert above.post(f"/people/{person.id}/reveal").status_code == 404
    name = exam.plan.name
    for address in ("/reviews/plans/?state=all", "/people/", "/reviews/exams/?state=all", "/calendar/", "/reviews/scores/?state=all"):
        page = above.get(address).text
        assert name not in page, address
        assert exam.name not in page, address


def test_its_own_regions_row_is_there(login: Any, make: Factory, two_cities: dict[str, ScoreReport]) -> None:
    give("province", role(make, "杭州查询", *EVERYTHING, region=HANGZHOU))
    above, report = login("province"), two_cities["hangzhou"]
    exam = report.exam_plan
    person = db.session.scalars(select(Enrolment).where(Enrolment.plan_id == exam.plan_id)).first()
    assert person is not None
    for address in (f"/reviews/scores/{report.id}", f"/reviews/exams/{exam.id}", f"/reviews/plans/{exam.plan_id}", f"/people/{person.id}",
                    f"/institutions/{exam.institution_id}", f"/files/{person.portrait_id}", f"/records/training_plan/{exam.plan_id}"):
        assert above.get(address).status_code == 200, address


def test_an_institution_is_not_opened_outside_the_roles_region(login: Any, make: Factory) -> None:
    given = {"name": "省直培训中心", "short_name": "省直", "uscc": "91330100MA2CCCC28A", "username": "shengzhi"}
    give("province", role(make, "杭州机构", "institutions.add", region=HANGZHOU))
    page = login("province").post("/institutions/add", data=given)
    assert "您的角色限于部分地区" in page.text
    assert db.session.scalars(select(Institution).where(Institution.short_name == "省直")).first() is None


def test_an_export_holds_the_roles_region_only(login: Any, make: Factory, two_cities: dict[str, ScoreReport]) -> None:
    give("province", role(make, "杭州导出", "people.download", region=HANGZHOU), role(make, "全省查看", "people.look"))
    above = login("province")
    own, theirs = (two_cities[city].exam_plan.plan.name for city in ("hangzhou", "ningbo"))
    assert theirs in above.get("/people/").text
    sheet = load_workbook(io.BytesIO(above.get("/people/people.xlsx").data)).worksheets[0]
    cells = {str(cell.value) for line in sheet.iter_rows() for cell in line}
    assert theirs not in cells
    assert own in cells


def test_on_everybodys_pages_only_what_one_may_look_at_is_opened(login: Any, make: Factory, two_cities: dict[str, ScoreReport]) -> None:
    """A file or a record has no permission of its own: it follows the page that shows it."""
    exam = two_cities["hangzhou"].exam_plan
    person = db.session.scalars(select(Enrolment).where(Enrolment.plan_id == exam.plan_id)).first()
    assert person is not None
    with transaction() as session:
        paper = files.keep(b"x", kind="licence", name="a.jpg", content_type=files.JPEG,
                           institution_id=exam.institution_id)
        session.flush()
        key = paper.id
    give("province", role(make, "只看计划", "plans.look"))
    above = login("province")
    assert above.get(f"/reviews/plans/{exam.plan_id}").status_code == 200
    assert above.get(f"/records/training_plan/{exam.plan_id}").status_code == 200
    for address in (f"/files/{person.portrait_id}", f"/files/{key}", f"/records/exam_plan/{exam.id}"):
        assert above.get(address).status_code == 404, address
    give("province", role(make, "机构", "institutions.look"))
    assert above.get(f"/files/{key}").status_code == 200


def test_a_calendar_feed_is_narrowed_as_the_page_is(login: Any, make: Factory, two_cities: dict[str, ScoreReport], client: Any) -> None:
    give("province", role(make, "杭州计划", "plans.look", "exams.look", region=HANGZHOU))
    feed = client.get(subscribe(login("province")))
    text = feed.text.replace("\r\n ", "")
    assert feed.status_code == 200
    assert two_cities["hangzhou"].exam_plan.plan.name in text
    assert two_cities["ningbo"].exam_plan.plan.name not in text


def test_a_step_on_many_keeps_to_the_region_when_its_job_runs(login: Any, make: Factory, run_jobs: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(bulk_steps, "AT_ONCE", 1)
    plans = [make.plan(state="submitted") for _each in range(3)]
    with transaction() as session:  # a county below Hangzhou, whose plans Hangzhou's desk sees
        session.add(Authority(name="西湖区住建局", region_code=XIHU, parent_id=make.authority().id))
    give("hangzhou", role(make, "全市受理", "plans.accept", region=HANGZHOU))
    city = login("hangzhou")
    answer = city.post("/reviews/plans/bulk/accept", data={"all": "1", "state": "waiting"})
    assert "/runs/" in answer.location
    # Before the job runs the role is narrowed to a county that has none of these plans.
    give("hangzhou", role(make, "西湖受理", "plans.accept", region=XIHU))
    run_jobs()
    run = db.session.scalars(select(BulkRun)).one()
    assert sorted(run.left) == sorted(plan.id for plan in plans)
    assert {plan.review_state for plan in db.session.scalars(select(TrainingPlan)).all()} == {"submitted"}


def test_a_step_on_many_goes_nowhere_when_the_permission_was_taken(login: Any, make: Factory, run_jobs: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(bulk_steps, "AT_ONCE", 1)
    for _each in range(2):
        make.plan(state="submitted")
    city = login("hangzhou")
    city.post("/reviews/plans/bulk/accept", data={"all": "1", "state": "waiting"})
    give("hangzhou", role(make, "只看", "plans.look"))
    run_jobs()
    assert {plan.review_state for plan in db.session.scalars(select(TrainingPlan)).all()} == {"submitted"}


def test_the_portals_own_role_has_no_region(login: Any, make: Factory, two_cities: dict[str, ScoreReport]) -> None:
    above = login("province")
    for report in two_cities.values():
        assert above.get(f"/reviews/scores/{report.id}").status_code == 200
    assert db.session.scalars(select(Certificate)).all() == []
    assert db.session.scalars(select(Institution)).all()
    assert db.session.scalars(select(StoredFile)).all()
