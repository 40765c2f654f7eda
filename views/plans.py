"""培训计划: the institution's list, form and page of a plan, and the authority's desk for them."""

from __future__ import annotations

from typing import Any

from flask import request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import joinedload, selectinload
from werkzeug.datastructures import MultiDict

from app import clock, scope, workflow
from app.errors import Conflict, Invalid, PortalError
from app.extensions import db
from app.operations import filings, plan_changes, plans, waitlist
from app.operations.plan_checks import SESSIONS, PlanDraft
from app.presentation import moment, yuan
from app.workflow import REVIEW_LABELS
from models import Institution, Occupation, PlanDay, PlanOccupation, TrainingPlan
from views.base import PortalView, page, put_error_on, said
from views.listing import Filter, Search, holding, like, listing
from views.plan_form import FORMS, PlanForm, draft_of, form_values
from views.plan_typing import kept_values, older_plan
from views.records import events_of
from views.reviewing import Column, ReviewDesk
from views.stages import standing_of

DETAIL = (
    joinedload(TrainingPlan.institution), joinedload(TrainingPlan.authority),
    selectinload(TrainingPlan.occupations).joinedload(PlanOccupation.occupation),
    selectinload(TrainingPlan.occupations).joinedload(PlanOccupation.level),
    selectinload(TrainingPlan.days).options(joinedload(PlanDay.teacher), joinedload(PlanDay.room)),
    selectinload(TrainingPlan.designated),
)


def _stage_filter() -> Filter:
    """The stages an institution thinks in."""
    def clause(value: str) -> Any:
        approved, at = TrainingPlan.review_state == "approved", clock.now()
        cancelled = TrainingPlan.cancelled_at.is_not(None)
        over = or_(TrainingPlan.class_opened_at.is_not(None), TrainingPlan.enrolment_closes_at <= at)
        stages = {
            "enrolling": and_(approved, ~over, ~cancelled, TrainingPlan.enrolment_opens_at <= at),
            "soon": and_(approved, ~over, ~cancelled, TrainingPlan.enrolment_opens_at > at),
            "class": and_(approved, over, ~cancelled, TrainingPlan.attendance_confirmed_at.is_(None)),
            "exam": and_(approved, TrainingPlan.attendance_confirmed_at.is_not(None)),
            "cancelled": cancelled, "waitlist": waitlist.waited_for(),
        }
        return stages.get(value, TrainingPlan.review_state == value)

    choices = [*((state, label) for state, label in REVIEW_LABELS.items() if state != "approved"),
               ("soon", _l("等待报名")), ("enrolling", _l("报名中")), ("class", _l("待开班或考勤")), ("exam", _l("考核阶段")),
               ("waitlist", _l("有企业候补")), ("cancelled", _l("已取消"))]
    return Filter("stage", _l("阶段"), choices, clause)


def occupation_names(plan: TrainingPlan) -> str:
    """钢筋工（初级工/五级）、…"""
    return "、".join(f"{row.occupation.name}（{row.level.name}）" for row in plan.occupations)


def plan_values(plan: TrainingPlan) -> dict[str, Any]:
    """What every page of one plan shows."""
    return {"plan": plan, "standing": standing_of(plan), "sessions": SESSIONS, "forms": dict(FORMS),
            "occupation_names": occupation_names(plan), "cancelled": plan_changes.cancellation_of(plan)}


def _mended_at(place: str, plan: TrainingPlan) -> str:
    """The address where something that is missing is put right."""
    return url_for("FilingView.show") if place == "filing" else url_for("PlanView.edit", plan_id=plan.id, _anchor=place)


