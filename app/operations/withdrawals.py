"""退班: people who were paid for leave a plan before its class opens; seats become free, money goes back by rule.

The rules are parameters: until how many days before the first training day an enterprise may withdraw people by itself
(`withdraw_days`), what part of the fee goes back (`withdraw_percent`), and whether the institution must agree
(`withdraw_consent`). After that day it always must. Once the class has opened nobody withdraws: who stays away is absent, and
may be carried over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from app import audit, clock, notices, parameters, presentation, scope, workflow
from app.actors import Actor
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.extensions import db, transaction
from app.operations import carry_over, refunds, seats
from app.presentation import kept
from app.sets import among
from app.workflow import ENROLMENT_MOVES, REQUEST_MOVES
from models import Enrolment, Order, Payment, PlanDay, Refund, TrainingPlan, Withdrawal

MOST_REASON = 200


@dataclass(frozen=True)
class Terms:
    """What holds for who withdraws from a plan now. `obstacle` says why nobody can, `until` is the moment from which the institution
    must agree (None: when the class opens), `percent` the part of the fee that goes back."""

    obstacle: str
    percent: int
    consent: bool
    until: datetime | None


def terms_of(plan: TrainingPlan) -> Terms:
    """The rules of this moment for a plan."""
    days, percent = parameters.number("withdraw_days"), parameters.number("withdraw_percent")
    first = db.session.scalar(select(func.min(PlanDay.day)).where(PlanDay.plan_id == plan.id))
    until = clock.at_shanghai(first - timedelta(days=days)) if first is not None and days else None
    late = until is not None and clock.now() >= until
    obstacle = ""
    if plan.cancelled_at is not None:
        obstacle = _("该计划已取消，人员的报名随之取消，无需退班。")
    elif plan.class_opened_at is not None:
        obstacle = _("该计划已于 %(at)s 开班，不能再退班。未到场的按缺勤处理，可由培训机构转入以后的计划。",
                     at=presentation.moment(plan.class_opened_at))
    return Terms(obstacle, percent, late or parameters.number("withdraw_consent") > 0, until)


def reason_of(text: str) -> str:
    """A reason as it is kept, or `Invalid`."""
    reason = text.strip()
    if not reason:
        raise Invalid(_("请填写原因。"), "reason")
    if len(reason) > MOST_REASON:
        raise Invalid(_("原因不能超过 %(n)s 个字。", n=MOST_REASON), "reason")
    return reason


def waiting_ids(people: Iterable[Enrolment]) -> set[int]:
    """Those of these people whose withdrawal waits for the institution."""
    return set(db.session.scalars(select(Withdrawal.enrolment_id).where(
        among(Withdrawal.enrolment_id, [each.id for each in people]), Withdrawal.state == "asked")))


@dataclass(frozen=True)
class Leaving:
    """People of an order who left its plan together, and the fen that go back for them. `cause` is "person", or "plan" where the
    plan was called off."""

    at: datetime
    cause: str
    people: int
    amount_fen: int


def leavings_of(order: Order) -> list[Leaving]:
    """Who has left an order's plan since it was paid, the oldest first."""
    return [Leaving(at, cause, people, int(fen)) for at, cause, people, fen in db.session.execute(
        select(Withdrawal.decided_at, Withdrawal.cause, func.count(), func.sum(Withdrawal.amount_fen)).where(
            Withdrawal.order_id == order.id, Withdrawal.plan_id == order.plan_id, Withdrawal.state == "granted")
        .group_by(Withdrawal.decided_at, Withdrawal.cause).order_by(Withdrawal.decided_at)) if at is not None]


def called_off(people: Iterable[Enrolment]) -> set[int]:
    """Those of these people who left because their plan was called off."""
    return set(db.session.scalars(select(Withdrawal.enrolment_id).where(
        among(Withdrawal.enrolment_id, [each.id for each in people]), Withdrawal.cause == "plan", Withdrawal.state == "granted")))


