"""Money that goes back, whole or in part: opened, agreed to, sent to the gateway once (C6, B8; docs/money.md).

A refund is written before anything is asked of the gateway, under a number of its own; its job may run twice and moves the money
once. `Payment.refund_fen` is taken by a conditional UPDATE as seats are, so the refunds of a payment are never more than it.

What somebody sent back in the platform's own console is booked as a refund too (`elsewhere`): proposed and approved by two people,
believed only when the gateway says that the trade is closed after it was paid, which it is once all of it went back.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import cast

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, exists, select, update

from app import audit, clock, jobs, notices, workflow
from app.actors import SYSTEM, Actor
from app.errors import Conflict, Invalid
from app.extensions import db, let_go, transaction
from app.gateways.errors import GatewayError
from app.operations import invoice_reds, merchants
from app.presentation import yuan
from app.workflow import PAYMENT_MOVES, REFUND_MOVES
from models import BillEntry, Enrolment, Order, Payment, Refund, RefundEnrolment

JOB = "refund_payment"
# A payment of these ends was taken into its order; of it a part may go back. One that was not goes back as a whole.
TAKEN = ("applied", "reseated")


def payment_of(order: Order) -> Payment | None:
    """The payment that was taken into this order; None for an order that is free or not paid."""
    return db.session.scalars(select(Payment).where(Payment.order_id == order.id, Payment.state.in_(TAKEN))).first()


def open_refund(payment_id: int, amount_fen: int, reason: str, *, actor: Actor, enrolment_ids: Iterable[int] = ()) -> Refund:
    """Pay `amount_fen` back, in the caller's transaction: the refund is due at once, for what called has decided it.

    Raises `Invalid` for an amount or a reason that is none, `Conflict` when less is left of the payment. Locks the payment
    (the last in the order of locks). The gateway is asked by the job, after the commit.
    """
    refund = _written(payment_id, amount_fen, reason, actor, enrolment_ids)
    refund.state, refund.approved_at = "due", clock.now()
    _begin(refund)
    audit.record(actor, "open_refund", refund, _facts(refund))
    return refund


def propose(payment: Payment, amount_fen: int, reason: str, *, actor: Actor) -> Refund:
    """Ask for a refund that a second person must agree to. Until then its amount is kept from other refunds."""
    _check_settled(payment)
    with transaction():
        refund = _written(payment.id, amount_fen, reason, actor, ())
        audit.record(actor, "propose_refund", refund, _facts(refund))
    return refund


def propose_elsewhere(payment: Payment, reason: str, *, actor: Actor) -> Refund:
    """Ask that what is left of a payment be booked as gone back in the platform's console; a second person must agree.

    Raises `Conflict` unless the gateway says so now, or while another refund of the payment is on its way.
    """
    _check_settled(payment)
    payment_id = payment.id
    _confirm_gone(payment)
    with transaction() as session:
        payment = session.get_one(Payment, payment_id, with_for_update=True, populate_existing=True)
        on_its_way = Refund.state.in_(("proposed", "due", "failed"))
        if session.scalar(select(exists().where(Refund.payment_id == payment_id, on_its_way))):
            raise Conflict(_("这笔付款还有退款没有办完，请先批准、放弃或不予退款。"))
        refund = _written(payment_id, payment.refundable_fen, reason, actor, ())
        refund.elsewhere = True
        audit.record(actor, "propose_refund", refund, _facts(refund))
    return refund


def _check_settled(payment: Payment) -> None:
    if payment.state == "received":
        raise Conflict(_("这笔付款正在处理，请稍候再看。"))


def _confirm_gone(payment: Payment) -> None:
    """Raises `Conflict` unless the gateway says that this very trade was paid and then went back as a whole."""
    number, trade_no, amount, gateway = payment.order_number, payment.trade_no, payment.amount_fen, merchants.of_payment(payment)
    let_go()
    try:
        trade = gateway.query(number)
    except GatewayError as error:
        raise Conflict(_("支付平台暂时无法核实这笔付款是否已退回，没有改动。请稍后再试。")) from error
    if trade is None or (trade.trade_no, trade.amount_fen) != (trade_no, amount):
        raise Conflict(_("支付平台查询到的交易与这笔付款不一致，不能登记。"))
    if trade.status != "closed" or trade.paid_at is None:
        raise Conflict(_("支付平台的记录显示这笔付款没有全额退回，不能登记。"))


def _written(payment_id: int, amount_fen: int, reason: str, actor: Actor, enrolment_ids: Iterable[int]) -> Refund:
    """The row of a proposed refund, once its amount is taken from what is left of the payment."""
    reason = reason.strip()
    if not reason:
        raise Invalid(_("请填写退款原因。"), "reason")
    if len(reason) > 200:
        raise Invalid(_("退款原因不能超过 200 个字。"), "reason")
    with transaction() as session:
        payment = session.get_one(Payment, payment_id, with_for_update=True, populate_existing=True)
        _check(payment, amount_fen)
        _take(payment, amount_fen)
        refund = Refund(payment_id=payment.id, request_no=_number(), amount_fen=amount_fen, reason=reason, state="proposed",
                        created_at=clock.now(), proposed_by_id=actor.user_id, proposed_by=actor.name)
        session.add(refund)
        session.flush()
        session.add_all(RefundEnrolment(refund_id=refund.id, enrolment_id=each) for each in dict.fromkeys(enrolment_ids))
        session.flush()
    return refund


def _check(payment: Payment, amount_fen: int) -> None:
    """What may be refunded of this payment, in words, before the UPDATE that decides."""
    if amount_fen <= 0:
        raise Invalid(_("退款金额必须大于零。"), "amount")
    if payment.state in ("refunding", "refunded"):
        raise Conflict(_("这笔付款已在退款，不能再次退款。"))
    if amount_fen > payment.refundable_fen:
        raise Conflict(_("这笔付款还可退 %(left)s，不能退 %(amount)s。", left=yuan(payment.refundable_fen), amount=yuan(amount_fen)))
    if payment.state not in TAKEN and amount_fen != payment.amount_fen:
        raise Invalid(_("没有记入订单的付款只能全额退回。"), "amount")


def _take(payment: Payment, amount_fen: int) -> None:
    """Count a refund against its payment: the UPDATE and the table's CHECK, not what was read before."""
    taken = db.session.scalar(
        update(Payment).where(Payment.id == payment.id, Payment.refund_fen + amount_fen <= Payment.amount_fen)
        .values(refund_fen=Payment.refund_fen + amount_fen).returning(Payment.id)
        .execution_options(synchronize_session=False))
    db.session.expire(payment, ["refund_fen"])
    if taken is None:
        raise Conflict(_("这笔付款刚刚有别的退款，余额不足。请刷新页面查看。"))


