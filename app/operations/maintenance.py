"""维护: while the portal is being serviced it says so, and the public look-up goes on (P1).

A file in VAR_DIR says that it is on, so that it needs no database: that may be what is being serviced. Each process looks at every
request, which costs one `stat`. Where web servers run on several machines, the command is given on each.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flask import current_app

from app import clock
from app.errors import Invalid

FILE = "maintenance.json"
MOST_WORDS = 200


@dataclass(frozen=True)
class Maintenance:
    """What a visitor is told. `until` is aware, or None where nobody knows."""

    words: str
    until: datetime | None

    @property
    def seconds_left(self) -> int:
        """For Retry-After: until the announced end, ten minutes where there is none or it has passed."""
        left = int((self.until - clock.now()).total_seconds()) if self.until else 0
        return left if left > 0 else 600


def _place() -> Path:
    folder: Path = current_app.extensions["settings"].var_dir
    return folder / FILE


def current() -> Maintenance | None:
    """What is announced now; None while the portal is open. A file that cannot be read still means that it is closed."""
    try:
        text = _place().read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        said = json.loads(text)
        until = datetime.fromisoformat(said["until"]) if said["until"] else None
        return Maintenance(str(said["words"])[:MOST_WORDS], until)
    except (ValueError, KeyError, TypeError):
        return Maintenance("", None)


def begin(words: str, until: datetime | None) -> None:
    """Close the portal but for the look-up. Raises `Invalid` for an end that has passed."""
    if until is not None and until <= clock.now():
        raise Invalid("the announced end has passed")
    place = _place()
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_suffix(".new")  # whole or not at all: processes look at any moment
    fresh.write_text(json.dumps({"words": words[:MOST_WORDS], "until": until.isoformat() if until else ""}, ensure_ascii=False),
                     encoding="utf-8")
    fresh.replace(place)


def end() -> bool:
    """Open the portal again; False when it was open."""
    try:
        _place().unlink()
    except FileNotFoundError:
        return False
    return True
