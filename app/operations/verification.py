"""Is this PDF one of ours, and as it was signed? Asked by anyone; nothing of the file is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import select

from app import files
from app.documents import signing
from app.errors import Invalid, PortalError
from app.extensions import db, let_go
from app.gateways.errors import GatewayError
from app.operations import lookup
from app.operations.lookup import Found
from app.operations.signing_keys import owner_of
from models import Certificate, StoredFile


@dataclass(frozen=True)
class Verified:
    """What is said of a file. `certificate` is what the record says of it now, masked; None where the file proves nothing."""

    untouched: bool
    sentence: str
    signer: str = ""
    signed_at: datetime | None = None
    timestamped: bool = False
    certificate: Found | None = None


def _as_kept(number: str, pdf: bytes) -> bool:
    """Whether this is the very file that was handed out. A signature does not cover the room that is left over for itself, so a byte
    changed there is found only so."""
    stored = db.session.scalars(select(StoredFile).join(Certificate, Certificate.file_id == StoredFile.id)
                                .where(Certificate.number == number)).first()
    let_go()
    try:
        return stored is not None and files.read(stored) == pdf
    except GatewayError:
        raise PortalError(_("暂时无法核验，请稍后再试。")) from None


def verify(pdf: bytes) -> Verified:
    """Examine a file. Raises `Invalid` for one that is too big or no PDF."""
    if len(pdf) > signing.MOST_BYTES:
        raise Invalid(_("文件超过 %(n)s MB，不是本平台的证书。", n=signing.MOST_BYTES // 1024 // 1024), "file")
    if not pdf.startswith(b"%PDF-"):
        raise Invalid(_("这不是 PDF 文件。请上传从本平台下载的证书。"), "file")
    let_go()
    verdict = signing.examine(pdf)
    if verdict.state == "unsigned":
        return Verified(False, _("文件没有电子签名，不是从本平台下载的证书原件。"))
    if verdict.state == "unreadable":
        return Verified(False, _("文件已损坏或被修改，无法核验。"))
    signer = owner_of(verdict.fingerprint) if verdict.fingerprint else None
    if verdict.fingerprint and signer is None:
        return Verified(False, _("文件不是由本平台的发证机关签名的。"))
    if verdict.state != "untouched" or not _as_kept(verdict.number, pdf):
        return Verified(False, _("文件在签名之后被修改过，不能采信。"), signer or "")
    return Verified(True, _("文件自签名以来没有被修改。"), signer or "", verdict.timestamped or verdict.signed_at,
                    verdict.timestamped is not None, lookup.by_code(verdict.number))
