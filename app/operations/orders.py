"""Orders: 生成订单, paying, cancelling, and the end of one that nobody paid (E15, E16, C5, C19, J2).

One order is one batch and one trade, all or nothing. Seats are held from here until the order is paid or ends.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta

from flask import current_app
from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from app import audit, clock, jobs, notices, parameters, scope, workflow
from app.actors import SYSTEM, Actor
from app.errors import Conflict, Forbidden, Invalid, NoSeats, NotFound
from app.extensions import db, let_go, transaction, will_write
from app.gateways.errors import AlreadyPaid, GatewayError
from app.gateways.payment import Trade
from app.operations import merchants, offers, payments, seats
from app.operations.order_checks import run_check, run_seat_reconciliation
from app.workflow import ORDER_MOVES
from models import Enrolment, Enterprise, ImportBatch, Order, TrainingPlan, WaitlistEntry
from models.rosters import LIVE, lacks_photo

__all__ = ["cancel", "create", "end_open_orders", "look", "pay_url", "release_overdue", "run_check", "run_expiry",
           "run_seat_reconciliation"]

EXPIRE_JOB = "expire_order"
# What an order of a free plan has for a trade number: there is no trade, and the gateway refuses zero.
FREE = "免费"
# For each end its verb in the audit record, and what the enterprise is told where it did not end it itself. Of a plan that is called off
# everyone is told anyway.
_ENDINGS = {"expired": ("expire_order", "order_expired"), "cancelled": ("cancel_order", ""), "closed": ("close_order", "order_closed")}
# 20 million yuan: what a 32-bit count of fen and one Alipay trade both hold.
MOST_FEN = 2_000_000_000


def ordered_again(order: Order) -> Order | None:
    """The order, pending or paid, with which people of one that ended unpaid were ordered again in its plan."""
    people = select(Enrolment.id_number_index).where(Enrolment.batch_id == order.batch_id)
    return db.session.scalars(select(Order).join(Enrolment, Enrolment.order_id == Order.id).where(
        Enrolment.plan_id == order.plan_id, Enrolment.enterprise_id == order.enterprise_id, Enrolment.state.in_(LIVE),
        Enrolment.id_number_index.in_(people), Order.id != order.id).order_by(Order.id.desc()).limit(1)).first()


def create(batch: ImportBatch, *, actor: Actor) -> Order:
    """生成订单: all seats of a batch or none, in one transaction. A second click answers with the first one's order.

    Raises `Invalid` when photos are missing, `Conflict` when the plan does not enrol (any more), seats are lacking, or a
    person is live elsewhere (C15), `Forbidden` when the enterprise may not enrol (E7).
    """
    _check_enterprise(batch, actor)
    will_write()
    try:
        with transaction():
            live = _live_order(batch.id)
            return live if live is not None and clock.now() < live.release_at else _ordered(batch, actor)
    except (Conflict, IntegrityError) as error:
        # Another click was quicker: what stopped this one is its order.
        if (live := _live_order(batch.id)) is not None:
            return live
        if isinstance(error, Conflict):
            raise
        # The table's own guards (order_live_once, enrolment_live_once) saw what the checks before could not.
        raise Conflict(_("这些人员的报名情况刚刚发生变化，订单没有生成。请刷新页面后再试。")) from error


def _live_order(batch_id: int) -> Order | None:
    """The order of a batch that is pending or paid; there is one at most (C5)."""
    return db.session.scalars(select(Order).where(Order.batch_id == batch_id, Order.state.in_(("pending", "paid")))
                              .execution_options(populate_existing=True)).first()


def _ordered(batch: ImportBatch, actor: Actor) -> Order:
    """Check, then take, then write. What the checks saw may be old by then: the UPDATE of the seats and that of the people
    ask again, and all that comes after the first of them is under the plan's lock."""
    plan = _open_plan(batch, actor)
    people = _count_people(batch)
    seats.queue_up(batch.id)
    if people and not plan.seats_reserved and not seats.already_live(batch.id, plan.id) and seats.take(plan.id, people):
        return _written(batch, plan, people, actor)
    plan = seats.lock(plan.id)
    release_overdue(plan.id)
    seats.freed(plan.id)
    people = _check_people(batch)
    offer = offers.of(plan.id, batch.enterprise_id)
    if not seats.take(plan.id, people, offer=offer.offered if offer else 0):
        raise _no_seats(seats.lock(plan.id), people, offer)
    order = _written(batch, plan, people, actor)
    if offer is not None:
        offers.used(offer, people, order.id)
        seats.freed(plan.id)
    return order


def _check_enterprise(batch: ImportBatch, actor: Actor) -> None:
    if actor.enterprise_id is None or actor.enterprise_id != batch.enterprise_id:
        raise NotFound(_("没有找到这条记录，或您无权查看。"))
    if not db.session.get_one(Enterprise, batch.enterprise_id).may_enrol:
        raise Forbidden(_("贵单位的注册信息尚未通过主管部门审核，暂不能报名。请在“企业信息”页查看审核状态。"))


