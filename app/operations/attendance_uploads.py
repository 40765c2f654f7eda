"""Attendance from a workbook: read whole, compared with what is known, and written once the person has seen what it would replace (I20).

A sheet may have been downloaded long ago. What it adds is written at once; where it would take back an absence, or put one in the
place of a mark that somebody made or scanned, the person is shown each first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import gettext as _

from app.actors import Actor
from app.documents.attendance import CODE, ENTERPRISE, NAME, SHEET, WHOLE
from app.documents.faults import WorkbookFault
from app.documents.roster import Located, locate
from app.documents.workbooks import read_rows
from app.errors import Invalid
from app.operations.attendance import Cell, Session, Sheet, check_in_class, mark
from app.operations.attendance_sheets import class_of, heading_of
from app.operations.roster_words import unreadable
from app.operations.scanning import short_code
from models import Enrolment, TrainingPlan

MOST_BYTES = 5 * 1024 * 1024
_AWAY = {"缺", "缺勤", "缺课", "×", "x", "X", "✗"}
_HERE = {"", "到", "到课", "全勤", "√", "✓"}


class AttendanceFaults(Invalid):
    """What is wrong with an uploaded sheet, each fault a sentence that names its row. Nothing was written."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(_("考勤没有写入：表格有 %(n)s 处需要修改。请按行号修改后重新上传。", n=len(faults)), "workbook")
        self.faults = list(faults)


@dataclass(frozen=True)
class Change:
    """What a sheet would write of one person: of which session (0 is the whole training), what was known of it when the sheet was
    read, and whether a mark or an absence gives way."""

    person_id: int
    day_id: int
    known: str
    away: bool
    replaces: bool


@dataclass(frozen=True)
class Difference:
    """A person's mark that a sheet would replace. `session` is None for the whole training; `source` is how the mark came:
    hand, workbook, scan, settled, or for the whole marked or rule; `at` is when, where that is known."""

    code: str
    name: str
    session: Session | None
    source: str
    at: datetime | None
    away: bool


@dataclass(frozen=True)
class Upload:
    """What a sheet would write, and those parts of it that replace something."""

    changes: list[Change]
    differences: list[Difference]

    @property
    def fresh(self) -> int:
        """How many marks it would only add."""
        return len(self.changes) - len(self.differences)


def read(plan: TrainingPlan, data: bytes) -> Upload:
    """Read a sheet, all of it or nothing, and compare it with what is known. Writes nothing.

    Raises `Invalid` for what is no such sheet, `AttendanceFaults` with every row's faults, `Conflict` outside the training.
    """
    check_in_class(plan)
    if len(data) > MOST_BYTES:
        raise Invalid(_("表格超过 5 MB，请删去多余的内容后再上传。"), "workbook")
    try:
        sheets = read_rows(data, max_rows=20_000)
    except WorkbookFault as fault:
        raise Invalid(unreadable(fault, _("考勤登记表")), "workbook") from None
    people, found = class_of(plan)
    columns = {heading_of(each): each for each in found.sessions}
    located = locate(sheets, SHEET, (CODE, NAME, ENTERPRISE, *columns, WHOLE), (CODE, NAME))
    if located is None or located.missing:
        raise Invalid(_("没有找到表头。请下载考勤登记表，填写后上传，不要改动表头。"), "workbook")
    known = {short_code(plan.id, each.id): each for each in people}
    wanted, faults = _read(located, known, columns, found)
    if faults:
        raise AttendanceFaults(faults)
    changes = [Change(*cell, found.known(*cell), away, _replaces(found, cell)) for cell, away in wanted.items()]
    codes = {person.id: (code, person.name) for code, person in known.items()}
    sessions = {each.id: each for each in found.sessions}
    return Upload(changes, [Difference(*codes[each.person_id], sessions.get(each.day_id), *_origin(found, (each.person_id, each.day_id)),
                                       each.away) for each in changes if each.replaces])


def take(plan: TrainingPlan, changes: Iterable[Change], *, actor: Actor) -> int:
    """Write what a sheet would change. Returns how many marks changed. Raises `Conflict` where one of them is another by now than
    the person was shown, and as `attendance.mark` does."""
    cells = {(each.person_id, each.day_id): each for each in changes}
    return mark(plan, [cell for cell, each in cells.items() if each.away], [cell for cell, each in cells.items() if not each.away],
                actor=actor, source="workbook", expected={cell: each.known for cell, each in cells.items()})


def _replaces(found: Sheet, cell: Cell) -> bool:
    """Whether writing the opposite of what stands is somebody's loss: nothing is where all that is known is the default."""
    person_id, day_id = cell
    if day_id:
        return cell in found.marks
    return found.standing[person_id].by != ""


def _origin(found: Sheet, cell: Cell) -> tuple[str, datetime | None]:
    """How the mark came that stands in a cell, and when."""
    person_id, day_id = cell
    if not day_id:
        return "rule" if found.standing[person_id].by == "rule" else "marked", None
    row = found.marks[cell]
    return ("settled", row.marked_at) if row.source == "scan" and row.scanned_at is None else (row.source, row.marked_at)


def _read(located: Located, known: dict[str, Enrolment], columns: dict[str, Session],
          found: Sheet) -> tuple[dict[Cell, bool], list[str]]:
    """Who is away, or not, otherwise than what stands, and every fault. An empty cell says nothing of who still has to be settled
    in a session taken by scanning."""
    wanted: dict[Cell, bool] = {}
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
            elif _differs(text, found, person.id, one):
                wanted[person.id, one.id if one is not None else 0] = text in _AWAY
    if not seen and not faults:
        faults.append(_("表格里没有人员"))
    return wanted, faults


def _differs(text: str, found: Sheet, person_id: int, one: Session | None) -> bool:
    if one is None:
        return (text in _AWAY) != found.standing[person_id].absent
    state = found.state(person_id, one)
    return text != "" if state == "unscanned" else (text in _AWAY) != (state == "absent")


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
