"""《报名人员信息表》 and the score sheet: the workbooks people fill in, and where their columns are when they come back
(E10, E13, I26)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from openpyxl import Workbook
from openpyxl.cell.cell import Cell, MergedCell
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from app.documents.tables import (
    BODY_FONT,
    CENTRE,
    FONT,
    GRID,
    HEAD_FILL,
    HEAD_FONT,
    LEFT_WRAPPED,
    display_width,
    print_wide,
    put,
    workbook_bytes,
)
from app.documents.workbooks import Sheet

NAME, ID_NUMBER, PHONE = "姓名", "身份证号", "手机号"
OCCUPATION, LEVEL = "职业（工种）名称", "职业等级"
TITLE, EDUCATION, REMARK = "职称", "文化程度", "备注"
# Not in the template; where a workbook has them they are compared with the ID number.
SEX, BIRTH = "性别", "出生日期"
ROSTER_SHEET, OPTIONS_SHEET = "人员信息", "选项"
ROSTER_HEADINGS = (NAME, ID_NUMBER, PHONE, OCCUPATION, LEVEL, TITLE, EDUCATION, REMARK)
ROSTER_REQUIRED = ROSTER_HEADINGS[:-1]
ROSTER_LISTS = (OCCUPATION, LEVEL, TITLE, EDUCATION)

TICKET_NO, THEORY, PRACTICE, ABSENT = "准考证号", "理论成绩", "实操成绩", "缺考"
CHEATING = "违纪"
SCORE_SHEET = "成绩"
SCORE_HEADINGS = (TICKET_NO, NAME, THEORY, PRACTICE, ABSENT, CHEATING)

PREPARED_ROWS = 2000
_HEADING_ROW = 2
_LOOK_FOR_HEADINGS = 10
_ROSTER_WIDTHS = (14, 24, 16, 24, 18, 18, 14, 30)
_OPTIONAL_FILL = PatternFill("solid", fgColor="7A8AA0")
_HINT_FILL = PatternFill("solid", fgColor="FFF7E0")
_ROSTER_HINT = (
    "填写说明：① 每人一行，从第 3 行起填写，不要改动表头。② 深色栏目必填。"
    "③ 职业（工种）名称、职业等级、职称、文化程度只能从下拉列表选择，或照抄“选项”工作表，不得有空格或其他标点。"
    "④ 身份证号 18 位、手机号 11 位，按文本填写。⑤ 一寸照和身份证正面照在导入后上传，文件以身份证号命名。"
)
_COMMENTS = {
    NAME: "与身份证一致，中间不要加空格。生僻字请照实填写。",
    ID_NUMBER: "18 位居民身份证号。本列已设为文本；若从别处粘贴，请选择“只粘贴值”，否则末几位会变成 0。",
    PHONE: "11 位手机号，用于通知本人。",
    OCCUPATION: "从下拉列表选择，与“选项”工作表完全一致，且须在所报培训计划的工种之内。",
    LEVEL: "从下拉列表选择，与“选项”工作表完全一致。",
    TITLE: "从下拉列表选择；没有职称的选“无”。",
    EDUCATION: "从下拉列表选择最高学历。",
    REMARK: "可不填。",
}
_SCORE_HINT = (
    "填写说明：① 不要改动准考证号和姓名。② 成绩为 0～100，最多一位小数。③ 缺考、违纪的在该列选“是”，两项成绩留空。"
)


def roster_template(
    occupations: Sequence[str], levels: Sequence[str], titles: Sequence[str], education: Sequence[str]
) -> bytes:
    """The empty 《报名人员信息表》 (.xlsx): sheet 人员信息 to fill in from row 3, sheet 选项 with the four lists (E13).

    ID number and phone columns are text; the four list columns have drop-downs for 2,000 rows.
    """
    workbook = Workbook()
    sheet = _first_sheet(workbook, ROSTER_SHEET)
    _write_hint(sheet, _ROSTER_HINT, len(ROSTER_HEADINGS), 66)
    for column, (heading, width) in enumerate(zip(ROSTER_HEADINGS, _ROSTER_WIDTHS, strict=True), 1):
        cell = _write_heading(sheet, column, heading, width)
        cell.fill = HEAD_FILL if heading in ROSTER_REQUIRED else _OPTIONAL_FILL
        cell.comment = _comment(_COMMENTS[heading])
        if heading in (ID_NUMBER, PHONE):
            sheet.column_dimensions[get_column_letter(column)].number_format = "@"
    options = workbook.create_sheet(OPTIONS_SHEET)
    lists = dict(zip(ROSTER_LISTS, (occupations, levels, titles, education), strict=True))
    for column, (heading, values) in enumerate(lists.items(), 1):
        _write_options(options, column, heading, values)
        letter = get_column_letter(column)
        _offer(sheet, heading, f"'{OPTIONS_SHEET}'!${letter}$2:${letter}${len(values) + 1}")
    options.freeze_panes = "A2"
    _expect_length(sheet, ID_NUMBER, 18, "居民身份证号须为 18 位。")
    _expect_length(sheet, PHONE, 11, "手机号须为 11 位。")
    sheet.freeze_panes = sheet.cell(_HEADING_ROW + 1, 1).coordinate
    print_wide(sheet, _HEADING_ROW)
    return workbook_bytes(workbook)


def score_template(candidates: Iterable[tuple[str, str]]) -> bytes:
    """The score sheet of an exam (.xlsx) with a row for each `(ticket number, name)`, from row 3, marks still to be
    filled in."""
    workbook = Workbook()
    sheet = _first_sheet(workbook, SCORE_SHEET)
    _write_hint(sheet, _SCORE_HINT, len(SCORE_HEADINGS), 36)
    for column, (heading, width) in enumerate(zip(SCORE_HEADINGS, (24, 16, 14, 14, 10, 10), strict=True), 1):
        _write_heading(sheet, column, heading, width).fill = HEAD_FILL
    sheet.column_dimensions["A"].number_format = "@"
    row = _HEADING_ROW
    for row, candidate in enumerate(candidates, _HEADING_ROW + 1):
        for column, text in enumerate((*candidate, None, None, None, None), 1):
            cell = sheet.cell(row, column)
            put(cell, text)
            cell.font, cell.border, cell.alignment = BODY_FONT, GRID, CENTRE
        sheet.cell(row, 1).number_format = "@"
    last = max(row, _HEADING_ROW + 1)
    marks = DataValidation("decimal", formula1="0", formula2="100", operator="between", allow_blank=True)
    marks.error, marks.errorTitle = "成绩须在 0 到 100 之间。", "成绩"
    marks.add(f"C{_HEADING_ROW + 1}:D{last}")
    absent = DataValidation("list", formula1='"是"', allow_blank=True)
    absent.error, absent.errorTitle = "缺考、违纪的选“是”，其他留空。", ABSENT
    absent.add(f"E{_HEADING_ROW + 1}:F{last}")
    sheet.add_data_validation(marks)
    sheet.add_data_validation(absent)
    sheet.freeze_panes = sheet.cell(_HEADING_ROW + 1, 1).coordinate
    print_wide(sheet, _HEADING_ROW)
    return workbook_bytes(workbook)


@dataclass(frozen=True)
class Located:
    """Where the columns of a filled-in workbook are. `columns` maps a heading to its column from 1; people's rows begin
    at `heading_row + 1` (rows from 1, so the first is `sheet.rows[heading_row]`)."""

    sheet: Sheet
    heading_row: int
    columns: dict[str, int]
    missing: tuple[str, ...]


def locate(sheets: Sequence[Sheet], name: str, headings: Sequence[str], required: Sequence[str]) -> Located | None:
    """Find the row with `headings` in the sheet called `name`, or else in the first sheet that has one.

    People delete the hint row, add columns and change their order: the names decide, brackets of either width alike.
    None where no row of the first ten has at least half of the `required` headings; `missing` tells which of those are
    not there.
    """
    by_name = [sheet for sheet in sheets if sheet.name == name]
    wanted = {_bare(heading): heading for heading in headings}
    for sheet in by_name or [sheet for sheet in sheets if sheet.name != OPTIONS_SHEET]:
        for number, row in enumerate(sheet.rows[:_LOOK_FOR_HEADINGS], 1):
            columns: dict[str, int] = {}
            for column, value in enumerate(row, 1):
                heading = wanted.get(_bare(value)) if isinstance(value, str) else None
                if heading:
                    columns.setdefault(heading, column)
            missing = tuple(heading for heading in required if heading not in columns)
            if len(missing) * 2 <= len(required):
                return Located(sheet, number, columns, missing)
    return None


def _bare(text: str) -> str:
    return "".join(text.split()).replace("(", "（").replace(")", "）").rstrip("*＊")


def _first_sheet(workbook: Workbook, name: str) -> Worksheet:
    sheet = workbook.active
    assert isinstance(sheet, Worksheet)
    sheet.title = name
    return sheet


def _write_hint(sheet: Worksheet, text: str, wide: int, height: float) -> None:
    cell = sheet.cell(1, 1, text)
    cell.font, cell.fill = Font(name=FONT, size=10, color="7A5A00"), _HINT_FILL
    cell.alignment = Alignment(horizontal="left", vertical="center", wrap_text=True)
    sheet.merge_cells(start_row=1, start_column=1, end_row=1, end_column=wide)
    sheet.row_dimensions[1].height = height


def _write_heading(sheet: Worksheet, column: int, heading: str, width: float) -> Cell | MergedCell:
    cell = sheet.cell(_HEADING_ROW, column, heading)
    cell.font, cell.alignment, cell.border = HEAD_FONT, CENTRE, GRID
    sheet.column_dimensions[get_column_letter(column)].width = width
    sheet.row_dimensions[_HEADING_ROW].height = 28
    return cell


def _write_options(sheet: Worksheet, column: int, heading: str, values: Sequence[str]) -> None:
    head = sheet.cell(1, column, heading)
    head.font, head.fill, head.alignment, head.border = HEAD_FONT, HEAD_FILL, CENTRE, GRID
    for row, value in enumerate(values, 2):
        cell = sheet.cell(row, column)
        put(cell, value)
        cell.font, cell.alignment, cell.border = BODY_FONT, LEFT_WRAPPED, GRID
    widest = max((display_width(text) for text in (heading, *values)), default=10)
    sheet.column_dimensions[get_column_letter(column)].width = min(widest + 6, 44)


def _prepared(heading: str) -> str:
    letter = get_column_letter(ROSTER_HEADINGS.index(heading) + 1)
    return f"{letter}{_HEADING_ROW + 1}:{letter}{_HEADING_ROW + PREPARED_ROWS}"


def _offer(sheet: Worksheet, heading: str, formula: str) -> None:
    """A drop-down for the prepared rows of a column."""
    rule = DataValidation("list", formula1=formula, allow_blank=True)
    rule.errorTitle, rule.error = heading, f"请从下拉列表选择，须与“{OPTIONS_SHEET}”工作表完全一致，不得有空格或标点。"
    rule.add(_prepared(heading))
    sheet.add_data_validation(rule)


def _expect_length(sheet: Worksheet, heading: str, length: int, message: str) -> None:
    rule = DataValidation("textLength", operator="equal", formula1=str(length), allow_blank=True)
    rule.errorTitle, rule.error = heading, message
    rule.add(_prepared(heading))
    sheet.add_data_validation(rule)


def _comment(text: str) -> Comment:
    comment = Comment(text, "填写说明")
    comment.width, comment.height = 260, 90
    return comment
