"""Scores: pulled from the exam system or taken from a workbook, then reported (I26, B5).

Marks are tenths of a point, 0–1000. `result` is computed here and nowhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import isnan, nan
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from app import audit, clock, jobs, parameters, workflow
from app.actors import SYSTEM, Actor
from app.documents import roster
from app.documents.faults import WorkbookFault
from app.documents.workbooks import read_rows
from app.errors import Conflict, Forbidden, Invalid
from app.extensions import db, gateways, let_go, transaction
from app.gateways.errors import GatewayError
from app.operations.roster_rows import unreadable
from models import Enrolment, ExamPlan, Job, ScoreReport, Sitting

PULL_JOB = "pull_scores"
MOST_BYTES = 5 * 1024 * 1024
Report = Callable[[int, int], None]
log = logging.getLogger("portal.scores")


@dataclass(frozen=True)
class Mark:
    """The marks of one ticket. Absent ones have none."""

    ticket_number: str
    theory: int | None
    practice: int | None
    absent: bool


class ScoreFaults(Invalid):
    """What is wrong with an uploaded score sheet, each fault a sentence that names its row. Nothing was written."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(_("成绩没有写入：表格有 %(n)s 处需要修改。请按行号修改后重新上传。", n=len(faults)), "workbook")
        self.faults = list(faults)


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
    """拉取考生成绩: ask for the job. Raises `Conflict` before the exam, where it was not confirmed as an online
    exam (I24), or once its scores are reported."""
    check_time(exam)
    _check_editable(report_of(exam))
    if exam.online_confirmed_at is None:
        raise Conflict(_("本次考核没有确认线上考核，考试系统没有它的成绩。请先确认线上考核，或用表格录入。"))
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
    let_go()
    try:
        rows = gateways().exam.fetch_scores(number)
    except GatewayError as error:
        log.warning("scores of %s were not pulled: %s", number, error)
        if error.permanent:
            raise Invalid(_("考试系统没有给出本场考核的成绩（代码 %(code)s）。请稍后再拉取；若仍如此，请联系系统管理员。",
                            code=error.code or "—")) from None
        raise GatewayError(str(_("考试系统暂时联系不上，稍后自动再试。")), permanent=False) from error
    report(1, 2)
    marks = [Mark(row.ticket_no, row.theory, row.practice, row.absent) for row in rows]
    if not marks:
        raise Invalid(_("考试系统还没有本场考核的成绩，请稍后再拉取。"))
    take_in(exam, marks, "pull", actor=SYSTEM)


def take_in(exam: ExamPlan, marks: Sequence[Mark], source: str, *, actor: Actor) -> ScoreReport:
    """Write marks to the sittings they name, in one transaction and by sets. Tickets of nobody are told on the report.

    A part that the exam system has not marked leaves what is known of it (theory may be pulled after practice was typed).
    Raises `Conflict` once the scores are reported.
    """
    try:
        with transaction() as session:
            found = session.scalars(select(ScoreReport).where(ScoreReport.exam_plan_id == exam.id).with_for_update(),
                                    execution_options={"populate_existing": True}).first()
            _check_editable(found)
            at = clock.now()
            if found is None:
                found = ScoreReport(exam_plan_id=exam.id, institution_id=exam.institution_id, authority_id=exam.authority_id,
                                    created_at=at, review_state="draft", review_round=1)
                session.add(found)
            known = {row.ticket_number: row for row in session.execute(
                select(Sitting.ticket_number, Sitting.id, Sitting.theory, Sitting.practice, Sitting.result)
                .where(Sitting.exam_plan_id == exam.id))}
            rows, changed = _written(marks, known, source, at)
            if rows:
                session.execute(update(Sitting), rows)
            unknown = sorted({mark.ticket_number for mark in marks} - set(known))
            facts = {"source": source, "taken": len(rows), "changed": changed}
            found.last_import = {**facts, "at": at.isoformat(), "unknown": unknown[:50], "unknown_count": len(unknown)}
            session.flush()
            audit.record(actor, "take_in_scores", exam, {**facts, "unknown": len(unknown)})
    except IntegrityError:
        raise Conflict(_("成绩正在被另一次操作写入，请刷新页面后再试。")) from None
    session.expire_all()
    return found


def _written(marks: Sequence[Mark], known: dict[str, Any], source: str, at: datetime) -> tuple[list[dict[str, Any]], int]:
    """The rows to write, and how many of them differ from a result that was there."""
    passing = pass_marks()
    rows, changed = [], 0
    for mark in marks:
        before = known.get(mark.ticket_number)
        nothing_new = not mark.absent and mark.theory is None and mark.practice is None
        if before is None or nothing_new:
            continue
        if not mark.absent:
            mark = replace(mark, theory=before.theory if mark.theory is None else mark.theory,
                           practice=before.practice if mark.practice is None else mark.practice)
        result = result_of(mark, passing)
        changed += before.result is not None and (before.theory, before.practice, before.result) != (
            mark.theory, mark.practice, result)
        rows.append({"id": before.id, "theory": mark.theory, "practice": mark.practice, "result": result, "scored_at": at,
                     "score_source": source})
    return rows, changed


def _check_editable(report: ScoreReport | None) -> None:
    if report is not None and not report.editable:
        raise Conflict(_("成绩已上报，不能再修改。如需修改，请先撤回。"))


def template(exam: ExamPlan) -> bytes:
    """The score sheet of an exam, with every candidate."""
    return roster.score_template([(sitting.ticket_number, sitting.enrolment.name) for sitting in exam.sittings])


