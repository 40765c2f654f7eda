"""The stand-ins of the outside systems in a thread, over real HTTP, for tests.

    with running_standins(tmp_path) as s:
        gateways = build(SimpleNamespace(**s.settings(), storage_url=...))
        s.control("alipay", "settings", {"notify": "off"})
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
from werkzeug.serving import make_server

from standins import AGREED, create_app
from standins.keys import ensure_keys

VALUES = {
    "alipay_app_id": "2021000000000001",
    "alipay_seller_id": "2088000000000001",
    "sms_access_key_id": "demo",
    "sms_access_key_secret": "sms-secret",
    "sms_sign_name": "建设工人培训",
    "sms_template_code": "SMS_000000001",
    "sms_notice_templates": "submit=SMS_000000101,withdraw=SMS_000000103,accept=SMS_000000104,approve=SMS_000000105,"
                            "reject=SMS_000000106,order_paid=SMS_000000107,person_mismatch=SMS_000000108",
    "invoice_app_key": "demo",
    "invoice_app_secret": "invoice-secret",
    "invoice_seller_tax_number": "91330100MA2AAAA05G",
    "exam_token": "exam-token",
    "ministry_token": "ministry-token",
}


class RunningStandins:
    """A running server: `url`, and ways to look and to meddle."""

    def __init__(self, port: int, state_dir: Path, values: Mapping[str, str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self._values = dict(values)
        self._keys = ensure_keys(state_dir)
        self.http = requests.Session()
        self.http.trust_env = False

    def settings(self) -> dict[str, str]:
        """The settings the gateways need to meet this server (all but `storage_url`)."""
        return {
            **self._values,
            "alipay_gateway_url": f"{self.url}/alipay/gateway.do",
            "alipay_private_key": self._keys["app_private"].read_text(encoding="ascii"),
            "alipay_public_key": self._keys["alipay_public"].read_text(encoding="ascii"),
            "sms_endpoint": f"{self.url}/sms",
            "invoice_url": f"{self.url}/invoice",
            "invoice_token_url": f"{self.url}/invoice/accessToken",
            "invoice_seller_name": "建设工人培训演示收款单位",
            "exam_url": f"{self.url}/exam",
            "ministry_url": f"{self.url}/ministry",
            "signing_timestamp_url": "none",
        }

    def environ(self) -> dict[str, str]:
        """The same settings as environment variables."""
        return {name.upper(): value for name, value in self.settings().items()}

    def control(self, system: str, verb: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call `/<system>/_control/<verb>`: GET without a body, POST with one. Raises on a refusal."""
        address = f"{self.url}/{system}/_control/{verb}"
        answer = self.http.get(address, timeout=30) if body is None else self.http.post(address, json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def set_time(self, moment: datetime, *, stopped: bool = False) -> None:
        """Let the stand-ins' clock start from this moment (aware), or stand still at it; do so whenever a test moves the portal's."""
        self.http.post(f"{self.url}/_control/clock", json={"now": moment.isoformat(), "stopped": stopped}, timeout=30).raise_for_status()

    def reset(self) -> None:
        """Forget everything."""
        for system in ("alipay", "sms", "invoice", "exam", "ministry", "timestamp"):
            self.control(system, "reset", {})
        self.http.post(f"{self.url}/_control/clock", json={"offset_s": 0}, timeout=30).raise_for_status()

    def open_pay_page(self, pay_url: str) -> str:
        """What the buyer's browser does first: the trade begins. Returns the page."""
        answer = self.http.get(pay_url, timeout=30)
        return answer.text

    def pay(self, pay_url: str, order_no: str, *, paid_at: datetime | None = None, notify: bool = True,
            even_if_late: bool = False) -> dict[str, Any]:
        """Open the pay page and pay; the notification goes out in the background unless `notify` is false."""
        self.open_pay_page(pay_url)
        wish = {"order_no": order_no, "notify": notify, "even_if_late": even_if_late}
        return dict(self.control("alipay", "pay", wish | ({"paid_at": paid_at.isoformat()} if paid_at else {})))

    def notification(self, order_no: str, *, fields: Mapping[str, str] | None = None,
                     tamper: Mapping[str, str] | None = None) -> dict[str, str]:
        """A signed notification as a form, for a test client to post: `fields` before signing, `tamper` after."""
        return dict(self.control("alipay", "form", {
            "order_no": order_no, "fields": dict(fields or {}), "tamper": dict(tamper or {}),
        }))

    def last_code(self, phone: str) -> str:
        """The code in the newest message to this number."""
        for message in self.control("sms", "outbox.json"):
            if message["phone"] == phone:
                return str(message["params"]["code"])
        raise AssertionError(f"no message to {phone}")


@contextmanager
def running_standins(
    state_dir: Path, *, values: Mapping[str, str] | None = None, port: int = 0
) -> Iterator[RunningStandins]:
    """Serve the stand-ins in a thread until the block ends. The state in `state_dir` outlives it."""
    agreed = {name: (values or VALUES)[name] for name in AGREED}
    app = create_app(state_dir, agreed)
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    running = RunningStandins(server.server_port, state_dir, agreed)
    try:
        yield running
    finally:
        running.http.close()
        app.extensions["standins"].close()
        server.shutdown()
        thread.join()
        server.server_close()
