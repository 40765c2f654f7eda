"""报名人员查询: finding people, showing a number in full on record, exporting what was found (I28, E20)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, Select, false, select
from sqlalchemy.orm import joinedload

from app import audit
from app.actors import Actor
from app.crypto import blind
from app.documents.workbooks import write_table
from app.errors import Invalid
from app.extensions import db, transaction, will_write
from app.operations.progress import states_of
from models import Enrolment, ExamPlan, ScoreReport, Sitting

MOST_EXPORTED = 20_000
IN_FULL = (joinedload(Enrolment.plan), joinedload(Enrolment.enterprise), joinedload(Enrolment.institution),
           joinedload(Enrolment.occupation), joinedload(Enrolment.level))


def by_id_number(text: str) -> ColumnElement[bool]:
    """Exactly this ID number; a part of one finds nobody, because only its digest is kept."""
    return Enrolment.id_number_index == blind(text.upper(), "id_number") if len(text) == 18 else false()


def by_phone(text: str) -> ColumnElement[bool]:
    """Exactly this phone number."""
    return Enrolment.phone_index == blind(text, "phone") if len(text) == 11 else false()


def by_exam(clause: ColumnElement[bool]) -> ColumnElement[bool]:
    """Who sits in an exam that fits the clause."""
    return Enrolment.id.in_(select(Sitting.enrolment_id).join(ExamPlan, Sitting.exam_plan_id == ExamPlan.id).where(clause))


def marks_open(report: ScoreReport | None, *, actor: Actor) -> bool:
    """Whether this person may read the marks of an exam: the institution always; the authority once they are reported;
    the enterprise once they are approved, for until then they may still change."""
    if actor.is_institution:
        return True
    if report is None:
        return False
    return report.review_state == "approved" or (not actor.is_enterprise and report.submitted_at is not None)


def reveal(person: Enrolment, *, actor: Actor) -> tuple[str, str]:
    """The ID number and phone in full, and an audit row that says who looked."""
    with transaction():
        audit.record(actor, "reveal_person", person)
    return person.id_number, person.phone


def export(statement: Select[Any], criteria: Sequence[str], *, actor: Actor) -> bytes:
    """The people found, numbers masked, as a workbook. `criteria` names what was searched by, for the record.

    The audit row takes the writers' lock only after everything is read. Raises `Invalid` when there are too many for one file.
    """
    people = list(db.session.scalars(statement.order_by(Enrolment.id).limit(MOST_EXPORTED + 1).options(*IN_FULL)).unique())
    if len(people) > MOST_EXPORTED:
        raise Invalid(_("查询结果超过 %(n)s 人，请增加条件后再导出。", n=MOST_EXPORTED))
    states = states_of(people)
    headings = (_("姓名"), _("性别"), _("身份证号"), _("手机号"), _("企业名称"), _("培训机构"), _("培训计划"), _("工种"), _("等级"),
                _("培训计划状态"), _("考核计划状态"), _("成绩报审状态"), _("培训证书状态"), _("证书编号"))
    rows = []
    for person in people:
        state = states[person.id]
        rows.append((person.name, person.sex, person.masked_id_number, person.masked_phone, person.enterprise.name,
                     person.institution.name, person.plan.name, person.occupation.name, person.level.name, str(state.plan.label),
                     str(state.exam.label), str(state.scores.label), str(state.certificate.label),
                     state.issued.number if state.issued else ""))
    will_write()
    with transaction():
        audit.record(actor, "export_people", "enrolment", {"count": len(rows), "by": sorted(criteria)})
    return write_table(_("报名人员"), headings, rows)
