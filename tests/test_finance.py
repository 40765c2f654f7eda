"""财务: totals that add up, what has not ended, refunds by two people, one's own money only (B8, C18)."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from typing import Any

import pytest
from flask_appbuilder.security.sqla.models import Role, User
from openpyxl import load_workbook
from sqlalchemy import event, select
from werkzeug.security import generate_password_hash

from app import clock as time
from app.actors import SYSTEM
from app.demo import PASSWORD
from app.extensions import db, transaction
from app.operations import merchants, orders, reconciliations, refunds
from app.permissions import AUTHORITY
from models import Account, Authority, Institution, Merchant, Notice, Order, Payment, Reconciliation, Refund
from tests.shop import FIRST, SECOND, Look, Shop
from tests.staffing import give, role


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    return Shop(app, make, login, standins)


@pytest.fixture
def paid(shop: Shop) -> Look:
    order = shop.order(shop.plan(), 3)
    shop.pay(order)
    shop.notify(order.number)
    return shop.look(order.id)


def key(shop: Shop, order: Look) -> int:
    with shop.tables():
        return db.session.scalars(select(Payment.id).where(Payment.order_id == order.id)).one()


def colleague(shop: Shop) -> str:
    """A second person of the authority, beside `hangzhou`."""
    admin = shop.login("admin")
    with shop.tables():
        role = db.session.scalars(select(Role.id).where(Role.name == AUTHORITY)).one()
        city = db.session.scalars(select(Authority.id).where(Authority.region_code == "330100")).one()
    answer = admin.post("/staff/add", data={"party": "authority", "authority_id": str(city), "username": "caiwu2", "name": "财务二",
                                            "phone": "", "role_ids": [str(role)]})
    assert answer.status_code == 200
    with shop.tables():
        user = db.session.scalars(select(User).where(User.username == "caiwu2")).one()
        user.password = generate_password_hash(PASSWORD, "pbkdf2:sha256:1000")
        db.session.get_one(Account, user.id).must_change_password = False
        db.session.commit()
    return "caiwu2"


def test_two_people_refund_a_part_and_the_totals_add_up(shop: Shop, paid: Look, run_jobs: Any) -> None:
    payment = key(shop, paid)
    first = shop.login("hangzhou")
    page = first.post(f"/finance/{payment}/refund", data={"amount": "830.00", "reason": "一人退出"}, follow_redirects=True).text
    assert "由另一人批准后办理" in page
    assert "等待另一人批准" in page
    with shop.tables():
        refund = db.session.scalars(select(Refund.id)).one()
    assert '<b>0</b><span>待批准的退款' in first.get("/").text, "who has proposed it cannot approve it"
    own = first.post(f"/finance/refunds/{refund}/approve", follow_redirects=True).text
    assert "须由另一人批准" in own
    second = shop.login(colleague(shop), party="authority")
    assert '<b>1</b><span>待批准的退款' in second.get("/").text
    assert "已批准" in second.post(f"/finance/refunds/{refund}/approve", follow_redirects=True).text
    assert "状态已变化" in second.post(f"/finance/refunds/{refund}/approve", follow_redirects=True).text
    run_jobs()
    assert list(shop.trade(paid.number)["refunds"].values()) == [83000]
    for page in (second.get("/finance/").text, second.get("/finance/days").text):
        for words in ("¥2,490.00", "¥830.00", "¥1,660.00"):
            assert words in page
    assert "全部付款都已了结" in second.get("/finance/open").text
    sheet = load_workbook(io.BytesIO(second.get("/finance/payments.xlsx").data)).active
    assert [cell.value for cell in sheet[2]][7:10] == [2490, 830, 1660]
    assert [cell.value for cell in sheet[3]][7:10] == [2490, 830, 1660]


@pytest.mark.parametrize("amount", ["", "abc", "-1", "0", "1.001", "99999999999", "NaN", "2490.01"])
def test_an_amount_that_cannot_be_refunded_is_said_and_writes_nothing(shop: Shop, paid: Look, amount: str) -> None:
    client = shop.login("hangzhou")
    answer = client.post(f"/finance/{key(shop, paid)}/refund", data={"amount": amount, "reason": "一人退出"})
    assert 'value="一人退出"' in answer.text  # nobody types it twice
    assert shop.count(Refund) == 0


def test_a_payment_of_another_amount_is_on_the_desk_until_it_went_back(shop: Shop, run_jobs: Any) -> None:
    order = shop.order(shop.plan())
    with shop.tables():
        url = shop.gateway().pay_url(order.number, 1, "x", order.expires_at, "", "http://portal.test/pay/alipay/notify")
    shop.standins.pay(url, order.number, notify=False)
    shop.notify(order.number)
    client = shop.login("hangzhou")
    page = client.get("/finance/open").text
    assert order.number in page
    assert "付款金额与订单金额不符" in page
    payment = key(shop, order)
    client.post(f"/finance/{payment}/refund", data={"amount": "0.01", "reason": "金额不符"})
    assert "还没有批准" in client.get("/finance/open").text
    with shop.tables():
        refund = db.session.scalars(select(Refund.id)).one()
    shop.login("province").post(f"/finance/refunds/{refund}/approve")
    run_jobs()
    assert "全部付款都已了结" in client.get("/finance/open").text
    assert shop.count(Payment, state="refunded") == 1


def test_money_of_no_order_is_counted_on_the_first_page_of_who_looks_after_it(shop: Shop) -> None:
    with shop.tables():
        merchant = db.session.scalars(select(Merchant.id)).first()
        db.session.add(Payment(order_number="X1", trade_no="9" * 20, amount_fen=100, paid_at=time.now(), paid_on=time.shanghai_day(),
                               received_at=time.now(), state="unmatched", reason="x", merchant_id=merchant))
        db.session.commit()
    assert '<b>1</b><span>未了结的付款' in shop.login("province").get("/").text
    assert '<b>0</b><span>未了结的付款' in shop.login("hangzhou").get("/").text
    assert "未了结的付款" not in shop.login("hjp").get("/").text


def test_every_confirmed_payment_has_ended_when_all_is_done(shop: Shop, clock: Any, run_jobs: Any) -> None:
    """Applied, re-seated after expiry, and refunded for want of seats: the desk has nothing open."""
    plan = shop.plan(seats=5)
    applied, late, lost = shop.order(plan, 2), shop.order(plan, 2), None
    shop.pay(applied)
    shop.notify(applied.number)
    url = shop.pay_url(late.id)
    clock.set(late.release_at)
    with shop.tables():
        orders.run_expiry(late.id, lambda done, total: None)
    lost = shop.order(plan, 3, enterprise=SECOND)
    lost_url = shop.pay_url(lost.id, SECOND)
    clock.set(lost.release_at)
    with shop.tables():
        orders.run_expiry(lost.id, lambda done, total: None)
    for each, address in ((late, url), (lost, lost_url)):
        shop.standins.pay(address, each.number, notify=False, even_if_late=True)
        shop.notify(each.number)
    run_jobs()
    with shop.tables():
        states = dict(db.session.execute(select(Payment.order_id, Payment.state)).all())
    assert states == {applied.id: "applied", late.id: "reseated", lost.id: "refunded"}
    assert "全部付款都已了结" in shop.login("province").get("/finance/open").text


def test_what_is_back_of_a_payment_is_said_found_and_adds_up(shop: Shop, run_jobs: Any) -> None:
    """A payment stands in one way: the totals of the ways are the total (B8)."""
    plan = shop.plan(seats=40)
    bought = []
    for _each in range(3):
        order = shop.order(plan, 3)
        shop.pay(order)
        shop.notify(order.number)
        bought.append(shop.look(order.id))
    whole, part, none = bought
    wanted = [(key(shop, whole), 100_000), (key(shop, whole), 149_000), (key(shop, part), 83_000)]
    with shop.tables(), transaction():
        for payment, fen in wanted:
            refunds.open_refund(payment, fen, "退出", actor=SYSTEM)
    client = shop.login("hangzhou")
    assert "已退款" not in client.get("/finance/").text.partition("<tbody>")[2], "what is on its way is not back"
    run_jobs()

    def chosen(state: str) -> tuple[str, list[Any]]:
        page = client.get(f"/finance/?state={state}").text.partition("<tbody>")[2]
        sheet = load_workbook(io.BytesIO(client.get(f"/finance/payments.xlsx?state={state}").data)).active
        return page, [cell.value for cell in sheet[sheet.max_row]][7:10]

    foots = []
    for state, order, word in (("refunded", whole, "已退款"), ("partly", part, "部分退款"), ("applied", none, "已入账")):
        page, foot = chosen(state)
        foots.append(foot)
        assert [each.number in page for each in bought] == [each is order for each in bought], state
        assert word in page
        assert word in client.get(f"/finance/{key(shop, order)}").text
    assert foots == [[2490, 2490, 0], [2490, 830, 1660], [2490, 0, 2490]]
    assert chosen("")[1] == [sum(column) for column in zip(*foots, strict=True)]
    for state in ("reseated", "refunding", "received", "unmatched"):
        assert "没有符合条件的付款" in client.get(f"/finance/?state={state}").text
    assert "¥830.00" in client.get(f"/finance/{key(shop, part)}").text
    assert client.get("/finance/days").text.count(">相符<") == 3


def test_who_may_see_the_desk_is_told_of_a_refund_that_failed_and_finds_it_counted(shop: Shop, paid: Look, run_jobs: Any) -> None:
    client, payment = shop.login("hangzhou"), key(shop, paid)
    client.post(f"/finance/{payment}/refund", data={"amount": "1.00", "reason": "x"})
    with shop.tables():
        refund = db.session.scalars(select(Refund.id)).one()
    assert counts(client)["待批准的退款"] == "0"
    assert counts(shop.login("province"))["待批准的退款"] == "1"
    shop.login("province").post(f"/finance/refunds/{refund}/approve")
    shop.standins.control("alipay", "finish", {"order_no": paid.number})
    run_jobs()
    assert counts(client)["退款失败"] == "1"
    assert f"订单“{paid.number}”的退款 ¥1.00 未成功" in client.get("/notices/").text
    with shop.tables():
        notice = db.session.scalars(select(Notice.id).where(Notice.event == "refund_failed")).one()
    assert client.post(f"/notices/{notice}/open").location.endswith(f"/finance/{payment}")
    for other in ("ningbo", "province", "hjp"):
        assert "未成功" not in shop.login(other).get("/notices/").text


def counts(client: Any) -> dict[str, str]:
    """The first page's figures by their label."""
    found = re.findall(r'class="stat(?: none)?".*?<b[^>]*>([^<]+)</b><span>([^<]+)<', client.get("/").text, re.S)
    return {label: number for number, label in found}


