"""How marks come in: pulled from the exam system, taken from a workbook (`score_sheets`), or typed (I26). One writer, `take_in`, for
all of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, selectinload

from app import audit, clock, jobs
from app.actors import SYSTEM, Actor
from app.errors import Conflict, Invalid
from app.extensions import db, gateways, let_go, transaction
from app.gateways.errors import GatewayError
from app.operations.scores import Mark, check_editable, check_time, pass_marks, report_of, result_of
from models import AuditEvent, ExamPlan, Job, ScoreChange, ScoreIntake, ScoreReport, Sitting

PULL_JOB = "pull_scores"
MOST_UNKNOWN = 50
Report = Callable[[int, int], None]
log = logging.getLogger("portal.scores")


def start_pull(exam: ExamPlan, *, actor: Actor) -> Job:
    """拉取考生成绩: ask for the job. Raises `Conflict` before the exam, where it was not confirmed as an online
    exam (I24), or once its scores are reported."""
    check_time(exam)
    check_editable(report_of(exam))
    if exam.online_confirmed_at is None:
        raise Conflict(_("本次考核没有确认线上考核，考试系统没有它的成绩。请先确认线上考核，或用表格录入。"))
    with transaction():
        waiting = jobs.latest(PULL_JOB, exam.id)
        if waiting is not None and waiting.state in ("waiting", "running"):
            return waiting
        audit.record(actor, "pull_scores", exam)
        return jobs.schedule(PULL_JOB, exam.id, institution_id=exam.institution_id)


def run_pull(exam_plan_id: int, report: Report) -> None:
    """The job: ask the exam system page by page and take in each as it comes. One that was interrupted goes on behind the last page
    it has written. Pulled twice, the newer answer stands; once the scores are reported nothing changes any more."""
    exam = db.session.get(ExamPlan, exam_plan_id)
    if exam is None:
        return
    number = exam.number
    begun = db.session.scalars(select(ScoreIntake).where(
        ScoreIntake.exam_plan_id == exam_plan_id, ScoreIntake.source == "pull", ScoreIntake.finished_at.is_(None))
        .order_by(ScoreIntake.id.desc())).first()
    taken, after = (begun.taken, begun.cursor) if begun is not None else (0, "")
    while True:
        let_go()
        page = _fetched(number, after)
        marks = [Mark(row.ticket_no, row.theory, row.practice, row.absent, row.cheating) for row in page.rows]
        if not marks and not taken:
            raise Invalid(_("考试系统还没有本场考核的成绩，请稍后再拉取。"))
        begun = take_in(exam, marks, "pull", actor=SYSTEM, begun=begun, cursor=page.after, asked_by=_puller(exam_plan_id))
        taken, after = begun.taken, begun.cursor
        report(taken, taken + (1 if after else 0))
        if not after:
            return


def _puller(exam_plan_id: int) -> str:
    """Who pressed 拉取 last; "" where nobody is known."""
    return db.session.scalars(select(AuditEvent.actor_name).where(
        AuditEvent.subject_kind == "exam_plan", AuditEvent.subject_id == exam_plan_id, AuditEvent.verb == "pull_scores")
        .order_by(AuditEvent.id.desc()).limit(1)).first() or ""


def _fetched(number: str, after: str) -> Any:
    try:
        return gateways().exam.fetch_scores(number, after)
    except GatewayError as error:
        log.warning("scores of %s were not pulled: %s", number, error)
        if error.permanent:
            raise Invalid(_("考试系统没有给出本场考核的成绩（代码 %(code)s）。请稍后再拉取；若仍如此，请联系系统管理员。",
                            code=error.code or "—")) from None
        raise GatewayError(str(_("考试系统暂时联系不上，稍后自动再试。")), permanent=False) from error


def take_in(exam: ExamPlan, marks: Sequence[Mark], source: str, *, actor: Actor, begun: ScoreIntake | None = None,
            cursor: str = "", expected: Mapping[str, Any] | None = None, asked_by: str = "") -> ScoreIntake:
    """Write marks to the sittings they name, in one transaction and by sets, and note what they changed. Tickets of nobody are noted.

    A part that the exam system has not marked leaves what is known of it (theory may be pulled after practice was typed).
    `begun` is the intake these marks go on with, `cursor` what is behind them: while there is any, the intake has no end.
    `asked_by` names who asked for it, where a job does it.
    `expected` is what the typing person saw, by ticket, as (theory, practice, result). Raises `Conflict` once the scores are
    reported, or where somebody else has written other marks than were expected.
    """
    try:
        with transaction() as session:
            report = _locked_report(session, exam)
            known = {row.ticket_number: row for row in session.execute(
                select(Sitting.ticket_number, Sitting.id, Sitting.theory, Sitting.practice, Sitting.result)
                .where(Sitting.exam_plan_id == exam.id))}
            _check_expected(known, expected or {})
            at = clock.now()
            rows, changes = _written(marks, known, source, at)
            intake = begun or ScoreIntake(exam_plan_id=exam.id, source=source, actor_name=asked_by or actor.name, started_at=at, taken=0,
                                          changed=0, unknown=[], unknown_count=0)
            session.add(intake)
            if rows:
                session.execute(update(Sitting), rows)
            unknown = sorted({mark.ticket_number for mark in marks} - set(known))
            intake.taken += len(rows)
            intake.changed += len(changes)
            intake.unknown = [*intake.unknown, *unknown][:MOST_UNKNOWN]
            intake.unknown_count += len(unknown)
            intake.cursor, intake.finished_at = cursor, None if cursor else at
            session.flush()
            if changes:
                session.execute(insert(ScoreChange), [{**change, "intake_id": intake.id} for change in changes])
            audit.record(actor, "take_in_scores", exam, {"source": source, "taken": len(rows), "changed": len(changes),
                                                         "unknown": len(unknown), "report": report.id})
    except IntegrityError:
        raise Conflict(_("成绩正在被另一次操作写入，请刷新页面后再试。")) from None
    session.expire_all()
    return intake


def _locked_report(session: Session, exam: ExamPlan) -> ScoreReport:
    """The report of an exam under its lock, made where there is none. Raises `Conflict` once it is reported."""
    found = session.scalars(select(ScoreReport).where(ScoreReport.exam_plan_id == exam.id).with_for_update(),
                            execution_options={"populate_existing": True}).first()
    check_editable(found)
    if found is None:
        found = ScoreReport(exam_plan_id=exam.id, institution_id=exam.institution_id, authority_id=exam.authority_id,
                            created_at=clock.now(), review_state="draft", review_round=1)
        session.add(found)
        session.flush()
    return found


def _check_expected(known: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Nobody writes over marks they have not seen."""
    others = [ticket for ticket, seen in expected.items()
              if ticket in known and (known[ticket].theory, known[ticket].practice, known[ticket].result) != seen]
    if others:
        raise Conflict(_("准考证号 %(tickets)s 的成绩刚被别人修改过，本次没有保存。请核对页面上的最新成绩后再填。",
                         tickets="、".join(sorted(others)[:5])))


