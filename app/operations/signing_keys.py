"""The keys certificates are signed with: which one signs for an authority, whose a signature is, and how keys are changed.

A key lies sealed in the database, or in files that the settings name: that one is the default of every authority without a key
of its own. A key that was put out of use stays, so that what it has signed is recognised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from flask import current_app
from flask_babel import gettext as _
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from app import audit, clock
from app.actors import Actor
from app.documents import signing
from app.documents.signing import KeyFault, Signer
from app.errors import Conflict, Forbidden, Invalid
from app.extensions import db, gateways, transaction
from app.gateways.timestamps import TimestampGateway
from models import Authority, SigningKey

WARN = timedelta(days=60)
YEARS = 5


@dataclass(frozen=True)
class Key:
    """A key as its page shows it. `id` is None for the one of the settings; `owner` "" for everyone's default."""

    id: int | None
    owner: str
    subject: str
    issuer: str
    fingerprint: str
    valid_from: datetime
    valid_until: datetime
    retired_at: datetime | None
    added_by: str

    @property
    def self_signed(self) -> bool:
        return self.subject == self.issuer

    @property
    def state(self) -> str:
        """retired, expired, expiring (within 60 days) or good."""
        at = clock.now()
        if self.retired_at is not None:
            return "retired"
        if at >= self.valid_until:
            return "expired"
        return "expiring" if at >= self.valid_until - WARN else "good"


def _shown(row: SigningKey) -> Key:
    return Key(row.id, row.authority.name if row.authority else "", row.subject, row.issuer, row.fingerprint, row.valid_from,
               row.valid_until, row.retired_at, row.created_by_name)


def _of_settings() -> Key | None:
    settings = current_app.extensions["settings"]
    if settings.signing_private_key in ("", "none"):
        return None
    facts = _facts(settings.signing_private_key, settings.signing_certificate)
    return Key(None, "", facts.subject, facts.issuer, facts.fingerprint, facts.valid_from, facts.valid_until, None, "")


@lru_cache(maxsize=4)
def _facts(private_key: str, certificate: str) -> signing.KeyFacts:
    # Read as of its first day: an expired key still has to be shown.
    from cryptography import x509

    first = x509.load_pem_x509_certificates(certificate.encode())[0]
    return signing.read_key(private_key, certificate, at=first.not_valid_before_utc)


def all_keys(actor: Actor) -> list[Key]:
    """Every key this person may know of: an administrator's all, an authority's own and the defaults. The newest first."""
    statement = select(SigningKey).options(joinedload(SigningKey.authority)).order_by(SigningKey.id.desc())
    if not actor.sees_all:
        statement = statement.where((SigningKey.authority_id == actor.authority_id) | SigningKey.authority_id.is_(None))
    found = [_shown(row) for row in db.session.scalars(statement)]
    default = _of_settings()
    return [*found, *([default] if default else [])]


def in_use(authority_id: int) -> Key | None:
    """The key that signs for an authority: its own, else the default in the database, else that of the settings."""
    row = _row_in_use(authority_id)
    return _shown(row) if row is not None else _of_settings()


def _row_in_use(authority_id: int) -> SigningKey | None:
    rows = db.session.scalars(select(SigningKey).options(joinedload(SigningKey.authority)).where(
        SigningKey.retired_at.is_(None), (SigningKey.authority_id == authority_id) | SigningKey.authority_id.is_(None))).all()
    own = [row for row in rows if row.authority_id is not None]
    return own[0] if own else rows[0] if rows else None


def signer_of(authority_id: int) -> Signer:
    """The signer of an authority, its key read once in each process. Raises `Conflict` where there is none, or it has expired: a signature
    made then would be shown as broken."""
    settings = current_app.extensions["settings"]
    row = _row_in_use(authority_id)
    private, certificate = (row.private_key, row.certificate) if row else (settings.signing_private_key, settings.signing_certificate)
    key = _shown(row) if row else _of_settings()
    if key is None:
        raise Conflict(_("还没有签章密钥，证书暂时不能生成文件。请管理员在“签章密钥”中添加。"))
    if key.state == "expired":
        raise Conflict(_("签章密钥“%(name)s”已过期，证书暂时不能生成文件。请管理员在“签章密钥”中更换。", name=key.subject))
    return _signer(private, certificate, gateways().timestamps)


