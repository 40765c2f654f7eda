"""对账: each morning the platform's bill of the day before beside what is written here, by merchant (B8; docs/money.md).

The bill's lines are kept, then compared by sets: what is only there, only here, of another amount; refunds alike; and the fee.
A payment of one of our orders that is only in the bill is asked for and taken first, so that money finds its order by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased, joinedload

from app import audit, clock, jobs, notices, scope, workflow
from app.actors import SYSTEM, Actor
from app.errors import Conflict, Invalid
from app.extensions import db, let_go, transaction
from app.gateways.bills import BillLine
from app.gateways.errors import GatewayError
from app.operations import merchants, payments, refunds
from app.sets import among
from app.workflow import RECONCILIATION_MOVES
from models import Authority, BillDifference, BillEntry, Job, Merchant, Order, Payment, Reconciliation, Refund

JOB = "reconcile_bill"
# The bill of a day is there from nine on; a portal that was away catches up this many days.
READY_HOUR = 10
CATCH_UP = timedelta(days=7)
MOST_ASKED = 200
# Kept as the error of a day of which the platform has no bill yet.
NOT_THERE = "bill_not_there"


@dataclass(frozen=True)
class Found:
    """One difference as a comparison finds it."""

    kind: str
    reference: str
    order_number: str
    ours_fen: int | None
    theirs_fen: int | None
    payment_id: int | None = None
    refund_id: int | None = None


def run_plan(_subject: int, report: Callable[[int, int], None]) -> None:
    """Job of every hour: a reconciliation for each merchant and day that has none yet, and a job for each that waits without one."""
    last = last_ready()
    with transaction() as session:
        there = {(row.merchant_id, row.day) for row in session.execute(select(Reconciliation.merchant_id, Reconciliation.day).where(
            Reconciliation.day > last - CATCH_UP))}
        for merchant_id, created_at, ended_at in session.execute(select(Merchant.id, Merchant.created_at, Merchant.ended_at)):
            first = max(clock.shanghai_day(created_at), last - CATCH_UP + timedelta(days=1))
            # An ended merchant's refunds go on for a while.
            until = min(last, clock.shanghai_day(ended_at) + timedelta(days=365)) if ended_at else last
            session.add_all(Reconciliation(merchant_id=merchant_id, day=day, state="waiting", created_at=clock.now())
                            for day in _days(first, until) if (merchant_id, day) not in there)
        session.flush()
        alive = exists().where(Job.name == JOB, Job.subject_id == Reconciliation.id, Job.state.in_(("waiting", "running")))
        for waiting in session.scalars(select(Reconciliation.id).where(Reconciliation.state == "waiting", ~alive).limit(500)).all():
            jobs.schedule(JOB, waiting)
    report(1, 1)


def last_ready() -> date:
    """The newest Shanghai day of which the bill is there."""
    at = clock.now().astimezone(clock.SHANGHAI)
    return at.date() - timedelta(days=1 if at.hour >= READY_HOUR else 2)


def _days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += timedelta(days=1)


def fetch(merchant: Merchant, day: date | None, *, actor: Actor) -> Reconciliation:
    """Fetch the bill of a past day now, whether or not the morning's job has been there. Raises `Invalid` for a day that is not over,
    or on which the merchant was not here yet, `Conflict` while it is being fetched."""
    if day is None or day >= clock.shanghai_day():
        raise Invalid(_("请选择今天以前的日期：当天的账单次日上午才有。"), "day")
    since = clock.shanghai_day(merchant.created_at)
    if day < since:
        raise Invalid(_("该商户自 %(day)s 起在本平台收款，此前没有可核对的账单。", day=since.isoformat()), "day")
    try:
        with transaction() as session:
            row = session.scalars(_row_of(merchant, day)).one_or_none()
            if row is None:
                row = Reconciliation(merchant_id=merchant.id, day=day, state="waiting", created_at=clock.now())
                session.add(row)
                session.flush()
            again(row, actor=actor)
    except IntegrityError:  # the hourly job, or another person, was quicker: it is being fetched
        row = db.session.scalars(_row_of(merchant, day)).one()
    return row


def reconciled_elsewhere(actor: Actor) -> list[tuple[Merchant, str]]:
    """The merchants that take payments this person looks after, or would take the next, whose bills are another authority's to
    reconcile; each with that authority's name."""
    taken = select(Payment.merchant_id).where(scope.visible_clause(actor, Payment), Payment.merchant_id.is_not(None))
    own = exists().where(Merchant.institution_id == actor.institution_id, Merchant.ended_at.is_(None))
    seen = db.session.scalars(scope.visible(actor, Merchant).with_only_columns(Merchant.id)).all()
    common = merchants.default()
    used: ColumnElement[bool] = Merchant.id.in_(taken)
    if common is not None and not (actor.is_institution and db.session.scalar(select(own))):
        used = or_(used, Merchant.id == common.id)
    rows = db.session.scalars(select(Merchant).where(used, Merchant.id.not_in(seen)).order_by(Merchant.id)
                              .options(joinedload(Merchant.institution))).all()
    names = {row.id: row.name for row in db.session.scalars(select(Authority).where(
        Authority.id.in_({merchants.authority_of(each) for each in rows})))} if rows else {}
    return [(each, names.get(merchants.authority_of(each) or 0, "")) for each in rows]


