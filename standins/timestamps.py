"""Stand-in of a time-stamping authority: RFC 3161 over HTTP, signed with a certificate of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, render_template, request

from standins.faults import Faults
from standins.state import State

if TYPE_CHECKING:
    from datetime import datetime

QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"
DIGESTS = {"sha256": 32, "sha384": 48, "sha512": 64}


@lru_cache(maxsize=2)
def _authority(day: datetime, usage: str) -> tuple[Any, Any]:
    """A key and a certificate that it has signed itself, good from the day before for ten years. Drawn when first asked for; a token
    carries its certificate, so nothing hangs on it afterwards."""
    from asn1crypto import keys
    from asn1crypto import x509 as asn1
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"), x509.NameAttribute(NameOID.COMMON_NAME, "时间戳服务（演示）")])
    own = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
           .serial_number(x509.random_serial_number()).not_valid_before(day - timedelta(days=1)).not_valid_after(day + timedelta(days=3653))
           .add_extension(x509.ExtendedKeyUsage([getattr(ExtendedKeyUsageOID, usage)]), critical=True).sign(key, hashes.SHA256()))
    private = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return keys.PrivateKeyInfo.load(private), asn1.Certificate.load(own.public_bytes(serialization.Encoding.DER))


def _refusal(why: str, words: str) -> bytes:
    from asn1crypto import core, tsp

    class Refusal(core.Sequence):  # type: ignore[misc]
        """A TimeStampResp without a token, which asn1crypto's own cannot be."""

        _fields = [("status", tsp.PKIStatusInfo)]

    refused: bytes = Refusal({"status": {"status": "rejection", "status_string": [words], "fail_info": {why}}}).dump()
    return refused


def stamped(state: State, data: bytes, fault: str) -> bytes:
    """The answer to a request: a token, or why there is none. `fault` is `refuse`, `rubbish`, or what is wrong with the token: `foreign`
    (over another digest), `stale` (the answer to another request), `forged` (a signature that is none), `usage` (a certificate that is
    for something else)."""
    from asn1crypto import tsp
    from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper

    try:
        asked = tsp.TimeStampReq.load(data, strict=True)
        imprint = asked["message_imprint"]
        digest, size = imprint["hashed_message"].native, DIGESTS.get(imprint["hash_algorithm"]["algorithm"].native)
    except (ValueError, TypeError):
        return _refusal("bad_data_format", "not a request")
    if size is None or len(digest) != size:
        return _refusal("bad_alg", "no such digest")
    if fault == "refuse":
        return _refusal("time_not_available", "the clock is away")
    if fault == "rubbish":
        return b"\x30\x03\x02\x01\x07"
    if fault == "foreign":
        imprint["hashed_message"] = bytes(size)
    if fault == "stale":
        asked["nonce"] = 7
    now = state.now().replace(microsecond=0)
    key, own = _authority(now.replace(hour=0, minute=0, second=0), "CODE_SIGNING" if fault == "usage" else "TIME_STAMPING")
    answer = DummyTimeStamper(own, key, fixed_dt=now).request_tsa_response(asked)
    if fault == "forged":
        signer = answer["time_stamp_token"]["content"]["signer_infos"][0]
        signer["signature"] = bytes(256)
    state.add("stamp", {"digest": digest.hex(), "at": now.isoformat()})
    token: bytes = answer.dump(force=True)
    return token


def make_blueprint(state: State, _values: Mapping[str, str]) -> Blueprint:
    """The routes below /timestamp."""
    pages = Blueprint("timestamp", __name__, url_prefix="/timestamp")
    faults = Faults("timestamp", state)

    @pages.post("/")
    def stamp() -> Response:
        def work(fault: str) -> Response:
            if request.mimetype != QUERY:
                return Response("send application/timestamp-query", 415, mimetype="text/plain")
            return Response(stamped(state, request.get_data(), fault), 200, mimetype=REPLY)

        return faults.around(work)

    @pages.get("/")
    def stamps() -> str:
        return render_template("timestamps.html", stamps=state.all("stamp", newest=500))

    @pages.get("/_control/stamps.json")
    def control_stamps() -> Response:
        """What was stamped: digest and moment."""
        return jsonify(state.all("stamp"))

    return pages
