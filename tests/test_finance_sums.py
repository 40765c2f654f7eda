"""汇总: every figure of a day and of an institution is what the rows come to, and its balance lines hold (B8; docs/money.md)."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy import select

from app import clock as time
from app.actors import SYSTEM
from app.extensions import db, transaction
from app.operations import finance_sums, orders, refunds
from models import Invoice, Order, Payment, Refund
from tests.shop import FIRST, SECOND, Look, Shop
from tests.staffing import county, give, role
from tests.test_invoice_uploads import PDF, upload
from tests.test_invoices import next_morning, shop

__all__ = ["shop"]
NAMES = [each.name for each in fields(finance_sums.Sums)][1:]
NOBODY = "没有对应的订单"


def bought(shop: Shop, plan: int, people: int = 3, *, enterprise: str = FIRST, at: datetime | None = None) -> Look:
    order = shop.order(plan, people, enterprise=enterprise)
    shop.pay(order, enterprise=enterprise, paid_at=at)
    assert shop.notify(order.number) == "success"
    return shop.look(order.id)


def refund(shop: Shop, order: Look, fen: int) -> None:
    with shop.tables(), transaction():
        payment = db.session.scalars(select(Payment.id).where(Payment.order_id == order.id)).one()
        refunds.open_refund(payment, fen, "退出培训", actor=SYSTEM)


def expired(shop: Shop, clock: Any, order: Look, enterprise: str = FIRST) -> str:
    """The order's time is over; the address at which it is still paid."""
    url = shop.pay_url(order.id, enterprise)
    clock.set(order.release_at)
    with shop.tables():
        orders.run_expiry(order.id, lambda done, total: None)
    return url


def paid_late(shop: Shop, url: str, order: Look) -> None:
    shop.standins.pay(url, order.number, notify=False, even_if_late=True)
    shop.notify(order.number)


def around_midnight(shop: Shop, clock: Any, plan: int, midnight: datetime) -> tuple[Look, Look]:
    """An order paid in the last second of a day and one in the first of the next, both made before."""
    clock.set(midnight - timedelta(minutes=5))
    before, after = shop.order(plan, 1), shop.order(plan, 2)
    for order, at in ((before, midnight - timedelta(seconds=1)), (after, midnight)):
        url = shop.pay_url(order.id)
        clock.set(at)
        shop.standins.pay(url, order.number, paid_at=at, notify=False)
        shop.notify(order.number)
    return before, after


@pytest.fixture
def mixed(shop: Shop, clock: Any, run_jobs: Any) -> date:
    """Four days of two institutions and two enterprises; the first of them. No refund is on its way at the end."""
    first = time.shanghai_day()
    ours, theirs = shop.plan(seats=40), shop.plan(institution="nbp", fee_fen=64_001)
    part, uploaded = bought(shop, ours), bought(shop, ours)
    bought(shop, theirs, 2, enterprise=SECOND)
    assert "发票已上传" in upload(shop, uploaded, {"a.pdf": PDF}).text
    free = shop.order(shop.plan(fee_fen=0))
    assert free.state == "paid"
    shop.login(FIRST).post(f"/orders/{shop.order(ours, 1).id}/cancel")
    with shop.tables():
        db.session.add(Payment(order_number="X1", trade_no="9" * 20, amount_fen=12_345, paid_at=time.now(), received_at=time.now(),
                               state="unmatched", reason="x"))
        db.session.commit()
    other = shop.order(ours, 1)
    with shop.tables():
        url = shop.gateway().pay_url(other.number, 1, "x", other.expires_at, "", "http://portal.test/pay/alipay/notify")
    shop.standins.pay(url, other.number, notify=False)
    shop.notify(other.number)
    late = shop.order(ours, 2)
    paid_late(shop, expired(shop, clock, late), late)  # takes its seats again
    small = shop.plan(seats=3)
    lost = shop.order(small, 3)
    url = expired(shop, clock, lost)
    bought(shop, small, 3, enterprise=SECOND)
    paid_late(shop, url, lost)  # nothing is free any more: all of it goes back
    run_jobs()
    clock.set(next_morning(clock))
    run_jobs()
    refund(shop, part, 83_000)  # is issued by now: a red letter
    refund(shop, uploaded, 83_000)  # by hand, so the red letter waits for a person
    less = bought(shop, theirs, 2)
    refund(shop, less, 64_001)  # not issued yet: the invoice becomes smaller
    none = bought(shop, ours, 1)
    refund(shop, none, 83_000)  # and this one is not issued at all
    run_jobs()
    before, _after = around_midnight(shop, clock, ours, time.at_shanghai(first + timedelta(days=2)))
    shop.change(Invoice, _invoice(shop, before), state="failed", reason="税号有误")
    shop.standins.control("invoice", "settings", {"red_fail_with": "税务局维护中"})
    refund(shop, part, 1)  # the platform does not take this one back
    run_jobs()
    shop.standins.control("invoice", "settings", {"red_fail_with": ""})
    clock.advance(hours=30)  # orders nobody paid are over
    opened = shop.plan()
    bought(shop, opened, 1)
    shop.order(opened, 1)
    shop.login("hjp").post(f"/classes/{opened}/open", data={"early": "1"})
    left = shop.order(theirs, 1)
    expired(shop, clock, left)
    return first


