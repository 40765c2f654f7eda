"""Training plans: the form's rules, the owner's steps, the authority's desk, the records (I6–I14)."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.extensions import db
from app.operations import plans
from models import Institution, PlanDay, ReviewEvent, Teacher, TrainingPlan

START = date.today() + timedelta(days=20)
NAME = f"杭建培{START:%Y%m}01"


def form(make: Any, **changed: str) -> dict[str, str]:
    """A plan's form as a clerk would fill it in."""
    teacher = db.session.scalars(select(Teacher).where(Teacher.institution_id == make.institution().id)).first()
    assert teacher is not None
    values = {
        "name": NAME, "fee": "830.50", "seats": "60", "place": "基地 1 号楼", "enrolment_form": "open",
        "opens_at": f"{START - timedelta(days=10):%Y-%m-%d}T09:00", "closes_at": f"{START - timedelta(days=1):%Y-%m-%d}T18:00",
        "occupations-0-occupation_id": str(make.occupation("020").id), "occupations-0-level_id": str(make.level().id),
        "days-0-id": "", "days-0-day": START.isoformat(), "days-0-session": "all", "days-0-topic": "安全",
        "days-0-teacher_id": str(teacher.id),
    }
    return {**values, **changed}


def only_plan() -> TrainingPlan | None:
    return db.session.scalars(select(TrainingPlan)).one_or_none()


def test_a_plan_is_created_as_typed(login: Any, make: Any) -> None:
    answer = login("hjp").post("/plans/add", data=form(make))
    assert answer.status_code == 303
    plan = only_plan()
    assert plan is not None
    assert (plan.name, plan.fee_fen, plan.seats, plan.review_state) == (NAME, 83050, 60, "draft")
    assert [(day.day, day.topic) for day in plan.days] == [(START, "安全")]


def test_the_next_free_name_is_proposed(login: Any, make: Any) -> None:
    institution = make.institution()
    assert plans.next_name(institution, START) == NAME
    make.plan(name=NAME)
    assert plans.next_name(institution, START) == NAME[:-2] + "02"
    assert "杭建培" in login("hjp").get("/plans/add").text


@pytest.mark.parametrize(("changed", "told"), [
    ({"name": "甬建培" + NAME[3:]}, "本机构简称"), ({"name": "杭建培20261301"}, "名称应为"), ({"name": NAME[:-2] + "00"}, "名称应为"),
    ({"name": "杭建培20200101"}, "首个培训日"), ({"fee": "-1"}, "费用应在"), ({"fee": "0.001"}, "两位小数"), ({"fee": "NaN"}, "费用"),
    ({"fee": "abc"}, "请填写金额"), ({"seats": "0"}, "人数应在"), ({"seats": "10000"}, "人数应在"), ({"seats": "1.5"}, "请填写整数"),
    ({"days-0-day": "2027-02-31"}, "请填写有效的日期"), ({"days-0-topic": ""}, "此项必填"), ({"days-0-teacher_id": "0"}, "请选择授课老师"),
    ({"occupations-0-occupation_id": "0"}, "请从列表中选择工种"),
    ({"closes_at": f"{START - timedelta(days=30):%Y-%m-%d}T09:00"}, "截止时间应晚于"),
    ({"closes_at": f"{START + timedelta(days=30):%Y-%m-%d}T09:00"}, "首个培训日结束前"),
    ({"enrolment_form": "designated"}, "至少选择一家企业"),
    ({"place": " "}, "此项必填"),
])
def test_a_broken_rule_is_told_at_its_field_and_nothing_is_written(login: Any, make: Any, changed: dict[str, str], told: str) -> None:
    page = login("hjp").post("/plans/add", data=form(make, **changed))
    assert page.status_code == 200
    assert told in page.text
    assert only_plan() is None