def open_of(person: Enrolment) -> Withdrawal | None:
    """The withdrawal of a person that waits, or with which the person left."""
    return db.session.scalars(select(Withdrawal).where(
        Withdrawal.enrolment_id == person.id, Withdrawal.state.in_(("asked", "granted")))).first()


def ask(plan: TrainingPlan, ids: Iterable[int], reason: str, *, actor: Actor) -> tuple[int, bool, int]:
    """Withdraw an enterprise's people from a plan, or ask the institution to agree. Returns how many, whether it must agree, and how
    many fen go back in all.

    Raises `Invalid` when nobody was chosen or no reason given, `Conflict` when the class has opened or one of them is no longer
    enrolled.
    """
    if actor.enterprise_id is None:
        raise Forbidden(_("只有企业可以为本单位人员办理退班。"))
    reason, wanted = reason_of(reason), list(dict.fromkeys(ids))
    if not wanted:
        raise Invalid(_("请先勾选要退班的人员。"))
    with transaction() as session:
        plan = seats.lock(plan.id)
        terms = terms_of(plan)
        if terms.obstacle:
            raise Conflict(terms.obstacle)
        people = session.scalars(select(Enrolment).where(
            among(Enrolment.id, wanted), Enrolment.plan_id == plan.id, Enrolment.enterprise_id == actor.enterprise_id,
            Enrolment.state == "enrolled").order_by(Enrolment.id).with_for_update(of=Enrolment)
            .execution_options(populate_existing=True)).all()
        if len(people) != len(wanted) or waiting_ids(people):
            raise Conflict(_("所选人员中有人已退班或已申请退班，没有办理。请刷新页面后再试。"))
        rows = [_row(person, reason, terms.percent, actor) for person in people]
        session.add_all(rows)
        session.flush()
        audit.record(actor, "ask_withdrawal", plan, {"plan": plan.name, "people": len(rows), "reason": reason,
                                                     "enrolments": [each.enrolment_id for each in rows]})
        if terms.consent:
            _tell("withdrawal_asked", plan, rows)
        else:
            _leave(plan, rows, actor)
        return len(rows), terms.consent, sum(row.amount_fen for row in rows)


def _row(person: Enrolment, reason: str, percent: int, actor: Actor, cause: str = "person") -> Withdrawal:
    order = carry_over.paid_by(person)
    if order is None:
        raise Conflict(_("没有找到%(name)s的缴费订单，不能退班。请联系主管部门核对。", name=person.name))
    return Withdrawal(enrolment_id=person.id, plan_id=person.plan_id, order_id=order.id, enterprise_id=person.enterprise_id,
                      institution_id=person.institution_id, authority_id=person.authority_id, cause=cause, state="asked",
                      reason=reason, percent=percent, amount_fen=order.unit_fee_fen * percent // 100, asked_at=clock.now(),
                      asked_by_id=actor.user_id)


def _leave(plan: TrainingPlan, rows: Sequence[Withdrawal], actor: Actor, remark: str = "") -> None:
    """The people of these withdrawals leave: state, seats and refunds in the caller's transaction, the plan locked."""
    ids = [row.enrolment_id for row in rows]
    if len(workflow.move(Enrolment, ids, "state", ENROLMENT_MOVES, "enrolled", "withdrawn")) != len(ids):
        raise Conflict(_("所选人员中有人的报名状态已变化，没有办理。请刷新页面后再试。"))
    granted = workflow.move(Withdrawal, [row.id for row in rows], "state", REQUEST_MOVES, "asked", "granted", decided_at=clock.now(),
                            decided_by_id=actor.user_id, remark=remark)
    if len(granted) != len(rows):
        raise Conflict(_("这些退班申请的状态已变化。请刷新页面查看最新状态。"))
    seats.give_back(plan.id, len(ids))
    _pay_back(rows, actor)
    audit.record(actor, "withdraw_people", plan, {"plan": plan.name, "people": len(ids), "enrolments": ids,
                                                  "amount_fen": sum(row.amount_fen for row in rows)})
    if rows[0].cause == "person":  # of a plan that was cancelled everyone has been told
        _tell("withdrawal_granted", plan, rows)


