"""A room of the institution is chosen for a teaching day, and shown where it is booked twice (I11)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app.extensions import db
from models import PlanDay, Room, TrainingPlan
from tests.test_plans import NAME, START, form

FETCH = {"X-Requested-With": "fetch"}


def room(make: Any, institution: str = "hjp", name: str = "一号教室") -> int:
    row = Room(institution_id=make.institution(institution).id, key=f"k{name}"[:16], name=name, address="建设路 1 号", capacity=60,
               kind="classroom")
    db.session.add(row)
    db.session.commit()
    return int(row.id)


def test_a_room_is_chosen_and_shown(login: Any, make: Any) -> None:
    key, client = room(make), login("hjp")
    assert "一号教室（60）" in client.get("/plans/add").text
    assert client.post("/plans/add", data=form(make, **{"days-0-room_id": str(key)})).status_code == 303
    plan = db.session.scalars(select(TrainingPlan)).one()
    assert plan.days[0].room_id == key
    assert "一号教室" in client.get(f"/plans/{plan.id}").text


def test_a_room_may_be_left_open(login: Any, make: Any) -> None:
    assert login("hjp").post("/plans/add", data=form(make, **{"days-0-room_id": "0"})).status_code == 303
    assert db.session.scalars(select(PlanDay)).one().room_id is None


def test_a_room_booked_twice_is_shown_and_not_submitted(login: Any, make: Any) -> None:
    key, client = room(make), login("hjp")
    teachers = {"days-0-room_id": str(key), "days-0-session": "morning"}
    client.post("/plans/add", data=form(make, **teachers))
    first = db.session.scalars(select(TrainingPlan)).one()
    client.post(f"/plans/{first.id}/submit")
    ask = client.get("/plans/typing/bookings", headers=FETCH, query_string={
        "day": START.isoformat(), "session": "all", "teacher": "0", "room": str(key)}).json["clashes"]
    assert [each["part"] for each in ask] == ["room_id"]
    assert f"场地“一号教室” {START.isoformat()} 上午已用于“{NAME}”" in ask[0]["message"]
    client.post("/plans/add", data=form(make, name=NAME[:-2] + "02", **teachers))
    second = db.session.scalars(select(TrainingPlan).order_by(TrainingPlan.id.desc())).first()
    assert second is not None
    client.post(f"/plans/{second.id}/submit")
    assert db.session.get_one(TrainingPlan, second.id, populate_existing=True).review_state == "draft"


@pytest.mark.parametrize("whose", ["nbp", ""])
def test_another_institutions_room_is_refused(login: Any, make: Any, whose: str) -> None:
    key = room(make, whose) if whose else 999_999
    page = login("hjp").post("/plans/add", data=form(make, **{"days-0-room_id": str(key)}))
    assert page.status_code == 200
    assert db.session.scalars(select(TrainingPlan)).all() == []
