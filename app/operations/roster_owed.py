"""Rows of a list that were wrong and have not come again: which they are, so that nobody is lost in silence (E12). Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from app.documents import roster
from app.identifiers import mask_id_number
from app.operations.roster_mending import mend_name, mend_number
from app.operations.roster_rows import PersonRow, Roster


class Owed(NamedTuple):
    """A wrong row of a workbook; name and number as far as they can be read."""

    book: str
    row: int
    name: str
    number: str
    reason: str

    def told(self) -> dict[str, object]:
        """For the page: the number masked, and only where there is no name."""
        return {"book": self.book, "row": self.row, "name": self.name or mask_id_number(self.number), "reason": self.reason}


def wrong_rows(came: Roster, book: str) -> list[Owed]:
    """The rows of a workbook that must come again."""
    columns = came.columns
    if columns is None or not columns.heading_row or came.unmapped:
        return []
    reasons: dict[int, list[str]] = {}
    for fault in came.faults:
        if fault.row and not fault.double:
            reasons.setdefault(fault.row, []).append(f"{fault.heading}：{fault.reason}" if fault.heading else fault.reason)

    def text(row: int, heading: str) -> str:
        cells: list[Any] = columns.sheet.rows[row - 1]
        at = columns.fields.get(heading, 0)
        value = cells[at - 1] if 0 < at <= len(cells) else None
        return value if isinstance(value, str) else ""

    return [Owed(book, row, mend_name(text(row, roster.NAME))[:50], mend_number(text(row, roster.ID_NUMBER))[:18], " ".join(said))
            for row, said in reasons.items()]


def left_over(owed: list[Owed], people: dict[str, PersonRow], came: Roster, book: str) -> list[Owed]:
    """Which wrong rows of before are still to come after one more workbook: each person who is new to the list, and each row that is
    still wrong, was one of them, by number, by name, or else any. A workbook that has everybody again begins anew; while nobody has
    been without a fault there is nobody to have again."""
    if people and people.keys() <= {person.id_number for person in came.people}:
        return []
    new = [Owed(book, person.row, person.name, person.id_number, "") for person in came.people if person.id_number not in people]
    return _without(owed, [*new, *wrong_rows(came, book)])


def _without(owed: list[Owed], came: list[Owed]) -> list[Owed]:
    left, rest = owed, came
    for part in ("number", "name"):
        left, rest = _matched(left, rest, part)
    # Number and name both changed: the rows of which least is known went.
    gone = {id(each) for each in sorted(left, key=lambda each: bool(each.number) + bool(each.name))[:len(rest)]}
    return [each for each in left if id(each) not in gone]


def _matched(owed: list[Owed], came: Iterable[Owed], part: str) -> tuple[list[Owed], list[Owed]]:
    """Both sides without the pairs that are alike in one thing."""
    there: dict[str, list[Owed]] = {}
    for each in reversed(owed):
        if value := getattr(each, part):
            there.setdefault(value, []).append(each)
    gone, rest = set(), []
    for each in came:
        if found := there.get(getattr(each, part)):
            gone.add(id(found.pop()))
        else:
            rest.append(each)
    return [each for each in owed if id(each) not in gone], rest
