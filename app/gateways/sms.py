"""Text messages through Aliyun (Dysmsapi 2017-05-25), by Aliyun's own SDK."""

from __future__ import annotations

import json
import threading
from typing import Any
from urllib.parse import urlsplit

from app.gateways.errors import GatewayError
from app.gateways.web import plain_reason

TIMEOUT_S = 8.0
# Limits, an empty account and Aliyun's own trouble pass; every other isv.* code refuses this very message.
PASSING = {
    "isv.BUSINESS_LIMIT_CONTROL", "isv.DAY_LIMIT_CONTROL", "isv.MONTH_LIMIT_CONTROL", "isv.AMOUNT_NOT_ENOUGH",
    "isv.OUT_OF_SERVICE", "isv.ACCOUNT_ABNORMAL", "isv.PRODUCT_UN_SUBSCRIPT", "isv.PRODUCT_UNSUBSCRIBE",
}


def _client(endpoint: str, key_id: str, key_secret: str, timeout: float) -> Any:
    """The SDK's client. Imported here: the SDK costs a third of a second at start."""
    from alibabacloud_dysmsapi20170525.client import Client
    from alibabacloud_tea_openapi.utils_models import Config

    parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")

    class PathClient(Client):  # type: ignore[misc]  # the SDK has no types
        def call_api(self, params: Any, request: Any, runtime: Any) -> Any:
            # The SDK takes a host only; a path before it (the stand-in's) belongs into the signed path of the request.
            params.pathname = f"{parts.path.rstrip('/')}/"
            return super().call_api(params, request, runtime)

    return PathClient(Config(
        access_key_id=key_id, access_key_secret=key_secret, endpoint=parts.netloc, protocol=parts.scheme,
        connect_timeout=int(timeout * 1000), read_timeout=int(timeout * 1000),
    ))


class AliyunSmsGateway:
    """Sends messages under one signature. Safe to share between threads."""

    def __init__(
        self, endpoint: str, access_key_id: str, access_key_secret: str, sign_name: str, *, timeout: float = TIMEOUT_S
    ) -> None:
        self._settings = (endpoint, access_key_id, access_key_secret, timeout)
        self._sign_name = sign_name
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def _sdk(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = _client(*self._settings)
            return self._made

    def send(self, phone: str, template_code: str, params: dict[str, str]) -> None:
        """Send one message from a template. Not idempotent: a lost answer may mean a message that went out.

        Raises `GatewayError`; `code` is Aliyun's, `isv.BUSINESS_LIMIT_CONTROL` when this number was sent too much
        (1 a minute, 5 an hour, 10 a day for codes).
        """
        from alibabacloud_dysmsapi20170525.models import SendSmsRequest
        from Tea.exceptions import TeaException

        request = SendSmsRequest(
            phone_numbers=phone, sign_name=self._sign_name, template_code=template_code,
            template_param=json.dumps(params, ensure_ascii=False),
        )
        try:
            body = self._sdk.send_sms(request).body
        except TeaException as error:  # no connection, or an HTTP error: keys, signature, throttling
            code = str(getattr(error, "code", "") or "")
            raise GatewayError(f"SMS: {code} {plain_reason(error)}", permanent=False, code=code) from error
        except (OSError, ValueError, AttributeError, TypeError) as error:  # an answer the SDK could not read
            raise GatewayError(f"SMS: {plain_reason(error)}", permanent=False) from error
        code = str(body.code or "")
        if code != "OK":
            permanent = code.startswith("isv.") and code not in PASSING
            raise GatewayError(f"SMS: {code}: {body.message}"[:300], permanent=permanent, code=code)
