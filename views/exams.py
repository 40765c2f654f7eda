"""考核计划: the institution's exam plans with their papers, the authority's desk, the enterprise's tickets (I21–I25, E18)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload
from wtforms import SelectMultipleField
from wtforms.validators import InputRequired

from app import clock, jobs, scope, workflow
from app.documents import fonts
from app.errors import Conflict, PortalError
from app.extensions import db
from app.operations import exam_rooms, exams, filings, papers, resits, room_times, ticket_prints
from app.operations.progress import states_of
from app.presentation import moment
from app.workflow import REVIEW_LABELS
from models import Enrolment, ExamPlan, ExamRoom, Institution, Room, Sitting, TicketPrint, TrainingPlan
from views.base import PortalView, download, page, put_error_on, said
from views.forms import Moment, line
from views.listing import Filter, Search, like, listing
from views.records import events_of
from views.reviewing import Column, ReviewDesk

DETAIL = (
    joinedload(ExamPlan.plan).selectinload(TrainingPlan.days), joinedload(ExamPlan.institution), joinedload(ExamPlan.authority),
    selectinload(ExamPlan.rooms).options(joinedload(ExamRoom.occupation), joinedload(ExamRoom.own_room)),
    selectinload(ExamPlan.sittings).joinedload(Sitting.enrolment).options(joinedload(Enrolment.level), joinedload(Enrolment.enterprise)),
)
FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


class ExamForm(FlaskForm):
    """Time, place, people; the rooms follow from them."""

    starts_at = Moment(_l("考核开始"), format=FORMATS, validators=[InputRequired(_l("请填写有效的日期和时间。"))])
    ends_at = Moment(_l("考核结束"), format=FORMATS, validators=[InputRequired(_l("请填写有效的日期和时间。"))])
    place = line(_l("考核地点"), 200)
    enrolment_ids = SelectMultipleField(_l("考生"), coerce=int)
    room_ids = SelectMultipleField(_l("考场"), coerce=int)

    def draft(self) -> exams.ExamDraft:
        """What was typed, as the operation takes it."""
        return exams.ExamDraft(self.place.data.strip(), _aware(self.starts_at.data), _aware(self.ends_at.data),
                               list(self.enrolment_ids.data or []), list(self.room_ids.data or []))


def _aware(typed: datetime) -> datetime:
    return typed.replace(tzinfo=clock.SHANGHAI)


def _typed(value: datetime) -> datetime:
    return value.astimezone(clock.SHANGHAI).replace(tzinfo=None)


def _form(draft: exams.ExamDraft, people: list[Enrolment], rooms: list[Room]) -> ExamForm:
    form = ExamForm(data={"starts_at": _typed(draft.starts_at), "ends_at": _typed(draft.ends_at), "place": draft.place,
                          "enrolment_ids": draft.enrolment_ids, "room_ids": draft.room_ids})
    form.enrolment_ids.choices = [(each.id, each.name) for each in people]
    form.room_ids.choices = [(each.id, each.name) for each in rooms]
    return form


def _taken(form: ExamForm, rooms: Sequence[Room], exam: ExamPlan | None) -> dict[int, room_times.Taken]:
    """What is in each room at the time in the form; nothing where that is no time."""
    begin, end = form.starts_at.data, form.ends_at.data
    if not begin or not end or end <= begin or begin.year < 2000:
        return {}
    found = room_times.taken(rooms, _aware(begin), _aware(end), but=exam)
    return {each.room_id: each for each in reversed(found)}


def _rooms(plan: TrainingPlan) -> list[Room]:
    """The institution's rooms, those for exams first."""
    return sorted(filings.rooms_of(plan.institution), key=lambda room: room.kind != "exam")


def seats_of(exam: ExamPlan) -> dict[int, list[Sitting]]:
    """The sittings of each room, by seat."""
    rooms: dict[int, list[Sitting]] = {room.id: [] for room in exam.rooms}
    for sitting in sorted(exam.sittings, key=lambda each: each.seat):
        rooms[sitting.room_id].append(sitting)
    return rooms


def _sent(paper: papers.Paper) -> Any:
    return download(paper.data, paper.name, paper.content_type)


def _tickets(view: PortalView, exam_id: int) -> Any:
    """All tickets this person may have: the file, or the page on which a job's progress is seen."""
    asked = ticket_prints.ask(view.fetch(ExamPlan, exam_id, *DETAIL[1:3]), actor=view.actor)
    return view.to("print", print_id=asked.id) if isinstance(asked, TicketPrint) else _sent(asked)


def _print(view: PortalView, print_id: int) -> Any:
    row = view.fetch(TicketPrint, print_id, joinedload(TicketPrint.exam_plan))
    return view.page("portal/exams/print.html", row=row, title=_("准考证"), area=type(view).__name__,
                     job=jobs.latest(ticket_prints.JOB, row.id), until=row.created_at + ticket_prints.KEPT)


