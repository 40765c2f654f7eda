"""How the Nuonuo open platform is spoken to: signature, access token, and what its codes mean.

One address, the method in a header, the body signed with HMAC-SHA1. The token of a self-built application is got with key and
secret (`/accessToken`), lasts 24 hours, and may be asked for 50 times in 30 days: so it is kept where all processes find it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
import uuid
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from app.gateways.errors import GatewayError
from app.gateways.web import Answer, call_json, encode

SERVICE = "/open/v1/services"
OK, NOT_FOUND = "E0000", "E9500"
TOKEN_REFUSED = ("070304", "070305")
# Keys and tokens, call limits, and the platform's own trouble: the same request may succeed later.
PASSING_PREFIXES = ("0701", "0703", "0704", "E9999")
# A token this close to its end is not used any more.
SPARE_S = 300


class TokenStore(Protocol):
    """Where the access token is kept between calls."""

    def read(self) -> str | None:
        """The token, unless its time is over."""

    def write(self, token: str, seconds: int) -> None:
        """Keep a token that is good for so many seconds."""


class MemoryTokens:
    """A token for one process."""

    def __init__(self) -> None:
        self._token, self._until = "", 0.0

    def read(self) -> str | None:
        return self._token if time.time() < self._until else None

    def write(self, token: str, seconds: int) -> None:
        self._token, self._until = token, time.time() + seconds


def signature(app_secret: str, path: str, app_key: str, senid: str, nonce: str, timestamp: str, content: bytes) -> str:
    """X-Nuonuo-Sign: base64 of HMAC-SHA1 over the request; `path` is the address's, of which the last three names count."""
    p, version, service = path.rstrip("/").split("/")[-3:]
    head = f"a={service}&l={version}&p={p}&k={app_key}&i={senid}&n={nonce}&t={timestamp}&f="
    return base64.b64encode(hmac.new(app_secret.encode(), head.encode() + content, hashlib.sha1).digest()).decode()


def code_of(answer: Answer) -> str:
    return str(answer.body.get("code") or "")


def refusal(answer: Answer) -> GatewayError:
    """What an answer without success means: refused for good, unless its code is one of passing trouble."""
    code = code_of(answer)
    permanent = code != "" and not code.startswith(PASSING_PREFIXES)
    return GatewayError(f"{answer.reason or 'invoice platform'} ({code})", permanent=permanent, code=code)


class NuonuoPlatform:
    """Signed calls with a token that is renewed when its time is over or the platform refuses it."""

    def __init__(self, url: str, token_url: str, app_key: str, app_secret: str, tokens: TokenStore, timeout: float) -> None:
        self.url = url.rstrip("/") if url.rstrip("/").endswith(SERVICE) else url.rstrip("/") + SERVICE
        self._token_url, self._app_key, self._app_secret = token_url, app_key, app_secret
        self._tokens, self._timeout = tokens, timeout

    def call(self, method: str, content: dict[str, Any], tax_number: str) -> Answer:
        """One call in the name of the company of that tax number. Raises `GatewayError` (passing) without a complete answer."""
        token = self._tokens.read() or self._renew()
        answer = self._send(method, content, tax_number, token)
        if code_of(answer) not in TOKEN_REFUSED:
            return answer
        kept = self._tokens.read()  # another process may have renewed it meanwhile
        return self._send(method, content, tax_number, kept if kept and kept != token else self._renew())

    def _renew(self) -> str:
        form = {"client_id": self._app_key, "client_secret": self._app_secret, "grant_type": "client_credentials"}
        answer = call_json("POST", self._token_url, body=urlencode(form).encode(), timeout=self._timeout,
                           headers={"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"})
        token, seconds = answer.body.get("access_token"), str(answer.body.get("expires_in") or "")
        if not isinstance(token, str) or not token or not seconds.isdigit():
            reason = answer.body.get("error_description") or answer.body.get("error") or answer.reason
            raise GatewayError(f"invoice platform: no access token: {reason}"[:300], permanent=False, code="token")
        self._tokens.write(token, max(int(seconds) - SPARE_S, 1))
        return token

    def _send(self, method: str, content: dict[str, Any], tax_number: str, token: str) -> Answer:
        body = encode(content)
        senid, nonce = uuid.uuid4().hex, str(10_000_000 + secrets.randbelow(90_000_000))
        timestamp = str(int(time.time()))
        query = urlencode({"senid": senid, "nonce": nonce, "timestamp": timestamp, "appkey": self._app_key})
        sign = signature(self._app_secret, urlsplit(self.url).path, self._app_key, senid, nonce, timestamp, body)
        headers = {"Content-Type": "application/json;charset=UTF-8", "X-Nuonuo-Sign": sign, "accessToken": token,
                   "userTax": tax_number, "method": method}
        return call_json("POST", f"{self.url}?{query}", body=body, headers=headers, timeout=self._timeout)
