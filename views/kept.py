"""What a page that asks hands on to its answer: sealed, so that what comes back is what was shown, and of the same thing."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.exceptions import InvalidTag

from app.crypto import vault
from app.errors import Invalid


def keep(values: Any, what: str) -> str:
    """Values that JSON has, as the text of a hidden field; `what` names the thing they are of."""
    return base64.b64encode(vault().seal(json.dumps(values), what)).decode()


def opened(text: str, what: str, refusal: str) -> Any:
    """The way back. Raises `Invalid` with `refusal` for what is of another thing, or was changed."""
    try:
        return json.loads(vault().open(base64.b64decode(text), what))
    except (ValueError, InvalidTag):
        raise Invalid(refusal) from None
