"""报名: the open plans, and one of them with its lists (E10, E11). What comes after stands in `rosters` and `photos`."""

from __future__ import annotations

from typing import Any

from flask import jsonify
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import and_, func, select
from sqlalchemy.orm import joinedload, selectinload

from app import clock, files, scope
from app.extensions import db
from app.operations import cancellations, open_plans, photos, plan_changes, rosters
from app.operations.plan_checks import SESSIONS
from models import Enrolment, Enterprise, ImportBatch, Institution, PlanOccupation, TrainingPlan
from views.base import PortalView, download, page
from views.listing import Filter, Search, like, listing
from views.plan_form import FORMS
from views.plans import DETAIL, occupation_names


def _window_filter() -> Filter:
    """What may be enrolled in now, or soon."""
    def clause(value: str) -> Any:
        at = clock.now()
        not_over = and_(TrainingPlan.class_opened_at.is_(None), TrainingPlan.cancelled_at.is_(None), TrainingPlan.enrolment_closes_at > at)
        started = TrainingPlan.enrolment_opens_at <= at
        return {"now": not_over, "open": and_(not_over, started), "soon": and_(not_over, ~started), "over": ~not_over}[value]

    choices = (("now", _l("报名中和即将开始")), ("open", _l("报名中")), ("soon", _l("即将开始")), ("over", _l("已结束")))
    return Filter("window", _l("报名时间"), choices, clause, default="now")


class EnrolView(PortalView):
    """What may be enrolled in."""

    route_base = "/enrol"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(
            scope.visible(self.actor, TrainingPlan),
            order=(TrainingPlan.enrolment_opens_at > clock.now(), TrainingPlan.enrolment_closes_at, TrainingPlan.id),
            searches=(Search("q", _l("计划名称"), lambda text: like(TrainingPlan.name, text)),
                      Search("institution", _l("培训机构"), lambda text: TrainingPlan.institution_id.in_(
                          select(Institution.id).where(like(Institution.name, text))))),
            filters=(_window_filter(),),
            options=(joinedload(TrainingPlan.institution),
                     selectinload(TrainingPlan.occupations).joinedload(PlanOccupation.occupation)))
        enterprise = self.fetch(Enterprise, self.actor.enterprise_id)
        return self.page("portal/enrol/list.html", listing=rows, title=_("报名"), enterprise=enterprise, sizes=photos.SIZES,
                         standings=open_plans.standings(rows.rows, enterprise), places=open_plans.in_line(enterprise))

    @page("/roster.xlsx", "download")
    def template(self) -> Any:
        return download(rosters.template(), "报名人员信息表.xlsx", files.XLSX)

    @page("/plans/<int:plan_id>", "show")
    def plan(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id, *DETAIL)
        batches = db.session.scalars(
            scope.visible(self.actor, ImportBatch).where(ImportBatch.plan_id == plan.id, ImportBatch.state != "discarded")
            .order_by(ImportBatch.id.desc()).options(joinedload(ImportBatch.workbook)))
        enterprise = self.fetch(Enterprise, self.actor.enterprise_id)
        return self.page("portal/enrol/plan.html", plan=plan, title=plan.name, batches=batches.all(), forms=dict(FORMS),
                         sessions=SESSIONS, occupation_names=occupation_names(plan),
                         consent_words=rosters.consent_words(), enterprise=enterprise, cancelled=plan_changes.cancellation_of(plan),
                         owed=cancellations.owed_to(plan, enterprise.id) if plan.cancelled_at else None,
                         ordered=self._ordered(plan), standing=open_plans.standings([plan], enterprise)[plan.id])

    def _ordered(self, plan: TrainingPlan) -> dict[int, int]:
        """The order that each list of this plan has become, by the list's id."""
        held = scope.visible(self.actor, Enrolment).where(
            Enrolment.plan_id == plan.id, Enrolment.order_id.is_not(None), Enrolment.batch_id.is_not(None)).with_only_columns(
            Enrolment.batch_id, func.max(Enrolment.order_id)).group_by(Enrolment.batch_id)
        return {batch_id: order_id for batch_id, order_id in db.session.execute(held) if batch_id and order_id}

    @page("/plans/<int:plan_id>/standing", "show")
    def standing(self, plan_id: int) -> Any:
        """For the page's clock: whether seats are still kept, and for how many seconds."""
        plan = self.fetch(TrainingPlan, plan_id)
        now = open_plans.standings([plan], self.fetch(Enterprise, self.actor.enterprise_id))[plan_id]
        left = (now.until - clock.now()).total_seconds() if now.until else 0
        return jsonify(state="kept" if now.kept else "over", seconds=max(0.0, left))
