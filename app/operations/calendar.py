"""The calendar (日程): classes and exams of what a person may see, by Shanghai days.

A month of a province holds thousands of sessions, so the database counts and ranks them; only the first few of each day are
fetched. Two statements for a span of days, one for classes and one for exams, however much there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Date, and_, case, func, literal, or_, select, true, union_all

from app import clock, scope
from app.actors import Actor
from app.extensions import db
from app.operations.exams import LONGEST
from models import Authority, Enrolment, ExamPlan, Institution, PlanDay, Region, Teacher, TrainingPlan
from models.types import UtcDateTime

# What a feed holds of a person's calendar, and at most how many entries of each kind.
FEED_PAST, FEED_AHEAD, FEED_MOST = timedelta(days=30), timedelta(days=180), 1000
# Hours that stand for a session whose plan names only the part of the day.
HOURS = {"morning": (9, 12), "afternoon": (14, 17), "evening": (19, 21)}
_IN_ORDER = case({"all": 0, "morning": 1, "afternoon": 2, "evening": 3}, value=PlanDay.session)


@dataclass(frozen=True)
class Narrowing:
    """What an authority looks at: a region with all below it, one institution, or ("" and None) everything."""

    region_code: str = ""
    institution_id: int | None = None


@dataclass(frozen=True)
class Entry:
    """One class or exam of one day. `session` is "" for an exam, the moments None for a class."""

    kind: str
    id: int
    day: date
    subject_id: int
    title: str
    plan_name: str
    topic: str
    place: str
    teacher: str
    institution: str
    state: str
    session: str
    starts_at: datetime | None
    ends_at: datetime | None
    revision: int
    changed_at: datetime

    @property
    def begins(self) -> datetime:
        """Where it stands among the entries of its day."""
        if self.starts_at is not None:
            return max(self.starts_at, clock.at_shanghai(self.day))
        return clock.at_shanghai(self.day, HOURS.get(self.session, (8, 0))[0])


@dataclass
class Day:
    """A day with the first of its entries and the number of all."""

    day: date
    entries: list[Entry] = field(default_factory=list)
    total: int = 0

    @property
    def more(self) -> int:
        return self.total - len(self.entries)


def choices(region_code: str, *, actor: Actor) -> tuple[list[Region], list[tuple[int, str]]]:
    """The regions whose authorities look after something this person sees, and the institutions of the chosen one."""
    if not (actor.is_authority or actor.sees_all):
        return [], []
    regions = select(Region).join(Authority, Authority.region_code == Region.code).where(scope.authorities(actor)).order_by(Region.code)
    institutions = scope.visible(actor, Institution).where(_in_region(Institution.authority_id, region_code)).order_by(Institution.name)
    rows = db.session.execute(institutions.with_only_columns(Institution.id, Institution.name))
    return list(db.session.scalars(regions)), [(key, name) for key, name in rows]


def _in_region(column: Any, region_code: str) -> ColumnElement[bool]:
    """Under an authority of that region or below it; GB/T 2260 tells what is below by the code itself."""
    if not region_code:
        return true()
    stem = region_code.removesuffix("0000") if region_code.endswith("0000") else region_code.removesuffix("00")
    found: ColumnElement[bool] = column.in_(select(Authority.id).where(Authority.region_code.startswith(stem, autoescape=True)))
    return found


def _narrowed(model: Any, narrowing: Narrowing, actor: Actor) -> ColumnElement[bool]:
    """What of a model belongs in this person's calendar: what is approved, to the institution itself also what is not yet."""
    wanted = [scope.visible_clause(actor, model), _in_region(model.authority_id, narrowing.region_code)]
    if not actor.is_institution:
        wanted.append(model.review_state == "approved")
    if narrowing.institution_id is not None:
        wanted.append(model.institution_id == narrowing.institution_id)
    return and_(*wanted)


