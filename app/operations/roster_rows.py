"""The rules of 《报名人员信息表》: every row of a workbook, checked against every rule (E13, C15).

Nothing here writes. `read` answers the people of a workbook, or all its faults at once.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select

from app import clock
from app.documents import roster
from app.documents.faults import WorkbookFault
from app.documents.workbooks import read_rows
from app.extensions import db
from app.identifiers import IdentifierError, parse_id_number, parse_phone
from models import Education, Occupation, PlanOccupation, SkillLevel, Title, TrainingPlan

MOST_ROWS = 20_000
YOUNGEST = 16
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class RowFault:
    """What is wrong, where: `row` and `column` from 1 as Excel counts them, 0 for the whole workbook or row."""

    row: int
    column: int
    heading: str
    reason: str


@dataclass(frozen=True)
class PersonRow:
    """One person as a clean row tells."""

    row: int
    name: str
    id_number: str
    phone: str
    sex: str
    birth: date
    occupation_id: int
    level_id: int
    title_id: int
    education_id: int
    note: str


@dataclass
class Roster:
    """What a workbook holds. Use `people` only when `faults` is empty."""

    people: list[PersonRow] = field(default_factory=list)
    faults: list[RowFault] = field(default_factory=list)
    heading_row: int = 1


@dataclass(frozen=True)
class Choices:
    """The dictionaries by name, and the pairs of occupation and level that the plan teaches."""

    occupations: dict[str, int]
    levels: dict[str, int]
    titles: dict[str, int]
    education: dict[str, int]
    taught: frozenset[tuple[int, int]]


def choices_of(plan: TrainingPlan) -> Choices:
    """The lists a roster of this plan is checked against."""
    def named(model: Any) -> dict[str, int]:
        return {row.name: row.id for row in db.session.execute(select(model.id, model.name).where(model.enabled))}

    taught = db.session.execute(select(PlanOccupation.occupation_id, PlanOccupation.level_id)
                                .where(PlanOccupation.plan_id == plan.id))
    return Choices(named(Occupation), named(SkillLevel), named(Title), named(Education),
                   frozenset((a, b) for a, b in taught))


def unreadable(fault: WorkbookFault) -> str:
    """A workbook that cannot be read, in the person's words."""
    args = fault.message_args
    texts = {
        "too_big": _("文件太大。请删去多余的图片和工作表后再上传。"),
        "not_a_workbook": _("这不是 Excel 表格（.xlsx 或 .xls）。请下载《报名人员信息表》，填写后上传。"),
        "encrypted": _("表格设有打开密码。请取消密码后再上传。"),
        "damaged": _("表格已损坏，打不开。请用 Excel 重新保存后再上传。"),
        "too_many_rows": _("表格行数超过 %(n)s 行。请删去空白行，或分成几份上传。", n=args.get("limit", "")),
        "too_many_columns": _("表格列数超过 %(n)s 列。请删去右侧多余的列。", n=args.get("limit", "")),
        "too_many_sheets": _("工作表太多。请只保留“人员信息”和“选项”。"),
        "text_too_long": _("第 %(row)s 行有一格内容过长，请删减后再上传。", row=args.get("row", "")),
        "forbidden_markup": _("表格内含不允许的内容。请复制到新下载的《报名人员信息表》中再上传。"),
    }
    return texts.get(fault.code, _("表格内容过于庞大，无法处理。请复制到新下载的《报名人员信息表》中再上传。"))


def read(data: bytes, choices: Choices, report: Report) -> Roster:
    """Read and check a workbook. A workbook that cannot be read is a roster with one fault at row 0."""
    try:
        sheets = read_rows(data, max_rows=MOST_ROWS)
    except WorkbookFault as fault:
        return Roster(faults=[RowFault(0, 0, "", unreadable(fault))])
    found = roster.locate(sheets, roster.ROSTER_SHEET, roster.ROSTER_HEADINGS, roster.ROSTER_REQUIRED)
    if found is None:
        return Roster(faults=[RowFault(0, 0, "", _("没有找到表头。请用《报名人员信息表》填写，不要改动表头。"))])
    if found.missing:
        names = "、".join(found.missing)
        return Roster(faults=[RowFault(found.heading_row, 0, "", _("缺少栏目：%(names)s。请对照《报名人员信息表》补上。", names=names))],
                      heading_row=found.heading_row)
    answer = Roster(heading_row=found.heading_row)
    rows = found.sheet.rows[found.heading_row:]
    checker = _Checker(choices, found.columns, answer)
    for index, cells in enumerate(rows):
        checker.check(found.heading_row + 1 + index, cells)
        if index % 1000 == 999:
            report(index + 1, len(rows) * 2)
    if not answer.people and not answer.faults:
        answer.faults.append(RowFault(0, 0, "", _("表格里没有人员。请从表头下一行起，每人填写一行。")))
    return answer