def _written(marks: Sequence[Mark], known: Mapping[str, Any], source: str,
             at: datetime) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows to write, and the changes to those that had a result before."""
    passing = pass_marks()
    rows: dict[int, dict[str, Any]] = {}
    changes: dict[int, dict[str, Any]] = {}
    for mark in marks:
        before = known.get(mark.ticket_number)
        decided = mark.absent or mark.cheating
        if before is None or (not decided and mark.theory is None and mark.practice is None):
            continue
        if not decided:
            mark = replace(mark, theory=before.theory if mark.theory is None else mark.theory,
                           practice=before.practice if mark.practice is None else mark.practice)
        result = result_of(mark, passing)
        rows[before.id] = {"id": before.id, "theory": mark.theory, "practice": mark.practice, "result": result, "scored_at": at,
                           "score_source": source}
        if before.result is not None and (before.theory, before.practice, before.result) != (mark.theory, mark.practice, result):
            changes[before.id] = change_of(before, before.id, mark.theory, mark.practice, result)
    return [*rows.values()], [*changes.values()]


def change_of(before: Any, sitting_id: int, theory: int | None, practice: int | None, result: str | None) -> dict[str, Any]:
    """The row of `ScoreChange` from what a sitting was to what it becomes."""
    return {"sitting_id": sitting_id, "theory_before": before.theory, "practice_before": before.practice, "result_before": before.result,
            "theory_after": theory, "practice_after": practice, "result_after": result}


def type_in(exam: ExamPlan, marks: Sequence[Mark], seen: Mapping[str, Any], *, actor: Actor) -> ScoreIntake:
    """Write marks that were typed in the grid; `seen` is what each ticket showed when the person began. Raises `Conflict`."""
    check_time(exam)
    return take_in(exam, marks, "typed", actor=actor, expected=seen)


def history_of(exam: ExamPlan) -> list[ScoreIntake]:
    """Every taking-in of an exam with what it changed, the newest first."""
    return list(db.session.scalars(
        select(ScoreIntake).where(ScoreIntake.exam_plan_id == exam.id).order_by(ScoreIntake.id.desc())
        .options(selectinload(ScoreIntake.changes).joinedload(ScoreChange.sitting).joinedload(Sitting.enrolment))))


def latest_intake(exam: ExamPlan) -> ScoreIntake | None:
    """The newest taking-in of an exam."""
    return db.session.scalars(select(ScoreIntake).where(ScoreIntake.exam_plan_id == exam.id)
                              .order_by(ScoreIntake.id.desc()).limit(1)).first()