def _number() -> str:
    """What the gateway knows a refund by: R, the Shanghai second and six drawn digits."""
    return f"R{clock.now().astimezone(clock.SHANGHAI):%y%m%d%H%M%S}{secrets.randbelow(10**6):06d}"


def _facts(refund: Refund) -> dict[str, object]:
    facts: dict[str, object] = {"request_no": refund.request_no, "amount_fen": refund.amount_fen, "reason": refund.reason}
    return facts | {"elsewhere": True} if refund.elsewhere else facts


def _begin(refund: Refund) -> None:
    """A refund that is due gets its job; a payment that was taken into no order is now on its way back."""
    _begin_return(db.session.get_one(Payment, refund.payment_id))
    jobs.schedule(JOB, refund.id)


def _begin_return(payment: Payment) -> None:
    if payment.state in ("received", "unmatched"):
        workflow.move(Payment, [payment.id], "state", PAYMENT_MOVES, payment.state, "refunding")


def approve(refund: Refund, *, actor: Actor, remark: str = "") -> None:
    """The second person agrees: the money is sent. Raises `Conflict` for who proposed it, or when it has moved on."""
    _check_second(refund, actor)
    with transaction() as session:
        session.get_one(Payment, refund.payment_id, with_for_update=True, populate_existing=True)
        _step(refund, "proposed", "due", approved_at=clock.now(), approved_by_id=actor.user_id, approved_by=actor.name,
              remark=_checked(remark))
        _begin(refund)
        audit.record(actor, "approve_refund", refund, _facts(refund))


