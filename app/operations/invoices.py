"""E-invoices: due on the Shanghai day after the payment, asked for by a job, kept as files (E17, J3).

What is asked for is written down before it is asked (`requested`), so that whatever is killed in between, the same request goes out
again under the same number, and the platform makes one invoice of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from flask import current_app
from flask_babel import gettext as _
from sqlalchemy import select

from app import audit, clock, files, jobs, notices, parameters, workflow
from app.actors import SYSTEM, Actor
from app.errors import Conflict
from app.extensions import db, gateways, let_go, transaction
from app.gateways.errors import GatewayError
from app.gateways.invoice import Bill, InvoiceGateway, InvoiceResult, RedLetter, Seller
from app.operations.invoice_details import details_of
from app.presentation import day, moment, yuan
from app.sets import among
from app.workflow import INVOICE_MOVES
from models import Invoice, InvoiceSeller, Job, Order

ISSUE_HOUR = 9
# How long to wait before asking again: while the platform issues, while the buyer has to agree, and after a job gave up.
LOOK_AGAIN = timedelta(minutes=2)
ASK_BUYER_AGAIN = timedelta(hours=1)
TRY_AGAIN = timedelta(minutes=30)
JOB = "issue_invoice"
BY_HAND = "hand"
CONTENT_TYPES = {"pdf": files.PDF, "ofd": "application/ofd", "xml": "application/xml"}


def open_invoice(order: Order) -> Invoice:
    """Write down, in the transaction of the payment, that this order's invoice is due the next Shanghai day at nine."""
    assert order.paid_at is not None
    due_on = clock.shanghai_day(order.paid_at) + timedelta(days=1)
    invoice = Invoice(kind="blue", order_id=order.id, enterprise_id=order.enterprise_id, institution_id=order.institution_id,
                      amount_fen=order.amount_fen, due_on=due_on, state="waiting", attempt=1, **details_of(order.enterprise_id))
    db.session.add(invoice)
    db.session.flush()
    jobs.schedule(JOB, invoice.id, due_at=clock.at_shanghai(due_on, ISSUE_HOUR), enterprise_id=order.enterprise_id)
    return invoice


def run_issue(invoice_id: int, report: Callable[[int, int], None]) -> None:
    """Job: ask for an invoice or a red letter, fetch it, keep its files. Safe twice and by two at once.

    Raises `GatewayError` (passing) to be run again. What the platform refuses is written to the invoice as its reason.
    """
    begin(invoice_id)
    invoice = _now(invoice_id)
    if invoice.state == "requested" and invoice.serial is None:
        _ask(invoice)
    report(1, 2)
    invoice = _now(invoice_id)
    if invoice.state == "requested" and invoice.serial is not None:
        _fetch(invoice, invoice.serial)
    report(2, 2)


def _now(invoice_id: int) -> Invoice:
    """The invoice as the database has it at this moment."""
    return db.session.get_one(Invoice, invoice_id, populate_existing=True)


def begin(invoice_id: int) -> None:
    """Freeze what a due invoice is asked for with: from here on a refund no longer makes it smaller, and nobody edits it."""
    from app.operations.invoice_reds import may_begin

    with transaction() as session:
        invoice = session.get_one(Invoice, invoice_id, with_for_update={"of": Invoice}, populate_existing=True)
        if invoice.state != "waiting" or clock.shanghai_day() < invoice.due_on:
            return
        if invoice.is_red:
            if may_begin(invoice):
                _request(invoice, invoice.order.number + f"R{_place(invoice)}")
            return
        seller, rate = seller_of(invoice.institution_id)
        _request(invoice, invoice.order.number, provider=gateways().invoice.name, seller_tax_number=seller.tax_number,
                 seller_name=seller.name, seller_extension=seller.extension, tax_rate=rate,
                 goods_code=parameters.text("invoice_goods_code"), goods_name=parameters.text("invoice_goods_name"))