def _open_plan(batch: ImportBatch, actor: Actor) -> TrainingPlan:
    """The plan of a batch if it may be enrolled in: E11 in words, before the UPDATE that decides."""
    plan = db.session.scalars(scope.visible(actor, TrainingPlan).where(TrainingPlan.id == batch.plan_id)
                              .execution_options(populate_existing=True)).first()
    if plan is None:
        raise Conflict(_("培训计划“%(name)s”不对贵单位开放报名。", name=batch.plan.name))
    if plan.cancelled_at is not None:
        raise Conflict(_("培训计划“%(name)s”已取消，不能报名。", name=plan.name))
    if plan.enrolment_ended:
        raise Conflict(_("培训计划“%(name)s”的报名已结束，不能再生成订单。", name=plan.name))
    if not plan.enrolling:
        raise Conflict(_("培训计划“%(name)s”的报名还没有开始，请在报名时间内生成订单。", name=plan.name))
    return plan


def _count_people(batch: ImportBatch) -> int:
    """How many drafts of a batch may be ordered: 0 unless all photos are there (E15)."""
    if batch.state != "clean":
        return 0
    people, complete = db.session.execute(
        select(func.count(Enrolment.id), func.count(Enrolment.id).filter(~lacks_photo()))
        .where(Enrolment.batch_id == batch.id, Enrolment.state == "draft")).one()
    return int(people) if people == complete else 0


def _check_people(batch: ImportBatch) -> int:
    """The same in words: all photos there (E15), nobody live elsewhere (C15)."""
    drafts = select(Enrolment.name).where(Enrolment.batch_id == batch.id, Enrolment.state == "draft").order_by(Enrolment.id)
    lacking = db.session.scalars(drafts.where(lacks_photo())).all()
    if lacking:
        raise Invalid(_("还有 %(n)s 人缺少寸照或身份证正面照：%(names)s。请全部上传后再生成订单。", n=len(lacking),
                        names=_named(lacking)))
    people = _count_people(batch)
    if not people:
        raise Conflict(_("这份名单没有可报名的人员。请重新导入《报名人员信息表》。"))
    doubles = [f"{each.name}（{each.masked_id_number}）" for each in seats.already_live(batch.id, batch.plan_id)]
    if doubles:
        reason = _("%(names)s 已在本计划或其他未结束的计划中报名同一工种和等级，不能重复报名。", names=_named(doubles))
        raise Conflict(f"{reason}{_('请删除这份名单，去掉这些人员后重新导入。')}")
    return people


def _named(names: Sequence[str]) -> str:
    """The first five names, and whether there are more."""
    return "、".join(names[:5]) + (_(" 等") if len(names) > 5 else "")


def _no_seats(plan: TrainingPlan, people: int, offer: WaitlistEntry | None) -> Conflict:
    left = plan.seats_left + (offer.offered if offer else 0)
    if left >= people:
        return Conflict(_("培训计划“%(name)s”的报名刚刚结束，不能再生成订单。", name=plan.name))
    return NoSeats(_("名额不足：需要 %(n)s 个，只剩 %(left)s 个。订单没有生成，名单仍然保留。"
                     "可以在培训计划页加入候补，空出名额时依次通知。", n=people, left=left))


def _written(batch: ImportBatch, plan: TrainingPlan, people: int, actor: Actor) -> Order:
    """The order with its hold, its frozen price and its job, inside the transaction that took the seats."""
    amount = plan.fee_fen * people
    if amount > MOST_FEN:
        raise Invalid(_("订单金额超过单笔支付上限，请把人员分成几份名单导入，分别生成订单。"))
    at = clock.now().replace(microsecond=0)
    minutes, grace = parameters.numbers("order_minutes", "release_minutes")
    expires_at = at + timedelta(minutes=minutes)
    order = Order(number=_number(), batch_id=batch.id, plan_id=plan.id, enterprise_id=batch.enterprise_id,
                  institution_id=plan.institution_id, people=people,
                  merchant_id=merchants.for_institution(plan.institution_id).id if amount else None,
                  unit_fee_fen=plan.fee_fen, amount_fen=amount,
                  state="pending", created_at=at, created_by_id=actor.user_id, expires_at=expires_at,
                  release_at=expires_at + timedelta(minutes=grace))
    db.session.add(order)
    db.session.flush()
    if not seats.hold(order):
        raise Conflict(_("名单刚刚被修改，订单没有生成。请刷新页面核对后再试。"))
    audit.record(actor, "create_order", order, {"number": order.number, "people": people, "amount_fen": amount})
    if amount:
        jobs.schedule(EXPIRE_JOB, order.id, due_at=order.release_at, enterprise_id=order.enterprise_id)
    else:
        payments.honour(order, FREE, at)
    return order


def _number() -> str:
    """18 digits: the Shanghai second and six drawn ones. The invoice platform takes 20, two are left for its attempts."""
    return f"{clock.now().astimezone(clock.SHANGHAI):%y%m%d%H%M%S}{secrets.randbelow(10**6):06d}"


