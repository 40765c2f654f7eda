"""The application of all stand-ins: its index page, its clock, and the control settings common to all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask, Response, abort, jsonify, render_template, request

from standins import alipay, exam, invoice, ministry, sms, timestamps
from standins.keys import ensure_keys
from standins.state import State, shanghai_text

# What `reset` forgets, by stand-in.
KINDS = {
    "alipay": ("trade", "notification", "merchant", "bill"),
    "sms": ("message", "nonce"),
    "invoice": ("invoice", "red_form", "invoice_token"),
    "exam": ("session",),
    "ministry": ("certificate", "arrival"),
    "timestamp": ("stamp",),
}


def make_app(state_dir: Path, values: Mapping[str, str]) -> Flask:
    """See `standins.create_app`."""
    app = Flask("standins", root_path=str(Path(__file__).parent))
    keys = ensure_keys(state_dir)
    state = State(state_dir)
    app.extensions["standins"] = state
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.jinja_env.globals["shanghai"] = lambda text: shanghai_text(datetime.fromisoformat(text))
    app.register_blueprint(alipay.make_blueprint(state, values, keys))
    for module in (sms, invoice, exam, ministry, timestamps):
        app.register_blueprint(module.make_blueprint(state, values))

    @app.get("/")
    def index() -> str:
        return render_template("index.html", counts={name: state.count(kinds[0]) for name, kinds in KINDS.items()})

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    _add_control(app, state)
    return app


def _add_control(app: Flask, state: State) -> None:
    @app.route("/_control/clock", methods=["GET", "POST"])
    def clock() -> Response:
        """Move the stand-ins' clock: {"now": ISO, aware} sets it, {"offset_s": n} shifts it against the real one;
        with "stopped" it stands still at `now`."""
        if request.method == "POST":
            wish = request.get_json()
            offset = float(wish.get("offset_s", 0))
            if wish.get("stopped"):
                state.put("settings", "clock", {"stopped_at": wish["now"]})
                return jsonify(now=state.now().isoformat())
            if "now" in wish:
                offset = (datetime.fromisoformat(wish["now"]) - datetime.now(UTC)).total_seconds()
            state.put("settings", "clock", {"offset_s": offset})
        return jsonify(now=state.now().isoformat())

    @app.route("/<system>/_control/settings", methods=["GET", "POST"])
    def settings(system: str) -> Response:
        """Read the control settings of one stand-in, or put some in."""
        if system not in KINDS:
            abort(404)
        with state.lock:
            if request.method == "POST":
                state.put("settings", system, state.settings(system) | request.get_json())
            return jsonify(state.settings(system))

    @app.post("/<system>/_control/reset")
    def reset(system: str) -> Response:
        """Forget what one stand-in has, and its control settings."""
        if system not in KINDS:
            abort(404)
        state.clear(*KINDS[system])
        state.put("settings", system, {})
        return jsonify(status="ok")
