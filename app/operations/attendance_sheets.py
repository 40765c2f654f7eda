"""Attendance on paper and in workbooks: slips to hand out, the sheet to fill in and bring back, the record to keep (I20)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app import audit, files, presentation
from app.actors import Actor
from app.documents import attendance as documents
from app.documents import papers as drawing
from app.documents.attendance import CODE, ENTERPRISE, NAME, SHEET, WHOLE
from app.documents.faults import WorkbookFault
from app.documents.qr import qr_png
from app.documents.roster import Located, locate
from app.documents.tables import Value, write_summary
from app.documents.workbooks import read_rows
from app.errors import Conflict, Invalid
from app.extensions import db, transaction
from app.operations.attendance import Cell, Session, Sheet, check_in_class, mark, people_of, sheet
from app.operations.papers import ZIP, Paper, rendered, zipped
from app.operations.plan_checks import SESSIONS
from app.operations.roster_words import unreadable
from app.operations.scanning import short_code, token
from models import Enrolment, TrainingPlan

MOST_BYTES = 5 * 1024 * 1024
SESSIONS_A_PAGE = 8
_AWAY = {"缺", "缺勤", "缺课", "×", "x", "X", "✗"}
_HERE = {"", "到", "到课", "全勤", "√", "✓"}
_IN_FULL = (joinedload(Enrolment.occupation), joinedload(Enrolment.enterprise), joinedload(Enrolment.level))


class AttendanceFaults(Invalid):
    """What is wrong with an uploaded sheet, each fault a sentence that names its row. Nothing was written."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(_("考勤没有写入：表格有 %(n)s 处需要修改。请按行号修改后重新上传。", n=len(faults)), "workbook")
        self.faults = list(faults)


def _class(plan: TrainingPlan) -> tuple[list[Enrolment], Sheet]:
    people = list(db.session.scalars(select(Enrolment).where(people_of(plan)).order_by(Enrolment.id).options(*_IN_FULL)))
    if not people:
        raise Conflict(_("还没有人员报名成功，没有可下载的内容。"))
    return people, sheet(plan, people)


def slips(plan: TrainingPlan, *, actor: Actor) -> Paper:
    """听课证 of a class: one PDF with ten on a page, a zip of several beyond `papers.CHUNK` people. No ID number is on or in them."""
    with transaction():
        people, _sheet = _class(plan)
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


def template(plan: TrainingPlan) -> Paper:
    """The sheet to fill in, with what is known already."""
    check_in_class(plan)
    people, found = _class(plan)
    rows = [(short_code(plan.id, each.id), each.name, each.enterprise.name,
             [found.state(each.id, one) == "absent" for one in found.sessions], found.standing[each.id].absent) for each in people]
    data = documents.attendance_template([(one.label, one.open) for one in found.sessions], rows)
    return Paper(f"考勤登记-{plan.name}.xlsx", data, files.XLSX)


def upload(plan: TrainingPlan, data: bytes, *, actor: Actor) -> int:
    """Take attendance from a sheet: what it says of the people and sessions in it, all or nothing. Returns how many marks changed.

    Raises `Invalid` for what is no such sheet, `AttendanceFaults` with every row's faults, `Conflict` as `mark` does.
    """
    check_in_class(plan)
    if len(data) > MOST_BYTES:
        raise Invalid(_("表格超过 5 MB，请删去多余的内容后再上传。"), "workbook")
    try:
        sheets = read_rows(data, max_rows=20_000)
    except WorkbookFault as fault:
        raise Invalid(unreadable(fault, _("考勤登记表")), "workbook") from None
    people, found = _class(plan)
    columns = {each.label: each for each in found.sessions}
    located = locate(sheets, SHEET, (CODE, NAME, ENTERPRISE, *columns, WHOLE), (CODE, NAME))
    if located is None or located.missing:
        raise Invalid(_("没有找到表头。请下载考勤登记表，填写后上传，不要改动表头。"), "workbook")
    known = {short_code(plan.id, each.id): each for each in people}
    away, back, faults = _read(located, known, columns, found)
    if faults:
        raise AttendanceFaults(faults)
    return mark(plan, away, back, actor=actor, source="workbook")


def _read(located: Located, known: dict[str, Enrolment], columns: dict[str, Session],
          found: Sheet) -> tuple[set[Cell], set[Cell], list[str]]:
    """Who is marked away and who is not, and every fault. The whole training is said only where it differs from what stands."""
    away: set[Cell] = set()
    back: set[Cell] = set()
    faults: list[str] = []
    seen: set[str] = set()
    for number, cells in enumerate(located.sheet.rows[located.heading_row:], located.heading_row + 1):
        values = {heading: _text(cells[column - 1] if column <= len(cells) else None) for heading, column in located.columns.items()}
        if not any(values.values()):
            continue
        code = values[CODE].upper()
        person = known.get(code)
        if person is None or code in seen or (values[NAME] and values[NAME] != person.name):
            faults.append(_wrong_person(number, code, values[NAME], person, code in seen))
            continue
        seen.add(code)
        for heading, text in values.items():
            if heading in (CODE, NAME, ENTERPRISE):
                continue
            one = columns.get(heading)
            if text not in _AWAY and text not in _HERE:
                faults.append(_("第 %(row)s 行：“%(heading)s”一列只能填“缺”或留空，不能填“%(text)s”", row=number, heading=heading,
                                text=text[:20]))
            elif one is not None and not one.open:
                if text in _AWAY:
                    faults.append(_("第 %(row)s 行：%(session)s还没有到，不能登记", row=number, session=heading))
            elif one is not None:
                (away if text in _AWAY else back).add((person.id, one.id))
            elif (text in _AWAY) != found.standing[person.id].absent:
                (away if text in _AWAY else back).add((person.id, 0))
    if not seen and not faults:
        faults.append(_("表格里没有人员"))
    return away, back, faults


def _wrong_person(row: int, code: str, name: str, person: Enrolment | None, twice: bool) -> str:
    if not code:
        return str(_("第 %(row)s 行：没有编号", row=row))
    if person is None:
        return str(_("第 %(row)s 行：编号 %(code)s 不是本班学员", row=row, code=code[:20]))
    if twice:
        return str(_("第 %(row)s 行：编号 %(code)s 重复", row=row, code=code))
    return str(_("第 %(row)s 行：编号 %(code)s 的学员是%(right)s，不是%(name)s", row=row, code=code, right=person.name, name=name[:50]))


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


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
        people, found = _class(plan)
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
        people, found = _class(plan)
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