def _request(invoice: Invoice, number: str, **values: str) -> None:
    number = number if invoice.attempt == 1 else f"{number}-{invoice.attempt}"
    workflow.move(Invoice, [invoice.id], "state", INVOICE_MOVES, "waiting", "requested", order_no=number, serial=None,
                  requested_at=clock.now(), reason="", confirming=False, **values)


def _place(red: Invoice) -> int:
    """The how-manieth red letter of its invoice this is."""
    earlier = select(Invoice.id).where(Invoice.red_of_id == red.red_of_id, Invoice.id < red.id)
    return len(db.session.scalars(earlier).all()) + 1


def seller_of(institution_id: int) -> tuple[Seller, str]:
    """In whose name an institution's invoices are issued, and at which rate: its own (C18), else the platform's default."""
    own = db.session.get(InvoiceSeller, institution_id)
    if own is not None and own.enabled:
        return Seller(own.tax_number, own.name, own.extension), own.tax_rate
    settings = current_app.extensions["settings"]
    return Seller(settings.invoice_seller_tax_number, settings.invoice_seller_name), parameters.text("invoice_tax_rate")


def bill_of(invoice: Invoice) -> Bill:
    """What goes out for an invoice: its frozen columns, the same every time."""
    order = invoice.order
    facts = {"order_no": order.number, "people": str(order.people), "price": yuan(order.unit_fee_fen).lstrip("¥"),
             "trade_no": order.trade_no or "", "method": _("支付宝"), "paid_at": moment(order.paid_at),
             "issued_on": day(invoice.requested_at)}
    if invoice.amount_fen != order.amount_fen:  # a part went back before it was issued: no longer people times price
        facts |= {"people": "1", "price": ""}
    return Bill(order_no=invoice.order_no or "", seller=Seller(invoice.seller_tax_number, invoice.seller_name, invoice.seller_extension),
                buyer_name=invoice.title, buyer_tax_number=invoice.tax_number, amount_fen=invoice.amount_fen,
                goods_name=invoice.goods_name, goods_code=invoice.goods_code, tax_rate=invoice.tax_rate, email=invoice.email,
                buyer_address=invoice.address, buyer_phone=invoice.phone or "", buyer_account=invoice.account or "", facts=facts)


def letter_of(red: Invoice) -> RedLetter:
    """What goes out for a red letter."""
    assert red.blue is not None
    return RedLetter(bill_id=red.order_no or "", blue=bill_of(red.blue), blue_number=red.blue.number or "", amount_fen=red.amount_fen,
                     before_fen=red.before_fen)


def _gateway(invoice: Invoice) -> InvoiceGateway:
    """Who was asked for this one, whatever the setting says by now. Raises `GatewayError` where that platform is not set up."""
    here = gateways()
    if invoice.provider == here.receipts.name:
        return here.receipts
    if invoice.provider != here.invoice.name:
        raise GatewayError(f"INVOICE_PROVIDER is no longer {invoice.provider}", permanent=False)
    return here.invoice


def _ask(invoice: Invoice) -> None:
    invoice_id, is_red, gateway = invoice.id, invoice.is_red, _gateway(invoice)
    letter, bill = (letter_of(invoice), None) if is_red else (None, bill_of(invoice))
    let_go()
    try:
        serial = gateway.request_red(letter) if letter else gateway.request(bill) if bill else ""
    except GatewayError as error:
        if not error.permanent:
            raise
        fail(invoice_id, "requested", error.detail)
        return
    with transaction() as session:
        found = session.get_one(Invoice, invoice_id, with_for_update={"of": Invoice}, populate_existing=True)
        if found.state == "requested" and found.serial is None:
            found.serial = serial


def _fetch(invoice: Invoice, serial: str) -> None:
    invoice_id, gateway = invoice.id, _gateway(invoice)
    letter, bill = (letter_of(invoice), None) if invoice.is_red else (None, bill_of(invoice))
    let_go()
    try:
        result = gateway.fetch_red(serial, letter) if letter else gateway.fetch(serial, bill)  # type: ignore[arg-type]
    except GatewayError as error:
        if not error.permanent:
            raise
        fail(invoice_id, "requested", error.detail)
        return
    if result.state == "issued":
        _keep(invoice_id, result)
    elif result.state == "failed":
        fail(invoice_id, "requested", result.reason)
    else:
        _look_again(invoice_id, confirming=result.state == "confirming")


