"""名额调整与取消: an institution changes the seats of an approved plan or calls it off; its authority agrees where it must."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from wtforms import TextAreaField
from wtforms.validators import InputRequired

from app import jobs, parameters, scope
from app.errors import Conflict, PortalError
from app.operations import cancellations, plan_changes, resizing
from models import PlanChange, TrainingPlan
from views.base import PortalView, page, put_error_on, said
from views.forms import REQUIRED, Whole
from views.listing import Filter, Search, like, listing
from views.standings import refund_standings

KINDS = {"resize": _l("名额调整"), "cancel": _l("计划取消")}
STATES = {"asked": (_l("待审批"), "warn"), "granted": (_l("已生效"), "ok"), "refused": (_l("未同意"), "bad"),
          "taken_back": (_l("已撤回"), "neutral")}
WHOLE = (joinedload(PlanChange.plan), joinedload(PlanChange.institution))


class CancelForm(FlaskForm):
    """Why a plan is called off."""

    reason = TextAreaField(_l("取消原因"), validators=[REQUIRED], render_kw={"rows": 3, "maxlength": 200})


class ResizeForm(FlaskForm):
    """How many seats, and why."""

    seats = Whole(_l("调整后的名额"), validators=[InputRequired(_l("请填写整数。"))], render_kw={"inputmode": "numeric"})
    reason = TextAreaField(_l("调整原因"), validators=[REQUIRED], render_kw={"rows": 3, "maxlength": 200})


class _Changes(PortalView):
    """What the institution and its authority both see."""

    default_view = "list"
    title: Any = _l("名额调整与取消")

    def _list(self, default: str) -> Any:
        filters = (Filter("state", _l("状态"), [("all", _l("全部")), *((key, label) for key, (label, _tone) in STATES.items())],
                          lambda value: PlanChange.id.is_not(None) if value == "all" else PlanChange.state == value, default=default),
                   Filter("kind", _l("类别"), list(KINDS.items()), lambda value: PlanChange.kind == value))
        searches = (Search("q", _l("计划名称"), lambda text: PlanChange.plan_id.in_(
            select(TrainingPlan.id).where(like(TrainingPlan.name, text)))),)
        rows = listing(scope.visible(self.actor, PlanChange), order=(PlanChange.id.desc(),), searches=searches, filters=filters,
                       options=WHOLE)
        return self.page("portal/plan_changes/list.html", listing=rows, title=str(self.title), kinds=KINDS, states=STATES)

    def _show(self, change_id: int) -> Any:
        change = self.fetch(PlanChange, change_id, *WHOLE)
        cancelled = change.kind == "cancel" and change.state == "granted"
        return self.page("portal/plan_changes/show.html", change=change, plan=change.plan, kinds=KINDS, states=STATES,
                         title=_("%(plan)s %(kind)s", plan=change.plan.name, kind=KINDS[change.kind]),
                         job=jobs.latest(cancellations.JOB, change.id) if cancelled else None,
                         lines=cancellations.lines_of(change) if cancelled else (), refund_standings=refund_standings,
                         outlook=cancellations.outlook(change.plan) if change.kind == "cancel" and change.state == "asked" else None)


class PlanChangeView(_Changes):
    """The institution's own."""

    route_base = "/plan-changes"

    @page("/", "list")
    def list(self) -> Any:
        return self._list("all")

    @page("/<int:change_id>", "show")
    def show(self, change_id: int) -> Any:
        return self._show(change_id)

    @page("/plans/<int:plan_id>/resize", "resize", ("GET", "POST"))
    def resize(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id)
        if reason := resizing.obstacle(plan):
            raise Conflict(reason)
        form = ResizeForm(data={"seats": plan.seats})
        if form.validate_on_submit():
            try:
                change = plan_changes.resize(plan, form.seats.data, form.reason.data, actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                return self._done(change, _("名额已调整。"), _("已申请调整名额，等待主管部门审批。"))
        return self.page("portal/plan_changes/resize.html", plan=plan, form=form, bounds=resizing.bounds(plan),
                         title=_("%(plan)s 名额调整", plan=plan.name), waiting=plan_changes.asked_of(plan))

    @page("/plans/<int:plan_id>/cancel", "cancel", ("GET", "POST"))
    def cancel(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id)
        if reason := cancellations.obstacle(plan):
            raise Conflict(reason)
        form = CancelForm()
        if form.validate_on_submit():
            try:
                change = plan_changes.cancel(plan, form.reason.data, actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                return self._done(change, _("计划已取消。"), _("已申请取消计划，等待主管部门审批。"))
        return self.page("portal/plan_changes/cancel.html", plan=plan, form=form, outlook=cancellations.outlook(plan),
                         consent=parameters.number("cancel_consent") > 0,
                         title=_("%(plan)s 取消计划", plan=plan.name), waiting=plan_changes.asked_of(plan))

    def _done(self, change: PlanChange, granted: str, asked: str) -> Any:
        said(granted if change.state == "granted" else asked)
        return self.to("show", change_id=change.id)

    @page("/<int:change_id>/take-back", "resize", ("POST",))
    def take_back(self, change_id: int) -> Any:
        plan_changes.take_back(self.fetch(PlanChange, change_id, *WHOLE), actor=self.actor)
        said(_("已撤回。"))
        return self.to("show", change_id=change_id)

    @page("/<int:change_id>/again", "cancel", ("POST",))
    def again(self, change_id: int) -> Any:
        cancellations.again(self.fetch(PlanChange, change_id), actor=self.actor)
        said(_("已重新开始办理。"))
        return self.to("show", change_id=change_id)


class PlanChangeReviewView(_Changes):
    """The authority's: what waits first."""

    route_base = "/reviews/plan-changes"

    @page("/", "list")
    def list(self) -> Any:
        return self._list("asked")

    @page("/<int:change_id>", "show")
    def show(self, change_id: int) -> Any:
        return self._show(change_id)

    @page("/<int:change_id>/<any(grant,refuse):answer>", "decide", ("POST",))
    def decide(self, change_id: int, answer: str) -> Any:
        change = self.fetch(PlanChange, change_id, *WHOLE)
        plan_changes.decide(change, answer == "grant", request.form.get("remark", ""), actor=self.actor)
        said(_("已同意并生效。") if answer == "grant" else _("已答复不同意。"))
        return self.to("show", change_id=change_id)
