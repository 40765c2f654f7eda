"""退班: people who were paid for leave, by the rules of the day; seats become free and money goes back once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app import clock as time
from app.extensions import db, transaction
from app.operations import payments, refunds
from models import AuditEvent, Enrolment, Notice, Order, Parameter, Payment, PlanDay, Refund, TrainingPlan, Withdrawal
from tests.shop import FIRST, SECOND, Look, Shop, at_once

REASON = "本人离职"


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    return Shop(app, make, login, standins)


@pytest.fixture
def plan(shop: Shop) -> int:
    return shop.plan()


@pytest.fixture
def order(shop: Shop, plan: int) -> Look:
    """Three people, paid for."""
    found = shop.order(plan, 3)
    shop.pay(found)
    shop.notify(found.number)
    return shop.look(found.id)


def people(order: Look) -> list[int]:
    return list(db.session.scalars(select(Enrolment.id).where(Enrolment.order_id == order.id).order_by(Enrolment.id)))


def ask(shop: Shop, order: Look, ids: list[int], who: str = FIRST) -> str:
    answer = shop.login(who).post(f"/withdrawals/orders/{order.id}", data={"ids": ids, "reason": REASON}, follow_redirects=True)
    return str(answer.text)


def rule(**values: int) -> None:
    for key, value in values.items():
        db.session.merge(Parameter(key=key, value=str(value), note=""))
    db.session.commit()


def sums() -> list[tuple[int, str]]:
    return [(row.amount_fen, row.state) for row in db.session.scalars(select(Refund).order_by(Refund.id))]


def test_within_the_time_an_enterprise_withdraws_by_itself(shop: Shop, plan: int, order: Look, run_jobs: Any) -> None:
    first, second, _third = people(order)
    page = shop.login(FIRST).get(f"/withdrawals/orders/{order.id}").text
    assert "由本单位自行办理" in page
    assert f"/withdrawals/orders/{order.id}" in shop.login(FIRST).get(f"/orders/{order.id}").text
    assert "2 人已退班" in ask(shop, order, [first, second])
    assert shop.seats(plan) == 1
    assert shop.look(order.id).people == {"withdrawn": 2, "enrolled": 1}
    run_jobs()
    assert sums() == [(2 * 83000, "done")]
    assert len(shop.trade(order.number)["refunds"]) == 1
    refund = db.session.scalars(select(Refund)).one()
    assert {each.id for each in refund.enrolments} == {first, second}
    assert db.session.scalars(select(Payment)).one().refundable_fen == 83000
    assert f"退班：{REASON}" in shop.login(FIRST).get(f"/people/{first}").text
    institution = shop.login("hjp")
    assert institution.get(f"/people/{first}").status_code == 404
    assert f"/people/{first}" not in institution.get(f"/classes/{plan}").text
    assert REASON in institution.get("/withdrawals/").text


def test_a_second_click_moves_nothing_more(shop: Shop, plan: int, order: Look, run_jobs: Any) -> None:
    first = people(order)[0]
    ask(shop, order, [first])
    # The page offers them no more; a stale one is told so.
    assert "请先勾选要退班的人员" in ask(shop, order, [first])
    run_jobs()
    assert sums() == [(83000, "done")]
    assert shop.seats(plan) == 2


def test_who_withdrew_may_enrol_again(shop: Shop, plan: int, order: Look) -> None:
    person = db.session.get_one(Enrolment, people(order)[0])
    number, index = person.id_number, person.id_number_index
    ask(shop, order, [person.id])
    batch = shop.batch(plan, 1)
    fresh = db.session.scalars(select(Enrolment).where(Enrolment.batch_id == batch)).one()
    fresh.id_number, fresh.id_number_index = number, index
    db.session.commit()
    assert shop.login(FIRST).post(f"/orders/add/{batch}").status_code == 303
    assert shop.look(shop.newest(batch).id).people == {"held": 1}
    assert shop.seats(plan) == 3


@pytest.mark.parametrize(("percent", "amount"), [(60, 49800), (0, 0)])
def test_the_percentage_of_the_fee_goes_back(shop: Shop, order: Look, run_jobs: Any, percent: int, amount: int) -> None:
    rule(withdraw_percent=percent)
    ask(shop, order, people(order)[:1])
    run_jobs()
    assert sums() == ([(amount, "done")] if amount else [])
    assert db.session.scalars(select(Withdrawal)).one().amount_fen == amount
    assert shop.look(order.id).people == {"withdrawn": 1, "enrolled": 2}


@pytest.mark.parametrize("why", ["rule", "late"])
def test_where_the_institution_must_agree_it_does_or_says_why_not(shop: Shop, plan: int, order: Look, clock: Any, run_jobs: Any,
                                                                   why: str) -> None:
    if why == "rule":
        rule(withdraw_consent=1)
    else:
        first_day = db.session.scalars(select(PlanDay.day).where(PlanDay.plan_id == plan).order_by(PlanDay.day)).first()
        clock.set(time.at_shanghai(first_day - timedelta(days=1)))  # type: ignore[operator]
    one, two, three = people(order)
    assert "等待培训机构办理" in ask(shop, order, [one, two, three])
    assert shop.seats(plan) == 3
    rows = {row.enrolment_id: row.id for row in db.session.scalars(select(Withdrawal))}
    enterprise, institution = shop.login(FIRST), shop.login("hjp")
    enterprise.post(f"/withdrawals/{rows[three]}/take-back")
    institution.post("/withdrawals/refuse", data={"ids": [rows[two]], "remark": "已备好教材"})
    institution.post("/withdrawals/grant", data={"ids": [rows[one]]})
    institution.post("/withdrawals/grant", data={"ids": [rows[one], rows[two], rows[three]]})
    assert [row.state for row in db.session.scalars(select(Withdrawal).order_by(Withdrawal.id))] == ["granted", "refused", "taken_back"]
    assert shop.seats(plan) == 2
    run_jobs()
    assert sums() == [(83000, "done")]
    assert "已备好教材" in enterprise.get("/withdrawals/").text
    events = set(db.session.scalars(select(Notice.event).where(Notice.event.like("withdrawal%"))))
    assert events == {"withdrawal_asked", "withdrawal_granted", "withdrawal_refused"}


@pytest.mark.parametrize(("gone", "left", "words"), [(3 * 83000, [], "没有可退的款项"), (2 * 83000 + 100, [82900], "还可退 ¥829.00")])
@pytest.mark.parametrize("consent", [0, 1])
def test_no_more_goes_back_than_is_left_of_the_payment(shop: Shop, plan: int, order: Look, make: Any, run_jobs: Any, gone: int,
                                                       left: list[int], words: str, consent: int) -> None:
    rule(withdraw_consent=consent)
    ids = people(order)[:2]
    if consent:  # asked before the money went back
        ask(shop, order, ids)
    with shop.tables(), transaction():
        refunds.open_refund(db.session.scalars(select(Payment.id)).one(), gone, "多付", actor=make.actor("hangzhou"))
    assert words in shop.login(FIRST).get(f"/withdrawals/orders/{order.id}").text
    if consent:
        rows = list(db.session.scalars(select(Withdrawal.id)))
        assert "已同意 2 人退班" in shop.login("hjp").post("/withdrawals/grant", data={"ids": rows}, follow_redirects=True).text
    else:
        assert "2 人已退班" in ask(shop, order, ids)
    run_jobs()
    assert shop.look(order.id).people == {"withdrawn": 2, "enrolled": 1}
    assert shop.seats(plan) == 1
    assert sums() == [(each, "done") for each in [gone, *left]]
    assert sum(db.session.scalars(select(Withdrawal.amount_fen))) == sum(left)


def test_the_question_names_how_many_leave_and_what_goes_back_in_all(shop: Shop, order: Look, make: Any, browser: Any, here: Path) -> None:
    with shop.tables(), transaction():
        refunds.open_refund(db.session.scalars(select(Payment.id)).one(), 83000 + 100, "多付", actor=make.actor("hangzhou"))
    page = browser.new_page()
    try:
        page.set_content(shop.login(FIRST).get(f"/withdrawals/orders/{order.id}").text)
        page.add_script_tag(content=(here / "app/static/js/portal.js").read_text())
        for ticked, amount in ((1, "¥830.00"), (2, "¥1,659.00")):
            page.locator("[name=ids]").nth(ticked).check()
            page.get_by_role("button", name="办理退班").click()
            assert page.locator("#question").text_content() == f"为 {ticked} 人办理退班，共退款 {amount}，名额立即释放。确定吗？"
            page.locator("dialog .btn").first.click()
    finally:
        page.close()


def test_once_the_class_has_opened_nobody_withdraws(shop: Shop, plan: int, order: Look) -> None:
    rule(withdraw_consent=1)
    ask(shop, order, people(order)[:1])
    shop.login("hjp").post(f"/classes/{plan}/open", data={"early": "1"})
    row = db.session.scalars(select(Withdrawal)).one()
    answer = shop.login("hjp").post("/withdrawals/grant", data={"ids": [row.id]}, follow_redirects=True).text
    assert "开班，不能再退班" in answer
    assert "开班，不能再退班" in shop.login(FIRST).get(f"/withdrawals/orders/{order.id}").text
    ask(shop, order, people(order)[1:])
    assert shop.seats(plan) == 3
    assert sums() == []


def test_the_refund_of_who_was_carried_over_goes_to_the_first_payment(shop: Shop, plan: int, order: Look, make: Any, run_jobs: Any) -> None:
    shop.change(TrainingPlan, plan, class_opened_at=time.now(), attendance_confirmed_at=time.now())
    away = people(order)[0]
    shop.change(Enrolment, away, attendance="absent")
    target = shop.plan()
    shop.login("hjp").post(f"/plans/{target}/absentees/add", data={"ids": [away]})
    fresh = db.session.scalars(select(Enrolment).where(Enrolment.plan_id == target)).one()
    assert f"/withdrawals/people/{fresh.id}" in shop.login(FIRST).get(f"/people/{fresh.id}").text
    shop.login(FIRST).post(f"/withdrawals/people/{fresh.id}", data={"ids": [fresh.id], "reason": REASON})
    run_jobs()
    assert shop.seats(target) == 0
    assert sums() == [(83000, "done")]
    assert db.session.scalars(select(Refund)).one().payment.order_id == order.id
    # The money went back, so the absence is used up.
    other = shop.plan()
    shop.login("hjp").post(f"/plans/{other}/absentees/add", data={"ids": [away]})
    assert shop.seats(other) == 0


def test_nobody_else_withdraws_ones_people(shop: Shop, plan: int, order: Look) -> None:
    rule(withdraw_consent=1)
    first = people(order)[0]
    stranger = shop.login(SECOND)
    assert stranger.get(f"/withdrawals/orders/{order.id}").status_code == 404
    assert stranger.get(f"/withdrawals/people/{first}").status_code == 404
    other = shop.order(plan, 2, enterprise=SECOND)
    shop.pay(other, enterprise=SECOND)
    shop.notify(other.number)
    stranger.post(f"/withdrawals/orders/{other.id}", data={"ids": [first], "reason": REASON})
    ask(shop, order, [first])
    row = db.session.scalars(select(Withdrawal)).one()
    assert stranger.post(f"/withdrawals/{row.id}/take-back").status_code == 404
    shop.login("nbp").post("/withdrawals/grant", data={"ids": [row.id]})
    assert db.session.scalars(select(Withdrawal.state)).one() == "asked"
    assert shop.seats(plan) == 5
    assert not db.session.scalar(select(AuditEvent).where(AuditEvent.verb == "withdraw_people"))


def test_the_page_of_an_order_says_who_is_left_of_those_it_enrolled(shop: Shop, order: Look, run_jobs: Any) -> None:
    first, *others = people(order)
    assert "3 人已全部报名成功" in shop.login(FIRST).get(f"/orders/{order.id}").text
    ask(shop, order, [first])
    run_jobs()
    for who in (FIRST, "hjp"):
        page = shop.login(who).get(f"/orders/{order.id}").text
        assert "3 人报名成功，其中 1 人已退班，现有 2 人" in page
        assert "全部报名成功" not in page
        assert "只列出前" not in page
    person = shop.login(FIRST).get(f"/people/{first}").text
    assert "报名中" not in person
    ask(shop, order, others)
    assert "3 人报名成功后已全部退班" in shop.login(FIRST).get(f"/orders/{order.id}").text


def held_back(shop: Shop, order: Look, yuan: str = "830.00") -> int:
    """A refund that the desk proposed and nobody has agreed to; its id."""
    payment = db.session.scalars(select(Payment.id).where(Payment.order_id == order.id)).one()
    shop.login("hangzhou").post(f"/finance/{payment}/refund", data={"amount": yuan, "reason": "协商退费"})
    return db.session.scalars(select(Refund.id).where(Refund.state == "proposed")).one()


def answer(shop: Shop, refund: int, wanted: str) -> str:
    return str(shop.login("province").post(f"/finance/refunds/{refund}/{wanted}", data={"remark": "不同意"}, follow_redirects=True).text)


@pytest.mark.parametrize("wanted", ["approve", "decline"])
def test_what_the_desk_has_only_proposed_is_never_lost_to_who_leaves(
        shop: Shop, plan: int, order: Look, run_jobs: Any, wanted: str) -> None:
    """Approved, the desk's part goes back by its own; declined, it goes back with the withdrawal. Either way all of it, and no more."""
    refund = held_back(shop, order)
    page = shop.login(FIRST).get(f"/withdrawals/orders/{order.id}").text
    assert "其中 ¥830.00 的退款还没有批准" in page
    ask(shop, order, people(order))
    run_jobs()
    assert sums() == [(83_000, "proposed"), (166_000, "done")]
    said = answer(shop, refund, wanted)
    assert ("少退的 ¥830.00 随即补退" in said) is (wanted == "decline")
    run_jobs()
    db.session.expire_all()
    back = [(83_000, "done"), (166_000, "done")] if wanted == "approve" else [(83_000, "declined"), (166_000, "done"), (83_000, "done")]
    assert sums() == back
    assert sum(shop.trade(order.number)["refunds"].values()) == order.amount_fen
    told = sum(db.session.scalars(select(Withdrawal.amount_fen)))
    assert told == (order.amount_fen if wanted == "decline" else 166_000)
    answer(shop, refund, "decline")
    run_jobs()
    assert sum(shop.trade(order.number)["refunds"].values()) == order.amount_fen
    assert shop.count(Payment, refund_fen=order.amount_fen) == 1


