"""Timestamps by a service that speaks RFC 3161: a signed PDF carries a valid one, or none is signed and somebody is told."""

from __future__ import annotations

import hashlib
import io
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from app.extensions import db, gateways
from app.gateways import GatewayError
from app.gateways.timestamps import TimestampGateway
from app.operations import certificates, verification
from models import Certificate, Job, StoredFile

DIGEST = hashlib.sha256(b"x").digest()
# Not an answer, no token, or a token that proves nothing of ours.
FAULTS = {"500": "HTTP 500", "timeout": "timed out", "half": "IncompleteRead", "garbage": "not an answer", "rubbish": "not an answer",
          "refuse": "rejection: the clock is away; time_not_available", "foreign": "over another digest", "stale": "another request",
          "forged": "its signature is not right", "usage": "not for time stamping"}


@pytest.fixture
def service(standins: Any) -> TimestampGateway:
    return TimestampGateway(f"{standins.url}/timestamp/")


def test_a_token_is_over_the_digest_and_from_the_moment_of_the_service(service: TimestampGateway, standins: Any, clock: Any) -> None:
    from asn1crypto import cms

    token = cms.ContentInfo.load(service.stamp(DIGEST))
    info = token["content"]["encap_content_info"]["content"].parsed
    assert info["message_imprint"]["hashed_message"].native == DIGEST
    assert info["gen_time"].native == clock.moment
    assert [each["digest"] for each in standins.control("timestamp", "stamps.json")] == [DIGEST.hex()]


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_is_no_token_of_ours_is_passing_trouble(service: TimestampGateway, standins: Any, fault: str) -> None:
    standins.control("timestamp", "settings", {"next_answers": [fault], "timeout_s": 1})
    asked = service if fault != "timeout" else TimestampGateway(f"{standins.url}/timestamp/", timeout=0.3)
    with pytest.raises(GatewayError, match=FAULTS[fault]) as caught:
        asked.stamp(DIGEST)
    assert caught.value.permanent is False
    service.stamp(DIGEST)


def test_the_service_refuses_what_is_no_request(standins: Any) -> None:
    from asn1crypto import core, tsp

    class Refusal(core.Sequence):
        _fields = [("status", tsp.PKIStatusInfo)]

    address, kind = f"{standins.url}/timestamp/", {"Content-Type": "application/timestamp-query"}
    short = tsp.TimeStampReq({"version": "v1", "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": b"x"}})
    for body, why in ((b"x", "bad_data_format"), (short.dump(), "bad_alg")):
        answer = Refusal.load(standins.http.post(address, data=body, headers=kind, timeout=5).content)
        assert (answer["status"]["status"].native, answer["status"]["fail_info"].native) == ("rejection", {why})
    assert standins.http.post(address, data=b"x", timeout=5).status_code == 415


@pytest.fixture
def stamping(app: Any, service: TimestampGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """The portal with SIGNING_TIMESTAMP_URL set."""
    from dataclasses import replace

    monkeypatch.setitem(app.extensions, "gateways", replace(gateways(), timestamps=service))


def rendered(make: Any, run_jobs: Any) -> Job:
    certificates.run_issue(make.report(people=2).id, lambda done, total: None)
    run_jobs()
    return db.session.scalars(select(Job).where(Job.name == "render_certificates")).one()


def kept() -> int:
    return db.session.scalar(select(func.count()).where(StoredFile.kind == "certificate")) or 0


def test_a_signed_pdf_carries_a_valid_timestamp_and_says_so(stamping: None, make: Any, login: Any, client: Any, run_jobs: Any,
                                                          clock: Any) -> None:
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation import validate_pdf_signature
    from pyhanko_certvalidator import ValidationContext

    clock.advance(days=-1)
    assert rendered(make, run_jobs).state == "done"
    certificate = db.session.scalars(select(Certificate)).first()
    pdf = login("hjp").get(f"/certificates/{certificate.id}/certificate.pdf").data
    signature = PdfFileReader(io.BytesIO(pdf)).embedded_regular_signatures[0]
    own = ValidationContext(trust_roots=[signature.signer_cert])
    service = validate_pdf_signature(signature, own).timestamp_validity.signing_cert
    status = validate_pdf_signature(signature, own, ts_validation_context=ValidationContext(trust_roots=[service]))
    stamp = status.timestamp_validity
    assert (status.bottom_line, stamp.intact, stamp.valid, stamp.trusted) == (True, True, True, True)
    assert stamp.timestamp == clock.moment, "the moment is the service's word, and nobody else's"
    found = verification.verify(pdf)
    assert (found.untouched, found.timestamped, found.signed_at) == (True, True, clock.moment)
    assert "时间戳证明" in client.post("/verify/", data={"file": (io.BytesIO(pdf), "x.pdf")}).text


@pytest.mark.parametrize("fault", ["500", "rubbish", "foreign"])
def test_while_the_service_is_away_nothing_is_signed_and_it_goes_on_by_itself(stamping: None, make: Any, login: Any, run_jobs: Any,
                                                                           standins: Any, clock: Any, fault: str) -> None:
    standins.control("timestamp", "settings", {"next_answers": [fault] * 50})
    job = rendered(make, run_jobs)
    certificate = db.session.scalars(select(Certificate)).first()
    client, path = login("hangzhou"), f"/certificates/{certificate.id}/certificate.pdf"
    assert (job.state, job.error.startswith("timestamp"), kept()) == ("waiting", True, 0)
    answer = client.get(path)
    assert (answer.status_code, kept()) == (503, 0)
    assert "暂时不可用" in answer.text
    assert "稍后自动补齐" in client.get(f"/certificates/issue/{job.subject_id}").text
    standins.control("timestamp", "settings", {"next_answers": []})
    clock.set(job.due_at + timedelta(seconds=1))
    run_jobs()
    assert (job.state, kept()) == ("done", 2)
    assert client.get(path).status_code == 200
