"""The web part: gunicorn with threads, the application built once before its processes are forked."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from config import Settings, load


class Web(BaseApplication):
    """gunicorn, configured by the portal's settings instead of a file of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        values: dict[str, Any] = {
            "bind": f"[{self._settings.bind}]:{self._settings.port}",
            "workers": self._settings.web_workers, "threads": self._settings.web_threads, "worker_class": "gthread",
            "timeout": 120, "graceful_timeout": 5, "keepalive": 15, "loglevel": "warning", "proc_name": "portal-web",
            "max_requests": 20_000, "max_requests_jitter": 2_000,
            # The factory opens no connection, so the processes may share what it built: half the start, a third of the memory.
            "preload_app": True,
            "control_socket_disable": True,
            "worker_exit": _leave,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        from app import create_app

        return create_app(self._settings)


def _leave(_server: Any, _worker: Any) -> None:
    """A process that has served its last request ends at once: tearing the interpreter down takes a second."""
    os._exit(0)


def main() -> None:
    """Serve until told to stop."""
    Web(load()).run()