class ExamView(PortalView):
    """The institution's exam plans."""

    route_base = "/exams"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(scope.visible(self.actor, ExamPlan), order=(ExamPlan.id.desc(),),
                       searches=(Search("q", _l("考核计划"), lambda text: like(ExamPlan.name, text)),),
                       filters=(Filter("state", _l("状态"), [*REVIEW_LABELS.items()], lambda value: ExamPlan.review_state == value),),
                       options=(joinedload(ExamPlan.plan), selectinload(ExamPlan.sittings), selectinload(ExamPlan.rooms)))
        return self.page("portal/exams/list.html", listing=rows, title=_("考核计划"),
                         ready=exams.plans_to_examine(actor=self.actor))

    @page("/add/<int:plan_id>", "add", ("GET", "POST"))
    def add(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id, selectinload(TrainingPlan.days), joinedload(TrainingPlan.institution))
        if plan.attendance_confirmed_at is None:
            raise Conflict(_("请先确认“%(name)s”的考勤，再创建考核计划。", name=plan.name))
        people = exams.candidates(plan, None, joinedload(Enrolment.occupation), joinedload(Enrolment.enterprise))
        rooms = _rooms(plan)
        draft = exams.suggested(plan, people, [room for room in rooms if room.kind == "exam"])
        return self._edit(_form(draft, people, rooms), plan, None, people, rooms)

    @page("/<int:exam_id>/edit", "edit", ("GET", "POST"))
    def edit(self, exam_id: int) -> Any:
        exam = self.fetch(ExamPlan, exam_id, *DETAIL)
        exam_rooms.check_editable(exam)
        people = exams.candidates(exam.plan, exam, joinedload(Enrolment.occupation), joinedload(Enrolment.enterprise))
        rooms = _rooms(exam.plan)
        draft = exams.ExamDraft(exam.place, exam.starts_at, exam.ends_at, [sitting.enrolment_id for sitting in exam.sittings],
                                [room.room_id for room in exam.rooms if room.room_id is not None])
        return self._edit(_form(draft, people, rooms), exam.plan, exam, people, rooms)

    def _edit(self, form: ExamForm, plan: TrainingPlan, exam: ExamPlan | None, people: Sequence[Enrolment], rooms: Sequence[Room]) -> Any:
        proposal = None
        if form.validate_on_submit():
            try:
                if request.form.get("act") == "preview":
                    proposal = exams.preview(exam, plan, form.draft())
                else:
                    saved = exams.save(exam, plan, form.draft(), actor=self.actor)
                    said(_("已保存，考场已按工种编排。核对无误后请提交审核。"))
                    return self.to("show", exam_id=saved.id)
            except PortalError as error:
                put_error_on(form, error)
        return self.page("portal/exams/edit.html", form=form, plan=plan, exam=exam, people=people, rooms=rooms, proposal=proposal,
                         left_out=resits.left_out(plan, people, exam), taken=_taken(form, rooms, exam),
                         by_id={person.id: person for person in people}, room_size=exam_rooms.most_in_a_room(),
                         title=exam.name if exam else _("创建考核计划"), chosen=set(form.enrolment_ids.data or []),
                         chosen_rooms=set(form.room_ids.data or []), unprintable=fonts.unprintable(person.name for person in people))

    @page("/<int:exam_id>", "show")
    def show(self, exam_id: int) -> Any:
        exam = self.fetch(ExamPlan, exam_id, *DETAIL)
        return self.page("portal/exams/show.html", exam=exam, title=exam.name, seats=seats_of(exam),
                         unprintable=fonts.unprintable(sitting.enrolment.name for sitting in exam.sittings),
                         missing=exams.missing_for_submission(exam) if exam.editable else [],
                         without_place=exam_rooms.without_place(exam) if exam.editable else [],
                         events=events_of("exam_plan", exam.id), steps=workflow.steps_open_to(self.actor, exam))

    @page("/<int:exam_id>/submit", "submit", ("POST",))
    def submit(self, exam_id: int) -> Any:
        exams.submit(self.fetch(ExamPlan, exam_id), actor=self.actor)
        said(_("已提交。受理之前可以撤回。"))
        return self.to("show", exam_id=exam_id)

    @page("/<int:exam_id>/withdraw", "submit", ("POST",))
    def withdraw(self, exam_id: int) -> Any:
        workflow.take_step(self.fetch(ExamPlan, exam_id), "withdraw", actor=self.actor)
        said(_("已撤回，可以修改后再次提交。"))
        return self.to("show", exam_id=exam_id)

    @page("/<int:exam_id>/confirm", "confirm", ("POST",))
    def confirm(self, exam_id: int) -> Any:
        exams.confirm_online(self.fetch(ExamPlan, exam_id), actor=self.actor)
        said(_("已确认线上考核，考生名单已发送到考试系统。"))
        return self.to("show", exam_id=exam_id)

    @page("/<int:exam_id>/tickets", "download", ("POST",))
    def tickets(self, exam_id: int) -> Any:
        return _tickets(self, exam_id)

    @page("/prints/<int:print_id>", "download")
    def print(self, print_id: int) -> Any:
        return _print(self, print_id)

    @page("/prints/<int:print_id>/tickets.pdf", "download")
    def printed(self, print_id: int) -> Any:
        return _sent(ticket_prints.read(self.fetch(TicketPrint, print_id, joinedload(TicketPrint.file))))

    @page("/tickets/<int:sitting_id>", "download", ("POST",))
    def ticket(self, sitting_id: int) -> Any:
        return _sent(papers.admission_ticket(self.fetch(Sitting, sitting_id), actor=self.actor))

    @page("/<int:exam_id>/sign-in", "download", ("POST",))
    def sign_in(self, exam_id: int) -> Any:
        text = request.form.get("room", "")
        room_id = int(text) if text.isdecimal() and len(text) < 19 else None
        return _sent(papers.sign_in_sheets(self.fetch(ExamPlan, exam_id, *DETAIL[1:3]), room_id, actor=self.actor))

    @page("/<int:exam_id>/desk-labels", "download", ("POST",))
    def desk_labels(self, exam_id: int) -> Any:
        return _sent(papers.desk_labels(self.fetch(ExamPlan, exam_id, *DETAIL[1:3]), actor=self.actor))

    @page("/<int:exam_id>/summary", "download", ("POST",))
    def summary(self, exam_id: int) -> Any:
        printed = request.form.get("format") == "pdf"
        return _sent(papers.summary(self.fetch(ExamPlan, exam_id, *DETAIL[1:3]), printed=printed, actor=self.actor))