@lru_cache(maxsize=64)
def _signer(private_key: str, certificate: str, timestamps: TimestampGateway | None) -> Signer:
    return Signer(private_key, certificate, timestamps.stamp if timestamps else None)


def owner_of(fingerprint: str) -> str | None:
    """Whose key this is, retired ones included: the authority's name, or the key's own for a default; None for a stranger's."""
    row = db.session.scalars(select(SigningKey).where(SigningKey.fingerprint == fingerprint)
                             .options(joinedload(SigningKey.authority))).first()
    if row is not None:
        return row.authority.name if row.authority else row.subject
    default = _of_settings()
    return default.subject if default is not None and default.fingerprint == fingerprint else None


def add(data: bytes, password: str, authority: Authority | None, *, actor: Actor) -> SigningKey:
    """Take a key file (.p12, .pfx or PEM) into use; the one before is put out of use. Raises `Invalid` in words."""
    try:
        private, certificate = signing.unpack(data, password)
        return _take_into_use(private, certificate, authority, actor)
    except KeyFault as fault:
        raise Invalid(_said(fault), "password" if fault.code == "password" else "file") from None


def draw(authority: Authority, *, actor: Actor) -> SigningKey:
    """Make a key for an authority, with a certificate that it signs itself: good to begin with, until one is bought."""
    private, certificate = signing.draw_key(authority.name, days=365 * YEARS, at=clock.now())
    return _take_into_use(private, certificate, authority, actor)


def _take_into_use(private: str, certificate: str, authority: Authority | None, actor: Actor) -> SigningKey:
    _check(actor)
    facts = signing.read_key(private, certificate, at=clock.now())
    at, owner_id = clock.now(), authority.id if authority else None
    same = SigningKey.authority_id == owner_id if owner_id else SigningKey.authority_id.is_(None)
    try:
        with transaction() as session:
            session.execute(update(SigningKey).where(same, SigningKey.retired_at.is_(None)).values(retired_at=at))
            row = SigningKey(authority_id=owner_id, subject=facts.subject, issuer=facts.issuer, fingerprint=facts.fingerprint,
                             valid_from=facts.valid_from, valid_until=facts.valid_until, certificate=certificate, private_key=private,
                             created_at=at, created_by_name=actor.name)
            session.add(row)
            session.flush()
            audit.record(actor, "add_signing_key", row, {"fingerprint": facts.fingerprint, "name": facts.subject})
    except IntegrityError:
        raise Invalid(_("这把密钥已经登记过。"), "file") from None
    return row


def retire(key_id: int, *, actor: Actor) -> None:
    """Put a key out of use. What it has signed stays recognised."""
    _check(actor)
    with transaction() as session:
        done: Sequence[int] = session.scalars(
            update(SigningKey).where(SigningKey.id == key_id, SigningKey.retired_at.is_(None)).values(retired_at=clock.now())
            .returning(SigningKey.id), execution_options={"synchronize_session": False}).all()
        if not done:
            raise Conflict(_("这把密钥已经停用。"))
        audit.record(actor, "retire_signing_key", session.get_one(SigningKey, key_id))


def _check(actor: Actor) -> None:
    if not actor.sees_all:
        raise Forbidden(_("签章密钥由管理员维护。"))


def _said(fault: KeyFault) -> str:
    words = {
        "unreadable": _("读不出密钥。请上传 .p12、.pfx 或 PEM 文件。"), "password": _("密码不对，打不开密钥文件。"),
        "no_certificate": _("文件里没有证书。请上传同时含有私钥和证书的文件。"), "mismatch": _("私钥和证书不是一对。"),
        "kind": _("只支持 RSA（2048 位以上）和 P-256、P-384 密钥。"), "usage": _("这张证书的用途不包括签名。"),
        "period": _("这张证书不在有效期内。")}
    return words[fault.code]
