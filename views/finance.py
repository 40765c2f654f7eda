"""财务: payments and refunds with totals that add up, what has not ended, and refunds that two people agree to (B8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import Select, and_, exists, false, func, or_, select
from sqlalchemy.orm import joinedload, selectinload

from app import clock, files, scope
from app.errors import Conflict, Invalid
from app.extensions import db
from app.operations import finance, finance_sums, reconciliations, refunds, withdrawals
from app.presentation import yuan
from models import Enterprise, Institution, Invoice, Order, Payment, Refund
from views.base import PortalView, download, page, said
from views.listing import Filter, Search, like, listing, narrowed
from views.standings import payment_words, refund_words

WITH_PAYMENT = (joinedload(Refund.payment).joinedload(Payment.order).joinedload(Order.enterprise),
                joinedload(Refund.payment).joinedload(Payment.order).joinedload(Order.institution))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _since(text: str) -> Any:
    day = _day(text)
    return Payment.paid_on >= day if day else false()


def _until(text: str) -> Any:
    day = _day(text)
    return Payment.paid_on <= day if day else false()


def _orders_of(clause: Any) -> Any:
    return Payment.order_id.in_(select(Order.id).where(clause))


def _of_enterprise(text: str) -> Any:
    return Order.enterprise_id.in_(select(Enterprise.id).where(like(Enterprise.name, text)))


def _of_institution(text: str) -> Any:
    return Order.institution_id.in_(select(Institution.id).where(like(Institution.name, text)))


_BY_NAME = {"enterprise": _of_enterprise, "institution": _of_institution}
ORDERS = (*finance.ORDER_STATES.items(), ("none", _l("没有对应的订单")))
INVOICES = (("due", _l("待开具")), ("issued", _l("已开具")), ("failed", _l("开具失败")), ("cancelled", _l("已取消")),
            ("red", _l("有红字发票")), ("red_open", _l("红字发票未开")))
EARLIEST = date(2000, 1, 1)


def _of_order(value: str) -> Any:
    return Payment.order_id.is_(None) if value == "none" else _orders_of(Order.state == value)


def _of_invoice(value: str) -> Any:
    """Orders whose invoice stands so, or that have a red letter."""
    blue, red = Invoice.kind == "blue", Invoice.kind == "red"
    clause = {"due": and_(blue, Invoice.state.in_(("waiting", "requested"))), "red": and_(red, Invoice.state != "cancelled"),
              "red_open": and_(red, Invoice.state.not_in(("issued", "cancelled")))}.get(
        value, and_(blue, Invoice.state == value))
    return exists().where(Invoice.order_id == Order.id, clause)


def _number(text: str) -> Any:
    """The order's number from its beginning, or the whole number of a trade or refund."""
    return or_(Payment.order_number.startswith(text, autoescape=True), Payment.trade_no == text,
               Payment.id.in_(select(Refund.payment_id).where(Refund.request_no == text)))


