"""Scores: pulled from the exam system or taken from a workbook, then reported (I26, B5).

Marks are tenths of a point, 0–1000. `result` is computed here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from app import audit, clock, jobs, parameters, workflow
from app.actors import SYSTEM, Actor
from app.documents import roster
from app.documents.faults import WorkbookFault
from app.documents.workbooks import read_rows
from app.errors import Conflict, Forbidden, Invalid
from app.extensions import db, gateways, transaction
from app.operations.roster_rows import unreadable
from models import ExamPlan, Job, ScoreReport, Sitting

PULL_JOB = "pull_scores"
MOST_BYTES = 5 * 1024 * 1024
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Mark:
    """The marks of one ticket. Absent ones have none."""

    ticket_number: str
    theory: int | None
    practice: int | None
    absent: bool


@dataclass(frozen=True)
class PassMarks:
    """The marks from which theory and practice are passed, in tenths of a point."""

    theory: int
    practice: int


def pass_marks() -> PassMarks:
    """The pass marks as the administrator has set them (B7)."""
    return PassMarks(parameters.number("pass_theory") * 10, parameters.number("pass_practice") * 10)


def result_of(mark: Mark, passing: PassMarks) -> str | None:
    """passed, failed or absent; None while a mark is lacking."""
    if mark.absent:
        return "absent"
    if mark.theory is None or mark.practice is None:
        return None
    return "passed" if mark.theory >= passing.theory and mark.practice >= passing.practice else "failed"


def check_time(exam: ExamPlan) -> None:
    """Scores exist once the exam plan is approved and its time has come. Raises `Conflict`."""
    if exam.review_state != "approved":
        raise Conflict(_("考核计划审核通过后才能录入成绩。"))
    if clock.now() < exam.starts_at:
        raise Conflict(_("考核尚未开始，还没有成绩。"))


def report_of(exam: ExamPlan) -> ScoreReport | None:
    """The report of an exam, made with its first scores."""
    return db.session.scalars(select(ScoreReport).where(ScoreReport.exam_plan_id == exam.id)).first()


def start_pull(exam: ExamPlan, *, actor: Actor) -> Job:
    """拉取考生成绩: ask for the job. Raises `Conflict` before the exam, or once its scores are reported."""
    check_time(exam)
    _check_editable(report_of(exam))
    with transaction():
        waiting = jobs.latest(PULL_JOB, exam.id)
        if waiting is not None and waiting.state in ("waiting", "running"):
            return waiting
        audit.record(actor, "pull_scores", exam)
        return jobs.schedule(PULL_JOB, exam.id, institution_id=exam.institution_id)


def run_pull(exam_plan_id: int, report: Report) -> None:
    """The job: ask the exam system and take in what it has. Pulled twice, the newer answer stands; once the scores are
    reported nothing changes any more."""
    exam = db.session.get(ExamPlan, exam_plan_id)
    if exam is None:
        return
    number = exam.number
    db.session.commit()  # no lock is held while the exam system thinks
    rows = gateways().exam.fetch_scores(number)
    report(1, 2)
    marks = [Mark(row.ticket_no, row.theory, row.practice, row.absent) for row in rows]
    if not marks:
        raise Invalid(_("考试系统还没有本场考核的成绩，请稍后再拉取。"))
    take_in(exam, marks, "pull", actor=SYSTEM)


def take_in(exam: ExamPlan, marks: Sequence[Mark], source: str, *, actor: Actor) -> ScoreReport:
    """Write marks to the sittings they name, in one transaction and by sets. Tickets of nobody are told on the report.

    Raises `Conflict` once the scores are reported.
    """
    passing = pass_marks()
    try:
        with transaction() as session:
            found = session.scalars(select(ScoreReport).where(ScoreReport.exam_plan_id == exam.id).with_for_update()).first()
            _check_editable(found)
            if found is None:
                found = ScoreReport(exam_plan_id=exam.id, institution_id=exam.institution_id, authority_id=exam.authority_id,
                                    created_at=clock.now(), review_state="draft", review_round=1)
                session.add(found)
            sittings = {row.ticket_number: row.id for row in session.execute(
                select(Sitting.ticket_number, Sitting.id).where(Sitting.exam_plan_id == exam.id))}
            at = clock.now()
            rows = [{"id": sittings[mark.ticket_number], "theory": mark.theory, "practice": mark.practice,
                     "result": result_of(mark, passing), "scored_at": at, "score_source": source}
                    for mark in marks if mark.ticket_number in sittings]
            if rows:
                session.execute(update(Sitting), rows)
            unknown = sorted({mark.ticket_number for mark in marks} - set(sittings))
            found.last_import = {"at": at.isoformat(), "source": source, "taken": len(rows), "unknown": unknown[:50]}
            session.flush()
            audit.record(actor, "take_in_scores", exam, {"source": source, "taken": len(rows), "unknown": len(unknown)})
    except IntegrityError:
        raise Conflict(_("成绩正在被另一次操作写入，请刷新页面后再试。")) from None
    session.expire_all()
    return found


def _check_editable(report: ScoreReport | None) -> None:
    if report is not None and not report.editable:
        raise Conflict(_("成绩已上报，不能再修改。如需修改，请先撤回。"))


def template(exam: ExamPlan) -> bytes:
    """The score sheet of an exam, with every candidate."""
    return roster.score_template([(sitting.ticket_number, sitting.enrolment.name) for sitting in exam.sittings])


def upload(exam: ExamPlan, data: bytes, *, actor: Actor) -> ScoreReport:
    """Take scores from a workbook: all rows, or none and every fault told. Raises `Invalid`."""
    check_time(exam)
    _check_editable(report_of(exam))
    if len(data) > MOST_BYTES:
        raise Invalid(_("表格超过 5 MB，请删去多余的内容后再上传。"), "workbook")
    try:
        sheets = read_rows(data, max_rows=20_000)
    except WorkbookFault as fault:
        raise Invalid(unreadable(fault), "workbook") from None
    found = roster.locate(sheets, roster.SCORE_SHEET, roster.SCORE_HEADINGS, (roster.TICKET_NO, roster.THEORY, roster.PRACTICE))
    if found is None or found.missing:
        raise Invalid(_("没有找到表头。请下载成绩表，填写后上传，不要改动表头。"), "workbook")
    known = set(db.session.scalars(select(Sitting.ticket_number).where(Sitting.exam_plan_id == exam.id)))
    marks, faults = _marks(found, known)
    if faults:
        shown = "；".join(faults[:10]) + (_("；等共 %(n)s 处", n=len(faults)) if len(faults) > 10 else "")
        raise Invalid(_("成绩没有写入，请修改后重新上传：%(faults)s。", faults=shown), "workbook")
    return take_in(exam, marks, "upload", actor=actor)


def _marks(found: roster.Located, known: set[str]) -> tuple[list[Mark], list[str]]:
    marks: list[Mark] = []
    faults: list[str] = []
    seen: set[str] = set()
    for offset, cells in enumerate(found.sheet.rows[found.heading_row:]):
        row = found.heading_row + 1 + offset
        values = {heading: cells[column - 1] if column <= len(cells) else None for heading, column in found.columns.items()}
        ticket = _ticket(values[roster.TICKET_NO])
        if not ticket and all(value in (None, "") for value in values.values()):
            continue
        if ticket not in known:
            faults.append(_("第 %(row)s 行的准考证号不属于本次考核", row=row))
        elif ticket in seen:
            faults.append(_("第 %(row)s 行的准考证号重复", row=row))
        seen.add(ticket)
        absent = str(values.get(roster.ABSENT) or "").strip() == "是"
        theory = None if absent else _tenths(values[roster.THEORY], row, roster.THEORY, faults)
        practice = None if absent else _tenths(values[roster.PRACTICE], row, roster.PRACTICE, faults)
        marks.append(Mark(ticket, theory, practice, absent))
    if not marks:
        faults.append(_("表格里没有成绩"))
    return marks, faults


def _ticket(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) else str(value or "").strip()


def _tenths(value: Any, row: int, heading: str, faults: list[str]) -> int | None:
    """A mark as typed: 0 to 100, at most one decimal."""
    try:
        tenths = round(float(value) * 10, 6)
    except (TypeError, ValueError):
        faults.append(_("第 %(row)s 行的%(heading)s应为 0 到 100 的数字，缺考请在“缺考”列选“是”", row=row, heading=heading))
        return None
    if not 0 <= tenths <= 1000 or tenths != int(tenths):
        faults.append(_("第 %(row)s 行的%(heading)s应在 0 到 100 之间，最多一位小数", row=row, heading=heading))
        return None
    return int(tenths)


def lacking(exam: ExamPlan) -> int:
    """How many candidates have no result yet."""
    return sum(sitting.result is None for sitting in exam.sittings)


def submit(exam: ExamPlan, *, actor: Actor) -> None:
    """成绩上报. Raises `Invalid` while a result is lacking, `Conflict` when it is reported already."""
    report = report_of(exam)
    if report is None:
        raise Invalid(_("还没有成绩，请先拉取或上传。"))
    if actor.institution_id != exam.institution_id:
        raise Forbidden(_("只有组织考核的培训机构可以上报成绩。"))
    if report.editable and (n := lacking(exam)):
        raise Invalid(_("还有 %(n)s 名考生没有成绩，请补全后再上报；缺考的请标为缺考。", n=n))
    workflow.take_step(report, "submit", actor=actor)
