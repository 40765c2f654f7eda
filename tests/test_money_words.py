"""Where money, seats and invoices stand, said truly to who reads it: nothing of a time that is over, nothing of somebody else."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app import clock as time
from app.actors import SYSTEM
from app.extensions import db, transaction
from app.operations import reconciliations, refunds
from models import BillDifference, Enrolment, Invoice, Merchant, Payment, Reconciliation
from tests.shop import FIRST, SECOND, Look, Shop
from workers import jobs


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    clock.set(time.at_shanghai(time.shanghai_day() + timedelta(days=1), 10))
    return Shop(app, make, login, standins)


def paid(shop: Shop, plan: int, people: int = 2, who: str = FIRST) -> Look:
    order = shop.order(plan, people, enterprise=who)
    shop.pay(order, enterprise=who)
    assert shop.notify(order.number) == "success"
    return shop.look(order.id)


def refund(shop: Shop, order: Look, fen: int) -> int:
    """The desk gives money back; the key of its payment."""
    with shop.tables(), transaction():
        payment = db.session.scalars(select(Payment.id).where(Payment.order_id == order.id)).one()
        refunds.open_refund(payment, fen, "协商退费", actor=SYSTEM)
    while jobs.run_due():
        pass
    return payment


def english(shop: Shop, who: str) -> Any:
    client = shop.login(who)
    client.get("/lang/en")
    return client


def test_failed_invoices_are_a_task_and_are_asked_for_again_together(shop: Shop, clock: Any, run_jobs: Any) -> None:
    plan = shop.plan(seats=20)
    orders = [paid(shop, plan) for _each in range(2)] + [paid(shop, plan, 2, SECOND)]
    shop.standins.control("invoice", "settings", {"fail_with": "授权已到期"})
    clock.advance(days=1)
    run_jobs()
    own, stranger, desk = shop.login("hjp"), shop.login("nbp"), shop.login("hangzhou")
    assert "<b>3</b><span>开具失败的发票" in own.get("/").text
    assert "<b>2</b><span>开具失败的发票" in shop.login(FIRST).get("/").text
    assert "<b>0</b><span>开具失败的发票" in stranger.get("/").text
    assert "重新申请开具" in own.get("/invoices/?state=failed").text
    shop.standins.control("invoice", "settings", {"fail_with": ""})
    with shop.tables():
        ids = list(db.session.scalars(select(Invoice.id).order_by(Invoice.id)))
    assert "没有开具失败的" in stranger.post("/invoices/again", data={"ids": ids}, follow_redirects=True).text
    desk.post("/invoices/again", data={"ids": ids})
    assert shop.count(Invoice, state="failed") == 3
    assert "已重新申请开具 2 张发票" in own.post("/invoices/again", data={"ids": ids[:2]}, follow_redirects=True).text
    assert "没有开具失败的" in own.post("/invoices/again", data={"ids": ids[:2]}, follow_redirects=True).text, "a double click asks once"
    page = english(shop, "hjp").post("/invoices/again", data={"all": "1", "state": "failed"}, follow_redirects=True).text
    assert "Asked again for invoices: 1." in page
    run_jobs()
    assert shop.count(Invoice, state="issued", attempt=2) == 3
    assert shop.audits("retry_invoice") == 3
    assert {shop.look(order.id).invoice for order in orders} == {"issued"}
    assert "重新申请开具" not in own.get("/invoices/").text


def test_bills_of_the_common_merchant_are_said_to_be_the_provinces(shop: Shop) -> None:
    paid(shop, shop.plan())
    with shop.tables():
        name = db.session.scalars(select(Merchant.name)).one()
    for who in ("hjp", "hangzhou"):
        page = shop.login(who).get("/bills/").text
        assert f"通过“{name}”收取的付款，由浙江省" in page, who
        assert "取账单对账，账单不在这里列出" in page, who
        assert "第一份账单在商户设置好的次日上午取得" not in page, who
        assert "are reconciled by" in english(shop, who).get("/bills/").text
    assert "账单不在这里列出" not in shop.login("province").get("/bills/").text


def test_money_that_went_back_stands_beside_the_paid_order_and_the_enrolment_stays(shop: Shop) -> None:
    plan = shop.plan()
    part, whole, kept = paid(shop, plan), paid(shop, plan), paid(shop, plan)
    client = shop.login(FIRST)
    assert "已全部报名成功。" in client.get(f"/orders/{kept.id}").text
    refund(shop, part, 1000)
    payment = refund(shop, whole, whole.amount_fen)
    page = client.get(f"/orders/{part.id}").text
    assert "部分退款</span>" in page
    assert "此后退回 ¥10.00，退款不改变人员的报名状态，报名仍然有效。" in page
    page = client.get(f"/orders/{whole.id}").text
    assert "badge-warn\">已退款</span>" in page
    assert "notice-ok" not in page
    assert "报名仍然有效" in page
    assert "the enrolment stands" in english(shop, FIRST).get(f"/orders/{whole.id}").text
    rows = client.get("/orders/").text
    assert rows.count(">已支付</span>") == 3
    assert (rows.count(">已退款</span>"), rows.count(">部分退款</span>")) == (1, 1)
    assert shop.look(whole.id).people == {"enrolled": 2}
    province = shop.login("province")
    assert "<dt>净额</dt><dd>¥0.00" in "".join(line.strip() for line in province.get(f"/finance/{payment}").text.splitlines())
    with shop.tables():
        untouched = db.session.scalars(select(Payment.id).where(Payment.order_id == kept.id)).one()
    assert "<dt>净额</dt><dd>¥1,660.00" in "".join(line.strip() for line in province.get(f"/finance/{untouched}").text.splitlines())
    page = english(shop, "province").get(f"/finance/{payment}").text
    assert "系统" not in page
    assert "System" in page


def test_an_order_of_a_cancelled_plan_says_that_its_money_is_back_and_the_plan_that_no_seat_is_left(shop: Shop, run_jobs: Any) -> None:
    plan = shop.plan(seats=10)
    order = paid(shop, plan)
    shop.login("hjp").post(f"/plan-changes/plans/{plan}/cancel", data={"reason": "报名人数不足，无法按期开班"})
    shop.login("hangzhou").post("/reviews/plan-changes/1/grant")
    run_jobs()
    client = shop.login(FIRST)
    assert ">已退款</span>" in client.get(f"/orders/{order.id}").text
    assert "款项 ¥1,660.00 已全部退回。" in client.get(f"/orders/{order.id}").text
    assert ">已退款</span>" in client.get("/orders/").text
    assert "无法按期开班。 已支付的款项原路退回。" in client.get("/notices/").text
    reader = english(shop, FIRST)
    assert "无法按期开班。 What was paid goes back the way it came." in reader.get("/notices/").text
    assert "All of the money, ¥1,660.00, has gone back." in reader.get(f"/orders/{order.id}").text
    assert "10 seats in all" in reader.get(f"/enrol/plans/{plan}").text
    for who, url in ((FIRST, f"/enrol/plans/{plan}"), ("hjp", f"/plans/{plan}"), ("hjp", "/plans/"), ("hjp", "/classes/"),
                     ("hangzhou", f"/reviews/plans/{plan}")):
        page = shop.login(who).get(url).text
        for words in ("还剩 10 / 10", "剩 10/10", "剩余 10 / 10"):
            assert words not in page, (url, words)
    assert "共 10 个名额" in client.get(f"/enrol/plans/{plan}").text


def test_an_expired_order_whose_people_were_ordered_again_names_the_other_order(shop: Shop, clock: Any, run_jobs: Any) -> None:
    plan = shop.plan()
    first, alone = shop.order(plan), shop.order(plan, 1)
    client = shop.login(FIRST)
    page = client.get(f"/orders/{first.id}").text
    assert "已锁定。请在时限内完成支付。" not in page, "it is said once"
    clock.set(first.release_at)
    run_jobs()
    assert "可以重新生成订单" in client.get(f"/orders/{first.id}").text
    with shop.tables():
        batch = db.session.scalars(select(Enrolment.batch_id).where(Enrolment.plan_id == plan).order_by(Enrolment.id)).first()
    page = client.post(f"/orders/add/{batch}", follow_redirects=True).text
    assert 'class="notice notice-success" data-until-over' in page, "what is true until the deadline goes with it"
    second = shop.newest(batch or 0)
    page = client.get(f"/orders/{first.id}").text
    assert f"这些人员已另行生成订单 {second.number}" in page
    assert f'href="/orders/{second.id}"' in page
    for words in ("可以重新生成", "查看名单"):
        assert words not in page, words
    assert "ordered again" in english(shop, FIRST).get(f"/orders/{first.id}").text
    assert "可以重新生成订单" in shop.login(FIRST).get(f"/orders/{alone.id}").text
    for who, url in ((FIRST, "/orders/"), ("hangzhou", "/finance/"), (FIRST, "/notices/"), (FIRST, f"/orders/{first.id}")):
        page = shop.login(who).get(url).text
        assert "已过期" in page, url
        assert "xpired" in english(shop, who).get(url).text, url
        for words in ("超时失效", "超时未支付", "已失效"):
            assert words not in page, (url, words)


def test_a_difference_is_open_again_once_the_bill_says_something_else_and_both_figures_are_there(shop: Shop, clock: Any) -> None:
    order = paid(shop, shop.plan())
    trade_no = shop.trade(order.number)["trade_no"]
    clock.set(time.at_shanghai(time.shanghai_day() + timedelta(days=1), 11))
    client = shop.login("province")

    def again(**bill: Any) -> str:
        shop.standins.control("alipay", "settings", {"bill": bill})
        with shop.tables():
            row = db.session.scalars(select(Reconciliation.id).where(Reconciliation.their_paid_fen > 0)).first()
        if row is None:
            with shop.tables():
                reconciliations.run_plan(0, lambda done, total: None)
        else:
            client.post(f"/bills/{row}/again")
        while jobs.run_due():
            pass
        with shop.tables():
            row = db.session.scalars(select(Reconciliation.id).where(Reconciliation.their_paid_fen > 0)).one()
        return str(client.get(f"/bills/{row}").text)

    def resolve(remark: str) -> None:
        with shop.tables():
            difference = db.session.scalars(select(BillDifference.id).where(BillDifference.resolved_at.is_(None))).one()
        client.post(f"/bills/differences/{difference}/resolve", data={"remark": remark})

    again(amount={trade_no: order.amount_fen + 100})
    resolve("与支付宝核实")
    assert "账单此后已变化" not in again(amount={trade_no: order.amount_fen + 100})
    page = again(amount={trade_no: order.amount_fen + 150})
    assert "请重新处理。此前的说明：与支付宝核实" in page
    assert "¥1,661.50" in page
    assert "已处理</span>" not in page
    assert "<b>1</b><span>待处理的对账" in client.get("/").text
    resolve("再次核实")
    page = again()
    assert "再次核实" in page
    assert "原为 ¥1,661.50，现为 ¥1,660.00。" in page
    assert "<b>0</b><span>待处理的对账" in client.get("/").text
    client.get("/lang/en")
    assert "It was ¥1,661.50 and is now ¥1,660.00." in again()


def test_a_full_plan_is_said_to_be_full_once(shop: Shop) -> None:
    plan = shop.plan(seats=2)
    paid(shop, plan, 2, SECOND)
    page = shop.login(FIRST).get(f"/enrol/plans/{plan}").text
    head = page[page.index("2 个名额已满"):][:200]
    assert head.count("名额已满") == 1
    assert "截止" in head
    page = english(shop, FIRST).get(f"/enrol/plans/{plan}").text
    head = page[page.index('<form method="post" action="/enrol/plans/'):]
    head = head[:head.index("<br>")]
    assert "all 2 seats are taken" in head
    assert "ull" not in head, "said once"


def test_an_amount_typed_wrong_is_said_with_the_right_one_once(shop: Shop) -> None:
    paid(shop, shop.plan())
    with shop.tables():
        invoice = db.session.scalars(select(Invoice.id)).one()
    client = shop.login("hjp")
    assert "应为 ¥1,660.00。" in client.get(f"/invoices/{invoice}").text
    page = client.post(f"/invoices/{invoice}/upload", data={
        "number": "26332000001234567890", "issued_on": time.shanghai_day().isoformat(), "amount": "1",
        "files": [(io.BytesIO(b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n%%EOF\n"), "a.pdf")]}, content_type="multipart/form-data").text
    assert page.count('class="error">价税合计应为 ¥1,660.00') == 1
    assert "<div class=\"hint\">应为 ¥1,660.00。" not in page


def test_the_institution_reads_of_its_own_red_letter_as_its_own(shop: Shop) -> None:
    order = paid(shop, shop.plan())
    with shop.tables():
        invoice = db.session.scalars(select(Invoice.id)).one()
    shop.login("hjp").post(f"/invoices/{invoice}/upload", data={
        "number": "26332000001234567890", "issued_on": time.shanghai_day().isoformat(), "amount": "1660.00",
        "files": [(io.BytesIO(b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n%%EOF\n"), "a.pdf")]}, content_type="multipart/form-data")
    refund(shop, order, 1000)
    with shop.tables():
        red = db.session.scalars(select(Invoice.id).where(Invoice.kind == "red")).one()
    assert "原发票由本机构手工上传，请在原开票系统开具红字发票" in shop.login("hjp").get(f"/invoices/{red}").text
    assert "红字发票由培训机构在原开票系统开具后上传" in shop.login(FIRST).get(f"/invoices/{red}").text
    assert "You uploaded this invoice" in english(shop, "hjp").get(f"/invoices/{red}").text


def test_a_person_is_called_female_where_english_is_read(shop: Shop, make: Any) -> None:
    paid(shop, shop.plan())
    with shop.tables():
        person = db.session.scalars(select(Enrolment).order_by(Enrolment.id)).first()
        assert person is not None
        person.sex, key = "女", person.id
        db.session.commit()
    assert "<dd>女" in shop.login("hjp").get(f"/checks/{key}").text
    for url in (f"/checks/{key}", f"/people/{key}"):
        page = english(shop, "hjp").get(url).text
        assert "Female" in page
        assert "女" not in page
