"""What the form of a training plan asks while it is typed, and where it keeps what is not saved yet (I6, I11)."""

from __future__ import annotations

from datetime import date
from itertools import zip_longest
from typing import Any

from flask import jsonify, request
from flask_babel import gettext as _
from sqlalchemy import or_, select

from app import scope
from app.errors import Conflict
from app.extensions import db, limiter
from app.operations import form_drafts, plans
from app.operations.plan_checks import SESSIONS, clashes
from models import Enterprise, Institution, TrainingPlan
from views.base import PortalView, page, said
from views.listing import like

MOST_FOUND = 20
# Never kept: the token belongs to the page, the version to the moment the form was opened.
_UNKEPT = ("csrf_token", "submit")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _id(text: str) -> int:
    return int(text) if text.isdigit() and len(text) < 19 else 0


class PlanTypingView(PortalView):
    """Answers the script of `PlanView`'s form."""

    route_base = "/plans/typing"
    default_view = "name"

    def _plan(self) -> TrainingPlan | None:
        """The plan being edited, or None for a new one."""
        key = request.args.get("plan", "")
        return self.fetch(TrainingPlan, int(key)) if key.isdigit() and len(key) < 19 else None

    @page("/name", "edit")
    def name(self) -> Any:
        institution = self.fetch(Institution, self.actor.institution_id)
        wrong, free = plans.proposal(request.args.get("name", "").strip()[:40], institution,
                                     _day(request.args.get("start", "")), self._plan())
        return jsonify(message=wrong, free=free)

    @page("/bookings", "edit")
    def bookings(self) -> Any:
        plan = self._plan()
        columns = [request.args.getlist(name) for name in ("day", "session", "teacher", "room")]
        # A row that is not filled in yet keeps its number and books nobody.
        days = [(_day(day) or date.max, session if session in SESSIONS else "all",
                 _id(teacher) if _day(day) else 0,
                 _id(room) if _day(day) else 0) for day, session, teacher, room in zip_longest(*columns, fillvalue="")][:60]
        found = clashes(days, self.actor.institution_id or 0, plan.id if plan else None)
        return jsonify(clashes=[{"row": each.row, "part": each.part, "message": str(each)} for each in found])

    @page("/enterprises", "edit")
    @limiter.limit("120 per minute")
    def enterprises(self) -> Any:
        """Approved enterprises whose name or code holds the text; an institution may designate any of the province (I9)."""
        text = request.args.get("q", "").strip()[:50]
        if len(text) < 2:
            return jsonify(found=[], more=False)
        rows = db.session.execute(
            select(Enterprise.id, Enterprise.name, Enterprise.uscc)
            .where(Enterprise.review_state == "approved", or_(like(Enterprise.name, text), Enterprise.uscc.startswith(
                text.upper(), autoescape=True))).order_by(Enterprise.name).limit(MOST_FOUND + 1)).all()
        return jsonify(found=[{"id": row.id, "label": f"{row.name} {row.uscc}"} for row in rows[:MOST_FOUND]],
                       more=len(rows) > MOST_FOUND)

    @page("/keep", "edit", ("POST",))
    def keep(self) -> Any:
        plan = self._plan()
        if plan is not None and not plan.editable:
            raise Conflict(_("该计划已提交审核，不能修改。如需修改，请先撤回。"))
        values = [(name, text) for name, text in request.form.items(multi=True) if name not in _UNKEPT]
        form_drafts.keep(plans.form_of(plan), values, actor=self.actor)
        return jsonify(message=_("已自动保存，尚未提交到计划"))

    @page("/discard", "edit", ("POST",))
    def discard(self) -> Any:
        plan = self._plan()
        form_drafts.drop(plans.form_of(plan), actor=self.actor)
        said(_("已放弃未保存的内容。"))
        return self.to("PlanView.edit", plan_id=plan.id) if plan else self.to("PlanView.add")


def kept_values(plan: TrainingPlan | None, actor: Any) -> Any:
    """What this person had typed and not saved, or None."""
    return form_drafts.kept(plans.form_of(plan), actor=actor)


def older_plan(actor: Any) -> TrainingPlan | None:
    """The plan that a new one is to copy, if one is asked for."""
    key = request.args.get("from", "")
    return scope.fetch(actor, TrainingPlan, int(key)) if key.isdigit() and len(key) < 19 else None
