"""成绩报审: pulling or uploading scores and reporting them, and the authority's desk (I26, B5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload

from app import clock, files, jobs, scope, workflow
from app.documents.workbooks import write_table
from app.extensions import db
from app.operations import scores
from app.presentation import moment
from models import Certificate, Enrolment, ExamPlan, ScoreReport, Sitting
from views.base import PortalView, download, page, said, uploaded, wants_json
from views.listing import Filter, Search, like, listing
from views.records import events_of
from views.reviewing import Column, ReviewDesk

SHOWN_FAULTS = 200
RESULTS = {"passed": (_l("合格"), "ok"), "failed": (_l("不合格"), "bad"), "absent": (_l("缺考"), "warn")}
SITTINGS = (joinedload(Sitting.enrolment).joinedload(Enrolment.occupation), joinedload(Sitting.enrolment).joinedload(Enrolment.enterprise))


def _sitting_list(actor: Any, exam: ExamPlan) -> Any:
    results = [*((key, label) for key, (label, _tone) in RESULTS.items()), ("none", _l("无成绩"))]
    return listing(scope.visible(actor, Sitting).where(Sitting.exam_plan_id == exam.id), order=(Sitting.ticket_number,),
                   searches=(Search("q", _l("姓名"), lambda text: Sitting.enrolment.has(like(Enrolment.name, text))),),
                   filters=(Filter("result", _l("结果"), results, lambda value: Sitting.result == (None if value == "none" else value)),),
                   options=SITTINGS, size=100)


class ScoreView(PortalView):
    """The institution's exams whose plan is approved, and their scores."""

    route_base = "/scores"
    default_view = "list"

    def _exam(self, exam_id: int) -> ExamPlan:
        return self.fetch(ExamPlan, exam_id, joinedload(ExamPlan.plan), joinedload(ExamPlan.report))

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(scope.visible(self.actor, ExamPlan).where(ExamPlan.review_state == "approved"), order=(ExamPlan.starts_at.desc(),),
                       searches=(Search("q", _l("考核计划"), lambda text: like(ExamPlan.name, text)),),
                       options=(joinedload(ExamPlan.report), joinedload(ExamPlan.plan)))
        return self.page("portal/scores/list.html", listing=rows, title=_("成绩报审"))

    @page("/<int:exam_id>", "show")
    def show(self, exam_id: int) -> Any:
        return self._show(self._exam(exam_id))

    def _show(self, exam: ExamPlan, faults: Sequence[str] = ()) -> Any:
        report = exam.report
        issued = select(Certificate.id).join(Sitting, Certificate.sitting_id == Sitting.id).where(Sitting.exam_plan_id == exam.id)
        return self.page("portal/scores/show.html", exam=exam, report=report, title=exam.name, results=RESULTS,
                         tally=scores.tally(exam), listing=_sitting_list(self.actor, exam), faults=faults, shown_faults=SHOWN_FAULTS,
                         job=jobs.latest(scores.PULL_JOB, exam.id), started=clock.now() >= exam.starts_at,
                         passing=scores.pass_marks(), issued=db.session.scalar(select(issued.exists())),
                         steps=workflow.steps_open_to(self.actor, report) if report else [],
                         events=events_of("score_report", report.id) if report else [])

    @page("/<int:exam_id>/pull", "pull", ("POST",))
    def pull(self, exam_id: int) -> Any:
        scores.start_pull(self._exam(exam_id), actor=self.actor)
        return self.to("show", exam_id=exam_id)

    @page("/<int:exam_id>/template.xlsx", "download")
    def template(self, exam_id: int) -> Any:
        exam = self.fetch(ExamPlan, exam_id, selectinload(ExamPlan.sittings).joinedload(Sitting.enrolment))
        return download(scores.template(exam), f"成绩表-{exam.name}.xlsx", files.XLSX)

    @page("/<int:exam_id>/upload", "import", ("POST",))
    def upload(self, exam_id: int) -> Any:
        exam = self._exam(exam_id)
        _name, data = uploaded("workbook")
        try:
            report = scores.upload(exam, data, actor=self.actor)
        except scores.ScoreFaults as error:
            if wants_json():
                raise
            return self._show(exam, error.faults), 422
        said(_("已写入 %(n)s 人的成绩。", n=report.last_import.get("taken", 0)))
        return self.to("show", exam_id=exam_id)

    @page("/<int:exam_id>/scores.xlsx", "download")
    def export(self, exam_id: int) -> Any:
        return _exported(self.actor, self._exam(exam_id))

    @page("/<int:exam_id>/submit", "submit", ("POST",))
    def submit(self, exam_id: int) -> Any:
        scores.submit(self._exam(exam_id), actor=self.actor)
        said(_("成绩已上报。受理之前可以撤回。"))
        return self.to("show", exam_id=exam_id)

    @page("/<int:exam_id>/withdraw", "submit", ("POST",))
    def withdraw(self, exam_id: int) -> Any:
        exam = self._exam(exam_id)
        if exam.report is not None:
            workflow.take_step(exam.report, "withdraw", actor=self.actor)
            said(_("已撤回，可以修改后再次上报。"))
        return self.to("show", exam_id=exam_id)