def changed_since(row: Reconciliation) -> dict[int, int | None]:
    """What the bill says now, in fen (None: nothing), of each resolved difference of which it said something else: by its id. What
    was booked as gone back in the console is left out, for the bill has it under other numbers."""
    resolved = [each for each in row.differences if each.resolved_at and not (each.refund and each.refund.elsewhere)]
    references = {each.reference for each in resolved}
    now: dict[tuple[str, str], int] = {}
    for entry in db.session.scalars(select(BillEntry).where(or_(
            among(BillEntry.trade_no, references), among(BillEntry.request_no, references)))) if resolved else ():
        if entry.kind == "trade":
            now["trade", entry.trade_no], now["fee", entry.trade_no] = entry.amount_fen, entry.fee_fen
        else:
            now["refund", entry.request_no or entry.trade_no] = entry.amount_fen
    side = {"fee": "fee", "refund_only_there": "refund", "refund_only_here": "refund", "refund_amount": "refund"}
    found = {each.id: (each.theirs_fen, now.get((side.get(each.kind, "trade"), each.reference))) for each in resolved}
    return {key: present for key, (then, present) in found.items() if then != present}


def _row_of(merchant: Merchant, day: date) -> Any:
    return select(Reconciliation).where(Reconciliation.merchant_id == merchant.id, Reconciliation.day == day)


def again(row: Reconciliation, *, actor: Actor) -> None:
    """Fetch the bill and compare once more, at a person's wish; one that is waited for is asked for now. Raises `Conflict` while it is
    being fetched."""
    with transaction() as session:
        now = and_(Job.name == JOB, Job.subject_id == row.id, or_(
            Job.state == "running", and_(Job.state == "waiting", Job.due_at <= clock.now())))
        moved = row.state == "waiting" or workflow.move(
            Reconciliation, [row.id], "state", RECONCILIATION_MOVES, row.state, "waiting", error="")
        if not moved or session.scalar(select(exists().where(now))):
            raise Conflict(_("这一天的对账正在进行，请稍后刷新。"))
        jobs.schedule(JOB, row.id)
        audit.record(actor, "reconcile_again", row, {"day": row.day.isoformat(), "merchant": row.merchant.name})


def approve_elsewhere(refund: Refund, *, actor: Actor) -> None:
    """Agree that money went back in the platform's console (`refunds.approve_elsewhere`); the bills in which it was a difference
    are compared once more."""
    trade_no = refund.payment.trade_no
    refunds.approve_elsewhere(refund, actor=actor)
    named = exists().where(BillEntry.reconciliation_id == Reconciliation.id, BillEntry.kind == "refund", BillEntry.trade_no == trade_no)
    for row in db.session.scalars(select(Reconciliation).where(named, Reconciliation.state == "done").order_by(Reconciliation.id)).all():
        again(row, actor=actor)


