"""What a release was made of, remembered in VAR_DIR, so that a start with nothing new skips the release step."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from config import Settings

ROOT = Path(__file__).resolve().parent.parent
# While none of these change, a release writes nothing new. The views name permissions, the packages bring FAB's own.
RELEASED = ("migrations/versions/*.py", "app/permissions.py", "app/security.py", "app/release.py", "app/demo.py",
            "app/dictionaries.py", "app/parameters.py", "app/data/*", "views/*.py", "requirements.txt")


def fingerprint(settings: Settings) -> str:
    """A digest of everything a release writes, of the mode, and of the database it is for."""
    digest = hashlib.sha256(f"{settings.mode}\0{settings.database_url}".encode())
    for pattern in RELEASED:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def code_heads() -> set[str]:
    """The newest migrations in the code: those no other migration builds on."""
    revisions, bases = set(), set()
    for path in (ROOT / "migrations" / "versions").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        revisions |= set(re.findall(r"^revision\b[^=]*=\s*['\"](\w+)", text, re.MULTILINE))
        bases |= set(re.findall(r"^down_revision\b[^=]*=\s*['\"](\w+)", text, re.MULTILINE))
    return revisions - bases


def database_heads(url: str) -> set[str]:
    """The migrations the database says it has; empty when it cannot be read. Plain drivers: a start has no second to
    spare for an ORM."""
    query = "SELECT version_num FROM alembic_version"
    try:
        if url.startswith("sqlite:///"):
            address = f"file:{quote(url.removeprefix('sqlite:///').partition('?')[0])}?mode=ro"
            with closing(sqlite3.connect(address, uri=True)) as connection:
                return {row[0] for row in connection.execute(query)}
        import psycopg

        with psycopg.connect(re.sub(r"^postgresql\+\w+:", "postgresql:", url), connect_timeout=5) as server:
            return {row[0] for row in server.execute(query)}
    except Exception:  # whatever is wrong, the release step meets it too, and says so
        return set()


def read(settings: Settings) -> dict[str, Any] | None:
    """What the last release wrote down, if it still holds for this code and this database; else None."""
    path = settings.var_dir / "released.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if found.get("fingerprint") != fingerprint(settings) or database_heads(settings.database_url) != code_heads():
        return None
    return found


def write(settings: Settings, accounts: list[dict[str, str]]) -> None:
    """Remember a release that has just ended well, and the demonstration's accounts to greet with."""
    settings.var_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"fingerprint": fingerprint(settings), "accounts": accounts}, ensure_ascii=False)
    fresh = settings.var_dir / "released.json.new"
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(settings.var_dir / "released.json")