def _check_second(refund: Refund, actor: Actor) -> None:
    if refund.proposed_by_id is not None and refund.proposed_by_id == actor.user_id:
        raise Conflict(_("这笔退款由您提出，须由另一人批准。"))


def approve_elsewhere(refund: Refund, *, actor: Actor) -> None:
    """The second person agrees that the money went back in the platform's console: once the gateway confirms it, it is booked and
    nothing is sent. Raises `Conflict` otherwise."""
    _check_second(refund, actor)
    refund_id, payment_id = refund.id, refund.payment_id
    _confirm_gone(refund.payment)
    with transaction() as session:
        payment = session.get_one(Payment, payment_id, with_for_update=True, populate_existing=True)
        refund = session.get_one(Refund, refund_id, populate_existing=True)
        if not refund.elsewhere or refund.state != "proposed":
            raise Conflict(_("这笔退款的状态已变化。请刷新页面查看最新状态。"))
        _begin_return(payment)
        audit.record(actor, "approve_refund", refund, _facts(refund))
        total = refund.amount_fen
        for number, (at, fen) in enumerate(_gone_by_day(payment, total, clock.now())):
            part = refund if not number else _part_of(refund)
            part.amount_fen = fen
            session.flush()
            _done(part.id, "proposed", at=at, told_fen=total if not number else 0, approved_at=clock.now(), approved_by_id=actor.user_id,
                  approved_by=actor.name)


def _gone_by_day(payment: Payment, total: int, rest_at: datetime) -> list[tuple[datetime, int]]:
    """When a trade went back in the console, and how much on each Shanghai day, as the bills that are here have it; what none of them has
    went back at `rest_at`, until one has it (`book_days`). Where they have more than is to be booked, all of it is booked on the last
    day: comparing names the difference."""
    ours = exists().where(Refund.request_no == BillEntry.request_no)
    days: dict[date, tuple[datetime, int]] = {}
    for at, fen in db.session.execute(select(BillEntry.at, BillEntry.amount_fen).where(
            BillEntry.kind == "refund", BillEntry.trade_no == payment.trade_no, ~ours).order_by(BillEntry.at, BillEntry.id)):
        days[clock.shanghai_day(at)] = at, days.get(clock.shanghai_day(at), (at, 0))[1] + fen
    found, left = list(days.values()), total - sum(fen for _at, fen in days.values())
    if left < 0:
        return [(found[-1][0], total)]
    return found if not left else [*found, (rest_at, left)]


def book_days(payment: Payment) -> set[date]:
    """A bill has come that has more of what went back in the console: each part counts on its own day now. In the caller's transaction;
    returns the days that counted another sum before. Nothing else of a booked refund changes, nor what they come to."""
    session = db.session
    session.refresh(payment, with_for_update={"of": Payment})
    booked = list(session.scalars(select(Refund).where(Refund.payment_id == payment.id, Refund.elsewhere, Refund.state == "done")
                                  .order_by(Refund.done_at, Refund.id)))
    if not booked or booked[-1].done_at is None:
        return set()
    before = [(each.done_on, each.amount_fen) for each in booked]
    wanted = _gone_by_day(payment, sum(each.amount_fen for each in booked), booked[-1].done_at)
    if len(wanted) < len(booked) or [(clock.shanghai_day(at), fen) for at, fen in wanted] == before:
        return set()
    for number, (at, fen) in enumerate(wanted):
        part = booked[number] if number < len(booked) else _part_of(booked[0])
        part.amount_fen = fen
        if number < len(booked):
            part.done_at, part.done_on = at, clock.shanghai_day(at)
            continue
        session.flush()
        workflow.move(Refund, [part.id], "state", REFUND_MOVES, "proposed", "done", done_at=at, done_on=clock.shanghai_day(at),
                      approved_at=booked[0].approved_at, approved_by_id=booked[0].approved_by_id, approved_by=booked[0].approved_by)
    session.flush()
    audit.record(SYSTEM, "book_refund_days", payment, {"order": payment.order_number, "days": len(wanted)})
    return {day for day, _fen in before if day is not None}


