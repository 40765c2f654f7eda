"""The review table: every step from every state, by every party; records; races; bulk."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import select

from app import workflow
from app.actors import SYSTEM
from app.errors import Conflict, Forbidden, Invalid
from app.extensions import db
from models import ReviewEvent, TrainingPlan
from models.reviews import REVIEW_STATES

EXPECTED = {
    ("submit", "draft"): "submitted", ("submit", "rejected"): "submitted", ("withdraw", "submitted"): "draft",
    ("accept", "submitted"): "accepted", ("approve", "accepted"): "approved", ("reject", "accepted"): "rejected",
}
WHO = {"submit": "hjp", "withdraw": "hjp", "accept": "hangzhou", "approve": "hangzhou", "reject": "hangzhou"}


def _events(plan: TrainingPlan) -> list[ReviewEvent]:
    return list(db.session.scalars(select(ReviewEvent).where(
        ReviewEvent.subject_kind == "training_plan", ReviewEvent.subject_id == plan.id).order_by(ReviewEvent.id)))


@pytest.mark.parametrize("step", WHO)
@pytest.mark.parametrize("state", REVIEW_STATES)
def test_a_step_moves_from_its_own_states_only(app: Any, make: Any, step: str, state: str) -> None:
    plan = make.plan(state)
    actor = make.actor(WHO[step])
    if (step, state) in EXPECTED:
        workflow.take_step(plan, step, actor=actor, remark="材料不全")
        assert plan.review_state == EXPECTED[step, state]
        event = _events(plan)[-1]
        assert (event.step, event.from_state, event.to_state, event.actor_id) == (step, state, plan.review_state, actor.user_id)
    else:
        with pytest.raises(Conflict):
            workflow.take_step(plan, step, actor=actor, remark="材料不全")
        assert plan.review_state == state
        assert _events(plan) == []


@pytest.mark.parametrize("step", ["accept", "approve", "reject"])
@pytest.mark.parametrize("who", ["hjp", "91330100MA2AAAA05G", "admin"])
def test_only_an_authority_reviews(app: Any, make: Any, step: str, who: str) -> None:
    plan = make.plan("submitted" if step == "accept" else "accepted")
    with pytest.raises(Forbidden):
        workflow.take_step(plan, step, actor=make.actor(who), remark="不符")
    assert _events(plan) == []


@pytest.mark.parametrize("who", ["ningbo", "province"])
def test_another_authority_cannot_review_even_the_one_above(app: Any, make: Any, who: str) -> None:
    plan = make.plan("submitted")
    with pytest.raises(Conflict):
        workflow.take_step(plan, "accept", actor=make.actor(who))
    assert plan.review_state == "submitted"


def test_another_institution_cannot_submit_or_withdraw(app: Any, make: Any) -> None:
    plan, other = make.plan("draft"), make.plan("submitted")
    for subject, step in ((plan, "submit"), (other, "withdraw")):
        with pytest.raises(Conflict):
            workflow.take_step(subject, step, actor=make.actor("nbp"))
    assert (plan.review_state, other.review_state) == ("draft", "submitted")


def test_a_rejection_needs_a_reason(app: Any, make: Any) -> None:
    plan = make.plan("accepted")
    with pytest.raises(Invalid, match="原因"):
        workflow.take_step(plan, "reject", actor=make.actor("hangzhou"), remark="  ")
    assert plan.review_state == "accepted"


def test_a_resubmission_begins_a_new_round_and_keeps_the_old_records(app: Any, make: Any) -> None:
    plan = make.plan("draft")
    institution, city = make.actor("hjp"), make.actor("hangzhou")
    for step, actor in (("submit", institution), ("withdraw", institution), ("submit", institution), ("accept", city),
                        ("reject", city), ("submit", institution), ("accept", city), ("approve", city)):
        workflow.take_step(plan, step, actor=actor, remark="课时不足" if step == "reject" else "")
    assert plan.review_state == "approved"
    assert [event.round for event in _events(plan)] == [1, 1, 1, 1, 1, 2, 2, 2]
    assert [event.remark for event in _events(plan) if event.step == "reject"] == ["课时不足"]
    assert len({event.sequence for event in _events(plan)}) == 8


def test_a_bulk_step_moves_what_it_can_and_names_the_rest(app: Any, make: Any) -> None:
    ready, late = [make.plan("accepted") for _each in range(3)], make.plan("submitted")
    foreign = make.plan("accepted", institution="nbp")
    outcome = workflow.take_steps("training_plan", [p.id for p in (*ready, late, foreign)], "approve", actor=make.actor("hangzhou"))
    assert sorted(outcome.moved) == [p.id for p in ready]
    assert outcome.left == [late.id, foreign.id]
    assert [len(_events(p)) for p in (*ready, late, foreign)] == [1, 1, 1, 0, 0]


def test_a_move_that_is_not_declared_is_a_mistake_of_the_program(app: Any, make: Any) -> None:
    with pytest.raises(ValueError, match="not a declared move"):
        workflow.move(TrainingPlan, [1], "review_state", workflow.ORDER_MOVES, "expired", "pending")


def test_the_system_itself_reviews_nothing(app: Any, make: Any) -> None:
    with pytest.raises(Forbidden):
        workflow.take_step(make.plan("submitted"), "accept", actor=SYSTEM)


def _race(app: Any, acts: list[Any]) -> list[str]:
    """Run the acts at the same moment in threads with sessions of their own; their outcomes by name."""
    barrier, outcomes = threading.Barrier(len(acts)), []

    def run(act: Any) -> None:
        with app.app_context():
            barrier.wait()
            try:
                act()
                outcomes.append("won")
            except Conflict:
                outcomes.append("lost")
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(outcomes)


def test_of_a_withdrawal_and_an_acceptance_that_race_one_wins(app: Any, make: Any) -> None:
    institution, city = make.actor("hjp"), make.actor("hangzhou")
    for _round in range(5):
        plan_id = make.plan("submitted").id
        db.session.commit()

        def step(name: str, actor: Any, plan_id: int = plan_id) -> None:
            workflow.take_step(db.session.get_one(TrainingPlan, plan_id), name, actor=actor)

        assert _race(app, [lambda: step("withdraw", institution), lambda: step("accept", city)]) == ["lost", "won"]
        db.session.rollback()
        assert len(_events(db.session.get_one(TrainingPlan, plan_id))) == 1


def test_without_compare_and_set_the_race_would_be_lost(app: Any, make: Any) -> None:
    """The negative control: read, wait, write. Both sides then believe they won."""
    plan_id = make.plan("submitted").id
    db.session.commit()
    seen = threading.Barrier(2)

    def naive(target: str) -> None:
        state = db.session.scalar(select(TrainingPlan.review_state).where(TrainingPlan.id == plan_id))
        db.session.commit()
        seen.wait()
        if state != "submitted":
            raise Conflict("late")
        db.session.connection().exec_driver_sql(f"UPDATE training_plan SET review_state = '{target}', "
                                                f"accepted_at = submitted_at, accepted_by_id = 1 WHERE id = {plan_id}")
        db.session.commit()

    assert _race(app, [lambda: naive("draft"), lambda: naive("accepted")]) == ["won", "won"]