def resolve(difference: BillDifference, remark: str, *, actor: Actor) -> None:
    """Note how a difference was resolved; it stays, with who said so."""
    remark = remark.strip()
    if not remark:
        raise Invalid(_("请填写处理说明。"), "remark")
    if len(remark) > 200:
        raise Invalid(_("备注不能超过 200 个字。"), "remark")
    with transaction() as session:
        session.refresh(difference, with_for_update={"of": BillDifference})
        if difference.resolved_at is not None:
            raise Conflict(_("这项差异已由%(name)s处理。", name=difference.resolved_by))
        difference.resolved_at, difference.resolved_by, difference.remark = clock.now(), actor.name, remark
        audit.record(actor, "resolve_difference", difference, {"reference": difference.reference, "remark": remark})


def run_reconciliation(row_id: int, report: Callable[[int, int], None]) -> None:
    """Job: fetch the bill of a day, keep its lines, name the differences. Safe twice: a later run replaces what an earlier found.

    Raises `GatewayError`; a bill that should be there and is not is passing trouble.
    """
    row = db.session.get_one(Reconciliation, row_id, populate_existing=True)
    if row.state != "waiting":
        return
    merchant = db.session.get_one(Merchant, row.merchant_id)
    day, merchant_id, gateway = row.day, merchant.id, merchants.client(merchant)
    expected = any(_ours(merchant_id, day))
    let_go()
    try:
        lines = gateway.bill(day)
        if lines is None and (expected or day > last_ready()):
            raise GatewayError(NOT_THERE, permanent=False)
        _take_missing(lines or [], merchant_id)
    except GatewayError as error:
        _note(row_id, error)
        raise
    with transaction():
        _keep(row_id, lines or [])
        _book_console(merchant_id, day)
        _finish(row_id, lines or [])
    report(1, 1)


def _book_console(merchant_id: int, day: date) -> None:
    """What went back in the console and is in this bill counts on its day; another day that counted it, and was compared, is compared
    once more."""
    named = exists().where(Reconciliation.id == BillEntry.reconciliation_id, Reconciliation.day == day,
                           BillEntry.kind == "refund", BillEntry.trade_no == Payment.trade_no)
    booked = exists().where(Refund.payment_id == Payment.id, Refund.elsewhere, Refund.state == "done")
    moved: set[date] = set()
    for payment in db.session.scalars(select(Payment).where(Payment.merchant_id == merchant_id, named, booked).order_by(Payment.id)).all():
        moved |= refunds.book_days(payment)
    for row in db.session.scalars(select(Reconciliation).where(
            Reconciliation.merchant_id == merchant_id, Reconciliation.day.in_(moved - {day}), Reconciliation.state == "done")).all():
        again(row, actor=SYSTEM)


def _note(row_id: int, error: GatewayError) -> None:
    db.session.rollback()
    with transaction() as session:
        if error.permanent:
            workflow.move(Reconciliation, [row_id], "state", RECONCILIATION_MOVES, "waiting", "failed", error=str(error)[:300])
        else:
            session.get_one(Reconciliation, row_id).error = str(error)[:300]


def _take_missing(lines: list[BillLine], merchant_id: int) -> None:
    """Payments of our orders that only the bill knows: ask, and take them, each in transactions of its own."""
    trades = {line.trade_no: line.order_no for line in lines if line.kind == "trade"}
    known = set(db.session.scalars(select(Payment.trade_no).where(among(Payment.trade_no, trades))))
    missing = [number for trade_no, number in trades.items() if trade_no not in known]
    for number in db.session.scalars(select(Order.number).where(among(Order.number, missing), Order.merchant_id == merchant_id)
                                     .limit(MOST_ASKED)).all():
        payments.ask(number)


