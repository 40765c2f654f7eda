"""成绩更正: approved scores are locked. Other marks are written down with a reason, reviewed, and count from the approval on (I26).

Until then the approved marks stand: certificates, re-sits and the public see nothing of a correction that waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, delete, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload, selectinload

from app import audit, clock
from app.actors import SYSTEM, Actor
from app.errors import Conflict, Forbidden, Invalid
from app.extensions import db, transaction
from app.operations import certificate_changes
from app.operations.score_intakes import change_of
from app.operations.scores import Mark, pass_marks, report_of, result_of
from app.workflow import follows
from models import Certificate, ExamPlan, ReviewEvent, ScoreChange, ScoreCorrection, ScoreCorrectionLine, ScoreIntake, ScoreReport, Sitting

LONGEST_REASON = 500


def open_correction(exam: ExamPlan) -> ScoreCorrection | None:
    """The correction of an exam that is not approved yet; there is at most one."""
    return db.session.scalars(select(ScoreCorrection).where(
        ScoreCorrection.exam_plan_id == exam.id, ScoreCorrection.review_state != "approved")).one_or_none()


def unfinished() -> ColumnElement[bool]:
    """The exams with a correction that is the institution's to go on with: written and not submitted, or rejected."""
    return exists().where(ScoreCorrection.exam_plan_id == ExamPlan.id, ScoreCorrection.review_state.in_(("draft", "rejected")))


def corrections_of(exam: ExamPlan) -> list[ScoreCorrection]:
    """All corrections of an exam, the newest first, with their lines."""
    return list(db.session.scalars(
        select(ScoreCorrection).where(ScoreCorrection.exam_plan_id == exam.id).order_by(ScoreCorrection.id.desc())
        .options(selectinload(ScoreCorrection.lines).joinedload(ScoreCorrectionLine.sitting).joinedload(Sitting.enrolment))))


def save(exam: ExamPlan, marks: Sequence[Mark], reason: str, *, actor: Actor) -> ScoreCorrection:
    """Write down what approved marks are to become, in the exam's correction that is not reviewed yet. What it says of other people stays.

    Only marks that differ become lines; one that is given as it is now is no longer corrected.
    Raises `Conflict` where the scores are not approved or a correction is being reviewed,
    `Invalid` where nothing differs, a mark is lacking, or the reason is.
    """
    _check_owner(exam, actor)
    reason = reason.strip()
    if not reason:
        raise Invalid(_("请写明更正的原因，主管部门据此审核。"), "reason")
    if len(reason) > LONGEST_REASON:
        raise Invalid(_("原因不能超过 %(n)s 个字。", n=LONGEST_REASON), "reason")
    told, lines = _lines(exam, marks)
    try:
        with transaction() as session:
            row = session.scalars(select(ScoreCorrection).where(
                ScoreCorrection.exam_plan_id == exam.id, ScoreCorrection.review_state != "approved").with_for_update(),
                execution_options={"populate_existing": True}).one_or_none()
            if row is None:
                row = ScoreCorrection(exam_plan_id=exam.id, institution_id=exam.institution_id, authority_id=exam.authority_id,
                                      reason=reason, created_at=clock.now(), review_state="draft", review_round=1)
                session.add(row)
            elif not row.editable:
                raise Conflict(_("这场考核已有成绩更正在审核，请等审核结束，或先撤回。"))
            row.reason = reason
            session.flush()
            session.execute(delete(ScoreCorrectionLine).where(ScoreCorrectionLine.correction_id == row.id,
                                                              ScoreCorrectionLine.sitting_id.in_(told)))
            if lines:
                session.execute(insert(ScoreCorrectionLine), [{**line, "correction_id": row.id} for line in lines])
            people = session.scalar(select(func.count()).where(ScoreCorrectionLine.correction_id == row.id))
            if not people:
                raise Invalid(_("没有与现有成绩不同的内容，无需更正。"))
            audit.record(actor, "write_score_correction", row, {"exam": exam.name, "people": people, "reason": reason})
    except IntegrityError:
        raise Conflict(_("这场考核的更正正在被另一人填写，请刷新页面查看。")) from None
    db.session.expire_all()
    return row


def check_open(exam: ExamPlan, *, actor: Actor) -> None:
    """Whether a correction of this exam may be written now. Raises `Forbidden` or `Conflict`."""
    _check_owner(exam, actor)
    found = open_correction(exam)
    if found is not None and not found.editable:
        raise Conflict(_("这场考核已有成绩更正在审核，请等审核结束，或先撤回。"))


def _check_owner(exam: ExamPlan, actor: Actor) -> None:
    if actor.institution_id != exam.institution_id:
        raise Forbidden(_("只有组织考核的培训机构可以申请成绩更正。"))
    report = report_of(exam)
    if report is None or report.review_state != "approved":
        raise Conflict(_("成绩尚未审核通过，可以直接修改，不需要更正。"))


