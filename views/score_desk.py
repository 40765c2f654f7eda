"""成绩审核: the authority's desk, with how the marks are spread and what stands out (B5); and what all desks of an exam's marks share."""

from __future__ import annotations

from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from app.extensions import db
from app.operations import certificates, score_statistics, scores
from app.operations.scores import RESULTS
from app.presentation import moment
from models import ExamPlan, ScoreReport, Sitting
from views.base import page
from views.listing import Search, like
from views.reviewing import Column, ReviewDesk
from views.scores import exported, sitting_list


class ExamDesk(ReviewDesk):
    """A desk of what institutions report of their exams."""

    def searches(self) -> Any:
        return (Search("q", _l("考核计划"), lambda text: self.model.exam_plan.has(like(ExamPlan.name, text))),)

    def options(self) -> Any:
        return (joinedload(self.model.exam_plan), joinedload(self.model.institution))


def exam_columns(own: Column) -> tuple[Column, ...]:
    """The columns of such a desk; `own` is the one in which they differ."""
    return (Column(_l("考核计划"), lambda row: row.exam_plan.name), Column(_l("培训机构"), lambda row: row.institution.name), own,
            Column(_l("上报时间"), lambda row: moment(row.submitted_at)))


class ScoreReviewView(ExamDesk):
    """成绩审核."""

    route_base = "/reviews/scores"
    kind = "score_report"
    title = _l("成绩审核")
    show_template = "portal/scores/review.html"
    columns = exam_columns(Column(_l("考核时间"), lambda row: moment(row.exam_plan.starts_at)))

    def show_values(self, subject: ScoreReport) -> dict[str, Any]:
        exam = self.fetch(ExamPlan, subject.exam_plan_id, joinedload(ExamPlan.plan))
        lacking = db.session.scalar(select(func.count(Sitting.id)).where(Sitting.exam_plan_id == exam.id,
                                                                         certificates.lacks_certificate()))
        return {"exam": exam, "listing": sitting_list(self.actor, exam), "results": RESULTS, "tally": scores.tally(exam),
                "passing": scores.pass_marks(), "lacking": lacking, "spreads": score_statistics.spreads(exam),
                "outliers": score_statistics.outliers(exam)}

    @page("/<int:subject_id>/scores.xlsx", "download")
    def export(self, subject_id: int) -> Any:
        report = self.fetch(ScoreReport, subject_id, joinedload(ScoreReport.exam_plan))
        return exported(self.actor, report.exam_plan)
