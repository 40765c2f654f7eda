"""订单: the enterprise makes, pays and cancels; the institution reads those of its plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import jsonify, redirect
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import joinedload, selectinload

from app import clock, scope
from app.errors import NoSeats
from app.extensions import db
from app.operations import finance, orders, refunds, withdrawals
from app.operations.withdrawals import Leaving
from app.presentation import moment, yuan
from models import Enrolment, Enterprise, ImportBatch, Order, Payment, Refund, TrainingPlan
from models.orders import ENDED
from views.base import PortalView, page, said
from views.invoices import context as invoice_context
from views.invoices import invoice_words
from views.listing import Filter, Search, like, listing
from views.order_story import story
from views.standings import Standing, payment_words, refund_words

SHOWN_PEOPLE = 100
DETAIL = (joinedload(Order.plan), joinedload(Order.enterprise), joinedload(Order.institution), selectinload(Order.invoices))


@dataclass(frozen=True)
class Back:
    """What of an order's money is back, in fen, and how much of that for nobody in particular: a refund of the finance desk."""

    fen: int = 0
    for_nobody: int = 0


def back_of(payments: Sequence[Payment]) -> Back:
    """From an order's payments, with their refunds and whom those are for."""
    done = [each for payment in payments if payment.state in refunds.TAKEN for each in payment.refunds if each.state == "done"]
    return Back(sum(each.amount_fen for each in done), sum(each.amount_fen for each in done if not each.enrolments))


def money_back(order: Order, fen: int) -> Standing | None:
    """已退款 or 部分退款, beside the state of a paid order; the words are those of 财务."""
    if order.state != "paid" or not fen:
        return None
    return Standing(finance.state_labels()["refunded" if fen >= order.amount_fen else "partly"], "warn")


def standing_of(order: Order, leavings: Sequence[Leaving] = (), back: Back = Back(), again: Order | None = None) -> Standing:
    """An order's state in plain words; `leavings` are those of its people who have left the plan since, `again` is the order with which
    its people were ordered again."""
    if order.state == "pending" and order.payable:
        words = _("请在 %(at)s 前完成支付，逾期不能支付，名额将被释放。", at=moment(order.expires_at))
        return Standing(_("待支付"), "warn", words)
    if order.state == "pending":
        words = _("支付时限已过，正在向支付平台核实。时限内已付款的，报名有效；未付款的，名额将被释放。")
        return Standing(_("核实中"), "info", words)
    if order.state == "paid":
        return _paid(order, leavings, back)
    if order.ended_with_plan:
        return Standing(_("已取消"), "neutral", _("该计划已取消，订单随之取消。"))
    if order.state == "closed":
        words = _("支付前培训班已于 %(at)s 开班，报名截止，订单随之关闭。如已付款，系统核实后恢复报名或原路退回。",
                  at=moment(order.plan.class_opened_at))
        return Standing(_("开班截止"), "neutral", words)
    return Standing(_("已过期") if order.state == "expired" else _("已取消"), "neutral", _what_now(order, again))


def _what_now(order: Order, again: Order | None) -> str:
    """What can still be done once an order has ended unpaid: only what the plan still allows, and nothing where it has been done."""
    plan = order.plan
    if again is not None:
        return _("名额已释放。这些人员已另行生成订单 %(number)s。", number=again.number)
    if order.batch.state == "discarded":
        return _("名额已释放。这份名单此后已删除。")
    if plan.cancelled_at is not None:
        return _("名额已释放。该计划此后已取消，不能再报名。")
    if plan.enrolment_ended:
        return _("名额已释放。该计划的报名已结束，不能再报名。")
    return _("名额已释放。名单和照片仍保留在“报名”中，报名结束前可以重新生成订单。")


def _paid(order: Order, leavings: Sequence[Leaving], back: Back) -> Standing:
    """Paid, and who of its people is still enrolled."""
    gone = sum(each.people for each in leavings)
    if off := sum(each.people for each in leavings if each.cause == "plan"):
        words = _("该计划已取消，%(n)s 人的报名随之取消。", n=off)
        due = sum(each.amount_fen for each in leavings if each.cause == "plan")
        if back.fen and back.fen >= order.amount_fen:
            return Standing(_("已支付"), "info", words + _("款项 %(amount)s 已全部退回。", amount=yuan(back.fen)))
        return Standing(_("已支付"), "info", words + _("应退的 %(amount)s 原路退回。", amount=yuan(due)) if due else words)
    if gone >= order.people:
        return Standing(_("已支付"), "info", _("%(n)s 人报名成功后已全部退班。", n=order.people))
    words = _("%(n)s 人报名成功，其中 %(gone)s 人已退班，现有 %(left)s 人。", n=order.people, gone=gone,
              left=order.people - gone) if gone else _("%(n)s 人已全部报名成功。", n=order.people)
    if not back.for_nobody:
        return Standing(_("已支付"), "ok", words)
    return Standing(_("已支付"), "info", words + _("此后退回 %(amount)s，退款不改变人员的报名状态，报名仍然有效。",
                                               amount=yuan(back.for_nobody)))