def _plans(narrowing: Narrowing, actor: Actor) -> ColumnElement[bool]:
    wanted = _narrowed(TrainingPlan, narrowing, actor)
    if not actor.is_enterprise:
        return wanted
    theirs = scope.visible(actor, Enrolment).with_only_columns(Enrolment.plan_id)
    enrolled = TrainingPlan.id.in_(theirs.where(Enrolment.state == "enrolled"))
    called_off = and_(TrainingPlan.cancelled_at.is_not(None), TrainingPlan.id.in_(theirs.where(Enrolment.state == "withdrawn")))
    return and_(wanted, or_(enrolled, called_off))


def agenda(first: date, last: date, narrowing: Narrowing, *, most: int, actor: Actor) -> list[Day]:
    """Every day from `first` to `last`, each with at most `most` entries in the order of their time."""
    days = {first + timedelta(days=n): Day(first + timedelta(days=n)) for n in range((last - first).days + 1)}
    for statement, built in ((_ranked_classes(first, last, narrowing, most, actor), _class_entry),
                             (_ranked_exams(list(days), narrowing, most, actor), _exam_entry)):
        counted = dict.fromkeys(days, 0)
        for row in db.session.execute(statement):
            days[row.day].entries.append(built(row))
            counted[row.day] = row.in_day
        for each in days.values():
            each.total += counted[each.day]
    for each in days.values():
        each.entries = sorted(each.entries, key=lambda entry: (entry.begins, entry.kind, entry.title, entry.id))[:most]
    return list(days.values())


def _ranked(wanted: Any, day: Any, order: Sequence[Any], most: int) -> Any:
    """(id, day, in_day) of the first `most` rows of each day; `in_day` is how many there are."""
    ranked = wanted.add_columns(func.count().over(partition_by=day).label("in_day"),
                                func.row_number().over(partition_by=day, order_by=list(order)).label("rank")).subquery()
    return select(ranked.c.id, ranked.c.day, ranked.c.in_day).where(ranked.c.rank <= most).subquery()


def _ranked_classes(first: date, last: date, narrowing: Narrowing, most: int, actor: Actor) -> Any:
    wanted = (select(PlanDay.id, PlanDay.day).join(TrainingPlan, PlanDay.plan_id == TrainingPlan.id)
              .where(PlanDay.day.between(first, last), _plans(narrowing, actor)))
    shown = _ranked(wanted, PlanDay.day, (_IN_ORDER, TrainingPlan.name, PlanDay.id), most)
    return _classes().add_columns(shown.c.day, shown.c.in_day).join(shown, shown.c.id == PlanDay.id)


def _ranked_exams(days: list[date], narrowing: Narrowing, most: int, actor: Actor) -> Any:
    """An exam stands on every day it touches."""
    bounds = [(day, clock.at_shanghai(day), clock.at_shanghai(day + timedelta(days=1))) for day in days]
    spans = union_all(*(select(literal(day, Date).label("day"), literal(begin, UtcDateTime).label("begins"),
                               literal(end, UtcDateTime).label("ends")) for day, begin, end in bounds)).subquery("span")
    wanted = (select(ExamPlan.id, spans.c.day).join(spans, and_(ExamPlan.starts_at < spans.c.ends, ExamPlan.ends_at > spans.c.begins))
              .where(ExamPlan.starts_at.between(bounds[0][1] - LONGEST, bounds[-1][2]), _narrowed(ExamPlan, narrowing, actor)))
    shown = _ranked(wanted, spans.c.day, (ExamPlan.starts_at, ExamPlan.name, ExamPlan.id), most)
    return _exams().add_columns(shown.c.day, shown.c.in_day).join(shown, shown.c.id == ExamPlan.id)


