"""照片: 寸照 and 身份证正面照 of the people on a roster, up to the button 生成订单 (E14, E15, C12)."""

from __future__ import annotations

from typing import Any

from flask import jsonify, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from app import jobs, scope
from app.actors import Actor
from app.errors import Conflict
from app.extensions import db
from app.operations import photos
from app.operations.id_readings import hints_of, verdict_words
from app.operations.photo_words import fault_reason
from models import Enrolment, ImportBatch, PhotoUpload
from views.base import PortalView, page, said, uploaded
from views.listing import Filter, Search, like, listing

# Of an upload so many files are named on the page.
SHOWN = 200


class PhotoView(PortalView):
    """The photos of a batch, beside its list of people."""

    route_base = "/enrol"
    default_view = "show"

    @page("/batches/<int:batch_id>/photos", "show")
    def show(self, batch_id: int) -> Any:
        batch = self.fetch(ImportBatch, batch_id, joinedload(ImportBatch.plan))
        if batch.state != "clean":
            raise Conflict(_("名单导入成功后才能上传照片。"))
        rows = listing(scope.visible(self.actor, Enrolment).where(Enrolment.batch_id == batch.id), order=(Enrolment.id,),
                       options=(joinedload(Enrolment.occupation), joinedload(Enrolment.level)), size=60, filters=(_lacking_filter(),),
                       searches=(Search("q", _l("姓名"), lambda text: like(Enrolment.name, text)),))
        return self.page("portal/enrol/photos.html", batch=batch, plan=batch.plan, listing=rows, title=_("照片"),
                         lacking=people_lacking(self.actor, batch), order_id=order_of(self.actor, batch),
                         kinds=photos.kind_names(), uploads=_uploads(batch), hints=hints_of(rows.rows), verdicts=verdict_words(),
                         sizes=photos.SIZES)

    @page("/batches/<int:batch_id>/photos/<string:kind>", "upload", ("POST",))
    def upload(self, batch_id: int, kind: str) -> Any:
        """The plain form: everything at once."""
        batch = self.fetch(ImportBatch, batch_id)
        photos.start_upload(batch, kind, _given(), actor=self.actor)
        return self.to("show", batch_id=batch.id)

    @page("/batches/<int:batch_id>/photos/<string:kind>/begin", "upload", ("POST",))
    def begin(self, batch_id: int, kind: str) -> Any:
        """The page's script sends what was chosen in parts: it begins, brings them one after the other, and ends."""
        form = request.form
        upload = photos.open_upload(self.fetch(ImportBatch, batch_id), kind, form.get("form", ""), form.get("name", ""),
                                    form.get("count", 0, int), actor=self.actor)
        return jsonify(part=url_for("PhotoView.part", upload_id=upload.id, number=0).rsplit("/", 1)[0],
                       finish=url_for("PhotoView.finish", upload_id=upload.id))

    @page("/uploads/<int:upload_id>/parts/<int:number>", "upload", ("POST",))
    def part(self, upload_id: int, number: int) -> Any:
        photos.add_part(self.fetch(PhotoUpload, upload_id, joinedload(PhotoUpload.batch)), number, _given())
        return jsonify(number=number)

    @page("/uploads/<int:upload_id>/finish", "upload", ("POST",))
    def finish(self, upload_id: int) -> Any:
        upload = self.fetch(PhotoUpload, upload_id, joinedload(PhotoUpload.batch))
        photos.finish(upload, request.form.get("parts", 0, int))
        return jsonify(location=url_for("PhotoView.show", batch_id=upload.batch_id))

    @page("/people/<int:enrolment_id>/photos/<string:kind>", "upload", ("POST",))
    def upload_one(self, enrolment_id: int, kind: str) -> Any:
        person = self.fetch(Enrolment, enrolment_id, joinedload(Enrolment.batch))
        _name, data = uploaded("photo")
        name, batch_id = person.name, person.batch_id
        warnings = photos.upload_one(person, kind, data, actor=self.actor)
        said(_("%(name)s的照片已上传。", name=name))
        for code in warnings:
            said(f"{name}：{fault_reason({'code': code})}", "warning")
        return self.to("show", batch_id=batch_id, **_kept_list(), _anchor=f"person-{enrolment_id}")


def _given() -> list[tuple[str, bytes]]:
    return [(file.filename or "", file.read()) for file in request.files.getlist("photos") if file.filename]


def _kept_list() -> dict[str, str]:
    """The page and filter that the person was on."""
    return {name: value for name in ("page", "lacking", "q") if (value := request.form.get(name, ""))}


def people_lacking(actor: Actor, batch: ImportBatch) -> int:
    """How many people of a batch lack a photo (E15)."""
    lacking = scope.visible(actor, Enrolment).where(
        Enrolment.batch_id == batch.id, Enrolment.portrait_id.is_(None) | Enrolment.id_front_id.is_(None))
    return db.session.scalar(select(func.count()).select_from(lacking.with_only_columns(Enrolment.id).subquery())) or 0


def order_of(actor: Actor, batch: ImportBatch) -> int | None:
    """The order that holds people of a batch, where there is one."""
    return db.session.scalar(scope.visible(actor, Enrolment).with_only_columns(Enrolment.order_id).where(
        Enrolment.batch_id == batch.id, Enrolment.order_id.is_not(None)).limit(1))


def _lacking_filter() -> Filter:
    clauses = {"portrait": Enrolment.portrait_id.is_(None), "id_front": Enrolment.id_front_id.is_(None)}
    return Filter("lacking", _l("照片"), (("any", _l("只看缺照片的")), ("portrait", _l("缺寸照")), ("id_front", _l("缺身份证正面照"))),
                  lambda value: clauses[value] if value in clauses else clauses["portrait"] | clauses["id_front"])


def _uploads(batch: ImportBatch) -> list[dict[str, Any]]:
    """What came of the last uploads, and how far those are that still run."""
    names = photos.kind_names()
    return [{"upload": upload, "kind": names[upload.kind],
             "job": jobs.latest(photos.PHOTO_JOB, upload.id) if upload.state == "waiting" else None,
             "faults": [(fault["name"], fault_reason(fault)) for fault in upload.result.get("faults", ())[:SHOWN]],
             "warnings": [(fault["name"], fault_reason(fault)) for fault in upload.result.get("warnings", ())[:SHOWN]],
             "more": max(0, len(upload.result.get("faults", ())) - SHOWN)} for upload in photos.uploads_of(batch)]
