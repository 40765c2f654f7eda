"""Many signed PDFs in one zip: packed by a job with progress, kept for a day (I27)."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Sequence
from datetime import timedelta

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app import audit, clock, files, jobs
from app.actors import Actor
from app.errors import Conflict, Invalid
from app.extensions import db, let_go, transaction
from app.operations import certificate_papers
from app.sets import among
from models import Certificate, CertificateArchive

JOB = "pack_certificates"
TIDY = "forget_archives"
KIND = "certificate_zip"
ZIP = "application/zip"
# About 80 kB each: 80 MB.
MOST = 1_000
KEPT = timedelta(days=1)
Report = Callable[[int, int], None]


def start(ids: Sequence[int], *, actor: Actor) -> CertificateArchive:
    """Ask for a zip of the valid ones among these, which the caller has chosen through scope. On record, for ID numbers stand in
    full in them. Raises `Invalid` for too many, `Conflict` where none is valid."""
    if len(ids) > MOST:
        raise Invalid(_("一次最多打包 %(n)s 张证书，请增加条件后分几次下载。", n=MOST))
    with transaction() as session:
        valid = list(session.scalars(select(Certificate.id).where(among(Certificate.id, ids), Certificate.state == "valid")
                                     .order_by(Certificate.number)))
        if not valid:
            raise Conflict(_("所选证书都已撤销或换发，没有可下载的文件。"))
        row = CertificateArchive(institution_id=actor.institution_id, enterprise_id=actor.enterprise_id, authority_id=actor.authority_id,
                                 user_id=actor.user_id or 0, ids=valid, faults=[], created_at=clock.now())
        session.add(row)
        session.flush()
        jobs.schedule(JOB, row.id, total=len(valid), institution_id=actor.institution_id, enterprise_id=actor.enterprise_id,
                      authority_id=actor.authority_id)
        audit.record(actor, "pack_certificates", "certificate", {"count": len(valid)})
    return row


def run_pack(archive_id: int, report: Report) -> None:
    """The job: make the PDFs that are not there yet, giving way part by part, and pack all. A second run finds it done."""
    found = db.session.get(CertificateArchive, archive_id)
    if found is None or found.file_id is not None:
        return
    total = len(found.ids)
    lacking = db.session.execute(
        select(Certificate.id, Certificate.number, Certificate.name, Certificate.institution_name)
        .where(among(Certificate.id, found.ids), Certificate.state == "valid", Certificate.file_id.is_(None)).order_by(Certificate.number)
    ).all()
    faults = certificate_papers.make_part(lacking, total, report)
    with tempfile.TemporaryFile() as out:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            for begin in range(0, total, certificate_papers.CHUNK):
                part = found.ids[begin:begin + certificate_papers.CHUNK]
                rows = db.session.scalars(
                    select(Certificate).where(among(Certificate.id, part), Certificate.state == "valid").order_by(Certificate.number)
                    .options(joinedload(Certificate.file)).execution_options(populate_existing=True)).all()
                for name, data in certificate_papers.each_pdf(rows):
                    archive.writestr(name, data)
                let_go()
                report(total - 1, total)
        out.seek(0)
        data = out.read()
    with transaction() as session:
        row = session.get_one(CertificateArchive, archive_id, populate_existing=True, with_for_update=True)
        if row.file_id is None:
            row.file = files.keep(data, kind=KIND, name="证书.zip", content_type=ZIP)
            row.faults = faults
    report(total, total)


def read(archive: CertificateArchive) -> bytes:
    """The zip. Raises `Conflict` before it is packed."""
    if archive.file is None:
        raise Conflict(_("文件还没有打包好，请稍后再下载。"))
    return files.read(archive.file)


def run_tidy(_subject: int, _report: Report) -> None:
    """The job, hourly: remove what is older than a day."""
    files.forget_made(CertificateArchive, clock.now() - KEPT)
