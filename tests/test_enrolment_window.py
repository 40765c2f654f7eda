"""The enrolment window opens and closes by the clock alone, to the second, and every page says so in words (J4, E11)."""

from __future__ import annotations

import io
import re
from datetime import date, timedelta
from typing import Any

import pytest

from app import clock as portal_clock
from app.extensions import db, transaction
from models import ImportBatch, Order, TrainingPlan

ENTERPRISE = "91330100MA2AAAA05G"
OPENS = portal_clock.at_shanghai(date(2027, 5, 10), 9)
CLOSES = portal_clock.at_shanghai(date(2027, 5, 20), 17)
SECOND = timedelta(seconds=1)


@pytest.fixture
def plan(make: Any, clock: Any) -> TrainingPlan:
    """A plan for 60 whose window is from 10 May 09:00 to 20 May 17:00; nobody has approved or moved anything since."""
    clock.set(OPENS - timedelta(days=30))
    found: TrainingPlan = make.plan(window=(OPENS - clock.moment, CLOSES - clock.moment))
    return found


def bring(client: Any, plan: TrainingPlan) -> Any:
    return client.post(f"/enrol/plans/{plan.id}/import", data={"workbook": (io.BytesIO(b"x"), "名单.xlsx"), "consent": "1"})


def words(page: str) -> list[str]:
    """The labels that stand on a page."""
    return re.findall(r'<span class="badge[^"]*">([^<]+)</span>', page)


@pytest.mark.parametrize(("moment", "open_now"), [
    (OPENS - SECOND, False), (OPENS, True), (OPENS + SECOND, True), (CLOSES - SECOND, True), (CLOSES, False), (CLOSES + SECOND, False)])
def test_the_window_opens_and_closes_on_the_second_without_a_job(login: Any, make: Any, clock: Any, plan: TrainingPlan, moment: Any,
                                                                 open_now: bool) -> None:
    """No job runs in this test: lists, pages, imports and orders all ask the clock."""
    batch = make.batch(plan, people=2)
    clock.set(moment)
    client = login(ENTERPRISE)
    assert (plan.name in client.get("/enrol/?window=open").text) == open_now
    assert ('name="workbook"' in client.get(f"/enrol/plans/{plan.id}").text) == open_now
    assert (plan.name in login("hjp").get("/plans/?stage=enrolling").text) == open_now
    bring(client, plan)
    assert (db.session.query(ImportBatch).count() == 2) == open_now
    client.post(f"/orders/add/{batch.id}")
    assert (db.session.query(Order).count() == 1) == open_now
    assert db.session.get_one(TrainingPlan, plan.id).seats_taken == (2 if open_now else 0)


@pytest.mark.parametrize(("moment", "said"), [
    (OPENS - timedelta(days=3), "3 天后开放"),
    (OPENS - timedelta(days=2, hours=9), "2 天后开放"),  # the first second of 8 May
    (OPENS - timedelta(days=1, hours=9, seconds=1), "2 天后开放"),
    (OPENS - timedelta(days=1, hours=9), "明天 09:00 开放"),
    (OPENS - timedelta(hours=9, seconds=1), "明天 09:00 开放"),
    (OPENS - timedelta(hours=9), "今天 09:00 开放"),
    (OPENS - SECOND, "今天 09:00 开放"),
    (OPENS, "10 天后截止"),
    (CLOSES - timedelta(days=2), "2 天后截止"),
    (CLOSES - timedelta(days=1), "明天 17:00 截止"),
    (CLOSES - timedelta(hours=17), "今天 17:00 截止"),
    (CLOSES - SECOND, "今天 17:00 截止"),
    (CLOSES, "已截止"),
    (CLOSES + timedelta(days=90), "已截止"),
])
def test_the_words_follow_the_clock_to_the_second(login: Any, clock: Any, plan: TrainingPlan, moment: Any, said: str) -> None:
    clock.set(moment)
    client = login(ENTERPRISE)
    window = "over" if said == "已截止" else "soon" if "开放" in said else "open"
    assert said in words(client.get(f"/enrol/?window={window}").text)
    assert said in words(client.get(f"/enrol/plans/{plan.id}").text)
    owner = login("hjp")
    assert said in words(owner.get(f"/plans/{plan.id}").text)
    assert (said in words(owner.get("/plans/").text)) == (said != "已截止"), "the list says then what the class waits for"


def test_a_window_that_closes_at_midnight_closes_tomorrow_not_today(login: Any, clock: Any, plan: TrainingPlan) -> None:
    with transaction():
        plan.enrolment_closes_at = portal_clock.at_shanghai(date(2027, 5, 20))
    clock.set(portal_clock.at_shanghai(date(2027, 5, 19), 23, 59))
    assert "明天 00:00 截止" in words(login(ENTERPRISE).get("/enrol/").text)


def test_seats_are_told_and_a_full_plan_says_so_and_takes_nobody(login: Any, make: Any, clock: Any, plan: TrainingPlan) -> None:
    clock.set(OPENS)
    make.paid(plan, people=3)
    client = login(ENTERPRISE)
    assert "剩余 57 / 60 个名额" in client.get(f"/enrol/plans/{plan.id}").text
    with transaction():
        plan.seats = 3
    page = client.get(f"/enrol/plans/{plan.id}").text
    assert "3 个名额已满" in page
    assert "名额已满" in words(page)
    assert "名额已满" in words(client.get("/enrol/").text)
    assert "名额已满" in words(login("hjp").get("/plans/").text)
    batch = make.batch(plan, people=1)
    client.post(f"/orders/add/{batch.id}")
    assert db.session.query(Order).count() == 1
    clock.set(CLOSES)
    assert "已截止" in words(client.get(f"/enrol/plans/{plan.id}").text), "over is over, full or not"


def test_opening_the_class_early_ends_the_window(login: Any, clock: Any, plan: TrainingPlan) -> None:
    clock.set(OPENS + timedelta(days=1))
    with transaction():
        plan.class_opened_at = clock.moment
    page = login(ENTERPRISE).get(f"/enrol/plans/{plan.id}").text
    assert "已截止" in words(page)
    assert "后截止" not in page


@pytest.mark.parametrize("state", ["draft", "submitted", "rejected"])
def test_a_plan_that_is_not_approved_has_no_window_to_speak_of(login: Any, make: Any, state: str) -> None:
    plan = make.plan(state)
    for page in (login("hjp").get("/plans/").text, login("hjp").get(f"/plans/{plan.id}").text):
        assert not [each for each in words(page) if "截止" in each or "开放" in each]
