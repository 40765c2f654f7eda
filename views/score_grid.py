"""The grid in which marks are typed, a room at a time: read and checked the same way for new marks and for corrections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import request
from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from app import scope
from app.actors import Actor
from app.errors import Invalid
from app.extensions import db
from app.operations.score_rows import parse_mark
from app.operations.scores import Mark
from app.presentation import points
from models import Enrolment, ExamPlan, ExamRoom, Sitting

CONDUCT = ("", "absent", "cheating")


@dataclass(frozen=True)
class RoomTab:
    """A room of the exam, how many sit in it, and how many of them have no result yet."""

    id: int
    number: int
    people: int
    lacking: int


@dataclass
class Typed:
    """What was typed for the people of a room: their marks, what each saw, what is wrong (by sitting), and the texts as typed."""

    marks: list[Mark] = field(default_factory=list)
    seen: dict[str, Any] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    texts: dict[int, tuple[str, str, str]] = field(default_factory=dict)


def rooms_of(exam: ExamPlan) -> list[RoomTab]:
    lacking = func.count(Sitting.id).filter(Sitting.result.is_(None))
    rows = db.session.execute(
        select(ExamRoom.id, ExamRoom.number, func.count(Sitting.id), lacking).join(Sitting, Sitting.room_id == ExamRoom.id)
        .where(ExamRoom.exam_plan_id == exam.id).group_by(ExamRoom.id, ExamRoom.number).order_by(ExamRoom.number))
    return [RoomTab(*row) for row in rows]


def chosen_room(rooms: Sequence[RoomTab]) -> RoomTab | None:
    """The room asked for, else the first in which something is lacking."""
    wanted = request.values.get("room", "")
    named = [room for room in rooms if str(room.id) == wanted]
    return next(iter(named or [room for room in rooms if room.lacking] or rooms), None)


def people_in(actor: Actor, exam: ExamPlan, room: RoomTab | None) -> list[Sitting]:
    """Who sits in a room, by seat."""
    return list(db.session.scalars(
        scope.visible(actor, Sitting).where(Sitting.exam_plan_id == exam.id, Sitting.room_id == (room.id if room else 0))
        .order_by(Sitting.seat).options(joinedload(Sitting.enrolment).joinedload(Enrolment.occupation))))


def shown(sitting: Any) -> tuple[str, str, str]:
    """A person's marks as the fields show them: theory, practice, and absent, cheating or nothing."""
    conduct = sitting.result if sitting.result in CONDUCT else ""
    theory, practice = ("" if mark is None else points(mark) for mark in (sitting.theory, sitting.practice))
    return theory, practice, conduct or ""


def read(people: Sequence[Sitting], form: Mapping[str, str]) -> Typed:
    """What was typed for these people. Who was left as they were is left out; a mark that was there cannot be emptied."""
    typed = Typed()
    for sitting in people:
        key = str(sitting.id)
        texts = tuple(form.get(f"{name}-{key}", "").strip() for name in ("theory", "practice", "conduct"))
        typed.texts[sitting.id] = texts  # type: ignore[assignment]
        was = form.get(f"was-{key}", "").split("|")
        if f"theory-{key}" not in form or list(texts) == was[:3]:
            continue
        try:
            typed.marks.append(_mark(sitting.ticket_number, texts))
        except Invalid as error:
            typed.faults[sitting.id] = str(error)
        typed.seen[sitting.ticket_number] = _seen(was)
    return typed


def _mark(ticket: str, texts: Sequence[str]) -> Mark:
    theory, practice, conduct = texts
    if conduct not in CONDUCT:
        raise Invalid(_("请选择正常、缺考或违纪。"))
    if conduct:
        if theory or practice:
            raise Invalid(_("标为缺考或违纪的，两项成绩须留空。"))
        return Mark(ticket, None, None, conduct == "absent", conduct == "cheating")
    if not theory and not practice:
        raise Invalid(_("请填写成绩，或标为缺考、违纪。"))
    found: list[int | None] = []
    for text, label in ((theory, _("理论")), (practice, _("实操"))):
        try:
            found.append(parse_mark(text) if text else None)
        except Invalid as error:
            raise Invalid(f"{label}{error}") from None
    return Mark(ticket, found[0], found[1])


def _seen(was: Sequence[str]) -> tuple[int | None, int | None, str | None]:
    """What the page showed, as (theory, practice, result); the fourth part of the field is the result itself."""
    try:
        theory, practice = (parse_mark(text) if text else None for text in was[:2])
        return theory, practice, was[3] or None
    except (Invalid, IndexError, ValueError):
        return -1, -1, None  # nobody's page has shown that: it will not be what is there
