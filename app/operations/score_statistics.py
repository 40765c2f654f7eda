"""What a reviewer looks for in the scores of an exam: how they are spread, and what stands out (B5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import func, select

from app.extensions import db
from app.operations.scores import pass_marks
from models import Enrolment, Enterprise, ExamPlan, ExamRoom, Sitting

BINS = 10
# What stands out: parts of one person this far apart; a room's mean this far from that of the others with its occupation; how many
# must be in a group before its mean says anything. Marks are tenths of a point.
APART = 350
ROOM_APART = 150
FEWEST = 5
MOST_LISTED = 20


@dataclass(frozen=True)
class Spread:
    """The marks of one part: how many in each ten points (100 counts with the nineties), and their mean in tenths."""

    label: Any
    counts: list[int]
    mean: int | None
    passing: int

    @property
    def highest(self) -> int:
        return max(self.counts, default=0)


@dataclass(frozen=True)
class Outlier:
    """Something to look at: what it is about and why, as a sentence; `ticket` where it is one person."""

    sentence: str
    ticket: str = ""


def spreads(exam: ExamPlan) -> list[Spread]:
    """Theory and practice of an exam, two statements."""
    passing = pass_marks()
    found = []
    parts: Iterable[tuple[Any, str, int]] = (
        (Sitting.theory, _("理论"), passing.theory), (Sitting.practice, _("实操"), passing.practice))
    for column, label, line in parts:
        counts, total, number = [0] * BINS, 0, 0
        for mark, people in db.session.execute(select(column, func.count()).where(
                Sitting.exam_plan_id == exam.id, column.is_not(None)).group_by(column)):
            counts[min(mark // 100, BINS - 1)] += people
            total, number = total + mark * people, number + people
        found.append(Spread(label, counts, round(total / number) if number else None, line))
    return found


def outliers(exam: ExamPlan) -> list[Outlier]:
    """What stands out in an exam, the weightiest first. Three statements, whatever its size."""
    return [*_rooms(exam), *_alike(exam), *_people(exam)]


def _rooms(exam: ExamPlan) -> list[Outlier]:
    """Rooms whose mean is far from that of the other rooms with the same occupation."""
    total = func.sum(Sitting.theory + Sitting.practice)
    rows: Sequence[Any] = db.session.execute(
        select(ExamRoom.number, ExamRoom.occupation_id, func.count(Sitting.id), total)
        .join(Sitting, Sitting.room_id == ExamRoom.id)
        .where(ExamRoom.exam_plan_id == exam.id, Sitting.theory.is_not(None), Sitting.practice.is_not(None))
        .group_by(ExamRoom.number, ExamRoom.occupation_id).order_by(ExamRoom.number)).all()
    found = []
    for number, occupation, people, points in rows:
        others = [(row[2], row[3]) for row in rows if row[1] == occupation and row[0] != number]
        many = sum(count for count, _sum in others)
        if people < FEWEST or many < FEWEST:
            continue
        mean, rest = points / people / 2, sum(total for _count, total in others) / many / 2
        if abs(mean - rest) >= ROOM_APART:
            found.append(Outlier(_("第 %(n)s 考场平均 %(mean)s 分，同工种其他考场平均 %(rest)s 分", n=number, mean=f"{mean / 10:.1f}",
                                   rest=f"{rest / 10:.1f}")))
    return found


def _alike(exam: ExamPlan) -> list[Outlier]:
    """Several people of one enterprise, in one room, with the very same two marks."""
    same = func.count(Sitting.id)
    rows: Iterable[Any] = db.session.execute(
        select(Enterprise.name, ExamRoom.number, Sitting.theory, Sitting.practice, same)
        .join(Enrolment, Sitting.enrolment_id == Enrolment.id).join(Enterprise, Enrolment.enterprise_id == Enterprise.id)
        .join(ExamRoom, Sitting.room_id == ExamRoom.id)
        .where(Sitting.exam_plan_id == exam.id, Sitting.theory.is_not(None), Sitting.practice.is_not(None))
        .group_by(Enterprise.name, ExamRoom.number, Sitting.theory, Sitting.practice).having(same >= FEWEST)
        .order_by(same.desc(), Enterprise.name).limit(MOST_LISTED))
    return [Outlier(_("第 %(n)s 考场中%(enterprise)s有 %(people)s 人两项成绩完全相同（理论 %(theory)s，实操 %(practice)s）", n=number,
                      enterprise=name, people=people, theory=f"{theory / 10:g}", practice=f"{practice / 10:g}"))
            for name, number, theory, practice, people in rows]


def _people(exam: ExamPlan) -> list[Outlier]:
    """People whose two marks are far apart."""
    apart = func.abs(Sitting.theory - Sitting.practice)
    rows: Iterable[Any] = db.session.execute(
        select(Sitting.ticket_number, Enrolment.name, Sitting.theory, Sitting.practice)
        .join(Enrolment, Sitting.enrolment_id == Enrolment.id)
        .where(Sitting.exam_plan_id == exam.id, apart >= APART).order_by(apart.desc(), Sitting.ticket_number).limit(MOST_LISTED))
    return [Outlier(_("%(name)s：理论 %(theory)s，实操 %(practice)s，相差很大", name=name, theory=f"{theory / 10:g}",
                      practice=f"{practice / 10:g}"), ticket) for ticket, name, theory, practice in rows]
