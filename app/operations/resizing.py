"""名额调整: the seats of an approved plan, raised or lowered, never below what is taken or reserved.

Within `resize_percent` of the seats that the authority last agreed to the institution changes them by itself; more it asks for.
"""

from __future__ import annotations

from flask_babel import gettext as _
from sqlalchemy import select, update

from app import parameters, presentation
from app.errors import Conflict, Invalid
from app.extensions import db
from app.operations import seats
from app.operations.plan_checks import MOST_SEATS
from models import PlanChange, TrainingPlan


def obstacle(plan: TrainingPlan) -> str:
    """Why the seats of a plan cannot be changed now, as a sentence; empty when they can."""
    if plan.review_state != "approved":
        return _("培训计划审核通过后才需要调整名额；此前请直接修改计划。")
    if plan.cancelled_at is not None:
        return _("该计划已于 %(at)s 取消。", at=presentation.moment(plan.cancelled_at))
    if plan.class_opened_at is not None:
        return _("该计划已于 %(at)s 开班，不能再调整名额。", at=presentation.moment(plan.class_opened_at))
    return ""


def agreed(plan: TrainingPlan) -> int:
    """The seats that the authority last agreed to: with the plan, or with a change it granted."""
    granted = select(PlanChange).where(PlanChange.plan_id == plan.id, PlanChange.kind == "resize", PlanChange.state == "granted")
    decided = db.session.scalars(granted.where(PlanChange.decided_by_id.is_not(None)).order_by(PlanChange.id.desc())).first()
    if decided is not None and decided.seats is not None:
        return decided.seats
    first = db.session.scalars(granted.order_by(PlanChange.id)).first()
    return first.seats_before if first is not None else plan.seats


def bounds(plan: TrainingPlan) -> tuple[int, int]:
    """From how many to how many seats the institution may choose by itself."""
    most = agreed(plan)
    spare = most * parameters.number("resize_percent") // 100
    return most - spare, most + spare


def alone(plan: TrainingPlan, wanted: int) -> bool:
    """Whether the institution may choose this number by itself."""
    least, most = bounds(plan)
    return least <= wanted <= most


def check(plan: TrainingPlan, wanted: int) -> None:
    """Raise `Invalid` for a number that the seats cannot be now."""
    least = max(plan.seats_taken + plan.seats_reserved, 1)
    if not 1 <= wanted <= MOST_SEATS:
        raise Invalid(_("名额应为 1 到 %(most)s 之间的整数。", most=MOST_SEATS), "seats")
    if wanted < least:
        raise Invalid(_("已占用（含为候补保留）%(n)s 个名额，不能少于这个数。", n=least), "seats")
    if wanted == plan.seats:
        raise Invalid(_("与现有名额相同，无需调整。"), "seats")


def apply(change: PlanChange) -> None:
    """Make a granted change, in the transaction that grants it, the plan locked: one conditional UPDATE, then the line of who waits.

    Raises `Conflict` when people have taken the seats meanwhile, or the class has opened.
    """
    done = db.session.scalar(
        update(TrainingPlan).where(
            TrainingPlan.id == change.plan_id, TrainingPlan.review_state == "approved", TrainingPlan.class_opened_at.is_(None),
            TrainingPlan.cancelled_at.is_(None), TrainingPlan.seats_taken + TrainingPlan.seats_reserved <= change.seats)
        .values(seats=change.seats).returning(TrainingPlan.id).execution_options(synchronize_session=False))
    plan = seats.lock(change.plan_id)
    if done is None:
        raise Conflict(obstacle(plan) or _("已占用 %(n)s 个名额，不能调整为 %(seats)s 个。", n=plan.seats_taken + plan.seats_reserved,
                                           seats=change.seats))
    seats.freed(plan.id)