def _look_again(invoice_id: int, *, confirming: bool) -> None:
    with transaction() as session:
        invoice = session.get_one(Invoice, invoice_id)
        invoice.confirming = confirming
        jobs.schedule(JOB, invoice_id, due_at=clock.now() + (ASK_BUYER_AGAIN if confirming else LOOK_AGAIN),
                      enterprise_id=invoice.enterprise_id)


def _keep(invoice_id: int, result: InvoiceResult) -> None:
    """Store files and number with the state. Of two runs one stores; the other finds it done and leaves no row."""
    with transaction() as session:
        invoice = session.get_one(Invoice, invoice_id, with_for_update={"of": Invoice}, populate_existing=True)
        if invoice.state == "requested":
            settle(invoice, "requested", result.number, result.files, issued_on=result.issued_on or clock.shanghai_day(), actor=SYSTEM)


def settle(invoice: Invoice, source: str, number: str, papers: object, *, issued_on: object, actor: Actor, **values: object) -> None:
    """Write an invoice down as issued, with its files, in the caller's transaction, which holds its row."""
    kept = {f"{kind}_id": files.keep(data, kind="invoice", name=f"{number}.{kind}", content_type=CONTENT_TYPES[kind],
                                     enterprise_id=invoice.enterprise_id).id for kind, data in dict(papers).items()}  # type: ignore[call-overload]
    if not workflow.move(Invoice, [invoice.id], "state", INVOICE_MOVES, source, "issued", number=number, issued_on=issued_on,
                         issued_at=clock.now(), reason="", confirming=False, **kept, **values):
        raise Conflict(_("发票的状态已变化，请刷新页面查看最新状态。"))
    audit.record(actor, "issue_red_letter" if invoice.is_red else "issue_invoice", invoice,
                 {"number": number, "order": invoice.order.number, "amount_fen": invoice.amount_fen})
    notices.tell("invoice_reversed" if invoice.is_red else "invoice_issued", "order", ids=[invoice.order_id], name=invoice.order.number,
                 remark=yuan(invoice.amount_fen), enterprise_id=invoice.enterprise_id)


def fail(invoice_id: int, source: str, reason: str) -> None:
    """The platform will not issue this one as it was asked for: why is written down, and both sides are told."""
    with transaction() as session:
        if workflow.move(Invoice, [invoice_id], "state", INVOICE_MOVES, source, "failed", reason=reason[:200], confirming=False):
            invoice = session.get_one(Invoice, invoice_id)
            audit.record(SYSTEM, "fail_invoice", invoice, {"reason": reason[:200]})
            notices.tell("invoice_failed", "order", ids=[invoice.order_id], name=invoice.order.number, remark=reason[:200],
                         enterprise_id=invoice.enterprise_id, institution_id=invoice.institution_id)


def try_again(invoice: Invoice, *, actor: Actor) -> None:
    """Ask for a failed invoice once more, under a number of its own. Raises `Conflict` when it has not failed."""
    if not try_again_all([invoice.id], actor=actor):
        raise Conflict(_("发票的状态已变化，请刷新页面查看最新状态。"))


def try_again_all(ids: Iterable[int], *, actor: Actor) -> int:
    """Ask once more for those of these invoices, which the caller has chosen through scope, that have failed: one statement each for
    their states, jobs and audit rows. Returns how many."""
    with transaction() as session:
        moved = workflow.move(Invoice, ids, "state", INVOICE_MOVES, "failed", "waiting", serial=None, order_no=None, reason="",
                              attempt=Invoice.attempt + 1)
        rows = session.scalars(select(Invoice).where(among(Invoice.id, moved)).order_by(Invoice.id)).all() if moved else []
        jobs.schedule_each(JOB, {row.id: row.enterprise_id for row in rows})
        for row in rows:
            audit.record(actor, "retry_invoice", row)
    return len(moved)


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
