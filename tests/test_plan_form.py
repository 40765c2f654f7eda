"""The plan's form while it is typed: names, teachers booked twice, enterprises found, what is kept by itself, copies (I6–I11)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.extensions import db
from app.operations import form_drafts
from models import Enterprise, FormDraft, PlanDay, Teacher, TrainingPlan
from tests.test_plans import NAME, START, form

FETCH = {"X-Requested-With": "fetch"}


def test_a_name_is_judged_while_it_is_typed(login: Any, make: Any) -> None:
    client = login("hjp")
    ask = lambda name, **more: client.get("/plans/typing/name", headers=FETCH, query_string={  # noqa: E731
        "name": name, "start": START.isoformat(), **more}).json
    assert ask(NAME) == {"message": "", "free": NAME}
    assert "名称应为" in ask("杭建培")["message"]
    assert "本机构简称" in ask("甬建培" + NAME[3:])["message"]
    assert "首个培训日" in ask("杭建培20200101")["message"]
    plan = make.plan(name=NAME)
    assert ask(NAME) == {"message": "这个名称已被使用，请换一个序号。", "free": NAME[:-2] + "02"}
    assert ask(NAME, plan=str(plan.id))["message"] == ""
    assert client.get("/plans/typing/name", query_string={"name": NAME, "start": "2027-02-31"}, headers=FETCH).status_code == 200


def proposed(client: Any) -> str:
    found = re.search(r'name="proposed"[^>]*value="([^"]*)"', client.get("/plans/add").text)
    assert found is not None
    return found[1]


def test_the_proposed_name_is_of_the_month_in_which_the_class_begins(login: Any, clock: Any) -> None:
    """By the Shanghai day: the evening of the 15th in Greenwich is the 16th there, and sixteen days later February."""
    for moment, month in ((datetime(2027, 1, 15, 15, 59, tzinfo=UTC), "202701"), (datetime(2027, 1, 15, 16, tzinfo=UTC), "202702"),
                          (datetime(2027, 12, 20, tzinfo=UTC), "202801")):
        clock.set(moment)
        client = login("hjp")
        assert proposed(client) == f"杭建培{month}01"
        told = client.get("/plans/typing/name", headers=FETCH, query_string={"name": "", "start": ""}).json
        assert told["free"] == f"杭建培{month}01", "without a day it is the same"
        assert f"{month}01" in told["message"]


def test_a_name_nobody_typed_follows_the_first_day_and_a_typed_one_is_asked_about(login: Any, make: Any) -> None:
    client = login("hjp")
    name = proposed(client)
    later = START + timedelta(days=31)
    days = {"days-0-day": later.isoformat(), "closes_at": f"{START:%Y-%m-%d}T18:00"}
    refused = client.post("/plans/add", data=form(make, name=NAME, proposed="", **days))
    assert (refused.status_code, "首个培训日" in refused.text) == (200, True)
    assert client.post("/plans/add", data=form(make, name=name, proposed=name, **days)).status_code == 303
    stale = f"杭建培{later:%Y%m}01"
    assert client.post("/plans/add", data=form(make, name=stale, proposed=stale, **days)).status_code == 303, "its number is taken by now"
    assert db.session.scalars(select(TrainingPlan.name).order_by(TrainingPlan.id)).all() == [
        f"杭建培{later:%Y%m}01", f"杭建培{later:%Y%m}02"]


def test_a_teacher_booked_twice_is_shown_across_plans(login: Any, make: Any) -> None:
    client = login("hjp")
    client.post("/plans/add", data=form(make, **{"days-0-session": "morning"}))
    teacher = form(make)["days-0-teacher_id"]
    ask = lambda **given: client.get("/plans/typing/bookings", headers=FETCH, query_string={  # noqa: E731
        "day": START.isoformat(), "session": "all", "teacher": teacher, **given}).json["clashes"]
    [clash] = ask()
    assert clash["row"] == 0
    assert NAME in clash["message"]
    assert "上午" in clash["message"]
    assert ask(session="afternoon") == []
    assert ask(day=(START + timedelta(days=1)).isoformat()) == []
    assert ask(teacher="0") == ask(teacher="x", day="31") == []
    plan = db.session.scalars(select(TrainingPlan)).one()
    assert ask(plan=str(plan.id)) == []


def test_a_plan_is_not_submitted_while_its_teacher_teaches_elsewhere(login: Any, make: Any) -> None:
    client = login("hjp")
    client.post("/plans/add", data=form(make))
    client.post("/plans/add", data=form(make, name=NAME[:-2] + "02"))
    first, second = db.session.scalars(select(TrainingPlan).order_by(TrainingPlan.id)).all()
    assert client.post(f"/plans/{first.id}/submit").status_code == 303
    page = client.get(f"/plans/{second.id}")
    assert f"已安排在“{NAME}”" in page.text
    assert f"/plans/{second.id}/edit#days-0-teacher_id" in page.text
    client.post(f"/plans/{second.id}/submit")
    assert db.session.get_one(TrainingPlan, second.id, populate_existing=True).review_state == "draft"


def test_two_drafts_may_overlap_until_one_is_submitted(login: Any, make: Any) -> None:
    client = login("hjp")
    client.post("/plans/add", data=form(make))
    client.post("/plans/add", data=form(make, name=NAME[:-2] + "02"))
    second = db.session.scalars(select(TrainingPlan).order_by(TrainingPlan.id.desc())).first()
    assert second is not None
    assert client.post(f"/plans/{second.id}/submit").status_code == 303
    assert db.session.get_one(TrainingPlan, second.id, populate_existing=True).review_state == "submitted"


def test_an_enterprise_is_found_by_name_or_code(login: Any, make: Any) -> None:
    client = login("hjp")
    find = lambda text: client.get("/plans/typing/enterprises", query_string={"q": text}, headers=FETCH).json  # noqa: E731
    known = make.enterprise()
    assert [each["id"] for each in find(known.name[:4])["found"]] == [known.id]
    assert [each["id"] for each in find(known.uscc[:10].lower())["found"]] == [known.id]
    assert find("杭")["found"] == find("%%")["found"] == find("不存在的企业")["found"] == []
    db.session.get_one(Enterprise, known.id).review_state = "draft"
    db.session.commit()
    assert find(known.uscc)["found"] == []


def test_what_was_typed_comes_back_and_goes_with_saving(login: Any, make: Any) -> None:
    client = login("hjp")
    half = form(make, name="杭建培", fee="", **{"days-0-topic": "写到一半"})
    assert client.post("/plans/typing/keep", data=half, headers=FETCH).status_code == 200
    page = client.get("/plans/add").text
    assert "写到一半" in page
    assert "尚未保存的内容" in page
    assert db.session.scalars(select(TrainingPlan)).all() == []
    assert "写到一半" not in login("nbp").get("/plans/add").text
    client.post("/plans/add", data=form(make))
    assert db.session.scalars(select(FormDraft)).all() == []
    assert "写到一半" not in client.get("/plans/add").text


def test_what_was_typed_is_given_up_at_a_wish(login: Any, make: Any) -> None:
    client = login("hjp")
    client.post("/plans/typing/keep", data=form(make, place="不要了"), headers=FETCH)
    assert client.post("/plans/typing/discard").status_code == 303
    assert "不要了" not in client.get("/plans/add").text


def test_a_submitted_plan_keeps_nothing(login: Any, make: Any) -> None:
    plan = make.plan("submitted")
    client = login("hjp")
    assert client.post(f"/plans/typing/keep?plan={plan.id}", data={"name": "x"}, headers=FETCH).status_code == 409
    assert login("nbp").post(f"/plans/typing/keep?plan={plan.id}", data={"name": "x"}, headers=FETCH).status_code == 404
    assert db.session.scalars(select(FormDraft)).all() == []


def test_what_was_never_saved_is_forgotten_after_a_month(make: Any, clock: Any) -> None:
    owner = make.actor("hjp")
    form_drafts.keep("plan:new", [("name", "x")], actor=owner)
    clock.advance(days=31)
    form_drafts.run_tidy(0, lambda _done, _total: None)
    assert form_drafts.kept("plan:new", actor=owner) is None


def test_of_two_colleagues_the_later_is_told(login: Any, make: Any) -> None:
    client = login("hjp")
    client.post("/plans/add", data=form(make))
    plan = db.session.scalars(select(TrainingPlan)).one()
    seen, day = str(plan.version), str(plan.days[0].id)
    assert client.post(f"/plans/{plan.id}/edit", data=form(make, version=seen, place="甲改", **{"days-0-id": day})).status_code == 303
    late = client.post(f"/plans/{plan.id}/edit", data=form(make, version=seen, place="乙改", **{"days-0-id": day}))
    assert "同事修改过这个计划" in late.text
    assert db.session.get_one(TrainingPlan, plan.id, populate_existing=True).place == "甲改"


def test_an_older_plan_is_copied_with_its_days_moved(login: Any, make: Any) -> None:
    client = login("hjp")
    second = {key.replace("days-0", "days-1"): value for key, value in form(make).items() if key.startswith("days-0")}
    second |= {"days-1-day": (START + timedelta(days=3)).isoformat(), "days-1-topic": "实操"}
    client.post("/plans/add", data=form(make, place="老地方", **second))
    old = db.session.scalars(select(TrainingPlan)).one()
    page = client.get(f"/plans/add?from={old.id}").text
    for value in ("老地方", "830.5", "实操"):
        assert value in page
    assert f'value="{NAME}"' not in page
    assert login("nbp").get(f"/plans/add?from={old.id}").status_code == 404
    assert db.session.scalars(select(TrainingPlan)).all() == [old]


@pytest.mark.parametrize("path", ["name", "bookings", "enterprises?q=杭州"])
def test_only_institutions_are_answered(login: Any, path: str) -> None:
    assert login("91330100MA2AAAA05G").get(f"/plans/typing/{path}", headers=FETCH).status_code in (302, 403)
    assert login("hangzhou").get(f"/plans/typing/{path}", headers=FETCH).status_code in (302, 403)


def test_a_switched_off_teacher_cannot_be_copied_in_silence(login: Any, make: Any) -> None:
    client = login("hjp")
    client.post("/plans/add", data=form(make))
    old = db.session.scalars(select(TrainingPlan)).one()
    gone = old.days[0].teacher_id
    db.session.get_one(Teacher, gone).enabled = False
    db.session.commit()
    page = client.get(f"/plans/add?from={old.id}")
    assert page.status_code == 200
    answer = client.post("/plans/add", data=form(make, name=NAME[:-2] + "02", **{"days-0-teacher_id": str(gone)}))
    assert answer.status_code == 200
    assert len(db.session.scalars(select(PlanDay)).all()) == 1


def test_an_enterprise_that_is_not_approved_cannot_be_designated(login: Any, make: Any) -> None:
    client, known = login("hjp"), make.enterprise()
    db.session.get_one(Enterprise, known.id).review_state = "draft"
    db.session.commit()
    answer = client.post("/plans/add", data=form(make, enrolment_form="designated", enterprise_ids=str(known.id)))
    assert answer.status_code == 200
    assert db.session.scalars(select(TrainingPlan)).all() == []
