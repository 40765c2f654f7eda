"""The certificate as a signed PDF: drawn and signed once, kept, and handed out as it was kept (I27)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from itertools import islice
from typing import Any

from flask import current_app
from flask_babel import gettext as _
from sqlalchemy import Select, select, update
from sqlalchemy.orm import joinedload

from app import audit, clock, files, jobs, scope
from app.actors import Actor
from app.documents import papers
from app.documents.faults import PaperFault
from app.documents.fonts import codes, missing_glyphs
from app.documents.qr import qr_png
from app.documents.signing import Signer
from app.documents.workbooks import write_table
from app.errors import Conflict, PortalError
from app.extensions import db, gateways, let_go, transaction, will_write
from app.gateways.errors import MissingObject
from app.operations import layouts
from app.operations.signing_keys import in_use, signer_of
from app.presentation import day
from app.sets import among
from models import Certificate, Enrolment, ExamPlan, ScoreReport, Sitting

KIND = "certificate"
# Drawn by one child at a time: enough that reading the fonts does not count, few enough that a kill costs little.
CHUNK = 25
SIGNED_AT_ONCE = 8
# So many are made before other jobs come in between: ten seconds and less.
PART = 250
MAKE_GOOD_JOB = "make_good_certificates"
# Until then the job of the exam is still about them.
MAKE_GOOD_AFTER = timedelta(hours=1)
DRAWN = (joinedload(Certificate.authority), joinedload(Certificate.file),
         joinedload(Certificate.enrolment).joinedload(Enrolment.portrait))
_LACKING = select(Certificate.id, Certificate.number, Certificate.name, Certificate.institution_name, Certificate.authority_id).where(
    Certificate.state == "valid", Certificate.file_id.is_(None))
Report = Callable[[int, int], None]
log = logging.getLogger("portal.certificates")


def check_url(number: str) -> str:
    """Where the QR code leads: the public page of this certificate."""
    return f"{current_app.extensions['settings'].public_url}/c/{number}"


def _ended(certificate: Certificate) -> Conflict:
    word = _("已撤销") if certificate.state == "revoked" else _("已换发")
    return Conflict(_("证书 %(number)s %(word)s，不能下载。", number=certificate.number, word=word))


def pdf(certificate: Certificate, *, actor: Actor) -> bytes:
    """The signed PDF of a certificate. The holder's number stands in it in full, so handing it out is on record.

    Drawn and signed here if the job has not got that far. Raises `Conflict` for one that is no longer valid, or cannot be drawn.
    """
    if certificate.state != "valid":
        raise _ended(certificate)
    will_write()
    if certificate.file_id is None:
        make([certificate.id])
    row = db.session.scalars(select(Certificate).where(Certificate.id == certificate.id).options(*DRAWN)
                             .execution_options(populate_existing=True)).one()
    if row.file is None:
        raise Conflict(unprintable(row) or _("证书文件暂时生成不了，请稍后再试。"))
    data = files.read(row.file)
    let_go()
    with transaction():
        audit.record(actor, "print_certificate", row)
    return data


def unprintable(row: Any) -> str:
    """Why a certificate (or its name and institution) cannot be printed, and whom to ask, in words; "" where it can."""
    for text in (row.name, row.institution_name):
        if lacking := missing_glyphs(text):
            return _("字库里没有“%(text)s”中的 %(codes)s，证书文件要等这个字的字体。编号、查验和推送照常。请联系系统管理员安装字体，"
                     "装好后文件自动生成；姓名有误的，请发证的主管部门更正后换发。", text=text, codes=codes(lacking))
    return ""


def without_file(exam_id: int) -> Sequence[Any]:
    """The valid certificates of an exam that have no PDF yet: id, number, name, institution_name."""
    return db.session.execute(_LACKING.join(Sitting, Certificate.sitting_id == Sitting.id)
                              .where(Sitting.exam_plan_id == exam_id).order_by(Certificate.number)).all()


def run_render(report_id: int, report: Report) -> None:
    """The job: draw and sign the certificates of an exam that have no PDF yet. Run twice it goes on where the other stopped. It gives way
    part by part: the push, which shares its worker, is not kept waiting by an exam of thousands. Those whose names no font can print
    are no failure of it: the pages name them, and `run_make_good` makes them once a font is there."""
    rows = db.session.execute(
        select(Certificate.id, Certificate.number, Certificate.name, Certificate.institution_name, Certificate.file_id)
        .join(Sitting, Certificate.sitting_id == Sitting.id).join(ScoreReport, ScoreReport.exam_plan_id == Sitting.exam_plan_id)
        .where(ScoreReport.id == report_id, Certificate.state == "valid").order_by(Certificate.number)).all()
    for fault in make_part([row for row in rows if row.file_id is None], len(rows), report):
        log.warning("waits for a font: %s", fault)


def run_make_good(_subject: int, report: Report) -> None:
    """The job, hourly: make the PDFs that should long be there and can be made by now, a font or a key having come."""
    rows = list(islice(_can_be_made(), PART + 1))
    make_part(rows, len(rows), report)


def can_make_good() -> bool:
    """Whether that job has anything to do."""
    return next(_can_be_made(), None) is not None


def _can_be_made() -> Iterator[Any]:
    """One after the other, from the oldest: whoever asks for a few reads no further."""
    signs: dict[int, bool] = {}
    lacking = _LACKING.where(Certificate.created_at < clock.now() - MAKE_GOOD_AFTER).order_by(Certificate.id)
    with closing(db.session.execute(lacking.execution_options(yield_per=500))) as rows:
        for row in rows:
            if row.authority_id not in signs:
                key = in_use(row.authority_id)
                signs[row.authority_id] = key is not None and key.state != "expired"
            if signs[row.authority_id] and not unprintable(row):
                yield row


def make_part(lacking: Sequence[Any], total: int, report: Report) -> list[str]:
    """Make the PDFs of those certificates (id, number, name, institution_name) that lack theirs, of `total` in all, and answer why some
    cannot be printed. Raises `jobs.MoreToDo` after `PART` of them while others are left."""
    said = {row.id: unprintable(row) for row in lacking}
    ids = [key for key, fault in said.items() if not fault]
    before = total - len(ids)
    make(ids[:PART], lambda done, _total: report(before + done, total))
    if ids[PART:]:
        raise jobs.MoreToDo
    return [f"{row.number}：{said[row.id]}" for row in lacking if said[row.id]]


def make(ids: Sequence[int], report: Report | None = None) -> list[str]:
    """Draw, sign and keep the PDFs of these certificates, chunk by chunk; while one chunk is signed the next is drawn. Answers why
    some could not be, each in a sentence. Of two at once the one that is kept first counts, and the other's is forgotten."""
    faults: list[str] = []
    chunks = [ids[begin:begin + CHUNK] for begin in range(0, len(ids), CHUNK)]
    source = layouts.current("certificate")
    with ThreadPoolExecutor(1) as pool:
        drawn = None
        for n, chunk in enumerate([*chunks, None]):
            rows = _load(chunk, faults) if chunk else []
            following = pool.submit(_drawn, rows, source) if rows else None
            if drawn is not None:
                _sign_and_keep(_done(drawn))
            if report is not None:
                report(min(n * CHUNK, len(ids)), len(ids))
            drawn = following
        if drawn is not None:
            _sign_and_keep(_done(drawn))
    return faults


