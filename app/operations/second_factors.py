"""The second factor of authorities and administrators: codes of an authenticator app (RFC 6238) and eight for the day the phone is lost."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

import pyotp
from flask import current_app
from flask_appbuilder.security.sqla.models import User
from flask_babel import gettext as _
from sqlalchemy import delete, func, select

from app import audit, clock
from app.actors import Actor
from app.crypto import vault
from app.documents.qr import qr_png
from app.errors import Conflict, Forbidden, Invalid
from app.extensions import db, transaction
from app.operations.accounts import end_other_sessions
from app.operations.sign_ins import Answer, Origin, attempt_on, entered, password_is, refused_code
from models import Account, RecoveryCode, SecondFactor

PARTIES = ("authority", "administrator")
STEP_SECONDS = 30
RECOVERY_CODES = 8
_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
_ISSUER = "建设工人培训管理"


@dataclass(frozen=True)
class Invitation:
    """What the authenticator app is given: the secret to type, and the picture that holds it."""

    secret: str
    picture: bytes


def factor_of(account: Account) -> SecondFactor | None:
    """The second factor in force for an account."""
    row = db.session.get(SecondFactor, account.user_id)
    return row if row is not None and row.confirmed_at is not None else None


def must_set_up(account: Account) -> bool:
    """Whether this person may do nothing else before a second factor is set up."""
    required = current_app.extensions["settings"].second_factor == "required"
    return required and account.party in PARTIES and factor_of(account) is None


def recovery_codes_left(account: Account) -> int:
    return db.session.scalar(select(func.count(RecoveryCode.id)).where(
        RecoveryCode.account_id == account.user_id, RecoveryCode.used_at.is_(None))) or 0


def begin(account: Account, *, actor: Actor) -> None:
    """Draw a secret. It is in force only once a code of it was confirmed; begun again, the one before is void."""
    _check_own(account, actor)
    with transaction() as session:
        row = _locked(account)
        if row is None:
            session.add(SecondFactor(account_id=account.user_id, secret=pyotp.random_base32()))
        elif row.confirmed_at is not None:
            raise Conflict(_("二次验证已经开启。"))
        else:
            row.secret = pyotp.random_base32()
        audit.record(actor, "begin_second_factor", "account", {"user_id": account.user_id})


def invitation(account: Account) -> Invitation | None:
    """What was begun and not confirmed yet."""
    row = db.session.get(SecondFactor, account.user_id)
    if row is None or row.confirmed_at is not None:
        return None
    address = pyotp.TOTP(row.secret).provisioning_uri(name=account.user.username, issuer_name=_ISSUER)
    return Invitation(row.secret, qr_png(address, error="L"))


def confirm(account: Account, code: str, *, actor: Actor, origin: Origin) -> list[str]:
    """Put the second factor in force by a code of it, and end the person's other sessions. Answers the recovery codes, to
    be shown once. Raises `Invalid` at the code, `Conflict` when nothing was begun."""
    _check_own(account, actor)
    with transaction():
        attempt_on(account, origin).take_turn()
        row = _locked(account)
        if row is None or row.confirmed_at is not None:
            raise Conflict(_("二次验证已经开启，或还没有开始设置。请从安全设置重新开始。"))
        if not _code_is_right(row, code):
            raise Invalid(_("验证码不正确。请核对手机时间是否准确，再输入当前显示的 6 位数字。"), "code")
        row.confirmed_at = clock.now()
        codes = _draw_recovery_codes(account)
        end_other_sessions(account)
        audit.record(actor, "confirm_second_factor", "account", {"user_id": account.user_id})
    return codes


def renew_recovery_codes(account: Account, password: str, code: str, *, actor: Actor, origin: Origin) -> list[str]:
    """Eight fresh recovery codes, to be shown once; those before are void. Needs password and code."""
    _check_own(account, actor)
    _prove(account, password, code, origin)
    with transaction():
        codes = _draw_recovery_codes(account)
        audit.record(actor, "renew_recovery_codes", "account", {"user_id": account.user_id})
    return codes


def switch_off(account: Account, password: str, code: str, *, actor: Actor, origin: Origin) -> None:
    """Do without the second factor from now on. Needs password and code; refused where it is required of everyone."""
    _check_own(account, actor)
    if current_app.extensions["settings"].second_factor == "required":
        raise Forbidden(_("本平台要求主管部门和管理员使用二次验证，不能关闭。换手机时请联系管理员重置。"))
    _prove(account, password, code, origin)
    with transaction():
        _remove(account)
        audit.record(actor, "switch_off_second_factor", "account", {"user_id": account.user_id})


def reset_second_factor(account: Account, *, actor: Actor) -> None:
    """Remove a person's second factor and end their sessions: phone and recovery codes are lost. For administrators."""
    if actor.party != "administrator":
        raise Forbidden(_("只有系统管理员可以重置二次验证。"))
    with transaction():
        if _locked(account) is None:
            raise Conflict(_("该帐号没有设置二次验证。"))
        _remove(account)
        audit.record(actor, "reset_second_factor", "account", {"user_id": account.user_id})