def feed_entries(narrowing: Narrowing, *, actor: Actor) -> tuple[list[Entry], bool]:
    """The last 30 and the next 180 days, each exam once, and whether something had to be left out: of too many the
    farthest ahead and the longest past go first."""
    today = clock.shanghai_day()
    first, last = today - FEED_PAST, today + FEED_AHEAD
    begin, now, end = clock.at_shanghai(first), clock.at_shanghai(today), clock.at_shanghai(last + timedelta(days=1))
    classes = _classes().add_columns(PlanDay.day).where(_plans(narrowing, actor))
    exams = _exams().where(_narrowed(ExamPlan, narrowing, actor))
    found = (
        [_class_entry(row) for row in _nearest(classes, PlanDay.day, PlanDay.id, first, today, last)],
        [_exam_entry(row) for row in _nearest(exams, ExamPlan.starts_at, ExamPlan.id, begin, now, end)],
    )
    entries = [entry for each in found for entry in each[:FEED_MOST]]
    return sorted(entries, key=lambda entry: (entry.begins, entry.kind, entry.id)), any(len(each) > FEED_MOST for each in found)


def _nearest(statement: Any, column: Any, key: Any, first: Any, today: Any, last: Any) -> Sequence[Any]:
    """What lies ahead from the nearest on, then what is past from the newest back; one more than a feed holds."""
    ahead = case((column >= today, column))
    past = case((column < today, column))
    order = (ahead.is_(None), ahead, past.desc(), key)
    return db.session.execute(statement.where(column.between(first, last)).order_by(*order).limit(FEED_MOST + 1)).all()


def _class_state() -> Any:
    """The review's state, or ``cancelled``."""
    return case((TrainingPlan.cancelled_at.is_not(None), "cancelled"), else_=TrainingPlan.review_state)


def _class_revision() -> Any:
    return TrainingPlan.review_version + case((TrainingPlan.cancelled_at.is_not(None), 1), else_=0)


def _classes() -> Any:
    """What a calendar says of a class."""
    return (select(PlanDay.id, PlanDay.session, PlanDay.topic, TrainingPlan.id.label("subject_id"), TrainingPlan.name,
                   TrainingPlan.place, _class_state().label("review_state"), _class_revision().label("review_version"),
                   TrainingPlan.created_at,
                   TrainingPlan.submitted_at, TrainingPlan.decided_at, TrainingPlan.cancelled_at, Institution.name.label("institution"),
                   Teacher.name.label("teacher"))
            .join(TrainingPlan, PlanDay.plan_id == TrainingPlan.id).join(Institution, TrainingPlan.institution_id == Institution.id)
            .join(Teacher, PlanDay.teacher_id == Teacher.id))


def _exams() -> Any:
    """What a calendar says of an exam."""
    return (select(ExamPlan.id, ExamPlan.name, ExamPlan.place, ExamPlan.starts_at, ExamPlan.ends_at, ExamPlan.review_state,
                   ExamPlan.review_version, ExamPlan.created_at, ExamPlan.submitted_at, ExamPlan.decided_at,
                   TrainingPlan.name.label("plan_name"), Institution.name.label("institution"))
            .join(TrainingPlan, ExamPlan.plan_id == TrainingPlan.id).join(Institution, ExamPlan.institution_id == Institution.id))


def _changed_at(row: Any) -> datetime:
    """The last step of its review, or that it was cancelled."""
    moments = (row.created_at, row.submitted_at, row.decided_at, getattr(row, "cancelled_at", None))
    return max(moment for moment in moments if moment is not None)


def _class_entry(row: Any) -> Entry:
    return Entry("class", row.id, row.day, row.subject_id, row.name, row.name, row.topic, row.place, row.teacher, row.institution,
                 row.review_state, row.session, None, None, row.review_version, _changed_at(row))


def _exam_entry(row: Any) -> Entry:
    return Entry("exam", row.id, getattr(row, "day", None) or clock.shanghai_day(row.starts_at), row.id, row.name, row.plan_name, "",
                 row.place, "", row.institution, row.review_state, "", row.starts_at, row.ends_at, row.review_version, _changed_at(row))
