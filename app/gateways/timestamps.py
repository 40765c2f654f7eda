"""A time-stamping authority (RFC 3161 over HTTP): it vouches for the moment at which a digest was there."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING, Any

from app.gateways.errors import GatewayError
from app.gateways.web import TIMEOUT_S, open_session, send

if TYPE_CHECKING:
    from requests import Session

HEADERS = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
GRANTED = ("granted", "granted_with_mods")


class TimestampGateway:
    """Gets timestamps. pyHanko's own client would do, but it looks neither at the digest nor at the signature of what came back:
    a signed PDF would carry a stamp that every reader shows as broken."""

    def __init__(self, url: str, *, timeout: float = TIMEOUT_S) -> None:
        self._url = url
        self._timeout = timeout
        self._lines = threading.local()

    def stamp(self, digest: bytes) -> bytes:
        """The timestamp token (DER) over a SHA-256 digest.

        Returns only a token that is whole, over this digest, in answer to this request, and rightly signed with a certificate for time
        stamping. Raises `GatewayError`, always passing: with the next request the same PDF may be stamped, by this service or another.
        """
        from asn1crypto import tsp

        nonce = int.from_bytes(os.urandom(8), "big")
        request = tsp.TimeStampReq({
            "version": "v1", "nonce": nonce, "cert_req": True,
            "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest}})
        status, data = send("POST", self._url, body=request.dump(), headers=HEADERS, timeout=self._timeout, session=self._session())
        if status != 200:
            raise GatewayError(f"timestamp: HTTP {status}", permanent=False, code=str(status))
        try:
            return _token(data, digest, nonce)
        except (ValueError, TypeError, LookupError, AttributeError) as error:  # the ways in which asn1crypto says that it is none
            why = f"timestamp: not an answer to what was asked: {type(error).__name__}: {error}"
            raise GatewayError(why[:300], permanent=False) from error

    def _session(self) -> Session:
        session: Session | None = getattr(self._lines, "session", None)
        if session is None:
            session = self._lines.session = open_session(self._url)
        return session


def _token(data: bytes, digest: bytes, nonce: int) -> bytes:
    """The token in an answer. Raises `GatewayError` for a refusal, and one of many errors for what is no token of ours."""
    from asn1crypto import core, tsp

    class Answer(core.Sequence):  # type: ignore[misc]
        """asn1crypto's own takes the token for required; a refusal has none (RFC 3161, 2.4.2)."""

        _fields = [("status", tsp.PKIStatusInfo), ("time_stamp_token", tsp.ContentInfo, {"optional": True})]

    answer = Answer.load(data, strict=True)
    verdict = answer["status"]
    if verdict["status"].native not in GRANTED:
        said = "; ".join([*(verdict["status_string"].native or ()), *(verdict["fail_info"].native or ())])
        raise GatewayError(f"timestamp: {verdict['status'].native}: {said}"[:300], permanent=False)
    signed = answer["time_stamp_token"]["content"]
    content = signed["encap_content_info"]["content"]
    imprint = content.parsed["message_imprint"]
    if imprint["hash_algorithm"]["algorithm"].native != "sha256" or imprint["hashed_message"].native != digest:
        raise ValueError("it is over another digest")
    if content.parsed["nonce"].native != nonce:
        raise ValueError("it answers another request")
    _check_signature(signed, bytes(content))
    return bytes(answer["time_stamp_token"].dump())


def _check_signature(signed: Any, content: bytes) -> None:
    from pyhanko.sign.general import extract_signer_info
    from pyhanko.sign.validation.generic_cms import extract_certs_for_validation, validate_sig_integrity

    signer = extract_signer_info(signed)
    certificate = extract_certs_for_validation(signed).signer_cert
    usage = certificate.extended_key_usage_value
    if usage is None or "time_stamping" not in usage.native:
        raise ValueError("its certificate is not for time stamping")
    actual = hashlib.new(signer["digest_algorithm"]["algorithm"].native, content).digest()
    if validate_sig_integrity(signer, certificate, "tst_info", actual) != (True, True):
        raise ValueError("its signature is not right")
