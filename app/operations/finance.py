"""财务: money that came and went, summed by sets; what has not come to its end, with what to do about it (B8)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import joinedload, selectinload

from app import audit, scope
from app.actors import Actor
from app.documents.workbooks import write_table
from app.errors import Invalid
from app.extensions import db, transaction, will_write
from app.operations import refunds
from app.presentation import retold, yuan
from app.sets import among
from models import Merchant, Order, Payment, Refund

ORDER_STATES = {"pending": _l("待支付"), "paid": _l("已支付"), "expired": _l("已过期"), "cancelled": _l("已取消"), "closed": _l("开班截止")}
MOST_EXPORTED = 20_000
IN_FULL = (joinedload(Payment.order).joinedload(Order.enterprise), joinedload(Payment.order).joinedload(Order.institution),
           joinedload(Payment.merchant), selectinload(Payment.refunds), joinedload(Payment.order).selectinload(Order.invoices))


@dataclass
class Line:
    """What came in and went back, in fen. `net` is the one less the other."""

    label: str
    payments: int = 0
    paid_fen: int = 0
    refunds: int = 0
    refunded_fen: int = 0

    @property
    def net_fen(self) -> int:
        return self.paid_fen - self.refunded_fen


def totals(statement: Select[Any]) -> Line:
    """What these payments come to, and what of them has gone back: two statements, however many they are."""
    chosen = statement.with_only_columns(Payment.id, Payment.amount_fen).order_by(None).subquery()
    count, paid = db.session.execute(select(func.count(), func.coalesce(func.sum(chosen.c.amount_fen), 0)).select_from(chosen)).one()
    number, back = db.session.execute(select(func.count(), func.coalesce(func.sum(Refund.amount_fen), 0)).where(
        Refund.state == "done", Refund.payment_id.in_(select(chosen.c.id)))).one()
    return Line("", count, int(paid), number, int(back))


def not_ended() -> ColumnElement[bool]:
    """Payments that wait for something: not yet taken into their order, taken into none, on their way back, or with a refund that a
    person must look at. None of them in a healthy portal, but for minutes."""
    stuck = exists().where(Refund.payment_id == Payment.id, Refund.state.in_(("proposed", "failed")))
    return or_(Payment.state.in_(("received", "unmatched", "refunding")), stuck)


def why(payment: Payment) -> tuple[str, str]:
    """Why a payment has not ended, and what to do."""
    failed = next((each for each in payment.refunds if each.state == "failed"), None)
    due = next((each for each in payment.refunds if each.state == "due"), None)
    if failed is not None:
        return (_("退款未成功：%(error)s", error=failed.error), _("核对后重新退款；确认无法原路退回的，放弃这笔退款并改为线下处理。"))
    if any(each.state == "proposed" for each in payment.refunds):
        return _("退款已提出，还没有批准。"), _("由提出人以外的一位财务人员批准，或不予退款。")
    if payment.state == "received":
        return _("款项已收到，还没有记入订单。"), _("系统每 2 分钟处理一次。超过 10 分钟仍在这里的，请联系系统管理员。")
    if payment.state == "unmatched":
        return retold(payment.reason), _("与付款人核对后，提出全额退款；已在支付宝商家平台退回的，登记即可。都由另一人批准。")
    trouble = _("最近一次：%(error)s", error=due.error) if due is not None and due.error else ""
    return _("退款正在办理。") + trouble, _("系统会一直重试，不需要操作。商户余额不足的，请先充值。")


def state_labels() -> dict[str, str]:
    return {"received": _("处理中"), "applied": _("已入账"), "reseated": _("恢复报名后入账"), "partly": _("部分退款"),
            "refunding": _("退款中"), "refunded": _("已退款"), "unmatched": _("待核对")}


def stands(payment: Payment) -> str:
    """How a payment stands by its money: its state, but that of what was taken into an order a part may be back, or all of it. Each
    payment stands in one way, so that the totals of the ways are the total."""
    back = gone(payment)
    if payment.state not in refunds.TAKEN or not back:
        return payment.state
    return "refunded" if back == payment.amount_fen else "partly"


def gone(payment: Payment) -> int:
    """What of a payment is back, in fen."""
    return sum(each.amount_fen for each in payment.refunds if each.state == "done")


def gone_of_orders(ids: Collection[int]) -> dict[int, int]:
    """What of the money of these orders is back, in fen, by the order's id; of money that was taken into its order."""
    return {key: int(fen) for key, fen in db.session.execute(
        select(Payment.order_id, func.sum(Refund.amount_fen)).join(Refund, Refund.payment_id == Payment.id).where(
            among(Payment.order_id, ids), Payment.state.in_(refunds.TAKEN), Refund.state == "done").group_by(Payment.order_id))
        if key is not None}


