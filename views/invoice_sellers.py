"""销售方: the administrator says which institutions issue invoices in their own name (C18)."""

from __future__ import annotations

from typing import Any

from flask import current_app
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import BooleanField, SelectField

from app import parameters
from app.errors import PortalError
from app.extensions import db
from app.operations import invoice_sellers
from models import Institution, InvoiceSeller
from views.base import PortalView, page, put_error_on, said
from views.forms import line


class SellerForm(FlaskForm):
    """A seller of its own."""

    name = line(_l("销售方名称"), 100)
    tax_number = line(_l("纳税人识别号"), 20)
    extension = line(_l("开票分机号"), 5, required=False, inputmode="numeric")
    tax_rate = SelectField(_l("税率"), choices=[(rate, f"{float(rate):.0%}") for rate in parameters.TAX_RATES])
    enabled = BooleanField(_l("以该机构名义开票"))


class InvoiceSellerView(PortalView):
    """Sellers, the default one first."""

    route_base = "/invoices/sellers"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        settings = current_app.extensions["settings"]
        institutions = db.session.scalars(select(Institution).order_by(Institution.name)).all()
        return self.page("portal/invoices/sellers.html", title=_("发票销售方"),
                         own={row.institution_id: row for row in invoice_sellers.sellers()},
                         institutions=institutions, default=(settings.invoice_seller_name, settings.invoice_seller_tax_number,
                                                             parameters.text("invoice_tax_rate"), settings.invoice_provider))

    @page("/<int:institution_id>", "edit", ("GET", "POST"))
    def edit(self, institution_id: int) -> Any:
        institution = self.fetch(Institution, institution_id)
        row = db.session.get(InvoiceSeller, institution_id)
        begun = row or InvoiceSeller(name=institution.name, tax_number=institution.uscc, extension="",
                                     tax_rate=parameters.text("invoice_tax_rate"), enabled=True)
        form = SellerForm(obj=begun)
        if form.validate_on_submit():
            try:
                invoice_sellers.save(institution, form.name.data or "", form.tax_number.data or "", form.extension.data or "",
                                     form.tax_rate.data, form.enabled.data, actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("已保存，下一张发票起生效。"))
                return self.to("list")
        return self.page("portal/invoices/seller.html", form=form, institution=institution,
                         title=_("发票销售方：%(name)s", name=institution.name))
