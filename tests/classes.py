"""A class to stand in: opened, with sessions behind it, today, and still to come."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from app import clock
from app.extensions import db
from models import AttendanceMark, Enrolment, PlanDay, TrainingPlan
from tests.factory import Factory

# Days from today, and the session.
USUAL = ((-1, "morning"), (-1, "afternoon"), (0, "all"))


def held(make: Factory, people: int = 4, sessions: tuple[tuple[int, str], ...] = USUAL, *, opened: bool = True,
         **values: Any) -> TrainingPlan:
    """A class of so many people with these sessions."""
    plan = make.plan(window=(timedelta(days=-9), timedelta(days=-2)), **values)
    make.paid(plan, people, photos=False)
    plan = db.session.get_one(TrainingPlan, plan.id)
    teacher = plan.days[0].teacher_id
    plan.days = [PlanDay(day=clock.shanghai_day() + timedelta(days=day), session=session, topic="实操", teacher_id=teacher)
                 for day, session in sessions]
    if opened:
        plan.class_opened_at = clock.now()
    db.session.commit()
    return plan


def people(plan: TrainingPlan) -> list[Enrolment]:
    return list(db.session.scalars(select(Enrolment).where(Enrolment.plan_id == plan.id).order_by(Enrolment.id)))


def days(plan: TrainingPlan) -> list[int]:
    return [day.id for day in db.session.get_one(TrainingPlan, plan.id).days]


def marks(plan: TrainingPlan) -> dict[tuple[int, int], str]:
    """What is known, as (person from 0, session from 0): state."""
    persons, sessions = [each.id for each in people(plan)], days(plan)
    rows = db.session.scalars(select(AttendanceMark).where(AttendanceMark.plan_id == plan.id))
    return {(persons.index(row.enrolment_id), sessions.index(row.day_id)): row.state for row in rows}


def confirmed(plan: TrainingPlan) -> bool:
    return db.session.get_one(TrainingPlan, plan.id, populate_existing=True).attendance_confirmed_at is not None
