"""Two acts on one class at the same moment: whoever comes first, the class ends in a state that either order could have left (C19, I20)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app.extensions import db
from app.operations.scanning import token
from models import AttendanceUnlock, Enrolment, ExamPlan, Order, TrainingPlan
from tests import shop as shops
from tests.classes import confirmed, days, held, marks, people
from tests.shop import FIRST, SECOND, Shop


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    return Shop(app, make, login, standins)


def at_once(shop: Shop, *acts: Any) -> list[Any]:
    """In threads that start together, while the test itself holds no lock."""
    db.session.commit()
    try:
        return shops.at_once(shop, *acts)
    finally:
        db.session.expire_all()


def enrolling(shop: Shop) -> int:
    """A plan in its window with two people enrolled, so that the class can be opened early."""
    plan = shop.plan(seats=10)
    with shop.tables():
        shop.make.paid(db.session.get_one(TrainingPlan, plan), 2, enterprise=SECOND)
    return plan


def opens(shop: Shop, plan: int) -> Any:
    client = shop.login("hjp")
    return lambda: client.post(f"/classes/{plan}/open", data={"early": "1"})


@pytest.mark.parametrize("_round", range(3))
def test_a_payment_and_the_opening_at_the_same_moment_both_count(shop: Shop, run_jobs: Any, _round: int) -> None:
    plan = enrolling(shop)
    order = shop.order(plan, 3)
    shop.pay(order)
    form = shop.standins.notification(order.number)
    payer = shop.app.test_client()
    at_once(shop, opens(shop, plan), lambda: payer.post("/pay/alipay/notify", data=form))
    run_jobs()
    look = shop.look(order.id)
    assert (look.state, look.people) == ("paid", {"enrolled": 3})
    assert [state for state, _reason in look.payments] in (["applied"], ["reseated"])
    assert shop.seats(plan) == 5
    with shop.tables():
        assert db.session.get_one(TrainingPlan, plan).class_opened_at is not None


@pytest.mark.parametrize("_round", range(3))
def test_an_order_and_the_opening_at_the_same_moment_leave_no_seat_held(shop: Shop, run_jobs: Any, _round: int) -> None:
    plan = enrolling(shop)
    batch = shop.batch(plan, 3)
    buyer = shop.login(FIRST)
    at_once(shop, lambda: buyer.post(f"/orders/add/{batch}"), opens(shop, plan))
    run_jobs()
    with shop.tables():
        assert db.session.get_one(TrainingPlan, plan).class_opened_at is not None
        assert set(db.session.scalars(select(Order.state).where(Order.batch_id == batch))) <= {"closed"}
        assert set(db.session.scalars(select(Enrolment.state).where(Enrolment.batch_id == batch))) == {"draft"}
    assert shop.seats(plan) == 2


def test_the_class_is_opened_once_by_two_clicks(shop: Shop) -> None:
    plan = enrolling(shop)
    at_once(shop, opens(shop, plan), opens(shop, plan))
    assert shop.audits("open_class") == 1


@pytest.mark.parametrize("_round", range(3))
def test_a_mark_and_the_confirmation_at_the_same_moment_agree(shop: Shop, make: Any, _round: int) -> None:
    plan = held(make)
    first, second = shop.login("hjp"), shop.login("hjp")
    ids, page = [str(people(plan)[0].id)], f"/classes/{plan.id}"
    marked = {"attendance": "absent", "ids": ids}
    at_once(shop, lambda: first.post(f"{page}/attendance", data=marked), lambda: second.post(f"{page}/confirm"))
    assert confirmed(plan)
    person = people(plan)[0]
    assert (person.attendance, person.attendance_mark) in (("absent", "absent"), ("full", None))
    assert shop.audits("mark_attendance") == (person.attendance == "absent")
    assert {each.attendance for each in people(plan)[1:]} == {"full"}


def test_two_confirmations_at_the_same_moment_are_one(shop: Shop, make: Any) -> None:
    plan = held(make)
    clients, page = [shop.login("hjp") for _each in range(2)], f"/classes/{plan.id}/confirm"
    at_once(shop, *[lambda client=client: client.post(page) for client in clients])
    assert confirmed(plan)
    assert shop.audits("confirm_attendance") == 1


def test_one_slip_before_three_phones_is_one_mark(shop: Shop, make: Any) -> None:
    plan = held(make)
    slip, page = {"session": days(plan)[2], "code": token(plan.id, people(plan)[0].id)}, f"/classes/{plan.id}/attendance/scan"
    clients = [shop.login("hjp") for _each in range(3)]
    answers = at_once(shop, *[lambda client=client: client.post(page, data=slip, headers={"X-Requested-With": "fetch"})
                              for client in clients])
    assert sorted(answer.json["again"] for answer in answers) == [False, True, True]
    assert marks(plan) == {(0, 2): "present"}
    assert shop.audits("begin_scanning") == 1


@pytest.mark.parametrize("_round", range(3))
def test_unlocking_and_submitting_the_exam_at_the_same_moment_never_both(shop: Shop, make: Any, _round: int) -> None:
    exam = make.exam("draft", people=2)
    institution, city = shop.login("hjp"), shop.login("hangzhou")
    institution.post(f"/classes/{exam.plan_id}/attendance/unlock", data={"remark": "漏登记"})
    asked, page = db.session.scalars(select(AttendanceUnlock.id)).one(), f"/exams/{exam.id}/submit"
    at_once(shop, lambda: institution.post(page), lambda: city.post(f"/reviews/attendance/{asked}/granted"))
    submitted = db.session.get_one(ExamPlan, exam.id).review_state == "submitted"
    unlocked = db.session.get_one(TrainingPlan, exam.plan_id).attendance_confirmed_at is None
    assert submitted != unlocked
