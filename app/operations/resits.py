"""Who of a class is not among the candidates of an exam plan, and why: the list itself shows only who may sit (C16)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app.extensions import db
from models import Enrolment, ExamPlan, Sitting, TrainingPlan


def left_out(plan: TrainingPlan, able: Collection[Enrolment], exam: ExamPlan | None = None) -> list[tuple[str, list[str]]]:
    """The reasons, each with the names it holds for. `able` are the candidates, `exam` the plan that is being arranged.
    Two statements however many people."""
    free = {person.id for person in able}
    others = [person for person in db.session.scalars(select(Enrolment).where(
        Enrolment.plan_id == plan.id, Enrolment.state == "enrolled").order_by(Enrolment.id)) if person.id not in free]
    sat: dict[int, list[Sitting]] = {}
    for row in db.session.scalars(
            select(Sitting).where(Sitting.enrolment_id.in_([person.id for person in others])).order_by(Sitting.id)
            .options(joinedload(Sitting.exam_plan).joinedload(ExamPlan.report))):
        if exam is None or row.exam_plan_id != exam.id:
            sat.setdefault(row.enrolment_id, []).append(row)
    reasons: dict[str, list[str]] = {}
    for person in others:
        reasons.setdefault(_reason(person, sat.get(person.id, [])), []).append(person.name)
    return list(reasons.items())


def _reason(person: Enrolment, sittings: list[Sitting]) -> str:
    if person.attendance != "full":
        return _("缺勤，没有完成培训")
    bound: Any = None
    for sitting in sittings:
        report = sitting.exam_plan.report
        if report is None or report.review_state != "approved":
            bound = sitting
        elif sitting.result in ("cheating", "passed"):
            return _("违纪，不能补考") if sitting.result == "cheating" else _("已合格")
    if bound is not None:
        return _("已安排在“%(name)s”，成绩尚未审核通过", name=bound.exam_plan.name)
    return _("按现行规定不能补考")
