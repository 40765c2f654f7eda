"""The calendar: whose classes and exams stand in it, on which day, in which words, and what it costs (日程)."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from app import clock as portal_clock
from app.extensions import db, transaction
from models import ExamPlan, Institution, PlanDay, TrainingPlan

DAY = date(2027, 3, 17)  # a Wednesday
ENTERPRISE, OTHER = "91330100MA2AAAA05G", "91330212MA2AAAA052"


def on(plan: TrainingPlan, *days: tuple[date, str]) -> TrainingPlan:
    """The plan taught on these days and parts of days."""
    with transaction():
        teacher = plan.days[0].teacher_id
        plan.days = [PlanDay(day=day, session=session, topic=f"第{n}课", teacher_id=teacher) for n, (day, session) in enumerate(days, 1)]
    return plan


def held(exam: ExamPlan, day: date, hour: int = 9, hours: float = 2) -> ExamPlan:
    with transaction():
        exam.starts_at = portal_clock.at_shanghai(day, hour)
        exam.ends_at = exam.starts_at + timedelta(hours=hours)
    return exam


def month(client: Any, **query: Any) -> str:
    answer = client.get("/calendar/", query_string={"date": DAY.isoformat(), **query})
    assert answer.status_code == 200
    return str(answer.text)


def week(client: Any, **query: Any) -> str:
    return month(client, view="week", **query)


def cell(page: str, day: date) -> str:
    """What stands in the cell of a day."""
    return re.split(r"</td>|</section>", page.split(f'<time datetime="{day}">')[1])[0]


def test_a_class_stands_on_its_day_with_its_part_of_the_day_and_leads_to_the_plan(login: Any, make: Any) -> None:
    plan = on(make.plan(), (DAY, "morning"), (DAY, "evening"), (DAY + timedelta(days=1), "all"))
    client = login("hjp")
    page = month(client)
    found = cell(page, DAY)
    assert found.index("上午") < found.index("晚上")
    assert found.count(f'href="/plans/{plan.id}"') == 2
    assert "全天" in cell(page, DAY + timedelta(days=1))
    assert plan.name not in cell(page, DAY - timedelta(days=1))
    listed = week(client)
    for text in (plan.name, "第1课", "培训基地 1 号楼", "老师："):
        assert text in cell(listed, DAY)


def test_an_exam_stands_on_its_shanghai_day_with_its_hours(login: Any, make: Any) -> None:
    exam = held(make.exam(), DAY, 0, 1.5)  # 16:00 of the day before in UTC
    page = month(login("hjp"))
    assert "考核" in cell(page, DAY)
    assert "00:00" in cell(page, DAY)
    assert "00:00–01:30" in cell(week(login("hjp")), DAY)
    assert f'href="/exams/{exam.id}"' in cell(page, DAY)
    assert exam.name not in cell(page, DAY - timedelta(days=1))


def test_an_exam_over_midnight_stands_on_both_days_and_one_that_ends_at_midnight_on_one(login: Any, make: Any) -> None:
    long, short = held(make.exam(), DAY, 22, 4), held(make.exam(), DAY, 20, 4)
    page = week(login("hjp"))
    assert "22:00–24:00" in cell(page, DAY)
    assert "00:00–02:00" in cell(page, DAY + timedelta(days=1))
    assert long.name in cell(page, DAY + timedelta(days=1))
    assert short.name not in cell(page, DAY + timedelta(days=1))


def test_each_party_sees_its_own_and_nobody_elses(login: Any, make: Any) -> None:
    ours, theirs = on(make.plan(), (DAY, "all")), on(make.plan(institution="nbp"), (DAY, "all"))
    make.paid(ours, enterprise=ENTERPRISE)
    for username, seen, unseen in (("hjp", ours, theirs), ("nbp", theirs, ours), ("hangzhou", ours, theirs), ("ningbo", theirs, ours),
                                   (ENTERPRISE, ours, theirs)):
        for page in (month(login(username)), week(login(username))):
            assert seen.name in page, username
            assert unseen.name not in page, username
    assert ours.name not in month(login(OTHER)), "an open plan it has enrolled nobody in is not in an enterprise's calendar"
    for page in (month(login("admin")), month(login("province"))):
        assert ours.name in page
        assert theirs.name in page


def test_what_is_not_approved_is_the_institutions_alone_and_says_so(login: Any, make: Any) -> None:
    states = {"draft": "未上报", "submitted": "已上报待受理", "accepted": "已受理", "rejected": "未通过"}
    for n, (state, words) in enumerate(states.items()):
        plan, day = on(make.plan(state), (DAY + timedelta(days=n - 2), "all")), DAY + timedelta(days=n - 2)
        found = cell(month(login("hjp")), day)
        assert plan.name in found
        assert words in found
        assert "entry-open" in found
        for username in ("hangzhou", "province", "admin"):
            assert plan.name not in month(login(username)), f"{state} to {username}"
    exam = held(make.exam("submitted"), DAY)
    assert "已上报待受理" in cell(week(login("hjp")), DAY)
    for username in ("hangzhou", "admin", ENTERPRISE):
        assert exam.name not in month(login(username))


def test_an_authority_narrows_by_region_and_institution(login: Any, make: Any) -> None:
    ours, theirs = on(make.plan(), (DAY, "all")), on(make.plan(institution="nbp"), (DAY, "all"))
    client = login("province")
    page = month(client)
    assert 'value="330100"' in page
    page = month(client, region="330100")
    assert ours.name in page
    assert theirs.name not in page
    assert make.institution("nbp").name not in page, "the institutions offered are those of the region"
    page = month(client, institution=str(theirs.institution_id))
    assert theirs.name in page
    assert ours.name not in page
    assert ours.name not in month(login("ningbo"), institution=str(ours.institution_id)), "a narrowing shows no more than before"
    assert ours.name in month(client, region="33%%", institution="x"), "what is no region or institution is ignored"
    assert "name=\"region\"" not in month(login("hjp"))


def test_a_busy_day_shows_the_first_and_says_how_many_more(login: Any, make: Any) -> None:
    names = sorted(on(make.plan(), (DAY, "all")).name for _each in range(8))
    held(make.exam(), DAY, 7)
    client = login("hjp")
    found = cell(month(client), DAY)
    assert found.count("<li>") == 3
    assert "还有 6 项" in found
    assert "9 项" in found
    assert names[0] in found
    assert names[-1] not in found
    assert f"#d-{DAY}" in found
    listed = cell(week(client), DAY)
    assert listed.count("<li>") == 9
    assert "还有" not in listed
    assert listed.index("07:00") < listed.index(names[0])


def test_the_month_is_a_table_with_headings_and_marks_today(login: Any, clock: Any) -> None:
    clock.set(portal_clock.at_shanghai(DAY, 0, 30))  # still the day before in UTC
    client = login("hjp")
    page = client.get("/calendar/").text
    assert page.count('<th scope="col">周') == 7
    assert "<caption" in page
    assert "2027 年 3 月" in page
    today = page.split('<td class="')
    assert [part for part in today if 'aria-current="date"' in part.split(">")[0]][0].count(f'datetime="{DAY}"') == 1
    assert 'date=2027-02-01" ' in page.replace("&amp;", "&") or "date=2027-02-01" in page
    assert "date=2027-04-01" in page
    assert "这个月没有培训和考核" in page
    assert "2027-03-15 至 2027-03-21" in client.get("/calendar/?view=week").text


@pytest.mark.parametrize("query", ["date=2027-02-30", "date=x", "date=0001-01-01", "date=9999-12-31", "view=year", "region=%00",
                                   "institution=" + "9" * 31, "region='--"])
def test_an_address_that_means_nothing_is_no_error(login: Any, query: str) -> None:
    assert login("province").get(f"/calendar/?{query}").status_code in (200, 400)


@pytest.mark.parametrize("view", ["month", "week"])
@pytest.mark.parametrize("username", ["hjp", "province", ENTERPRISE, "admin"])
def test_a_month_costs_the_same_however_many_plans(login: Any, make: Any, view: str, username: str) -> None:
    client = login(username)

    def count() -> int:
        statements: list[Any] = []
        event.listen(db.engine, "before_cursor_execute", listener := lambda *args: statements.append(args[2]))
        page = month(client, view=view)
        event.remove(db.engine, "before_cursor_execute", listener)
        assert plan.name in page
        return len(statements)

    make.paid(plan := on(make.plan(), (DAY, "all")))
    few = count()
    for n in range(12):
        make.paid(on(make.plan(), (DAY + timedelta(days=n), "all"), (DAY + timedelta(days=n), "evening")) if n % 2 else
                  on(make.plan(), (DAY, "evening")), people=1)
    held(make.exam(), DAY)
    assert count() == few <= 11


def test_a_disabled_teacher_or_an_institution_without_plans_breaks_nothing(login: Any, make: Any) -> None:
    plan = on(make.plan(), (DAY, "all"))
    with transaction():
        plan.days[0].teacher.enabled = False
        db.session.get_one(Institution, plan.institution_id).contact_name = ""
    assert plan.name in week(login("hjp"))


def test_the_enterprise_is_led_to_pages_of_its_own(login: Any, make: Any) -> None:
    exam = held(make.exam(), DAY)
    plan = on(db.session.get_one(TrainingPlan, exam.plan_id), (DAY, "all"))
    client = login(ENTERPRISE)
    found = cell(month(client), DAY)
    links = re.findall(r'href="([^"]+)"', found)
    assert f"/enrol/plans/{plan.id}" in links
    assert any(link.startswith("/enrolled/?plan=") for link in links)
    for link in links:
        assert client.get(link.split("#")[0].replace("&amp;", "&")).status_code == 200
    for username in ("hjp", "hangzhou", "admin"):
        client = login(username)
        for link in re.findall(r'href="([^"]+)"', cell(month(client), DAY)):
            assert client.get(link.split("#")[0].replace("&amp;", "&")).status_code == 200, f"{link} as {username}"
