"""Red letters (红字): what a refund means for the order's invoice, written in the refund's own transaction.

An issued invoice gets a red letter over what went back: of the whole without lines, of a part with the amounts of its line, as the
rules of 数电票 allow for a service that ended (redReason 3). So an order keeps one invoice, however many refunds follow. One that nobody
has asked for yet becomes smaller, or is cancelled. The red letter of an invoice that was uploaded by hand is a person's to issue and
upload.
"""

from __future__ import annotations

from sqlalchemy import func, select

from app import audit, clock, jobs, notices, workflow
from app.actors import SYSTEM
from app.extensions import db, transaction
from app.operations import invoices
from app.presentation import yuan
from app.workflow import INVOICE_MOVES
from models import Invoice, Order

ALIVE = ("waiting", "requested", "issued", "failed", "to_upload")


def follow_refund(order: Order, refund_no: str, amount_fen: int) -> None:
    """A refund of this order is done. Call it in the transaction that writes so; a repeat under the same number does nothing."""
    with transaction() as session:
        blue = session.scalars(select(Invoice).where(Invoice.order_id == order.id, Invoice.kind == "blue")
                               .with_for_update(of=Invoice).execution_options(populate_existing=True)).one_or_none()
        known = session.scalar(select(Invoice.id).where(Invoice.refund_no == refund_no))
        if blue is None or blue.state == "cancelled" or known is not None:
            return
        if blue.state in ("waiting", "failed"):
            _lessen(blue, amount_fen)
        else:
            _open(blue, refund_no, amount_fen)


def _lessen(blue: Invoice, fen: int) -> None:
    """Take a refund off an invoice that was not issued; one of which nothing is left is cancelled."""
    left = max(blue.amount_fen - fen, 0)
    audit.record(SYSTEM, "lessen_invoice", blue, {"amount_fen": left})
    if left:
        blue.amount_fen = left
        db.session.flush()
    else:
        workflow.move(Invoice, [blue.id], "state", INVOICE_MOVES, blue.state, "cancelled", amount_fen=0)


def _open(blue: Invoice, refund_no: str, fen: int) -> None:
    before = db.session.scalar(select(func.coalesce(func.sum(Invoice.amount_fen), 0)).where(
        Invoice.red_of_id == blue.id, Invoice.state.in_(ALIVE))) or 0
    fen = min(fen, blue.amount_fen - before)
    if fen <= 0:
        return
    red = Invoice(kind="red", order_id=blue.order_id, enterprise_id=blue.enterprise_id, institution_id=blue.institution_id,
                  amount_fen=fen, before_fen=before, due_on=clock.shanghai_day(), state="waiting", attempt=1, red_of_id=blue.id,
                  refund_no=refund_no, title=blue.title, tax_number=blue.tax_number, email=blue.email)
    db.session.add(red)
    db.session.flush()
    jobs.schedule(invoices.JOB, red.id, enterprise_id=red.enterprise_id)
    audit.record(SYSTEM, "open_red_letter", red, {"number": blue.number or "", "amount_fen": fen, "order": blue.order.number})


def _leave_to_person(red: Invoice) -> None:
    """No platform can take back what none has issued: the institution is told to."""
    if workflow.move(Invoice, [red.id], "state", INVOICE_MOVES, red.state, "to_upload", reason=""):
        notices.tell("red_letter_due", "invoice", ids=[red.id], name=red.order.number, remark=yuan(red.amount_fen),
                     institution_id=red.institution_id)


def follow_upload(blue: Invoice) -> None:
    """An invoice was uploaded in the place of a receipt: what says of it that money went back are receipts too, and need a red letter
    now. In the transaction of the upload."""
    for red in db.session.scalars(select(Invoice).where(Invoice.red_of_id == blue.id, Invoice.state == "issued").order_by(Invoice.id)):
        if red.is_receipt:
            _leave_to_person(red)


def may_begin(red: Invoice) -> bool:
    """Whether a waiting red letter may be applied for, in the transaction that holds its row; else what is done instead.

    While the invoice is being issued it waits. If that fails, nothing was issued: the invoice itself becomes smaller.
    """
    blue = db.session.get_one(Invoice, red.red_of_id, with_for_update={"of": Invoice}, populate_existing=True)
    if blue.state == "issued" and blue.provider != invoices.BY_HAND:
        red.provider, red.seller_tax_number, red.seller_name = blue.provider, blue.seller_tax_number, blue.seller_name
        db.session.flush()
        return True
    if blue.state == "issued":
        _leave_to_person(red)
    elif blue.state == "requested":
        jobs.schedule(invoices.JOB, red.id, due_at=clock.now() + invoices.LOOK_AGAIN, enterprise_id=red.enterprise_id)
    else:
        if blue.state != "cancelled":
            _lessen(blue, red.amount_fen)
        workflow.move(Invoice, [red.id], "state", INVOICE_MOVES, "waiting", "cancelled")
    return False
