"""准考证 of everyone of an exam: at once where they are few, by a job with progress where they are many (I25, E18)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from flask_babel import gettext as _
from sqlalchemy import Select, select

from app import audit, clock, files, jobs
from app.actors import Actor
from app.errors import Conflict
from app.extensions import db, transaction
from app.operations import papers
from models import Enrolment, ExamPlan, Job, Sitting, TicketPrint

JOB = "draw_tickets"
TIDY = "forget_ticket_prints"
KIND = "tickets"
# Drawn while a person waits: about a second.
AT_ONCE = 100
KEPT = timedelta(days=1)
Report = Callable[[int, int], None]


def ask(exam: ExamPlan, *, actor: Actor) -> papers.Paper | TicketPrint:
    """The tickets of everyone of this exam whom this person may see, or the print that a job will draw. Asked again while
    one's own is being drawn, that one: of two presses at once the second waits for the first, and finds its print. Raises as
    `papers.admission_tickets`."""
    with transaction() as session:
        session.execute(select(ExamPlan.id).where(ExamPlan.id == exam.id).with_for_update())
        if under_way := _under_way(exam, actor):
            return under_way
        people = papers.counted(exam, papers.those_seen(exam, actor))
        if people > AT_ONCE:
            row = TicketPrint(exam_plan_id=exam.id, institution_id=actor.institution_id, enterprise_id=actor.enterprise_id,
                              user_id=actor.user_id or 0, people=people, created_at=clock.now())
            session.add(row)
            session.flush()
            jobs.schedule(JOB, row.id, total=people, institution_id=actor.institution_id, enterprise_id=actor.enterprise_id)
            audit.record(actor, "download_tickets", exam, {"people": people})
            return row
    return papers.admission_tickets(exam, actor=actor)


def _under_way(exam: ExamPlan, actor: Actor) -> TicketPrint | None:
    going = select(Job.subject_id).where(Job.name == JOB, Job.state.in_(("waiting", "running")))
    return db.session.scalars(select(TicketPrint).where(
        TicketPrint.exam_plan_id == exam.id, TicketPrint.user_id == actor.user_id, TicketPrint.file_id.is_(None),
        TicketPrint.id.in_(going)).order_by(TicketPrint.id.desc()).limit(1)).first()


def _of_print(row: TicketPrint) -> Select[Sitting]:
    """Whom a print is about: an enterprise's own people, or everyone of the exam."""
    everyone = select(Sitting).where(Sitting.exam_plan_id == row.exam_plan_id)
    if row.enterprise_id is None:
        return everyone
    return everyone.where(Sitting.enrolment_id.in_(select(Enrolment.id).where(Enrolment.enterprise_id == row.enterprise_id)))


def run_draw(print_id: int, report: Report) -> None:
    """The job: draw who is seated now, and keep the file. A second run finds it there."""
    row = db.session.get(TicketPrint, print_id)
    if row is None or row.file_id is not None:
        return
    report(0, row.people)
    data = papers.drawn_tickets(row.exam_plan, _of_print(row), report)
    with transaction() as session:
        row = session.get(TicketPrint, print_id, populate_existing=True, with_for_update=True)
        if row is not None and row.file_id is None:
            row.file = files.keep(data, kind=KIND, name=f"{row.exam_plan.name}准考证.pdf"[:200], content_type=files.PDF)


def read(row: TicketPrint) -> papers.Paper:
    """The file, of a print that was fetched through scope. Raises `Conflict` before it is drawn."""
    if row.file is None:
        raise Conflict(_("准考证还没有生成好，请稍后再下载。"))
    return papers.Paper(row.file.name, files.read(row.file), files.PDF)


def run_tidy(_subject: int, _report: Report) -> None:
    """The job, hourly: remove what is older than a day."""
    files.forget_made(TicketPrint, clock.now() - KEPT)
