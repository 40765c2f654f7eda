"""Who is paid for an order: chosen when it is made, kept with it for ever (C18; docs/money.md).

The keys are sealed, and no page shows them again. The address of the gateway is a setting; the default merchant comes from the
settings too, at each release.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask_babel import gettext as _
from sqlalchemy import or_, select, update

from app import audit, clock
from app.actors import SYSTEM, Actor
from app.errors import Conflict, InvalidFields
from app.extensions import db, gateways, let_go, transaction
from app.gateways.errors import GatewayError
from app.gateways.payment import AlipayGateway, as_private_key, as_public_key
from models import Authority, Institution, Merchant, Order, Payment


def client(merchant: Merchant) -> AlipayGateway:
    """The client that speaks for this merchant."""
    return gateways().payment.of(merchant.app_id, merchant.seller_id, merchant.private_key, merchant.alipay_key)


def default() -> Merchant | None:
    """The merchant of institutions that have none of their own."""
    return db.session.scalars(select(Merchant).where(Merchant.institution_id.is_(None), Merchant.ended_at.is_(None))).first()


def for_institution(institution_id: int) -> Merchant:
    """The merchant of a new order of this institution's plans. Raises `Conflict` where nobody could be paid."""
    own = db.session.scalars(select(Merchant).where(
        or_(Merchant.institution_id == institution_id, Merchant.institution_id.is_(None)), Merchant.ended_at.is_(None))
        .order_by(Merchant.institution_id.is_(None))).first()
    if own is None:
        raise Conflict(_("还没有设置收款商户，暂时不能生成订单。请联系系统管理员。"))
    return own


def of_order(order_number: str) -> AlipayGateway:
    """The client of the merchant that an order is paid to; of the default one for an order that is not ours."""
    merchant = db.session.scalars(select(Merchant).join(Order, Order.merchant_id == Merchant.id)
                                  .where(Order.number == order_number)).first() or default()
    if merchant is None:
        raise GatewayError(f"no merchant for order {order_number}", permanent=False)
    return client(merchant)


def of_payment(payment: Payment) -> AlipayGateway:
    """The client of the merchant that has this money."""
    merchant = db.session.get(Merchant, payment.merchant_id) if payment.merchant_id else None
    return client(merchant) if merchant is not None else of_order(payment.order_number)


def authority_of(merchant: Merchant) -> int | None:
    """Whose finance people look after this merchant's money: the institution's authority, the province for the common one."""
    if merchant.institution is not None:
        return merchant.institution.authority_id
    return province()


def province() -> int | None:
    """The authority at the top, whose the money is that is of no order and no institution."""
    return db.session.scalars(select(Authority.id).where(Authority.region_code.endswith("0000")).order_by(Authority.id)).first()


def by_app(app_id: str) -> Merchant | None:
    """The merchant of an application at Alipay, ended ones too: their payments may still be reported."""
    return db.session.scalars(select(Merchant).where(Merchant.app_id == app_id)).first()


@dataclass(frozen=True)
class MerchantForm:
    """What is typed about a merchant. Empty keys leave those it has."""

    name: str
    app_id: str
    seller_id: str
    institution_id: int | None
    fee_rate: int
    private_key: str = ""
    alipay_key: str = ""


def _keys(form: MerchantForm, *, required: bool) -> dict[str, str]:
    """The keys that were typed, as PEM. Raises `InvalidFields`."""
    wrong: dict[str, object] = {}
    keys: dict[str, str] = {}
    for name, text, reader in (("private_key", form.private_key, as_private_key), ("alipay_key", form.alipay_key, as_public_key)):
        if not text.strip():
            if required:
                wrong[name] = _("此项必填。")
            continue
        try:
            keys[name] = reader(text)
        except ValueError:
            wrong[name] = _("这不是可用的 RSA 密钥。请从支付宝密钥工具中完整复制。")
    if wrong:
        raise InvalidFields(wrong, _("密钥有误，没有保存。"))
    return keys


