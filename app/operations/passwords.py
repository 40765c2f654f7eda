"""忘记密码: a new password by phone code (E8), without telling anyone which accounts exist."""

from __future__ import annotations

from flask_appbuilder.security.sqla.models import User
from flask_babel import gettext as _
from sqlalchemy import select, update

from app import audit
from app.crypto import blind
from app.errors import Invalid
from app.extensions import db, transaction
from app.identifiers import IdentifierError, parse_uscc
from app.operations.accounts import check_new_password, hashed
from app.operations.phone_codes import checked_phone, send_code, use_code
from app.security import actor_of
from models import Account, Enterprise


def _account(uscc: str, phone: str) -> Account | None:
    """The enterprise account of this code, if this is its phone."""
    try:
        code = parse_uscc(uscc)
    except IdentifierError:
        return None
    return db.session.scalars(
        select(Account).join(Enterprise, Account.enterprise_id == Enterprise.id)
        .where(Enterprise.uscc == code, Enterprise.phone_index == blind(phone, "phone"))).first()


def ask_for_code(uscc: str, phone: str) -> None:
    """Send a reset code, if code and phone belong together; the caller says the same words either way."""
    number = checked_phone(phone)
    if _account(uscc, number) is not None:
        send_code(number, "reset")


def reset_password(uscc: str, phone: str, code: str, new: str, again: str, *, address: str = "") -> None:
    """Set a new password and end all sessions. Raises `Invalid` at the field that is wrong; a wrong enterprise, phone or
    code all read the same."""
    if new != again:
        raise Invalid(_("两次输入的新密码不一致。"), "again")
    check_new_password(new)
    number = checked_phone(phone)
    account = _account(uscc, number)
    if account is None:
        raise Invalid(_("验证码不正确或已过期，请核对或重新获取。"), "code")
    use_code(number, "reset", code)
    with transaction() as session:
        session.execute(update(User).where(User.id == account.user_id).values(password=hashed(new), fail_login_count=0))
        session.execute(update(Account).where(Account.user_id == account.user_id)
                        .values(session_version=Account.session_version + 1, must_change_password=False)
                        .execution_options(synchronize_session=False))
        audit.record(actor_of(account, address), "reset_password", "account", {"user_id": account.user_id})
