"""The Aliyun client against the stand-in, over real HTTP, by Aliyun's own SDK."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.gateways.errors import GatewayError
from app.gateways.sms import AliyunSmsGateway
from tests.standin_server import VALUES, RunningStandins, running_standins

PHONE, TEMPLATE = "13800138000", VALUES["sms_template_code"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStandins]:
    with running_standins(tmp_path_factory.mktemp("standins")) as server:
        yield server


@pytest.fixture
def outside(served: RunningStandins) -> RunningStandins:
    served.reset()
    return served


def make_gateway(outside: RunningStandins, **changed: Any) -> AliyunSmsGateway:
    s = outside.settings() | {k: v for k, v in changed.items() if k != "timeout"}
    return AliyunSmsGateway(
        s["sms_endpoint"], s["sms_access_key_id"], s["sms_access_key_secret"], s["sms_sign_name"],
        timeout=changed.get("timeout", 8.0),
    )


def test_a_code_arrives_and_the_outbox_shows_it_newest_first(outside: RunningStandins) -> None:
    gateway = make_gateway(outside)
    gateway.send(PHONE, TEMPLATE, {"code": "042137"})
    gateway.send("13900139000", TEMPLATE, {"code": "555555"})
    assert outside.last_code(PHONE) == "042137"
    page = outside.http.get(f"{outside.url}/sms/outbox", timeout=10).text
    assert "演示短信" in page
    assert page.index("555555") < page.index("042137")


@pytest.mark.parametrize("changed", [{"sms_access_key_secret": "wrong"}, {"sms_access_key_id": "stranger"}])
def test_a_wrong_key_sends_nothing_and_is_the_operators_to_mend(outside: RunningStandins, changed: dict[str, str]) -> None:
    with pytest.raises(GatewayError) as caught:
        make_gateway(outside, **changed).send(PHONE, TEMPLATE, {"code": "1"})
    assert caught.value.permanent is False
    assert caught.value.code in ("SignatureDoesNotMatch", "InvalidAccessKeyId.NotFound")
    assert outside.control("sms", "outbox.json") == []


def test_the_signature_covers_the_phone_number(outside: RunningStandins) -> None:
    from alibabacloud_dysmsapi20170525.models import SendSmsRequest
    from darabonba.core import DaraCore

    seen: list[Any] = []
    original = DaraCore.do_action

    def redirected(request: Any, options: Any = None) -> Any:
        seen.append(request)
        request.query["PhoneNumbers"] = "13900139000"
        return original(request, options)

    gateway = make_gateway(outside)
    gateway._sdk  # noqa: B018  the SDK is imported before it is patched
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DaraCore, "do_action", staticmethod(redirected))
        with pytest.raises(Exception, match="SignatureDoesNotMatch"):
            gateway._sdk.send_sms(SendSmsRequest(phone_numbers=PHONE, sign_name="x", template_code=TEMPLATE))
    assert len(seen) == 1
    assert outside.control("sms", "outbox.json") == []


@pytest.mark.parametrize(("changed", "template", "phone", "code"), [
    ({"sms_sign_name": "别人"}, TEMPLATE, PHONE, "isv.SMS_SIGNATURE_ILLEGAL"),
    ({}, "SMS_9", PHONE, "isv.SMS_TEMPLATE_ILLEGAL"),
    ({}, TEMPLATE, "12345", "isv.MOBILE_NUMBER_ILLEGAL"),
])
def test_what_aliyun_refuses_in_a_message_is_refused_for_good(
    outside: RunningStandins, changed: dict[str, str], template: str, phone: str, code: str
) -> None:
    with pytest.raises(GatewayError) as caught:
        make_gateway(outside, **changed).send(phone, template, {"code": "1"})
    assert (caught.value.code, caught.value.permanent) == (code, True)
    assert outside.control("sms", "outbox.json") == []


def test_one_a_minute_five_an_hour_ten_a_day_are_the_limits_of_one_number(outside: RunningStandins) -> None:
    gateway = make_gateway(outside)
    start = datetime.now(UTC)
    refusals: list[GatewayError] = []

    def sends_at(minutes: float) -> bool:
        outside.set_time(start + timedelta(minutes=minutes))
        try:
            gateway.send(PHONE, TEMPLATE, {"code": "1"})
        except GatewayError as error:
            refusals.append(error)
            return False
        return True

    assert [sends_at(m) for m in (0, 0.5, 1.1, 2.2, 3.3, 4.4, 5.5)] == [True, False, True, True, True, True, False]
    assert [sends_at(m) for m in (61, 63, 65, 67, 69, 71, 140)] == [True, True, True, True, True, False, False]
    assert sends_at(24 * 60 + 1)
    assert {(error.code, error.permanent) for error in refusals} == {("isv.BUSINESS_LIMIT_CONTROL", False)}
    gateway.send("13900139000", TEMPLATE, {"code": "2"})
    assert outside.last_code("13900139000") == "2"


def test_limits_can_be_switched_off_for_a_test(outside: RunningStandins) -> None:
    outside.control("sms", "settings", {"limits": "off"})
    gateway = make_gateway(outside)
    for n in range(3):
        gateway.send(PHONE, TEMPLATE, {"code": str(n)})
    assert len(outside.control("sms", "outbox.json")) == 3


@pytest.mark.parametrize("fault", ["500", "503", "garbage", "half", "error"])
def test_aliyuns_own_trouble_is_passing(outside: RunningStandins, fault: str) -> None:
    outside.control("sms", "settings", {"next_answers": [fault]})
    with pytest.raises(GatewayError) as caught:
        make_gateway(outside).send(PHONE, TEMPLATE, {"code": "1"})
    assert caught.value.permanent is False


def test_a_silent_or_absent_service_is_passing(outside: RunningStandins) -> None:
    outside.control("sms", "settings", {"next_answers": ["timeout"], "timeout_s": 3})
    for gateway in (make_gateway(outside, timeout=0.3), make_gateway(outside, sms_endpoint="http://127.0.0.1:9/sms")):
        with pytest.raises(GatewayError) as caught:
            gateway.send(PHONE, TEMPLATE, {"code": "042137"})
        assert caught.value.permanent is False
        assert PHONE not in caught.value.detail
        assert "042137" not in caught.value.detail
