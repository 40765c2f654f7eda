"""退班: an enterprise withdraws people it has paid for; the institution agrees where it must."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from wtforms import TextAreaField

from app import scope
from app.errors import PortalError
from app.extensions import db
from app.operations import carry_over, refunds, withdrawals
from models import Enrolment, Order, TrainingPlan, Withdrawal
from views.base import PortalView, page, put_error_on, said
from views.forms import REQUIRED
from views.listing import Filter, Search, chosen_ids, like, listing

PEOPLE = (joinedload(Enrolment.occupation), joinedload(Enrolment.level), joinedload(Enrolment.plan))
STATES = {"asked": (_l("待机构办理"), "warn"), "granted": (_l("已退班"), "ok"), "refused": (_l("未同意"), "bad"),
          "taken_back": (_l("已撤回"), "neutral")}


class WithdrawForm(FlaskForm):
    """Why people leave."""

    reason = TextAreaField(_l("退班原因"), validators=[REQUIRED], render_kw={"rows": 3, "maxlength": 200})


class WithdrawalView(PortalView):
    """One list for both parties; scope decides whose."""

    route_base = "/withdrawals"
    default_view = "list"

    def _searches(self) -> Sequence[Search]:
        return (Search("q", _l("姓名"), lambda text: Withdrawal.enrolment_id.in_(
                    select(Enrolment.id).where(like(Enrolment.name, text)))),
                Search("plan", _l("计划名称"), lambda text: Withdrawal.plan_id.in_(
                    select(TrainingPlan.id).where(like(TrainingPlan.name, text)))))

    @staticmethod
    def _filters() -> Sequence[Filter]:
        return (Filter("state", _l("状态"), [(key, label) for key, (label, _tone) in STATES.items()],
                       lambda value: Withdrawal.state == value),)

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(scope.visible(self.actor, Withdrawal), order=(Withdrawal.id.desc(),), searches=self._searches(),
                       filters=self._filters(), options=(
                           joinedload(Withdrawal.enrolment).joinedload(Enrolment.occupation), joinedload(Withdrawal.plan),
                           joinedload(Withdrawal.order), joinedload(Withdrawal.enterprise)))
        return self.page("portal/withdrawals/list.html", listing=rows, title=_("退班"), states=STATES,
                         deciding=self.actor.is_institution and any(row.state == "asked" for row in rows.rows))

    @page("/orders/<int:order_id>", "ask", ("GET", "POST"))
    def of_order(self, order_id: int) -> Any:
        order = self.fetch(Order, order_id)
        people = db.session.scalars(
            scope.visible(self.actor, Enrolment).where(Enrolment.order_id == order.id, Enrolment.plan_id == order.plan_id,
                                                       Enrolment.state == "enrolled")
            .order_by(Enrolment.id).options(*PEOPLE)).all()
        return self._ask(self.fetch(TrainingPlan, order.plan_id), people, order)

    @page("/people/<int:enrolment_id>", "ask", ("GET", "POST"))
    def of_person(self, enrolment_id: int) -> Any:
        person = self.fetch(Enrolment, enrolment_id, *PEOPLE)
        return self._ask(person.plan, [person] if person.state == "enrolled" else [], carry_over.paid_by(person))

    def _ask(self, plan: TrainingPlan, people: Sequence[Enrolment], order: Order | None) -> Any:
        form, terms = WithdrawForm(), withdrawals.terms_of(plan)
        wanted = {text for text in request.form.getlist("ids") if text.isdigit() and len(text) < 19}
        if form.validate_on_submit():
            ids = [each.id for each in people if str(each.id) in wanted]
            try:
                n, consent, amount_fen = withdrawals.ask(plan, ids, form.reason.data, actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("已为 %(n)s 人申请退班，等待培训机构办理。", n=n) if consent else
                     _("%(n)s 人已退班，名额已释放，退款正在办理。", n=n) if amount_fen else
                     _("%(n)s 人已退班，名额已释放，没有可退的款项。", n=n))
                return self.to("list")
        payment = refunds.payment_of(order) if order is not None else None
        each_fen = order.unit_fee_fen * terms.percent // 100 if order is not None else 0
        left_fen = payment.refundable_fen if payment is not None else each_fen * len(people)
        return self.page("portal/withdrawals/ask.html", plan=plan, people=people, order=order, form=form, terms=terms,
                         payment=payment, each_fen=each_fen, left_fen=left_fen,
                         held_fen=sum(each.amount_fen for each in payment.refunds if each.state == "proposed") if payment else 0,
                         waiting=withdrawals.waiting_ids(people), wanted=wanted, title=_("退班"))

    @page("/<any(grant,refuse):answer>", "decide", ("POST",))
    def decide(self, answer: str) -> Any:
        asked = scope.visible(self.actor, Withdrawal).where(Withdrawal.state == "asked")
        ids = chosen_ids(asked, searches=self._searches(), filters=self._filters())
        n = withdrawals.decide(ids, answer == "grant", request.form.get("remark", ""), actor=self.actor)
        said(_("已同意 %(n)s 人退班，名额已释放，应退的款项原路退回。", n=n) if answer == "grant" else
             _("已答复 %(n)s 人的申请不同意。", n=n))
        return self.to("list")

    @page("/<int:withdrawal_id>/take-back", "ask", ("POST",))
    def take_back(self, withdrawal_id: int) -> Any:
        withdrawals.take_back(self.fetch(Withdrawal, withdrawal_id, joinedload(Withdrawal.plan)), actor=self.actor)
        said(_("已撤回申请，人员继续参加培训。"))
        return self.to("list")
