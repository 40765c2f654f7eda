"""成绩更正: written by the institution on the same grid, and the authority's desk (I26)."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy.orm import joinedload, selectinload

from app import workflow
from app.errors import NotFound, PortalError
from app.operations import score_corrections, scores
from app.operations.scores import RESULTS
from models import Enrolment, ExamPlan, ScoreCorrection, ScoreCorrectionLine, Sitting
from views import score_grid
from views.base import PortalView, page, said
from views.records import events_of
from views.reviewing import Column
from views.score_desk import ExamDesk, exam_columns

LINES = selectinload(ScoreCorrection.lines).joinedload(ScoreCorrectionLine.sitting).joinedload(Sitting.enrolment).joinedload(
    Enrolment.enterprise)


class ScoreCorrectionView(PortalView):
    """The corrections of one exam."""

    route_base = "/scores/corrections"
    default_view = "show"

    def _exam(self, exam_id: int) -> ExamPlan:
        return self.fetch(ExamPlan, exam_id, joinedload(ExamPlan.plan), joinedload(ExamPlan.report))

    def _open(self, exam_id: int) -> ScoreCorrection:
        """The correction of this institution's exam that is not approved, or 404."""
        found = score_corrections.open_correction(self._exam(exam_id))
        if found is None:
            raise NotFound("")
        return self.fetch(ScoreCorrection, found.id, LINES)

    @page("/<int:exam_id>", "show")
    def show(self, exam_id: int) -> Any:
        exam = self._exam(exam_id)
        found = score_corrections.corrections_of(exam)
        opened = next((each for each in found if each.review_state != "approved"), None)
        return self.page("portal/scores/corrections.html", exam=exam, title=_("成绩更正"), corrections=found, opened=opened,
                         results=RESULTS, events=events_of("score_correction", opened.id) if opened else [],
                         steps=workflow.steps_open_to(self.actor, opened) if opened else [])

    @page("/<int:exam_id>/edit", "edit", ("GET", "POST"))
    def edit(self, exam_id: int) -> Any:
        exam = self._exam(exam_id)
        score_corrections.check_open(exam, actor=self.actor)
        opened = score_corrections.open_correction(exam)
        rooms = score_grid.rooms_of(exam)
        room = score_grid.chosen_room(rooms)
        people = score_grid.people_in(self.actor, exam, room)
        typed, problem = score_grid.Typed(), ""
        reason = request.form.get("reason", opened.reason if opened else "")
        if request.method == "POST":
            typed = score_grid.read(people, request.form)
            problem = self._save(exam, typed, reason)
            if not problem:
                said(_("更正已保存。核对无误后请提交审核。"))
                return self.to("show", exam_id=exam_id)
        asked = {line.sitting_id: line for line in opened.lines} if opened else {}
        drawn = self.page("portal/scores/correct.html", exam=exam, title=_("填写成绩更正"), rooms=rooms, room=room, people=people,
                          typed=typed, problem=problem, reason=reason,
                          shown=lambda sitting: score_grid.shown(asked.get(sitting.id, sitting)),
                          passing=scores.pass_marks())
        return drawn, 422 if problem else 200

    def _save(self, exam: ExamPlan, typed: score_grid.Typed, reason: str) -> str:
        if typed.faults:
            return _("有 %(n)s 人的成绩需要修改，本页还没有保存。", n=len(typed.faults))
        try:
            score_corrections.save(exam, typed.marks, reason, actor=self.actor)
        except PortalError as error:
            return str(error)
        return ""

    @page("/<int:exam_id>/submit", "submit", ("POST",))
    def submit(self, exam_id: int) -> Any:
        workflow.take_step(self._open(exam_id), "submit", actor=self.actor)
        said(_("更正已提交。审核通过之前，原成绩有效。"))
        return self.to("show", exam_id=exam_id)

    @page("/<int:exam_id>/withdraw", "submit", ("POST",))
    def withdraw(self, exam_id: int) -> Any:
        workflow.take_step(self._open(exam_id), "withdraw", actor=self.actor)
        said(_("已撤回，可以修改后再次提交。"))
        return self.to("show", exam_id=exam_id)

    @page("/<int:exam_id>/discard", "edit", ("POST",))
    def discard(self, exam_id: int) -> Any:
        score_corrections.discard(self._open(exam_id), actor=self.actor)
        said(_("更正已删除，原成绩不变。"))
        return self.to("ScoreView.show", exam_id=exam_id)


class ScoreCorrectionReviewView(ExamDesk):
    """成绩更正审核."""

    route_base = "/reviews/corrections"
    kind = "score_correction"
    title = _l("成绩更正审核")
    show_template = "portal/scores/correction_review.html"
    columns = exam_columns(Column(_l("原因"), lambda row: row.reason[:40]))

    def show_values(self, subject: ScoreCorrection) -> dict[str, Any]:
        correction = self.fetch(ScoreCorrection, subject.id, LINES)
        exam = self.fetch(ExamPlan, subject.exam_plan_id, joinedload(ExamPlan.plan))
        return {"exam": exam, "correction": correction, "results": RESULTS, "lost": score_corrections.certificates_lost(correction)}
