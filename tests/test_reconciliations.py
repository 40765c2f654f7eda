"""The bill of a day beside what is written here: every difference is named, and stays until a person has resolved it (B8)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from app import clock as time
from app.actors import Actor
from app.extensions import db, transaction
from app.operations import reconciliations, refunds
from models import BillDifference, Invoice, Merchant, Notice, Payment, Reconciliation, Refund
from tests.shop import FIRST, Look, Shop
from workers import jobs

ANNA = Actor(user_id=101, name="财务甲", party="authority", authority_id=1)


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    return Shop(app, make, login, standins)


@pytest.fixture
def bought(shop: Shop, clock: Any) -> Look:
    """One order paid and partly refunded, on a day of which the bill is there now; nothing else moved."""
    noon = time.at_shanghai(time.shanghai_day(), 12)
    clock.set(noon)
    order = shop.order(shop.plan(), 3)
    shop.pay(order)
    shop.notify(order.number)
    with shop.tables(), transaction():
        payment = db.session.query(Payment).one()
        refunds.open_refund(payment.id, 1000, "退出", actor=ANNA)
    jobs.run_due()
    clock.advance(hours=22)
    return shop.look(order.id)


def reconcile(shop: Shop) -> list[tuple[str, int | None, int | None]]:
    """Plan, run, and the differences that are open."""
    with shop.tables():
        reconciliations.run_plan(0, lambda done, total: None)
        while jobs.run_due():
            pass
    with shop.tables():
        return [(each.kind, each.ours_fen, each.theirs_fen) for each in db.session.query(BillDifference).filter_by(resolved_at=None)
                .order_by(BillDifference.id)]


def wish(shop: Shop, **bill: Any) -> None:
    shop.standins.control("alipay", "settings", {"bill": bill})


def once_more(shop: Shop) -> list[tuple[str, int | None, int | None]]:
    with shop.tables():
        reconciliations.again(db.session.query(Reconciliation).filter(Reconciliation.their_paid_fen > 0).one(), actor=ANNA)
    return reconcile(shop)


def test_what_agrees_has_no_difference_and_the_sums_are_there(shop: Shop, bought: Look) -> None:
    assert reconcile(shop) == []
    with shop.tables():
        row = db.session.query(Reconciliation).filter(Reconciliation.our_paid_fen > 0).one()
        assert (row.state, row.their_paid_fen, row.our_paid_fen) == ("done", bought.amount_fen, bought.amount_fen)
        assert (row.their_refunded_fen, row.our_refunded_fen) == (1000, 1000)
    before = shop.count(Reconciliation)
    assert reconcile(shop) == []
    assert shop.count(Reconciliation) == before


def test_every_kind_of_difference_is_named(shop: Shop, bought: Look) -> None:
    trade = shop.trade(bought.number)
    trade_no, request_no = trade["trade_no"], next(iter(trade["refunds"]))
    fee = (bought.amount_fen * 60 + 5000) // 10000
    stranger = {"kind": "交易", "trade_no": "t9", "order_no": "elsewhere", "subject": "x", "created": trade["gmt_create"],
                "at": trade["gmt_payment"], "amount_fen": 500, "request_no": "", "fee_fen": 3}
    wish(shop, drop=[trade_no], extra=[stranger])
    assert reconcile(shop) == [("only_there", None, 500), ("only_here", bought.amount_fen, None)]
    wish(shop, amount={trade_no: bought.amount_fen + 1, request_no: 900}, fee={trade_no: fee + 100})
    assert once_more(shop) == [("amount", bought.amount_fen, bought.amount_fen + 1), ("fee", fee, fee + 100), ("refund_amount", 1000, 900)]
    wish(shop, drop=[request_no])
    assert once_more(shop) == [("refund_only_here", 1000, None)]
    wish(shop)
    assert once_more(shop) == []


def test_a_resolved_difference_stays_resolved_when_the_day_is_compared_again(shop: Shop, bought: Look) -> None:
    wish(shop, fee={shop.trade(bought.number)["trade_no"]: 1})
    assert [kind for kind, _ours, _theirs in reconcile(shop)] == ["fee"]
    with shop.tables():
        reconciliations.resolve(db.session.query(BillDifference).one(), "活动费率", actor=ANNA)
    assert once_more(shop) == []
    assert shop.count(BillDifference, remark="活动费率", resolved_by="财务甲") == 1


def test_a_bill_of_many_lines_is_compared_in_statements_that_do_not_grow(shop: Shop, bought: Look) -> None:
    trade = shop.trade(bought.number)
    wish(shop, extra=[{"kind": "交易", "trade_no": f"t{n}", "order_no": f"elsewhere{n}", "subject": "x", "created": trade["gmt_create"],
                       "at": trade["gmt_payment"], "amount_fen": 500, "request_no": "", "fee_fen": 3} for n in range(1100)])
    longest = 0

    def note(_connection: Any, _cursor: Any, _statement: str, parameters: Any, _context: Any, many: bool) -> None:
        nonlocal longest
        longest = max(longest, 0 if many or isinstance(parameters, list) else len(parameters))

    with shop.tables():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert len(reconcile(shop)) == 1100
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert 0 < longest < 1000


def test_new_differences_are_told_once_to_the_finance_people_of_whom_the_merchant_is(shop: Shop, bought: Look) -> None:
    wish(shop, fee={shop.trade(bought.number)["trade_no"]: 1})
    reconcile(shop)
    province = shop.login("province")
    page = province.get("/notices/").text
    assert "的对账有新的差异 1 项" in page
    assert "待处理的对账" in province.get("/").text
    assert "的对账有新的差异" not in shop.login("hangzhou").get("/notices/").text
    once_more(shop)
    assert shop.count(Notice, event="bill_differs") == 1


def test_a_bill_that_is_not_there_is_waited_for(shop: Shop, bought: Look, clock: Any) -> None:
    wish(shop, cut=True)
    assert reconcile(shop) == []
    assert shop.count(Reconciliation, state="waiting") == 1
    wish(shop)
    clock.advance(hours=2)
    assert reconcile(shop) == []
    assert shop.count(Reconciliation, state="waiting") == 0


def test_a_payment_that_only_the_bill_knows_finds_its_order(shop: Shop, clock: Any) -> None:
    """Neither notification, return nor check came: the bill brings it, and the order is paid."""
    noon = time.at_shanghai(time.shanghai_day(), 12)
    clock.set(noon)
    plan = shop.plan()
    order = shop.order(plan, 3)
    shop.pay(order)
    clock.advance(hours=22)
    with shop.tables():
        reconciliations.run_plan(0, lambda done, total: None)
        for row in db.session.query(Reconciliation).all():
            reconciliations.run_reconciliation(row.id, lambda done, total: None)
    shop.enrolled(order, plan, 3)
    assert shop.count(BillDifference) == 0


def test_what_went_back_in_the_platforms_console_is_booked_by_two_people_and_agrees_with_the_bill(
        shop: Shop, bought: Look, clock: Any) -> None:
    """The rest of a payment, of which 10.00 went back through the portal, is refunded by hand at Alipay."""
    shop.standins.control("alipay", "refund", {"order_no": bought.number, "amount_fen": bought.amount_fen - 1000})
    clock.advance(days=1)
    rest = bought.amount_fen - 1000
    assert ("refund_only_there", None, rest) in reconcile(shop)
    with shop.tables():
        payment_id = db.session.query(Payment).one().id
    finance = shop.login("province")
    page = finance.post(f"/finance/{payment_id}/elsewhere", data={"reason": "线下误退"}, follow_redirects=True).text
    assert "登记为已在支付宝退回" in page
    with shop.tables():
        refund = db.session.query(Refund).filter_by(elsewhere=True).one()
        assert (refund.state, refund.amount_fen) == ("proposed", rest)
        refund_id = refund.id
    refused = finance.post(f"/finance/refunds/{refund_id}/approve", follow_redirects=True).text
    assert "须由另一人批准" in refused
    assert shop.count(Refund, state="proposed") == 1
    with shop.tables():
        reconciliations.approve_elsewhere(db.session.get_one(Refund, refund_id), actor=ANNA)
    while jobs.run_due():
        pass
    with shop.tables():
        refund = db.session.get_one(Refund, refund_id)
        assert (refund.state, refund.done_on) == ("done", time.shanghai_day(clock.moment) - timedelta(days=1))  # the bill's day
        assert db.session.query(BillDifference).count() == 0
        assert {(row.our_refunded_fen, row.their_refunded_fen) for row in db.session.query(Reconciliation)} == {
            (1000, 1000), (rest, rest)}
    assert sum(shop.trade(bought.number)["refunds"].values()) == bought.amount_fen  # nothing was sent a second time
    assert shop.count(Invoice, order_id=bought.id, kind="red", amount_fen=rest) == 1


def test_a_bill_is_fetched_when_a_person_wants_it_and_says_if_it_is_not_there_yet(shop: Shop, clock: Any) -> None:
    clock.set(time.at_shanghai(time.shanghai_day(), 23))
    order = shop.order(shop.plan(), 3)
    shop.pay(order)
    shop.notify(order.number)
    today = time.shanghai_day()
    with shop.tables():
        merchant = db.session.query(Merchant).one().id
    finance = shop.login("province")

    def ask(day: Any, who: str = "province", house: int = merchant) -> Any:
        return shop.login(who).post("/bills/fetch", data={"merchant": house, "day": str(day)}, follow_redirects=True)

    assert "取某一天的账单" in finance.get("/bills/").text
    for day in (today, today + timedelta(days=1), "", "x", "0001-13-01"):
        assert "请选择今天以前的日期" in ask(day).text, day
    assert "此前没有可核对的账单" in ask("2001-01-01").text
    assert ask(today, house=merchant + 99).status_code == 404
    for who in ("hangzhou", "hjp", FIRST):
        assert ask(today - timedelta(days=1), who).status_code in (403, 404), who
        assert "取某一天的账单" not in shop.login(who).get("/bills/").text
    assert shop.count(Reconciliation) == 0
    clock.advance(hours=2)  # one in the morning: the day is over, its bill not there
    wish(shop, late=True)
    assert f"正在取 {today} 的账单" in ask(today).text
    assert "正在进行" in ask(today).text, "a double click asks once"
    while jobs.run_due():
        pass
    with shop.tables():
        row = db.session.query(Reconciliation).one()
        assert (row.state, row.day) == ("waiting", today)
        url = f"/bills/{row.id}"
    page = finance.get(url).text
    assert "的账单还没有生成：支付宝次日上午提供" in page
    assert "bill_not_there" not in page
    assert "<b>0</b><span>待处理的对账" in finance.get("/").text, "nobody has to do anything about it"
    wish(shop)
    assert "现在再取" in page
    finance.post(f"{url}/again")
    while jobs.run_due():
        pass
    assert "账单与平台逐笔一致" in finance.get(url).text
    assert f"正在取 {today} 的账单" in ask(today).text, "and once more, as often as is wanted"
    while jobs.run_due():
        pass
    assert "账单与平台逐笔一致" in finance.get(url).text
    assert shop.count(Reconciliation) == 1


def test_a_bill_that_is_late_is_said_to_be_so(shop: Shop, bought: Look) -> None:
    wish(shop, late=True)
    assert reconcile(shop) == []
    with shop.tables():
        row = db.session.query(Reconciliation).filter_by(state="waiting").one().id
    finance = shop.login("province")
    assert "支付宝还没有提供账单" in finance.get(f"/bills/{row}").text
    assert "<b>1</b><span>待处理的对账" in finance.get("/").text


def test_what_went_back_in_the_console_on_several_days_is_booked_on_each(shop: Shop, bought: Look, clock: Any) -> None:
    """One refund to agree to, one red letter, one message; and each day agrees with its bill."""
    first, second = 20_000, 30_000
    rest = bought.amount_fen - 1000 - first - second
    days = []
    for fen in (first, second, rest):
        shop.standins.control("alipay", "refund", {"order_no": bought.number, "amount_fen": fen})
        days.append(time.shanghai_day())
        clock.advance(days=1)
    reconcile(shop)
    with shop.tables():
        payment_id = db.session.query(Payment).one().id
    finance = shop.login("province")
    finance.post(f"/finance/{payment_id}/elsewhere", data={"reason": "线下误退"})
    with shop.tables():
        reconciliations.approve_elsewhere(db.session.query(Refund).filter_by(elsewhere=True).one(), actor=ANNA)
    while jobs.run_due():
        pass
    with shop.tables():
        booked = [(row.done_on, row.amount_fen) for row in db.session.query(Refund).filter_by(elsewhere=True).order_by(Refund.done_on)]
        assert booked == list(zip(days, (first, second, rest), strict=True))
        assert db.session.query(BillDifference).count() == 0
        assert all(row.our_refunded_fen == row.their_refunded_fen for row in db.session.query(Reconciliation))
        assert {row.approved_by for row in db.session.query(Refund).filter_by(elsewhere=True)} == {"财务甲"}
    assert shop.count(Payment, refund_fen=bought.amount_fen) == 1
    assert shop.count(Invoice, order_id=bought.id, kind="red", amount_fen=first + second + rest) == 1
    assert shop.count(Invoice, kind="red") == 1
    assert shop.count(Notice, event="refunded") == 2  # that of before, and this one
    assert finance.get(f"/finance/{payment_id}").text.count("只作登记") == 3
    assert finance.get(f"/finance/days?until={time.shanghai_day()}").text.count(">相符<") == 3


def test_what_was_booked_before_its_bills_came_moves_to_their_days(shop: Shop, bought: Look, clock: Any) -> None:
    days = []
    for fen in (20_000, bought.amount_fen - 21_000):
        shop.standins.control("alipay", "refund", {"order_no": bought.number, "amount_fen": fen})
        days.append(time.shanghai_day())
        clock.advance(days=1)
    with shop.tables():
        payment_id = db.session.query(Payment).one().id
    shop.login("province").post(f"/finance/{payment_id}/elsewhere", data={"reason": "线下误退"})
    with shop.tables():
        reconciliations.approve_elsewhere(db.session.query(Refund).filter_by(elsewhere=True).one(), actor=ANNA)

    def booked() -> list[Any]:
        with shop.tables():
            return [(row.done_on, row.amount_fen) for row in db.session.query(Refund).filter_by(elsewhere=True).order_by(Refund.done_on)]

    assert booked() == [(time.shanghai_day(), bought.amount_fen - 1000)], "no bill tells its day yet"
    for _each in range(2):  # twice: the second time nothing moves
        assert reconcile(shop) == []
        assert booked() == [(days[0], 20_000), (days[1], bought.amount_fen - 21_000)]
    with shop.tables():
        assert all(row.our_refunded_fen == row.their_refunded_fen for row in db.session.query(Reconciliation))
    assert shop.count(Payment, refund_fen=bought.amount_fen) == 1
    assert shop.count(Invoice, state="cancelled", amount_fen=0) == 1, "nothing was invoiced yet, and nothing will be"
    assert shop.audits("book_refund_days") == 2
    clock.advance(days=1)
    assert reconcile(shop) == []
