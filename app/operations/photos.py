"""Photos of the people on a roster: 寸照 and 身份证正面照, in a zip, many at once, or one by one (E14, C12)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select, update

from app import audit, clock, files, jobs, workflow
from app.actors import Actor
from app.crypto import vault
from app.documents.archives import Skipped, photos_in
from app.documents.faults import ArchiveFault, PictureFault
from app.documents.pictures import clean_jpeg
from app.errors import Conflict, Invalid
from app.extensions import db, transaction
from app.identifiers import mask_id_number
from models import Enrolment, ImportBatch, PhotoUpload

PHOTO_JOB = "match_photos"
# Shorter side in pixels, and the longest side kept.
SIZES = {"portrait": (200, 1200), "id_front": (300, 1600)}
MOST_UPLOAD = 64 * 1024 * 1024
AT_ONCE = 50
Report = Callable[[int, int], None]


def kind_names() -> dict[str, str]:
    """The kinds in the person's words."""
    return {"portrait": _("寸照"), "id_front": _("身份证正面照")}


def _check_batch(batch: ImportBatch) -> None:
    if batch.state != "clean":
        raise Conflict(_("名单导入成功后才能上传照片。"))


def start_upload(batch: ImportBatch, kind: str, given: list[tuple[str, bytes]], *, actor: Actor) -> PhotoUpload:
    """Keep uploaded photos and ask for their matching. One zip is taken as it is; loose files are packed into one, so that
    the job knows one way. Raises `Invalid` when nothing usable came."""
    _check_batch(batch)
    if kind not in SIZES:
        raise Invalid(_("请选择寸照或身份证正面照。"))
    if not given:
        raise Invalid(_("请先选择照片或压缩包，再上传。"))
    if sum(len(data) for _name, data in given) > MOST_UPLOAD:
        raise Invalid(_("一次上传超过 64 MB，请分几次上传。"))
    data = given[0][1] if len(given) == 1 and given[0][0].lower().endswith(".zip") else _packed(given)
    with transaction() as session:
        stored = files.keep(data, kind="photo_upload", name=f"{kind}.zip", content_type="application/zip",
                            enterprise_id=batch.enterprise_id)
        upload = PhotoUpload(batch_id=batch.id, kind=kind, file_id=stored.id, created_at=clock.now())
        session.add(upload)
        session.flush()
        jobs.schedule(PHOTO_JOB, upload.id, enterprise_id=batch.enterprise_id)
        audit.record(actor, "upload_photos", batch, {"kind": kind, "files": len(given)})
    return upload