class _Checker:
    """Checks rows one after another, remembering who came before."""

    def __init__(self, choices: Choices, columns: dict[str, int], answer: Roster) -> None:
        self._choices, self._columns, self._answer = choices, columns, answer
        self._today = clock.shanghai_day()
        self._seen: dict[str, int] = {}

    def check(self, row: int, cells: list[Any]) -> None:
        """Add the person of a row, or its faults. An empty row is no person."""
        values = {heading: cells[column - 1] if column <= len(cells) else None for heading, column in self._columns.items()}
        if all(value is None or str(value).strip() == "" for value in values.values()):
            return
        before = len(self._answer.faults)
        name = self._name(row, values[roster.NAME])
        number, sex, birth = self._number(row, values[roster.ID_NUMBER])
        phone = self._phone(row, values[roster.PHONE])
        occupation, level = self._trade(row, values)
        title = self._listed(row, roster.TITLE, values, self._choices.titles)
        education = self._listed(row, roster.EDUCATION, values, self._choices.education)
        if len(self._answer.faults) == before:
            note = _text(values.get(roster.REMARK))[:200]
            self._answer.people.append(PersonRow(row, name, number, phone, sex, birth, occupation, level, title, education, note))

    def _fault(self, row: int, heading: str, reason: str) -> None:
        self._answer.faults.append(RowFault(row, self._columns.get(heading, 0), heading, reason))

    def _name(self, row: int, value: Any) -> str:
        name = _text(value)
        if not name:
            self._fault(row, roster.NAME, _("请填写姓名。"))
        elif len(name) > 50:
            self._fault(row, roster.NAME, _("姓名过长，请核对。"))
        elif any(sign.isdigit() or sign.isspace() for sign in name):
            self._fault(row, roster.NAME, _("姓名中不能有数字或空格，请按身份证填写。"))
        return name

    def _number(self, row: int, value: Any) -> tuple[str, str, date]:
        nothing = ("", "", self._today)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            self._fault(row, roster.ID_NUMBER, _("身份证号被 Excel 当作数字，末几位已丢失。请把该列设为文本后重新填写。"))
            return nothing
        text = _text(value)
        if not text:
            self._fault(row, roster.ID_NUMBER, _("请填写身份证号。"))
            return nothing
        try:
            found = parse_id_number(text, self._today)
        except IdentifierError as error:
            self._fault(row, roster.ID_NUMBER, number_fault(error.code))
            return nothing
        if found.number in self._seen:
            self._fault(row, roster.ID_NUMBER, _("与第 %(row)s 行重复，同一人只能填一次。", row=self._seen[found.number]))
        self._seen.setdefault(found.number, row)
        if _age(found.birth, self._today) < YOUNGEST:
            self._fault(row, roster.ID_NUMBER, _("未满 %(n)s 周岁，不能报名。", n=YOUNGEST))
        return found.number, found.sex, found.birth

    def _phone(self, row: int, value: Any) -> str:
        text = str(int(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else _text(value)
        try:
            return parse_phone(text)
        except IdentifierError:
            self._fault(row, roster.PHONE, _("请填写手机号。") if not text else _("手机号应为 11 位数字，以 1 开头。"))
            return ""

    def _trade(self, row: int, values: dict[str, Any]) -> tuple[int, int]:
        occupation = self._listed(row, roster.OCCUPATION, values, self._choices.occupations)
        level = self._listed(row, roster.LEVEL, values, self._choices.levels)
        if occupation and level and (occupation, level) not in self._choices.taught:
            self._fault(row, roster.OCCUPATION, _("本培训计划不含这个工种和等级，请核对或改报其他计划。"))
        return occupation, level

    def _listed(self, row: int, heading: str, values: dict[str, Any], choices: dict[str, int]) -> int:
        """E13: copied from the list, without blanks or other signs. The exact name decides."""
        text = "" if values[heading] is None else str(values[heading])
        if text in choices:
            return choices[text]
        if not text.strip():
            self._fault(row, heading, _("请填写%(heading)s。", heading=heading))
        elif text.strip() in choices:
            self._fault(row, heading, _("前后有多余的空格，请从“选项”中复制。"))
        else:
            self._fault(row, heading, _("“%(text)s”不在列表中，请从“选项”中复制。", text=text[:30]))
        return 0


def _text(value: Any) -> str:
    """A cell as text: full-width signs made half-width, blanks around it gone."""
    return "" if value is None else unicodedata.normalize("NFKC", str(value)).strip()


def _age(birth: date, today: date) -> int:
    return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))


def number_fault(code: str) -> str:
    """What is wrong with an ID number, by the code of `parse_id_number`."""
    return {
        "length": _("身份证号应为 18 位。"),
        "charset": _("身份证号只能是 17 位数字加一位数字或 X。"),
        "region": _("身份证号前两位不是有效的省份代码，请核对。"),
        "date": _("身份证号中的出生日期不对，请核对。"),
    }.get(code, _("身份证号校验不通过，请逐位核对。"))