def _state_filter() -> Filter:
    """The words of the badges, not of the table: 核实中 is a pending order whose time to pay is over."""
    def clause(value: str) -> Any:
        open_, late = Order.state == "pending", Order.expires_at <= clock.now()
        return {"pending": and_(open_, ~late), "checking": and_(open_, late)}.get(value, Order.state == value)

    return Filter("state", _l("状态"), (("pending", _l("待支付")), ("checking", _l("核实中")), ("paid", _l("已支付")),
                                      ("expired", _l("已过期")), ("cancelled", _l("已取消")), ("closed", _l("开班截止"))), clause)


def _in_plan(text: str) -> Any:
    return or_(like(Order.number, text), Order.plan_id.in_(select(TrainingPlan.id).where(like(TrainingPlan.name, text))))


def _by_enterprise(text: str) -> Any:
    return Order.enterprise_id.in_(select(Enterprise.id).where(like(Enterprise.name, text)))


class OrderView(PortalView):
    """Orders with what each needs next."""

    route_base = "/orders"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        searches = [Search("q", _l("订单号或计划名称"), _in_plan)]
        if not self.actor.is_enterprise:
            searches.append(Search("enterprise", _l("企业名称"), _by_enterprise))
        rows = listing(scope.visible(self.actor, Order), order=(Order.id.desc(),), searches=searches,
                       filters=(_state_filter(),), options=(*DETAIL, joinedload(Order.batch)))
        gone = finance.gone_of_orders([each.id for each in rows.rows if each.state == "paid"])
        return self.page("portal/orders/list.html", listing=rows, standing_of=standing_of, invoice_words=invoice_words,
                         money_back=lambda order: money_back(order, gone.get(order.id, 0)),
                         title=_("订单"))

    @page("/<int:order_id>", "show")
    def show(self, order_id: int) -> Any:
        order = self.fetch(Order, order_id, *DETAIL, joinedload(Order.batch))
        paid = db.session.scalars(
            scope.visible(self.actor, Payment).where(Payment.order_id == order_id).order_by(Payment.id)
            .options(selectinload(Payment.refunds).selectinload(Refund.enrolments))).all()
        people = db.session.scalars(
            scope.visible(self.actor, Enrolment).where(Enrolment.order_id == order_id).order_by(Enrolment.id)
            .options(joinedload(Enrolment.occupation), joinedload(Enrolment.level)).limit(SHOWN_PEOPLE)).all()
        leavings = withdrawals.leavings_of(order) if order.state == "paid" else []
        again = orders.ordered_again(order) if order.state in ENDED else None
        back = back_of(paid)
        return self.page("portal/orders/show.html", order=order, story=story(order, paid, leavings), again=again,
                         standing=standing_of(order, leavings, back, again), money_back=money_back(order, back.fen),
                         called_off=withdrawals.called_off(people),
                         people=people, cut=len(people) == SHOWN_PEOPLE < order.people,
                         payments=[(each, payment_words(each)) for each in paid],
                         refunds=[(each, refund_words(each)) for payment in paid for each in payment.refunds],
                         **invoice_context(),
                         title=_("订单 %(number)s", number=order.number))

    @page("/<int:order_id>/state", "show")
    def state(self, order_id: int) -> Any:
        """For the page's clock: the state, and the seconds that are left to pay by the clock of this machine."""
        order = self.fetch(Order, order_id)
        return jsonify(state=order.state, seconds=max(0.0, (order.expires_at - clock.now()).total_seconds()))

    @page("/add/<int:batch_id>", "add", ("POST",))
    def add(self, batch_id: int) -> Any:
        batch = self.fetch(ImportBatch, batch_id)
        plan_id = batch.plan_id
        try:
            order = orders.create(batch, actor=self.actor)
        except NoSeats as error:
            said(str(error), "danger")
            return self.to("EnrolView.plan", plan_id=plan_id, _anchor="waitlist")
        if order.payable:
            said(_("订单已生成，名额已锁定。请在时限内完成支付。"), "timed")
        return self.to("show", order_id=order.id)

    @page("/<int:order_id>/pay", "pay")
    def pay(self, order_id: int) -> Any:
        """On to the pay page. A plain link: it changes nothing here."""
        return redirect(orders.pay_url(self.fetch(Order, order_id, joinedload(Order.plan))), 303)

    @page("/<int:order_id>/check", "pay", ("POST",))
    def check(self, order_id: int) -> Any:
        """已付款，查询结果: the gateway is asked now."""
        orders.look(self.fetch(Order, order_id))
        if self.fetch(Order, order_id).state == "pending":
            said(_("支付平台还没有这笔订单的付款记录。若刚刚付款，请稍等片刻再查询。"), "info")
        return self.to("show", order_id=order_id)

    @page("/<int:order_id>/cancel", "cancel", ("POST",))
    def cancel(self, order_id: int) -> Any:
        orders.cancel(self.fetch(Order, order_id), actor=self.actor)
        said(_("订单已取消，名额已释放。"))
        return self.to("show", order_id=order_id)