# A certificate ready to be drawn: id, authority, its name, the number, the data of the template, its pictures.
Drawing = tuple[int, int, str, str, dict[str, Any], dict[str, bytes]]
Drawn = list[tuple[Drawing, bytes]]


def _load(ids: Sequence[int], faults: list[str]) -> list[Drawing]:
    """What is drawn of each, its pictures included; nothing is held in the database afterwards."""
    found: list[Drawing] = []
    for row in db.session.scalars(select(Certificate).where(among(Certificate.id, ids), Certificate.file_id.is_(None)).options(*DRAWN)):
        if fault := unprintable(row):
            faults.append(f"{row.number}：{fault}")
            continue
        found.append((row.id, row.authority_id, row.authority.name, row.number, *_paper(row)))
    let_go()
    return found


def _paper(row: Certificate) -> tuple[dict[str, Any], dict[str, bytes]]:
    issued_on, pictures = row.issued_on, {f"qr{row.id}.png": qr_png(check_url(row.number))}
    photo = ""
    if row.enrolment.portrait is not None:
        try:
            pictures[f"p{row.id}.jpg"] = files.read(row.enrolment.portrait)
            photo = f"p{row.id}.jpg"
        except MissingObject:
            log.error("the portrait of certificate %s is not in the storage", row.number)
    return {
        "title": _("建设行业职业技能人员职业培训合格证"), "check_address": check_url(row.number),
        "certificates": [{
            "number": row.number, "name": row.name, "sex": row.sex, "id_number": row.id_number, "occupation": row.occupation_name,
            "level": row.level_name, "institution": row.institution_name, "authority": row.authority.name,
            "issued_on": f"{issued_on.year}年{issued_on.month:02d}月{issued_on.day:02d}日", "photo": photo, "qr": f"qr{row.id}.png"}],
    }, pictures


