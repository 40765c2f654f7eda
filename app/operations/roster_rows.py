"""The rules of 《报名人员信息表》: every row of a workbook, checked against every rule (E13, C15).

Nothing here writes. `read` answers the people of a workbook, what was mended, and all its faults at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from flask_babel import gettext as _
from sqlalchemy import select

from app import clock
from app.documents import roster
from app.documents.child import nothing
from app.documents.columns import Columns, bare, find_columns
from app.documents.faults import WorkbookFault
from app.documents.workbooks import Sheet, read_rows
from app.extensions import db
from app.identifiers import IdentifierError, parse_id_number, parse_phone
from app.operations.roster_mending import (
    Words,
    day_of,
    how,
    lost_digits,
    mend_name,
    mend_number,
    mend_phone,
    narrow,
    shown_of,
    spans_of,
    years_before,
)
from app.operations.roster_words import number_advice, number_fault, unreadable
from models import Education, Occupation, PlanOccupation, SkillLevel, Title, TrainingPlan

MOST_ROWS = 20_000
YOUNGEST = 16
MOST_NOTE = 200
Report = Callable[[int, int], None]
_PLAIN_NAME = re.compile("[\u4e00-\u9fff]{2,20}")
_HARDLY_ANYTHING = 2
_ERRORS = ("#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!")


class RowFault(NamedTuple):
    """What is wrong, where, and what to do: `row` and `column` from 1 as Excel counts them, 0 for the whole workbook or row.
    A `double` is a person who is there already: the row need not come again."""

    row: int
    column: int
    heading: str
    reason: str
    advice: str = ""
    double: bool = False


class Mended(NamedTuple):
    """What was understood otherwise than it stands there. Numbers of people are masked."""

    row: int
    heading: str
    was: str
    now: str
    why: str


class PersonRow(NamedTuple):
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
    """What a workbook holds: `people` are those whose rows have no fault. `columns` is None where it could not be read."""

    people: list[PersonRow] = field(default_factory=list)
    faults: list[RowFault] = field(default_factory=list)
    mended: list[Mended] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    columns: Columns | None = None
    sheets: list[Sheet] = field(default_factory=list)

    @property
    def unmapped(self) -> bool:
        """A person must say which column is which."""
        return self.columns is not None and self.columns.heading_row > 0 and bool(self.columns.missing)


@dataclass(frozen=True)
class Choices:
    """The dictionaries by name, and the pairs of occupation and level that the plan teaches: by id, and as people call them."""

    occupations: dict[str, int]
    levels: dict[str, int]
    titles: dict[str, int]
    education: dict[str, int]
    taught: frozenset[tuple[int, int]]

    @property
    def pairs(self) -> dict[tuple[str, str], tuple[int, int]]:
        """What is taught, by its two names."""
        return {(name, level): (key, level_key) for name, key in self.occupations.items() for level, level_key in self.levels.items()
                if (key, level_key) in self.taught}


def choices_of(plan: TrainingPlan) -> Choices:
    """The lists a roster of this plan is checked against."""
    def named(model: Any) -> dict[str, int]:
        return {row.name: row.id for row in db.session.execute(select(model.id, model.name).where(model.enabled))}

    taught = db.session.execute(select(PlanOccupation.occupation_id, PlanOccupation.level_id)
                                .where(PlanOccupation.plan_id == plan.id))
    return Choices(named(Occupation), named(SkillLevel), named(Title), named(Education),
                   frozenset((a, b) for a, b in taught))


def read(data: bytes, choices: Choices, *, learnt: Mapping[str, str], said: Mapping[str, int],
         waiting: Callable[[], None] = nothing) -> Roster:
    """Read and check a workbook. One that cannot be read is a roster with one fault at row 0.

    `learnt` is what the enterprise calls its columns, `said` which column is which in this very workbook: the latter decides.
    `waiting` is called every some seconds while it is read.
    """
    try:
        sheets = read_rows(data, max_rows=MOST_ROWS, strip=False, waiting=waiting)
    except WorkbookFault as fault:
        return Roster(faults=[RowFault(0, 0, "", unreadable(fault))])
    columns = find_columns(sheets, learnt)
    if columns is None:
        return Roster(faults=[RowFault(0, 0, "", _("表格是空的。"), _("请下载《报名人员信息表》，填写后上传。"))])
    if said and columns.heading_row:
        columns = Columns(columns.sheet, columns.heading_row, dict(said), columns.headings)
    answer = Roster(columns=columns, sheets=sheets)
    if not columns.heading_row:
        answer.faults.append(RowFault(0, 0, "", _("没有找到表头。"), _("请在人员上方加一行栏目名称，如姓名、身份证号、手机号。")))
    elif columns.missing:
        answer.faults.append(RowFault(columns.heading_row, 0, "", _("缺少栏目：%(names)s。", names="、".join(columns.missing)),
                                      _("请指出哪一列是哪一项，或在表格中补上。")))
    else:
        _Checker(choices, columns, answer).check_all()
        if not answer.people and not answer.faults:
            answer.faults.append(RowFault(0, 0, "", _("表格里没有人员。"), _("请从表头下一行起，每人填写一行。")))
    return answer


class _Checker:
    """Checks rows one after another, remembering who came before. What is as it should be goes by the short way; only the
    other rows are looked at field by field."""

    def __init__(self, choices: Choices, columns: Columns, answer: Roster) -> None:
        self._choices, self._fields, self._sheet, self._answer = choices, columns.fields, columns.sheet, answer
        self._first = columns.heading_row + 1
        self._today = clock.shanghai_day()
        self._grown = years_before(self._today, YOUNGEST)
        self._pairs = choices.pairs
        taught = {name for name, _level in self._pairs}
        self._words = {roster.OCCUPATION: Words(choices.occupations, taught), roster.LEVEL: Words(choices.levels),
                       roster.TITLE: Words(choices.titles), roster.EDUCATION: Words(choices.education)}
        self._seen: dict[str, tuple[int, str]] = {}
        self._nobody: list[int] = []
        # Rows that are perhaps no person: hardly anything of what is asked for is there.
        self._sparse: set[int] = set()
        self._offered = _("本计划培训：%(names)s。", names="、".join(f"{name}（{grade}）" for name, grade in list(self._pairs)[:5]))

    def check_all(self) -> None:
        rows = self._sheet.rows[self._first - 1:]
        at = [self._fields[name] - 1 for name in roster.ROSTER_REQUIRED]
        name_at, number_at, phone_at, occupation_at, level_at, title_at, education_at = at
        note_at = self._fields.get(roster.REMARK, 0) - 1
        compared = roster.SEX in self._fields or roster.BIRTH in self._fields
        pairs: Mapping[Any, tuple[int, int]] = self._pairs
        titles: Mapping[Any, int] = self._choices.titles
        education: Mapping[Any, int] = self._choices.education
        plain = _PLAIN_NAME.fullmatch
        seen, add, today, grown, most = self._seen, self._answer.people.append, self._today, self._grown, max(at) + 1
        for row, cells in enumerate(rows, self._first):
            if len(cells) >= most:
                name, number, phone = cells[name_at], cells[number_at], cells[phone_at]
                pair = pairs.get((cells[occupation_at], cells[level_at]))
                title, schooling = titles.get(cells[title_at]), education.get(cells[education_at])
                note = cells[note_at] if 0 <= note_at < len(cells) else None
                if (pair and title and schooling and (note is None or type(note) is str) and type(name) is str and type(number) is str
                        and type(phone) is str and plain(name) and number not in seen):
                    try:
                        found = parse_id_number(number, today)
                        parse_phone(phone)
                    except IdentifierError:
                        found = None
                    if (found and found.number == number and found.birth <= grown
                            and (not compared or self._agrees(cells, found.sex, found.birth))):
                        seen[number] = (row, name)
                        add(PersonRow(row, name, number, phone, found.sex, found.birth, *pair, title, schooling,
                                      narrow(note)[:MOST_NOTE] if note else ""))
                        continue
            self._check(row, cells)
        self._tell()

    def _agrees(self, cells: list[Any], sex: str, birth: date) -> bool:
        said_sex, said_birth = self._cell(cells, roster.SEX), self._cell(cells, roster.BIRTH)
        return (said_sex is None or said_sex == sex) and (said_birth is None or said_birth == birth
                                                          or said_birth == birth.isoformat())

    def _cell(self, cells: list[Any], heading: str) -> Any:
        column = self._fields.get(heading, 0)
        return cells[column - 1] if 0 < column <= len(cells) else None

    def _check(self, row: int, cells: list[Any]) -> None:
        """Add the person of a row, or its faults. An empty row is no person."""
        values = {heading: self._cell(cells, heading) for heading in self._fields}
        if all(value is None or not str(value).strip() for value in values.values()):
            return
        if not any(self._given(row, heading, values) for heading in (roster.NAME, roster.ID_NUMBER, roster.PHONE)):
            self._nobody.append(row)
            return
        if all(isinstance(value, str) and bare(value) == bare(heading) for heading, value in values.items()
               if heading in (roster.NAME, roster.ID_NUMBER)):
            return  # the headings once more, as printed tables have them on each page
        if sum(self._given(row, heading, values) for heading in roster.ROSTER_REQUIRED) <= _HARDLY_ANYTHING:
            self._sparse.add(row)
        before = len(self._answer.faults)
        name = self._name(row, values[roster.NAME])
        number, sex, birth = self._number(row, values[roster.ID_NUMBER], name)
        phone = self._phone(row, values[roster.PHONE])
        occupation, level = self._trade(row, values)
        title = self._listed(row, roster.TITLE, values)
        education = self._listed(row, roster.EDUCATION, values)
        if number:
            self._compare(row, values, sex, birth)
        if len(self._answer.faults) == before:
            note = narrow(str(values.get(roster.REMARK) or ""))[:MOST_NOTE]
            self._answer.people.append(PersonRow(row, name, number, phone, sex, birth, occupation, level, title, education, note))

    def _given(self, row: int, heading: str, values: dict[str, Any]) -> bool:
        value = values[heading]
        return bool(value is not None and str(value).strip()) or (row, self._fields[heading]) in self._sheet.look.unanswered

    def _fault(self, row: int, heading: str, reason: str, advice: str = "", *, double: bool = False) -> None:
        self._answer.faults.append(RowFault(row, self._fields.get(heading, 0), heading, reason, advice, double))

    def _mend(self, row: int, heading: str, was: str, now: str) -> None:
        if was != now:
            self._answer.mended.append(Mended(row, heading, shown_of(heading, was), shown_of(heading, now), how(was, now)))

    def _empty(self, row: int, heading: str) -> None:
        """Nothing is there: it was left out, or a formula gave nothing."""
        if (row, self._fields[heading]) in self._sheet.look.unanswered:
            self._fault(row, heading, _("这一格是公式，文件里没有它的结果。"), _("用 Excel 打开后保存一次再上传，或选择性粘贴为“数值”。"))
        else:
            self._fault(row, heading, _("请填写%(heading)s。", heading=heading), self._what_to_enter(row, heading))

    def _what_to_enter(self, row: int, heading: str) -> str:
        """Of a row that has most of what is asked for; one that has hardly anything is perhaps no person."""
        if row in self._sparse:
            return _("如果这一行不是人员，请删去。")
        if heading in self._words:
            nothing = heading == roster.TITLE and "无" in self._words[heading].entries
            return _("请从“选项”工作表复制，没有职称的填“无”。") if nothing else _("请从“选项”工作表复制。")
        return _("请按身份证填写。") if heading in (roster.NAME, roster.ID_NUMBER) else _("请填写本人的 11 位手机号。")

    def _name(self, row: int, value: Any) -> str:
        text = "" if value is None else str(value)
        name = mend_name(text)
        if not name:
            self._empty(row, roster.NAME)
        elif len(name) > 50:
            self._fault(row, roster.NAME, _("姓名过长，请核对。"))
        elif any(sign.isdigit() or sign.isspace() for sign in name):
            self._fault(row, roster.NAME, _("姓名中不能有数字或空格，请按身份证填写。"), _("请核对是否与其他栏目填串了。"))
        else:
            self._mend(row, roster.NAME, text, name)
        return name

    def _number(self, row: int, value: Any, name: str) -> tuple[str, str, date]:
        nothing = ("", "", self._today)
        if shown := lost_digits(value):
            self._fault(row, roster.ID_NUMBER, _("身份证号被 Excel 当作数字，存成了 %(shown)s，末几位已丢失。", shown=shown),
                        _("请把该列设为“文本”，对照身份证重新填写 18 位号码。"))
            return nothing
        text = "" if value is None else str(value)
        number = mend_number(text)
        if not number:
            self._empty(row, roster.ID_NUMBER)
            return nothing
        try:
            found = parse_id_number(number, self._today)
        except IdentifierError as error:
            self._fault(row, roster.ID_NUMBER, number_fault(error.code), number_advice(error.code, number))
            return nothing
        if found.number in self._seen:
            first, other = self._seen[found.number]
            self._fault(row, roster.ID_NUMBER, _("与第 %(row)s 行重复，同一人只能填一次。", row=first),
                        _("两行是同一人，请删去一行。") if other == name else _("两行姓名不同，请核对哪一行的身份证号填错了。"),
                        double=other == name)
        self._seen.setdefault(found.number, (row, name))
        if found.birth > self._grown:
            self._fault(row, roster.ID_NUMBER, _("未满 %(n)s 周岁，不能报名。", n=YOUNGEST), _("请核对身份证号；属实的请删去这一行。"))
        self._mend(row, roster.ID_NUMBER, text, number)
        return found.number, found.sex, found.birth

    def _phone(self, row: int, value: Any) -> str:
        text = str(int(value)) if isinstance(value, (int, float)) else "" if value is None else str(value)
        phone = mend_phone(text)
        if not phone:
            self._empty(row, roster.PHONE)
            return ""
        try:
            parse_phone(phone)
        except IdentifierError:
            self._fault(row, roster.PHONE, _("手机号应为 11 位数字，以 1 开头。"),
                        _("现在是 %(n)s 位，请核对；不能填座机。", n=len(phone)) if len(phone) != 11 else _("请核对号码。"))
            return ""
        self._mend(row, roster.PHONE, text, phone)
        return phone

    def _trade(self, row: int, values: dict[str, Any]) -> tuple[int, int]:
        occupation = self._listed(row, roster.OCCUPATION, values)
        level = self._listed(row, roster.LEVEL, values)
        if occupation and level and (occupation, level) not in self._choices.taught:
            self._fault(row, roster.OCCUPATION, _("本培训计划不含这个工种和等级，请核对或改报其他计划。"), self._offered)
        return occupation, level

    def _listed(self, row: int, heading: str, values: dict[str, Any]) -> int:
        """E13: copied from the list, without blanks or other signs. Those are taken away; a word that is not there is a fault."""
        text, words = "" if values[heading] is None else str(values[heading]), self._words[heading]
        if text in words.entries:
            return words.entries[text]
        if not text.strip():
            self._empty(row, heading)
            return 0
        if text.strip() in _ERRORS:
            self._fault(row, heading, _("这一格的公式出错了（%(text)s）。", text=text.strip()), _("请从“选项”工作表复制。"))
            return 0
        if meant := words.meant(text):
            self._mend(row, heading, text, meant)
            return words.entries[meant]
        near = words.nearest(text.strip())
        self._fault(row, heading, _("“%(text)s”不在列表中，请从“选项”中复制。", text=text.strip()[:30]),
                    _("是不是：%(names)s？", names="、".join(near)) if near else _("请从“选项”工作表复制。"))
        return 0

    def _compare(self, row: int, values: dict[str, Any], sex: str, birth: date) -> None:
        """Columns that say again what the ID number says: rows that slipped against each other are found so."""
        said = narrow(str(values.get(roster.SEX) or "")).removesuffix("性")
        if said in ("男", "女") and said != sex:
            self._fault(row, roster.SEX, _("性别与身份证号不一致。"), _("请核对这一行是否填串了别人的身份证号。"))
        day = day_of(values[roster.BIRTH]) if values.get(roster.BIRTH) is not None else None
        if day and day != birth:
            self._fault(row, roster.BIRTH, _("出生日期与身份证号不一致。"), _("请核对这一行是否填串了别人的身份证号。"))

    def _tell(self) -> None:
        """What was done with what is unusual."""
        people = {person.row for person in self._answer.people} | {fault.row for fault in self._answer.faults}
        if hidden := sorted(people & self._sheet.look.hidden):
            self._answer.notes.append(_("有 %(n)s 行是隐藏的（%(rows)s），也作为人员检查和导入。如不需要，请在表格中删去。",
                                        n=len(hidden), rows=spans_of(hidden)))
        if self._nobody:
            self._answer.notes.append(_("有 %(n)s 行没有姓名、身份证号和手机号（%(rows)s），没有当作人员。",
                                        n=len(self._nobody), rows=spans_of(self._nobody)))
        ignored = self._answer.columns.ignored if self._answer.columns else ()
        if ignored:
            self._answer.notes.append(_("这些栏目用不到，没有读取：%(names)s。", names="、".join(text[:20] for text in ignored[:20])))


__all__ = ["Choices", "Mended", "PersonRow", "Roster", "RowFault", "Sheet", "choices_of", "read"]
