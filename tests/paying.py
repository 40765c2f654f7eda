"""What the tests of the Alipay client stand on: the served stand-in, a client, and a portal that takes notifications."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from app.gateways.errors import GatewayError
from app.gateways.payment import AlipayGateway
from tests.standin_server import RunningStandins, running_standins


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStandins]:
    with running_standins(tmp_path_factory.mktemp("standins")) as server:
        yield server


@pytest.fixture
def outside(served: RunningStandins) -> RunningStandins:
    served.reset()
    return served


def make_gateway(outside: RunningStandins, **changed: Any) -> AlipayGateway:
    s = outside.settings() | {k: v for k, v in changed.items() if k != "timeout"}
    return AlipayGateway(
        s["alipay_gateway_url"], s["alipay_app_id"], s["alipay_seller_id"], s["alipay_private_key"],
        s["alipay_public_key"], timeout=changed.get("timeout", 10.0),
    )


@pytest.fixture
def gateway(outside: RunningStandins) -> AlipayGateway:
    return make_gateway(outside)


class Receiver:
    """A portal that only takes notifications: what came, and what to answer next."""

    def __init__(self) -> None:
        self.forms: list[dict[str, str]] = []
        self.answers: list[str] = []
        self.url = ""

    def __call__(self, environ: Any, start: Any) -> Any:
        self.forms.append(Request(environ).form.to_dict())
        answer = self.answers.pop(0) if self.answers else "success"
        return Response(answer)(environ, start)

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.forms) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.forms) >= count


@pytest.fixture
def portal() -> Iterator[Receiver]:
    receiver = Receiver()
    server = make_server("127.0.0.1", 0, receiver, threaded=True)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield receiver
    server.shutdown()
    thread.join()
    server.server_close()


def pay_url(gateway: AlipayGateway, order_no: str = "P1", *, amount: int = 64000, minutes: float = 60,
            subject: str = "培训费", back: str = "http://127.0.0.1:9/back", notify: str = "") -> str:
    expires = datetime.now(UTC) + timedelta(minutes=minutes)
    return gateway.pay_url(order_no, amount, subject, expires, back, notify)


@contextmanager
def refused(permanent: bool) -> Iterator[pytest.ExceptionInfo[GatewayError]]:
    with pytest.raises(GatewayError) as caught:
        yield caught
    assert caught.value.permanent is permanent
