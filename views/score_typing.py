"""逐人录入: marks typed in a grid, a room at a time (I26)."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _
from sqlalchemy.orm import joinedload

from app.errors import Conflict, PortalError
from app.operations import score_intakes, scores
from models import ExamPlan
from views import score_grid
from views.base import PortalView, page, said


class ScoreTypingView(PortalView):
    """For exams without the exam system, and for single marks."""

    route_base = "/scores/typing"
    default_view = "type"

    @page("/<int:exam_id>", "edit", ("GET", "POST"))
    def type(self, exam_id: int) -> Any:
        exam = self.fetch(ExamPlan, exam_id, joinedload(ExamPlan.plan), joinedload(ExamPlan.report))
        scores.check_time(exam)
        scores.check_editable(exam.report)
        rooms = score_grid.rooms_of(exam)
        room = score_grid.chosen_room(rooms)
        people = score_grid.people_in(self.actor, exam, room)
        typed, problem = score_grid.Typed(), ""
        if request.method == "POST":
            typed = score_grid.read(people, request.form)
            problem = self._save(exam, typed)
            if not problem and not typed.faults:
                following = next((each for each in score_grid.rooms_of(exam) if each.lacking), None)
                if following is None:
                    return self.to("ScoreView.show", exam_id=exam_id)
                return self.to("type", exam_id=exam_id, room=following.id)
            rooms, people = score_grid.rooms_of(exam), score_grid.people_in(self.actor, exam, room)
        drawn = self.page("portal/scores/type.html", exam=exam, title=_("逐人录入"), rooms=rooms, room=room, people=people, typed=typed,
                          problem=problem, shown=score_grid.shown, passing=scores.pass_marks())
        return drawn, 422 if problem or typed.faults else 200

    def _save(self, exam: ExamPlan, typed: score_grid.Typed) -> str:
        """Write the room, all or nothing; what was wrong otherwise."""
        if typed.faults:
            return _("有 %(n)s 人的成绩需要修改，本页还没有保存。", n=len(typed.faults))
        if not typed.marks:
            said(_("没有改动。"), "info")
            return ""
        try:
            intake = score_intakes.type_in(exam, typed.marks, typed.seen, actor=self.actor)
        except Conflict as error:
            typed.texts.clear()  # what is there now is shown: it was written by somebody else
            return str(error)
        except PortalError as error:
            return str(error)
        said(_("已保存 %(n)s 人的成绩。", n=intake.taken))
        return ""
