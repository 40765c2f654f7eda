"""E-invoices: due on the Shanghai day after the payment, asked for by a job, kept as a file (E17, J3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from flask_babel import gettext as _
from sqlalchemy import select

from app import audit, clock, files, jobs, notices, workflow
from app.actors import SYSTEM, Actor
from app.errors import Conflict
from app.extensions import db, gateways, let_go, transaction
from app.gateways.errors import GatewayError
from app.gateways.invoice import InvoiceResult
from app.workflow import INVOICE_MOVES
from models import Enterprise, Invoice, Job, Order

GOODS = "职业技能培训费"
ISSUE_HOUR = 9
# How long to wait before asking again: while the platform issues, and after a job gave up on passing trouble.
LOOK_AGAIN = timedelta(minutes=2)
TRY_AGAIN = timedelta(minutes=30)
JOB = "issue_invoice"


def open_invoice(order: Order) -> Invoice:
    """Write down, in the transaction of the payment, that this order's invoice is due the next Shanghai day at nine."""
    assert order.paid_at is not None
    due_on = clock.shanghai_day(order.paid_at) + timedelta(days=1)
    invoice = Invoice(order_id=order.id, enterprise_id=order.enterprise_id, due_on=due_on, state="waiting", attempt=1)
    db.session.add(invoice)
    db.session.flush()
    jobs.schedule(JOB, invoice.id, due_at=clock.at_shanghai(due_on, ISSUE_HOUR), enterprise_id=order.enterprise_id)
    return invoice


def run_issue(invoice_id: int, report: Callable[[int, int], None]) -> None:
    """Job: ask for the invoice, fetch it, keep its PDF. Safe twice: the platform takes an order number once.

    Raises `GatewayError` (passing) to be run again. What the platform refuses is written to the invoice as its reason.
    """
    invoice = _now(invoice_id)
    if invoice.state == "waiting" and clock.shanghai_day() >= invoice.due_on:
        _ask(invoice_id)
    report(1, 2)
    if _now(invoice_id).state == "requested":
        _fetch(invoice_id)
    report(2, 2)


def _now(invoice_id: int) -> Invoice:
    """The invoice as the database has it at this moment."""
    return db.session.get_one(Invoice, invoice_id, populate_existing=True)


def _ask(invoice_id: int) -> None:
    row = db.session.execute(
        select(Order.number, Order.amount_fen, Invoice.attempt, Enterprise.name, Enterprise.uscc)
        .join(Invoice, Invoice.order_id == Order.id).join(Enterprise, Order.enterprise_id == Enterprise.id)
        .where(Invoice.id == invoice_id)).one()
    number = row.number if row.attempt == 1 else f"{row.number}-{row.attempt}"
    let_go()
    try:
        serial = gateways().invoice.request(number, row.name, row.uscc, row.amount_fen, GOODS, "")
    except GatewayError as error:
        if not error.permanent:
            raise
        _fail(invoice_id, "waiting", error.detail)
        return
    with transaction():
        workflow.move(Invoice, [invoice_id], "state", INVOICE_MOVES, "waiting", "requested", serial=serial, reason="")


def _fetch(invoice_id: int) -> None:
    serial = db.session.scalar(select(Invoice.serial).where(Invoice.id == invoice_id))
    let_go()
    try:
        result = gateways().invoice.fetch(serial or "")
    except GatewayError as error:
        if not error.permanent:
            raise
        _fail(invoice_id, "requested", error.detail)
        return
    if result.state == "issued":
        _keep(invoice_id, result)
    elif result.state == "failed":
        _fail(invoice_id, "requested", result.reason)
    else:
        with transaction() as session:
            invoice = session.get_one(Invoice, invoice_id)
            jobs.schedule(JOB, invoice_id, due_at=clock.now() + LOOK_AGAIN, enterprise_id=invoice.enterprise_id)


def _keep(invoice_id: int, result: InvoiceResult) -> None:
    """Store the PDF and the number with the state. Of two runs one stores; the other finds it done and leaves no row."""
    with transaction() as session:
        invoice = session.get_one(Invoice, invoice_id, with_for_update=True, populate_existing=True)
        if invoice.state != "requested" or result.pdf is None:
            return
        file = files.keep(result.pdf, kind="invoice", name=f"{result.number}.pdf", content_type=files.PDF,
                          enterprise_id=invoice.enterprise_id)
        workflow.move(Invoice, [invoice_id], "state", INVOICE_MOVES, "requested", "issued", number=result.number,
                      file_id=file.id, issued_at=clock.now(), reason="")
        audit.record(SYSTEM, "issue_invoice", invoice, {"number": result.number, "order": invoice.order.number})
        notices.tell("invoice_issued", "order", ids=[invoice.order_id], name=invoice.order.number, enterprise_id=invoice.enterprise_id)


def _fail(invoice_id: int, source: str, reason: str) -> None:
    with transaction() as session:
        if workflow.move(Invoice, [invoice_id], "state", INVOICE_MOVES, source, "failed", reason=reason[:200]):
            audit.record(SYSTEM, "fail_invoice", session.get_one(Invoice, invoice_id), {"reason": reason[:200]})


def try_again(invoice: Invoice, *, actor: Actor) -> None:
    """Ask for a failed invoice once more, under a number of its own. Raises `Conflict` when it has not failed."""
    with transaction():
        moved = workflow.move(Invoice, [invoice.id], "state", INVOICE_MOVES, "failed", "waiting", serial=None, reason="",
                              attempt=Invoice.attempt + 1)
        if not moved:
            raise Conflict(_("发票的状态已变化，请刷新页面查看最新状态。"))
        jobs.schedule(JOB, invoice.id, enterprise_id=invoice.enterprise_id)
        audit.record(actor, "retry_invoice", invoice)


def schedule_forgotten() -> int:
    """Ask again for what is due and has no job any more, because one gave up on passing trouble. Returns how many."""
    alive = select(Job.id).where(Job.name == JOB, Job.subject_id == Invoice.id, (
        Job.state.in_(("waiting", "running"))) | (Job.finished_at > clock.now() - TRY_AGAIN)).exists()
    with transaction() as session:
        rows = session.execute(
            select(Invoice.id, Invoice.enterprise_id).where(
                Invoice.state.in_(("waiting", "requested")), Invoice.due_on <= clock.shanghai_day(), ~alive)
            .order_by(Invoice.id).limit(100)).all()
        for row in rows:
            jobs.schedule(JOB, row.id, enterprise_id=row.enterprise_id)
    return len(rows)
