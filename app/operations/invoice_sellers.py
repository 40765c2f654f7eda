"""销售方: which institutions issue invoices in their own name (C18). All others are the default seller's."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app import audit, clock
from app.actors import Actor
from app.extensions import db, transaction
from app.operations.checks import Findings
from app.operations.invoice_details import TAX_NUMBER
from app.parameters import TAX_RATES
from models import Institution, InvoiceSeller


def sellers() -> Sequence[InvoiceSeller]:
    return db.session.scalars(select(InvoiceSeller).options(joinedload(InvoiceSeller.institution)).order_by(InvoiceSeller.name)).all()


def save(institution: Institution, name: str, tax_number: str, extension: str, tax_rate: str, enabled: bool, *, actor: Actor) -> None:
    """Let an institution issue in its own name, or no longer. The invoices already asked for keep their seller.

    The invoice platform must have been authorised by that company; it refuses the others. Raises `InvalidFields`.
    """
    name, tax_number, found = name.strip(), tax_number.strip().upper(), Findings()
    if not 0 < len(name) <= 100:
        found.add("name", _("请填写销售方名称，不超过 100 个字。"))
    if not TAX_NUMBER.fullmatch(tax_number):
        found.add("tax_number", _("纳税人识别号应为 15 至 20 位数字和大写字母，通常就是社会信用代码。"))
    if not re.fullmatch(r"[0-9]{0,5}", extension.strip()):
        found.add("extension", _("分机号最多 5 位数字，没有可不填。"))
    if tax_rate not in TAX_RATES:
        found.add("tax_rate", _("税率应为下列之一：%(rates)s。", rates="、".join(TAX_RATES)))
    found.settle()
    with transaction() as session:
        row = session.get(InvoiceSeller, institution.id) or InvoiceSeller(institution_id=institution.id)
        row.name, row.tax_number, row.extension, row.tax_rate = name, tax_number, extension.strip(), tax_rate
        row.enabled, row.changed_at = enabled, clock.now()
        session.add(row)
        session.flush()
        audit.record(actor, "save_invoice_seller", institution, {"name": name, "tax_number": tax_number, "enabled": enabled})
