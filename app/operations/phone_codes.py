"""Codes sent by SMS that prove a phone number (E5, E8): 6 digits, 5 minutes, 5 tries, used once."""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta

from flask import current_app
from flask_babel import gettext as _
from sqlalchemy import func, select

from app import clock, parameters
from app.crypto import blind, vault
from app.errors import Invalid, PortalError
from app.extensions import db, gateways, transaction
from app.gateways.errors import GatewayError
from app.identifiers import IdentifierError, parse_phone
from app.operations import captchas
from models import PhoneCode

TRIES = 5
A_DAY = 10


def _digest(phone: str, purpose: str, code: str) -> bytes:
    return vault().index(f"{phone}:{code}", f"code:{purpose}")


def checked_phone(text: str, field: str = "phone") -> str:
    """A mobile number as typed, or `Invalid` at its field."""
    try:
        return parse_phone(text.strip())
    except IdentifierError:
        raise Invalid(_("手机号应为 11 位数字，如 13800138000。"), field) from None


def refuse_haste(number: str) -> None:
    """Raise `Invalid` for a number that asks too often: at most one code a minute and ten a day."""
    index, at = blind(number, "phone"), clock.now()
    recent = select(func.count(PhoneCode.id)).where(PhoneCode.phone_index == index)
    if db.session.scalar(recent.where(PhoneCode.sent_at > at - timedelta(minutes=1))):
        raise Invalid(_("验证码已发送，请等 1 分钟后再试。"), "phone")
    if (db.session.scalar(recent.where(PhoneCode.sent_at > at - timedelta(days=1))) or 0) >= A_DAY:
        raise Invalid(_("该手机号今天获取验证码的次数已用完，请明天再试。"), "phone")


def new_code(number: str, purpose: str) -> PhoneCode:
    """Within the current transaction, the row of a code for a number, at most one a minute and ten a day. No code matches
    it until `deliver` has sent one. Raises `Invalid` for a number that asks too often."""
    refuse_haste(number)
    at = clock.now()
    row = PhoneCode(phone_index=blind(number, "phone"), purpose=purpose, code_digest=secrets.token_bytes(16),
                    sent_at=at, expires_at=_end(at))
    db.session.add(row)
    db.session.flush()
    return row


def _end(at: datetime) -> datetime:
    return at + timedelta(minutes=parameters.number("code_minutes"))


def deliver(row: PhoneCode, number: str) -> None:
    """Make the code of a row and send it. The row is committed before the message leaves, so a code that arrives can
    always be checked. Raises `GatewayError`. Not inside `transaction()`."""
    code = f"{secrets.randbelow(1_000_000):06d}"
    with transaction():
        row.code_digest, row.expires_at = _digest(number, row.purpose, code), _end(clock.now())
    gateways().sms.send(number, current_app.extensions["settings"].sms_template_code, {"code": code})


def send_code(phone: str, purpose: str, captcha: tuple[str, str] | None = None) -> None:
    """Send a fresh code to a number. A visitor brings a captcha, its token and the answer (E5); it is spent only when a
    message would be sent. Raises `Invalid` for a number that is none or asks too often, and for a wrong captcha; `PortalError`
    when the message cannot be sent: the person may then ask again at once."""
    number = checked_phone(phone)
    if captcha is not None:
        refuse_haste(number)
        captchas.spend(*captcha)
    with transaction():
        row = new_code(number, purpose)
    try:
        deliver(row, number)
    except GatewayError as error:
        current_app.logger.warning("a code could not be sent: %s", error)
        with transaction() as session:
            session.delete(row)
        raise PortalError(_("短信暂时发不出去，请稍后再试。")) from None


def use_code(phone: str, purpose: str, code: str, field: str = "code") -> PhoneCode:
    """Accept the newest code of this number and purpose, once, or raise `Invalid`. Answers its row. Each wrong try counts and is
    committed at once, whatever becomes of the caller's work; five end the code. Not inside `transaction()`."""
    number, at = checked_phone(phone), clock.now()
    with transaction() as session:
        # Locked, so that guesses made at the same moment are counted one after the other.
        row = session.scalars(
            select(PhoneCode).where(PhoneCode.phone_index == blind(number, "phone"), PhoneCode.purpose == purpose)
            .order_by(PhoneCode.id.desc()).limit(1).with_for_update().execution_options(populate_existing=True)).first()
        right = False
        if row is not None and row.used_at is None and row.expires_at > at and row.tries < TRIES:
            right = hmac.compare_digest(row.code_digest, _digest(number, purpose, code.strip()))
            if right:
                row.used_at = at
            else:
                row.tries += 1
    if row is None or not right:
        raise Invalid(_("验证码不正确或已过期，请核对或重新获取。"), field)
    return row


def give_back(row: PhoneCode) -> None:
    """Let a code that was right be used again: what it was used for did not come about."""
    with transaction():
        row.used_at = None