class PlanView(PortalView):
    """The institution's own plans."""

    route_base = "/plans"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(scope.visible(self.actor, TrainingPlan), order=(TrainingPlan.id.desc(),),
                       searches=(Search("q", _l("计划名称"), lambda text: holding(TrainingPlan.name, text)),),
                       filters=(_stage_filter(),),
                       options=(selectinload(TrainingPlan.occupations).joinedload(PlanOccupation.occupation),))
        institution = self.fetch(Institution, self.actor.institution_id)
        return self.page("portal/plans/list.html", listing=rows, title=_("培训计划"), institution=institution,
                         lines=waitlist.lines(plan.id for plan in rows.rows), licence_warning=filings.licence_warning(institution))

    @page("/add", "add", ("GET", "POST"))
    def add(self) -> Any:
        institution = self.fetch(Institution, self.actor.institution_id)
        try:
            filings.refuse_new_plans(institution)
        except Invalid as error:
            said(str(error), "warning")
            return self.to("FilingView.show")
        older = older_plan(self.actor)
        draft = plans.copied(older, institution) if older is not None else plans.suggested(institution)
        return self._edit(None, draft, restore=older is None)

    @page("/<int:plan_id>/edit", "edit", ("GET", "POST"))
    def edit(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id, *DETAIL)
        if not plan.editable:
            raise Conflict(_("该计划已提交审核，不能修改。如需修改，请先撤回。"))
        return self._edit(plan, draft_of(plan))

    def _edit(self, plan: TrainingPlan | None, draft: PlanDraft, *, restore: bool = True) -> Any:
        kept = kept_values(plan, self.actor) if restore and request.method == "GET" else None
        values = form_values(draft) | {"version": plan.version if plan else "", "proposed": "" if plan else draft.name}
        form = PlanForm(MultiDict(kept.values), data=values) if kept else PlanForm(data=values)
        form.offer(self.actor.institution_id or 0)
        if form.validate_on_submit():
            try:
                typed = form.draft()
                if plan is None and form.named_by_us:
                    typed = plans.renamed(typed, self.fetch(Institution, self.actor.institution_id))
                saved = plans.save(plan, typed, actor=self.actor, seen=form.seen)
            except PortalError as error:
                put_error_on(form, error)
                form.version.data = plan.version if plan else ""
            else:
                said(_("已保存。核对无误后请提交审核。"))
                return self.to("show", plan_id=saved.id)
        title = plan.name if plan else _("创建培训计划")
        return self.page("portal/plans/edit.html", form=form, plan=plan, title=title, kept=kept)

    @page("/<int:plan_id>", "show")
    def show(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id, *DETAIL)
        return self.page("portal/plans/show.html", title=plan.name,
                         missing=[(sentence, _mended_at(place, plan)) for sentence, place in plans.missing_for_submission(plan)],
                         events=events_of("training_plan", plan.id), steps=workflow.steps_open_to(self.actor, plan),
                         change_asked=plan_changes.asked_of(plan), line=waitlist.line_of(plan, self.actor), **plan_values(plan))

    @page("/<int:plan_id>/submit", "submit", ("POST",))
    def submit(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id, joinedload(TrainingPlan.institution), selectinload(TrainingPlan.days))
        plans.submit(plan, actor=self.actor)
        said(_("已提交。受理之前可以撤回。"))
        return self.to("show", plan_id=plan_id)

    @page("/<int:plan_id>/withdraw", "submit", ("POST",))
    def withdraw(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id)
        workflow.take_step(plan, "withdraw", actor=self.actor)
        said(_("已撤回，可以修改后再次提交。"))
        return self.to("show", plan_id=plan_id)


class PlanReviewView(ReviewDesk):
    """The authority's desk for training plans."""

    route_base = "/reviews/plans"
    kind = "training_plan"
    title = _l("培训计划审核")
    show_template = "portal/plans/review.html"
    columns = (
        Column(_l("计划名称"), lambda plan: plan.name),
        Column(_l("培训机构"), lambda plan: plan.institution.name),
        Column(_l("工种"), lambda plan: "、".join(row.occupation.name for row in plan.occupations)),
        Column(_l("人数"), lambda plan: plan.seats),
        Column(_l("费用"), lambda plan: yuan(plan.fee_fen)),
        Column(_l("上报时间"), lambda plan: moment(plan.submitted_at)),
    )

    def searches(self) -> Any:
        return (Search("q", _l("计划名称"), lambda text: holding(TrainingPlan.name, text)),
                Search("institution", _l("培训机构"), lambda text: TrainingPlan.institution_id.in_(
                    select(Institution.id).where(like(Institution.name, text)))))

    def filters(self) -> Any:
        return (Filter("occupation", _l("工种"), [(row.code, row.name) for row in db.session.scalars(
            select(Occupation).order_by(Occupation.position))], lambda code: TrainingPlan.occupations.any(
            PlanOccupation.occupation.has(Occupation.code == code))),)

    def options(self) -> Any:
        return (joinedload(TrainingPlan.institution),
                selectinload(TrainingPlan.occupations).joinedload(PlanOccupation.occupation))

    def show_values(self, subject: TrainingPlan) -> dict[str, Any]:
        return plan_values(subject)

