"""图形验证码: asked before anything that costs money or tells something to a visitor (E5, C17).

A token carries its own answer, sealed, so that showing a picture writes nothing; spending one leaves its digest behind, and a
token is spent by the first answer to it, right or wrong.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from binascii import Error as BadBase64
from collections.abc import Callable
from datetime import timedelta

from cryptography.exceptions import InvalidTag
from flask_babel import gettext as _
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from app import clock
from app.crypto import vault
from app.documents import captchas as pictures
from app.errors import Invalid, NotFound
from app.extensions import transaction
from models import SpentCaptcha

LIFE = timedelta(minutes=10)
LENGTH = 4
# Without the signs that are taken for one another: 0 O Q, 1 I, 5 S, 6 G, 8 B, 9, 2 Z.
SIGNS = "347ACDEFHJKLMNPRTUVWXY"


def new() -> str:
    """A token whose picture can be drawn for ten minutes; it holds nothing that can be read without the key."""
    answer = "".join(secrets.choice(SIGNS) for _each in range(LENGTH))
    until = int((clock.now() + LIFE).timestamp())
    return base64.urlsafe_b64encode(vault().seal(f"{until}:{answer}", "captcha")).decode()


def answer_of(token: str) -> str:
    """The signs a token stands for; `NotFound` for one that is none, or whose time is over."""
    try:
        until, _colon, answer = vault().open(base64.urlsafe_b64decode(token.encode()), "captcha").partition(":")
    except (BadBase64, InvalidTag, ValueError):
        raise NotFound(_("图形验证码已过期，请换一张。")) from None
    if int(until) < clock.now().timestamp():
        raise NotFound(_("图形验证码已过期，请换一张。"))
    return answer


def picture(token: str) -> bytes:
    """The picture of a token, as a PNG."""
    return pictures.draw(answer_of(token))


def spend(token: str, answer: str, *, remember: bool = True) -> None:
    """Use a captcha up. Raises `Invalid` at the field `captcha` when the answer is wrong, the token's time is over, or it was
    answered before. Not inside `transaction()`.

    Without `remember` nothing is written, for a database that takes no writing now: the token may then be answered again while
    its time lasts.
    """
    wrong = Invalid(_("图形验证码不正确，请看新图重新填写。"), "captcha")
    try:
        right = answer_of(token)
    except NotFound:
        raise wrong from None
    if remember:
        try:
            with transaction() as session:
                session.add(SpentCaptcha(digest=hashlib.sha256(token.encode()).digest()[:16], at=clock.now()))
        except IntegrityError:
            raise wrong from None
    if not hmac.compare_digest(right.encode(), answer.strip().upper().encode()):
        raise wrong


def run_tidy(_subject: int, _report: Callable[[int, int], None]) -> None:
    """Job: forget the digests of tokens whose time is over."""
    with transaction() as session:
        session.execute(delete(SpentCaptcha).where(SpentCaptcha.at < clock.now() - LIFE))