def _invoice(shop: Shop, order: Look) -> int:
    with shop.tables():
        return db.session.scalars(select(Invoice.id).where(Invoice.order_id == order.id)).one()


def counted(by: str, first: date, last: date, wanted: Any = lambda order: True) -> dict[str, dict[str, int]]:
    """The same figures from the rows, one after the other, without a statement that sums."""
    table: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(NAMES, 0))

    def put(name: str, day: date | None, order: Order | None, fen: int, *also: str) -> None:
        if day is None or not first <= day <= last or not wanted(order):
            return
        line = table[day.isoformat() if by == "day" else order.institution.name if order else NOBODY]
        for each in (f"{name}_n", f"{name}_fen", *also):
            if each in line:
                line[each] += 1 if each.endswith("_n") else fen

    for order in db.session.scalars(select(Order)):
        put("made", time.shanghai_day(order.created_at), order, order.amount_fen)
        if order.state == "paid" and order.paid_at:
            put("bought", time.shanghai_day(order.paid_at), order, order.amount_fen)
            for invoice in order.invoices:
                name = {"issued": "issued", "failed": "failed", "cancelled": ""}.get(invoice.state, "due")
                if invoice.kind == "red" and name:
                    name = "red" if name == "issued" else f"red_{name}"
                put(name, time.shanghai_day(order.paid_at), order, invoice.amount_fen)
        if order.state in ("expired", "cancelled", "closed"):
            assert order.ended_at is not None
            put(order.state, time.shanghai_day(order.ended_at), order, order.amount_fen)
    for payment in db.session.scalars(select(Payment)):
        taken, day = payment.state in ("applied", "reseated"), time.shanghai_day(payment.paid_at)
        put("paid", day, payment.order, payment.amount_fen, f"{payment.state}_fen" if taken else "apart_fen")
        for back in db.session.scalars(select(Refund).where(Refund.payment_id == payment.id, Refund.state == "done")):
            assert back.done_at is not None
            put("refunds", time.shanghai_day(back.done_at), payment.order, 0)
            put("", time.shanghai_day(back.done_at), payment.order, back.amount_fen, "refunded_fen")
            if taken:
                put("", day, payment.order, back.amount_fen, "back_fen")
    return dict(table)


def shown(actor: Any, first: date, last: date, by: str, *where: Any) -> dict[str, dict[str, int]]:
    return {line.label: {name: getattr(line, name) for name in NAMES}
            for line in finance_sums.lines(actor, first, last, by=by, where=where)}