@pytest.mark.parametrize("keys", [["enterprises.look"], ["finance.look"]])
def test_money_is_told_and_counted_only_to_who_may_look_at_it(shop: Shop, paid: Look, run_jobs: Any, keys: list[str]) -> None:
    """A person with no other desk reads the notice, its link and the counts; one without this desk none of them."""
    payment = key(shop, paid)
    with shop.tables(), transaction():
        give("hangzhou", role(shop.make, "经办", *keys))
        refunds.open_refund(payment, 100, "x", actor=SYSTEM)
    shop.standins.control("alipay", "finish", {"order_no": paid.number})
    run_jobs()
    client = shop.login("hangzhou")
    sees = keys == ["finance.look"]
    assert ("未成功" in client.get("/notices/").text) is sees
    assert ("退款失败" in counts(client)) is sees
    if sees:
        assert counts(client)["退款失败"] == "1"
        with shop.tables():
            notice = db.session.scalars(select(Notice.id).where(Notice.event == "refund_failed")).one()
        assert f"/finance/{payment}" in client.post(f"/notices/{notice}/open").location


def test_an_institution_reads_its_own_money_and_changes_nothing(shop: Shop, paid: Look) -> None:
    payment = key(shop, paid)
    own, other = shop.login("hjp"), shop.login("nbp")
    assert paid.number in own.get("/finance/").text
    assert paid.number not in other.get("/finance/").text
    assert other.get(f"/finance/{payment}").status_code == 404
    page = own.get(f"/finance/{payment}").text
    assert "提出退款" not in page
    assert own.post(f"/finance/{payment}/refund", data={"amount": "1", "reason": "x"}).status_code == 403
    assert shop.login("ningbo").get(f"/finance/{payment}").status_code == 404
    assert shop.login("ningbo").post(f"/finance/{payment}/refund", data={"amount": "1", "reason": "x"}).status_code == 404
    assert shop.login(FIRST).get("/finance/").status_code == 403
    assert shop.count(Refund) == 0


