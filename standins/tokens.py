"""The bearer token and the envelope of the exam system's and the ministry's protocol."""

from __future__ import annotations

import hmac
from typing import Any

from flask import Response, jsonify, request


def has_token(token: str) -> bool:
    """Whether the request at hand carries the token."""
    return hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode())


def envelope(status: int, code: int, message: str, **more: Any) -> Response:
    """The JSON answer both protocols use."""
    answer = jsonify(code=code, message=message, **more)
    answer.status_code = status
    return answer
