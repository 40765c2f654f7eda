"""名单: a workbook of workers comes in, is checked, and becomes the list that is ordered (E12, E13, E15)."""

from __future__ import annotations

from typing import Any

from flask import flash, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy.orm import joinedload

from app import files, scope
from app.documents.columns import FIELDS
from app.documents.roster import ROSTER_REQUIRED
from app.errors import InvalidFields, NotFound
from app.extensions import db
from app.operations import rosters
from models import Enrolment, ImportBatch, StoredFile, TrainingPlan
from views.base import PortalView, download, page, said, uploaded
from views.listing import Search, like, listing
from views.photos import order_of, people_lacking

PEOPLE = (joinedload(Enrolment.occupation), joinedload(Enrolment.level))


class RosterView(PortalView):
    """From a workbook to a complete list of workers."""

    route_base = "/enrol"

    @page("/plans/<int:plan_id>/import", "import", ("POST",))
    def start(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id)
        name, data = uploaded("workbook")
        batch = rosters.start_import(plan, name, data, request.form.get("consent") == "1", actor=self.actor)
        return self.to("show", batch_id=batch.id)

    @page("/batches/<int:batch_id>", "show")
    def show(self, batch_id: int) -> Any:
        return self._drawn(batch_id)

    def _drawn(self, batch_id: int, chosen: dict[str, int] | None = None, errors: dict[str, object] | None = None) -> str:
        batch = self.fetch(ImportBatch, batch_id, joinedload(ImportBatch.plan), joinedload(ImportBatch.marked))
        rows = listing(scope.visible(self.actor, Enrolment).where(Enrolment.batch_id == batch.id), order=(Enrolment.id,),
                       options=PEOPLE, size=60, searches=(Search("q", _l("姓名"), lambda text: like(Enrolment.name, text)),))
        return self.page(
            "portal/enrol/batch.html", batch=batch, plan=batch.plan, listing=rows, title=_("报名名单"),
            lacking=people_lacking(self.actor, batch), order_id=order_of(self.actor, batch), job=rosters.import_job(batch),
            shown_faults=rosters.SHOWN_FAULTS, shown_mended=rosters.SHOWN_MENDED, fields=FIELDS, required=ROSTER_REQUIRED,
            consent_words=rosters.consent_words(), chosen=chosen, errors=errors or {})

    @page("/batches/<int:batch_id>/mend", "import", ("POST",))
    def mend(self, batch_id: int) -> Any:
        batch = self.fetch(ImportBatch, batch_id, joinedload(ImportBatch.plan))
        name, data = uploaded("workbook")
        take = rosters.replace if request.form.get("anew") == "1" else rosters.mend
        batch = take(batch, name, data, request.form.get("consent") == "1", actor=self.actor) or batch
        return self.to("show", batch_id=batch.id)

    @page("/batches/<int:batch_id>/columns", "import", ("POST",))
    def columns(self, batch_id: int) -> Any:
        batch = self.fetch(ImportBatch, batch_id)
        chosen = {name: int(value) for number, name in enumerate(FIELDS) if (value := request.form.get(f"field-{number}", "")).isdecimal()}
        try:
            rosters.map_columns(batch, chosen, actor=self.actor)
        except InvalidFields as error:
            db.session.rollback()
            flash(str(error), "danger")
            return self._drawn(batch_id, chosen, error.fields), 400
        said(_("已记住各列的用途，下次上传不必再选。"))
        return self.to("show", batch_id=batch.id)

    @page("/batches/<int:batch_id>/good", "import", ("POST",))
    def good(self, batch_id: int) -> Any:
        batch = self.fetch(ImportBatch, batch_id, joinedload(ImportBatch.plan))
        rosters.take_good_rows(batch, actor=self.actor)
        return self.to("show", batch_id=batch.id)

    @page("/batches/<int:batch_id>/discard", "import", ("POST",))
    def discard(self, batch_id: int) -> Any:
        batch = self.fetch(ImportBatch, batch_id)
        rosters.discard(batch, actor=self.actor)
        said(_("名单已删除。"))
        return self.to("EnrolView.plan", plan_id=batch.plan_id)

    @page("/batches/<int:batch_id>/marked.xlsx", "download")
    def marked(self, batch_id: int) -> Any:
        batch = self.fetch(ImportBatch, batch_id, joinedload(ImportBatch.marked))
        stored = batch.marked
        if upload := request.args.get("upload"):  # one of before, of which rows are still missing
            stored = next((self.fetch(StoredFile, each["file"]) for each in batch.findings.get("marked", ())
                           if str(each["upload"]) == upload), None)
        if stored is None:
            raise NotFound("")
        return download(files.read(stored), stored.name, files.XLSX)