def test_a_name_is_taken_once_even_at_the_same_moment(app: Any, make: Any) -> None:
    owner = make.actor("hjp")
    teacher = db.session.scalars(select(Teacher.id).where(Teacher.institution_id == owner.institution_id)).first()
    draft = plans.suggested(db.session.get_one(Institution, owner.institution_id))
    whole = plans.PlanDraft(draft.name, 100, 10, "地点", draft.opens_at, draft.closes_at, "open",
                            [(make.occupation().id, make.level().id)], [plans.DayDraft(draft.days[0].day, "all", "安全", teacher or 0)])
    db.session.rollback()
    barrier, outcomes = threading.Barrier(2), []

    def save() -> None:
        with app.app_context():
            barrier.wait()
            try:
                plans.save(None, whole, actor=owner)
                outcomes.append("saved")
            except plans.InvalidFields as error:
                outcomes.append(str(error.fields["name"]))
            finally:
                db.session.remove()

    threads = [threading.Thread(target=save) for _each in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == sorted(["saved", "这个名称已被使用，请换一个序号。"])
    assert len(db.session.scalars(select(TrainingPlan)).all()) == 1


def test_another_institutions_teacher_is_refused(login: Any, make: Any) -> None:
    theirs = db.session.scalars(select(Teacher).where(Teacher.institution_id == make.institution("nbp").id)).first()
    assert theirs is not None
    page = login("hjp").post("/plans/add", data=form(make, **{"days-0-teacher_id": str(theirs.id)}))
    assert page.status_code == 200
    assert only_plan() is None


def test_days_keep_their_rows_when_edited(login: Any, make: Any) -> None:
    client = login("hjp")
    client.post("/plans/add", data=form(make))
    plan = only_plan()
    assert plan is not None
    kept = plan.days[0].id
    second = {key.replace("days-0", "days-1"): value for key, value in form(make).items() if key.startswith("days-0")}
    second |= {"days-1-day": (START + timedelta(days=1)).isoformat(), "days-1-topic": "实操"}
    client.post(f"/plans/{plan.id}/edit", data={**form(make, **{"days-0-id": str(kept), "days-0-topic": "改过"}), **second})
    days = db.session.scalars(select(PlanDay).order_by(PlanDay.day)).all()
    assert [(day.id == kept, day.topic) for day in days] == [(True, "改过"), (False, "实操")]


def test_a_submitted_plan_is_locked_and_may_be_withdrawn_before_acceptance(login: Any, make: Any) -> None:
    client = login("hjp")
    client.post("/plans/add", data=form(make))
    plan = only_plan()
    assert plan is not None
    client.post(f"/plans/{plan.id}/submit")
    assert client.post(f"/plans/{plan.id}/edit", data=form(make, place="别处")).status_code in (303, 409)
    assert db.session.get_one(TrainingPlan, plan.id).place == "基地 1 号楼"
    client.post(f"/plans/{plan.id}/withdraw")
    assert db.session.get_one(TrainingPlan, plan.id).review_state == "draft"
    client.post(f"/plans/{plan.id}/submit")
    login("hangzhou").post(f"/reviews/plans/{plan.id}/accept")
    client.post(f"/plans/{plan.id}/withdraw")
    assert db.session.get_one(TrainingPlan, plan.id).review_state == "accepted"
    assert "状态已变化" in client.get("/").text


def test_a_plan_whose_window_is_over_cannot_be_submitted(login: Any, make: Any) -> None:
    plan = make.plan("draft", window=(timedelta(days=-9), timedelta(days=-2)))
    client = login("hjp")
    client.post(f"/plans/{plan.id}/submit")
    assert db.session.get_one(TrainingPlan, plan.id).review_state == "draft"
    assert "报名截止时间已过" in client.get(f"/plans/{plan.id}").text


def test_the_desk_decides_many_at_once_and_names_what_was_left(login: Any, make: Any) -> None:
    ready, late = [make.plan("accepted") for _each in range(3)], make.plan("submitted")
    foreign = make.plan("accepted", institution="nbp")
    city = login("hangzhou")
    city.post("/reviews/plans/bulk/approve", data={"ids": [str(plan.id) for plan in (*ready, late, foreign)]})
    states = {plan.id: db.session.get_one(TrainingPlan, plan.id).review_state for plan in (*ready, late, foreign)}
    assert [states[plan.id] for plan in ready] == ["approved"] * 3
    assert (states[late.id], states[foreign.id]) == ("submitted", "accepted")
    told = city.get("/reviews/plans/").text
    assert "已处理 3 项" in told
    assert late.name in told
    assert foreign.name not in told


def test_all_that_match_the_filter_are_decided_not_only_the_page(login: Any, make: Any) -> None:
    for _each in range(30):
        make.plan("submitted")
    make.plan("accepted")
    city = login("hangzhou")
    city.post("/reviews/plans/bulk/accept", data={"all": "1", "state": "submitted"})
    assert {plan.review_state for plan in db.session.scalars(select(TrainingPlan))} == {"accepted"}
    accepted = select(ReviewEvent).where(ReviewEvent.step == "accept", ReviewEvent.subject_kind == "training_plan")
    assert len(db.session.scalars(accepted).all()) == 30


def test_a_bulk_rejection_without_a_reason_does_nothing(login: Any, make: Any) -> None:
    plan = make.plan("accepted")
    city = login("hangzhou")
    city.post("/reviews/plans/bulk/reject", data={"ids": [str(plan.id)], "remark": ""})
    assert db.session.get_one(TrainingPlan, plan.id).review_state == "accepted"
    assert "请填写不通过的原因" in city.get("/reviews/plans/").text


def test_the_records_tell_every_step_with_person_and_time(login: Any, make: Any) -> None:
    plan = make.plan("draft")
    client, city = login("hjp"), login("hangzhou")
    client.post(f"/plans/{plan.id}/submit")
    for step, remark in (("accept", ""), ("reject", "第二天没有老师")):
        city.post(f"/reviews/plans/{plan.id}/{step}", data={"remark": remark})
    for reader in (client, city):
        page = reader.get(f"/records/training_plan/{plan.id}").text
        for text in ("受理时间", "审核时间", "审核状态", "第二天没有老师", "杭州市城乡建设委员会", "杭州经办", "未通过"):
            assert text in page
    assert login("nbp").get(f"/records/training_plan/{plan.id}").status_code == 404


def test_a_list_costs_the_same_however_long(login: Any, make: Any) -> None:
    from sqlalchemy import event

    client = login("hjp")

    def count() -> int:
        statements: list[Any] = []
        event.listen(db.engine, "before_cursor_execute", listener := lambda *args: statements.append(args[2]))
        client.get("/plans/")
        event.remove(db.engine, "before_cursor_execute", listener)
        return len(statements)

    make.plan()
    few = count()
    for _each in range(20):
        make.plan()
    assert count() == few <= 12
