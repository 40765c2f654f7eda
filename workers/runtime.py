"""The application of a worker process, built once before it forks for its jobs."""

from __future__ import annotations

import gc

from flask import Flask

from config import load

_application: Flask | None = None


def application() -> Flask:
    """The preloaded application of this process."""
    global _application
    if _application is None:
        from app import create_app

        _application = create_app(load())
        gc.freeze()  # what is loaded stays: it is not looked through again whenever a job makes ten thousand rows
    return _application
