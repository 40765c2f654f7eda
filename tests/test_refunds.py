"""Refunds: opened, agreed to by two, sent once, never more than was paid (C6, B8; docs/money.md)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from app.actors import SYSTEM, Actor
from app.errors import Conflict, Invalid
from app.extensions import db, transaction
from app.operations import refunds
from models import Enrolment, Job, Payment, Refund, RefundEnrolment
from tests.shop import FIRST, Look, Shop, at_once

ANNA = Actor(user_id=101, name="财务甲", party="authority", authority_id=1)
BERT = Actor(user_id=102, name="财务乙", party="authority", authority_id=1)


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    return Shop(app, make, login, standins)


@pytest.fixture
def paid(shop: Shop) -> Look:
    """An order of three that was paid, and is 2,490.00."""
    order = shop.order(shop.plan(), 3)
    shop.pay(order)
    assert shop.notify(order.number) == "success"
    return shop.look(order.id)


def payment_id(order: Look) -> int:
    return db.session.scalars(select(Payment.id).where(Payment.order_id == order.id)).one()


def opened(order: Look, amount_fen: int, reason: str = "退出培训", **more: Any) -> int:
    refund = refunds.open_refund(payment_id(order), amount_fen, reason, actor=ANNA, **more)
    return refund.id


def state(shop: Shop, refund_id: int) -> str:
    with shop.tables():
        return db.session.get_one(Refund, refund_id).state


def proposed(shop: Shop, order: Look, amount_fen: int = 100) -> int:
    with shop.tables():
        return refunds.propose(db.session.get_one(Payment, payment_id(order)), amount_fen, "多付", actor=ANNA).id


def test_a_part_goes_back_and_the_rest_stays_with_the_order(shop: Shop, paid: Look, run_jobs: Any) -> None:
    with shop.tables(), transaction():
        people = list(db.session.scalars(select(Enrolment.id).where(Enrolment.order_id == paid.id).limit(1)))
        first = opened(paid, paid.amount_fen // 3, enrolment_ids=people)
    assert shop.count(RefundEnrolment, refund_id=first, enrolment_id=people[0]) == 1
    run_jobs()
    assert list(shop.trade(paid.number)["refunds"].values()) == [paid.amount_fen // 3]
    assert (state(shop, first), shop.look(paid.id).payments[0][0], shop.look(paid.id).state) == ("done", "applied", "paid")
    page = shop.login(FIRST).get(f"/orders/{paid.id}").text
    assert "退出培训" in page
    assert "已退款" in page
    with shop.tables(), transaction():
        opened(paid, paid.amount_fen - paid.amount_fen // 3)
    run_jobs()
    assert sum(shop.trade(paid.number)["refunds"].values()) == paid.amount_fen


def test_the_refunds_of_a_payment_are_never_more_than_it(shop: Shop, paid: Look) -> None:
    with shop.tables(), transaction():
        opened(paid, paid.amount_fen - 100)
    with shop.tables(), pytest.raises(Conflict, match="还可退 ¥1.00"):
        opened(paid, 101)
    with shop.tables(), pytest.raises(IntegrityError):  # a wrong program meets the table itself
        db.session.execute(text("UPDATE payment SET refund_fen = amount_fen + 1"))
    db.session.rollback()
    assert shop.count(Refund) == 1


def test_two_refunds_at_the_same_moment_share_what_was_paid(shop: Shop, paid: Look) -> None:
    def one() -> str:
        try:
            with transaction():
                opened(paid, paid.amount_fen // 2 + 1)
        except Conflict:
            return "refused"
        return "opened"

    assert sorted(at_once(shop, one, one, one)) == ["opened", "refused", "refused"]
    assert shop.count(Refund) == 1


def test_what_is_opened_in_a_transaction_that_fails_never_was(shop: Shop, paid: Look, run_jobs: Any) -> None:
    def then_fails() -> None:
        with transaction():
            opened(paid, 100)
            raise ZeroDivisionError

    with shop.tables(), pytest.raises(ZeroDivisionError):
        then_fails()
    run_jobs()
    assert shop.count(Refund) == 0
    assert not shop.trade(paid.number)["refunds"]
    assert shop.count(Payment, refund_fen=0) == 1


@pytest.mark.parametrize(("amount", "reason"), [(0, "x"), (-1, "x"), (100, "  "), (100, "长" * 201)])
def test_an_amount_or_a_reason_that_is_none_is_refused(shop: Shop, paid: Look, amount: int, reason: str) -> None:
    with shop.tables(), pytest.raises(Invalid):
        opened(paid, amount, reason)
    assert shop.count(Refund) == 0


def test_a_proposed_refund_waits_for_another_person(shop: Shop, paid: Look, run_jobs: Any) -> None:
    refund = proposed(shop, paid)
    run_jobs()
    assert not shop.trade(paid.number)["refunds"]
    with shop.tables(), pytest.raises(Conflict, match="须由另一人批准"):
        refunds.approve(db.session.get_one(Refund, refund), actor=ANNA)
    with shop.tables():
        refunds.approve(db.session.get_one(Refund, refund), actor=BERT)
    with shop.tables(), pytest.raises(Conflict, match="状态已变化"):
        refunds.approve(db.session.get_one(Refund, refund), actor=BERT)
    run_jobs()
    assert list(shop.trade(paid.number)["refunds"].values()) == [100]
    assert shop.audits("refund_payment") == 1


def test_the_table_itself_wants_two_people(shop: Shop, paid: Look) -> None:
    refund = proposed(shop, paid)
    with shop.tables(), pytest.raises(IntegrityError):
        db.session.execute(text("UPDATE refund SET approved_by_id = proposed_by_id WHERE id = :id"), {"id": refund})
    db.session.rollback()


def test_a_declined_refund_gives_its_amount_back_to_the_payment(shop: Shop, paid: Look, run_jobs: Any) -> None:
    refund = proposed(shop, paid, paid.amount_fen)
    with shop.tables(), pytest.raises(Invalid):
        refunds.decline(db.session.get_one(Refund, refund), " ", actor=BERT)
    with shop.tables():
        refunds.decline(db.session.get_one(Refund, refund), "核对无误", actor=BERT)
    with shop.tables(), pytest.raises(Conflict):
        refunds.approve(db.session.get_one(Refund, refund), actor=BERT)
    run_jobs()
    assert not shop.trade(paid.number)["refunds"]
    with shop.tables(), transaction():
        opened(paid, paid.amount_fen)


def test_passing_trouble_is_tried_again_and_a_refusal_waits_for_a_person(shop: Shop, paid: Look, clock: Any, run_jobs: Any) -> None:
    with shop.tables(), transaction():
        refund = opened(paid, 100)
    shop.standins.control("alipay", "settings", {"next_answers": ["error"]})
    run_jobs()
    assert state(shop, refund) == "due"
    shop.standins.control("alipay", "finish", {"order_no": paid.number})  # the time for refunds is over
    clock.advance(minutes=2)
    run_jobs()
    assert state(shop, refund) == "failed"
    assert shop.jobs("refund_payment", "failed") == 1
    with shop.tables():
        refunds.try_again(db.session.get_one(Refund, refund), actor=BERT)
    run_jobs()
    assert state(shop, refund) == "failed"
    with shop.tables():
        assert refunds.drop(db.session.get_one(Refund, refund), "改为线下退款", actor=BERT)
    assert state(shop, refund) == "declined"
    desk = " ".join(shop.login("hangzhou").get(f"/finance/{payment_id(paid)}").text.split())
    assert '已放弃</span> <span class="muted small">改为线下退款' in desk  # why, not what the gateway had said
    assert shop.count(Payment, refund_fen=0) == 1


def test_a_failed_refund_that_moved_after_all_is_not_dropped(shop: Shop, paid: Look, run_jobs: Any) -> None:
    with shop.tables(), transaction():
        refund = opened(paid, 100)
    run_jobs()
    shop.change(Refund, refund, state="failed", done_at=None, error="x")
    with shop.tables():
        assert not refunds.drop(db.session.get_one(Refund, refund), "不再退款", actor=BERT)
    assert state(shop, refund) == "done"


def test_a_worker_killed_in_the_middle_of_a_refund_moves_the_money_once(
        shop: Shop, paid: Look, monkeypatch: Any, run_jobs: Any) -> None:
    with shop.tables(), transaction():
        refund = opened(paid, 100)

    class Killed(BaseException):
        pass

    def die(*_any: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, shop.tables():
        patch.setattr(refunds, "_done", die)
        with pytest.raises(Killed):
            refunds.run_refund(refund, lambda done, total: None)
    assert list(shop.trade(paid.number)["refunds"].values()) == [100]
    assert state(shop, refund) == "due"
    run_jobs()
    run_jobs()
    assert list(shop.trade(paid.number)["refunds"].values()) == [100]
    assert state(shop, refund) == "done"
    assert shop.audits("refund_payment") == 1


def test_a_payment_without_an_order_goes_back_whole_or_not_at_all(shop: Shop, paid: Look) -> None:
    with shop.tables():
        odd = Payment(trade_no="odd", order_number="elsewhere", amount_fen=500, paid_at=db.session.get_one(
            Payment, payment_id(paid)).paid_at, received_at=db.session.get_one(Payment, payment_id(paid)).paid_at,
            state="unmatched", reason="x")
        db.session.add(odd)
        db.session.commit()
        with pytest.raises(Invalid, match="全额"):
            refunds.propose(odd, 400, "多付", actor=ANNA)
        db.session.rollback()
        refund = refunds.propose(odd, 500, "多付", actor=ANNA)
        refunds.approve(refund, actor=BERT)
        assert db.session.get_one(Payment, odd.id).state == "refunding"
        with pytest.raises(Conflict, match="已在退款"):
            refunds.open_refund(odd.id, 1, "再退", actor=SYSTEM)
        db.session.rollback()


def test_money_is_booked_as_gone_back_elsewhere_only_when_the_gateway_says_so_and_nothing_is_sent(shop: Shop, paid: Look) -> None:
    """A payment without a place in any order waits for a person; somebody refunds it in Alipay's console."""
    shop.change(Payment, (odd := payment_id(paid)), state="unmatched", reason="已转财务核对")

    def ask(reason: str = "线下误退") -> int:
        with shop.tables():
            return refunds.propose_elsewhere(db.session.get_one(Payment, odd), reason, actor=ANNA).id

    def agree(refund: int, actor: Actor = BERT) -> None:
        with shop.tables():
            refunds.approve_elsewhere(db.session.get_one(Refund, refund), actor=actor)

    with pytest.raises(Conflict, match="没有全额退回"):
        ask()
    shop.standins.control("alipay", "refund", {"order_no": paid.number, "amount_fen": paid.amount_fen - 1})
    with pytest.raises(Conflict, match="没有全额退回"):
        ask()
    shop.standins.control("alipay", "refund", {"order_no": paid.number, "amount_fen": 1})
    with pytest.raises(Invalid):
        ask(" ")
    shop.standins.control("alipay", "settings", {"next_answers": ["error"]})
    with pytest.raises(Conflict, match="暂时无法核实"):
        ask()
    refund = ask()
    with pytest.raises(Conflict, match="还有退款没有办完"):
        ask()
    with shop.tables(), pytest.raises(IntegrityError):  # nothing that is booked is ever due: the table refuses
        refunds.approve(db.session.get_one(Refund, refund), actor=BERT)
    with pytest.raises(Conflict, match="须由另一人批准"):
        agree(refund, ANNA)
    shop.change(Payment, odd, trade_no="another")
    with pytest.raises(Conflict, match="不一致"):
        agree(refund)
    shop.change(Payment, odd, trade_no=paid.trade_no)
    assert (state(shop, refund), shop.count(Payment, state="unmatched")) == ("proposed", 1)

    def outcome() -> str:
        try:
            agree(refund)
        except Conflict:
            return "refused"
        return "booked"

    assert sorted(at_once(shop, outcome, outcome)) == ["booked", "refused"]
    assert (state(shop, refund), shop.count(Payment, state="refunded")) == ("done", 1)
    assert shop.count(Job, name="refund_payment") == 0
    assert shop.audits("refund_payment") == 1
    assert sorted(shop.trade(paid.number)["refunds"].values()) == [1, paid.amount_fen - 1]


def test_a_declined_booking_leaves_the_payment_as_it_was(shop: Shop, paid: Look) -> None:
    shop.standins.control("alipay", "refund", {"order_no": paid.number, "amount_fen": paid.amount_fen})
    with shop.tables():
        refund = refunds.propose_elsewhere(db.session.get_one(Payment, payment_id(paid)), "误退", actor=ANNA)
        refunds.decline(refund, "是另一笔", actor=BERT)
    assert shop.count(Payment, refund_fen=0, state="applied") == 1