def _part_of(refund: Refund) -> Refund:
    """Another day's part of a refund that was booked: the same but for its number, of the same two people."""
    part = Refund(payment_id=refund.payment_id, request_no=_number(), amount_fen=refund.amount_fen, reason=refund.reason, state="proposed",
                  elsewhere=True, created_at=refund.created_at, proposed_by_id=refund.proposed_by_id, proposed_by=refund.proposed_by)
    db.session.add(part)
    return part


def decline(refund: Refund, remark: str, *, actor: Actor) -> None:
    """Do not refund: one that waits, by the second person or who proposed it; what it kept of the payment is free again."""
    remark = _checked(remark)
    if not remark:
        raise Invalid(_("请填写不予退款的原因。"), "remark")
    with transaction():
        _give_up(refund, "proposed", remark, actor)


def _checked(remark: str) -> str:
    remark = remark.strip()
    if len(remark) > 200:
        raise Invalid(_("备注不能超过 200 个字。"), "remark")
    return remark


def _give_up(refund: Refund, source: str, remark: str, actor: Actor) -> None:
    """End a refund that moved nothing; a payment that was on its way back waits for a person to judge again."""
    payment = db.session.get_one(Payment, refund.payment_id, with_for_update=True, populate_existing=True)
    _step(refund, source, "declined", remark=remark)
    if payment.state == "refunding":
        workflow.move(Payment, [payment.id], "state", PAYMENT_MOVES, "refunding", "unmatched", reason=remark,
                      refund_fen=Payment.refund_fen - refund.amount_fen)
    else:
        db.session.execute(update(Payment).where(Payment.id == payment.id)
                           .values(refund_fen=Payment.refund_fen - refund.amount_fen)
                           .execution_options(synchronize_session=False))
    db.session.expire(payment)
    audit.record(actor, "decline_refund", refund, _facts(refund) | {"remark": remark})


def _step(refund: Refund, source: str, target: str, **values: object) -> None:
    if not workflow.move(Refund, [refund.id], "state", REFUND_MOVES, source, target, **values):
        raise Conflict(_("这笔退款的状态已变化。请刷新页面查看最新状态。"))


def try_again(refund: Refund, *, actor: Actor) -> None:
    """Send a failed refund once more, under the number it has."""
    with transaction():
        _step(refund, "failed", "due", error="")
        jobs.schedule(JOB, refund.id)
        audit.record(actor, "retry_refund", refund, _facts(refund))


def drop(refund: Refund, remark: str, *, actor: Actor) -> bool:
    """Give up a failed refund, once the gateway has said that no money moved. False when it did: the refund is done then.

    Raises `Conflict` when the gateway cannot be asked.
    """
    remark = _checked(remark)
    if not remark:
        raise Invalid(_("请填写不再退款的原因。"), "remark")
    payment = db.session.get_one(Payment, refund.payment_id)
    number, trade_no, request_no, amount = payment.order_number, payment.trade_no, refund.request_no, refund.amount_fen
    refund_id, gateway = refund.id, merchants.of_payment(payment)
    let_go()
    try:
        moved = gateway.refunded(number, amount, request_no, trade_no=trade_no)
    except GatewayError as error:
        raise Conflict(_("支付平台暂时无法核实这笔退款是否已到账，没有改动。请稍后再试。")) from error
    with transaction():
        refund = db.session.get_one(Refund, refund_id, populate_existing=True)
        if moved:
            _step(refund, "failed", "due", error="")
            _done(refund_id)
        else:
            _give_up(refund, "failed", remark, actor)
    return not moved


