"""The ministry client against the stand-in register, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest

from app.gateways.errors import GatewayError
from app.gateways.ministry import CertificateRecord, MinistryGateway
from tests.standin_server import RunningStandins, running_standins

RECORD = CertificateRecord(
    number="3320260105000001", name="张三", id_number="330106199001010018", occupation_code="010", occupation="砌筑工",
    level="中级工/四级", institution="杭州建设职业培训学校", issued_on=date(2026, 11, 25), status="valid",
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStandins]:
    with running_standins(tmp_path_factory.mktemp("standins")) as server:
        yield server


@pytest.fixture
def outside(served: RunningStandins) -> RunningStandins:
    served.reset()
    return served


@pytest.fixture
def gateway(outside: RunningStandins) -> MinistryGateway:
    return MinistryGateway(outside.settings()["ministry_url"], outside.settings()["ministry_token"], timeout=0.5)


def registered(outside: RunningStandins) -> dict[str, dict[str, str]]:
    return dict(outside.control("ministry", "certificates.json")["certificates"])


def test_a_certificate_arrives_whole_and_is_listed(outside: RunningStandins, gateway: MinistryGateway) -> None:
    gateway.push(RECORD)
    assert registered(outside)[RECORD.number] == {
        "number": "3320260105000001", "name": "张三", "id_number": "330106199001010018", "occupation_code": "010",
        "occupation": "砌筑工", "level": "中级工/四级", "institution": "杭州建设职业培训学校",
        "issued_on": "2026-11-25", "status": "valid", "replaces": "",
    }
    page = outside.http.get(f"{outside.url}/ministry/", timeout=10).text
    assert "张三" in page
    assert "330106199001010018" not in page


def test_pushing_twice_registers_once_and_is_a_success(outside: RunningStandins, gateway: MinistryGateway) -> None:
    gateway.push(RECORD)
    gateway.push(RECORD)
    answer = outside.control("ministry", "certificates.json")
    assert len(answer["certificates"]) == 1
    assert answer["calls"] == {RECORD.number: 2}


def test_a_revocation_reaches_the_register(outside: RunningStandins, gateway: MinistryGateway) -> None:
    gateway.push(RECORD)
    gateway.push(replace(RECORD, status="revoked"))
    assert registered(outside)[RECORD.number]["status"] == "revoked"


def test_another_certificate_under_the_same_number_is_refused_for_good(
    outside: RunningStandins, gateway: MinistryGateway
) -> None:
    gateway.push(RECORD)
    with pytest.raises(GatewayError) as caught:
        gateway.push(replace(RECORD, name="李四"))
    assert caught.value.permanent is True
    assert registered(outside)[RECORD.number]["name"] == "张三"


@pytest.mark.parametrize("changed", [{"name": ""}, {"id_number": "1"}, {"status": "lost"}])
def test_content_the_register_refuses_under_http_200_is_no_success(
    outside: RunningStandins, gateway: MinistryGateway, changed: dict[str, str]
) -> None:
    with pytest.raises(GatewayError) as caught:
        gateway.push(replace(RECORD, **changed))  # type: ignore[arg-type]
    assert caught.value.permanent is True
    assert caught.value.code == "1001"
    assert registered(outside) == {}


@pytest.mark.parametrize(("fault", "permanent"), [
    ("500", False), ("502", False), ("503", False), ("429", False), ("404", False), ("timeout", False),
    ("garbage", False), ("error", False), ("refuse", True),
])
def test_answers_are_told_apart_as_passing_or_permanent_and_none_is_taken_for_success(
    outside: RunningStandins, gateway: MinistryGateway, fault: str, permanent: bool
) -> None:
    outside.control("ministry", "settings", {"next_answers": [fault], "timeout_s": 3})
    with pytest.raises(GatewayError) as caught:
        gateway.push(RECORD)
    assert caught.value.permanent is permanent
    assert registered(outside) == {}
    gateway.push(RECORD)
    assert len(registered(outside)) == 1


@pytest.mark.parametrize("fault", ["late-500", "late-timeout", "late-garbage", "half"])
def test_a_record_that_arrived_while_its_answer_was_lost_is_pushed_again_without_harm(
    outside: RunningStandins, gateway: MinistryGateway, fault: str
) -> None:
    outside.control("ministry", "settings", {"next_answers": [fault], "timeout_s": 3})
    with pytest.raises(GatewayError) as caught:
        gateway.push(RECORD)
    assert caught.value.permanent is False
    assert len(registered(outside)) == 1
    gateway.push(RECORD)
    assert len(registered(outside)) == 1


def test_a_wrong_token_is_the_operators_to_mend_and_no_certificates_fault(outside: RunningStandins) -> None:
    with pytest.raises(GatewayError) as caught:
        MinistryGateway(outside.settings()["ministry_url"], "wrong").push(RECORD)
    assert caught.value.permanent is False
    assert registered(outside) == {}


def test_a_failure_share_fails_some_and_loses_none(outside: RunningStandins, gateway: MinistryGateway) -> None:
    outside.control("ministry", "settings", {"failure_share": 0.4})
    waiting = [replace(RECORD, number=f"33202601050001{n:02d}") for n in range(20)]
    failures: list[GatewayError] = []
    while waiting:
        try:
            gateway.push(waiting[0])
            waiting.pop(0)
        except GatewayError as error:
            failures.append(error)
    assert failures
    assert not any(error.permanent for error in failures)
    assert len(registered(outside)) == 20


def test_a_register_that_is_not_there_is_passing() -> None:
    with pytest.raises(GatewayError) as caught:
        MinistryGateway("http://127.0.0.1:9", "x").push(RECORD)
    assert caught.value.permanent is False
