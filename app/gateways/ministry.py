"""The ministry's certificate register, over the protocol of docs/ministry-protocol.md."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import quote

from app.gateways.errors import GatewayError
from app.gateways.web import TIMEOUT_S, bearer, call_json, encode, open_session

if TYPE_CHECKING:
    from requests import Session

# The register's code where another content stands under the number.
TAKEN = "1002"


@dataclass(frozen=True)
class CertificateRecord:
    """One certificate as the ministry keeps it; `status` is valid, revoked or replaced, `replaces` the number of the
    certificate in whose place it was issued, or ""."""

    number: str
    name: str
    id_number: str
    occupation_code: str
    occupation: str
    level: str
    institution: str
    issued_on: date
    status: str
    replaces: str = ""


class MinistryGateway:
    """Pushes certificates (M1, J1)."""

    def __init__(self, url: str, token: str, *, timeout: float = TIMEOUT_S) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._timeout = timeout
        # A connection that stays open for each thread: a thousand certificates do not shake hands a thousand times.
        self._lines = threading.local()

    def push(self, record: CertificateRecord) -> None:
        """Put one certificate on the register. Idempotent by number: the same content again is a success.

        Returns only on a complete answer that says code 0. Raises `GatewayError`: permanent when the register refuses the
        content (code 1000 to 1999, another 4xx) or holds other content under this number (409); passing otherwise, also
        when the answer was lost or cut short and it is unknown whether the record arrived.
        """
        content = asdict(record) | {"issued_on": record.issued_on.isoformat()}
        answer = call_json(
            "PUT", f"{self._url}/certificates/{quote(record.number, safe='')}", body=encode(content),
            headers=bearer(self._token), timeout=self._timeout, session=self._session(),
        )
        code = answer.body.get("code")
        if answer.status in (200, 201) and code == 0:
            return
        refused = 400 <= answer.status < 500 or (type(code) is int and 1000 <= code < 2000)
        raise GatewayError(
            f"ministry: HTTP {answer.status}, code {code}: {answer.reason}", permanent=refused, code=str(code or answer.status),
            words=answer.reason)

    def _session(self) -> Session:
        session: Session | None = getattr(self._lines, "session", None)
        if session is None:
            session = self._lines.session = open_session(self._url)
        return session
