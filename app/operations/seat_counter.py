"""The two counters of a plan: seats taken by people, and seats reserved by open offers of the waiting list.

Both are moved by one conditional UPDATE, never read and then written; a CHECK on the table refuses what a wrong program would write.
Who has something to take passes by here, so the same condition holds for an order, an offer and a payment that comes late.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm.util import identity_key

from app.extensions import db
from models import TrainingPlan


def lock(plan_id: int) -> TrainingPlan:
    """The plan as it is now, locked until the transaction ends. SQLite has locked everything already."""
    return db.session.scalars(select(TrainingPlan).where(TrainingPlan.id == plan_id).with_for_update()
                              .execution_options(populate_existing=True)).one()


def change(plan_id: int, *conditions: ColumnElement[bool], taken: int = 0, reserved: int = 0) -> bool:
    """Add to the counters (or take from them, below zero) all at once, or not at all: True when it was done.

    More seats than the plan has are never counted; `conditions` may ask for more. From here on the plan is locked until the
    transaction ends.
    """
    wanted = [TrainingPlan.id == plan_id, *conditions]
    if taken + reserved > 0:
        wanted.append(TrainingPlan.seats_taken + TrainingPlan.seats_reserved + (taken + reserved) <= TrainingPlan.seats)
    values = {name: getattr(TrainingPlan, name) + more for name, more in (("seats_taken", taken), ("seats_reserved", reserved)) if more}
    done = db.session.execute(update(TrainingPlan).where(*wanted).values(**values).returning(TrainingPlan.id)
                              .execution_options(synchronize_session=False)).first()
    loaded = db.session.identity_map.get(identity_key(TrainingPlan, plan_id))
    if loaded is not None:
        db.session.expire(loaded, list(values))  # the UPDATE went past it
    return done is not None