class ExamReviewView(ReviewDesk):
    """考核计划审核."""

    route_base = "/reviews/exams"
    kind = "exam_plan"
    title = _l("考核计划审核")
    show_template = "portal/exams/review.html"
    columns = (
        Column(_l("考核计划"), lambda row: row.name),
        Column(_l("培训机构"), lambda row: row.institution.name),
        Column(_l("考核时间"), lambda row: moment(row.starts_at)),
        Column(_l("考核地点"), lambda row: row.place),
        Column(_l("上报时间"), lambda row: moment(row.submitted_at)),
    )

    def searches(self) -> Any:
        return (Search("q", _l("考核计划"), lambda text: like(ExamPlan.name, text)),
                Search("institution", _l("培训机构"), lambda text: ExamPlan.institution_id.in_(
                    select(Institution.id).where(like(Institution.name, text)))))

    def options(self) -> Any:
        return (joinedload(ExamPlan.institution),)

    def show_values(self, subject: ExamPlan) -> dict[str, Any]:
        exam = self.fetch(ExamPlan, subject.id, *DETAIL)
        return {"exam": exam, "seats": seats_of(exam)}

    @page("/<int:subject_id>/summary", "download", ("POST",))
    def summary(self, subject_id: int) -> Any:
        printed = request.form.get("format") == "pdf"
        return _sent(papers.summary(self.fetch(ExamPlan, subject_id, *DETAIL[1:3]), printed=printed, actor=self.actor))


class EnrolledView(PortalView):
    """已报名列表 of the enterprise, with the admission tickets (E18)."""

    route_base = "/enrolled"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(scope.visible(self.actor, Enrolment).where(Enrolment.state == "enrolled"), order=(Enrolment.id.desc(),),
                       searches=(Search("q", _l("姓名"), lambda text: like(Enrolment.name, text)),
                                 Search("plan", _l("培训计划"), lambda text: Enrolment.plan_id.in_(
                                     select(TrainingPlan.id).where(like(TrainingPlan.name, text))))),
                       options=(joinedload(Enrolment.plan), joinedload(Enrolment.occupation), joinedload(Enrolment.level)))
        sittable = scope.visible(self.actor, Sitting).where(Sitting.enrolment_id.in_([row.id for row in rows.rows]))
        tickets = {row.enrolment_id: row for row in db.session.scalars(
            sittable.order_by(Sitting.id).options(joinedload(Sitting.exam_plan)))}
        approved = db.session.scalars(scope.visible(self.actor, ExamPlan).where(ExamPlan.ends_at > clock.now())
                                      .order_by(ExamPlan.starts_at)).all()
        return self.page("portal/exams/enrolled.html", listing=rows, title=_("已报名列表"), states=states_of(rows.rows), tickets=tickets,
                         exams=approved)

    @page("/tickets/<int:sitting_id>", "download", ("POST",))
    def ticket(self, sitting_id: int) -> Any:
        return _sent(papers.admission_ticket(self.fetch(Sitting, sitting_id), actor=self.actor))

    @page("/exams/<int:exam_id>/tickets", "download", ("POST",))
    def exam_tickets(self, exam_id: int) -> Any:
        return _tickets(self, exam_id)

    @page("/prints/<int:print_id>", "download")
    def print(self, print_id: int) -> Any:
        return _print(self, print_id)

    @page("/prints/<int:print_id>/tickets.pdf", "download")
    def printed(self, print_id: int) -> Any:
        return _sent(ticket_prints.read(self.fetch(TicketPrint, print_id, joinedload(TicketPrint.file))))
