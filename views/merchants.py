"""收款商户: who is paid, for the administrator. Keys go in and never come out again (C18)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from wtforms import DecimalField, SelectField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from app import scope
from app.errors import PortalError
from app.extensions import db
from app.operations import merchants
from models import Institution, Merchant
from views.base import PortalView, page, put_error_on, said
from views.forms import line
from views.listing import Search, like, listing

SEVERAL = Length(max=5000, message=_l("不能超过 %(max)d 个字符。"))


class MerchantForm(FlaskForm):
    name = line(_l("名称"), 50)
    institution_id = SelectField(_l("为哪家机构收款"), choices=[], validators=[Optional()])
    app_id = line(_l("应用编号（APPID）"), 32, inputmode="numeric", autocomplete="off")
    seller_id = line(_l("商户号（PID）"), 16, inputmode="numeric", autocomplete="off")
    fee = DecimalField(_l("手续费率"), places=2, default=Decimal("0.60"), validators=[
        InputRequired(_l("此项必填。")), NumberRange(0, 10, _l("费率应在 0 到 10% 之间。"))])
    private_key = TextAreaField(_l("应用私钥"), validators=[SEVERAL])
    alipay_key = TextAreaField(_l("支付宝公钥"), validators=[SEVERAL])


class MerchantView(PortalView):
    """The merchants; an order keeps the one it was made with."""

    route_base = "/merchants"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(scope.visible(self.actor, Merchant), order=(Merchant.ended_at.is_not(None), Merchant.institution_id.is_not(None),
                                                                   Merchant.id.desc()),
                       searches=(Search("q", _l("名称或应用编号"), lambda text: like(Merchant.name, text) | (Merchant.app_id == text)),),
                       options=(joinedload(Merchant.institution),))
        return self.page("portal/finance/merchants.html", listing=rows, title=_("收款商户"))

    @page("/add", "add", ("GET", "POST"))
    def add(self) -> Any:
        form = MerchantForm()
        named = db.session.execute(select(Institution.id, Institution.name).order_by(Institution.name)).all()
        form.institution_id.choices = [("", _("全部机构（默认商户）")), *((str(row.id), row.name) for row in named)]
        if form.validate_on_submit():
            try:
                merchant = merchants.add(_given(form), actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("已保存。此后生成的订单付给该商户，以前的订单不变。"))
                return self.to("edit", merchant_id=merchant.id)
        form.private_key.data = form.alipay_key.data = ""
        return self.page("portal/finance/merchant.html", form=form, merchant=None, title=_("新增收款商户"))

    @page("/<int:merchant_id>", "edit", ("GET", "POST"))
    def edit(self, merchant_id: int) -> Any:
        merchant = self.fetch(Merchant, merchant_id, joinedload(Merchant.institution))
        form = MerchantForm(data={"name": merchant.name, "fee": Decimal(merchant.fee_rate) / 100})
        for name in ("institution_id", "app_id", "seller_id"):  # who is paid stays as it is: orders hold it
            delattr(form, name)
        if form.validate_on_submit():
            try:
                merchants.change(merchant, _given(form, merchant), actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("已保存。"))
                return self.to("edit", merchant_id=merchant_id)
        form.private_key.data = form.alipay_key.data = ""
        return self.page("portal/finance/merchant.html", form=form, merchant=merchant, title=merchant.name)

    @page("/<int:merchant_id>/probe", "edit", ("POST",))
    def probe(self, merchant_id: int) -> Any:
        trouble = merchants.probe(self.fetch(Merchant, merchant_id))
        if trouble:
            said(_("支付宝没有接受：%(error)s", error=trouble[:200]), "danger")
        else:
            said(_("连接正常：支付宝认得该应用，双方密钥都对。"))
        return self.to("edit", merchant_id=merchant_id)

    @page("/<int:merchant_id>/end", "edit", ("POST",))
    def end(self, merchant_id: int) -> Any:
        merchants.end(self.fetch(Merchant, merchant_id, joinedload(Merchant.institution)), actor=self.actor)
        said(_("已停用。新订单不再付给该商户，已有订单的查询和退款不受影响。"))
        return self.to("list")


def _given(form: MerchantForm, merchant: Merchant | None = None) -> merchants.MerchantForm:
    chosen = form.institution_id.data if merchant is None else ""
    return merchants.MerchantForm(
        name=form.name.data, app_id=merchant.app_id if merchant else form.app_id.data,
        seller_id=merchant.seller_id if merchant else form.seller_id.data,
        institution_id=int(chosen) if chosen and chosen.isdigit() else None, fee_rate=int((form.fee.data or 0) * 100),
        private_key=form.private_key.data or "", alipay_key=form.alipay_key.data or "")