def _keep(row_id: int, lines: list[BillLine]) -> None:
    db.session.execute(delete(BillEntry).where(BillEntry.reconciliation_id == row_id))
    if lines:
        db.session.execute(insert(BillEntry), [
            {"reconciliation_id": row_id, "kind": line.kind, "trade_no": line.trade_no, "order_number": line.order_no,
             "request_no": line.request_no, "amount_fen": line.amount_fen, "fee_fen": line.fee_fen, "at": line.at} for line in lines])


def _finish(row_id: int, lines: list[BillLine]) -> None:
    """The figures of both sides, and the differences: new ones are added, what a person has resolved stays, unless its figures
    have changed, the rest goes."""
    row = db.session.get_one(Reconciliation, row_id, populate_existing=True)
    paid, refunded = _ours(row.merchant_id, row.day)
    found = {(each.kind, each.reference): each for each in _differences(row)}
    changed: list[BillDifference] = []
    kept = {(each.kind, each.reference): each for each in db.session.scalars(
        select(BillDifference).where(BillDifference.reconciliation_id == row_id))}
    for key, old in kept.items():
        now = found.get(key)
        if now is None and old.resolved_at is None:
            db.session.delete(old)
        elif now and (now.ours_fen, now.theirs_fen) != (old.ours_fen, old.theirs_fen):
            changed.append(_opened_again(old, found.pop(key)))
        else:
            found.pop(key, None)
    db.session.flush()
    db.session.add_all(BillDifference(reconciliation_id=row_id, found_at=clock.now(), **vars(each)) for each in found.values())
    workflow.move(Reconciliation, [row_id], "state", RECONCILIATION_MOVES, "waiting", "done", finished_at=clock.now(), error="",
                  their_paid_fen=sum(line.amount_fen for line in lines if line.kind == "trade"),
                  their_refunded_fen=sum(line.amount_fen for line in lines if line.kind == "refund"),
                  their_fee_fen=sum(line.fee_fen if line.kind == "trade" else -line.fee_fen for line in lines),
                  our_paid_fen=paid, our_refunded_fen=refunded)
    new = len(found) + len(changed)
    audit.record(SYSTEM, "reconcile_bill", row, {"day": row.day.isoformat(), "differences": new})
    if new:  # what was found before has been told
        notices.tell("bill_differs", "reconciliation", ids=[row_id], name=f"{row.merchant.name} {row.day.isoformat()}",
                     remark=str(new), authority_id=merchants.authority_of(row.merchant))


def _opened_again(difference: BillDifference, now: Found) -> BillDifference:
    """A difference whose figures have changed waits for a person once more; what was said of it before stays to be read."""
    difference.ours_fen, difference.theirs_fen, difference.found_at = now.ours_fen, now.theirs_fen, clock.now()
    difference.payment_id, difference.refund_id, difference.resolved_at = now.payment_id, now.refund_id, None
    return difference


