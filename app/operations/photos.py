"""Photos of the people on a roster: 寸照 and 身份证正面照, in a zip, many at once, or one by one (E14, C12).

What is brought is kept in parts and a job is asked for (`photo_matching`). A zip that a page cuts into slices, or many loose files
that it sends group by group, is an upload that stays open until the page says it is whole.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from app import audit, clock, files, jobs, workflow
from app.actors import Actor
from app.documents.faults import PictureFault
from app.documents.kinds import kind_of
from app.errors import Conflict, Invalid
from app.extensions import db, gateways, let_go, transaction
from app.gateways.errors import GatewayError
from app.operations import photo_matching
from app.operations.photo_matching import PHOTO_JOB, SIZES
from app.operations.photo_words import kind_names, picture_reason
from models import Enrolment, ImportBatch, PhotoPart, PhotoUpload

__all__ = ["PHOTO_JOB", "SIZES", "kind_names", "picture_reason"]

MOST_UPLOAD = 64 * 1024 * 1024
# Of an upload in parts: each of them, and all together.
MOST_PART, MOST_PARTS, MOST_WHOLE = 12 * 1024 * 1024, 400, 300 * 1024 * 1024
Given = Sequence[tuple[str, bytes]]


def _check(batch: ImportBatch, kind: str) -> None:
    if batch.state != "clean":
        raise Conflict(_("名单导入成功后才能上传照片。"))
    if kind not in SIZES:
        raise Invalid(_("请选择寸照或身份证正面照。"))


def _check_loose(given: Given) -> None:
    for name, data in given:
        found = kind_of(data[:4096])
        if found in ("rar", "7z", "gzip") or name.lower().endswith((".rar", ".7z")):
            raise Invalid(_("“%(name)s”是 %(kind)s 压缩包，请改用 zip 格式（please use zip）。", name=name[-60:],
                            kind=(found if found in ("rar", "7z", "gzip") else name.rsplit(".", 1)[-1]).upper()))


def start_upload(batch: ImportBatch, kind: str, given: Given, *, actor: Actor) -> list[PhotoUpload]:
    """Keep photos that came in one form and ask for their matching: each zip is an upload of its own, loose files are one
    together. Raises `Invalid` when nothing usable came."""
    _check(batch, kind)
    if not given:
        raise Invalid(_("请先选择照片或压缩包，再上传。"))
    if sum(len(data) for _name, data in given) > MOST_UPLOAD:
        raise Invalid(_("一次上传超过 64 MB，请分几次上传。"))
    _check_loose(given)
    wholes = [("zip", name, data) for name, data in given if kind_of(data[:4096]) == "zip"]
    loose = [(name, data) for name, data in given if kind_of(data[:4096]) != "zip"]
    if loose:
        wholes.append(("files", "", _packed(loose)))
    let_go()
    with transaction():
        made = []
        for form, name, data in wholes:
            upload = _opened(batch, kind, form, name, len(given), actor)
            _add(upload, 0, data)
            _ask(upload)
            made.append(upload)
    return made


def open_upload(batch: ImportBatch, kind: str, form: str, name: str, count: int, *, actor: Actor) -> PhotoUpload:
    """Begin an upload whose parts follow (`add_part`, then `finish`)."""
    _check(batch, kind)
    if form not in ("zip", "files"):
        raise Invalid(_("请先选择照片或压缩包，再上传。"))
    with transaction():
        return _opened(batch, kind, form, name, count, actor)


def _opened(batch: ImportBatch, kind: str, form: str, name: str, count: int, actor: Actor) -> PhotoUpload:
    upload = PhotoUpload(batch_id=batch.id, kind=kind, form=form, name=name[-200:], state="open", created_at=clock.now())
    db.session.add(upload)
    db.session.flush()
    audit.record(actor, "upload_photos", batch, {"kind": kind, "files": count})
    return upload


def add_part(upload: PhotoUpload, number: int, given: Given) -> None:
    """Keep the n-th part: a slice of the zip, or a group of loose files. A part that comes a second time, because the answer to the
    first was lost, is left as it is. Raises `Conflict` when the upload is no longer open, `Invalid` for a part that is too large."""
    if upload.state != "open":
        raise Conflict(_("这次上传已结束。请刷新页面后重新上传。"))
    if not given or not 0 <= number < MOST_PARTS or sum(len(data) for _name, data in given) > MOST_PART:
        raise Invalid(_("上传的内容过大。请刷新页面后分几次上传。"))
    if upload.form == "files":
        _check_loose(given)
    if number == 0 and upload.form == "zip" and (found := kind_of(given[0][1][:4096])) != "zip":
        raise Invalid(photo_matching.not_zip_reason(found))
    data = given[0][1] if upload.form == "zip" else _packed(given)
    let_go()
    try:
        with transaction() as session:
            if session.scalar(select(PhotoPart.id).where(PhotoPart.upload_id == upload.id, PhotoPart.number == number)) is None:
                _add(upload, number, data)
    except IntegrityError:
        pass  # the same part came twice at once: one of them is kept


def _add(upload: PhotoUpload, number: int, data: bytes) -> None:
    stored = files.keep(data, kind="photo_upload", name=f"{upload.kind}.part", content_type="application/octet-stream",
                        enterprise_id=upload.batch.enterprise_id)
    db.session.add(PhotoPart(upload_id=upload.id, number=number, file_id=stored.id))
    db.session.flush()


def _packed(given: Given) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in given:
            archive.writestr(name.replace("\\", "/").rsplit("/", 1)[-1] or "?", data)
    return out.getvalue()


def finish(upload: PhotoUpload, parts: int) -> None:
    """Say that an upload is whole: its job is asked for, once. Raises `Conflict` when parts are missing."""
    with transaction() as session:
        upload = session.get_one(PhotoUpload, upload.id, populate_existing=True)
        if upload.state != "open":
            return
        there = session.execute(select(PhotoPart).where(PhotoPart.upload_id == upload.id).options(joinedload(PhotoPart.file))
                                .order_by(PhotoPart.number)).scalars().all()
        if parts < 1 or [part.number for part in there] != list(range(parts)):
            raise Conflict(_("有一部分没有上传成功。请重新上传。"))
        if sum(part.file.size for part in there) > MOST_WHOLE:
            raise Invalid(_("压缩包太大，请分几次上传。"))
        _ask(upload)


def _ask(upload: PhotoUpload) -> None:
    workflow.move(PhotoUpload, [upload.id], "state", workflow.PHOTO_MOVES, "open", "waiting")
    jobs.schedule(PHOTO_JOB, upload.id, enterprise_id=upload.batch.enterprise_id)


def upload_one(enrolment: Enrolment, kind: str, data: bytes, *, actor: Actor) -> list[str]:
    """One picture of one person, whatever the file is called; answers what is to be said of it besides. Raises `Invalid` or `Conflict`."""
    batch, name = enrolment.batch, enrolment.name
    if batch is None:  # carried over from another class: paid long ago
        raise Conflict(_("%(name)s已生成订单，照片不能再更换。", name=name))
    _check(batch, kind)
    rules = photo_matching.rules_of(kind)
    let_go()
    try:
        kept = photo_matching.prepared(gateways().storage, rules, data)
    except PictureFault as fault:
        raise Invalid(_("%(name)s的%(kind)s：%(reason)s", name=name, kind=kind_names()[kind],
                        reason=picture_reason(fault.code, fault.message_args))) from None
    except GatewayError as error:
        raise Conflict(photo_matching.storage_trouble()) from error
    with photo_matching.kept_or_gone(gateways().storage, [kept]), transaction():
        if not photo_matching.attach(batch, kind, [(enrolment.id, kept)]):
            raise Conflict(_("%(name)s已生成订单，照片不能再更换。", name=name))
        photo_matching.ask_readings(batch, kind)
        audit.record(actor, "upload_photo", enrolment, {"kind": kind})
    return [photo_matching.NO_FACE] if kept.faceless else []


def uploads_of(batch: ImportBatch, most: int = 6) -> Sequence[PhotoUpload]:
    """The newest uploads for a batch; those that were begun and never finished are left out."""
    found: Any = db.session.scalars(select(PhotoUpload).where(PhotoUpload.batch_id == batch.id, PhotoUpload.state != "open")
                                    .order_by(PhotoUpload.id.desc()).limit(most)).all()
    return list(found)