def _lines(exam: ExamPlan, marks: Sequence[Mark]) -> tuple[list[int], list[dict[str, Any]]]:
    """The sittings that were told, and what differs of them from the marks that count now."""
    known = {row.ticket_number: row for row in db.session.execute(
        select(Sitting.id, Sitting.ticket_number, Sitting.theory, Sitting.practice, Sitting.result)
        .where(Sitting.exam_plan_id == exam.id))}
    passing, told, lines = pass_marks(), [], []
    for mark in marks:
        now = known.get(mark.ticket_number)
        result = result_of(mark, passing)
        if now is None or result is None:
            raise Invalid(_("准考证号 %(ticket)s 的成绩不完整：理论和实操都要填写，或标为缺考、违纪。", ticket=mark.ticket_number[:40]))
        told.append(now.id)
        if (mark.theory, mark.practice, result) != (now.theory, now.practice, now.result):
            lines.append({"sitting_id": now.id, "theory_before": now.theory, "practice_before": now.practice,
                          "result_before": now.result, "theory": mark.theory, "practice": mark.practice, "result": result})
    return told, lines


def discard(correction: ScoreCorrection, *, actor: Actor) -> None:
    """Give a correction up that is not being reviewed. Raises `Conflict` otherwise."""
    with transaction() as session:
        row = session.get_one(ScoreCorrection, correction.id, with_for_update=True, populate_existing=True)
        if not row.editable:
            raise Conflict(_("更正正在审核或已生效，不能删除。"))
        audit.record(actor, "discard_score_correction", row, {"exam": row.exam_plan.name, "reason": row.reason})
        session.delete(row)


def certificates_lost(correction: ScoreCorrection) -> list[Certificate]:
    """The valid certificates of people who no longer pass by this correction: its approval ends them."""
    losing = [line.sitting_id for line in correction.lines if line.result_before == "passed" and line.result != "passed"]
    return list(db.session.scalars(select(Certificate).where(Certificate.sitting_id.in_(losing), Certificate.state == "valid")
                                   .order_by(Certificate.number)))


@follows("score_correction", "approve")
def _apply(ids: list[int]) -> None:
    """Approved corrections count: the marks, a note of what changed, and the end of certificates that are no longer earned."""
    with transaction() as session:
        rows = session.scalars(select(ScoreCorrection).where(ScoreCorrection.id.in_(ids)).options(
            joinedload(ScoreCorrection.exam_plan), selectinload(ScoreCorrection.lines)),
            execution_options={"populate_existing": True}).all()
        for correction in rows:
            _apply_one(session, correction)


def _approver(correction: ScoreCorrection) -> str:
    """Who approved it, as the step that is being followed has written it."""
    return db.session.scalars(select(ReviewEvent.actor_name).where(
        ReviewEvent.subject_kind == "score_correction", ReviewEvent.subject_id == correction.id, ReviewEvent.step == "approve")
        .order_by(ReviewEvent.id.desc()).limit(1)).first() or SYSTEM.name


def _apply_one(session: Any, correction: ScoreCorrection) -> None:
    at = clock.now()
    # Certificates are generated under this row's lock: they are there before the marks change, or not at all.
    session.execute(select(ScoreReport.id).where(ScoreReport.exam_plan_id == correction.exam_plan_id).with_for_update())
    now: Mapping[int, Any] = {row.id: row for row in session.execute(
        select(Sitting.id, Sitting.theory, Sitting.practice, Sitting.result)
        .where(Sitting.id.in_([line.sitting_id for line in correction.lines])).with_for_update())}
    for line in correction.lines:
        if tuple(now[line.sitting_id])[1:] != (line.theory_before, line.practice_before, line.result_before):
            raise RuntimeError(f"the approved marks of sitting {line.sitting_id} changed without a correction")
    intake = ScoreIntake(exam_plan_id=correction.exam_plan_id, source="corrected", actor_name=_approver(correction), started_at=at,
                         finished_at=at, taken=len(correction.lines), changed=len(correction.lines), unknown=[], unknown_count=0)
    session.add(intake)
    session.flush()
    session.execute(update(Sitting), [{"id": line.sitting_id, "theory": line.theory, "practice": line.practice, "result": line.result,
                                       "scored_at": at, "score_source": "corrected"} for line in correction.lines])
    session.execute(insert(ScoreChange), [
        {**change_of(now[line.sitting_id], line.sitting_id, line.theory, line.practice, line.result), "intake_id": intake.id}
        for line in correction.lines])
    certificate_changes.end_unearned(certificates_lost(correction), _("成绩更正后不合格"), actor=SYSTEM)
