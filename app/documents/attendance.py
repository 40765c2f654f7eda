"""The attendance sheet as a workbook: people down, sessions across, only who was away is marked (I20)."""

from __future__ import annotations

from collections.abc import Sequence

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from app.documents.tables import BODY_FONT, CENTRE, FONT, GRID, HEAD_FILL, HEAD_FONT, display_width, print_wide, put, workbook_bytes

SHEET = "考勤"
CODE, NAME, ENTERPRISE, WHOLE = "编号", "姓名", "企业", "整体缺勤"
ABSENT = "缺"
_HEADING_ROW = 2
_HINT_FILL = PatternFill("solid", fgColor="FFF7E0")
_LATER_FILL = PatternFill("solid", fgColor="EDF0F3")
_HINT = (
    "填写说明：① 只标缺课的人：在该课时一列填“缺”，到课的留空。② 整体没有完成培训的，在“整体缺勤”一列填“缺”。"
    "③ 不要改动编号、姓名和表头。④ 灰色课时还没有到，不能填。"
)


def attendance_template(sessions: Sequence[tuple[str, bool]], people: Sequence[tuple[str, str, str, Sequence[bool], bool]]) -> bytes:
    """The sheet of a class (.xlsx), filled in with what is known.

    `sessions` are (heading, whether it has begun); `people` are (code, name, enterprise, away from each session, away as a whole).
    """
    workbook = Workbook()
    sheet = workbook.active
    assert isinstance(sheet, Worksheet)
    sheet.title = SHEET
    headings = (CODE, NAME, ENTERPRISE, *(heading for heading, _open in sessions), WHOLE)
    hint = sheet.cell(1, 1, _HINT)
    hint.font, hint.fill = Font(name=FONT, size=10, color="7A5A00"), _HINT_FILL
    hint.alignment = Alignment(horizontal="left", vertical="center", wrap_text=True)
    sheet.merge_cells(start_row=1, start_column=1, end_row=1, end_column=len(headings))
    sheet.row_dimensions[1].height = 48
    sheet.row_dimensions[_HEADING_ROW].height = 34
    for column, heading in enumerate(headings, 1):
        cell = sheet.cell(_HEADING_ROW, column, heading)
        cell.font, cell.fill, cell.alignment, cell.border = HEAD_FONT, HEAD_FILL, CENTRE, GRID
        sheet.column_dimensions[get_column_letter(column)].width = 14
    widest = max((display_width(enterprise) for _code, _name, enterprise, _cells, _whole in people), default=10)
    sheet.column_dimensions["C"].width = min(widest + 4, 44)
    for row, (code, name, enterprise, cells, whole) in enumerate(people, _HEADING_ROW + 1):
        marks = (ABSENT if away else None for away in (*cells, whole))
        for column, text in enumerate((code, name, enterprise, *marks), 1):
            put(filled := sheet.cell(row, column), text)
            filled.font, filled.border, filled.alignment = BODY_FONT, GRID, CENTRE
        for column, (_heading, is_open) in enumerate(sessions, 4):
            if not is_open:
                sheet.cell(row, column).fill = _LATER_FILL
    last = max(len(people) + _HEADING_ROW, _HEADING_ROW + 1)
    rule = DataValidation("list", formula1=f'"{ABSENT}"', allow_blank=True)
    rule.errorTitle, rule.error = SHEET, f"缺课的填“{ABSENT}”，到课的留空。"
    rule.add(f"D{_HEADING_ROW + 1}:{get_column_letter(len(headings))}{last}")
    sheet.add_data_validation(rule)
    sheet.freeze_panes = sheet.cell(_HEADING_ROW + 1, 4).coordinate
    print_wide(sheet, _HEADING_ROW)
    return workbook_bytes(workbook)
