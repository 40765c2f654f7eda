"""What the stand-ins remember: JSON documents by kind and key in one SQLite file, and a clock that tests can move."""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


class State:
    """Documents and settings. Hold `lock` (re-entrant) around read-then-write."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self._db = sqlite3.connect(directory / "state.db", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")  # outlives the process, which is all a stand-in promises
        self._db.execute("PRAGMA busy_timeout=5000")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS document (n INTEGER PRIMARY KEY, kind TEXT, key TEXT, body TEXT, UNIQUE (kind, key))"
        )

    def _rows(self, sql: str, *values: str) -> list[Any]:
        """Run one statement. A thread that is still busy when the server closes finds and changes nothing."""
        with self.lock:
            return [] if self.closing.is_set() else self._db.execute(sql, values).fetchall()

    def get(self, kind: str, key: str) -> dict[str, Any] | None:
        rows = self._rows("SELECT body FROM document WHERE kind=? AND key=?", kind, key)
        return dict(json.loads(rows[0][0])) if rows else None

    def put(self, kind: str, key: str, body: dict[str, Any]) -> None:
        text = json.dumps(body, ensure_ascii=False)
        self._rows(
            "INSERT INTO document (kind, key, body) VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET body=?",
            kind, key, text, text,
        )

    def add(self, kind: str, body: dict[str, Any]) -> None:
        """Keep a document under a key of its own."""
        self.put(kind, uuid.uuid4().hex, body)

    def all(self, kind: str, newest: int | None = None) -> list[dict[str, Any]]:
        """Every document of the kind, oldest first; or the `newest` so many, newest first."""
        order = "n" if newest is None else f"n DESC LIMIT {int(newest)}"
        rows = self._rows(f"SELECT body FROM document WHERE kind=? ORDER BY {order}", kind)
        return [dict(json.loads(row[0])) for row in rows]

    def count(self, kind: str) -> int:
        rows = self._rows("SELECT count(*) FROM document WHERE kind=?", kind)
        return int(rows[0][0]) if rows else 0

    def clear(self, *kinds: str) -> None:
        for kind in kinds:
            self._rows("DELETE FROM document WHERE kind=?", kind)

    def settings(self, system: str) -> dict[str, Any]:
        """The control settings of one stand-in."""
        return self.get("settings", system) or {}

    def now(self) -> datetime:
        """The present moment, aware, in UTC, moved or stopped by the control setting `clock`."""
        setting = self.settings("clock")
        if setting.get("stopped_at"):
            return datetime.fromisoformat(setting["stopped_at"])
        return datetime.now(UTC) + timedelta(seconds=float(setting.get("offset_s", 0)))

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until the server closes."""
        if seconds > 0:
            self.closing.wait(seconds)

    def close(self) -> None:
        with self.lock:
            if not self.closing.is_set():
                self.closing.set()
                self._db.close()


def shanghai_text(moment: datetime) -> str:
    """Alipay's and Nuonuo's way to write a time."""
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def from_shanghai(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