def _exported(actor: Any, exam: ExamPlan) -> Any:
    """人员成绩明细 as a workbook."""
    rows = db.session.scalars(scope.visible(actor, Sitting).where(Sitting.exam_plan_id == exam.id)
                              .order_by(Sitting.ticket_number).options(*SITTINGS))
    headings = (_("准考证号"), _("姓名"), _("身份证号"), _("工种"), _("企业名称"), _("理论成绩"), _("实操成绩"), _("结果"))
    data = write_table(_("人员成绩明细"), headings, [
        (row.ticket_number, row.enrolment.name, row.enrolment.masked_id_number, row.enrolment.occupation.name,
         row.enrolment.enterprise.name, _mark(row.theory), _mark(row.practice),
         str(RESULTS[row.result][0]) if row.result else "") for row in rows])
    return download(data, f"成绩-{exam.name}.xlsx", files.XLSX)


def _mark(tenths: int | None) -> int | float | None:
    """A mark as a number to reckon with: 85, or 85.5."""
    return None if tenths is None else tenths // 10 if tenths % 10 == 0 else tenths / 10


class ScoreReviewView(ReviewDesk):
    """成绩审核."""

    route_base = "/reviews/scores"
    kind = "score_report"
    title = _l("成绩审核")
    show_template = "portal/scores/review.html"
    columns = (
        Column(_l("考核计划"), lambda row: row.exam_plan.name),
        Column(_l("培训机构"), lambda row: row.institution.name),
        Column(_l("考核时间"), lambda row: moment(row.exam_plan.starts_at)),
        Column(_l("上报时间"), lambda row: moment(row.submitted_at)),
    )

    def searches(self) -> Any:
        return (Search("q", _l("考核计划"), lambda text: ScoreReport.exam_plan.has(like(ExamPlan.name, text))),)

    def options(self) -> Any:
        return (joinedload(ScoreReport.exam_plan), joinedload(ScoreReport.institution))

    def show_values(self, subject: ScoreReport) -> dict[str, Any]:
        exam = self.fetch(ExamPlan, subject.exam_plan_id, joinedload(ExamPlan.plan))
        issued = db.session.scalar(select(func.count(Certificate.id)).join(Sitting, Certificate.sitting_id == Sitting.id)
                                   .where(Sitting.exam_plan_id == exam.id, Certificate.replaces_id.is_(None)))
        return {"exam": exam, "listing": _sitting_list(self.actor, exam), "results": RESULTS, "tally": scores.tally(exam),
                "passing": scores.pass_marks(), "issued": issued}

    @page("/<int:subject_id>/scores.xlsx", "download")
    def export(self, subject_id: int) -> Any:
        report = self.fetch(ScoreReport, subject_id, joinedload(ScoreReport.exam_plan))
        return _exported(self.actor, report.exam_plan)
