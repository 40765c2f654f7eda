"""缺勤转入: who missed a class goes on in another, once, with a seat and without paying again (I16, C4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from app.errors import Conflict
from app.extensions import db
from app.operations import carry_over, exams, seats
from models import AuditEvent, Enrolment, Invoice, Notice, Order, TrainingPlan
from tests.factory import Factory
from tests.shop import SECOND


@pytest.fixture
def earlier(make: Factory) -> TrainingPlan:
    """A class that two of its four people missed."""
    return make.attended(4, absent=2)


@pytest.fixture
def target(make: Factory, earlier: TrainingPlan) -> TrainingPlan:
    return make.plan(seats=3)


def absent(plan: TrainingPlan) -> list[Enrolment]:
    return list(db.session.scalars(select(Enrolment).where(
        Enrolment.plan_id == plan.id, Enrolment.attendance == "absent").order_by(Enrolment.id)))


def here(plan: TrainingPlan) -> list[Enrolment]:
    return list(db.session.scalars(select(Enrolment).where(Enrolment.plan_id == plan.id, Enrolment.state == "enrolled")
                                   .order_by(Enrolment.id)))


def taken(plan: TrainingPlan) -> int:
    assert not seats.differences()
    return db.session.get_one(TrainingPlan, plan.id, populate_existing=True).seats_taken


def add(client: Any, plan: TrainingPlan, people: list[Enrolment]) -> str:
    answer = client.post(f"/plans/{plan.id}/absentees/add", data={"ids": [each.id for each in people]}, follow_redirects=True)
    return str(answer.text)


def test_absentees_are_found_added_and_told_without_a_second_payment(login: Any, earlier: TrainingPlan, target: TrainingPlan) -> None:
    client, people = login("hjp"), absent(earlier)
    page = client.get(f"/plans/{target.id}/absentees").text
    assert all(each.name in page for each in people)
    before = db.session.execute(select(func.count(Order.id), func.sum(Order.amount_fen), func.sum(Order.people))).one()
    assert "已转入 2 人" in add(client, target, people)
    fresh = here(target)
    assert [each.carried_from_id for each in fresh] == [each.id for each in people]
    for new, old in zip(fresh, people, strict=True):
        assert (new.name, new.id_number, new.phone, new.portrait_id, new.id_front_id, new.attendance, new.order_id) == (
            old.name, old.id_number, old.phone, old.portrait_id, old.id_front_id, None, None)
        assert carry_over.paid_by(new).id == old.order_id  # type: ignore[union-attr]
        old_page, new_page = client.get(f"/people/{old.id}").text, client.get(f"/people/{new.id}").text
        assert f"/people/{new.id}" in old_page
        assert f"/people/{old.id}" in new_page
    assert taken(target) == 2
    assert db.session.execute(select(func.count(Order.id), func.sum(Order.amount_fen), func.sum(Order.people))).one() == before
    assert not db.session.scalar(select(func.count(Invoice.id)))
    notice = db.session.scalars(select(Notice).where(Notice.event == "carried_over")).one()
    assert (notice.enterprise_id, notice.count, notice.remark) == (people[0].enterprise_id, 2, target.name)
    assert "继续培训" in login("91330100MA2AAAA05G").get("/notices/").text


def test_the_search_finds_one_by_number_phone_enterprise_or_class(login: Any, earlier: TrainingPlan, target: TrainingPlan) -> None:
    client, (one, other) = login("hjp"), absent(earlier)
    for field, text in (("id_number", one.id_number), ("phone", one.phone), ("q", one.name)):
        page = client.post(f"/plans/{target.id}/absentees", data={field: text}, follow_redirects=True)
        assert one.name in page.text
        assert other.name not in page.text
        assert one.id_number not in page.request.url
    page = client.get(f"/plans/{target.id}/absentees?plan={earlier.name}&enterprise=杭州第一").text
    assert one.name in page
    assert other.name in page


def test_once_per_absence_whoever_clicks(login: Any, make: Factory, earlier: TrainingPlan, target: TrainingPlan) -> None:
    client, people = login("hjp"), absent(earlier)
    add(client, target, people)
    add(client, target, people)
    second = make.plan()
    add(client, second, people)
    assert (taken(target), taken(second)) == (2, 0)
    with pytest.raises(Conflict):
        carry_over.add(second, [each.id for each in people], actor=make.actor("hjp"))


def test_seats_are_needed_for_all_or_nobody_goes(login: Any, make: Factory, earlier: TrainingPlan) -> None:
    full = make.plan(seats=1)
    assert "名额不足" in add(login("hjp"), full, absent(earlier))
    assert taken(full) == 0
    assert all(each.carried_at is None for each in absent(earlier))


@pytest.mark.parametrize("wrong", ["occupation", "draft", "opened", "institution", "attended"])
def test_who_or_what_does_not_fit_is_refused(login: Any, make: Factory, earlier: TrainingPlan, wrong: str) -> None:
    plan = make.plan(state="draft" if wrong == "draft" else "approved", occupations=("030",) if wrong == "occupation" else ("020",),
                     institution="nbp" if wrong == "institution" else "hjp")
    if wrong == "opened":
        plan.class_opened_at = plan.created_at
        db.session.commit()
    people = here(earlier)[2:] if wrong == "attended" else absent(earlier)
    add(login("hjp"), plan, people)
    add(login("nbp"), plan, people)
    assert not here(plan)
    assert taken(plan) == 0


def test_who_is_live_elsewhere_for_the_same_trade_is_not_offered(login: Any, make: Factory, earlier: TrainingPlan,
                                                                 target: TrainingPlan) -> None:
    person = absent(earlier)[0]
    add(login("hjp"), make.plan(), [person])
    person = db.session.get_one(Enrolment, person.id)
    person.carried_at = None  # as if another program had forgotten the mark
    db.session.commit()
    add(login("hjp"), target, [person])
    assert not here(target)


def test_undone_until_the_class_opens_gives_the_absence_back(login: Any, make: Factory, earlier: TrainingPlan,
                                                             target: TrainingPlan) -> None:
    client, people = login("hjp"), absent(earlier)
    add(client, target, people)
    first, second = here(target)
    client.post(f"/plans/{target.id}/absentees/undo", data={"ids": [first.id]})
    assert [each.id for each in here(target)] == [second.id]
    assert taken(target) == 1
    add(client, target, [people[0]])
    assert taken(target) == 2
    client.post(f"/classes/{target.id}/open", data={"early": "1"})
    client.post(f"/plans/{target.id}/absentees/undo", data={"ids": [second.id]})
    assert taken(target) == 2
    verbs = list(db.session.scalars(select(AuditEvent.verb).where(AuditEvent.verb.like("%carry_over%")).order_by(AuditEvent.id)))
    assert verbs == ["carry_over", "undo_carry_over", "carry_over"]


def test_who_was_carried_over_sits_the_exam_of_the_new_class_only(login: Any, make: Factory, clock: Any, earlier: TrainingPlan) -> None:
    target = make.plan(window=(timedelta(days=-9), timedelta(days=-2)))
    client, people = login("hjp"), absent(earlier)
    add(client, target, people)
    client.post(f"/classes/{target.id}/open")
    away = here(target)[0]
    client.post(f"/classes/{target.id}/attendance", data={"attendance": "absent", "ids": [away.id]})
    clock.advance(days=9)
    client.post(f"/classes/{target.id}/confirm")
    assert [each.carried_from_id for each in exams.candidates(db.session.get_one(TrainingPlan, target.id))] == [people[1].id]
    assert {each.id for each in exams.candidates(earlier)} == {each.id for each in here(earlier) if each.attendance == "full"}
    third = make.plan()
    add(client, third, [away])
    assert carry_over.paid_by(here(third)[0]).id == people[0].order_id  # type: ignore[union-attr]


def test_another_institution_and_an_enterprise_find_nothing(login: Any, earlier: TrainingPlan, target: TrainingPlan) -> None:
    assert login("nbp").get(f"/plans/{target.id}/absentees").status_code == 404
    assert login("nbp").post(f"/plans/{target.id}/absentees/add", data={"ids": [absent(earlier)[0].id]}).status_code == 404
    assert login(SECOND).get(f"/plans/{target.id}/absentees").status_code == 403
    assert taken(target) == 0


def test_a_class_someone_went_on_from_says_why_it_is_not_unlocked_and_where_to_go(login: Any, make: Factory, earlier: TrainingPlan) -> None:
    target = make.plan(window=(timedelta(days=-9), timedelta(days=-2)))
    client, people = login("hjp"), absent(earlier)
    page = f"/classes/{earlier.id}/attendance"
    assert 'href="#unlock">申请解锁' in client.get(page).text
    add(client, target, people)
    names = "、".join(each.name for each in people)
    closed = client.get(page).text
    assert f"{names} 因本班缺勤已转入“{target.name}”继续培训，不能再解锁。如须更改，请先在该计划的“缺勤转入”中移出。" in closed
    assert 'href="#unlock">不能再解锁，查看原因' in closed
    assert "disabled aria-describedby" in closed, "the button stays where it was"
    assert f'href="/plans/{target.id}/absentees"' in closed
    assert f'action="/classes/{earlier.id}/attendance/unlock"' not in closed
    client.post(f"/classes/{target.id}/open")
    assert f"“{target.name}”已开班，转入不能再撤销" in client.get(page).text
    assert "不能再解锁" in client.post(f"{page}/unlock", data={"remark": "登记错了"}, follow_redirects=True).text
