"""开票信息: what an enterprise wants written on its invoices, for all that come and for one that was not asked for yet (E17)."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import update

from app import audit, clock
from app.actors import Actor
from app.errors import Conflict, NotFound
from app.extensions import db, transaction
from app.operations.checks import Findings
from models import Enterprise, Invoice, InvoiceProfile

EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
# 15 to 20 digits and capital letters: a social credit code, or an older number of the tax office.
TAX_NUMBER = re.compile(r"[0-9A-Z]{15,20}")


@dataclass(frozen=True)
class Details:
    """The buyer on an invoice. All but title and tax number may be blank; with an e-mail address the tax platform mails it there."""

    title: str
    tax_number: str
    email: str = ""
    address: str = ""
    phone: str = ""
    account: str = ""

    def checked(self) -> dict[str, Any]:
        """The columns, tidied; raises `InvalidFields` with all that is wrong."""
        tidy = Details(**{name: value.strip() for name, value in asdict(self).items()})
        tax_number, found = tidy.tax_number.upper().replace(" ", ""), Findings()
        if not tidy.title:
            found.add("title", _("请填写发票抬头。"))
        if not TAX_NUMBER.fullmatch(tax_number):
            found.add("tax_number", _("纳税人识别号应为 15 至 20 位数字和大写字母，通常就是社会信用代码。"))
        if tidy.email and not EMAIL.fullmatch(tidy.email):
            found.add("email", _("邮箱的格式不对，请检查。"))
        for name, most in (("title", 100), ("email", 100), ("address", 100), ("phone", 20), ("account", 100)):
            if len(getattr(tidy, name)) > most:
                found.add(name, _("不能超过 %(max)d 个字符。", max=most))
        if tidy.phone and not re.fullmatch(r"[0-9+() -]{5,20}", tidy.phone):
            found.add("phone", _("电话只含数字和横线，如 0571-88000000。"))
        found.settle()
        return asdict(tidy) | {"tax_number": tax_number, "phone": tidy.phone or None, "account": tidy.account or None}


def details_of(enterprise_id: int) -> dict[str, Any]:
    """The columns with which a new invoice of this enterprise begins."""
    row = db.session.get(InvoiceProfile, enterprise_id)
    if row is not None:
        return {name: getattr(row, name) for name in ("title", "tax_number", "email", "address", "phone", "account")}
    enterprise = db.session.get_one(Enterprise, enterprise_id)
    return {"title": enterprise.name, "tax_number": enterprise.uscc, "email": "", "address": "", "phone": None, "account": None}


def save_profile(details: Details, *, actor: Actor) -> None:
    """Keep the enterprise's details; invoices that are there already stay as they are."""
    if actor.enterprise_id is None:
        raise NotFound("")
    values = details.checked()
    with transaction() as session:
        row = session.get(InvoiceProfile, actor.enterprise_id) or InvoiceProfile(enterprise_id=actor.enterprise_id)
        for name, value in values.items():
            setattr(row, name, value)
        row.changed_at = clock.now()
        session.add(row)
        session.flush()
        audit.record(actor, "save_invoice_profile", f"invoice_profile {actor.enterprise_id}", _facts(values))


def change(invoice: Invoice, details: Details, *, actor: Actor) -> None:
    """Change what is written of the buyer on one invoice. Raises `Conflict` once it has been asked for."""
    values = details.checked()
    with transaction() as session:
        changed = session.scalar(update(Invoice).where(
            Invoice.id == invoice.id, Invoice.kind == "blue", Invoice.state.in_(("waiting", "failed"))).values(values)
            .returning(Invoice.id).execution_options(synchronize_session=False))
        if changed is None:
            raise Conflict(_("发票已提交开具，不能再修改开票信息。请刷新页面查看最新状态。"))
        session.expire(invoice)
        audit.record(actor, "change_invoice", invoice, _facts(values))


def _facts(values: dict[str, Any]) -> dict[str, Any]:
    """For the record: no phone, no account."""
    return {"title": values["title"], "tax_number": values["tax_number"]}
