"""证书: generating them, listing them for all parties, printing, and the state of their push (I27, A5, M1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import exists, false, func, select
from sqlalchemy.orm import joinedload
from wtforms import RadioField

from app import files, jobs, scope
from app.crypto import blind
from app.documents import fonts
from app.errors import Conflict, Invalid
from app.extensions import db
from app.operations import certificate_archives, certificate_changes, certificate_papers, certificates, push_files
from app.operations.certificate_changes import Wish
from app.operations.progress import CERTIFICATE_WORDS
from app.presentation import day
from app.sets import among
from models import Certificate, CertificateArchive, CertificateChange, Enrolment, ExamPlan, Institution, Job, ScoreReport, Sitting
from views.base import PortalView, download, page, put_error_on, said
from views.forms import line
from views.listing import Filter, Search, chosen_ids, like, listing

LISTED = (joinedload(Certificate.enterprise),)


class CertificateIssueView(PortalView):
    """生成证书: approved reports of this authority."""

    route_base = "/certificates/issue"
    default_view = "list"

    def _statement(self) -> Any:
        return scope.visible(self.actor, ScoreReport).where(
            ScoreReport.review_state == "approved", ScoreReport.authority_id == self.actor.authority_id)

    @staticmethod
    def _filters() -> tuple[Filter, ...]:
        return (Filter("issue", _l("证书"), (("waiting", _l("待生成")), ("done", _l("已生成")), ("all", _l("全部"))),
                       lambda value: {"waiting": certificates.lacks_certificates(), "done": ~certificates.lacks_certificates(),
                                      "all": ScoreReport.id > 0}[value], default="waiting"),)

    @staticmethod
    def _searches() -> tuple[Search, ...]:
        return (Search("q", _l("考核计划"), lambda text: ScoreReport.exam_plan.has(like(ExamPlan.name, text))),)

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(self._statement(), order=(ScoreReport.decided_at, ScoreReport.id), searches=self._searches(),
                       filters=self._filters(), options=(joinedload(ScoreReport.exam_plan), joinedload(ScoreReport.institution)))
        ids = [row.id for row in rows.rows]
        unprintable = [name for names in certificates.unprintable(ids).values() for name in names]
        return self.page("portal/certificates/issue.html", listing=rows, title=_("生成证书"), counts=_counts(ids),
                         jobs=_jobs(ids), unprintable=unprintable)

    @page("/", "issue", ("POST",))
    def issue(self) -> Any:
        ids = chosen_ids(self._statement(), searches=self._searches(), filters=self._filters())
        if not ids:
            raise Invalid(_("请先勾选要生成证书的考核。"))
        started = certificates.start_issue(scope.fetch_many(self.actor, ScoreReport, ids), actor=self.actor)
        said(_("正在为 %(n)s 场考核的合格人员生成证书。", n=len(started)))
        return self.to("show", report_id=ids[0]) if len(ids) == 1 else self.to("list", issue="all")

    @page("/<int:report_id>", "show")
    def show(self, report_id: int) -> Any:
        report = self.fetch(ScoreReport, report_id, joinedload(ScoreReport.exam_plan), joinedload(ScoreReport.institution))
        waiting = certificate_papers.without_file(report.exam_plan_id)
        rows = listing(certificate_papers.of_exam(report.exam_plan_id, actor=self.actor), order=(Certificate.number,),
                       searches=(Search("q", _l("姓名"), lambda text: like(Certificate.name, text)),), filters=(push_filter(),),
                       options=LISTED, size=100)
        return self.page("portal/certificates/issued.html", report=report, title=report.exam_plan.name, listing=rows,
                         job=_jobs([report.id]).get(report.id), signing=_signing(report, waiting),
                         unprintable=certificates.unprintable([report.id]).get(report.id, []),
                         waiting=fonts.unprintable(row.name for row in waiting),
                         counts=_counts([report.id]).get(report.id, (0, 0)))


def _counts(report_ids: list[int]) -> dict[int, tuple[int, int]]:
    """For each report: how many passed, how many of them are not to be given a certificate any more."""
    rows = db.session.execute(
        select(ScoreReport.id, func.count(Sitting.id), func.count(Sitting.id).filter(~certificates.lacks_certificate()))
        .join(Sitting, Sitting.exam_plan_id == ScoreReport.exam_plan_id)
        .where(ScoreReport.id.in_(report_ids), Sitting.result == "passed").group_by(ScoreReport.id))
    return {key: (passed, issued) for key, passed, issued in rows}


def _jobs(report_ids: list[int]) -> dict[int, Job]:
    rows = db.session.scalars(
        select(Job).where(Job.name == certificates.ISSUE_JOB, Job.subject_id.in_(report_ids)).order_by(Job.id))
    return {job.subject_id: job for job in rows}


def _signing(report: ScoreReport, waiting: Sequence[Any]) -> Job | None:
    """The job that draws and signs, as long as it has anything to say: one that failed has not once all that can be printed is there."""
    job: Job | None = jobs.latest(certificates.RENDER_JOB, report.id)
    settled = all(certificate_papers.unprintable(row) for row in waiting)
    return None if job is not None and job.state == "failed" and settled else job


def push_filter() -> Filter:
    return Filter("push", _l("推送"), (
        ("waiting", _l("待推送")), ("exported", _l("已导出待确认")), ("failed", _l("推送失败")), ("pushed", _l("已推送"))),
                  lambda value: Certificate.push_state == value)


def list_ids(statement: Any) -> Any:
    """The ids of the rows of a statement that scope has made."""
    return db.session.scalars(statement.with_only_columns(Certificate.id)).all()


class ReplaceForm(FlaskForm):
    """换发: why, and what of it is to be printed otherwise."""

    cause = RadioField(_l("情形"), choices=list(certificate_changes.CAUSES.items()), default="lost")
    name = line(_l("姓名"), 50, required=False, autocomplete="off")
    id_number = line(_l("更正后的身份证号"), 18, required=False, autocomplete="off", spellcheck="false")
    reason = line(_l("原因"), 200)


def _by_id_number(text: str) -> Any:
    return Certificate.id_number_index == blind(text.upper(), "id_number") if len(text) == 18 else false()


class CertificateView(PortalView):
    """证书查询 for all three parties."""

    route_base = "/certificates"
    default_view = "list"

    def _searches(self) -> Sequence[Search]:
        searches = [Search("q", _l("姓名"), lambda text: like(Certificate.name, text)),
                    Search("number", _l("证书编号"), lambda text: Certificate.number == text),
                    Search("id_number", _l("身份证号（完整）"), _by_id_number)]
        if not self.actor.is_institution:
            searches.append(Search("institution", _l("培训机构"), lambda text: Certificate.institution_id.in_(
                select(Institution.id).where(like(Institution.name, text)))))
        return searches

    def _filters(self) -> tuple[Filter, ...]:
        asked = exists().where(CertificateChange.certificate_id == Certificate.id, CertificateChange.state == "asked")
        common = (Filter("state", _l("状态"), tuple(certificate_changes.STATUS_WORDS.items()), lambda value: Certificate.state == value),
                  push_filter())
        if self.actor.is_institution or self.actor.is_enterprise:  # what is only asked for is the authority's own matter
            return common
        return (*common, Filter("change", _l("申请"), (("asked", _l("待复核")),), lambda _value: asked))

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(scope.visible(self.actor, Certificate), order=(Certificate.id.desc(),), searches=self._searches(),
                       filters=self._filters(), options=LISTED)
        return self.page("portal/certificates/list.html", listing=rows, title=_("证书"), words=CERTIFICATE_WORDS,
                         status=certificate_changes.STATUS_WORDS)

    def _chosen(self) -> Any:
        ids = chosen_ids(scope.visible(self.actor, Certificate), searches=self._searches(), filters=self._filters())
        if not ids:
            raise Invalid(_("请先勾选证书。"))
        return ids

    @page("/cards", "download", ("POST",))
    def chosen_cards(self) -> Any:
        """下载证书信息 of those chosen in the list."""
        chosen = scope.visible(self.actor, Certificate).where(among(Certificate.id, self._chosen()))
        data = certificate_papers.card_data(chosen, "certificate", actor=self.actor)
        if data is None:
            raise Conflict(_("所选证书都已撤销或换发，没有可下载的文件。"))
        return download(data, "证书信息.xlsx", files.XLSX)

    @page("/archives", "download", ("POST",))
    def pack(self) -> Any:
        """打包下载 of those chosen in the list, or of an exam."""
        exam_id = request.form.get("exam_id", "")
        if exam_id.isdigit() and len(exam_id) < 18:
            exam = self.fetch(ExamPlan, int(exam_id))
            ids = list_ids(certificate_papers.of_exam(exam.id, actor=self.actor))
        else:
            ids = self._chosen()
        return self.to("archive", archive_id=certificate_archives.start(ids, actor=self.actor).id)

    @page("/archives/<int:archive_id>", "download")
    def archive(self, archive_id: int) -> Any:
        row = self.fetch(CertificateArchive, archive_id)
        return self.page("portal/certificates/archive.html", archive=row, title=_("打包下载证书"),
                         job=jobs.latest(certificate_archives.JOB, row.id), until=row.created_at + certificate_archives.KEPT)

    @page("/archives/<int:archive_id>/certificates.zip", "download")
    def zip(self, archive_id: int) -> Any:
        row = self.fetch(CertificateArchive, archive_id, joinedload(CertificateArchive.file))
        return download(certificate_archives.read(row), f"证书-{day(row.created_at)}.zip", certificate_archives.ZIP)

    def _certificate(self, certificate_id: int) -> Certificate:
        return self.fetch(Certificate, certificate_id, *LISTED, joinedload(Certificate.authority), joinedload(Certificate.replaces),
                          joinedload(Certificate.occupation), joinedload(Certificate.level),
                          joinedload(Certificate.enrolment).joinedload(Enrolment.portrait))

    @page("/<int:certificate_id>", "show")
    def show(self, certificate_id: int) -> Any:
        row = self._certificate(certificate_id)
        ours = row.authority_id == self.actor.authority_id
        change = certificate_changes.waiting_change(row)
        return self.page("portal/certificates/show.html", certificate=row, title=row.number, words=CERTIFICATE_WORDS, ours=ours,
                         change=change if ours else None, kinds=certificate_changes.KINDS, causes=certificate_changes.CAUSES,
                         status=certificate_changes.STATUS_WORDS, event_words=certificate_changes.EVENT_WORDS,
                         history=certificate_changes.history(row, asked=ours),
                         fault="" if row.file_id else certificate_papers.unprintable(row),
                         check_url=url_for("CertificateLookup.code", number=row.number), by_file=push_files.by_file())

    @page("/<int:certificate_id>/certificate.pdf", "download")
    def pdf(self, certificate_id: int) -> Any:
        row = self._certificate(certificate_id)
        return download(certificate_papers.pdf(row, actor=self.actor), f"证书-{row.number}.pdf", files.PDF)

    @page("/exams/<int:exam_id>/cards.xlsx", "download")
    def cards(self, exam_id: int) -> Any:
        exam = self.fetch(ExamPlan, exam_id)
        return download(certificate_papers.exam_card_data(exam, actor=self.actor), f"证书信息-{exam.name}.xlsx", files.XLSX)

    @page("/<int:certificate_id>/revoke", "change", ("POST",))
    def revoke(self, certificate_id: int) -> Any:
        row = self._certificate(certificate_id)
        change = certificate_changes.ask(row, Wish("revoke", request.form.get("remark", "")), actor=self.actor)
        said(_("已撤销，将通知部里。") if change.state == "done" else _("已提出，由另一人复核后撤销。"))
        return self.to("show", certificate_id=certificate_id)

    @page("/<int:certificate_id>/replace", "change", ("GET", "POST"))
    def replace(self, certificate_id: int) -> Any:
        row = self._certificate(certificate_id)
        certificate_changes.check_open(row, actor=self.actor)
        form = ReplaceForm(data={"name": row.name})
        if request.method == "POST" and form.validate():
            wish = Wish("replace", form.reason.data or "", form.cause.data or "", form.name.data or "", form.id_number.data or "")
            try:
                change = certificate_changes.ask(row, wish, actor=self.actor)
            except Invalid as error:
                put_error_on(form, error)
            else:
                said(_("已换发新证书，原证书不再有效。") if change.state == "done" else _("已提出，由另一人复核后换发。"))
                db.session.refresh(row)
                return self.to("show", certificate_id=row.replacement.id if row.replacement else row.id)
        return self.page("portal/certificates/replace.html", certificate=row, form=form, title=_("换发证书"))

    @page("/<int:certificate_id>/decide", "change", ("POST",))
    def decide(self, certificate_id: int) -> Any:
        row = self._certificate(certificate_id)
        agree = request.form.get("agree") == "1"
        certificate_changes.decide(row, agree, request.form.get("remark", ""), actor=self.actor)
        said(_("已复核，申请已办理。") if agree else _("申请已退回。"))
        return self.to("show", certificate_id=certificate_id)
