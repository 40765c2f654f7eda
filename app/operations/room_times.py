"""When the rooms of an institution are taken, by exams and by classes: what a new exam is offered, and what its form says (I22, C7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flask_babel import gettext as _
from sqlalchemy import select

from app import clock
from app.extensions import db
from app.operations.plan_checks import hours_of
from app.sets import among
from models import ExamPlan, ExamRoom, PlanDay, Room, TrainingPlan

# What waits for the authority or has its approval; a draft holds no room.
SETTLED = ("submitted", "accepted", "approved")
DAYS_TRIED = 14
# The hours offered on a day, in this order: morning, afternoon.
HOURS = ((9, 11), (14, 16))


@dataclass(frozen=True)
class Taken:
    """A room that is taken from one moment to another, and by what, in words."""

    room_id: int
    starts_at: datetime
    ends_at: datetime
    by: str


def taken(rooms: Iterable[Room], starts_at: datetime, ends_at: datetime, *, but: ExamPlan | None = None) -> list[Taken]:
    """What is in these rooms meanwhile; `but` is an exam that is not in its own way. Two statements."""
    ids = [room.id for room in rooms]
    exams = db.session.execute(
        select(ExamRoom.room_id, ExamPlan.starts_at, ExamPlan.ends_at, ExamPlan.name).join(ExamPlan, ExamRoom.exam_plan_id == ExamPlan.id)
        .where(among(ExamRoom.room_id, ids), ExamPlan.review_state.in_(SETTLED), ExamPlan.id != (but.id if but is not None else 0),
               ExamPlan.starts_at < ends_at, ExamPlan.ends_at > starts_at).order_by(ExamPlan.starts_at, ExamPlan.id))
    found = [Taken(room_id, begin, end, _("考核“%(exam)s”", exam=name)) for room_id, begin, end, name in exams if room_id is not None]
    classes = db.session.execute(
        select(PlanDay.room_id, PlanDay.day, PlanDay.session, TrainingPlan.name).join(TrainingPlan, PlanDay.plan_id == TrainingPlan.id)
        .where(among(PlanDay.room_id, ids), TrainingPlan.review_state.in_(SETTLED), TrainingPlan.cancelled_at.is_(None),
               PlanDay.day.between(clock.shanghai_day(starts_at), clock.shanghai_day(ends_at))).order_by(PlanDay.day, PlanDay.id))
    for room_id, day, session, name in classes:
        begin, end = hours_of(day, session)
        if room_id is not None and begin < ends_at and end > starts_at:
            found.append(Taken(room_id, begin, end, _("“%(plan)s”的课堂", plan=name)))
    return found


def free_from(day: date, rooms: Sequence[Room], people: int, most: int) -> tuple[datetime, datetime, list[Room]]:
    """The first two hours from a day on in which the rooms, at most `most` people each, hold so many, and the rooms free then.
    Where a fortnight has none, the first morning with all of them: the form says what is in the way."""
    slots = [(clock.at_shanghai(day + timedelta(days=ahead), begin), clock.at_shanghai(day + timedelta(days=ahead), end))
             for ahead in range(DAYS_TRIED) for begin, end in HOURS]
    busy = taken(rooms, slots[0][0], slots[-1][1])
    for begin, end in slots:
        away = {each.room_id for each in busy if each.starts_at < end and each.ends_at > begin}
        free = [room for room in rooms if room.id not in away]
        if not away or sum(min(room.capacity, most) for room in free) >= people:
            return begin, end, free
    return *slots[0], list(rooms)
