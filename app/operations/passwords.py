"""忘记密码: a new password by phone code (E8), without telling anyone which accounts exist."""

from __future__ import annotations

from collections.abc import Callable

from flask_appbuilder.security.sqla.models import User
from flask_babel import gettext as _
from sqlalchemy import select, update

from app import audit, clock, jobs
from app.crypto import blind
from app.errors import Invalid
from app.extensions import db, transaction
from app.operations import captchas
from app.operations.accounts import check_new_password, hashed
from app.operations.checks import Findings, checked_uscc
from app.operations.phone_codes import checked_phone, deliver, give_back, new_code, refuse_haste, use_code
from app.operations.sign_ins import lift_lock, password_is
from app.security import actor_of
from models import Account, Enterprise, PhoneCode


def _account(uscc: str, phone: str) -> Account | None:
    """The enterprise account of this code, if this is its phone."""
    return db.session.scalars(
        select(Account).join(Enterprise, Account.enterprise_id == Enterprise.id)
        .where(Enterprise.uscc == uscc, Enterprise.phone_index == blind(phone, "phone"))).first()


def ask_for_code(uscc: str, phone: str, captcha: tuple[str, str]) -> None:
    """Have a reset code sent, if code and phone belong together.

    The answer, its limits and the time it takes are the same when they do not: the message leaves from a job. Raises
    `Invalid` for what is no code or no number, and for a number that asks too often.
    """
    code, number = checked_uscc(uscc), checked_phone(phone)
    refuse_haste(number)
    captchas.spend(*captcha)
    with transaction():
        row = new_code(number, "reset")
        if _account(code, number) is not None:
            jobs.schedule("send_reset_code", row.id)


def run_send_code(code_id: int, _report: Callable[[int, int], None]) -> None:
    """Job: send the reset code that was asked for. Run twice it sends a second code, and the second one counts; once the
    time of the request is over it sends nothing."""
    row = db.session.get(PhoneCode, code_id)
    if row is None or row.used_at is not None or row.expires_at <= clock.now():
        return
    number = db.session.scalars(select(Enterprise.phone).where(Enterprise.phone_index == row.phone_index).limit(1)).first()
    if number is not None:
        deliver(row, number)


def reset_password(uscc: str, phone: str, code: str, new: str, again: str, *, address: str = "") -> None:
    """Set a new password, end all sessions and lift a lock of the sign-in. Raises `InvalidFields` or `Invalid` at the field
    that is wrong; a wrong enterprise, phone or code all read the same."""
    found = Findings()
    wanted, number = found.tried(lambda: checked_uscc(uscc)), found.tried(lambda: checked_phone(phone))
    found.tried(lambda: check_new_password(new))
    if new != again:
        found.add("again", _("两次输入的新密码不一致。"))
    found.settle()
    account = _account(wanted or "", number or "")
    if account is None:
        raise Invalid(_("验证码不正确或已过期，请核对或重新获取。"), "code")
    used = use_code(number or "", "reset", code)
    # Only who has proved the phone learns that this is the present password; the code is not spent on that.
    if password_is(db.session.scalar(select(User.password).where(User.id == account.user_id)), new):
        give_back(used)
        raise Invalid(_("新密码不能与当前密码相同。"), "new")
    secret = hashed(new)
    with transaction() as session:
        session.execute(update(User).where(User.id == account.user_id).values(password=secret, fail_login_count=0))
        session.execute(update(Account).where(Account.user_id == account.user_id)
                        .values(session_version=Account.session_version + 1, must_change_password=False)
                        .execution_options(synchronize_session=False))
        lift_lock(account, address=address)
        audit.record(actor_of(account, address), "reset_password", "account", {"user_id": account.user_id})
