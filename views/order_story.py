"""What has happened to an order, for the line of its page: each step with its moment, in words (E15, E16, C6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask_babel import gettext as _

from app.operations.withdrawals import Leaving
from app.presentation import retold, yuan
from models import Order, Payment
from models.orders import ENDED


@dataclass(frozen=True)
class Event:
    """`at` is None where the moment was not kept."""

    at: datetime | None
    label: str
    tone: str = ""
    words: str = ""


def story(order: Order, payments: Sequence[Payment], leavings: Sequence[Leaving] = ()) -> list[Event]:
    """From 生成订单 to the invoice, newest first."""
    free = _("%(n)s 人，免费", n=order.people)
    held = _("锁定 %(n)s 个名额，应付 %(amount)s", n=order.people, amount=yuan(order.amount_fen))
    events = [Event(order.created_at, _("生成订单"), "", held if order.amount_fen else free)]
    for payment in payments:
        events.append(Event(payment.paid_at, _("付款"), "ok", f"{yuan(payment.amount_fen)} {retold(payment.reason)}".strip()))
        events += [Event(refund.done_at, _("原路退回"), "bad", yuan(refund.amount_fen)) for refund in payment.refunds if refund.done_at]
    if order.ended_at is not None or order.state in ENDED:
        events.append(Event(order.ended_at, _end_of(order), "bad", _("名额已释放")))
    if order.paid_at is not None:
        events.append(Event(order.paid_at, _("报名成功"), "ok", _("%(n)s 人", n=order.people)))
    events += [Event(each.at, _("计划取消") if each.cause == "plan" else _("退班"), "bad", _("%(n)s 人", n=each.people))
               for each in leavings]
    events += [Event(each.issued_at, _("开具红字发票"), "", f"-{yuan(each.amount_fen)}") if each.is_red else
               Event(each.issued_at, _("开具发票"), "ok") for each in order.invoices if each.issued_at is not None]
    # What happened in the same second stays in the order of the journey.
    return sorted(events, key=lambda event: event.at or order.expires_at)[::-1]


def _end_of(order: Order) -> str:
    """How it ended unpaid; of one that was paid after all, by the moments."""
    opened, ended, paid = order.plan.class_opened_at, order.ended_at, order.state == "paid"
    in_time = ended is not None and ended < order.expires_at
    if order.ended_with_plan:
        return _("计划取消")
    if order.state == "closed" or (paid and in_time and opened is not None and ended is not None and ended >= opened):
        return _("开班截止")
    if order.state == "cancelled" or (paid and in_time):
        return _("取消订单")
    return _("已过期")
