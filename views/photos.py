"""Photos of the people on a list: many at once or one by one (E14)."""

from __future__ import annotations

from typing import Any

from flask import request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy.orm import joinedload

from app import jobs
from app.errors import Invalid
from app.operations import photos, rosters
from models import Enrolment, ImportBatch
from views.base import PortalView, page, said, uploaded
from views.listing import Filter


class PhotoView(PortalView):
    """寸照 and 身份证正面照."""

    route_base = "/enrol"

    @page("/batches/<int:batch_id>/photos/<string:kind>", "edit", ("POST",))
    def upload(self, batch_id: int, kind: str) -> Any:
        batch = self.fetch(ImportBatch, batch_id)
        given = [(file.filename or "", file.read()) for file in request.files.getlist("photos") if file.filename]
        photos.start_upload(batch, kind, given, actor=self.actor)
        return self.to("RosterView.show", batch_id=batch.id, _anchor="photos")

    @page("/people/<int:enrolment_id>/photos/<string:kind>", "edit", ("POST",))
    def upload_one(self, enrolment_id: int, kind: str) -> Any:
        person = self.fetch(Enrolment, enrolment_id, joinedload(Enrolment.batch))
        _name, data = uploaded("photo")
        if len(data) > photos.MOST_UPLOAD:
            raise Invalid(_("照片太大，请压缩后再上传。"))
        photos.upload_one(person, kind, data, actor=self.actor)
        said(_("%(name)s的照片已上传。", name=person.name))
        return self.to("RosterView.show", batch_id=person.batch_id, _anchor=f"person-{person.id}")


def lacking_filter() -> Filter:
    """Who lacks a photo."""
    clauses = {"portrait": Enrolment.portrait_id.is_(None), "id_front": Enrolment.id_front_id.is_(None)}
    return Filter("lacking", _l("照片"), (("portrait", _l("缺寸照")), ("id_front", _l("缺身份证正面照"))), lambda value: clauses[value])


def uploads_of(batch: ImportBatch) -> list[dict[str, Any]]:
    """For each kind of photo: its name, where to send it, and what came of the last upload."""
    answer = []
    for kind, name in photos.kind_names().items():
        upload = rosters.last_upload(batch, kind)
        job = jobs.latest(photos.PHOTO_JOB, upload.id) if upload is not None and upload.state == "waiting" else None
        answer.append({"kind": kind, "name": name, "upload": upload, "job": job,
                       "url": url_for("PhotoView.upload", batch_id=batch.id, kind=kind)})
    return answer