def test_a_declined_refund_makes_up_for_no_more_than_its_rule_gives(shop: Shop, plan: int, order: Look, run_jobs: Any) -> None:
    rule(withdraw_percent=50)
    refund = held_back(shop, order, "2200.00")
    ask(shop, order, people(order)[:1])  # 415.00 are due, 290.00 are left
    run_jobs()
    assert sums() == [(220_000, "proposed"), (29_000, "done")]
    answer(shop, refund, "decline")
    run_jobs()
    db.session.expire_all()
    assert sums() == [(220_000, "declined"), (29_000, "done"), (12_500, "done")]
    assert db.session.scalars(select(Withdrawal.amount_fen)).one() == 41_500
    again = held_back(shop, order, "100.00")
    assert "补退" not in answer(shop, again, "decline"), "nobody is short any more"
    assert len(sums()) == 4


@pytest.mark.parametrize("_round", range(3))
def test_a_withdrawal_and_the_word_about_a_proposed_refund_at_the_same_moment(
        shop: Shop, plan: int, order: Look, run_jobs: Any, _round: int) -> None:
    refund, ids = held_back(shop, order), people(order)
    buyer, desk = shop.login(FIRST), shop.login("province")
    db.session.commit()
    at_once(shop, lambda: buyer.post(f"/withdrawals/orders/{order.id}", data={"ids": ids, "reason": REASON}),
            lambda: desk.post(f"/finance/refunds/{refund}/decline", data={"remark": "不同意"}))
    run_jobs()
    assert sum(shop.trade(order.number)["refunds"].values()) == order.amount_fen
    assert shop.count(Payment, refund_fen=order.amount_fen) == 1
    assert shop.seats(plan) == 0


def test_reasons_that_the_portal_writes_are_read_in_the_readers_language(shop: Shop, plan: int, order: Look, run_jobs: Any) -> None:
    client = shop.login(FIRST)
    client.get("/lang/en")
    client.post(f"/withdrawals/orders/{order.id}", data={"ids": people(order)[:2], "reason": REASON})
    run_jobs()
    assert db.session.scalars(select(Refund.reason)).one() == "退班，2 人退费", "kept in the language of the messages"
    late = Payment(trade_no="late", order_id=order.id, order_number=order.number, amount_fen=order.amount_fen, paid_at=time.now(),
                   received_at=time.now(), state="received", merchant_id=db.session.get_one(Order, order.id).merchant_id)
    db.session.add(late)
    db.session.commit()
    payments.settle(late.id)
    page = client.get(f"/orders/{order.id}").text
    assert "Withdrawal, 2 fees" in page
    assert "The order was paid before" in page
    for words in ("退费", "此前已支付"):
        assert words not in page
    assert "退班，2 人退费" in shop.login("hjp").get(f"/orders/{order.id}").text