def _drawn(rows: list[Drawing], source: str | None) -> Drawn:
    """The unsigned PDFs. Runs in a thread that touches no database."""
    pictures = {name: content for *_rest, each in rows for name, content in each.items()}
    return list(zip(rows, papers.render_each("certificate", [row[4] for row in rows], pictures, source=source), strict=True))


def _done(drawn: Future[Drawn]) -> Drawn:
    try:
        return drawn.result()
    except PaperFault as fault:
        log.error("certificates could not be drawn: %s", fault)
        raise PortalError(_("证书文件没有生成成功，已记录下来。请稍后再试；若一直如此，请联系系统管理员。")) from None


def _sign_and_keep(drawn: Drawn) -> None:
    """Sign a chunk and keep it. A timestamp service that gives no timestamp is passing trouble: nothing of the chunk is kept then."""
    signers = {authority_id: signer_of(authority_id) for authority_id in {row[1] for row, _plain in drawn}}
    let_go()

    def sign(row: Drawing, plain: bytes) -> bytes:
        signer: Signer = signers[row[1]]
        return signer.sign(plain, number=row[3], name=row[2])

    # Several at once where a timestamp is waited for; without one threads would only take the processor from one another.
    with ThreadPoolExecutor(SIGNED_AT_ONCE if gateways().timestamps else 1) as pool:
        signed = list(pool.map(sign, *zip(*drawn, strict=True)))
    for (key, _authority_id, _authority, number, _data, _pictures), data in zip((row for row, _plain in drawn), signed, strict=True):
        with transaction() as session:
            stored = files.keep(data, kind=KIND, name=f"证书-{number}.pdf", content_type=files.PDF)
            kept = session.execute(update(Certificate).where(Certificate.id == key, Certificate.file_id.is_(None)).values(file_id=stored.id)
                                   .returning(Certificate.id), execution_options={"synchronize_session": False}).first()
            if kept is None:
                files.forget(stored)


def of_exam(exam_id: int, *, actor: Actor) -> Select[Certificate]:
    """The certificates that came of an exam, as far as this person may see them."""
    return scope.visible(actor, Certificate).join(Sitting, Certificate.sitting_id == Sitting.id).where(
        Sitting.exam_plan_id == exam_id)


def exam_card_data(exam: ExamPlan, *, actor: Actor) -> bytes:
    """下载证书信息 of an exam. Raises `Conflict` while there are no certificates."""
    data = card_data(of_exam(exam.id, actor=actor), exam, actor=actor)
    if data is None:
        raise Conflict(_("这场考核还没有生成证书。主管部门生成后即可下载。"))
    return data


def card_data(statement: Select[Certificate], subject: Any, *, actor: Actor) -> bytes | None:
    """The data cards are made from (I27) of the valid ones among these, in full and therefore on record; None where there are none."""
    headings = (_("证书编号"), _("姓名"), _("性别"), _("身份证号"), _("职业（工种）"), _("技能等级"), _("企业名称"), _("培训机构"),
                _("发证日期"), _("查验网址"))
    valid = statement.where(Certificate.state == "valid").order_by(Certificate.number).options(joinedload(Certificate.enterprise))
    rows = [(row.number, row.name, row.sex, row.id_number, row.occupation_name, row.level_name, row.enterprise.name,
             row.institution_name, day(row.issued_on), check_url(row.number)) for row in db.session.scalars(valid)]
    if not rows:
        return None
    will_write()
    with transaction():
        audit.record(actor, "download_card_data", subject, {"count": len(rows)})
    return write_table(_("证书信息"), headings, rows)


def each_pdf(rows: Iterable[Certificate]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the PDFs that are there."""
    for row in rows:
        if row.file is not None:
            yield f"{row.number}-{row.name}.pdf", files.read(row.file)