def _packed(given: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in given:
            archive.writestr(name.replace("\\", "/").rsplit("/", 1)[-1], data)
    return out.getvalue()


@dataclass
class _Matching:
    """The people of a batch by blind index, and what has been found so far."""

    people: dict[bytes, int]
    matched: dict[int, int] = field(default_factory=dict)
    faults: list[dict[str, str]] = field(default_factory=list)

    def fault(self, name: str, reason: str) -> None:
        self.faults.append({"name": _masked(name), "reason": reason})


def run_photo_upload(upload_id: int, report: Report) -> None:
    """The job: match each picture to a person by its name, clean and keep it. Unmatched, damaged and duplicate files are
    named. Run twice it ends the same: pictures replace each other, the upload is done once."""
    upload = db.session.get(PhotoUpload, upload_id)
    if upload is None or upload.state != "waiting":
        return
    batch = upload.batch
    data = files.read(upload.file)
    people = db.session.execute(select(Enrolment.id_number_index, Enrolment.id).where(
        Enrolment.batch_id == batch.id, Enrolment.state == "draft"))
    matching = _Matching({bytes(index): key for index, key in people})
    db.session.commit()
    skipped: list[Skipped] = []
    try:
        _match_all(batch, upload.kind, photos_in(data, skipped=skipped), matching, report)
    except ArchiveFault as fault:
        matching.fault(upload.file.name, archive_reason(fault))
    for each in skipped:
        matching.fault(each.name, _("压缩包里的这个文件无法读取，请单独上传。"))
    with transaction():
        workflow.move(PhotoUpload, [upload.id], "state", workflow.PHOTO_MOVES, "waiting", "done",
                      result={"matched": len(matching.matched), "faults": matching.faults})


def _match_all(batch: ImportBatch, kind: str, pictures: Iterable[tuple[str, bytes]], matching: _Matching, report: Report) -> None:
    """Clean and keep pictures in groups, each group in a short transaction of its own."""
    group: list[tuple[int, bytes]] = []
    done = 0
    for name, data in pictures:
        person = _person_of(name, matching)
        if person is None:
            continue
        try:
            group.append((person, cleaned(kind, data)))
            matching.matched[person] = 1
        except PictureFault as fault:
            matching.fault(name, picture_reason(fault))
        done += 1
        if len(group) >= AT_ONCE:
            _keep(batch, kind, group)
            group = []
            report(done, max(done, len(matching.people)))
    if group:
        _keep(batch, kind, group)


def _person_of(name: str, matching: _Matching) -> int | None:
    """The person a file's name says, or None with the reason noted (C12: <ID number>.jpg, X in either case)."""
    stem, _dot, ending = name.rpartition(".")
    if ending.lower() not in ("jpg", "jpeg"):
        matching.fault(name, _("不是 .jpg 照片。"))
        return None
    person = matching.people.get(vault().index(stem.strip().upper(), "id_number"))
    if person is None:
        matching.fault(name, _("名单中没有这个身份证号。请检查文件名。"))
        return None
    if person in matching.matched:
        matching.fault(name, _("同一人有多张照片，已采用第一张。"))
        return None
    return person


def cleaned(kind: str, data: bytes) -> bytes:
    """The re-encoded picture. Raises `PictureFault`."""
    shortest, longest = SIZES[kind]
    return clean_jpeg(data, min_side=shortest, max_side=longest).data


def _keep(batch: ImportBatch, kind: str, group: list[tuple[int, bytes]]) -> None:
    with transaction():
        for person, data in group:
            _attach(batch, kind, person, data)


def _attach(batch: ImportBatch, kind: str, person: int, data: bytes) -> bool:
    """Give a draft its picture; one that is ordered meanwhile keeps what it has."""
    stored = files.keep(data, kind=kind, name=f"{kind}.jpg", content_type=files.JPEG, enterprise_id=batch.enterprise_id)
    won = db.session.execute(
        update(Enrolment).where(Enrolment.id == person, Enrolment.batch_id == batch.id, Enrolment.state == "draft")
        .values({f"{kind}_id": stored.id}).returning(Enrolment.id).execution_options(synchronize_session=False)).first()
    return won is not None


def upload_one(enrolment: Enrolment, kind: str, data: bytes, *, actor: Actor) -> None:
    """One picture of one person, whatever the file is called. Raises `Invalid` or `Conflict`."""
    batch = enrolment.batch
    if batch is None:
        raise Conflict(_("%(name)s由缺勤转入，照片沿用原报名，不能更换。", name=enrolment.name))
    _check_batch(batch)
    if kind not in SIZES:
        raise Invalid(_("请选择寸照或身份证正面照。"))
    try:
        picture = cleaned(kind, data)
    except PictureFault as fault:
        raise Invalid(_("%(name)s的%(kind)s：%(reason)s", name=enrolment.name, kind=kind_names()[kind],
                        reason=picture_reason(fault))) from None
    with transaction():
        if not _attach(batch, kind, enrolment.id, picture):
            raise Conflict(_("%(name)s已生成订单，照片不能再更换。", name=enrolment.name))
        audit.record(actor, "upload_photo", enrolment, {"kind": kind})


def last_upload(batch: ImportBatch, kind: str) -> PhotoUpload | None:
    """The newest upload of photos of one kind."""
    return db.session.scalars(select(PhotoUpload).where(PhotoUpload.batch_id == batch.id, PhotoUpload.kind == kind)
                              .order_by(PhotoUpload.id.desc()).limit(1)).first()


def picture_reason(fault: PictureFault) -> str:
    """What is wrong with a picture, and what to do."""
    args: dict[str, Any] = fault.message_args
    return {
        "too_big": _("超过 2 MB，请压缩后再上传。"),
        "not_jpeg": _("不是 JPG 图片，请另存为 JPG 后再上传。"),
        "too_small": _("尺寸太小（短边不足 %(n)s 像素），请换清晰的照片。", n=args.get("limit", "")),
        "too_many_pixels": _("像素过大，请缩小后再上传。"),
    }.get(fault.code, _("图片已损坏，请重新拍摄或另存后再上传。"))


def archive_reason(fault: ArchiveFault) -> str:
    """What is wrong with an archive as a whole, and what to do."""
    args: dict[str, Any] = fault.message_args
    if fault.code == "not_zip" and args.get("kind") in ("rar", "7z", "gzip"):
        return _("压缩包是 %(kind)s 格式，请改用 zip 格式。", kind=str(args["kind"]).upper())
    return {
        "not_zip": _("不是 zip 压缩包，请重新压缩后上传。"),
        "too_big": _("压缩包太大，请分几次上传。"),
        "unpacked_too_big": _("压缩包解开后太大，请分几次上传。"),
        "too_many_files": _("压缩包里文件太多，请分几次上传。"),
    }.get(fault.code, _("压缩包已损坏，请重新压缩后上传。"))


def _masked(name: str) -> str:
    """A file's name as it may be shown: an ID number in it is masked."""
    stem, dot, ending = name.rpartition(".")
    return f"{mask_id_number(stem)}{dot}{ending}" if len(stem) == 18 else name[:60]
