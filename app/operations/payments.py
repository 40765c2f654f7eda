"""Money that arrived: written down first as a fact, then brought to its end (C6, E16; DESIGN "Data that must not be lost").

A payment is `received` when its row exists. It ends as applied (the order is paid), reseated (the order had ended, and its
seats were taken again), refunded (through refunding), or unmatched (no order, or another amount: for a person to judge).
What is left on the way by a crash is found again by `app.operations.order_checks`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from app import audit, clock, notices, workflow
from app.actors import SYSTEM
from app.extensions import db, let_go, transaction
from app.gateways.payment import Notification, Trade
from app.operations import invoices, merchants, refunds, seats
from app.presentation import kept
from app.workflow import ORDER_MOVES, PAYMENT_MOVES
from models import Order, Payment, TrainingPlan

PAID = ("paid", "finished")
log = logging.getLogger("portal.payments")


@dataclass(frozen=True)
class End:
    """How a payment ends: the state it moves to, and why, where that is for a person to read."""

    state: str
    reason: Any = ""


def hear(form: Mapping[str, str]) -> bool:
    """Take a posted notification. True once it needs no repeating: the answer is then `success`.

    A notification is a reason to ask, not a proof: what is written down is the gateway's own answer to a query. It may
    come twice, late or in another order. Raises `GatewayError` when the gateway cannot be asked now.
    """
    # Whose word it is: the merchant of that application, ended ones too; its key must fit.
    merchant = merchants.by_app(form.get("app_id", ""))
    notification = merchants.client(merchant).read_notification(form) if merchant else None
    if merchant is None or notification is None:
        return False
    if notification.status not in PAID:
        return True
    payment_id = _known(notification.trade_no)
    if payment_id is None:
        merchant_id, gateway = merchant.id, merchants.client(merchant)
        let_go()
        payment_id = _confirmed(notification, gateway.query(notification.order_no), merchant_id)
    if payment_id is None:
        return False
    settle(payment_id)
    return True


def _known(trade_no: str) -> int | None:
    return db.session.scalar(select(Payment.id).where(Payment.trade_no == trade_no))


def _confirmed(notification: Notification, trade: Trade | None, merchant_id: int) -> int | None:
    """The id of the payment a notification speaks of, written down as the gateway's answer has it."""
    if trade is None or trade.trade_no != notification.trade_no:
        log.error("a notification for %s names trade %s, the gateway knows %s", notification.order_no,
                  notification.trade_no, trade and trade.trade_no)
        return receive(notification, End("unmatched", _l("通知中的交易号与支付平台查询到的不一致，已转财务核对。")), merchant_id)
    if trade.status in PAID:
        return receive(trade, None, merchant_id)
    if trade.paid_at is not None:
        return receive(trade, End("unmatched", _l("该笔交易已在支付平台退款，已转财务核对。")), merchant_id)
    log.error("a notification says %s is paid, the gateway says %s", notification.order_no, trade.status)
    return None


def ask(order_number: str) -> Trade | None:
    """Ask the gateway about an order, and take the payment if there is one. Returns the trade as the gateway knows it.

    Raises `GatewayError` when the gateway cannot be asked. Not inside a transaction.
    """
    gateway = merchants.of_order(order_number)
    let_go()
    trade = gateway.query(order_number)
    if trade is not None and trade.status in PAID:
        settle(receive(trade))
    note_asked(order_number)
    return trade


def note_asked(order_number: str) -> None:
    """Remember that the gateway has answered about this order just now."""
    with transaction() as session:
        session.execute(update(Order).where(Order.number == order_number).values(asked_at=clock.now())
                        .execution_options(synchronize_session=False))
    db.session.expire_all()


def receive(fact: Trade | Notification, end: End | None = None, merchant_id: int | None = None) -> int:
    """Write down confirmed money in a transaction of its own, and return the row's id. A repeat finds the first row.

    `merchant_id` says who has it; left out, the merchant of the order was asked."""
    known = _known(fact.trade_no)
    if known is not None:
        return known
    try:
        with transaction() as session:
            order = session.scalars(select(Order).where(Order.number == fact.order_no)).one_or_none()
            payment = Payment(trade_no=fact.trade_no, order_id=order.id if order else None,
                              merchant_id=merchant_id or (order.merchant_id if order else None), order_number=fact.order_no,
                              amount_fen=fact.amount_fen, paid_at=fact.paid_at or clock.now(), received_at=clock.now(),
                              state="received")
            session.add(payment)
            session.flush()
            audit.record(SYSTEM, "receive_payment", payment, {
                "order": fact.order_no, "trade_no": fact.trade_no, "amount_fen": fact.amount_fen})
            if end is not None:
                _close(payment, end)
    except IntegrityError:
        known = _known(fact.trade_no)  # another process heard of it at the same moment
        if known is None:
            raise
        return known
    return payment.id


