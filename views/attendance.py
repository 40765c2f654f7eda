"""考勤 of a class: the grid, one session on a phone, scanning slips, sheets and papers, and asking to unlock (I20)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from datetime import timedelta
from typing import Any

from flask import jsonify, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import or_, select
from sqlalchemy.orm import joinedload

from app import presentation, scope
from app.errors import Conflict, PortalError
from app.extensions import db
from app.operations import attendance, attendance_sheets, attendance_uploads, classes, scanning, unlocking
from app.operations.papers import Paper
from models import AttendanceMark, Enrolment, TrainingPlan
from views import kept
from views.base import PortalView, download, page, said, uploaded, wants_json
from views.listing import Filter, Listing, Search, like, listing

PEOPLE = (joinedload(Enrolment.occupation), joinedload(Enrolment.enterprise))
# A class of this size is one page; the rare larger one has several.
PAGE = 200
SHOWN_DIFFERENCES = 500
SOURCES = {"hand": _l("页面登记"), "workbook": _l("上传表格"), "scan": _l("扫码签到记录"), "settled": _l("核对未扫码人员"),
           "marked": _l("逐人标记"), "rule": _l("按缺课规则")}


def question(plan: TrainingPlan, counts: classes.Attendance) -> str:
    """What is asked before 确认考勤, with those who contradict themselves."""
    asked = str(_("缺勤 %(absent)s 人，其余 %(full)s 人为全勤。确认后须经主管部门同意才能修改，确定吗？", absent=counts.absent,
                  full=counts.full))
    if not (names := attendance.away_yet_scanned(plan)):
        return asked
    some = "、".join(names[:5]) + (_(" 等 %(n)s 人", n=len(names)) if len(names) > 5 else "")
    return _("%(names)s标为整体缺勤，却有扫码签到记录，请核对。", names=some) + asked


class AttendanceView(PortalView):
    """Of the institution's own classes; every act names its plan, and every operation asks again whose it is."""

    route_base = "/classes"
    default_view = "show"

    def _plan(self, plan_id: int) -> TrainingPlan:
        plan = self.fetch(TrainingPlan, plan_id, joinedload(TrainingPlan.institution))
        if plan.class_opened_at is None:
            raise Conflict(_("请先开班，再登记考勤。"))
        return plan

    def _people(self, plan: TrainingPlan) -> Listing:
        def clause(value: str) -> Any:
            missed = Enrolment.id.in_(select(AttendanceMark.enrolment_id).where(
                AttendanceMark.plan_id == plan.id, AttendanceMark.state == "absent"))
            return or_(attendance.absent_clause(plan), missed) if value == "away" else ~or_(attendance.absent_clause(plan), missed)

        return listing(
            scope.visible(self.actor, Enrolment).where(attendance.people_of(plan)), order=(Enrolment.id,), size=PAGE, options=PEOPLE,
            searches=(Search("q", _l("姓名"), lambda text: like(Enrolment.name, text)),),
            filters=(Filter("shown", _l("人员"), (("away", _l("有缺课")), ("full", _l("无缺课"))), clause),))

    @page("/<int:plan_id>/attendance", "show")
    def show(self, plan_id: int) -> Any:
        return self._show(self._plan(plan_id))

    def _show(self, plan: TrainingPlan, faults: Sequence[str] = ()) -> Any:
        rows, counts = self._people(plan), classes.attendance_of(plan)
        sheet = attendance.sheet(plan, rows.rows)
        return self.page(
            "portal/attendance/show.html", plan=plan, title=_("%(name)s考勤", name=plan.name), listing=rows, faults=faults,
            sheet=sheet, counts=counts, question=question(plan, counts),
            least=attendance.least_missed(plan),
            locked=plan.attendance_confirmed_at is not None, closed_to_confirming=classes.obstacle_to_confirming(plan),
            unsettled=[each for each in sheet.sessions if each.unsettled], requests=unlocking.requests_of(plan),
            closed_to_unlocking=unlocking.obstacle_to_unlocking(plan), carried_into=unlocking.carried_into(plan))

    @page("/<int:plan_id>/attendance/marks", "mark", ("POST",))
    def mark(self, plan_id: int) -> Any:
        """`shown` are the cells that stood as away when the page was drawn, `away` those that do now: only what this person has
        changed is written, so that two people at one class do not undo each other."""
        plan = self._plan(plan_id)
        shown = attendance.cells_of(" ".join(request.form.getlist("shown")).split())
        away = attendance.cells_of(request.form.getlist("away"))
        changed = attendance.mark(plan, away - shown, shown - away, actor=self.actor)
        if wants_json():
            counts = classes.attendance_of(plan)
            return jsonify(**attendance.told(plan, {person for person, _day in away ^ shown}), absent=counts.absent,
                           question=question(plan, counts))
        said(_("考勤已保存，%(n)s 处有变化。", n=changed))
        day_id = request.form.get("day", "")
        return self.to("session", plan_id=plan_id, day_id=int(day_id)) if day_id.isdecimal() else self.to("show", plan_id=plan_id)

    @page("/<int:plan_id>/attendance/sessions/<int:day_id>", "show")
    def session(self, plan_id: int, day_id: int) -> Any:
        plan = self._plan(plan_id)
        one = attendance.session_of(plan, day_id)
        rows = self._people(plan)
        found = attendance.sheet(plan, rows.rows)
        return self.page(
            "portal/attendance/session.html", plan=plan, title=one.label, one=one, listing=rows, sheet=found,
            counts=classes.attendance_of(plan), locked=plan.attendance_confirmed_at is not None,
            waiting=self._unscanned(plan, one) if one.unsettled else ())

    def _unscanned(self, plan: TrainingPlan, one: attendance.Session) -> Sequence[Enrolment]:
        """Everyone of the class of whom nothing is known in a session, whatever page of the list is shown."""
        known = select(AttendanceMark.enrolment_id).where(AttendanceMark.day_id == one.id)
        return db.session.scalars(scope.visible(self.actor, Enrolment).where(attendance.people_of(plan), Enrolment.id.not_in(known))
                                  .order_by(Enrolment.id).options(*PEOPLE)).all()

    @page("/<int:plan_id>/attendance/sessions/<int:day_id>/settle", "mark", ("POST",))
    def settle(self, plan_id: int, day_id: int) -> Any:
        ids = [int(text) for text in request.form.getlist("ids") if text.isdecimal() and len(text) < 19]
        away = attendance.settle(self._plan(plan_id), day_id, ids, actor=self.actor)
        said(_("已核对没有扫码的人员：%(n)s 人缺课，其余到课。", n=away))
        return self.to("session", plan_id=plan_id, day_id=day_id)

    @page("/<int:plan_id>/attendance/scan", "mark")
    def scanner(self, plan_id: int) -> Any:
        plan = self._plan(plan_id)
        attendance.check_in_class(plan)
        sessions = [each for each in attendance.sessions_of(plan) if each.open]
        wanted = request.args.get("session", "")
        one = next((each for each in sessions if str(each.id) == wanted), None) or scanning.due_session(plan)
        return self.page("portal/attendance/scan.html", plan=plan, title=_("扫码签到"), sessions=sessions, one=one,
                         head_count=scanning.head_count(plan, one.id) if one else (0, 0))

    @page("/<int:plan_id>/attendance/scan", "mark", ("POST",))
    def scan(self, plan_id: int) -> Any:
        """One slip. What is refused is answered as `refused`, so that a phone knows it from a line that is down."""
        day_id, waited = request.form.get("session", ""), request.form.get("waited", "")
        day = int(day_id) if day_id.isdecimal() and len(day_id) < 19 else 0
        seconds = int(waited) if waited.isdecimal() and len(waited) < 6 else 0
        plan = self.fetch(TrainingPlan, plan_id)
        try:
            found = scanning.scan(plan, day, request.form.get("code", "")[:100], waited=timedelta(seconds=seconds), actor=self.actor)
        except PortalError as error:
            if wants_json():
                return jsonify(refused=True, message=str(error)), 422
            said(str(error), "danger")
            return self.to("scanner", plan_id=plan_id, session=day)
        words = self._words(found)
        if not wants_json():
            said(words, "warning" if found.away_as_a_whole else "success")
            return self.to("scanner", plan_id=plan_id, session=day)
        scanned, people = scanning.head_count(plan, day)
        person = found.person
        return jsonify(message=words, again=found.again, tone="warn" if found.away_as_a_whole else "",
                       name=person.name, occupation=person.occupation.name,
                       enterprise=person.enterprise.name, scanned=scanned, people=people,
                       portrait=url_for("FileView.show", file_id=person.portrait_id) if person.portrait_id else "")

    @classmethod
    def _words(cls, found: scanning.Scanned) -> str:
        words = cls._answer(found)
        if found.away_as_a_whole:
            words += _("注意：%(name)s标为整体缺勤，签到不会改变这一标记。如已恢复培训，请在考勤页取消整体缺勤。", name=found.person.name)
        return words

    @staticmethod
    def _answer(found: scanning.Scanned) -> str:
        at = presentation.moment(found.at)[-5:]
        if found.again:
            return str(_("%(name)s %(at)s 已经签到，无需再扫。", name=found.person.name, at=at))
        if found.was_absent:
            return str(_("%(name)s签到成功，原来标为缺课，现改为到课。", name=found.person.name))
        return str(_("%(name)s签到成功。", name=found.person.name))

    @page("/<int:plan_id>/attendance/template.xlsx", "download")
    def template(self, plan_id: int) -> Any:
        return self._handed_out(attendance_sheets.template(self._plan(plan_id)))

    @page("/<int:plan_id>/attendance/upload", "mark", ("POST",))
    def upload(self, plan_id: int) -> Any:
        plan = self._plan(plan_id)
        _name, data = uploaded("workbook")
        try:
            found = attendance_uploads.read(plan, data)
        except attendance_uploads.AttendanceFaults as error:
            if wants_json():
                raise
            return self._show(plan, error.faults), 422
        if found.differences:
            return self.page("portal/attendance/compare.html", plan=plan, title=_("核对考勤改动"), found=found, sources=SOURCES,
                             kept=kept.keep([astuple(each) for each in found.changes], f"attendance:{plan.id}"), shown=SHOWN_DIFFERENCES)
        return self._taken(plan, found.changes)

    @page("/<int:plan_id>/attendance/upload/take", "mark", ("POST",))
    def take(self, plan_id: int) -> Any:
        """What was uploaded, now that what it replaces was seen."""
        plan = self._plan(plan_id)
        rows = kept.opened(request.form.get("kept", ""), f"attendance:{plan.id}", _("考勤没有写入。请重新上传登记表。"))
        changes = [attendance_uploads.Change(*row) for row in rows]
        return self._taken(plan, [each for each in changes if request.form.get("which") == "all" or not each.replaces])

    def _taken(self, plan: TrainingPlan, changes: Sequence[attendance_uploads.Change]) -> Any:
        written, replaced = attendance_uploads.take(plan, changes, actor=self.actor), sum(each.replaces for each in changes)
        said(_("考勤已写入，%(n)s 处有变化，其中替换原有考勤 %(m)s 处。", n=written, m=replaced) if written and replaced
             else _("考勤已写入，%(n)s 处有变化。", n=written))
        return self.to("show", plan_id=plan.id)

    @page("/<int:plan_id>/attendance/<any(slips, record, printed):kind>", "download", ("POST",))
    def paper(self, plan_id: int, kind: str) -> Any:
        make = {"slips": attendance_sheets.slips, "record": attendance_sheets.record, "printed": attendance_sheets.printed}[kind]
        return self._handed_out(make(self._plan(plan_id), actor=self.actor))

    @staticmethod
    def _handed_out(paper: Paper) -> Any:
        return download(paper.data, paper.name, paper.content_type)

    @page("/<int:plan_id>/attendance/unlock", "ask", ("POST",))
    def ask(self, plan_id: int) -> Any:
        unlocking.ask(self._plan(plan_id), request.form.get("remark", ""), actor=self.actor)
        said(_("已申请解锁，等待主管部门办理。"))
        return self.to("show", plan_id=plan_id)

    @page("/<int:plan_id>/attendance/unlock/drop", "ask", ("POST",))
    def drop(self, plan_id: int) -> Any:
        unlocking.drop(self._plan(plan_id), actor=self.actor)
        said(_("已撤销解锁申请。"))
        return self.to("show", plan_id=plan_id)