def test_the_desk_takes_as_many_statements_for_many_payments_as_for_few(shop: Shop, paid: Look) -> None:
    client = shop.login("province")

    def statements(path: str) -> int:
        seen: list[str] = []
        with shop.tables():
            engine = db.engine
        event.listen(engine, "before_cursor_execute", note := lambda *args: seen.append(args[2]))
        client.get(path)
        event.remove(engine, "before_cursor_execute", note)
        return len(seen)

    paths = ("/finance/", "/finance/?order=paid&invoice=due", "/finance/days?part=orders", "/finance/days?part=invoices&by=institution",
             "/finance/days.xlsx", "/finance/open", "/finance/refunds")

    def more(first: int, last: int) -> None:
        with shop.tables():
            for n in range(first, last):
                row = Payment(trade_no=f"t{n}", order_number=paid.number, order_id=paid.id if n % 2 else None, amount_fen=100,
                              paid_at=time.now() - timedelta(days=n), received_at=time.now(), state="unmatched", reason="x", refund_fen=10)
                db.session.add(row)
                db.session.flush()
                db.session.add(Refund(payment_id=row.id, request_no=f"r{n}", amount_fen=10, reason="x", state="failed", error="x",
                                      created_at=time.now(), approved_at=time.now()))
            db.session.commit()

    more(0, 2)
    for path in paths:
        client.get(path)
    few = [statements(path) for path in paths]
    more(2, 24)
    assert [statements(path) for path in paths] == few


