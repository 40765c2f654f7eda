"""信息更正: the enterprise corrects people whose data do not agree with their photos, until the class opens (I18, B10)."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from app import scope
from app.errors import InvalidFields
from app.extensions import db
from app.operations import corrections
from app.operations.id_readings import hints_of, verdict_words
from app.operations.photo_words import kind_names
from models import Education, Enrolment, Title, TrainingPlan
from views.base import PortalView, page, said
from views.checks import PEOPLE, states
from views.listing import Filter, Search, like, listing

TYPED = ("name", "id_number", "phone", "title_id", "education_id")


def _state_filter() -> Filter:
    choices = (("mismatch", _l("待更正")), ("corrected", _l("已更正，待复核")), ("all", _l("全部报名人员")))
    clauses = {"mismatch": ("mismatch",), "corrected": ("corrected",), "all": ("new", "corrected", "mismatch", "ok")}
    return Filter("state", _l("核对"), choices, lambda value: corrections.in_state(*clauses[value]), default="mismatch")


class CorrectionView(PortalView):
    """The enterprise's own paid people, of classes that are not open yet."""

    route_base = "/corrections"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        people = scope.visible(self.actor, Enrolment).where(corrections.still_correctable())
        rows = listing(people, order=(Enrolment.id,), options=PEOPLE, filters=(_state_filter(),), searches=(
            Search("q", _l("姓名"), lambda text: like(Enrolment.name, text)),
            Search("plan", _l("培训计划"), lambda text: Enrolment.plan_id.in_(
                select(TrainingPlan.id).where(like(TrainingPlan.name, text))))))
        return self.page("portal/corrections/list.html", listing=rows, title=_("信息更正"), checks=corrections.checks_of(rows.rows),
                         states=states(), said_reasons=corrections.reasons_said)

    @page("/<int:enrolment_id>", "show")
    def show(self, enrolment_id: int) -> Any:
        return self._drawn(enrolment_id, {}, {})

    @page("/<int:enrolment_id>", "edit", ("POST",))
    def edit(self, enrolment_id: int) -> Any:
        person = self.fetch(Enrolment, enrolment_id)
        typed = {name: request.form.get(name, "") for name in TYPED}
        pictures = {kind: file.read() for kind in corrections.PICTURES if (file := request.files.get(kind)) and file.filename}
        try:
            corrections.correct(person, typed, pictures, actor=self.actor)
        except InvalidFields as error:
            db.session.rollback()
            return self._drawn(enrolment_id, typed, error.fields), 400
        said(_("%(name)s的信息已更正。", name=self.fetch(Enrolment, enrolment_id).name))
        return self.to("show", enrolment_id=enrolment_id)

    def _drawn(self, enrolment_id: int, typed: dict[str, str], errors: dict[str, object]) -> str:
        person = self.fetch(Enrolment, enrolment_id, *PEOPLE)
        check = corrections.check_of(person)
        choices = {name: db.session.execute(select(model.id, model.name).where(model.enabled).order_by(model.position)).all()
                   for name, model in (("title_id", Title), ("education_id", Education))}
        return self.page("portal/corrections/show.html", person=person, title=person.name, check=check, states=states(), typed=typed,
                         errors=errors, choices=choices, kinds=kind_names(), hint=hints_of([person])[person.id],
                         verdicts=verdict_words(), reasons=corrections.reason_words(), said_reasons=corrections.reasons_said,
                         history=corrections.history_of(person), marked=check is not None and check.state in ("mismatch", "corrected"),
                         open_class=person.state == "enrolled" and person.plan.class_opened_at is None)
