"""报名: open plans, the workbook, the photos; up to the button 生成订单 (E10–E15)."""

from __future__ import annotations

from typing import Any

from flask import request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import and_, func, select
from sqlalchemy.orm import joinedload, selectinload

from app import clock, files, jobs, scope
from app.errors import Invalid, NotFound
from app.extensions import db
from app.operations import photos, rosters
from app.operations.plan_checks import SESSIONS
from models import Enrolment, Enterprise, ImportBatch, Institution, PlanOccupation, TrainingPlan
from views.base import PortalView, download, page, said, uploaded
from views.listing import Filter, Search, like, listing
from views.plan_form import FORMS
from views.plans import DETAIL, occupation_names

PEOPLE = (joinedload(Enrolment.occupation), joinedload(Enrolment.level))


def _window_filter() -> Filter:
    """What may be enrolled in now, or soon."""
    def clause(value: str) -> Any:
        at = clock.now()
        not_over = and_(TrainingPlan.class_opened_at.is_(None), TrainingPlan.enrolment_closes_at > at)
        started = TrainingPlan.enrolment_opens_at <= at
        return {"open": and_(not_over, started), "soon": and_(not_over, ~started), "over": ~not_over}[value]

    choices = (("open", _l("报名中")), ("soon", _l("即将开始")), ("over", _l("已结束")))
    return Filter("window", _l("报名时间"), choices, clause, default="open")


class EnrolView(PortalView):
    """From an open plan to a complete list of workers."""

    route_base = "/enrol"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(
            scope.visible(self.actor, TrainingPlan), order=(TrainingPlan.enrolment_closes_at, TrainingPlan.id),
            searches=(Search("q", _l("计划名称"), lambda text: like(TrainingPlan.name, text)),
                      Search("institution", _l("培训机构"), lambda text: TrainingPlan.institution_id.in_(
                          select(Institution.id).where(like(Institution.name, text))))),
            filters=(_window_filter(),),
            options=(joinedload(TrainingPlan.institution),
                     selectinload(TrainingPlan.occupations).joinedload(PlanOccupation.occupation)))
        enterprise = self.fetch(Enterprise, self.actor.enterprise_id)
        return self.page("portal/enrol/list.html", listing=rows, title=_("报名"), enterprise=enterprise, sizes=photos.SIZES)

    @page("/roster.xlsx", "download")
    def template(self) -> Any:
        return download(rosters.template(), "报名人员信息表.xlsx", files.XLSX)

    @page("/plans/<int:plan_id>", "show")
    def plan(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id, *DETAIL)
        batches = db.session.scalars(
            scope.visible(self.actor, ImportBatch).where(ImportBatch.plan_id == plan.id, ImportBatch.state != "discarded")
            .order_by(ImportBatch.id.desc()).options(joinedload(ImportBatch.workbook)))
        return self.page("portal/enrol/plan.html", plan=plan, title=plan.name, batches=batches.all(), forms=dict(FORMS),
                         sessions=SESSIONS, occupation_names=occupation_names(plan),
                         enterprise=self.fetch(Enterprise, self.actor.enterprise_id))

    @page("/plans/<int:plan_id>/import", "import", ("POST",))
    def start_import(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id)
        name, data = uploaded("workbook")
        batch = rosters.start_import(plan, name, data, request.form.get("consent") == "1", actor=self.actor)
        return self.to("batch", batch_id=batch.id)

    @page("/batches/<int:batch_id>", "show")
    def batch(self, batch_id: int) -> Any:
        batch = self.fetch(ImportBatch, batch_id, joinedload(ImportBatch.plan), joinedload(ImportBatch.marked))
        people = scope.visible(self.actor, Enrolment).where(Enrolment.batch_id == batch.id)
        lacking = people.where(Enrolment.portrait_id.is_(None) | Enrolment.id_front_id.is_(None))
        rows = listing(people, order=(Enrolment.id,), options=PEOPLE, size=60,
                       searches=(Search("q", _l("姓名"), lambda text: like(Enrolment.name, text)),),
                       filters=(_lacking_filter(),))
        ordered = db.session.scalars(people.where(Enrolment.order_id.is_not(None)).limit(1)).first()
        return self.page(
            "portal/enrol/batch.html", batch=batch, plan=batch.plan, listing=rows, title=_("报名名单"), lacking=_count(lacking),
            order_id=ordered.order_id if ordered else None, job=rosters.import_job(batch), shown_faults=rosters.SHOWN_FAULTS,
            kinds=photos.kind_names(), uploads=_uploads(batch))

    @page("/batches/<int:batch_id>/discard", "import", ("POST",))
    def discard(self, batch_id: int) -> Any:
        batch = self.fetch(ImportBatch, batch_id)
        rosters.discard(batch, actor=self.actor)
        said(_("名单已删除。"))
        return self.to("plan", plan_id=batch.plan_id)

    @page("/batches/<int:batch_id>/marked.xlsx", "download")
    def marked(self, batch_id: int) -> Any:
        batch = self.fetch(ImportBatch, batch_id, joinedload(ImportBatch.marked))
        if batch.marked is None:
            raise NotFound("")
        return download(files.read(batch.marked), batch.marked.name, files.XLSX)

    @page("/batches/<int:batch_id>/photos/<string:kind>", "photos", ("POST",))
    def upload_photos(self, batch_id: int, kind: str) -> Any:
        batch = self.fetch(ImportBatch, batch_id)
        given = [(file.filename or "", file.read()) for file in request.files.getlist("photos") if file.filename]
        photos.start_upload(batch, kind, given, actor=self.actor)
        return self.to("batch", batch_id=batch.id, _anchor="photos")

    @page("/people/<int:enrolment_id>/photos/<string:kind>", "photos", ("POST",))
    def upload_photo(self, enrolment_id: int, kind: str) -> Any:
        person = self.fetch(Enrolment, enrolment_id, joinedload(Enrolment.batch))
        _name, data = uploaded("photo")
        if len(data) > photos.MOST_UPLOAD:
            raise Invalid(_("照片太大，请压缩后再上传。"))
        photos.upload_one(person, kind, data, actor=self.actor)
        said(_("%(name)s的照片已上传。", name=person.name))
        return self.to("batch", batch_id=person.batch_id, _anchor=f"person-{person.id}")


def _count(statement: Any) -> int:
    return db.session.scalar(select(func.count()).select_from(statement.with_only_columns(Enrolment.id).subquery())) or 0


def _lacking_filter() -> Filter:
    clauses = {"portrait": Enrolment.portrait_id.is_(None), "id_front": Enrolment.id_front_id.is_(None)}
    return Filter("lacking", _l("照片"), (("portrait", _l("缺寸照")), ("id_front", _l("缺身份证正面照"))), lambda value: clauses[value])


def _uploads(batch: ImportBatch) -> list[dict[str, Any]]:
    """For each kind of photo: its name, where to send it, and what came of the last upload."""
    answer = []
    for kind, name in photos.kind_names().items():
        upload = rosters.last_upload(batch, kind)
        job = jobs.latest(photos.PHOTO_JOB, upload.id) if upload is not None and upload.state == "waiting" else None
        answer.append({"kind": kind, "name": name, "upload": upload, "job": job,
                       "url": url_for("EnrolView.upload_photos", batch_id=batch.id, kind=kind)})
    return answer
