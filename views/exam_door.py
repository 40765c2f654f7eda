"""核验准考证: the page on the phone of who stands at an exam's door (I25, E18)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import jsonify, request, url_for
from flask_babel import gettext as _

from app import clock, presentation
from app.errors import PortalError
from app.operations import door
from app.operations.papers import room_name
from models import ExamPlan
from views.base import PortalView, page, said, wants_json


def _clock(at: datetime | None) -> str:
    """09:02 of today, 11-25 09:02 of another day."""
    words = presentation.moment(at)
    return words[-5:] if words.startswith(presentation.day(clock.now())) else words[5:]


class ExamDoorView(PortalView):
    """Of the institution's own exams."""

    route_base = "/exams"
    default_view = "show"

    @page("/<int:exam_id>/door", "show")
    def show(self, exam_id: int) -> Any:
        exam = self.fetch(ExamPlan, exam_id)
        rooms = door.rooms_of(exam)
        wanted = request.args.get("session", "")
        return self.page("portal/exams/door.html", exam=exam, title=_("核验准考证"), rooms=rooms,
                         room=(room := next((room for room in rooms if str(room.id) == wanted), None)),
                         admitted=door.admitted(exam, room.id if room else 0))

    @page("/<int:exam_id>/door", "check", ("POST",))
    def check(self, exam_id: int) -> Any:
        """One ticket. What is refused is answered as `refused`, so that a phone knows it from a line that is down."""
        exam = self.fetch(ExamPlan, exam_id)
        text = request.form.get("session", "")
        room_id = int(text) if text.isdecimal() and len(text) < 19 else 0
        waited = request.form.get("waited", "")
        seconds = int(waited) if waited.isdecimal() and len(waited) < 6 else 0
        try:
            found = door.check(exam, request.form.get("code", "")[:100], room_id, waited=timedelta(seconds=seconds), actor=self.actor)
        except PortalError as error:
            if wants_json():
                return jsonify(refused=True, message=str(error)), 422
            said(str(error), "danger")
            return self.to("show", exam_id=exam_id, session=room_id or None)
        words, person = self._words(found), found.sitting.enrolment
        doubtful = found.elsewhere or found.typed or found.again
        if not wants_json():
            said(f"{person.name}：{words}", "warning" if doubtful else "success")
            return self.to("show", exam_id=exam_id, session=room_id or None)
        there, people = door.admitted(exam, room_id)
        return jsonify(name=person.name, message=words, tone="warn" if doubtful else "ok", scanned=there, people=people,
                       detail=f"{person.occupation.name} · {person.enterprise.name} · {person.masked_id_number}",
                       portrait=url_for("FileView.show", file_id=person.portrait_id) if person.portrait_id else "")

    @staticmethod
    def _words(found: door.Shown) -> str:
        where = _("%(room)s %(seat)s 号", room=room_name(found.sitting.room), seat=f"{found.sitting.seat:02d}")
        if found.elsewhere:
            return str(_("不在本考场，应到%(where)s。", where=where))
        if found.again:
            return str(_("这张准考证 %(at)s 已由%(by)s核验入场，%(where)s。请核对身份证，谨防冒用。", where=where, by=found.admitted_by,
                         at=_clock(found.admitted_at)))
        if found.typed:
            return str(_("%(where)s。只按准考证号查到，没有核验二维码，请核对身份证。", where=where))
        if found.admitted_at is None:
            return str(_("准考证有效，%(where)s。不在考核时间，未登记入场。", where=where))
        return str(_("准考证有效，%(where)s。", where=where))
