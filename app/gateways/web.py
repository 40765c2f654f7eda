"""One way to speak HTTP, and JSON over it, with an outside system, and to tell passing trouble from a refusal."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.gateways.errors import GatewayError

if TYPE_CHECKING:
    from requests import Session

TIMEOUT_S = 10.0
LIMIT_BYTES = 20 * 1024 * 1024
LOOPBACK = re.compile(r"https?://(127\.|localhost[:/]|\[::1\])")


@dataclass(frozen=True)
class Answer:
    """A complete answer: the HTTP status and the JSON object of its body."""

    status: int
    body: dict[str, Any]

    @property
    def reason(self) -> str:
        return str(self.body.get("message") or self.body.get("describe") or "")[:300]


def download(url: str, *, timeout: float = TIMEOUT_S) -> bytes:
    """The bytes at `url`, 20 MiB at most. Raises `GatewayError` (passing) for anything but a complete 200."""
    status, data = send("GET", url, timeout=timeout)
    if status != 200:
        raise GatewayError(f"GET {_plain(url)}: HTTP {status}", permanent=False, code=str(status))
    return data


def call_json(
    method: str, url: str, *, body: bytes | None = None, headers: dict[str, str] | None = None, timeout: float = TIMEOUT_S,
    session: Session | None = None,
) -> Answer:
    """Send `body` (JSON text, in UTF-8) and return the answer, whatever its status below 500. `session` is one of
    `open_session` that this thread keeps; without it the connection is closed afterwards.

    Raises `GatewayError`, always passing: no connection, time-out, a body cut short, a body that is no JSON object, 401 and
    403 (a wrong key is the operator's to mend, the request itself is not at fault), 408, 429 and every 5xx.
    """
    status, data = send(method, url, body=body, headers={"Accept": "application/json", **(headers or {})}, timeout=timeout, session=session)
    if status >= 500 or status in (401, 403, 408, 429):
        raise GatewayError(f"{method} {_plain(url)}: HTTP {status}: {_start(data)}", permanent=False, code=str(status))
    try:
        parsed = json.loads(data)
    except ValueError as error:
        raise GatewayError(f"{method} {_plain(url)}: HTTP {status}, not JSON: {_start(data)}", permanent=False) from error
    if not isinstance(parsed, dict):
        raise GatewayError(f"{method} {_plain(url)}: HTTP {status}, not a JSON object", permanent=False)
    return Answer(status, parsed)


def bearer(token: str) -> dict[str, str]:
    """The headers of a JSON request that carries a bearer token."""
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json; charset=utf-8"}


def encode(body: object) -> bytes:
    """JSON text in UTF-8, the same bytes for the same content."""
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def open_session(url: str) -> Session:
    """A session whose connections stay open between requests, for one thread."""
    import requests  # here: a fifteenth of a second that a start need not wait for

    session = requests.Session()
    session.trust_env = not LOOPBACK.match(url)  # a proxy of the environment is not for this machine itself
    return session


def send(method: str, url: str, *, body: bytes | None = None, headers: dict[str, str] | None = None, timeout: float = TIMEOUT_S,
         session: Session | None = None) -> tuple[int, bytes]:
    """Send bytes; the status and the bytes of a complete answer, 20 MiB at most. Raises `GatewayError` (passing) where there is none."""
    import requests

    try:
        # Redirects are refused: none of these protocols has them, and a token must not follow one.
        with nullcontext(session) if session is not None else open_session(url) as line, line.request(
            method, url, data=body, headers=headers or {}, timeout=timeout, allow_redirects=False, stream=True
        ) as response:
            data = bytearray()
            for chunk in response.iter_content(65536):
                data += chunk
                if len(data) > LIMIT_BYTES:
                    raise GatewayError(f"{method} {_plain(url)}: answer over {LIMIT_BYTES} bytes", permanent=False)
            return response.status_code, bytes(data)
    except (requests.RequestException, OSError) as error:
        raise GatewayError(f"{method} {_plain(url)}: {plain_reason(error)}", permanent=False) from error


def plain_reason(error: Exception) -> str:
    """What went wrong, without the query of any address in it: that may carry keys, phone numbers and codes."""
    return f"{type(error).__name__}: {re.sub(r'[?][^ ]*', '', str(error))}"[:300]


def _plain(url: str) -> str:
    """The address without its query, which may carry keys."""
    return url.split("?", 1)[0]


def _start(data: bytes) -> str:
    return data[:200].decode("utf-8", "replace")
