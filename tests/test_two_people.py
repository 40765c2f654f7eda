"""Two people: where the administrator asks for it, who accepted a thing does not decide it."""

from __future__ import annotations

from typing import Any

import pytest

from app import workflow
from app.errors import Conflict
from app.extensions import db
from models import Parameter, TrainingPlan
from tests.factory import Factory
from tests.staffing import give, role


@pytest.fixture
def colleague(app: Any, make: Factory) -> str:
    """A second person of Hangzhou's authority; the rule is on."""
    from flask_appbuilder.security.sqla.models import Role
    from sqlalchemy import select

    from app.operations import staff

    whole = db.session.scalars(select(Role).where(Role.name == "主管部门")).one()
    form = staff.StaffForm("authority", "周审", "", make.authority().id, (whole.id,))
    row, _password = staff.create(form, "zhou_shen", actor=make.actor("admin"))
    row.must_change_password = False
    db.session.merge(Parameter(key="two_person_review", value="1"))
    db.session.commit()
    return "zhou_shen"


def second(make: Factory, colleague: str, *ids: int) -> None:
    """The colleague accepts these plans."""
    workflow.take_steps("training_plan", ids, "accept", actor=make.actor(colleague))


def state(plan: TrainingPlan) -> str:
    return db.session.get_one(TrainingPlan, plan.id, populate_existing=True).review_state


@pytest.mark.parametrize("step", ["approve", "reject"])
def test_who_accepted_is_calmly_told_that_another_decides(login: Any, make: Factory, colleague: str, step: str) -> None:
    plan = make.plan(state="submitted")
    city = login("hangzhou")
    city.post(f"/reviews/plans/{plan.id}/accept")
    page = city.get(f"/reviews/plans/{plan.id}").text
    assert "由您受理，须由另一人审核" in page
    assert f"/reviews/plans/{plan.id}/approve" not in page
    answer = city.post(f"/reviews/plans/{plan.id}/{step}", data={"remark": "课时不足"}, follow_redirects=True)
    assert "由您受理，须由另一人审核" in answer.text
    assert state(plan) == "accepted"
    workflow.take_step(db.session.get_one(TrainingPlan, plan.id), step, actor=make.actor(colleague), remark="课时不足")
    assert state(plan) == {"approve": "approved", "reject": "rejected"}[step]


def test_of_many_those_accepted_by_oneself_are_named_and_the_others_go(login: Any, make: Factory, colleague: str) -> None:
    own, other = make.plan(state="submitted"), make.plan(state="submitted")
    city = login("hangzhou")
    city.post(f"/reviews/plans/{own.id}/accept")
    second(make, colleague, other.id)
    page = city.post("/reviews/plans/bulk/approve", data={"ids": [own.id, other.id]}, follow_redirects=True).text
    assert "已处理 1 项" in page
    assert f"1 项由您受理，须由另一人审核，未处理：{own.name}" in page
    assert (state(own), state(other)) == ("accepted", "approved")


def test_off_changes_nothing(login: Any, make: Factory) -> None:
    plan, many = make.plan(state="submitted"), make.plan(state="submitted")
    city = login("hangzhou")
    city.post("/reviews/plans/bulk/accept", data={"ids": [plan.id, many.id]})
    assert "由您受理" not in city.get(f"/reviews/plans/{plan.id}").text
    city.post(f"/reviews/plans/{plan.id}/approve")
    city.post("/reviews/plans/bulk/approve", data={"ids": [many.id]})
    assert (state(plan), state(many)) == ("approved", "approved")


def test_no_way_around_it_by_the_operation_itself(make: Factory, colleague: str) -> None:
    plan = make.plan(state="submitted")
    actor = make.actor("hangzhou")
    workflow.take_step(plan, "accept", actor=actor)
    with pytest.raises(Conflict, match="须由另一人审核"):
        workflow.take_step(plan, "approve", actor=actor)


def test_after_a_resubmission_the_one_who_accepts_anew_counts(make: Factory, colleague: str) -> None:
    plan = make.plan(state="submitted")
    first, other = make.actor("hangzhou"), make.actor(colleague)
    workflow.take_step(plan, "accept", actor=first)
    workflow.take_step(plan, "reject", actor=other, remark="课时不足")
    workflow.take_step(plan, "submit", actor=make.actor("hjp"))
    workflow.take_step(plan, "accept", actor=other)
    with pytest.raises(Conflict):
        workflow.take_step(plan, "approve", actor=other)
    workflow.take_step(plan, "approve", actor=first)
    assert state(plan) == "approved"


def test_who_may_only_accept_is_not_told_of_a_decision_that_is_not_theirs(login: Any, make: Factory, colleague: str) -> None:
    plan = make.plan(state="submitted")
    give("hangzhou", role(make, "受理", "plans.accept"))
    city = login("hangzhou")
    city.post(f"/reviews/plans/{plan.id}/accept")
    assert "由您受理" not in city.get(f"/reviews/plans/{plan.id}").text