def test_an_institutions_own_merchant_is_paid_and_a_later_change_does_not_touch_the_order(shop: Shop, run_jobs: Any) -> None:
    with shop.tables():
        institution = db.session.scalars(select(Institution.id).where(Institution.name == "杭州建工职业培训中心")).one()
    theirs = shop.standins.control("alipay", "merchants", {"app_id": "2021000000000777", "seller_id": "2088000000000777"})
    admin = shop.login("admin")
    form = {"name": "杭建培收款", "institution_id": str(institution), "app_id": theirs["app_id"], "seller_id": theirs["seller_id"],
            "fee": "0.60", "private_key": theirs["private_key"], "alipay_key": theirs["alipay_key"]}
    assert "这不是可用的 RSA 密钥" in admin.post("/merchants/add", data=form | {"private_key": "abc"}).text
    page = admin.post("/merchants/add", data=form, follow_redirects=True).text
    assert "已保存" in page
    secret = theirs["private_key"].splitlines()[1]
    assert secret not in page
    with shop.tables():
        own = db.session.scalars(select(Merchant).where(Merchant.app_id == theirs["app_id"])).one()
        own_id = own.id
    assert "连接正常" in admin.post(f"/merchants/{own_id}/probe", follow_redirects=True).text
    order = shop.order(shop.plan(), 3)
    shop.pay(order)
    assert shop.trade(order.number)["app_id"] == theirs["app_id"]
    admin.post(f"/merchants/{own_id}/end")
    assert shop.notify(order.number) == "success"
    assert shop.look(order.id).state == "paid"
    with shop.tables():
        assert db.session.get_one(Order, order.id).merchant_id == own_id
        assert merchants.for_institution(institution).id != own_id
    payment = key(shop, order)
    shop.login("hangzhou").post(f"/finance/{payment}/refund", data={"amount": "1.00", "reason": "x"})
    with shop.tables():
        refund = db.session.scalars(select(Refund.id)).one()
    shop.login("province").post(f"/finance/refunds/{refund}/approve")
    run_jobs()
    assert list(shop.trade(order.number)["refunds"].values()) == [100]


def test_a_notification_signed_for_another_merchant_changes_nothing(shop: Shop) -> None:
    theirs = shop.standins.control("alipay", "merchants", {"app_id": "2021000000000778", "seller_id": "2088000000000778"})
    with shop.tables():
        db.session.add(Merchant(name="x", app_id=theirs["app_id"], seller_id=theirs["seller_id"], private_key=theirs["private_key"],
                                alipay_key=theirs["alipay_key"], created_at=time.now(), ended_at=time.now()))
        db.session.commit()
    order = shop.order(shop.plan())
    shop.pay(order)
    assert shop.notify(order.number, fields={"app_id": theirs["app_id"], "seller_id": theirs["seller_id"]}) == "fail"
    assert shop.count(Payment) == 0


def test_differences_are_read_and_resolved_on_their_page(shop: Shop, clock: Any, run_jobs: Any) -> None:
    clock.set(time.at_shanghai(time.shanghai_day(), 12))
    order = shop.order(shop.plan(), 3)
    shop.pay(order)
    shop.notify(order.number)
    shop.standins.control("alipay", "settings", {"bill": {"fee": {shop.trade(order.number)["trade_no"]: 1}}})
    clock.advance(hours=22)
    with shop.tables():
        reconciliations.run_plan(0, lambda done, total: None)
    run_jobs()
    client = shop.login("province")
    assert "1 项差异待处理" in client.get("/bills/?state=open").text
    with shop.tables():
        row = db.session.scalars(select(Reconciliation.id).where(Reconciliation.our_paid_fen > 0)).one()
    page = client.get(f"/bills/{row}").text
    assert "手续费与约定不一致" in page
    assert shop.login("ningbo").get(f"/bills/{row}").status_code == 404
    assert "请填写处理说明" in client.post("/bills/differences/1/resolve", data={"remark": " "}, follow_redirects=True).text
    assert "活动费率" in client.post("/bills/differences/1/resolve", data={"remark": "活动费率"}, follow_redirects=True).text
    client.post(f"/bills/{row}/again")
    run_jobs()
    assert "活动费率" in client.get(f"/bills/{row}").text