def upload(exam: ExamPlan, data: bytes, *, actor: Actor) -> ScoreReport:
    """Take scores from a workbook: all rows, or none and every fault told. Raises `Invalid`, `ScoreFaults` with the rows'
    faults, `Conflict` before the exam and once the scores are reported."""
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
    names = {row.ticket_number: row.name for row in db.session.execute(
        select(Sitting.ticket_number, Enrolment.name).join(Enrolment, Sitting.enrolment_id == Enrolment.id)
        .where(Sitting.exam_plan_id == exam.id))}
    marks, faults = _marks(found, names)
    if faults:
        raise ScoreFaults(faults)
    return take_in(exam, marks, "upload", actor=actor)


def _marks(found: roster.Located, names: dict[str, str]) -> tuple[list[Mark], list[str]]:
    """The marks of a score sheet and its faults. `names` are the candidates by ticket. A candidate's row that is still
    empty is left out: the report cannot be submitted before it is filled."""
    marks: list[Mark] = []
    faults: list[str] = []
    seen: set[str] = set()
    for row, cells in enumerate(found.sheet.rows[found.heading_row:], found.heading_row + 1):
        values = {heading: cells[column - 1] if column <= len(cells) else None for heading, column in found.columns.items()}
        if all(_text(value) == "" for value in values.values()):
            continue
        ticket = _ticket(values[roster.TICKET_NO])
        faults += _wrong_person(row, ticket, _text(values.get(roster.NAME)), names, seen)
        seen.add(ticket)
        if any(_text(values.get(heading)) for heading in (roster.THEORY, roster.PRACTICE, roster.ABSENT)):
            marks.append(_mark(row, ticket, values, faults))
    if not marks:
        faults.append(_("表格里没有成绩"))
    return marks, faults


def _wrong_person(row: int, ticket: str, name: str, names: dict[str, str], seen: set[str]) -> list[str]:
    """A ticket of nobody, one that comes twice, or one beside another's name: a column sorted by itself gives everyone
    someone else's marks."""
    if not ticket:
        return [_("第 %(row)s 行：没有准考证号", row=row)]
    if ticket not in names:
        return [_("第 %(row)s 行：准考证号 %(ticket)s 不属于本次考核", row=row, ticket=ticket[:40])]
    if ticket in seen:
        return [_("第 %(row)s 行：准考证号 %(ticket)s 重复", row=row, ticket=ticket)]
    if name and name != names[ticket]:
        return [_("第 %(row)s 行：准考证号 %(ticket)s 的考生是%(right)s，不是%(name)s", row=row, ticket=ticket,
                  right=names[ticket], name=name[:50])]
    return []


def _mark(row: int, ticket: str, values: dict[str, Any], faults: list[str]) -> Mark:
    said = _text(values.get(roster.ABSENT))
    if said in ("", "否"):
        return Mark(ticket, _tenths(values[roster.THEORY], row, roster.THEORY, faults),
                    _tenths(values[roster.PRACTICE], row, roster.PRACTICE, faults), False)
    if said != "是":
        faults.append(_("第 %(row)s 行：缺考一列只能填“是”或留空", row=row))
    elif _text(values[roster.THEORY]) or _text(values[roster.PRACTICE]):
        faults.append(_("第 %(row)s 行：标为缺考，却填了成绩", row=row))
    return Mark(ticket, None, None, True)


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _ticket(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else _text(value)


def _tenths(value: Any, row: int, heading: str, faults: list[str]) -> int | None:
    """A mark as typed: 0 to 100, at most one decimal."""
    try:
        tenths = round(float(value) * 10, 6)
    except (TypeError, ValueError):
        tenths = nan
    if isnan(tenths) or isinstance(value, bool):
        faults.append(_("第 %(row)s 行：%(heading)s应为 0 到 100 的数字，缺考请在“缺考”列选“是”", row=row, heading=heading))
        return None
    if not 0 <= tenths <= 1000 or tenths != int(tenths):
        faults.append(_("第 %(row)s 行：%(heading)s应在 0 到 100 之间，最多一位小数", row=row, heading=heading))
        return None
    return int(tenths)


def tally(exam: ExamPlan) -> dict[str, int]:
    """How many candidates (`people`), and how many of them passed, failed, were absent, and are `lacking` a result."""
    counts = {"passed": 0, "failed": 0, "absent": 0, "lacking": 0}
    for result, count in db.session.execute(
            select(Sitting.result, func.count()).where(Sitting.exam_plan_id == exam.id).group_by(Sitting.result)):
        counts[result or "lacking"] = count
    return {"people": sum(counts.values()), **counts}


def submit(exam: ExamPlan, *, actor: Actor) -> None:
    """成绩上报. Raises `Invalid` while a result is lacking, `Conflict` when it is reported already."""
    if actor.institution_id != exam.institution_id:
        raise Forbidden(_("只有组织考核的培训机构可以上报成绩。"))
    with transaction() as session:
        # The row stays locked: a pull that comes now finds the scores reported.
        report = session.scalars(select(ScoreReport).where(ScoreReport.exam_plan_id == exam.id).with_for_update(),
                                 execution_options={"populate_existing": True}).first()
        if report is None:
            raise Invalid(_("还没有成绩，请先拉取或上传。"))
        if report.editable and (n := tally(exam)["lacking"]):
            raise Invalid(_("还有 %(n)s 名考生没有成绩，请补全后再上报；缺考的请标为缺考。", n=n))
        workflow.take_step(report, "submit", actor=actor)
