"""Codes sent by SMS that prove a phone number (E5, E8): 6 digits, 5 minutes, 5 tries, used once."""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta

from flask import current_app
from flask_babel import gettext as _
from sqlalchemy import func, select, update

from app import clock, parameters
from app.crypto import blind, vault
from app.errors import Invalid, PortalError
from app.extensions import db, gateways, transaction
from app.gateways.errors import GatewayError
from app.identifiers import IdentifierError, parse_phone
from models import PhoneCode

TRIES = 5
A_DAY = 10
PURPOSES = ("register", "reset", "change_phone")


def _digest(phone: str, purpose: str, code: str) -> bytes:
    return vault().index(f"{phone}:{code}", f"code:{purpose}")


def checked_phone(text: str, field: str = "phone") -> str:
    """A mobile number as typed, or `Invalid` at its field."""
    try:
        return parse_phone(text.strip())
    except IdentifierError:
        raise Invalid(_("手机号应为 11 位数字，如 13800138000。"), field) from None


def send_code(phone: str, purpose: str) -> None:
    """Send a fresh code to a number: at most one a minute and ten a day.

    The row is committed before the message leaves, so a code that arrives can always be checked. Raises `Invalid` for a
    number that is none or asks too often, `PortalError` when the message cannot be sent.
    """
    number = checked_phone(phone)
    index, at = blind(number, "phone"), clock.now()
    code = f"{secrets.randbelow(1_000_000):06d}"
    with transaction() as session:
        recent = select(func.count(PhoneCode.id)).where(PhoneCode.phone_index == index)
        if session.scalar(recent.where(PhoneCode.sent_at > at - timedelta(minutes=1))):
            raise Invalid(_("验证码已发送，请等 1 分钟后再试。"), "phone")
        if (session.scalar(recent.where(PhoneCode.sent_at > at - timedelta(days=1))) or 0) >= A_DAY:
            raise Invalid(_("该手机号今天获取验证码的次数已用完，请明天再试。"), "phone")
        session.add(PhoneCode(phone_index=index, purpose=purpose, code_digest=_digest(number, purpose, code), sent_at=at,
                              expires_at=at + timedelta(minutes=parameters.number("code_minutes"))))
    try:
        gateways().sms.send(number, current_app.extensions["settings"].sms_template_code, {"code": code})
    except GatewayError as error:
        current_app.logger.warning("a code could not be sent: %s", error)
        raise PortalError(_("短信暂时发不出去，请稍后再试。")) from None


def use_code(phone: str, purpose: str, code: str, field: str = "code") -> None:
    """Accept the newest code of this number and purpose, once, or raise `Invalid`. Each wrong try counts and is
    committed at once, whatever becomes of the caller's work; five end the code."""
    number, at = checked_phone(phone), clock.now()
    with transaction() as session:
        row = session.scalars(
            select(PhoneCode).where(PhoneCode.phone_index == blind(number, "phone"), PhoneCode.purpose == purpose)
            .order_by(PhoneCode.id.desc()).limit(1)).first()
        usable = row is not None and row.used_at is None and row.expires_at > at and row.tries < TRIES
        right = usable and row is not None and hmac.compare_digest(row.code_digest, _digest(number, purpose, code.strip()))
        if row is not None and usable:
            changed = {"used_at": at} if right else {"tries": PhoneCode.tries + 1}
            won = session.execute(update(PhoneCode).where(PhoneCode.id == row.id, PhoneCode.used_at.is_(None))
                                  .values(changed).returning(PhoneCode.id)).first()
            right = right and won is not None
    if not right:
        db.session.commit()
        raise Invalid(_("验证码不正确或已过期，请核对或重新获取。"), field)
