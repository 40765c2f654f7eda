"""Workbooks that people bring: read with bounds, and given back with the faults marked."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from app.documents.child import Child, ChildFailed, Waiting, nothing, run_child
from app.documents.faults import WorkbookFault
from app.documents.guard import NOTHING_UNUSUAL, SheetLook, check_workbook, merged_cells
from app.documents.kinds import kind_of
from app.documents.tables import write_summary, write_table

__all__ = ["ADVICE_HEADING", "FAULT_SHEET", "Cell", "Fault", "Sheet", "mark_faults", "read_rows", "write_summary", "write_table"]

Cell = str | int | float | date | None

FAULT_SHEET = "错误清单"
# The column that a marked workbook has more than it came with.
ADVICE_HEADING = "问题与改法"
_OPTIONS = "选项"
MAX_BYTES = 20 * 1024 * 1024
MAX_SHEETS = 20
_FAULT_HEADINGS = ["序号", "工作表", "行", "列", "栏目", "填写内容", "问题与改法"]
_MARK_AUTHOR = "培训管理平台"
_READ_SECONDS, _READ_MEMORY_MB = 20.0, 1024
_MARK_SECONDS, _MARK_MEMORY_MB = 90.0, 1536
_MARK_MAX_ROWS, _MARK_MAX_COLUMNS = 20_000, 100
_MARK_MAX_MERGED = 200_000
_KEEP_CELLS = 30_000
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True)
class Sheet:
    """A worksheet. `rows[0]` is row 1 and `rows[n][0]` column A, whatever is empty before; blank rows at the end are
    gone. `look` says which rows are hidden and which formulas have no result."""

    name: str
    rows: list[list[Cell]]
    look: SheetLook = NOTHING_UNUSUAL


@dataclass(frozen=True)
class Fault:
    """What is wrong at a place: `row` from 1; `column` from 1, or 0 for the row as a whole; `reason` is worded for the
    person, and `advice` what to do about it."""

    row: int
    column: int
    reason: str
    advice: str = ""

    @property
    def text(self) -> str:
        return f"{self.reason}{self.advice}"


def read_rows(
    data: bytes, *, max_rows: int = 20_000, max_columns: int = 100, max_bytes: int = MAX_BYTES, strip: bool = True,
    waiting: Waiting = nothing,
) -> list[Sheet]:
    """The worksheets of an .xlsx or .xls, in their order (`FAULT_SHEET` of an earlier answer left out).

    A value is str (outer blanks removed unless `strip` is off, never empty), int, float, `date`, or None; a moment is text `2026-01-31
    08:30:00`; a truth value is "TRUE" or "FALSE"; a formula gives its last result. A number of 16 digits and more stays
    a float: Excel has already lost its last digits (an ID number typed into a number cell). Raises `WorkbookFault`;
    limits count filled cells. The parsing happens in a child process with 1 GB and 20 seconds; `waiting` is called now and then.
    """
    limits = [str(max_rows), str(max_columns), str(MAX_SHEETS), str(int(strip))]
    # The child loads its parser while the bytes are looked at here; it is given them only after that.
    with Child("read_workbook", limits, timeout=_READ_SECONDS, memory_mb=_READ_MEMORY_MB) as child:
        looked = check_workbook(data, max_bytes=max_bytes, max_rows=max_rows, max_columns=max_columns)
        try:
            answer = child.answer(data, waiting)
        except ChildFailed:
            raise WorkbookFault("too_heavy") from None
    found = json.loads(answer, object_hook=_revive)
    if "fault" in found:
        raise WorkbookFault(found["fault"], **found["args"])
    looks = looked.sheets | {name: SheetLook(frozenset(hidden), frozenset(map(tuple, unanswered)))
                             for name, (hidden, unanswered) in found["looks"].items()}
    return [Sheet(name, rows, looks.get(name, NOTHING_UNUSUAL)) for name, rows in found["sheets"] if name != FAULT_SHEET]


def mark_faults(data: bytes, faults: Sequence[Fault], *, sheet: str | None = None, heading_row: int = 1,
                sheets: Sequence[Sheet] | None = None, waiting: Waiting = nothing) -> bytes:
    """The person's own workbook as .xlsx: faulty cells red and commented, what is wrong with a row in a last column
    `ADVICE_HEADING`, and a first sheet `FAULT_SHEET` listing all.

    `sheet` is the worksheet the faults are about (the first when None), `heading_row` where its column names stand; `sheets` are
    the values where `read_rows` has read them already. Marks of an earlier answer are taken away first. A workbook of up to
    `_KEEP_CELLS` cells keeps its looks; a larger one, an .xls, or one too strange for openpyxl is built anew with the same values
    in the same places, because openpyxl takes 6 s where building takes 1 s. What goes out holds values, no formulas; pictures and
    charts are lost. Raises `WorkbookFault` as `read_rows` does.
    """
    read = read_rows(data, max_rows=_MARK_MAX_ROWS, max_columns=_MARK_MAX_COLUMNS) if sheets is None else sheets
    marked = next((one for one in read if one.name == sheet), read[0] if read else Sheet("Sheet1", []))
    order = _mark_order(marked, faults, heading_row)
    cells = sum(len(row) for one in read for row in one.rows)
    if kind_of(data) == "zip" and cells <= _KEEP_CELLS and merged_cells(data) <= _MARK_MAX_MERGED:
        try:
            return _run_mark("mark_workbook", order, data, waiting)
        except ChildFailed:
            pass
    order |= {"sheets": [[one.name, one.rows] for one in read], "offers": _offers(read, marked, heading_row)}
    try:
        return _run_mark("build_marked", order, b"", waiting)
    except ChildFailed:
        raise WorkbookFault("too_heavy") from None


def _run_mark(script: str, order: dict[str, Any], workbook: bytes, waiting: Waiting) -> bytes:
    text = json.dumps(order, ensure_ascii=False, default=date.isoformat).encode("utf-8", "replace")
    return run_child(script, [], len(text).to_bytes(8, "big") + text + workbook, timeout=_MARK_SECONDS, memory_mb=_MARK_MEMORY_MB,
                     waiting=waiting)


def _value_at(sheet: Sheet, row: int, column: int) -> Cell:
    line = sheet.rows[row - 1] if 0 < row <= len(sheet.rows) else []
    return line[column - 1] if 0 < column <= len(line) else None


def _mark_order(sheet: Sheet, faults: Sequence[Fault], heading_row: int) -> dict[str, Any]:
    """What is to be marked where, for either child."""
    headings = sheet.rows[heading_row - 1] if 0 < heading_row <= len(sheet.rows) else []
    width = max((len(row) for row in sheet.rows), default=0)
    at = next((column for column, text in enumerate(headings, 1) if text == ADVICE_HEADING), width + 1)
    rows = []
    for fault in sorted(faults, key=lambda one: (one.row, one.column)):
        shown = (_value_at(sheet, heading_row, fault.column), _value_at(sheet, fault.row, fault.column), fault.text)
        texts = [_CONTROL.sub("", "" if text is None else str(text)) for text in shown]
        rows.append([sheet.name, max(fault.row, 1), fault.column, *texts])
    return {"sheet": FAULT_SHEET, "author": _MARK_AUTHOR, "headings": _FAULT_HEADINGS, "rows": rows, "marked": sheet.name,
            "heading_row": heading_row, "advice": [at, ADVICE_HEADING]}


def _offers(sheets: Sequence[Sheet], marked: Sheet, heading_row: int) -> list[list[Any]]:
    """The drop-downs of a workbook made from our template: a column of the sheet 选项 for the column of the same name."""
    options = next((one for one in sheets if one.name == _OPTIONS), None)
    if options is None or not options.rows:
        return []
    answer = []
    for column, heading in enumerate(options.rows[0], 1):
        last = max((number for number, row in enumerate(options.rows, 1) if column <= len(row) and row[column - 1] is not None), default=1)
        for at, text in enumerate(marked.rows[heading_row - 1] if heading_row else [], 1):
            if heading is not None and text == heading and last > 1:
                answer.append([at, column, last])
    return answer


def _revive(value: dict[str, Any]) -> Any:
    return date.fromisoformat(value["d"]) if value.keys() == {"d"} else value
