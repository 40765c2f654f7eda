"""Workbooks that people bring: read with bounds, and given back with the faults marked."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from app.documents.child import ChildFailed, run_child
from app.documents.faults import WorkbookFault
from app.documents.guard import check_workbook, merged_cells
from app.documents.tables import plain_workbook, write_summary, write_table

__all__ = ["FAULT_SHEET", "Cell", "Fault", "Sheet", "mark_faults", "read_rows", "write_summary", "write_table"]

Cell = str | int | float | date | None

FAULT_SHEET = "错误清单"
MAX_BYTES = 20 * 1024 * 1024
MAX_SHEETS = 20
_FAULT_HEADINGS = ["序号", "工作表", "行", "列", "栏目", "填写内容", "问题与改法"]
_MARK_AUTHOR = "培训管理平台"
_READ_SECONDS, _READ_MEMORY_MB = 20.0, 1024
_MARK_SECONDS, _MARK_MEMORY_MB = 90.0, 1536
_MARK_MAX_ROWS, _MARK_MAX_COLUMNS = 20_000, 100
_MARK_MAX_MERGED = 200_000
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True)
class Sheet:
    """A worksheet. `rows[0]` is row 1 and `rows[n][0]` column A, whatever is empty before; blank rows at the end are
    gone."""

    name: str
    rows: list[list[Cell]]


@dataclass(frozen=True)
class Fault:
    """What is wrong at a place: `row` from 1; `column` from 1, or 0 for the row as a whole; `reason` is worded for the
    person."""

    row: int
    column: int
    reason: str


def read_rows(
    data: bytes, *, max_rows: int = 20_000, max_columns: int = 100, max_bytes: int = MAX_BYTES
) -> list[Sheet]:
    """The worksheets of an .xlsx or .xls, in their order (`FAULT_SHEET` of an earlier answer left out).

    A value is str (outer blanks removed, never empty), int, float, `date`, or None; a moment is text `2026-01-31
    08:30:00`; a truth value is "TRUE" or "FALSE"; a formula gives its last result. A number of 16 digits and more stays
    a float: Excel has already lost its last digits (an ID number typed into a number cell). Raises `WorkbookFault`;
    limits count filled cells. The parsing happens in a child process with 1 GB and 20 seconds.
    """
    check_workbook(data, max_bytes=max_bytes, max_rows=max_rows, max_columns=max_columns)
    limits = [str(max_rows), str(max_columns), str(MAX_SHEETS)]
    try:
        answer = run_child("read_workbook", limits, data, timeout=_READ_SECONDS, memory_mb=_READ_MEMORY_MB)
    except ChildFailed:
        raise WorkbookFault("too_heavy") from None
    found = json.loads(answer, object_hook=_revive)
    if "fault" in found:
        raise WorkbookFault(found["fault"], **found["args"])
    return [Sheet(name, rows) for name, rows in found["sheets"] if name != FAULT_SHEET]


def mark_faults(data: bytes, faults: Sequence[Fault], *, sheet: str | None = None, heading_row: int = 1) -> bytes:
    """The person's own workbook as .xlsx, with the faulty cells red and commented, and a first sheet `FAULT_SHEET`
    listing all.

    `sheet` is the worksheet the faults are about (the first when None), `heading_row` where its column names stand (for
    the list). Marks of an earlier answer are taken away first. Where the workbook itself cannot be rewritten (an .xls,
    or one too strange for openpyxl) the answer is a new workbook with the same values. Pictures and charts in the
    workbook are lost. 10,000 rows of 16 columns with 5,000 faults take about 6 s: work for a job. Raises
    `WorkbookFault` as `read_rows` does.
    """
    kind = check_workbook(data, max_bytes=MAX_BYTES, max_rows=_MARK_MAX_ROWS, max_columns=_MARK_MAX_COLUMNS)
    sheets = read_rows(data, max_rows=_MARK_MAX_ROWS, max_columns=_MARK_MAX_COLUMNS)
    marked = next((one for one in sheets if one.name == sheet), sheets[0] if sheets else Sheet("Sheet1", []))
    order = json.dumps(_mark_order(marked, faults, heading_row), ensure_ascii=False).encode()
    if kind == "xlsx" and merged_cells(data) <= _MARK_MAX_MERGED:
        try:
            return _mark(order, data)
        except ChildFailed:
            pass
    return _mark(order, plain_workbook([(one.name, one.rows) for one in sheets]))


def _mark(order: bytes, workbook: bytes) -> bytes:
    payload = len(order).to_bytes(8, "big") + order + workbook
    return run_child("mark_workbook", [], payload, timeout=_MARK_SECONDS, memory_mb=_MARK_MEMORY_MB)


def _mark_order(sheet: Sheet, faults: Sequence[Fault], heading_row: int) -> dict[str, Any]:
    def value_at(row: int, column: int) -> Cell:
        line = sheet.rows[row - 1] if 0 < row <= len(sheet.rows) else []
        return line[column - 1] if 0 < column <= len(line) else None

    rows = []
    for fault in sorted(faults, key=lambda one: (one.row, one.column)):
        heading = value_at(heading_row, fault.column)
        found = value_at(fault.row, fault.column)
        texts = [_CONTROL.sub("", "" if text is None else str(text)) for text in (heading, found, fault.reason)]
        rows.append([sheet.name, max(fault.row, 1), fault.column, *texts])
    return {"sheet": FAULT_SHEET, "author": _MARK_AUTHOR, "headings": _FAULT_HEADINGS, "rows": rows}


def _revive(value: dict[str, Any]) -> Any:
    return date.fromisoformat(value["d"]) if value.keys() == {"d"} else value