def enter_with_code(user_id: int, version: int, code: str, *, origin: Origin) -> Answer | None:
    """The second page of signing in. None when what the first page found does not hold any more: the person begins again."""
    with transaction() as session:
        account = session.get(Account, user_id)
        if account is None:
            return None
        attempt = attempt_on(account, origin)
        attempt.take_turn()
        row = _locked(account)
        session.refresh(account, ("session_version",))
        session.refresh(account.user)
        if row is None or row.confirmed_at is None or account.session_version != version or not account.user.active:
            return None
        if attempt.locked:
            attempt.record("locked")
            return Answer(locked=True)
        if not (_code_is_right(row, code) or _use_recovery_code(account, code)):
            return refused_code(attempt, account)
        return entered(attempt, account)


def _check_own(account: Account, actor: Actor) -> None:
    if account.user_id != actor.user_id or account.party not in PARTIES:
        raise Forbidden(_("二次验证由主管部门和管理员为自己的帐号设置。"))


def _locked(account: Account) -> SecondFactor | None:
    """The row of an account, nobody else's until the end of the transaction."""
    return db.session.scalars(select(SecondFactor).where(SecondFactor.account_id == account.user_id)
                              .with_for_update().execution_options(populate_existing=True)).first()


def _prove(account: Account, password: str, code: str, origin: Origin) -> None:
    """That it is the person and not whoever sits at their open screen. What is wrong counts towards the lock, as it does
    on the sign-in page. Raises `Invalid` at the field."""
    right = password_is(db.session.scalar(select(User.password).where(User.id == account.user_id)), password)
    wrong = ""
    with transaction():
        attempt = attempt_on(account, origin)
        attempt.take_turn()
        row = _locked(account)
        if attempt.locked:
            wrong = "locked"
        elif not right:
            wrong = "wrong"
        elif row is None or not (_code_is_right(row, code) or _use_recovery_code(account, code)):
            wrong = "second_factor_wrong"
        if wrong:
            attempt.record(wrong)
    if wrong == "locked":
        raise Invalid(_("失败次数过多。请在 15 分钟后再试。"))
    if wrong == "wrong":
        raise Invalid(_("当前密码不正确。"), "password")
    if wrong:
        raise Invalid(_("验证码不正确，或已经用过。请等手机显示下一个验证码后再试。"), "code")


def _code_is_right(row: SecondFactor, text: str) -> bool:
    """Whether this is the code of now or of the steps beside it, and newer than the last one that was accepted."""
    digits = "".join(text.split())
    if len(digits) != 6 or not (digits.isascii() and digits.isdigit()):
        return False
    now = int(clock.now().timestamp()) // STEP_SECONDS
    codes = pyotp.TOTP(row.secret, interval=STEP_SECONDS)
    for step in (now - 1, now, now + 1):
        if step > row.last_step and hmac.compare_digest(codes.generate_otp(step), digits):
            row.last_step = step
            return True
    return False


def _digest(account: Account, text: str) -> bytes:
    letters = "".join(sign for sign in text.upper() if sign.isalnum())
    return vault().index(f"{account.user_id}:{letters}", "recovery_code")


def _use_recovery_code(account: Account, text: str) -> bool:
    row = db.session.scalars(select(RecoveryCode).where(
        RecoveryCode.account_id == account.user_id, RecoveryCode.digest == _digest(account, text), RecoveryCode.used_at.is_(None))).first()
    if row is None:
        return False
    row.used_at = clock.now()
    return True


def _draw_recovery_codes(account: Account) -> list[str]:
    drawn = ["".join(secrets.choice(_LETTERS) for _sign in range(10)) for _each in range(RECOVERY_CODES)]
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account.user_id))
    db.session.add_all(RecoveryCode(account_id=account.user_id, digest=_digest(account, code)) for code in drawn)
    return [f"{code[:5]}-{code[5:]}" for code in drawn]


def _remove(account: Account) -> None:
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account.user_id))
    db.session.execute(delete(SecondFactor).where(SecondFactor.account_id == account.user_id))
    end_other_sessions(account)
