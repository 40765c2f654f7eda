"""报名人员核对: the institution compares data and photos one by one, by keyboard where there are hundreds (I18)."""

from __future__ import annotations

from typing import Any

from flask import jsonify, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app import scope
from app.operations import corrections
from app.operations.id_readings import hints_of, seems_to_differ, verdict_words
from models import Enrolment, Enterprise, TrainingPlan
from views.base import PortalView, page, said, wants_json
from views.listing import Filter, Search, like, listing

PEOPLE = (joinedload(Enrolment.occupation), joinedload(Enrolment.level), joinedload(Enrolment.enterprise), joinedload(Enrolment.plan))


def states() -> dict[str, tuple[str, str]]:
    """Each state of a check in words, with its tone."""
    return {"new": (_("未核对"), "neutral"), "ok": (_("相符"), "ok"), "mismatch": (_("不相符"), "bad"),
            "corrected": (_("已更正，待复核"), "warn")}


def _state_filter() -> Filter:
    clauses = {"todo": ("new", "corrected"), "new": ("new",), "corrected": ("corrected",), "mismatch": ("mismatch",), "ok": ("ok",),
               "all": ("new", "corrected", "mismatch", "ok")}
    choices = (("todo", _l("待核对")), ("new", _l("未核对")), ("corrected", _l("已更正，待复核")), ("mismatch", _l("不相符")),
               ("ok", _l("相符")), ("all", _l("全部")))
    return Filter("state", _l("核对"), choices, lambda value: corrections.in_state(*clauses[value]), default="todo")


class CheckView(PortalView):
    """Paid people of classes that are not open yet."""

    route_base = "/checks"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        people = scope.visible(self.actor, Enrolment).where(corrections.still_correctable())
        rows = listing(people, order=(Enrolment.plan_id, Enrolment.id), options=PEOPLE, size=100, searches=(
            Search("q", _l("姓名"), lambda text: like(Enrolment.name, text)),
            Search("plan", _l("培训计划"), lambda text: Enrolment.plan_id.in_(
                select(TrainingPlan.id).where(like(TrainingPlan.name, text)))),
            Search("enterprise", _l("企业"), lambda text: Enrolment.enterprise_id.in_(
                select(Enterprise.id).where(like(Enterprise.name, text))))),
            filters=(_state_filter(), Filter("hint", _l("识别结果"), (("differs", _l("识别不一致")),), lambda _value: seems_to_differ())))
        return self.page("portal/checks/list.html", listing=rows, title=_("报名人员核对"), checks=corrections.checks_of(rows.rows),
                         hints=hints_of(rows.rows), states=states(), verdicts=verdict_words())

    @page("/<int:enrolment_id>", "show")
    def show(self, enrolment_id: int) -> Any:
        person = self.fetch(Enrolment, enrolment_id, *PEOPLE, joinedload(Enrolment.title), joinedload(Enrolment.education))
        return self.page("portal/checks/show.html", person=person, title=person.name, check=corrections.check_of(person),
                         hint=hints_of([person])[person.id], verdicts=verdict_words(), states=states(),
                         reasons=corrections.reason_words(), said_reasons=corrections.reasons_said,
                         history=corrections.history_of(person), open_class=person.plan.class_opened_at is None,
                         frame="portal/pane.html" if "pane" in request.args else "")

    @page("/<int:enrolment_id>/approve", "decide", ("POST",))
    def approve(self, enrolment_id: int) -> Any:
        """相符."""
        corrections.confirm(self.fetch(Enrolment, enrolment_id), seen=_seen(), actor=self.actor)
        return self._told(enrolment_id, "ok")

    @page("/<int:enrolment_id>/reject", "decide", ("POST",))
    def reject(self, enrolment_id: int) -> Any:
        """不相符."""
        corrections.mark(self.fetch(Enrolment, enrolment_id), request.form.getlist("reasons"), request.form.get("remark", ""),
                         seen=_seen(), actor=self.actor)
        return self._told(enrolment_id, "mismatch")

    def _told(self, enrolment_id: int, state: str) -> Any:
        label, tone = states()[state]
        message = _("“%(name)s”：%(state)s。", name=self.fetch(Enrolment, enrolment_id).name, state=label)
        if wants_json():
            return jsonify(message=message, state=label, tone=tone, decided=True)
        said(message)
        return self.to("list")


def _seen() -> int | None:
    return request.form.get("seen", type=int)