def run_refund(refund_id: int, report: Callable[[int, int], None]) -> None:
    """Job: pay a refund back. Safe twice: its number moves the money once, and only who moves its state writes what follows.

    Raises `GatewayError`; after a passing one it is tried again, a permanent one leaves the refund failed for a person.
    """
    refund = db.session.get_one(Refund, refund_id, populate_existing=True)
    if refund.state != "due":
        return
    payment = db.session.get_one(Payment, refund.payment_id)
    number, trade_no = payment.order_number, payment.trade_no
    amount, request_no, reason = refund.amount_fen, refund.request_no, refund.reason
    gateway = merchants.of_payment(payment)
    let_go()
    try:
        gateway.refund(number, amount, request_no, reason, trade_no=trade_no)
    except GatewayError as error:
        _note(refund_id, error)
        raise
    with transaction():
        _done(refund_id)
    report(1, 1)


def _note(refund_id: int, error: GatewayError) -> None:
    """Write down why the money did not move; a refusal for good ends the attempts."""
    with transaction() as session:
        said = str(error)[:300] or "?"
        if error.permanent:
            if workflow.move(Refund, [refund_id], "state", REFUND_MOVES, "due", "failed", error=said):
                refund = session.get_one(Refund, refund_id)
                audit.record(SYSTEM, "fail_refund", refund, {"error": said})
                notices.tell("refund_failed", "refund", ids=[refund_id], name=refund.payment.order_number, remark=yuan(refund.amount_fen),
                             authority_id=_authority_of(refund.payment))
        else:
            session.execute(update(Refund).where(Refund.id == refund_id, Refund.state == "due").values(error=said)
                            .execution_options(synchronize_session=False))


def _authority_of(payment: Payment) -> int | None:
    """Whose finance people see this payment: the authority of its order's plan, the province where it has no order."""
    return payment.order.plan.authority_id if payment.order is not None else merchants.province()


def _done(refund_id: int, source: str = "due", *, at: datetime | None = None, told_fen: int | None = None, **values: object) -> None:
    """The gateway has confirmed a refund: whoever moves its state does what follows from it, once. `told_fen` is what the invoice and
    the enterprise hear of where that is not its own amount; 0 where they hear of it with another."""
    session, at = db.session, at or clock.now()
    refund = session.get_one(Refund, refund_id)
    payment = session.get_one(Payment, refund.payment_id, with_for_update=True, populate_existing=True)
    if not workflow.move(Refund, [refund_id], "state", REFUND_MOVES, source, "done", done_at=at, done_on=clock.shanghai_day(at),
                         error="", **values):
        return
    workflow.move(Payment, [payment.id], "state", PAYMENT_MOVES, "refunding", "refunded")
    audit.record(SYSTEM, "refund_payment", payment, {"order": payment.order_number, "amount_fen": refund.amount_fen,
                                                     "request_no": refund.request_no})
    order = session.get(Order, payment.order_id) if payment.order_id else None
    fen = refund.amount_fen if told_fen is None else told_fen
    if order is None or not fen:
        return
    if payment.state in TAKEN:
        invoice_reds.follow_refund(order, refund.request_no, fen)
    notices.tell("refunded", "order", ids=[order.id], name=order.number, remark=yuan(fen), enterprise_id=order.enterprise_id)


def of_enrolment(enrolment: Enrolment) -> ColumnElement[bool]:
    """The refunds that give this person's fee back."""
    return cast("ColumnElement[bool]", Refund.id.in_(
        select(RefundEnrolment.refund_id).where(RefundEnrolment.enrolment_id == enrolment.id)))