def _of_day(merchant_id: int, day: date) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Our payments of a merchant and a day, and our refunds."""
    theirs = select(Payment.id).where(Payment.merchant_id == merchant_id)
    return (and_(Payment.merchant_id == merchant_id, Payment.paid_on == day),
            and_(Refund.done_on == day, Refund.payment_id.in_(theirs)))


def _ours(merchant_id: int, day: date) -> tuple[int, int]:
    """Fen that came and that went back on a day, as written here."""
    came, went = _of_day(merchant_id, day)
    return (int(db.session.scalar(select(func.coalesce(func.sum(Payment.amount_fen), 0)).where(came)) or 0),
            int(db.session.scalar(select(func.coalesce(func.sum(Refund.amount_fen), 0)).where(went)) or 0))


def _differences(row: Reconciliation) -> list[Found]:
    """Every difference, by one statement each for payments and refunds of either side. A movement may be in the bill of another day
    than ours, a second before or after midnight: what is in any kept bill is there."""
    came, went = _of_day(row.merchant_id, row.day)
    here, rate = BillEntry.reconciliation_id == row.id, row.merchant.fee_rate
    found: list[Found] = []
    for entry, payment in _rows(select(BillEntry, Payment).outerjoin(Payment, Payment.trade_no == BillEntry.trade_no)
                                .where(here, BillEntry.kind == "trade")):
        ours = payment.amount_fen if payment else None
        if ours != entry.amount_fen:
            found.append(Found("amount" if payment else "only_there", entry.trade_no, entry.order_number, ours, entry.amount_fen,
                               payment.id if payment else None))
        fee = (entry.amount_fen * rate + 5000) // 10000
        if abs(fee - entry.fee_fen) > 1:  # the platform rounds in its own way
            found.append(Found("fee", entry.trade_no, entry.order_number, fee, entry.fee_fen, payment.id if payment else None))
    there = exists().where(BillEntry.kind == "trade", BillEntry.trade_no == Payment.trade_no)
    found += [Found("only_here", each.trade_no, each.order_number, each.amount_fen, None, each.id)
              for each in db.session.scalars(select(Payment).where(came, ~there))]
    return found + _refund_differences(here, went)


def _refund_differences(here: ColumnElement[bool], went: ColumnElement[bool]) -> list[Found]:
    """What was booked as gone back in the platform's console is known by its trade, for the platform gave it numbers of its own."""
    found: list[Found] = []
    ours = aliased(Refund)
    booked = select(Refund.payment_id, func.min(Refund.id).label("id"), func.min(Refund.request_no).label("request_no"),
                    func.sum(Refund.amount_fen).label("fen")).where(Refund.elsewhere, Refund.state == "done").group_by(
                        Refund.payment_id).subquery()
    foreign = and_(BillEntry.kind == "refund", ~exists().where(ours.request_no == BillEntry.request_no))
    console: dict[str, tuple[BillEntry, Any]] = {}
    for entry, refund, payment, *elsewhere in _rows(
            select(BillEntry, Refund, Payment, booked.c.id, booked.c.request_no, booked.c.fen)
            .outerjoin(Refund, and_(Refund.request_no == BillEntry.request_no, Refund.state == "done"))
            .outerjoin(Payment, Payment.trade_no == BillEntry.trade_no)
            .outerjoin(booked, booked.c.payment_id == Payment.id)
            .where(here, BillEntry.kind == "refund").order_by(BillEntry.id)):
        if refund is None and elsewhere[0] is not None:
            console[entry.trade_no] = entry, (*elsewhere, payment.id)
        elif refund is None or refund.amount_fen != entry.amount_fen:
            found.append(Found("refund_amount" if refund else "refund_only_there", entry.request_no or entry.trade_no,
                               entry.order_number, refund.amount_fen if refund else None, entry.amount_fen,
                               payment.id if payment else None, refund.id if refund else None))
    for trade_no, moved in _rows(select(BillEntry.trade_no, func.sum(BillEntry.amount_fen)).where(
            foreign, among(BillEntry.trade_no, console)).group_by(BillEntry.trade_no)):
        entry, (refund_id, request_no, fen, payment_id) = console[trade_no]
        if moved > fen:  # less is not wrong: the rest may be in the bill of another day
            found.append(Found("refund_amount", request_no, entry.order_number, int(fen), int(moved), payment_id, refund_id))
    sent = exists().where(BillEntry.kind == "refund", BillEntry.request_no == Refund.request_no)
    there = or_(sent, and_(Refund.elsewhere, exists().where(foreign, BillEntry.trade_no == Payment.trade_no)))
    found += [Found("refund_only_here", each.request_no, number, each.amount_fen, None, each.payment_id, each.id)
              for each, number in _rows(select(Refund, Payment.order_number).join(Payment, Refund.payment_id == Payment.id)
                                        .where(went, ~there))]
    return found


def _rows(statement: Any) -> list[Any]:
    return list(db.session.execute(statement).all())


def waiting_clause() -> ColumnElement[bool]:
    """Reconciliations that wait for a person: differences nobody has resolved, or a bill that could not be fetched."""
    open_ = exists().where(BillDifference.reconciliation_id == Reconciliation.id, BillDifference.resolved_at.is_(None))
    overdue = and_(Reconciliation.state == "waiting", Reconciliation.error != "", Reconciliation.day <= last_ready())
    return or_(open_, Reconciliation.state == "failed", overdue)
