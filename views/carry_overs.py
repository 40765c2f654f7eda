"""缺勤转入: people who missed an earlier class are added to a plan that has not opened yet (I16, C4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import redirect, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app.extensions import db
from app.operations import carry_over, people
from models import Enrolment, Enterprise, TrainingPlan
from views import sealed
from views.base import PortalView, page, said
from views.listing import Search, chosen_ids, like, listing
from views.plans import DETAIL, occupation_names


class CarryOverView(PortalView):
    """One page for each plan: who may be added, and who was."""

    route_base = "/plans"
    default_view = "show"

    @staticmethod
    def _searches() -> Sequence[Search]:
        return (Search("q", _l("姓名"), lambda text: like(Enrolment.name, text)),
                Search("id_number", _l("身份证号（完整）"), people.by_id_number, secret=True),
                Search("phone", _l("手机号（完整）"), people.by_phone, secret=True),
                Search("enterprise", _l("企业名称"), lambda text: Enrolment.enterprise_id.in_(
                    select(Enterprise.id).where(like(Enterprise.name, text)))),
                Search("plan", _l("缺勤的培训计划"), lambda text: Enrolment.plan_id.in_(
                    select(TrainingPlan.id).where(like(TrainingPlan.name, text)))))

    @page("/<int:plan_id>/absentees", "show", ("GET", "POST"))
    def show(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id, *DETAIL)
        searches = self._searches()
        if request.method == "POST":
            return redirect(sealed.address(searches), 303)
        rows = listing(carry_over.candidates(plan, actor=self.actor), order=(Enrolment.id.desc(),), searches=searches,
                       options=people.IN_FULL, given=sealed.given(searches))
        here = db.session.scalars(carry_over.carried(plan, actor=self.actor).order_by(Enrolment.id).options(
            *people.IN_FULL, joinedload(Enrolment.carried_from).joinedload(Enrolment.plan))).all()
        return self.page("portal/classes/absentees.html", plan=plan, listing=rows, carried=here, obstacle=carry_over.obstacle(plan),
                         occupation_names=occupation_names(plan), title=_("%(plan)s 缺勤转入", plan=plan.name))

    @page("/<int:plan_id>/absentees/add", "add", ("POST",))
    def add(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id)
        ids = chosen_ids(carry_over.candidates(plan, actor=self.actor), searches=self._searches())
        n = carry_over.add(plan, ids, actor=self.actor)
        said(_("已转入 %(n)s 人，占用 %(n)s 个名额，无需再次缴费；已通知所属企业。", n=n))
        return self.to("show", plan_id=plan_id)

    @page("/<int:plan_id>/absentees/undo", "undo", ("POST",))
    def undo(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id)
        n = carry_over.undo(plan, chosen_ids(carry_over.carried(plan, actor=self.actor)), actor=self.actor)
        said(_("已移出 %(n)s 人，名额已释放，恢复为缺勤，可以再次转入。", n=n))
        return self.to("show", plan_id=plan_id)
