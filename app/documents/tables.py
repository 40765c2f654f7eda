"""Workbooks that the portal hands out: a table, or a summary to print. Text stays text, whatever it begins with."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from openpyxl import Workbook
from openpyxl.cell.cell import Cell, MergedCell, WriteOnlyCell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.header_footer import HeaderFooter
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

Value = str | int | float | bool | date | datetime | None

FONT = "微软雅黑"
INK = "1F3A5F"
HEAD_FILL = PatternFill("solid", fgColor=INK)
HEAD_FONT = Font(name=FONT, size=11, bold=True, color="FFFFFF")
BODY_FONT = Font(name=FONT, size=10.5)
CENTRE = Alignment(horizontal="center", vertical="center", wrap_text=True)
LEFT = Alignment(horizontal="left", vertical="center")
LEFT_WRAPPED = Alignment(horizontal="left", vertical="center", wrap_text=True)
_LINE = Side(style="thin", color="BFC7D1")
GRID = Border(left=_LINE, right=_LINE, top=_LINE, bottom=_LINE)
_SHANGHAI = ZoneInfo("Asia/Shanghai")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NOT_IN_SHEET_NAME = re.compile(r"[\[\]:*?/\\]")
_LONG_NUMBER = re.compile("[0-9]{8,}[0-9A-Za-z]*")
_MAX_TEXT = 32_767
_MAX_SHEET_NAME = 31
_SAMPLE_ROWS = 200


def write_table(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[Value]], *, notes: Sequence[str] = ()
) -> bytes:
    """An .xlsx of one table: headings in row 1 (frozen, with filters), one row each below; `notes` go to a second sheet
    说明.

    Text is never a formula; ID numbers and phones stay text; aware moments are shown in Asia/Shanghai. 10,000 x 16
    takes about 1.5 s.
    """
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet(sheet_name(title))
    lines = iter(rows)
    sample = [list(line) for _, line in zip(range(_SAMPLE_ROWS), lines, strict=False)]
    for column, width in enumerate(widths(headings, sample), 1):
        sheet.column_dimensions[get_column_letter(column)].width = width
    sheet.freeze_panes = "A2"
    sheet.row_dimensions[1].height = 26
    print_wide(sheet, 1, title)
    sheet.append([_head_cell(sheet, heading) for heading in headings])
    count = 1
    for lines_of in (sample, lines):
        for line in lines_of:
            sheet.append([_body_cell(sheet, value) for value in line])
            count += 1
    sheet.auto_filter.ref = f"A1:{get_column_letter(max(len(headings), 1))}{count}"
    if notes:
        _write_notes(workbook.create_sheet("说明"), notes)
    return workbook_bytes(workbook)


def write_summary(
    title: str,
    facts: Sequence[tuple[str, Value]],
    headings: Sequence[str],
    rows: Iterable[Sequence[Value]],
    *,
    totals: Sequence[tuple[str, Value]] = (),
    signatures: Sequence[str] = (),
) -> bytes:
    """A table to print and sign (汇总表): title, the `facts` about it, headings, rows, `totals`, and a line with
    `signatures` to fill in.

    Built for one exam plan (some hundred rows), with a border round every cell and the headings repeated on each page.
    """
    workbook = Workbook()
    sheet = workbook.active
    assert isinstance(sheet, Worksheet)
    sheet.title = sheet_name(title)
    lines = [list(row) for row in rows]
    wide = max(len(headings), 2)
    row = _write_band(sheet, 1, title, wide, Font(name=FONT, size=16, bold=True, color=INK), 34, CENTRE)
    for at in range(0, len(facts), 2):
        text = "        ".join(f"{name}：{_shown(value)}" for name, value in facts[at : at + 2])
        row = _write_band(sheet, row, text, wide, BODY_FONT, 21, LEFT)
    heading_row = row
    for column, heading in enumerate(headings, 1):
        _style(sheet.cell(heading_row, column), heading, HEAD_FONT, CENTRE).fill = HEAD_FILL
    sheet.row_dimensions[heading_row].height = 26
    for row, line in enumerate(lines, heading_row + 1):
        for column, value in enumerate(line, 1):
            _style(sheet.cell(row, column), value, BODY_FONT, CENTRE)
        sheet.row_dimensions[row].height = 20
    row = heading_row + len(lines) + 1
    if totals:
        text = "    ".join(f"{name}：{_shown(value)}" for name, value in totals)
        row = _write_band(sheet, row, text, wide, Font(name=FONT, size=10.5, bold=True), 24, LEFT)
    if signatures:
        _write_band(
            sheet, row + 1, "                    ".join(f"{name}：" for name in signatures), wide, BODY_FONT, 28, LEFT
        )
    for column, width in enumerate(widths(headings, lines[:_SAMPLE_ROWS]), 1):
        sheet.column_dimensions[get_column_letter(column)].width = width
    sheet.freeze_panes = sheet.cell(heading_row + 1, 1).coordinate
    print_wide(sheet, heading_row)
    return workbook_bytes(workbook)


def sheet_name(text: str) -> str:
    """`text` without what Excel forbids in the name of a sheet, at most 31 characters."""
    name = _NOT_IN_SHEET_NAME.sub(" ", clean_text(text)).strip(" '")[:_MAX_SHEET_NAME]
    return name or "Sheet1"


def clean_text(text: str) -> str:
    """`text` without the characters XML cannot hold, cut at Excel's limit for a cell."""
    return _NOT_IN_XML.sub("", text)[:_MAX_TEXT]


