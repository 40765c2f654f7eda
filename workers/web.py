"""The web part: gunicorn with threads, the application built in each of its processes."""

from __future__ import annotations

from typing import Any

from config import Settings, load
from flask import Flask
from gunicorn.app.base import BaseApplication

from workers.supervisor import watch_parent


class Web(BaseApplication):
    """gunicorn, configured by the portal's settings instead of a file of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        values: dict[str, Any] = {
            "bind": f"{'127.0.0.1' if self._settings.mode != 'production' else '0.0.0.0'}:{self._settings.port}",  # noqa: S104
            "workers": self._settings.web_workers, "threads": self._settings.web_threads, "worker_class": "gthread",
            "timeout": 120, "graceful_timeout": 5, "keepalive": 15, "loglevel": "warning", "proc_name": "portal-web",
            "max_requests": 20_000, "max_requests_jitter": 2_000,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        from app import create_app

        return create_app(self._settings)


def main() -> None:
    """Serve until told to stop."""
    watch_parent()
    Web(load()).run()