def _pay_back(rows: Sequence[Withdrawal], actor: Actor) -> None:
    """One refund for each order that paid for these people; of who was carried over that is the order of the first plan.

    What the finance desk has paid back of an order already does not go back twice: where less is left of its payment than is due,
    that much goes back, and no refund is written where nothing is. What the desk has only proposed counts as gone too, until it is
    declined (`decline_refund`).
    """
    due: dict[int, list[Withdrawal]] = {}
    for row in rows:
        if row.amount_fen:
            due.setdefault(row.order_id, []).append(row)
    for order_id, theirs in sorted(due.items()):
        order = db.session.get_one(Order, order_id)
        payment = refunds.payment_of(order)
        if payment is None:
            raise Conflict(_("没有找到订单 %(n)s 的付款，不能退款。请联系主管部门核对。", n=order.number))
        _keep_within(payment, theirs)
        theirs = [row for row in theirs if row.amount_fen]
        if not theirs:
            continue
        refunds.open_refund(payment.id, sum(row.amount_fen for row in theirs), _words(theirs), actor=actor,
                            enrolment_ids=[row.enrolment_id for row in theirs])


def _keep_within(payment: Payment, rows: Sequence[Withdrawal]) -> None:
    """Lower what these withdrawals give back to what is left of their payment, which is locked for it."""
    db.session.refresh(payment, with_for_update={"of": Payment})
    spare = sum(row.amount_fen for row in rows) - payment.refundable_fen
    for row in rows:
        less = min(max(spare, 0), row.amount_fen)
        row.amount_fen, spare = row.amount_fen - less, spare - less