def _check(form: MerchantForm, own_id: int | None) -> None:
    wrong: dict[str, object] = {}
    if not re.fullmatch(r"[0-9]{10,32}", form.app_id):
        wrong["app_id"] = _("应用编号是 10 位以上的数字。")
    if not re.fullmatch(r"2088[0-9]{12}", form.seller_id):
        wrong["seller_id"] = _("商户号是以 2088 开头的 16 位数字。")
    if not 0 <= form.fee_rate <= 1000:
        wrong["fee_rate"] = _("费率应在 0 到 10% 之间。")
    if form.institution_id is not None and db.session.get(Institution, form.institution_id) is None:
        wrong["institution_id"] = _("没有这家培训机构。")
    if db.session.scalar(select(Merchant.id).where(Merchant.app_id == form.app_id, Merchant.id != (own_id or 0))):
        wrong["app_id"] = _("这个应用编号已经有商户使用。")
    if wrong:
        raise InvalidFields(wrong, _("请按提示修改后再保存。"))


def add(form: MerchantForm, *, actor: Actor) -> Merchant:
    """A merchant for later orders of an institution (or of all that have none); the one there was is ended, and keeps its orders."""
    with transaction() as session:
        _check(form, None)
        keys = _keys(form, required=True)
        session.execute(update(Merchant).where(
            Merchant.institution_id == form.institution_id if form.institution_id else Merchant.institution_id.is_(None),
            Merchant.ended_at.is_(None)).values(ended_at=clock.now()))
        merchant = Merchant(name=form.name, app_id=form.app_id, seller_id=form.seller_id, institution_id=form.institution_id,
                            fee_rate=form.fee_rate, created_at=clock.now(), **keys)
        session.add(merchant)
        session.flush()
        audit.record(actor, "add_merchant", merchant, _facts(merchant))
    return merchant


def change(merchant: Merchant, form: MerchantForm, *, actor: Actor) -> None:
    """Its name, the fee agreed on, new keys. Who is paid stays: for another account there is another merchant."""
    with transaction():
        _check(MerchantForm(form.name, merchant.app_id, merchant.seller_id, merchant.institution_id, form.fee_rate), merchant.id)
        keys = _keys(form, required=False)
        merchant.name, merchant.fee_rate = form.name, form.fee_rate
        for name, pem in keys.items():
            setattr(merchant, name, pem)
        audit.record(actor, "change_merchant", merchant, _facts(merchant) | {"keys": sorted(keys)})


def end(merchant: Merchant, *, actor: Actor) -> None:
    """No more orders for this merchant. The default one is ended only by adding another."""
    if merchant.institution_id is None:
        raise Conflict(_("默认商户不能停用。新增一个默认商户后，原来的自动停用。"))
    with transaction():
        if merchant.ended_at is None:
            merchant.ended_at = clock.now()
            audit.record(actor, "end_merchant", merchant, _facts(merchant))


def _facts(merchant: Merchant) -> dict[str, object]:
    return {"name": merchant.name, "app_id": merchant.app_id, "seller_id": merchant.seller_id, "fee_rate": merchant.fee_rate,
            "institution": merchant.institution.name if merchant.institution else ""}


def probe(merchant: Merchant) -> str:
    """Ask the gateway about an order that is none: "" when it knows the merchant and both sides' keys fit, else what is wrong."""
    speaker = client(merchant)
    let_go()
    try:
        speaker.query("portal-probe")
    except GatewayError as error:
        return error.detail
    return ""


def sync_default(app_id: str, seller_id: str, private_key: str, alipay_key: str) -> None:
    """Part of the release: the merchant of the settings is in the table, with the keys of the settings. It is the default where
    there is none yet; orders made before there were merchants are its."""
    if not app_id:
        return
    with transaction() as session:
        merchant = by_app(app_id)
        if merchant is None:
            first = default() is None
            merchant = Merchant(name="平台统一收款", app_id=app_id, seller_id=seller_id, private_key=private_key,
                                alipay_key=alipay_key, created_at=clock.now(), ended_at=None if first else clock.now())
            session.add(merchant)
            session.flush()
            audit.record(SYSTEM, "add_merchant", merchant, {"name": merchant.name, "app_id": app_id, "seller_id": seller_id})
        elif (merchant.private_key, merchant.alipay_key) != (private_key, alipay_key):
            merchant.private_key, merchant.alipay_key = private_key, alipay_key
        session.execute(update(Order).where(Order.merchant_id.is_(None), Order.amount_fen > 0).values(merchant_id=merchant.id)
                        .execution_options(synchronize_session=False))
        session.execute(update(Payment).where(Payment.merchant_id.is_(None)).values(merchant_id=merchant.id)
                        .execution_options(synchronize_session=False))
