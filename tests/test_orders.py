"""Orders: all seats or none, once, for a time (E15, E16, C5, C14, C15, C19, J2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app import clock as time
from app.extensions import db
from app.operations import seats
from models import Enrolment, Enterprise, ImportBatch, Job, Order, Parameter, TrainingPlan
from tests.shop import FIRST, SECOND, Shop, at_once


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    return Shop(app, make, login, standins)


def test_an_order_holds_every_seat_of_the_batch_at_a_frozen_price(shop: Shop) -> None:
    plan = shop.plan(seats=5, fee_fen=83000)
    order = shop.order(plan, 3)
    shop.change(TrainingPlan, plan, fee_fen=1)
    assert (order.state, order.amount_fen, order.people) == ("pending", 249000, {"held": 3})
    assert shop.look(order.id).amount_fen == 249000
    assert shop.seats(plan) == 3
    assert order.release_at - order.expires_at == timedelta(minutes=2)
    assert timedelta(minutes=59) < order.expires_at - time.now() <= timedelta(minutes=60)
    assert shop.jobs("expire_order") == 1
    assert shop.audits("create_order") == 1


def test_the_page_of_an_unpaid_order_counts_down_and_offers_to_pay(shop: Shop) -> None:
    order = shop.order(shop.plan())
    page = shop.login(FIRST).get(f"/orders/{order.id}").text
    assert f'data-countdown="{order.expires_at.isoformat()}"' in page
    assert "去支付宝付款" in page
    assert "取消订单" in page
    assert "¥2,490.00" in page


def test_a_second_click_answers_with_the_first_order(shop: Shop) -> None:
    plan = shop.plan()
    batch = shop.batch(plan, 3)
    client = shop.login(FIRST)
    first, second = client.post(f"/orders/add/{batch}"), client.post(f"/orders/add/{batch}")
    assert first.headers["Location"] == second.headers["Location"]
    assert shop.count(Order) == 1
    assert shop.seats(plan) == 3


def test_two_clicks_at_the_same_moment_make_one_order(shop: Shop) -> None:
    plan = shop.plan()
    batch = shop.batch(plan, 3)
    answers = at_once(shop, *[lambda client=shop.login(FIRST): client.post(f"/orders/add/{batch}") for _each in range(3)])
    assert {each.status_code for each in answers} == {303}
    assert shop.count(Order) == 1
    assert shop.seats(plan) == 3
    assert shop.jobs("expire_order") == 1


def test_a_batch_that_does_not_fit_gets_no_seat_at_all(shop: Shop) -> None:
    plan = shop.plan(seats=4)
    shop.order(plan, 2)
    batch = shop.batch(plan, 3)
    page = shop.login(FIRST).post(f"/orders/add/{batch}", follow_redirects=True).text
    assert "名额不足：需要 3 个，只剩 2 个" in page
    assert shop.count(Order) == 1
    assert shop.seats(plan) == 2
    assert shop.count(Enrolment, batch_id=batch, state="draft") == 3


def test_the_last_seat_can_be_ordered(shop: Shop) -> None:
    plan = shop.plan(seats=3)
    assert shop.order(plan, 3).state == "pending"
    assert shop.seats(plan) == 3


def test_no_order_while_a_photo_is_missing(shop: Shop) -> None:
    plan = shop.plan()
    batch = shop.batch(plan, 3, photos=False)
    page = shop.login(FIRST).post(f"/orders/add/{batch}", follow_redirects=True).text
    assert "还有 3 人缺少寸照或身份证正面照" in page
    assert shop.count(Order) == 0
    assert shop.seats(plan) == 0


@pytest.mark.parametrize(("values", "words"), [
    ({"enrolment_closes_at": timedelta(hours=-1)}, "报名已结束"),
    ({"enrolment_opens_at": timedelta(hours=1)}, "报名还没有开始"),
    ({"class_opened_at": timedelta(hours=-1)}, "报名已结束"),
    ({"enrolment_form": "designated"}, "不对贵单位开放报名"),
    ({"review_state": "rejected"}, "不对贵单位开放报名"),
])
def test_no_order_in_a_plan_that_does_not_enrol(shop: Shop, values: dict[str, Any], words: str) -> None:
    plan = shop.plan()
    batch = shop.batch(plan, 3)
    shop.change(TrainingPlan, plan, **{name: time.now() + value if isinstance(value, timedelta) else value
                                       for name, value in values.items()})
    assert words in shop.login(FIRST).post(f"/orders/add/{batch}", follow_redirects=True).text
    assert shop.count(Order) == 0
    assert shop.seats(plan) == 0


def test_an_enterprise_under_review_cannot_order(shop: Shop) -> None:
    plan = shop.plan()
    batch = shop.batch(plan, 3)
    with shop.tables():
        enterprise_id = shop.make.enterprise(FIRST).id
    shop.change(Enterprise, enterprise_id, review_state="submitted")
    assert "尚未通过主管部门审核" in shop.login(FIRST).post(f"/orders/add/{batch}", follow_redirects=True).text
    assert shop.count(Order) == 0


def test_a_batch_with_faults_cannot_be_ordered(shop: Shop) -> None:
    plan = shop.plan()
    batch = shop.batch(plan, 3)
    shop.change(ImportBatch, batch, state="discarded")
    assert "没有可报名的人员" in shop.login(FIRST).post(f"/orders/add/{batch}", follow_redirects=True).text
    assert shop.count(Order) == 0


def copy_person(shop: Shop, source: int, target: int) -> str:
    """Make the first person of the target batch the same as that of the source; returns the name."""
    with shop.tables():
        one = db.session.scalars(select(Enrolment).where(Enrolment.batch_id == source).order_by(Enrolment.id)).first()
        other = db.session.scalars(select(Enrolment).where(Enrolment.batch_id == target).order_by(Enrolment.id)).first()
        assert one
        assert other
        other.id_number, other.id_number_index, name = one.id_number, one.id_number_index, other.name
        db.session.commit()
        return name


def test_a_person_already_live_in_the_plan_is_named(shop: Shop) -> None:
    plan = shop.plan()
    first = shop.batch(plan, 3)
    second = shop.batch(plan, 2, enterprise=SECOND)
    name = copy_person(shop, first, second)
    assert shop.login(FIRST).post(f"/orders/add/{first}").status_code == 303
    page = shop.login(SECOND).post(f"/orders/add/{second}", follow_redirects=True).text
    assert name in page
    assert "不能重复报名" in page
    assert shop.count(Order) == 1
    assert shop.seats(plan) == 3


def test_a_person_live_in_another_unfinished_plan_for_the_same_trade_is_named(shop: Shop) -> None:
    one, other = shop.plan(), shop.plan()
    first, second = shop.batch(one, 1), shop.batch(other, 1)
    name = copy_person(shop, first, second)
    client = shop.login(FIRST)
    client.post(f"/orders/add/{first}")
    assert name in client.post(f"/orders/add/{second}", follow_redirects=True).text
    shop.change(TrainingPlan, one, class_opened_at=time.now(), attendance_confirmed_at=time.now())
    client.post(f"/orders/add/{second}")
    assert shop.newest(second).state == "pending"


def test_the_table_itself_refuses_a_person_twice(shop: Shop) -> None:
    """Whatever program writes: with the check off, the unique index stops it, and no seat is lost."""
    plan = shop.plan()
    first, second = shop.batch(plan, 3), shop.batch(plan, 2)
    copy_person(shop, first, second)
    client = shop.login(FIRST)
    client.post(f"/orders/add/{first}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seats, "already_live", lambda *_any: [])
        page = client.post(f"/orders/add/{second}", follow_redirects=True).text
    assert "订单没有生成" in page
    assert shop.count(Order) == 1
    assert shop.seats(plan) == 3


def test_another_enterprises_batch_and_order_are_not_found(shop: Shop) -> None:
    plan = shop.plan()
    order = shop.order(plan)
    batch = shop.batch(plan, 2)
    thief = shop.login(SECOND)
    assert thief.post(f"/orders/add/{batch}").status_code == 404
    for path in ("", "/pay"):
        assert thief.get(f"/orders/{order.id}{path}").status_code == 404
    for path in ("/cancel", "/check"):
        assert thief.post(f"/orders/{order.id}{path}").status_code == 404
    assert order.number not in thief.get("/orders/").text
    assert shop.look(order.id).state == "pending"
    assert shop.count(Order) == 1


def test_the_institution_reads_the_orders_of_its_plans_and_nothing_more(shop: Shop) -> None:
    order = shop.order(shop.plan(institution="hjp"))
    owner, other = shop.login("hjp"), shop.login("nbp")
    assert order.number in owner.get("/orders/").text
    page = owner.get(f"/orders/{order.id}").text
    assert "待支付" in page
    assert "去支付宝付款" not in page
    assert "取消订单" not in page
    assert owner.get(f"/orders/{order.id}/pay", follow_redirects=False).status_code != 200
    owner.post(f"/orders/{order.id}/cancel")
    assert shop.look(order.id).state == "pending"
    assert other.get(f"/orders/{order.id}").status_code == 404
    assert order.number not in other.get("/orders/").text


def test_the_list_is_searched_and_filtered(shop: Shop) -> None:
    plan = shop.plan(name="杭建培20261188")
    order = shop.order(plan)
    client = shop.login(FIRST)
    assert "还没有订单" in shop.login(SECOND).get("/orders/").text
    for query in (f"q={order.number[-8:]}", "q=20261188", "state=pending"):
        assert order.number in client.get(f"/orders/?{query}").text
    for query in ("q=%25", "state=paid", "state=checking"):
        assert "没有符合条件的订单" in client.get(f"/orders/?{query}").text
    assert order.number in client.get("/orders/?state=nonsense&page=9").text


def test_a_free_plan_enrols_at_once_without_payment_or_invoice(shop: Shop) -> None:
    plan = shop.plan(fee_fen=0)
    order = shop.order(plan, 3)
    assert (order.state, order.people, order.invoice) == ("paid", {"enrolled": 3}, None)
    assert shop.seats(plan) == 3
    assert shop.count(Job) == 0
    assert "免费" in shop.login(FIRST).get(f"/orders/{order.id}").text


def test_the_time_to_pay_is_a_parameter(shop: Shop) -> None:
    with shop.tables():
        db.session.merge(Parameter(key="order_minutes", value="30"))
        db.session.commit()
    order = shop.order(shop.plan())
    assert order.expires_at - time.now() <= timedelta(minutes=30)