def without_nothing(table: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {label: line for label, line in table.items() if any(line.values())}


def spans(first: date) -> Iterator[tuple[date, date]]:
    yield first - timedelta(days=5), first + timedelta(days=5)
    for n in range(5):
        yield first + timedelta(days=n), first + timedelta(days=n)
    yield first + timedelta(days=1), first + timedelta(days=2)


def test_every_figure_is_what_the_rows_come_to_and_the_lines_balance(shop: Shop, mixed: date) -> None:
    everything = (mixed - timedelta(days=5), mixed + timedelta(days=5))
    with shop.tables():
        province, city, own = (shop.make.actor(name) for name in ("province", "hangzhou", "nbp"))
        second = shop.make.enterprise(SECOND).id
        hjp, nbp = (shop.make.institution(name) for name in ("hjp", "nbp"))
        total = counted("institution", *everything)
        found = {name: sum(line[name] for line in total.values()) for name in NAMES}
        assert min(found.values()) > 0, "the data has everything that is summed"
        assert found["paid_fen"] > found["applied_fen"] + found["reseated_fen"]
        for by in ("day", "institution"):
            for first, last in spans(mixed):
                assert without_nothing(shown(province, first, last, by)) == without_nothing(counted(by, first, last))
                for person in (province, city, own):
                    sums = finance_sums.total_of(finance_sums.lines(person, first, last, by=by))
                    assert [each.apart_fen for each in finance_sums.balances(sums)] == [0, 0, 0]
            assert shown(city, *everything, by) == counted(by, *everything, lambda order: order and order.institution_id == hjp.id)
            assert shown(own, *everything, by) == counted(by, *everything, lambda order: order and order.institution_id == nbp.id)
            assert shown(province, *everything, by, Order.enterprise_id == second) == counted(
                by, *everything, lambda order: order and order.enterprise_id == second)
        assert NOBODY in total
        assert len(counted("day", *everything)) == 4


def test_a_second_before_midnight_in_shanghai_is_the_day_before(shop: Shop, clock: Any) -> None:
    yesterday, today = time.shanghai_day(), time.shanghai_day() + timedelta(days=1)
    orders_ = around_midnight(shop, clock, shop.plan(), time.at_shanghai(today))
    with shop.tables():
        last, first = (shown(shop.make.actor("province"), yesterday, today, "day", Order.id == order.id) for order in orders_)
        alone = shown(shop.make.actor("province"), today, today, "day")
    assert set(last) == {yesterday.isoformat()}
    for line, fen in ((last[yesterday.isoformat()], 83_000), (first[today.isoformat()], 166_000)):
        assert line["bought_fen"] == line["paid_fen"] == line["due_fen"] == fen
    assert first[yesterday.isoformat()] == dict.fromkeys(NAMES, 0) | {"made_n": 1, "made_fen": 166_000}
    assert alone == {today.isoformat(): first[today.isoformat()]}


def test_the_page_and_its_workbook_say_that_it_adds_up(shop: Shop, mixed: date) -> None:
    client, until = shop.login("province"), mixed + timedelta(days=3)
    span = f"since={mixed}&until={until}"
    with shop.tables():
        total = finance_sums.total_of(finance_sums.lines(shop.make.actor("province"), mixed, until, by="day"))
        name = shop.make.institution("nbp").name
    for part, fen in (("money", total.net_fen), ("orders", total.bought_fen), ("invoices", total.red_fen)):
        for by in ("day", "institution"):
            page = client.get(f"/finance/days?{span}&part={part}&by={by}").text
            assert f"¥{fen / 100:,.2f}</span></b>" in page
            assert page.count(">相符<") == 3
            assert "相差" not in page
    assert name not in client.get(f"/finance/days?{span}&by=institution&institution=杭州").text
    book = load_workbook(io.BytesIO(client.get(f"/finance/days.xlsx?{span}&by=institution").data))
    rows = list(book.worksheets[0].values)
    foot = rows[-1]
    assert foot[0] == "合计"
    columns = [[float(str(row[n])) for row in rows[1:]] for n in range(1, len(foot))]
    assert [sum(column[:-1]) for column in columns] == pytest.approx([column[-1] for column in columns])
    assert any("已支付订单" in str(cell) for row in book.worksheets[1].values for cell in row)
    assert "相差" not in str(list(book.worksheets[1].values))
    assert shop.audits("export_finance_sums") == 1


def test_a_difference_is_said(shop: Shop) -> None:
    bought(shop, shop.plan())
    with shop.tables():
        paid = db.session.scalars(select(Payment.id)).one()
    shop.change(Payment, paid, state="unmatched")
    page = shop.login("province").get("/finance/days").text
    assert page.count(">相符<") == 0
    assert page.count("相差 ") == 3


def test_orders_are_summed_only_where_one_looks_at_money(shop: Shop) -> None:
    """Plans of the whole city may be theirs to read; the money of one county only."""
    bought(shop, shop.plan())
    with shop.tables():
        keys = ("finance.look", "finance.download")
        give("hangzhou", role(shop.make, "县财务", *keys, region=county("330100", "淳安县")), role(shop.make, "计划", "plans.look"))
    client = shop.login("hangzhou")
    for part in ("money", "orders", "invoices"):
        assert "2,490.00" not in client.get(f"/finance/days?part={part}").text
    assert set(list(load_workbook(io.BytesIO(client.get("/finance/days.xlsx").data)).worksheets[0].values)[1][1:]) == {0}
    with shop.tables():
        give("hangzhou", role(shop.make, "市财务", *keys))
    assert "2,490.00" in client.get("/finance/days?part=orders").text


def test_an_institution_reads_its_own_sums_and_an_enterprise_none(shop: Shop) -> None:
    bought(shop, shop.plan())
    own, other = shop.login("hjp"), shop.login("nbp")
    assert "2,490.00" in own.get("/finance/days?part=orders&by=institution").text
    assert "2,490.00" not in other.get("/finance/days?part=orders&institution=杭州").text
    made = [list(load_workbook(io.BytesIO(each.get("/finance/days.xlsx").data)).worksheets[0].values)[1][7] for each in (own, other)]
    assert made == [2490, 0]
    assert shop.login(FIRST).get("/finance/days.xlsx").status_code == 403


@pytest.mark.parametrize("query", ["since=0001-01-01&until=0001-01-01", "until=9999-12-31", "since=9999-12-31", "since=x&until=y",
                                   "part=x&by=x", "enterprise=%25&institution=%27"])
def test_what_cannot_be_a_day_or_a_part_is_read_as_the_nearest(shop: Shop, query: str) -> None:
    client = shop.login("province")
    assert client.get(f"/finance/days?{query}").status_code == 200
    assert client.get(f"/finance/days.xlsx?{query}").status_code == 200
