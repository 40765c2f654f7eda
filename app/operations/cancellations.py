"""计划取消: an approved plan is called off before its class opens; everyone is told, and every paid order is refunded.

The plan is closed at once, with its open orders, in one transaction. The people and the money follow in a job, order by order, which names
what it could not do and may run again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from app import audit, clock, jobs, notices, presentation
from app.actors import SYSTEM, Actor
from app.errors import Conflict, PortalError
from app.extensions import db, transaction
from app.operations import carry_over, orders, refunds, seats, withdrawals
from models import Enrolment, ImportBatch, Order, Payment, PlanChange, Refund, TrainingPlan, WaitlistEntry, Withdrawal
from models.rosters import LIVE

JOB = "cancel_plan"


def obstacle(plan: TrainingPlan) -> str:
    """Why a plan cannot be cancelled now, as a sentence; empty when it can."""
    if plan.review_state != "approved":
        return _("只有审核通过的培训计划需要取消；此前可以撤回或不再上报。")
    if plan.cancelled_at is not None:
        return _("该计划已于 %(at)s 取消。", at=presentation.moment(plan.cancelled_at))
    if plan.class_opened_at is not None:
        return _("该计划已于 %(at)s 开班，不能取消。", at=presentation.moment(plan.class_opened_at))
    return ""


def apply(change: PlanChange, *, actor: Actor) -> None:
    """Call a plan off, in the transaction that grants it: from here on nobody enrols, pays or is carried over."""
    plan = seats.lock(change.plan_id)
    if reason := obstacle(plan):
        raise Conflict(reason)
    told, paid = _enterprises(plan), _paying(plan)
    plan.cancelled_at = clock.now()
    db.session.flush()
    ended = orders.end_open_orders(plan.id, "cancelled", actor=actor)
    jobs.schedule(JOB, change.id, institution_id=plan.institution_id)
    for enterprise_id in told:
        notices.tell("plan_cancelled" if enterprise_id in paid else "plan_cancelled_unpaid", "training_plan", ids=[plan.id],
                     name=plan.name, remark=change.reason, enterprise_id=enterprise_id)
    audit.record(actor, "cancel_plan", plan, {"plan": plan.name, "reason": change.reason, "orders_ended": ended})


def _enterprises(plan: TrainingPlan) -> Sequence[int]:
    """Who has to do with a plan: people in it, a list prepared for it, or a place in its line."""
    found = (select(Enrolment.enterprise_id).where(Enrolment.plan_id == plan.id, Enrolment.state.in_(LIVE)),
             select(ImportBatch.enterprise_id).where(ImportBatch.plan_id == plan.id, ImportBatch.state != "discarded"),
             select(WaitlistEntry.enterprise_id).where(WaitlistEntry.plan_id == plan.id, WaitlistEntry.state.in_(("waiting", "offered"))))
    return sorted(set(db.session.scalars(found[0].union(*found[1:]))))


def _paying(plan: TrainingPlan) -> set[int]:
    """Who has paid for people that are in a plan, and is told of refunds."""
    return set(db.session.scalars(select(Order.enterprise_id).join(Enrolment, Enrolment.order_id == Order.id).where(
        Order.plan_id == plan.id, Order.state == "paid", Order.amount_fen > 0, Enrolment.plan_id == plan.id,
        Enrolment.state == "enrolled")))


def run_cancellation(change_id: int, report: Callable[[int, int], None]) -> None:
    """Job: refund order by order, each in a transaction of its own, then give back the absences of who was carried over.

    What cannot be done is written down by order number, and the others go on. Run again it takes up exactly what is left.
    """
    change = db.session.get_one(PlanChange, change_id)
    if change.state != "granted" or change.kind != "cancel":
        return
    plan_id, reason = change.plan_id, change.reason
    ids = list(db.session.scalars(select(Enrolment.order_id).where(
        Enrolment.plan_id == plan_id, Enrolment.state == "enrolled", Enrolment.order_id.is_not(None))
        .distinct().order_by(Enrolment.order_id)))
    left: dict[str, str] = {}
    for done, order_id in enumerate(ids, 1):
        try:
            with transaction() as session:
                plan, order = seats.lock(plan_id), session.get_one(Order, order_id)
                withdrawals.leave_cancelled(plan, order, reason, actor=SYSTEM)
        except PortalError as error:
            left[db.session.get_one(Order, order_id).number] = str(error)
        report(done, len(ids) + 1)
    _give_absences_back(plan_id)
    with transaction() as session:
        session.get_one(PlanChange, change_id).left = left
    report(len(ids) + 1, len(ids) + 1)


def _give_absences_back(plan_id: int) -> None:
    with transaction() as session:
        plan = seats.lock(plan_id)
        people = session.scalars(select(Enrolment.id).where(
            Enrolment.plan_id == plan_id, Enrolment.state == "enrolled", Enrolment.carried_from_id.is_not(None))).all()
        if people and (absences := carry_over.put_back(plan, people)):
            audit.record(SYSTEM, "undo_carry_over", plan, {"plan": plan.name, "people": len(absences), "enrolments": absences})


def again(change: PlanChange, *, actor: Actor) -> None:
    """Take up what a cancellation could not do. Raises `Conflict` when nothing is left or it is running."""
    with transaction() as session:
        session.refresh(change, with_for_update={"of": PlanChange})
        running = jobs.latest(JOB, change.id)
        if not change.left or (running is not None and running.state in ("waiting", "running")):
            raise Conflict(_("没有需要重新办理的订单，或正在办理。请刷新页面查看。"))
        jobs.schedule(JOB, change.id, institution_id=change.institution_id)
        audit.record(actor, "cancel_plan_again", change, {"orders": sorted(change.left)})


@dataclass(frozen=True)
class Outlook:
    """What calling a plan off comes to at this moment: paid orders with their people and the fen that go back, orders that are not
    paid, and people who were carried over."""

    orders: int = 0
    people: int = 0
    amount_fen: int = 0
    unpaid_orders: int = 0
    unpaid_people: int = 0
    carried: int = 0


def outlook(plan: TrainingPlan) -> Outlook:
    """For who asks to call a plan off, and who decides. Three statements; the same money as `withdrawals.leave_cancelled` gives back."""
    enrolled = (Enrolment.plan_id == plan.id, Enrolment.state == "enrolled")
    left = func.coalesce(func.max(Payment.amount_fen - Payment.refund_fen), 0)
    paid = db.session.execute(
        select(func.count(Enrolment.id), Order.unit_fee_fen, left).join(Order, Enrolment.order_id == Order.id)
        .outerjoin(Payment, (Payment.order_id == Order.id) & Payment.state.in_(refunds.TAKEN))
        .where(*enrolled).group_by(Order.id, Order.unit_fee_fen)).all()
    waiting, held = db.session.execute(select(func.count(), func.coalesce(func.sum(Order.people), 0)).where(
        Order.plan_id == plan.id, Order.state == "pending")).one()
    carried = db.session.scalar(select(func.count()).where(*enrolled, Enrolment.carried_from_id.is_not(None)))
    return Outlook(len(paid), sum(row[0] for row in paid), sum(min(n * fee, int(rest)) for n, fee, rest in paid), waiting, int(held),
                   carried or 0)


@dataclass(frozen=True)
class Owed:
    """What a cancelled plan means for one enterprise: its people who left with it, the fen that go back for them, and whether more
    is still being done."""

    people: int
    amount_fen: int
    going_on: bool


def owed_to(plan: TrainingPlan, enterprise_id: int) -> Owed:
    """Nothing where the enterprise has paid nothing."""
    people, fen = db.session.execute(select(func.count(), func.coalesce(func.sum(Withdrawal.amount_fen), 0)).where(
        Withdrawal.plan_id == plan.id, Withdrawal.enterprise_id == enterprise_id, Withdrawal.cause == "plan",
        Withdrawal.state == "granted")).one()
    waiting = select(Enrolment.id).join(Order, Enrolment.order_id == Order.id).where(
        Enrolment.plan_id == plan.id, Enrolment.enterprise_id == enterprise_id, Enrolment.state == "enrolled", Order.amount_fen > 0)
    return Owed(people, int(fen), db.session.scalar(select(waiting.exists())) or False)


@dataclass(frozen=True)
class Line:
    """One order of a cancelled plan: how many people left, what goes back in all, and the refunds on their way."""

    order: Order
    people: int
    amount_fen: int
    refunds: Sequence[Refund]


def lines_of(change: PlanChange) -> list[Line]:
    """What a cancellation has done, order by order; three statements, however many."""
    rows = db.session.execute(
        select(Withdrawal.order_id, func.count(), func.sum(Withdrawal.amount_fen))
        .where(Withdrawal.plan_id == change.plan_id, Withdrawal.cause == "plan").group_by(Withdrawal.order_id)).all()
    counted = {row[0]: (row[1], row[2]) for row in rows}
    found = db.session.scalars(select(Order).where(Order.id.in_(counted)).options(selectinload(Order.enterprise)).order_by(Order.id)).all()
    paid: dict[int, list[Refund]] = {}
    for refund, order_id in db.session.execute(
            select(Refund, Payment.order_id).join(Payment, Refund.payment_id == Payment.id).where(Payment.order_id.in_(counted))
            .order_by(Refund.id)):
        paid.setdefault(order_id or 0, []).append(refund)
    return [Line(order, *counted[order.id], paid.get(order.id, [])) for order in found]
