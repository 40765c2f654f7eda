"""The rows of a score sheet: who they are about, and what is wrong with them (I26). Nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, nan
from typing import Any

from flask_babel import gettext as _

from app.documents import roster
from app.errors import Invalid
from app.operations.scores import Mark

# What a sheet or a field may say of a person, with the words for it.
YES, NO = "是", ("", "否")


class ScoreFaults(Invalid):
    """What is wrong with an uploaded score sheet, each fault a sentence that names its row. Nothing was written."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(_("成绩没有写入：表格有 %(n)s 处需要修改。请按行号修改后重新上传。", n=len(faults)), "workbook")
        self.faults = list(faults)


def marks_of(found: roster.Located, names: dict[str, str]) -> tuple[list[Mark], list[str]]:
    """The marks of a score sheet and its faults. `names` are the candidates by ticket. A candidate's row that is still
    empty is left out: the report cannot be submitted before it is filled."""
    marks: list[Mark] = []
    faults: list[str] = []
    seen: set[str] = set()
    for row, cells in enumerate(found.sheet.rows[found.heading_row:], found.heading_row + 1):
        values = {heading: cells[column - 1] if column <= len(cells) else None for heading, column in found.columns.items()}
        if all(_text(value) == "" for value in values.values()):
            continue
        ticket = _ticket(values[roster.TICKET_NO])
        faults += _wrong_person(row, ticket, _text(values.get(roster.NAME)), names, seen)
        seen.add(ticket)
        if any(_text(values.get(heading)) for heading in (roster.THEORY, roster.PRACTICE, roster.ABSENT, roster.CHEATING)):
            marks.append(_mark(row, ticket, values, faults))
    if not marks:
        faults.append(_("表格里没有成绩"))
    return marks, faults


def _wrong_person(row: int, ticket: str, name: str, names: dict[str, str], seen: set[str]) -> list[str]:
    """A ticket of nobody, one that comes twice, or one beside another's name: a column sorted by itself gives everyone
    someone else's marks."""
    if not ticket:
        return [_("第 %(row)s 行：没有准考证号", row=row)]
    if ticket not in names:
        return [_("第 %(row)s 行：准考证号 %(ticket)s 不属于本次考核", row=row, ticket=ticket[:40])]
    if ticket in seen:
        return [_("第 %(row)s 行：准考证号 %(ticket)s 重复", row=row, ticket=ticket)]
    if name and name != names[ticket]:
        return [_("第 %(row)s 行：准考证号 %(ticket)s 的考生是%(right)s，不是%(name)s", row=row, ticket=ticket,
                  right=names[ticket], name=name[:50])]
    return []


def _mark(row: int, ticket: str, values: dict[str, Any], faults: list[str]) -> Mark:
    absent, cheating = (_said(row, heading, values, faults) for heading in (roster.ABSENT, roster.CHEATING))
    if not (absent or cheating):
        return Mark(ticket, tenths(values[roster.THEORY], row, roster.THEORY, faults),
                    tenths(values[roster.PRACTICE], row, roster.PRACTICE, faults))
    if absent and cheating:
        faults.append(_("第 %(row)s 行：缺考和违纪只能选一项", row=row))
    elif _text(values[roster.THEORY]) or _text(values[roster.PRACTICE]):
        faults.append(_("第 %(row)s 行：标为%(what)s，却填了成绩", row=row, what=roster.ABSENT if absent else roster.CHEATING))
    return Mark(ticket, None, None, absent, cheating and not absent)


def _said(row: int, heading: str, values: dict[str, Any], faults: list[str]) -> bool:
    said = _text(values.get(heading))
    if said not in (YES, *NO):
        faults.append(_("第 %(row)s 行：%(heading)s一列只能填“是”或留空", row=row, heading=heading))
    return said == YES


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _ticket(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else _text(value)


def tenths(value: Any, row: int, heading: str, faults: list[str]) -> int | None:
    """A mark as typed in a sheet; what is wrong with it is added to `faults`."""
    try:
        return parse_mark(value)
    except Invalid as error:
        faults.append(_("第 %(row)s 行：%(heading)s%(reason)s", row=row, heading=heading, reason=str(error)))
        return None


def parse_mark(value: Any) -> int:
    """85.5 -> 855: 0 to 100, at most one decimal. Raises `Invalid`, whose message follows the name of the mark."""
    try:
        found = round(float(value) * 10, 6)
    except (TypeError, ValueError):
        found = nan
    if isnan(found) or isinstance(value, bool):
        raise Invalid(_("应为 0 到 100 的数字，缺考、违纪请另行标明"))
    if not 0 <= found <= 1000 or found != int(found):
        raise Invalid(_("应在 0 到 100 之间，最多一位小数"))
    return int(found)
