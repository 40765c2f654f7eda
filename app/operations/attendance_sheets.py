"""Attendance on paper and in workbooks: slips to hand out, the sheet to fill in, the record to keep (I20)."""

from __future__ import annotations

from collections.abc import Sequence

from flask_babel import force_locale
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app import audit, files, presentation
from app.actors import Actor
from app.documents import attendance as documents
from app.documents import papers as drawing
from app.documents.qr import qr_png
from app.documents.tables import Value, write_summary
from app.errors import Conflict
from app.extensions import db, transaction
from app.operations.attendance import Session, Sheet, check_in_class, people_of, sheet
from app.operations.papers import ZIP, Paper, rendered, zipped
from app.operations.plan_checks import SESSIONS
from app.operations.scanning import short_code, token
from app.presentation import KEPT_IN
from models import Enrolment, TrainingPlan

SESSIONS_A_PAGE = 8
_IN_FULL = (joinedload(Enrolment.occupation), joinedload(Enrolment.enterprise), joinedload(Enrolment.level))


def class_of(plan: TrainingPlan) -> tuple[list[Enrolment], Sheet]:
    """The people of a class and what is known of them. Raises `Conflict` where there are none."""
    people = list(db.session.scalars(select(Enrolment).where(people_of(plan)).order_by(Enrolment.id).options(*_IN_FULL)))
    if not people:
        raise Conflict(_("还没有人员报名成功，没有可下载的内容。"))
    return people, sheet(plan, people)


def slips(plan: TrainingPlan, *, actor: Actor) -> Paper:
    """听课证 of a class: one PDF with ten on a page, a zip of several beyond `papers.CHUNK` people. No ID number is on or in them."""
    with transaction():
        people, _sheet = class_of(plan)
        rows = [{"name": each.name, "occupation": each.occupation.name, "enterprise": each.enterprise.name,
                 "code": short_code(plan.id, each.id), "qr": f"q{each.id}.png", "token": token(plan.id, each.id)} for each in people]
        name, institution = plan.name, plan.institution.name
        audit.record(actor, "download_slips", plan, {"people": len(rows)})
    data = {"title": f"{name}听课证", "institution": institution, "plan": name, "hint": _("每次上课请出示，扫码签到。请勿转借。")}
    parts = (rendered("class_slips", {**data, "slips": part}, {each["qr"]: qr_png(each["token"]) for each in part})
             for part in (rows[begin:begin + drawing.CHUNK] for begin in range(0, len(rows), drawing.CHUNK)))
    if len(rows) <= drawing.CHUNK:
        return Paper(f"{name}听课证.pdf", next(parts), files.PDF)
    return Paper(f"{name}听课证.zip", zipped(f"{name}听课证", parts), ZIP)


def heading_of(one: Session) -> str:
    """Over the column of a session, in the language of the sheet, whichever its person reads: it is how the column is found again."""
    with force_locale(KEPT_IN):
        return one.label


def template(plan: TrainingPlan) -> Paper:
    """The sheet to fill in, with what is known already."""
    check_in_class(plan)
    people, found = class_of(plan)
    rows = [(short_code(plan.id, each.id), each.name, each.enterprise.name,
             [found.state(each.id, one) == "absent" for one in found.sessions], found.standing[each.id].absent) for each in people]
    data = documents.attendance_template([(heading_of(one), one.open) for one in found.sessions], rows)
    return Paper(f"考勤登记-{plan.name}.xlsx", data, files.XLSX)


def _shown(found: Sheet, person: Enrolment, one: Session) -> str:
    return {"absent": _("缺"), "present": "√", "unscanned": "?"}.get(found.state(person.id, one), "")


def _whole(found: Sheet, person: Enrolment, plan: TrainingPlan) -> str:
    if found.standing[person.id].absent:
        return str(_("缺勤"))
    return str(_("全勤")) if plan.attendance_confirmed_at is not None else ""


def _facts(plan: TrainingPlan) -> list[tuple[str, Value]]:
    confirmed = plan.attendance_confirmed_at
    state = _("%(at)s 确认", at=presentation.moment(confirmed)) if confirmed else _("尚未确认")
    return [(_("培训计划"), plan.name), (_("培训机构"), plan.institution.name), (_("培训地点"), plan.place), (_("考勤"), state)]


def _totals(people: Sequence[Enrolment], found: Sheet) -> list[tuple[str, Value]]:
    absent = sum(found.standing[each.id].absent for each in people)
    return [(_("应到"), len(people)), (_("缺勤"), absent), (_("全勤"), len(people) - absent)]


def record(plan: TrainingPlan, *, actor: Actor) -> Paper:
    """The attendance of a class as a workbook to keep and print: one line a person, one column a session. Numbers are masked; audited."""
    with transaction():
        people, found = class_of(plan)
        lines: list[list[Value]] = [
            [number, each.name, each.sex, each.masked_id_number, each.occupation.name, each.enterprise.name,
             *(_shown(found, each, one) for one in found.sessions), found.standing[each.id].missed, _whole(found, each, plan)]
            for number, each in enumerate(people, 1)]
        facts, totals = _facts(plan), _totals(people, found)
        audit.record(actor, "download_attendance", plan, {"people": len(lines)})
    headings = [_("序号"), _("姓名"), _("性别"), _("身份证号"), _("职业工种"), _("企业"), *(one.short for one in found.sessions),
                _("缺课"), _("整体")]
    data = write_summary(_("%(name)s考勤表", name=plan.name), facts, headings, lines, totals=totals,
                         signatures=[_("授课老师"), _("班主任"), _("培训机构（盖章）")])
    return Paper(f"{plan.name}考勤表.xlsx", data, files.XLSX)


def printed(plan: TrainingPlan, *, actor: Actor) -> Paper:
    """考勤表 as a PDF, A4 across; more than `SESSIONS_A_PAGE` sessions go on sheets of their own. Audited."""
    with transaction():
        people, found = class_of(plan)
        groups = [found.sessions[at:at + SESSIONS_A_PAGE] for at in range(0, len(found.sessions), SESSIONS_A_PAGE)] or [[]]
        parts = [{"sessions": [[f"{one.day:%m-%d}", str(SESSIONS[one.session])] for one in group], "last": group is groups[-1],
                  "people": [{"number": number, "name": each.name, "id_number": each.masked_id_number, "enterprise": each.enterprise.name,
                              "cells": [_shown(found, each, one) for one in group], "missed": found.standing[each.id].missed,
                              "whole": _whole(found, each, plan)} for number, each in enumerate(people, 1)]} for group in groups]
        data = {"title": _("%(name)s考勤表", name=plan.name), "facts": _facts(plan), "parts": parts,
                "totals": _totals(people, found), "note": _("“√”到课，“缺”缺课，“?”扫码后尚未核对，空白为还没有到的课时。"),
                "signatures": [_("授课老师"), _("班主任"), _("培训机构（盖章）")]}
        name = plan.name
        audit.record(actor, "download_attendance", plan, {"people": len(people)})
    return Paper(f"{name}考勤表.pdf", rendered("attendance_sheet", data, {}), files.PDF)