def release_overdue(plan_id: int) -> None:
    """End the orders of a plan whose hold is over by its time, even if no job ran. The gateway is asked afterwards."""
    overdue = db.session.scalars(select(Order).where(
        Order.plan_id == plan_id, Order.state == "pending", Order.release_at <= clock.now()).order_by(Order.id)).all()
    for order in overdue:
        _end(order, "expired", SYSTEM)


def _end(order: Order, state: str, actor: Actor) -> bool:
    """End a pending order: its people are drafts again, its seats free, once. Inside a transaction, the plan locked."""
    if not workflow.move(Order, [order.id], "state", ORDER_MOVES, "pending", state, ended_at=clock.now()):
        return False
    freed = seats.let_drop(order)
    verb, event = _ENDINGS[state]
    audit.record(actor, verb, order, {"number": order.number, "seats": freed})
    if event:
        notices.tell(event, "order", ids=[order.id], name=order.number, enterprise_id=order.enterprise_id)
    return True


def _end_now(order_id: int, state: str, actor: Actor) -> bool:
    """`_end` in a transaction of its own."""
    with transaction() as session:
        order = session.get_one(Order, order_id)
        seats.lock(order.plan_id)
        return _end(order, state, actor)


def end_open_orders(plan_id: int, state: str = "closed", *, actor: Actor) -> int:
    """C19: opening a class closes the orders nobody has paid yet, calling its plan off cancels them; one whose time to pay was over
    has expired. Call it inside the transaction that does so; a job then asks the gateway about each and closes its trade. Returns
    how many ended."""
    with transaction() as session:
        seats.lock(plan_id)
        pending = session.scalars(
            select(Order).where(Order.plan_id == plan_id, Order.state == "pending").order_by(Order.id)).all()
        for order in pending:
            _end(order, state if order.payable or state == "cancelled" else "expired", actor)
            jobs.schedule(EXPIRE_JOB, order.id, enterprise_id=order.enterprise_id)
        seats.freed(plan_id)  # the line of who waits closes with it
    return len(pending)


def pay_url(order: Order) -> str:
    """The address of the pay page. Raises `Conflict` when the order cannot be paid (any more)."""
    if not order.payable:
        raise Conflict(_("该订单已不能支付。请刷新页面查看最新状态。"))
    home = current_app.extensions["settings"].public_url.rstrip("/")
    subject = _("%(plan)s 培训费（%(n)s 人）", plan=order.plan.name, n=order.people)
    return merchants.of_order(order.number).pay_url(order.number, order.amount_fen, subject, order.expires_at,
                                      f"{home}/pay/alipay/return", f"{home}/pay/alipay/notify")


def look(order: Order) -> None:
    """Ask the gateway whether an order has been paid, at a person's wish. Raises `Conflict` when it cannot be asked."""
    try:
        payments.ask(order.number)
    except GatewayError as error:
        raise Conflict(_("支付平台暂时无法查询。款项若已付出不会丢失，请稍后刷新本页。")) from error


def cancel(order: Order, *, actor: Actor) -> None:
    """Cancel an unpaid order: the trade is closed first, then the seats are free. The draft survives.

    Raises `Conflict` when it was paid or has ended meanwhile, or when the gateway cannot be asked.
    """
    if order.state != "pending":
        raise Conflict(_("该订单的状态已变化，不能取消。请刷新页面查看最新状态。"))
    order_id, number = order.id, order.number
    try:
        paid = _close_trade(number)
    except GatewayError as error:
        raise Conflict(_("支付平台暂时无法核实该订单是否已支付，没有取消。请稍后再试。")) from error
    if paid:
        raise Conflict(_("该订单刚刚已支付成功，不能取消。"))
    if not _end_now(order_id, "cancelled", actor):
        raise Conflict(_("该订单的状态已变化，不能取消。请刷新页面查看最新状态。"))


def run_expiry(order_id: int, report: Callable[[int, int], None]) -> None:
    """Job, due at `release_at`: ask the gateway, close the trade, then let the seats go. Safe twice.

    An order that ended already (the next order took its seats, or a class opened) is still asked about once, so that
    its trade is closed and money that came is seen. Raises `GatewayError` when the gateway cannot be asked.
    """
    order = db.session.get_one(Order, order_id, populate_existing=True)
    if order.state == "paid" or (order.state == "pending" and clock.now() < order.release_at):
        return
    if not _close_trade(order.number):
        _end_now(order_id, "expired", SYSTEM)
    report(1, 1)


def _close_trade(number: str) -> bool:
    """Make sure that a trade can no longer be paid; True when it has been, and its payment was taken."""
    trade = payments.ask(number)
    if trade is not None and trade.status == "waiting":
        gateway = merchants.of_order(number)
        let_go()
        try:
            gateway.close(number)
        except AlreadyPaid:
            trade = payments.ask(number)
    return _is_paid(trade)


def _is_paid(trade: Trade | None) -> bool:
    return trade is not None and trade.status in payments.PAID
