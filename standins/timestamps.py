"""Stand-in of a time-stamping authority: RFC 3161 over HTTP, signed with a certificate of its own."""

from __future__ import annotations

import hashlib
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
def _authority(day: datetime, usage: str) -> Any:
    """pyHanko's time stamper with a key and a certificate that it has signed itself, good from the day before for ten years. Drawn when
    first asked for; a token carries its certificate, so nothing hangs on it afterwards."""
    from asn1crypto import cms, core
    from asn1crypto import x509 as asn1
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    from pyhanko.sign.general import as_signing_certificate_v2
    from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"), x509.NameAttribute(NameOID.COMMON_NAME, "时间戳服务（演示）")])
    own = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
           .serial_number(x509.random_serial_number()).not_valid_before(day - timedelta(days=1)).not_valid_after(day + timedelta(days=3653))
           .add_extension(x509.ExtendedKeyUsage([getattr(ExtendedKeyUsageOID, usage)]), critical=True).sign(key, hashes.SHA256()))

    class Stamper(DummyTimeStamper):  # type: ignore[misc]
        """Its own way to sign reads the key anew each time, which takes 50 ms."""

        def _sign_tst_info(self, tst_info_data: bytes, md_algorithm: str, dt: datetime) -> tuple[bytes, Any]:
            kind: Any = getattr(hashes, md_algorithm.upper())()
            attributes = cms.CMSAttributes([{"type": name, "values": (value,)} for name, value in (
                ("content_type", "tst_info"), ("signing_time", cms.Time({"utc_time": core.UTCTime(dt)})),
                ("signing_certificate_v2", as_signing_certificate_v2(self.tsa_cert)),
                ("message_digest", hashlib.new(md_algorithm, tst_info_data).digest()))])
            return key.sign(attributes.dump(), padding.PKCS1v15(), kind), attributes

    return Stamper(asn1.Certificate.load(own.public_bytes(serialization.Encoding.DER)), None)


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
    with state.lock:
        stamper = _authority(now.replace(hour=0, minute=0, second=0), "CODE_SIGNING" if fault == "usage" else "TIME_STAMPING")
        stamper.fixed_dt = now
        answer = stamper.request_tsa_response(asked)
    if fault == "forged":
        signer = answer["time_stamp_token"]["content"]["signer_infos"][0]
        signer["signature"] = bytes(256)
    state.add("stamp", {"digest": digest.hex(), "at": now.isoformat()})
    token: bytes = answer.dump()
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
