"""What an enterprise may enrol in now, and why not: the seats that are truly there, its place in line, the obstacle in words (E11)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import func, select

from app import clock
from app.extensions import db
from app.operations import offers
from app.presentation import moment
from models import Enterprise, Order, TrainingPlan, WaitlistEntry
from models.waitlist import WAITING


@dataclass(frozen=True)
class Standing:
    """How a plan stands for one enterprise at this second. `left` seats may be ordered now, those reserved for it not among them;
    `kept` are, until `until`. `waiting` enterprises are in line, `before` of them before this one."""

    left: int
    obstacle: str = ""
    kept: int = 0
    until: datetime | None = None
    wanted: int = 0
    least: int = 0
    entry_id: int | None = None
    before: int = 0
    waiting: int = 0

    @property
    def orderable(self) -> int:
        """The most people an order of this enterprise may have."""
        return self.left + self.kept

    @property
    def in_line(self) -> bool:
        return self.entry_id is not None and not self.kept


def standings(plans: Sequence[TrainingPlan], enterprise: Enterprise) -> dict[int, Standing]:
    """The standing of each plan, by its id. Two statements, however many plans.

    A hold past its time counts as free though no job has ended it, less what the line will be offered of it.
    """
    ids = [plan.id for plan in plans]
    overdue = {row[0]: int(row[1]) for row in db.session.execute(
        select(Order.plan_id, func.sum(Order.people)).where(
            Order.plan_id.in_(ids), Order.state == "pending", Order.release_at <= clock.now()).group_by(Order.plan_id))}
    lines: dict[int, list[WaitlistEntry]] = defaultdict(list)
    for entry in db.session.scalars(select(WaitlistEntry).where(
            WaitlistEntry.plan_id.in_(ids), WaitlistEntry.state.in_(WAITING)).order_by(WaitlistEntry.id)):
        lines[entry.plan_id].append(entry)
    return {plan.id: _standing(plan, enterprise, overdue.get(plan.id, 0), lines[plan.id]) for plan in plans}


def _standing(plan: TrainingPlan, enterprise: Enterprise, overdue: int, line: list[WaitlistEntry]) -> Standing:
    waiting = [entry for entry in line if entry.state == "waiting"]
    free = plan.seats_left + overdue + sum(entry.offered for entry in line if entry.state == "offered" and not entry.open_offer)
    left = free - sum(share for _entry, share in offers.allot(free, waiting))
    own = next((entry for entry in line if entry.enterprise_id == enterprise.id and (entry.state == "waiting" or entry.open_offer)), None)
    kept = own.offered if own is not None else 0
    standing = Standing(left, _obstacle(plan, enterprise, left + kept, len(waiting)), kept, waiting=len(waiting))
    if own is None:
        return standing
    return replace(standing, until=own.offer_until if kept else None, wanted=own.people, least=own.least, entry_id=own.id,
                   before=sum(entry.id < own.id for entry in waiting))


def _obstacle(plan: TrainingPlan, enterprise: Enterprise, left: int, waiting: int) -> str:
    """Why this enterprise cannot enrol in it now, in a sentence; empty when it can."""
    if plan.cancelled_at is not None:
        return _("计划已取消")
    if plan.enrolment_ended:
        return _("报名已截止")
    if not enterprise.may_enrol:
        return _("贵单位的注册信息尚未通过审核")
    if not plan.enrolling:
        return _("%(at)s 开放报名", at=moment(plan.enrolment_opens_at))
    if left:
        return ""
    return _("可以候补，已有 %(n)s 家", n=waiting) if waiting else _("可以候补")


def in_line(enterprise: Enterprise) -> list[WaitlistEntry]:
    """The lines an enterprise stands in, those with an offer first."""
    rows = db.session.scalars(select(WaitlistEntry).where(
        WaitlistEntry.enterprise_id == enterprise.id, WaitlistEntry.state.in_(WAITING)).order_by(WaitlistEntry.id)).all()
    return sorted((entry for entry in rows if not entry.plan.enrolment_ended and (entry.state == "waiting" or entry.open_offer)),
                  key=lambda entry: entry.state != "offered")