def settle(payment_id: int) -> None:
    """Bring a received payment to its end, in one transaction with what it does to order, people and seats.

    Safe twice and from two processes at once: the plan is locked, and only a payment still `received` is applied.
    """
    with transaction() as session:
        payment = session.get_one(Payment, payment_id, populate_existing=True)
        if payment.state != "received":
            return
        order = session.get(Order, payment.order_id, populate_existing=True) if payment.order_id else None
        plan = None
        if order is not None:
            plan = seats.lock(order.plan_id)
            session.refresh(order, with_for_update={"of": type(order)})
        session.refresh(payment, with_for_update={"of": type(payment)})
        if payment.state == "received":
            _close(payment, _end_of(payment, order, plan))


def _close(payment: Payment, end: End) -> None:
    """Write how a payment ends; one that goes back gets its refund, which begins with it."""
    reason = kept(end.reason)
    if end.state == "refunding":
        refunds.open_refund(payment.id, payment.amount_fen, reason, actor=SYSTEM)
        payment.reason = reason
    elif not workflow.move(Payment, [payment.id], "state", PAYMENT_MOVES, "received", end.state, reason=reason):
        raise RuntimeError(f"payment {payment.id} was settled by someone else under our lock")
    audit.record(SYSTEM, "settle_payment", payment, {"state": end.state, "reason": reason})


def _end_of(payment: Payment, order: Order | None, plan: TrainingPlan | None) -> End:
    """Decide and do what this payment means for its order (C6)."""
    if order is None or plan is None:
        return End("unmatched", _l("没有找到对应的订单，已转财务核对。"))
    if payment.merchant_id != order.merchant_id:
        return End("unmatched", _l("收款商户与订单的不同，已转财务核对。"))
    if payment.amount_fen != order.amount_fen:
        return End("unmatched", _l("付款金额与订单金额不符，已转财务核对。"))
    if order.state == "paid":
        return End("refunding", _l("订单此前已支付，本次付款将原路退回。"))
    if order.state == "pending":
        # In time, whenever the notice came; or late, but the seats are still held for this very order.
        honour(order, payment.trade_no, payment.paid_at)
        return End("applied")
    return _seat_again(payment, order, plan)


def _seat_again(payment: Payment, order: Order, plan: TrainingPlan) -> End:
    """The order had ended before its payment was heard of: seats again if there are any, else the money goes back.

    Money paid in time is honoured until attendance is confirmed, money paid late only until the class opens.
    """
    in_time = payment.paid_at <= order.expires_at
    if plan.cancelled_at is not None:
        return End("refunding", _l("培训计划已取消，款项将原路退回。"))
    if plan.attendance_confirmed_at is not None or (plan.class_opened_at is not None and not in_time):
        return End("refunding", _l("付款到账时培训班已开班，款项将原路退回。"))
    if len(seats.drafts_of(order.batch_id)) != order.people or seats.already_live(order.batch_id, order.plan_id):
        return End("refunding", _l("付款到账时这些人员已另行报名或已删除，款项将原路退回。"))
    if not seats.take(order.plan_id, order.people, enrolling=False):
        return End("refunding", _l("付款到账时名额已满，款项将原路退回。"))
    if not seats.hold(order):
        raise RuntimeError(f"the people of order {order.number} changed under our lock")
    honour(order, payment.trade_no, payment.paid_at)
    return End("reseated", _l("订单失效后收到付款，名额尚有，已恢复报名。"))


def honour(order: Order, trade_no: str, paid_at: datetime) -> None:
    """Make a paid order of one whose people hold their seats: everyone is enrolled, the invoice is due tomorrow.

    Inside the caller's transaction, with the plan locked.
    """
    moved = workflow.move(Order, [order.id], "state", ORDER_MOVES, order.state, "paid", trade_no=trade_no, paid_at=paid_at)
    if not moved or seats.enrol(order) != order.people:
        raise RuntimeError(f"order {order.number} cannot be honoured: its state or its people changed under our lock")
    db.session.refresh(order)
    if order.amount_fen:
        invoices.open_invoice(order)
    audit.record(SYSTEM, "pay_order", order, {"number": order.number, "trade_no": trade_no, "amount_fen": order.amount_fen})
    notices.tell("order_paid", "order", ids=[order.id], name=order.number, enterprise_id=order.enterprise_id,
                 institution_id=order.institution_id)
