"""Notices of orders, money, invoices and certificates, and of an enterprise that changes its authority: who is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app import clock as time
from app import notices, scope
from app.extensions import db
from app.operations import notices as reading
from app.operations import orders
from models import Enrolment, Job, Notice, PlanChange
from tests.shop import FIRST, SECOND, Shop
from tests.test_notices import bell, texts


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    """At ten in the morning in Shanghai, so that "the day after" is a day after."""
    clock.set(time.at_shanghai(time.shanghai_day() + timedelta(days=1), 10))
    return Shop(app, make, login, standins)


def told(shop: Shop) -> list[tuple[str, str]]:
    """(event, party) of every notice, in order."""
    with shop.tables():
        return [(row.event, "enterprise" if row.enterprise_id else "institution" if row.institution_id else "authority")
                for row in db.session.scalars(select(Notice).order_by(Notice.id))]


def test_a_payment_is_told_to_both_sides_once_however_often_it_is_heard_of(shop: Shop, login: Any) -> None:
    order = shop.order(shop.plan())
    shop.pay(order)
    for _twice in range(2):
        assert shop.notify(order.number) == "success"
    assert told(shop) == [("order_paid", "enterprise"), ("order_paid", "institution")]
    for who in (FIRST, "hjp"):
        client = login(who)
        assert f"订单“{order.number}”已支付" in texts(client)
        newest = db.session.scalars(select(Notice).where(Notice.enterprise_id.is_not(None) if who == FIRST
                                                         else Notice.institution_id.is_not(None))).one()
        answer = client.post(f"/notices/{newest.id}/open")
        assert answer.location == f"/orders/{order.id}"
        assert order.number in client.get(answer.location).text
        assert bell(client) == 0
    for who in (SECOND, "nbp", "hangzhou"):
        assert bell(login(who)) == 0, who


def test_an_invoice_is_told_when_it_can_be_downloaded(shop: Shop, clock: Any, run_jobs: Any, login: Any) -> None:
    order = shop.order(shop.plan())
    shop.pay(order)
    shop.notify(order.number)
    clock.set(time.at_shanghai(time.shanghai_day() + timedelta(days=1), 9))
    run_jobs()
    clock.advance(minutes=5)
    run_jobs()
    assert [each for each in told(shop) if each[0] == "invoice_issued"] == [("invoice_issued", "enterprise")]
    assert f"订单“{order.number}”的发票已开具" in texts(login(FIRST))
    assert "发票已开具" not in texts(login(SECOND))


def test_an_expired_order_is_told_once_and_a_cancelled_one_not(shop: Shop, clock: Any, run_jobs: Any, login: Any) -> None:
    plan = shop.plan()
    given_up = shop.order(plan, 1, enterprise=SECOND)
    login(SECOND).post(f"/orders/{given_up.id}/cancel")
    order = shop.order(plan)
    clock.set(order.release_at + timedelta(seconds=1))
    run_jobs()
    orders.run_expiry(order.id, lambda done, total: None)
    assert told(shop) == [("order_expired", "enterprise")]
    assert f"订单“{order.number}”未在时限内支付" in texts(login(FIRST))
    assert bell(login(SECOND)) == 0


def test_a_refund_is_told_with_its_sum(shop: Shop, clock: Any, run_jobs: Any, login: Any) -> None:
    plan = shop.plan(seats=3)
    order = shop.order(plan, 3)
    url = shop.pay_url(order.id)
    clock.set(order.release_at + timedelta(minutes=2))
    run_jobs()
    shop.standins.pay(url, order.number, paid_at=order.release_at + timedelta(minutes=1), notify=False, even_if_late=True)
    shop.order(plan, 2, enterprise=SECOND)
    assert shop.notify(order.number) == "success"
    assert "refunded" not in dict(told(shop))
    run_jobs()
    assert [each for each in told(shop) if each[0] == "refunded"] == [("refunded", "enterprise")]
    assert f"订单“{order.number}”的付款 ¥2,490.00 已原路退回" in texts(login(FIRST))


def test_certificates_are_told_by_number_to_their_enterprise_and_the_institution(make: Any, login: Any, run_jobs: Any) -> None:
    report = make.report(people=3)
    for _twice in range(2):
        login("hangzhou").post("/certificates/issue/", data={"ids": [str(report.id)]})
        run_jobs()
    for who in (FIRST, "hjp"):
        client = login(who)
        assert "3 张证书已生成" in texts(client)
        assert bell(client) == 1
        mine = db.session.scalars(select(Notice).where(Notice.enterprise_id.is_not(None) if who == FIRST
                                                       else Notice.institution_id.is_not(None))).one()
        assert client.post(f"/notices/{mine.id}/open").location == "/certificates/"
    for who in (SECOND, "nbp"):
        assert bell(login(who)) == 0, who


def test_an_enterprise_that_moves_is_told_to_its_new_authority_only(make: Any, login: Any) -> None:
    client = login(FIRST)
    row = make.enterprise(FIRST)
    answer = client.post("/enterprise/edit", data={
        "region_code": "330212", "address": row.address, "contact_name": row.contact_name, "phone": row.phone, "code": ""})
    assert answer.status_code == 303
    assert "有变更，已重新报审" in texts(login("ningbo"))
    assert (bell(login("ningbo")), bell(login("hangzhou")), bell(client)) == (1, 0, 0)


def test_notices_ask_for_no_job_of_their_own(make: Any, login: Any) -> None:
    """A bulk step stays one statement more: messages are planned later, by the timetable."""
    before = len(db.session.scalars(select(Job.id)).all())
    plans = [make.plan("accepted").id for _each in range(3)]
    login("hangzhou").post("/reviews/plans/bulk/approve", data={"ids": plans})
    assert len(db.session.scalars(select(Job.id)).all()) == before


def test_whatever_a_notice_is_about_the_page_lists_it_and_leads_there(shop: Shop, make: Any, login: Any, run_jobs: Any) -> None:
    """Seats changed, people who left or were carried over, a plan called off: read and opened by each who is told."""
    with shop.tables():
        earlier = make.attended(2, absent=1).id
        away = db.session.scalars(select(Enrolment.id).where(Enrolment.plan_id == earlier, Enrolment.attendance == "absent")).one()
    plan = shop.plan(seats=20)
    order = shop.order(plan, 3)
    shop.pay(order)
    shop.notify(order.number)
    with shop.tables():
        one = db.session.scalars(select(Enrolment.id).where(Enrolment.order_id == order.id)).first()
    institution, buyer, city = login("hjp"), login(FIRST), login("hangzhou")
    institution.post(f"/plans/{plan}/absentees/add", data={"ids": [away]})
    buyer.post(f"/withdrawals/orders/{order.id}", data={"ids": [one], "reason": "离职"})
    institution.post(f"/plan-changes/plans/{plan}/resize", data={"seats": 40, "reason": "x"})
    with shop.tables():
        change = db.session.scalars(select(PlanChange.id)).one()
    city.post(f"/reviews/plan-changes/{change}/grant")
    assert set(notices.THINGS) == set(reading._MODELS), "of each the rows are known"
    kinds = set()
    for who in ("hjp", FIRST, "hangzhou"):
        client = login(who)
        assert client.get("/notices/").status_code == 200, who
        with shop.tables():
            told = [(row.id, row.subject_kind) for row in db.session.scalars(scope.visible(make.actor(who), Notice))]
        for notice, kind in told:
            leads = client.post(f"/notices/{notice}/open").location
            assert client.get(leads).status_code == 200, (who, kind, leads)
            kinds.add(kind)
    assert {"plan_change", "withdrawal", "enrolment", "order"} <= kinds