def put(cell: Cell | MergedCell, value: Value) -> None:
    """Write a value into a cell so that it means itself: text beginning with = + - @ is no formula, a long number is
    text."""
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            value = value.astimezone(_SHANGHAI).replace(tzinfo=None)
        cell.value, cell.number_format = value, "yyyy-mm-dd hh:mm"
    elif isinstance(value, date):
        cell.value, cell.number_format = value, "yyyy-mm-dd"
    elif isinstance(value, str) or (isinstance(value, int) and abs(value) >= 10**15):
        text = clean_text(str(value))
        cell.value = text
        cell.data_type = "s"
        if text[:1] in ("=", "+", "-", "@", "\t", "\r"):
            cell.quotePrefix = True  # type: ignore[assignment]
        if _LONG_NUMBER.fullmatch(text):
            cell.number_format = "@"
    else:
        cell.value = value


def display_width(text: str) -> int:
    """Columns a text takes: a Chinese character two, a Latin letter one."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def widths(headings: Sequence[str], rows: Sequence[Sequence[Value]]) -> list[float]:
    """A width for each column from its heading and the rows shown, between 8 and 50."""
    found = [display_width(heading) + 5 for heading in headings]
    for row in rows:
        for column, value in enumerate(row[: len(found)]):
            found[column] = max(found[column], display_width(_shown(value)) + 3)
    return [float(min(max(width, 8), 50)) for width in found]


def _shown(value: Value) -> str:
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(_SHANGHAI)).strftime("%Y-%m-%d %H:%M")
    return "" if value is None else str(value)


def _head_cell(sheet: Worksheet, heading: str) -> Cell:
    cell = WriteOnlyCell(sheet)
    put(cell, heading)
    cell.font, cell.fill, cell.alignment = HEAD_FONT, HEAD_FILL, CENTRE
    return cell


def _body_cell(sheet: Worksheet, value: Value) -> Cell | None:
    if value is None or value == "":
        return None
    cell = WriteOnlyCell(sheet)
    put(cell, value)
    return cell


def _style(cell: Cell | MergedCell, value: Value, font: Font, alignment: Alignment) -> Cell | MergedCell:
    put(cell, value)
    cell.font, cell.alignment, cell.border = font, alignment, GRID
    return cell


def _write_band(
    sheet: Worksheet, row: int, text: str, wide: int, font: Font, height: float, alignment: Alignment
) -> int:
    """One text across the whole table; returns the row after it."""
    cell = sheet.cell(row, 1)
    put(cell, text)
    cell.font, cell.alignment = font, alignment
    sheet.merge_cells(start_row=row, start_column=1, end_row=row, end_column=wide)
    sheet.row_dimensions[row].height = height
    return row + 1


def _write_notes(sheet: Worksheet, notes: Sequence[str]) -> None:
    sheet.column_dimensions["A"].width = 90
    for note in notes:
        cell = WriteOnlyCell(sheet)
        put(cell, note)
        cell.font, cell.alignment = BODY_FONT, LEFT_WRAPPED
        sheet.append([cell])


def print_wide(sheet: Worksheet, heading_row: int, title: str = "") -> None:
    """Set up printing: A4 across, as wide as the page, `heading_row` repeated on each page, page numbers."""
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = 9  # A4
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.print_title_rows = f"{heading_row}:{heading_row}"
    sheet.HeaderFooter = HeaderFooter()
    header, footer = sheet.HeaderFooter.oddHeader, sheet.HeaderFooter.oddFooter
    if header and footer:
        header.center.text, footer.center.text = title.replace("&", "&&"), "第 &P 页，共 &N 页"


def workbook_bytes(workbook: Workbook) -> bytes:
    """The workbook as an .xlsx file."""
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()
