"""证书: generating them, listing them for all parties, printing, and the state of their push (I27, A5, M1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import false, func, select
from sqlalchemy.orm import joinedload

from app import files, scope
from app.crypto import blind
from app.errors import Invalid
from app.extensions import db
from app.operations import certificate_papers, certificates, push
from app.operations.progress import CERTIFICATE_WORDS
from models import Certificate, Enrolment, ExamPlan, Institution, Job, ScoreReport, Sitting
from views.base import PortalView, download, page, said
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
        return self.page("portal/certificates/issue.html", listing=rows, title=_("生成证书"), counts=_counts(ids),
                         jobs=_jobs(ids))

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
        rows = listing(certificate_papers.of_exam(report.exam_plan_id, actor=self.actor), order=(Certificate.number,),
                       searches=(Search("q", _l("姓名"), lambda text: like(Certificate.name, text)),), filters=(_push_filter(),),
                       options=LISTED, size=100)
        return self.page("portal/certificates/issued.html", report=report, title=report.exam_plan.name, listing=rows,
                         job=_jobs([report.id]).get(report.id), counts=_counts([report.id]).get(report.id, (0, 0)))


def _counts(report_ids: list[int]) -> dict[int, tuple[int, int]]:
    """For each report: how many passed, how many have their certificate."""
    rows = db.session.execute(
        select(ScoreReport.id, func.count(Sitting.id.distinct()), func.count(Certificate.enrolment_id.distinct()))
        .join(Sitting, Sitting.exam_plan_id == ScoreReport.exam_plan_id)
        .outerjoin(Certificate, Certificate.enrolment_id == Sitting.enrolment_id)
        .where(ScoreReport.id.in_(report_ids), Sitting.result == "passed").group_by(ScoreReport.id))
    return {key: (passed, issued) for key, passed, issued in rows}


def _jobs(report_ids: list[int]) -> dict[int, Job]:
    rows = db.session.scalars(
        select(Job).where(Job.name == certificates.ISSUE_JOB, Job.subject_id.in_(report_ids)).order_by(Job.id))
    return {job.subject_id: job for job in rows}


def _push_filter() -> Filter:
    return Filter("push", _l("推送"), (("waiting", _l("未推送")), ("pushed", _l("已推送")), ("failed", _l("推送失败"))),
                  lambda value: Certificate.push_state == value)


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

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(scope.visible(self.actor, Certificate), order=(Certificate.id.desc(),), searches=self._searches(),
                       filters=(_push_filter(),), options=LISTED)
        return self.page("portal/certificates/list.html", listing=rows, title=_("证书"), words=CERTIFICATE_WORDS)

    @page("/push", "push", ("POST",))
    def push_many(self) -> Any:
        ids = chosen_ids(scope.visible(self.actor, Certificate), searches=self._searches(), filters=(_push_filter(),))
        if not ids:
            raise Invalid(_("请先勾选要重新推送的证书。"))
        n = push.push_again(ids, actor=self.actor)
        said(_("%(n)s 张证书已重新排队，稍后自动推送。", n=n))
        return self.to("list")

    def _certificate(self, certificate_id: int) -> Certificate:
        return self.fetch(Certificate, certificate_id, *LISTED, joinedload(Certificate.authority),
                          joinedload(Certificate.enrolment).joinedload(Enrolment.portrait))

    @page("/<int:certificate_id>", "show")
    def show(self, certificate_id: int) -> Any:
        row = self._certificate(certificate_id)
        return self.page("portal/certificates/show.html", certificate=row, title=row.number, words=CERTIFICATE_WORDS,
                         check_url=url_for("CertificateLookup.code", number=row.number))

    @page("/<int:certificate_id>/certificate.pdf", "download")
    def pdf(self, certificate_id: int) -> Any:
        row = self._certificate(certificate_id)
        return download(certificate_papers.pdf(row, actor=self.actor), f"证书-{row.number}.pdf", files.PDF)

    @page("/exams/<int:exam_id>/cards.xlsx", "download")
    def cards(self, exam_id: int) -> Any:
        exam = self.fetch(ExamPlan, exam_id)
        return download(certificate_papers.exam_card_data(exam, actor=self.actor), f"证书信息-{exam.name}.xlsx", files.XLSX)

    @page("/<int:certificate_id>/push", "push", ("POST",))
    def push_again(self, certificate_id: int) -> Any:
        push.push_again([self._certificate(certificate_id).id], actor=self.actor)
        said(_("已重新排队，稍后自动推送。"))
        return self.to("show", certificate_id=certificate_id)
