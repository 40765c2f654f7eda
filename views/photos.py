"""照片: 寸照 and 身份证正面照 of the people on a roster, up to the button 生成订单 (E14, E15, C12)."""

from __future__ import annotations

from typing import Any

from flask import request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from app import jobs, scope
from app.actors import Actor
from app.errors import Conflict, Invalid
from app.extensions import db
from app.operations import photos
from models import Enrolment, ImportBatch
from views.base import PortalView, page, said, uploaded
from views.listing import Filter, Search, like, listing


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
                         kinds=photos.kind_names(), uploads=_uploads(batch))

    @page("/batches/<int:batch_id>/photos/<string:kind>", "upload", ("POST",))
    def upload(self, batch_id: int, kind: str) -> Any:
        batch = self.fetch(ImportBatch, batch_id)
        given = [(file.filename or "", file.read()) for file in request.files.getlist("photos") if file.filename]
        photos.start_upload(batch, kind, given, actor=self.actor)
        return self.to("show", batch_id=batch.id)

    @page("/people/<int:enrolment_id>/photos/<string:kind>", "upload", ("POST",))
    def upload_one(self, enrolment_id: int, kind: str) -> Any:
        person = self.fetch(Enrolment, enrolment_id, joinedload(Enrolment.batch))
        _name, data = uploaded("photo")
        if len(data) > photos.MOST_UPLOAD:
            raise Invalid(_("照片太大，请压缩后再上传。"))
        photos.upload_one(person, kind, data, actor=self.actor)
        said(_("%(name)s的照片已上传。", name=person.name))
        return self.to("show", batch_id=person.batch_id, _anchor=f"person-{person.id}")


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
    """For each kind of photo: its name, where to send it, and what came of the last upload."""
    answer = []
    for kind, name in photos.kind_names().items():
        upload = photos.last_upload(batch, kind)
        job = jobs.latest(photos.PHOTO_JOB, upload.id) if upload is not None and upload.state == "waiting" else None
        answer.append({"kind": kind, "name": name, "upload": upload, "job": job,
                       "url": url_for("PhotoView.upload", batch_id=batch.id, kind=kind)})
    return answer