def decline_refund(refund: Refund, remark: str, *, actor: Actor) -> int:
    """Do not make a refund that waits for its second person (`refunds.decline`). What it kept of the payment is free again, and goes to
    who left meanwhile and got less for it: they get what they would have got without it. Returns the fen that go back so."""
    with transaction() as session:
        refunds.decline(refund, remark, actor=actor)
        payment = session.get_one(Payment, refund.payment_id, with_for_update=True, populate_existing=True)
        if payment.order_id is None or payment.state not in refunds.TAKEN:
            return 0
        rows = session.scalars(select(Withdrawal).where(Withdrawal.order_id == payment.order_id, Withdrawal.state == "granted")
                               .order_by(Withdrawal.id).execution_options(populate_existing=True)).all()
        return _make_up(payment, [(row, row.order.unit_fee_fen * row.percent // 100 - row.amount_fen) for row in rows], actor)


def _make_up(payment: Payment, short: Sequence[tuple[Withdrawal, int]], actor: Actor) -> int:
    """Refund what withdrawals are short of, as far as their payment goes."""
    most = left = payment.refundable_fen
    more = []
    for row, fen in short:
        if part := min(fen, left):
            row.amount_fen, left = row.amount_fen + part, left - part
            more.append(row)
    if more:
        refunds.open_refund(payment.id, most - left, _words(more), actor=actor, enrolment_ids=[row.enrolment_id for row in more])
    return most - left


def _words(rows: Sequence[Withdrawal]) -> str:
    """Why money goes back. The gateway is told this: no names."""
    return kept(_l("计划取消，%(n)s 人退费", n=len(rows)) if rows[0].cause == "plan" else _l("退班，%(n)s 人退费", n=len(rows)))


def _tell(event: str, plan: TrainingPlan, rows: Sequence[Withdrawal]) -> None:
    by_enterprise: dict[int, list[Withdrawal]] = {}
    for row in rows:
        by_enterprise.setdefault(row.enterprise_id, []).append(row)
    for enterprise_id, theirs in by_enterprise.items():
        notices.tell(event, "withdrawal", ids=[row.id for row in theirs], name=theirs[0].enrolment.name, remark=plan.name,
                     enterprise_id=enterprise_id, institution_id=plan.institution_id)


def decide(ids: Iterable[int], granted: bool, remark: str = "", *, actor: Actor) -> int:
    """The institution agrees to withdrawals, or refuses them with a reason. Returns how many.

    Raises `Conflict` when one has been answered or taken back, or its class has opened meanwhile.
    """
    if actor.institution_id is None:
        raise Forbidden(_("只有培训机构可以办理退班申请。"))
    remark = remark.strip() if granted else reason_of(remark)
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        raise Invalid(_("请先勾选要办理的退班申请。"))
    with transaction() as session:
        plans = session.scalars(select(Withdrawal.plan_id).where(
            among(Withdrawal.id, wanted), scope.visible_clause(actor, Withdrawal)).distinct().order_by(Withdrawal.plan_id)).all()
        done = 0
        for plan_id in plans:
            plan = seats.lock(plan_id)
            rows = session.scalars(select(Withdrawal).where(
                among(Withdrawal.id, wanted), Withdrawal.plan_id == plan_id, Withdrawal.institution_id == actor.institution_id,
                Withdrawal.state == "asked").order_by(Withdrawal.id).execution_options(populate_existing=True)).all()
            if granted and rows and (obstacle := terms_of(plan).obstacle):
                raise Conflict(obstacle)
            if granted and rows:
                _leave(plan, rows, actor, remark)
            elif rows:
                _refuse(plan, rows, remark, actor)
            done += len(rows)
        if done != len(wanted):
            raise Conflict(_("所选申请中有的已办理或已撤回，没有处理。请刷新页面后再试。"))
    return done


def _refuse(plan: TrainingPlan, rows: Sequence[Withdrawal], remark: str, actor: Actor) -> None:
    workflow.move(Withdrawal, [row.id for row in rows], "state", REQUEST_MOVES, "asked", "refused", decided_at=clock.now(),
                  decided_by_id=actor.user_id, remark=remark)
    audit.record(actor, "refuse_withdrawal", plan, {"plan": plan.name, "people": len(rows), "reason": remark,
                                                    "enrolments": [row.enrolment_id for row in rows]})
    _tell("withdrawal_refused", plan, rows)


def take_back(row: Withdrawal, *, actor: Actor) -> None:
    """The enterprise takes a withdrawal back that waits for its institution: the person stays."""
    if actor.enterprise_id is None or actor.enterprise_id != row.enterprise_id:
        raise NotFound(_("没有找到这条记录，或您无权查看。"))
    with transaction():
        if not workflow.move(Withdrawal, [row.id], "state", REQUEST_MOVES, "asked", "taken_back", decided_at=clock.now(),
                             decided_by_id=actor.user_id):
            raise Conflict(_("该申请已办理，不能撤回。请刷新页面查看。"))
        audit.record(actor, "take_back_withdrawal", row, {"plan": row.plan.name})


def leave_cancelled(plan: TrainingPlan, order: Order, reason: str, *, actor: Actor) -> int:
    """Everyone whom an order enrolled in a cancelled plan leaves, and what is left of their fees goes back. Returns how many.

    Inside the caller's transaction, the plan locked. Safe twice: who has left already is not there any more.
    """
    session = db.session
    people = session.scalars(select(Enrolment).where(
        Enrolment.order_id == order.id, Enrolment.plan_id == plan.id, Enrolment.state == "enrolled").order_by(Enrolment.id)).all()
    if not people:
        return 0
    asked = session.scalars(select(Withdrawal.id).where(
        among(Withdrawal.enrolment_id, [each.id for each in people]), Withdrawal.state == "asked"))
    workflow.move(Withdrawal, asked, "state", REQUEST_MOVES, "asked", "taken_back", decided_at=clock.now(), remark=kept(_l("计划已取消")))
    rows = [_row(person, reason, 100, actor, cause="plan") for person in people]
    session.add_all(rows)
    session.flush()
    _leave(plan, rows, actor)
    return len(rows)
