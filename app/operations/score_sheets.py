"""Marks from a workbook: read whole, compared with what is there, and written once the person has seen what would be replaced (I26)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select

from app.actors import Actor
from app.documents import roster
from app.documents.faults import WorkbookFault
from app.documents.workbooks import read_rows
from app.errors import Invalid
from app.extensions import db
from app.operations.roster_words import unreadable
from app.operations.score_intakes import take_in
from app.operations.score_rows import ScoreFaults, marks_of
from app.operations.scores import Mark, check_editable, check_time, pass_marks, report_of, result_of
from models import Enrolment, ExamPlan, ScoreIntake, Sitting

MOST_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True)
class Standing:
    """Marks as they stand or would stand, in tenths of a point; `source` is how they came in."""

    theory: int | None
    practice: int | None
    result: str | None
    source: str = ""

    @property
    def seen(self) -> tuple[int | None, int | None, str | None]:
        return self.theory, self.practice, self.result


@dataclass(frozen=True)
class Difference:
    """A person whose marks a sheet would replace by others."""

    ticket: str
    name: str
    before: Standing
    after: Standing


@dataclass(frozen=True)
class Sheet:
    """What a workbook holds: its marks, what was there of each ticket when it was read, and whose marks it would replace."""

    marks: list[Mark]
    seen: dict[str, tuple[int | None, int | None, str | None]]
    changes: list[Difference]

    @property
    def differences(self) -> list[Difference]:
        """Whose marks would be replaced: a part that the sheet leaves empty stays, and what was empty is nobody's loss."""
        return [each for each in self.changes if any(
            old is not None and old != new for old, new in zip(each.before.seen, each.after.seen, strict=True))]

    @property
    def fresh(self) -> int:
        """How many it would only add something to."""
        return len(self.changes) - len(self.differences)


def template(exam: ExamPlan) -> bytes:
    """The score sheet of an exam, with every candidate."""
    return roster.score_template([(sitting.ticket_number, sitting.enrolment.name) for sitting in exam.sittings])


def read(exam: ExamPlan, data: bytes) -> Sheet:
    """Read a workbook, all of it or nothing, and compare it with what is there. Writes nothing.

    Raises `Invalid`, `ScoreFaults` with the rows' faults, `Conflict` before the exam and once the scores are reported.
    """
    check_time(exam)
    check_editable(report_of(exam))
    if len(data) > MOST_BYTES:
        raise Invalid(_("表格超过 5 MB，请删去多余的内容后再上传。"), "workbook")
    try:
        sheets = read_rows(data, max_rows=20_000)
    except WorkbookFault as fault:
        raise Invalid(unreadable(fault, _("成绩表")), "workbook") from None
    found = roster.locate(sheets, roster.SCORE_SHEET, roster.SCORE_HEADINGS, (roster.TICKET_NO, roster.THEORY, roster.PRACTICE))
    if found is None or found.missing:
        raise Invalid(_("没有找到表头。请下载成绩表，填写后上传，不要改动表头。"), "workbook")
    known = {row.ticket_number: row for row in db.session.execute(
        select(Sitting.ticket_number, Enrolment.name, Sitting.theory, Sitting.practice, Sitting.result, Sitting.score_source)
        .join(Enrolment, Sitting.enrolment_id == Enrolment.id).where(Sitting.exam_plan_id == exam.id))}
    marks, faults = marks_of(found, {ticket: row.name for ticket, row in known.items()})
    if faults:
        raise ScoreFaults(faults)
    there = {ticket: (row.theory, row.practice, row.result) for ticket, row in known.items()}
    return Sheet(marks, {mark.ticket_number: there[mark.ticket_number] for mark in marks}, _changes(marks, known))


def _changes(marks: Sequence[Mark], known: Mapping[str, Any]) -> list[Difference]:
    """Everyone whose marks would be others."""
    passing, found = pass_marks(), []
    for mark in marks:
        row = known[mark.ticket_number]
        before = Standing(row.theory, row.practice, row.result, row.score_source)
        decided = mark.absent or mark.cheating
        theory = mark.theory if decided or mark.theory is not None else before.theory
        practice = mark.practice if decided or mark.practice is not None else before.practice
        after = Standing(theory, practice, result_of(Mark(mark.ticket_number, theory, practice, mark.absent, mark.cheating), passing))
        if before.seen != after.seen:
            found.append(Difference(mark.ticket_number, row.name, before, after))
    return found


def take(exam: ExamPlan, marks: Sequence[Mark], seen: Mapping[str, Any], *, actor: Actor) -> ScoreIntake:
    """Write marks of a sheet; `seen` is what the person was shown of each ticket. Raises `Conflict` where somebody else, or a pull, has
    written meanwhile, and once the scores are reported."""
    check_time(exam)
    return take_in(exam, marks, "upload", actor=actor, expected={mark.ticket_number: seen[mark.ticket_number] for mark in marks})
