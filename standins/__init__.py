"""Stand-ins of the outside systems, for demonstrations and tests: one web application, in a process of its own.

They speak the real protocols, check signatures with keys of their own, keep their state over a restart, and can be told to
misbehave (docs/gateways.md). They refuse to start in production. Nothing here imports the portal.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from flask import Flask


class StandinSettings(Protocol):
    """What both sides must agree on, besides the keys; `config.Settings` has all of it."""

    alipay_app_id: Any
    alipay_seller_id: Any
    sms_access_key_id: Any
    sms_access_key_secret: Any
    sms_sign_name: Any
    sms_template_code: Any
    sms_notice_templates: Any
    invoice_app_key: Any
    invoice_app_secret: Any
    invoice_seller_tax_number: Any
    exam_token: Any
    ministry_token: Any


AGREED = tuple(StandinSettings.__annotations__)


def agreed(settings: object) -> dict[str, str]:
    """The values both sides must agree on, taken from any object that has them as attributes."""
    return {name: str(getattr(settings, name)) for name in AGREED}


def refuse_production(environ: Mapping[str, str] = os.environ) -> None:
    """Raise SystemExit where MODE=production: whoever can reach a stand-in can mark orders as paid."""
    if environ.get("MODE", "").strip() == "production":
        raise SystemExit("stand-ins of outside systems do not start with MODE=production: configure the real systems")


def create_app(state_dir: Path, values: Mapping[str, str]) -> Flask:
    """The application of all stand-ins. `values` as from `agreed`; keys and state live in `state_dir`.

    Raises SystemExit where MODE=production.
    """
    refuse_production()
    from standins.site import make_app

    return make_app(state_dir, values)


def main(port: int, state_dir: Path, values: Mapping[str, str]) -> None:
    """Serve on 127.0.0.1 until the process is ended. Raises SystemExit where MODE=production."""
    refuse_production()
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # the portal's own log is the one to read
    app = create_app(state_dir, values)
    make_server("127.0.0.1", port, app, threaded=True).serve_forever()


def serve(settings: Any) -> None:
    """Serve what `settings` (a `config.Settings`) describes: its `standins_port`, state below its `var_dir`."""
    if settings.mode == "production":
        refuse_production({"MODE": "production"})
    main(settings.standins_port, Path(settings.var_dir) / "standins", agreed(settings))