def stands_so(value: str) -> ColumnElement[bool]:
    """`stands`, asked of the table."""
    back = func.coalesce(select(func.sum(Refund.amount_fen)).where(
        Refund.payment_id == Payment.id, Refund.state == "done").scalar_subquery(), 0)
    taken = Payment.state.in_(refunds.TAKEN)
    if value in refunds.TAKEN:
        return and_(Payment.state == value, back == 0)
    if value == "partly":
        return and_(taken, back > 0, back < Payment.amount_fen)
    return or_(Payment.state == "refunded", and_(taken, back == Payment.amount_fen)) if value == "refunded" else Payment.state == value


def export(statement: Select[Any], *, actor: Actor) -> bytes:
    """These payments as a workbook, with their refunds and the totals at the foot. Raises `Invalid` when they are too many."""
    rows = list(db.session.scalars(statement.order_by(Payment.paid_at, Payment.id).limit(MOST_EXPORTED + 1).options(*IN_FULL)).unique())
    if len(rows) > MOST_EXPORTED:
        raise Invalid(_("查询结果超过 %(n)s 笔，请增加条件后再导出。", n=MOST_EXPORTED))
    words = state_labels()
    table: list[tuple[Any, ...]] = [_exported(row, words) for row in rows]
    table.append((_("合计"), *[""] * 6, *(sum(each[n] for each in table) for n in (7, 8, 9)), *[""] * 4,
                  *(sum(each[n] for each in table) for n in (14, 15, 16))))
    headings = (_("支付日期"), _("支付时间"), _("支付宝交易号"), _("订单号"), _("培训机构"), _("企业"), _("收款商户"), _("实收（元）"),
                _("已退（元）"), _("净额（元）"), _("状态"), _("说明"), _("发票号码"), _("订单状态"), _("订单金额（元）"),
                _("已开发票（元）"), _("红字发票（元）"))
    will_write()
    with transaction():
        audit.record(actor, "export_payments", "payment", {"count": len(rows)})
    return write_table(_("财务"), headings, table)


def _exported(row: Payment, words: dict[str, str]) -> tuple[Any, ...]:
    back = gone(row)
    order = row.order
    invoice = order.invoice if order else None
    # An order and its invoices are of the one payment that was taken into it.
    taken = order if order is not None and row.state in refunds.TAKEN else None
    issued = {kind: sum(each.amount_fen for each in (taken.invoices if taken else ()) if each.kind == kind and each.state == "issued") / 100
              for kind in ("blue", "red")}
    return (row.paid_on.isoformat(), row.paid_at, row.trade_no, row.order_number, order.institution.name if order else "",
            order.enterprise.name if order else "", row.merchant.name if row.merchant else "", row.amount_fen / 100, back / 100,
            (row.amount_fen - back) / 100, words[stands(row)], retold(row.reason), (invoice.number or "") if invoice else "",
            str(ORDER_STATES[order.state]) if order else "", taken.amount_fen / 100 if taken else 0, issued["blue"], issued["red"])


def refundable(payment: Payment) -> str:
    """The amount a refund form begins with, in yuan."""
    return yuan(payment.refundable_fen).lstrip("¥").replace(",", "")


def merchants_seen(actor: Actor) -> list[Merchant]:
    """The merchants whose money this person may see, for a filter."""
    return list(db.session.scalars(scope.visible(actor, Merchant).order_by(Merchant.ended_at.is_not(None), Merchant.id)))
