"""成绩报审 of the institution: marks pulled or uploaded, looked through, and reported (I26)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from app import clock, files, jobs, scope, workflow
from app.documents.workbooks import write_table
from app.extensions import db
from app.operations import score_corrections, score_intakes, score_sheets, scores
from app.operations.score_rows import ScoreFaults
from app.operations.scores import RESULTS
from models import Certificate, Enrolment, Enterprise, ExamPlan, ExamRoom, Occupation, ScoreIntake, ScoreReport, Sitting
from views import kept
from views.base import PortalView, download, page, said, uploaded, wants_json
from views.listing import Filter, Search, like, listing, narrowed
from views.records import events_of

SHOWN_FAULTS = 200
SHOWN_DIFFERENCES = 500
SOURCES = {"pull": _l("从考试系统拉取"), "upload": _l("上传表格"), "typed": _l("逐人录入"), "corrected": _l("成绩更正")}
SITTINGS = (joinedload(Sitting.enrolment).joinedload(Enrolment.occupation), joinedload(Sitting.enrolment).joinedload(Enrolment.enterprise))


def _searches() -> tuple[Search, ...]:
    return (Search("q", _l("姓名"), lambda text: Sitting.enrolment.has(like(Enrolment.name, text))),
            Search("ticket", _l("准考证号"), lambda text: like(Sitting.ticket_number, text)),
            Search("enterprise", _l("企业名称"), lambda text: Sitting.enrolment.has(Enrolment.enterprise_id.in_(
                select(Enterprise.id).where(like(Enterprise.name, text))))))


def _filters(exam: ExamPlan) -> tuple[Filter, ...]:
    """Result, occupation and room, of what this exam has."""
    results = [*((key, label) for key, (label, _tone) in RESULTS.items()), ("none", _l("无成绩"))]
    rooms = db.session.execute(select(ExamRoom.id, ExamRoom.number, Occupation.id, Occupation.name)
                               .join(Occupation, ExamRoom.occupation_id == Occupation.id)
                               .where(ExamRoom.exam_plan_id == exam.id).order_by(ExamRoom.number)).all()
    trades = {str(row[2]): row[3] for row in rooms}
    return (Filter("result", _l("结果"), results, lambda value: Sitting.result == (None if value == "none" else value)),
            Filter("trade", _l("工种"), [*trades.items()], lambda value: Sitting.enrolment.has(Enrolment.occupation_id == int(value))),
            Filter("room", _l("考场"), [(str(row[0]), _("第 %(n)s 考场", n=row[1])) for row in rooms],
                   lambda value: Sitting.room_id == int(value)))


def sitting_list(actor: Any, exam: ExamPlan) -> Any:
    """人员成绩明细 of an exam, by ticket, with its search and filters."""
    return listing(scope.visible(actor, Sitting).where(Sitting.exam_plan_id == exam.id), order=(Sitting.ticket_number,),
                   searches=_searches(), filters=_filters(exam), options=SITTINGS, size=100)


def _stage_filter() -> Filter:
    """Where the scores of an exam stand."""
    def clause(value: str) -> Any:
        if value == "report":
            return scores.to_report()
        if value == "correction":
            return score_corrections.unfinished()
        states = {"review": ("submitted", "accepted"), "approved": ("approved",)}[value]
        return ExamPlan.report.has(ScoreReport.review_state.in_(states))

    choices = (("report", _l("待上报")), ("review", _l("审核中")), ("approved", _l("已审核通过")), ("correction", _l("更正未提交")))
    return Filter("stage", _l("阶段"), choices, clause)


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
                       filters=(_stage_filter(),), options=(joinedload(ExamPlan.report), joinedload(ExamPlan.plan)))
        return self.page("portal/scores/list.html", listing=rows, title=_("成绩报审"))

    @page("/<int:exam_id>", "show")
    def show(self, exam_id: int) -> Any:
        return self._show(self._exam(exam_id))

    def _show(self, exam: ExamPlan, faults: Sequence[str] = ()) -> Any:
        report = exam.report
        issued = select(Certificate.id).join(Sitting, Certificate.sitting_id == Sitting.id).where(Sitting.exam_plan_id == exam.id)
        return self.page("portal/scores/show.html", exam=exam, report=report, title=exam.name, results=RESULTS,
                         tally=scores.tally(exam), listing=sitting_list(self.actor, exam), faults=faults, shown_faults=SHOWN_FAULTS,
                         job=jobs.latest(score_intakes.PULL_JOB, exam.id), intake=score_intakes.latest_intake(exam), sources=SOURCES,
                         correction=score_corrections.open_correction(exam) if report else None, started=clock.now() >= exam.starts_at,
                         passing=scores.pass_marks(), issued=db.session.scalar(select(issued.exists())),
                         steps=workflow.steps_open_to(self.actor, report) if report else [],
                         events=events_of("score_report", report.id) if report else [])

    @page("/<int:exam_id>/pull", "pull", ("POST",))
    def pull(self, exam_id: int) -> Any:
        score_intakes.start_pull(self._exam(exam_id), actor=self.actor)
        return self.to("show", exam_id=exam_id)

    @page("/<int:exam_id>/template.xlsx", "download")
    def template(self, exam_id: int) -> Any:
        exam = self.fetch(ExamPlan, exam_id, selectinload(ExamPlan.sittings).joinedload(Sitting.enrolment))
        return download(score_sheets.template(exam), f"成绩表-{exam.name}.xlsx", files.XLSX)

    @page("/<int:exam_id>/upload", "import", ("POST",))
    def upload(self, exam_id: int) -> Any:
        exam = self._exam(exam_id)
        _name, data = uploaded("workbook")
        try:
            sheet = score_sheets.read(exam, data)
        except ScoreFaults as error:
            if wants_json():
                raise
            return self._show(exam, error.faults), 422
        if sheet.differences:
            return self.page("portal/scores/compare.html", exam=exam, title=_("核对成绩改动"), sheet=sheet, sources=SOURCES,
                             results=RESULTS, kept=_kept(exam, sheet), shown=SHOWN_DIFFERENCES)
        return self._taken(exam, score_sheets.take(exam, sheet.marks, sheet.seen, actor=self.actor))

    @page("/<int:exam_id>/upload/take", "import", ("POST",))
    def take(self, exam_id: int) -> Any:
        """What was uploaded, now that its differences were seen."""
        exam = self._exam(exam_id)
        marks, seen, replacing = _opened(exam, request.form.get("kept", ""))
        if request.form.get("which") != "all":
            marks = [mark for mark in marks if mark.ticket_number not in replacing]
        return self._taken(exam, score_sheets.take(exam, marks, seen, actor=self.actor))

    def _taken(self, exam: ExamPlan, intake: ScoreIntake) -> Any:
        said(_("已写入 %(n)s 人的成绩，其中覆盖 %(m)s 人。", n=intake.taken, m=intake.changed) if intake.changed
             else _("已写入 %(n)s 人的成绩。", n=intake.taken))
        return self.to("show", exam_id=exam.id)

    @page("/<int:exam_id>/scores.xlsx", "download")
    def export(self, exam_id: int) -> Any:
        return exported(self.actor, self._exam(exam_id))

    @page("/<int:exam_id>/history", "show")
    def history(self, exam_id: int) -> Any:
        """Each taking-in of scores, and what it changed."""
        exam = self._exam(exam_id)
        return self.page("portal/scores/history.html", exam=exam, title=_("成绩录入记录"), sources=SOURCES, results=RESULTS,
                         intakes=score_intakes.history_of(exam))

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


def _kept(exam: ExamPlan, sheet: score_sheets.Sheet) -> str:
    """The marks of a sheet that change something, what was there, and whom they would replace, sealed for the page that asks."""
    changed = {each.ticket for each in sheet.changes}
    rows = [(mark.ticket_number, mark.theory, mark.practice, mark.absent, mark.cheating) for mark in sheet.marks
            if mark.ticket_number in changed]
    return kept.keep([rows, sheet.seen, [each.ticket for each in sheet.differences]], f"scores:{exam.id}")


def _opened(exam: ExamPlan, text: str) -> tuple[list[scores.Mark], dict[str, Any], set[str]]:
    """The way back. Raises `Invalid` for what is not of this exam, or was changed."""
    rows, seen, replacing = kept.opened(text, f"scores:{exam.id}", _("成绩没有写入。请重新上传成绩表。"))
    return [scores.Mark(*row) for row in rows], {ticket: tuple(each) for ticket, each in seen.items()}, set(replacing)


def exported(actor: Any, exam: ExamPlan) -> Any:
    """人员成绩明细 as a workbook, as far as it is searched and filtered."""
    all_of_it = scope.visible(actor, Sitting).where(Sitting.exam_plan_id == exam.id)
    found, _values = narrowed(all_of_it, _searches(), _filters(exam), request.args)
    rows = db.session.scalars(found.order_by(Sitting.ticket_number).options(*SITTINGS, joinedload(Sitting.room)))
    headings = (_("准考证号"), _("姓名"), _("身份证号"), _("工种"), _("企业名称"), _("考场"), _("座位"),
                _("理论成绩"), _("实操成绩"), _("结果"))
    data = write_table(_("人员成绩明细"), headings, [
        (row.ticket_number, row.enrolment.name, row.enrolment.masked_id_number, row.enrolment.occupation.name,
         row.enrolment.enterprise.name, row.room.number, row.seat, _mark(row.theory), _mark(row.practice),
         str(RESULTS[row.result][0]) if row.result else "") for row in rows])
    return download(data, f"成绩-{exam.name}.xlsx", files.XLSX)


def _mark(tenths: int | None) -> int | float | None:
    """A mark as a number to reckon with: 85, or 85.5."""
    return None if tenths is None else tenths // 10 if tenths % 10 == 0 else tenths / 10