class FinanceView(PortalView):
    """Money by day and institution, for the authority with the area 财务; an institution reads its own."""

    route_base = "/finance"
    default_view = "list"

    def _searches(self) -> Sequence[Search]:
        searches = [Search("q", _l("订单号、交易号或退款单号"), _number), Search("since", _l("支付日期从"), _since, "date"),
                    Search("until", _l("到"), _until, "date"),
                    Search("enterprise", _l("企业名称"), lambda text: _orders_of(_of_enterprise(text)))]
        if not self.actor.is_institution:
            searches.append(Search("institution", _l("培训机构"), lambda text: _orders_of(_of_institution(text))))
        return searches

    def _filters(self) -> Sequence[Filter]:
        return (Filter("state", _l("状态"), tuple(finance.state_labels().items()), finance.stands_so),
                Filter("order", _l("订单"), ORDERS, _of_order),
                Filter("invoice", _l("发票"), INVOICES, lambda value: _orders_of(_of_invoice(value))))

    def _statement(self) -> Select[Any]:
        return scope.visible(self.actor, Payment)

    @page("/", "list")
    def list(self) -> Any:
        searches, filters = self._searches(), self._filters()
        rows = listing(self._statement(), order=(Payment.paid_at.desc(), Payment.id.desc()), searches=searches, filters=filters,
                       options=finance.IN_FULL)
        chosen, _values = narrowed(self._statement(), searches, filters, request.args)
        return self.page("portal/finance/list.html", listing=rows, totals=finance.totals(chosen), words=payment_words,
                         title=_("付款与退款"), **self._counts())

    def _counts(self) -> dict[str, int]:
        """What waits, for the tabs."""
        open_ = self._statement().where(finance.not_ended()).with_only_columns(func.count()).order_by(None)
        proposed = scope.visible(self.actor, Refund).where(Refund.state == "proposed").with_only_columns(func.count())
        return {"open_count": db.session.scalar(open_) or 0, "proposed_count": db.session.scalar(proposed) or 0}

    @page("/payments.xlsx", "download")
    def export(self) -> Any:
        chosen, _values = narrowed(self._statement(), self._searches(), self._filters(), request.args)
        return download(finance.export(chosen, actor=self.actor), "财务.xlsx", files.XLSX)

    @page("/days", "list")
    def days(self) -> Any:
        first, last, by, where, given = self._span()
        part = request.args.get("part", "")
        part = part if part in finance_sums.PARTS else "money"
        found = finance_sums.lines(self.actor, first, last, by=by, where=where)
        total = finance_sums.total_of(found)
        return self.page("portal/finance/days.html", lines=finance_sums.told(found, part), total=total, first=first, last=last,
                         by=by, given=given, balances=finance_sums.balances(total), parts=finance_sums.PARTS, part=part,
                         title=_("按日汇总") if by == "day" else _("按机构汇总"), **self._counts())

    @page("/days.xlsx", "download")
    def export_days(self) -> Any:
        first, last, by, where, _given = self._span()
        found = finance_sums.lines(self.actor, first, last, by=by, where=where)
        return download(finance_sums.export(found, first, last, by=by, actor=self.actor), "财务汇总.xlsx", files.XLSX)

    def _span(self) -> tuple[date, date, str, Sequence[Any], dict[str, str]]:
        """What a summary is asked about: its first and last day, by day or institution, clauses on the orders, and the names typed."""
        today = clock.shanghai_day()
        last = max(min(_day(request.args.get("until", "")) or today, today), EARLIEST)
        first = _day(request.args.get("since", "")) or last - timedelta(days=29)
        by = "institution" if request.args.get("by") == "institution" and not self.actor.is_institution else "day"
        given = {name: text for name in ("enterprise", "institution") if (text := request.args.get(name, "").strip()[:100])}
        if self.actor.is_institution:
            given.pop("institution", None)
        first = max(min(first, last), last - timedelta(days=366))
        return first, last, by, [_BY_NAME[name](text) for name, text in given.items()], given

    @page("/open", "list")
    def open(self) -> Any:
        rows = listing(self._statement().where(finance.not_ended()), order=(Payment.received_at, Payment.id), options=finance.IN_FULL)
        return self.page("portal/finance/open.html", listing=rows, why=finance.why, words=payment_words, title=_("未了结的付款"),
                         **self._counts())

    @page("/refunds", "list")
    def refunds(self) -> Any:
        states = Filter("state", _l("状态"), (("proposed", _l("待批准")), ("due", _l("退款中")), ("failed", _l("退款未成功")),
                                            ("done", _l("已退款")), ("declined", _l("不予退款"))), lambda value: Refund.state == value)
        found = Search("q", _l("退款单号或订单号"), lambda text: or_(Refund.request_no == text, Refund.payment_id.in_(
            select(Payment.id).where(Payment.order_number.startswith(text, autoescape=True)))))
        rows = listing(scope.visible(self.actor, Refund), order=(Refund.id.desc(),), searches=(found,), filters=(states,),
                       options=WITH_PAYMENT)
        return self.page("portal/finance/refunds.html", listing=rows, words=refund_words, title=_("退款"), **self._counts())

    @page("/<int:payment_id>", "show")
    def show(self, payment_id: int) -> Any:
        return self._show(payment_id)

    def _show(self, payment_id: int, given: Mapping[str, str] | None = None) -> str:
        payment = self.fetch(Payment, payment_id, *finance.IN_FULL, selectinload(Payment.refunds).selectinload(Refund.enrolments))
        return self.page("portal/finance/show.html", payment=payment, standing=payment_words(payment), words=refund_words,
                         amount=finance.refundable(payment), back=finance.gone(payment), given=given or {},
                         why=finance.why(payment) if self._waits(payment) else None,
                         title=_("付款 %(number)s", number=payment.order_number))

    @staticmethod
    def _waits(payment: Payment) -> bool:
        return payment.state in ("received", "unmatched", "refunding") or any(
            each.state in ("proposed", "failed") for each in payment.refunds)

    @page("/<int:payment_id>/refund", "propose", ("POST",))
    def propose(self, payment_id: int) -> Any:
        payment = self.fetch(Payment, payment_id)
        try:
            refunds.propose(payment, _fen(request.form.get("amount", "")), request.form.get("reason", ""), actor=self.actor)
        except (Invalid, Conflict) as error:  # what was typed stays
            said(str(error), "danger")
            return self._show(payment_id, request.form)
        said(_("退款已提出，由另一人批准后办理。"))
        return self.to("show", payment_id=payment_id)

    @page("/<int:payment_id>/elsewhere", "propose", ("POST",))
    def propose_elsewhere(self, payment_id: int) -> Any:
        refunds.propose_elsewhere(self.fetch(Payment, payment_id), request.form.get("reason", ""), actor=self.actor)
        said(_("登记已提出，由另一人批准后生效。"))
        return self.to("show", payment_id=payment_id)

    @page("/refunds/<int:refund_id>/<any(approve, decline, again, drop):wanted>", "approve", ("POST",))
    def decide(self, refund_id: int, wanted: str) -> Any:
        refund = self.fetch(Refund, refund_id)
        payment_id, remark = refund.payment_id, request.form.get("remark", "")
        if wanted == "approve" and refund.elsewhere:
            reconciliations.approve_elsewhere(refund, actor=self.actor)
            said(_("已批准。支付平台确认款项已全额退回，已登记。"))
        elif wanted == "approve":
            refunds.approve(refund, actor=self.actor)
            said(_("已批准，退款正在办理。"))
        elif wanted == "decline":
            more = withdrawals.decline_refund(refund, remark, actor=self.actor)
            said(_("已记录为不予退款。") + (_("此前退班的人员因它少退的 %(amount)s 随即补退。", amount=yuan(more)) if more else ""))
        elif wanted == "again":
            refunds.try_again(refund, actor=self.actor)
            said(_("已重新发起退款。"))
        elif refunds.drop(refund, remark, actor=self.actor):
            said(_("已放弃这笔退款，款项没有退出。"))
        else:
            said(_("支付平台确认这笔退款已到账，已记为完成。"), "info")
        return self.to("show", payment_id=payment_id)


def _fen(text: str) -> int:
    """Yuan as typed, in fen. Raises `Invalid`."""
    try:
        amount = Decimal(text.strip().replace(",", "").removeprefix("¥")) * 100
        whole = int(amount)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise Invalid(_("请填写退款金额，例如 640.00。"), "amount") from error
    if amount != whole or not 0 < whole < 2**31:
        raise Invalid(_("退款金额应大于零，最多两位小数。"), "amount")
    return whole
