"""名额调整 and 计划取消: who decides, what is never broken, and that every fen of a cancelled plan goes back (B8, C15, C19)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app import clock as time
from app.actors import SYSTEM
from app.errors import Conflict
from app.extensions import db, transaction
from app.operations import cancellations, carry_over, orders, plan_changes, refunds
from models import Enrolment, Job, Notice, Order, Parameter, Payment, PlanChange, Refund, TrainingPlan, WaitlistEntry
from tests.shop import FIRST, SECOND, Look, Shop

WHY = "报名人数不足"


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    return Shop(app, make, login, standins)


def rule(**values: int) -> None:
    for key, value in values.items():
        db.session.merge(Parameter(key=key, value=str(value), note=""))
    db.session.commit()


def paid(shop: Shop, plan: int, people: int = 3, who: str = FIRST) -> Look:
    found = shop.order(plan, people, enterprise=who)
    shop.pay(found, enterprise=who)
    shop.notify(found.number)
    return shop.look(found.id)


def resize(shop: Shop, plan: int, seats: int) -> str:
    answer = shop.login("hjp").post(f"/plan-changes/plans/{plan}/resize", data={"seats": seats, "reason": "教室更换"},
                                    follow_redirects=True)
    return str(answer.text)


def seats_of(plan: int) -> int:
    return db.session.get_one(TrainingPlan, plan, populate_existing=True).seats


def newest() -> PlanChange:
    return db.session.scalars(select(PlanChange).order_by(PlanChange.id.desc())).first()  # type: ignore[return-value]


def states() -> list[str]:
    return list(db.session.scalars(select(PlanChange.state).order_by(PlanChange.id)))


def test_a_small_change_of_seats_is_made_at_once_and_small_steps_do_not_add_up(shop: Shop) -> None:
    plan = shop.plan(seats=20)
    assert "名额已调整" in resize(shop, plan, 22)
    assert seats_of(plan) == 22
    assert "等待主管部门审批" in resize(shop, plan, 24)
    assert seats_of(plan) == 22
    assert states() == ["granted", "asked"]
    events = list(db.session.scalars(select(Notice.event).order_by(Notice.id)))
    assert events == ["plan_resized", "resize_asked"]


def test_a_large_change_waits_for_the_authority_that_grants_or_refuses_it(shop: Shop) -> None:
    plan = shop.plan(seats=20)
    resize(shop, plan, 40)
    assert "已有一项" in resize(shop, plan, 21)
    city, change = shop.login("hangzhou"), newest()
    assert change.plan.name in city.get("/reviews/plan-changes/").text
    city.post(f"/reviews/plan-changes/{change.id}/refuse", data={"remark": "场地不足"})
    assert "场地不足" in shop.login("hjp").get(f"/plan-changes/{change.id}").text
    resize(shop, plan, 40)
    city.post(f"/reviews/plan-changes/{newest().id}/grant")
    city.post(f"/reviews/plan-changes/{newest().id}/grant")
    assert (seats_of(plan), states()) == (40, ["refused", "granted"])
    assert "名额已调整" in resize(shop, plan, 44)  # a tenth of what was agreed last


def test_seats_are_never_lowered_below_what_is_taken_whenever_it_was_asked(shop: Shop) -> None:
    plan = shop.plan(seats=20)
    shop.order(plan, 3)
    assert "已占用" in resize(shop, plan, 2)
    resize(shop, plan, 4)
    shop.order(plan, 3, enterprise=SECOND)
    city = shop.login("hangzhou")
    assert "已占用 6 个名额" in city.post(f"/reviews/plan-changes/{newest().id}/grant", follow_redirects=True).text
    assert (seats_of(plan), states()) == (20, ["asked"])
    assert shop.seats(plan) == 6
    shop.login("hjp").post(f"/plan-changes/{newest().id}/take-back")
    assert states() == ["taken_back"]


def test_more_seats_go_to_who_waits_first(shop: Shop) -> None:
    plan = shop.plan(seats=10)
    shop.order(plan, 10)
    shop.login(SECOND).post(f"/waitlist/plans/{plan}/join", data={"people": "1", "least": "1"})
    resize(shop, plan, 11)
    assert db.session.scalars(select(WaitlistEntry)).one().state == "offered"
    found = db.session.get_one(TrainingPlan, plan, populate_existing=True)
    assert (found.seats, found.seats_reserved, found.seats_left) == (11, 1, 0)


def cancelled(shop: Shop, plan: int) -> PlanChange:
    """Asked by the institution, granted by the city."""
    shop.login("hjp").post(f"/plan-changes/plans/{plan}/cancel", data={"reason": WHY})
    change = newest()
    assert change.state == "asked"
    shop.login("hangzhou").post(f"/reviews/plan-changes/{change.id}/grant")
    db.session.expire_all()
    return newest()


def test_a_cancelled_plan_refunds_everyone_and_is_closed_to_everything(shop: Shop, run_jobs: Any) -> None:
    plan = shop.plan(seats=20)
    first, second, open_ = paid(shop, plan, 3), paid(shop, plan, 2, SECOND), shop.order(plan, 2)
    drafts = shop.batch(plan, 1)
    change = cancelled(shop, plan)
    assert change.state == "granted"
    assert shop.look(open_.id).state == "cancelled"
    run_jobs()
    assert shop.seats(plan) == 0
    for order in (first, second):
        assert set(shop.look(order.id).people) == {"withdrawn"}
        assert sum(map(int, [refund.amount_fen for refund in db.session.scalars(select(Refund).join(Payment).where(
            Payment.order_id == order.id))])) == order.amount_fen
    assert set(db.session.scalars(select(Refund.state))) == {"done"}
    told = set(db.session.scalars(select(Notice.enterprise_id).where(Notice.event == "plan_cancelled")))
    assert len(told) == 2
    institution, enterprise = shop.login("hjp"), shop.login(FIRST)
    page = institution.get(f"/plan-changes/{change.id}").text
    assert first.number in page
    assert second.number in page
    for url, client in (("/plans/", institution), (f"/plans/{plan}", institution), (f"/classes/{plan}", institution),
                        ("/enrol/?window=over", enterprise), (f"/enrol/plans/{plan}", enterprise),
                        (f"/reviews/plans/{plan}", shop.login("hangzhou"))):
        assert "取消" in client.get(url).text, url
    enterprise.post(f"/orders/add/{drafts}")
    assert shop.count(Order, batch_id=drafts) == 0
    institution.post(f"/classes/{plan}/open", data={"early": "1"})
    assert db.session.get_one(TrainingPlan, plan, populate_existing=True).class_opened_at is None
    assert "取消" in institution.post(f"/plan-changes/plans/{plan}/cancel", data={"reason": WHY}, follow_redirects=True).text
    assert "取消" in resize(shop, plan, 21)


def test_money_for_a_plan_that_was_cancelled_meanwhile_goes_back(shop: Shop, run_jobs: Any) -> None:
    rule(cancel_consent=0)
    plan = shop.plan()
    order = shop.order(plan, 3)
    shop.pay(order)  # in time, and not heard of
    shop.login("hjp").post(f"/plan-changes/plans/{plan}/cancel", data={"reason": WHY})
    run_jobs()
    assert shop.look(order.id).payments[0][0] == "refunded"
    assert shop.seats(plan) == 0


def test_what_cannot_be_refunded_is_named_and_taken_up_again(shop: Shop, make: Any, run_jobs: Any) -> None:
    plan = shop.plan(seats=20)
    good = paid(shop, plan, 2)
    with shop.tables():
        bad = make.paid(db.session.get_one(TrainingPlan, plan), 2).id  # paid, by a payment that is not there
    change = cancelled(shop, plan)
    run_jobs()
    number = shop.look(bad).number
    assert list(newest().left) == [number]
    assert shop.look(bad).people == {"enrolled": 2}
    assert shop.look(good.id).people == {"withdrawn": 2}
    institution = shop.login("hjp")
    assert number in institution.get(f"/plan-changes/{change.id}").text
    with shop.tables():
        order = db.session.get_one(Order, bad)
        db.session.add(Payment(trade_no="found", order_id=bad, order_number=order.number, amount_fen=order.amount_fen,
                               paid_at=time.now(), received_at=time.now(), state="applied"))
        db.session.commit()
    institution.post(f"/plan-changes/{change.id}/again")
    job = db.session.scalars(select(Job).where(Job.name == cancellations.JOB).order_by(Job.id.desc())).first()
    assert job is not None
    cancellations.run_cancellation(change.id, lambda done, total: None)
    cancellations.run_cancellation(change.id, lambda done, total: None)
    assert not db.session.get_one(PlanChange, change.id, populate_existing=True).left
    assert shop.look(bad).people == {"withdrawn": 2}
    assert shop.count(Refund) == 2
    assert shop.seats(plan) == 0


def test_who_was_carried_over_into_a_cancelled_plan_is_absent_again_and_not_refunded(shop: Shop, make: Any, run_jobs: Any) -> None:
    with shop.tables():
        earlier = make.attended(2, absent=1).id
        away = db.session.scalars(select(Enrolment.id).where(Enrolment.plan_id == earlier, Enrolment.attendance == "absent")).one()
    plan, other = shop.plan(), shop.plan()
    shop.login("hjp").post(f"/plans/{plan}/absentees/add", data={"ids": [away]})
    cancelled(shop, plan)
    run_jobs()
    assert shop.seats(plan) == 0
    assert shop.count(Refund) == 0
    with shop.tables():
        assert carry_over.add(db.session.get_one(TrainingPlan, other), [away], actor=make.actor("hjp")) == 1


def test_people_already_withdrawn_by_rule_keep_that_rule(shop: Shop, run_jobs: Any) -> None:
    rule(withdraw_percent=50)
    plan = shop.plan()
    order = paid(shop, plan, 3)
    with shop.tables():
        one = db.session.scalars(select(Enrolment.id).where(Enrolment.order_id == order.id)).first()
    shop.login(FIRST).post(f"/withdrawals/orders/{order.id}", data={"ids": [one], "reason": "离职"})
    cancelled(shop, plan)
    run_jobs()
    assert [row.amount_fen for row in db.session.scalars(select(Refund).order_by(Refund.id))] == [41500, 2 * 83000]


def test_an_order_that_was_not_paid_ends_with_its_plan_and_nothing_is_said_of_money(shop: Shop, run_jobs: Any) -> None:
    plan = shop.plan(seats=20)
    paid(shop, plan, 1, SECOND)
    order = shop.order(plan, 2)
    cancelled(shop, plan)
    run_jobs()
    assert shop.look(order.id).state == "cancelled"
    enterprise = shop.login(FIRST)
    page = enterprise.get(f"/orders/{order.id}").text
    assert "该计划已取消，订单随之取消。" in page
    for word in ("已过期", "超时", "重新生成", "退款", "退回"):
        assert word not in page, word
    told = enterprise.get("/notices/").text
    assert f"已取消，报名和订单随之取消：{WHY}" in told
    assert "未在时限内支付" not in told
    assert "退回" not in told
    assert "已支付的款项原路退回" in shop.login(SECOND).get("/notices/").text


def test_who_decides_and_who_asks_see_what_calling_a_plan_off_comes_to(shop: Shop, make: Any, run_jobs: Any) -> None:
    plan = shop.plan(seats=20)
    first, _second = paid(shop, plan, 3), paid(shop, plan, 2, SECOND)
    shop.order(plan, 4)
    with shop.tables(), transaction():
        payment = db.session.scalars(select(Payment.id).where(Payment.order_id == first.id)).one()
        refunds.open_refund(payment, 83_000, "一人退费", actor=SYSTEM)  # the desk has given a part back already
    with shop.tables():
        earlier = make.attended(2, absent=1).id
        away = db.session.scalars(select(Enrolment.id).where(Enrolment.plan_id == earlier, Enrolment.attendance == "absent")).one()
    institution = shop.login("hjp")
    institution.post(f"/plans/{plan}/absentees/add", data={"ids": [away]})
    wanted = ("2 个，5 人", "¥3,320.00", "1 个，4 人", "1 人，恢复为缺勤")
    page = institution.get(f"/plan-changes/plans/{plan}/cancel").text
    assert [each for each in wanted if each not in page] == []
    institution.post(f"/plan-changes/plans/{plan}/cancel", data={"reason": WHY})
    city, url = shop.login("hangzhou"), f"/reviews/plan-changes/{newest().id}"
    page = city.get(url).text
    assert [each for each in wanted if each not in page] == []
    assert "6 人退出，共退款 ¥3,320.00" in page
    city.post(f"{url}/grant")
    run_jobs()
    assert "取消的影响" not in city.get(url).text
    db.session.expire_all()
    assert sum(db.session.scalars(select(Refund.amount_fen))) == 83_000 + 332_000  # what was said went back


def test_who_has_paid_nothing_for_a_cancelled_plan_reads_nothing_of_money(shop: Shop, run_jobs: Any) -> None:
    costs, free = shop.plan(), shop.plan(fee_fen=0)
    paid(shop, costs, 2, SECOND)
    shop.batch(costs, 1)
    gratis = shop.order(free, 1)
    for plan in (costs, free):
        cancelled(shop, plan)
    client, other = shop.login(FIRST), shop.login(SECOND)
    assert "正在逐个订单办理退款" in other.get(f"/enrol/plans/{costs}").text
    run_jobs()
    for url in (f"/enrol/plans/{costs}", f"/enrol/plans/{free}", f"/orders/{gratis.id}", "/notices/"):
        page = client.get(url).text
        assert "取消" in page, url
        for word in ("退款", "退回", "退费"):
            assert word not in page, (url, word)
    page = other.get(f"/enrol/plans/{costs}").text
    assert "2 人的报名随之取消，应退的 ¥1,660.00 原路退回" in page
    assert "该计划没有已支付的订单，无需退款" not in shop.login("hjp").get(f"/plan-changes/{newest().id}").text


def test_who_left_before_a_plan_was_cancelled_is_not_counted_with_it(shop: Shop, run_jobs: Any) -> None:
    plan = shop.plan()
    order = paid(shop, plan, 3)
    with shop.tables():
        ids = db.session.scalars(select(Enrolment.id).where(Enrolment.order_id == order.id).order_by(Enrolment.id)).all()
    for each in ids[:2]:
        shop.login(FIRST).post(f"/withdrawals/orders/{order.id}", data={"ids": [each], "reason": "离职"})
    change = cancelled(shop, plan)
    run_jobs()
    assert shop.count(Refund, state="done") == 3
    page = shop.login(FIRST).get(f"/orders/{order.id}").text
    assert "该计划已取消，1 人的报名随之取消" in page
    table = page.rpartition("报名人员")[2].partition("进展")[0]
    assert (table.count("已退班"), table.count("计划取消")) == (2, 1)
    assert shop.login("hjp").get(f"/plan-changes/{change.id}").text.count("已退款") == 1


def test_an_opened_class_is_neither_cancelled_nor_resized(shop: Shop, make: Any) -> None:
    plan = shop.plan(seats=3)
    paid(shop, plan, 3)
    shop.login("hjp").post(f"/plan-changes/plans/{plan}/cancel", data={"reason": WHY})
    change = newest()
    shop.login("hjp").post(f"/classes/{plan}/open")
    shop.login("hangzhou").post(f"/reviews/plan-changes/{change.id}/grant")
    assert states() == ["asked"]
    with shop.tables(), pytest.raises(Conflict):
        plan_changes.resize(db.session.get_one(TrainingPlan, plan), 4, WHY, actor=make.actor("hjp"))
    assert (shop.seats(plan), seats_of(plan)) == (3, 3)
    with shop.tables():
        assert not orders.end_open_orders(plan, actor=make.actor("hjp"))


@pytest.mark.parametrize("who", ["nbp", "ningbo", FIRST])
def test_others_neither_ask_nor_decide(shop: Shop, who: str) -> None:
    plan = shop.plan(seats=20)
    resize(shop, plan, 40)
    change, client = newest(), shop.login(who)
    for url in (f"/plan-changes/plans/{plan}/resize", f"/plan-changes/plans/{plan}/cancel", f"/plan-changes/{change.id}/take-back",
                f"/reviews/plan-changes/{change.id}/grant"):
        assert client.post(url, data={"seats": 21, "reason": WHY}).status_code in (403, 404), url
    assert client.get(f"/plan-changes/{change.id}").status_code in (403, 404)
    assert (seats_of(plan), states()) == (20, ["asked"])
