"""The desk: what waits and how long, one row read beside the list, thousands at once as a job, days, phrases (B4, A3, A4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from app import clock as clocks
from app.extensions import db
from app.operations import bulk_steps
from models import BulkRun, Remark, ReviewEvent, TrainingPlan

FETCH = {"X-Requested-With": "fetch"}


def many(make: Any, number: int, state: str = "submitted") -> list[int]:
    """So many plans of one institution, besides the one they are like."""
    first = make.plan(state=state)
    table = TrainingPlan.__table__
    likeness = dict(db.session.execute(select(table).where(table.c.id == first.id)).mappings().one())
    ids = list(range(500_000, 500_000 + number - 1))
    db.session.execute(insert(table), [{**likeness, "id": n, "name": f"杭建培{n}"} for n in ids])
    db.session.commit()
    return [first.id, *ids]


def states() -> dict[str, int]:
    db.session.rollback()
    rows = db.session.execute(select(TrainingPlan.review_state, func.count()).group_by(TrainingPlan.review_state)).all()
    return {row[0]: row[1] for row in rows}


def accepted_plans() -> Any:
    return db.session.scalar(select(func.count(ReviewEvent.id)).where(
        ReviewEvent.step == "accept", ReviewEvent.subject_kind == "training_plan"))


def test_the_oldest_stands_first_and_what_is_late_says_so(login: Any, make: Any, clock: Any) -> None:
    old, new = make.plan("submitted"), make.plan("accepted")
    db.session.execute(update(TrainingPlan).where(TrainingPlan.id == old.id).values(submitted_at=clocks.now() - timedelta(days=9)))
    db.session.commit()
    page = login("hangzhou").get("/reviews/plans/").text
    assert page.index(old.name) < page.index(new.name)
    assert "超期 · 9 天" in page
    assert page.count("超期") == 1


def test_days_of_submission_narrow_the_list(login: Any, make: Any) -> None:
    old, new = make.plan("submitted"), make.plan("submitted")
    db.session.execute(update(TrainingPlan).where(TrainingPlan.id == old.id).values(submitted_at=clocks.now() - timedelta(days=9)))
    db.session.commit()
    city = login("hangzhou")
    week = (clocks.shanghai_day() - timedelta(days=7)).isoformat()
    recent = city.get(f"/reviews/plans/?from={week}").text
    assert new.name in recent
    assert old.name not in recent
    earlier = city.get(f"/reviews/plans/?to={week}").text
    assert old.name in earlier
    assert new.name not in earlier
    assert city.get("/reviews/plans/?from=2026-02-31&to=x&from=9999-12-31").status_code == 200
    assert city.get("/reviews/plans/?to=9999-12-31").status_code == 200


def test_a_row_is_read_and_decided_without_leaving_the_list(login: Any, make: Any) -> None:
    plan = make.plan("submitted")
    city = login("hangzhou")
    part = city.get(f"/reviews/plans/{plan.id}?pane").text
    assert plan.name in part
    assert "<html" not in part
    assert "主菜单" not in part
    accepted = city.post(f"/reviews/plans/{plan.id}/accept", headers=FETCH).json
    assert (accepted["state"], accepted["decided"]) == ("已受理", False)
    assert "填写不通过的原因" in city.post(f"/reviews/plans/{plan.id}/reject", headers=FETCH).json["message"]
    rejected = city.post(f"/reviews/plans/{plan.id}/reject", data={"remark": "课时不足"}, headers=FETCH).json
    assert (rejected["state"], rejected["tone"], rejected["decided"]) == ("未通过", "bad", True)
    again = city.post(f"/reviews/plans/{plan.id}/approve", headers=FETCH)
    assert again.status_code == 409
    assert "状态已变化" in again.json["message"]


def test_what_is_often_said_is_offered_and_kept_by_the_administrator(login: Any, make: Any) -> None:
    plan = make.plan("accepted")
    page = login("hangzhou").get(f"/reviews/plans/{plan.id}").text
    assert "培训课时不足，请调整培训安排" in page
    assert "承诺书未加盖公章" not in page
    db.session.execute(update(Remark).where(Remark.subject_kind == "training_plan").values(enabled=False))
    db.session.commit()
    assert "培训课时不足" not in login("hangzhou").get(f"/reviews/plans/{plan.id}").text


def test_thousands_that_match_go_as_a_job_and_those_that_cannot_are_named(login: Any, make: Any, run_jobs: Any) -> None:
    ids = many(make, 2500)
    other = make.plan("accepted")
    city = login("hangzhou")
    answer = city.post("/reviews/plans/bulk/accept", data={"all": "1", "state": "waiting"})
    assert answer.status_code == 303
    assert answer.location.startswith("/reviews/plans/runs/")
    assert states()["submitted"] == 2500
    assert "可以离开本页" in city.get(answer.location).text
    db.session.execute(update(TrainingPlan).where(TrainingPlan.id == ids[7]).values(review_state="draft"))
    db.session.commit()
    run_jobs()
    assert states() == {"accepted": 2500, "draft": 1}
    page = city.get(answer.location).text
    assert db.session.get_one(TrainingPlan, other.id).name in page
    run = db.session.scalars(select(BulkRun)).one()
    assert sorted(run.left) == sorted([ids[7], other.id])
    assert accepted_plans() == 2499
    assert login("ningbo").get(answer.location).status_code == 404


def test_a_job_that_stopped_in_the_middle_goes_on_and_does_nothing_twice(login: Any, make: Any, monkeypatch: Any) -> None:
    many(make, 2500)
    actor = make.actor("hangzhou")
    ids = list(db.session.scalars(select(TrainingPlan.id)))
    run = bulk_steps.start("training_plan", ids, "accept", actor=actor)

    def killed(done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bulk_steps.run_steps(run.id, killed)
    assert states() == {"submitted": 1500, "accepted": 1000}
    bulk_steps.run_steps(run.id, lambda _done, _total: None)
    bulk_steps.run_steps(run.id, lambda _done, _total: None)
    assert states() == {"accepted": 2500}
    db.session.refresh(run)
    assert (run.position, run.left) == (2500, [])
    assert accepted_plans() == 2500


def test_thousands_are_not_rejected_without_a_reason(login: Any, make: Any) -> None:
    many(make, 1200, "accepted")
    answer = login("hangzhou").post("/reviews/plans/bulk/reject", data={"all": "1", "state": "waiting"}, follow_redirects=True)
    assert "请填写不通过的原因" in answer.text
    assert db.session.scalars(select(BulkRun)).all() == []
    assert states() == {"accepted": 1200}


def test_another_citys_plans_are_never_among_those_that_match(login: Any, make: Any) -> None:
    theirs = make.plan("submitted", institution="nbp")
    own = make.plan("submitted")
    login("hangzhou").post("/reviews/plans/bulk/accept", data={"all": "1", "state": "waiting"})
    db.session.rollback()
    assert db.session.get_one(TrainingPlan, theirs.id).review_state == "submitted"
    assert db.session.get_one(TrainingPlan, own.id).review_state == "accepted"
