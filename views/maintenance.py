"""While the portal is being serviced: one calm page for everything but the public checks and what watches the portal."""

from __future__ import annotations

from typing import Any

from flask import current_app, g, jsonify, make_response, render_template, request

from app.operations import maintenance
from views.base import wants_json

# The look-up and the check of files, with captcha and languages, the health page, and files of the frame.
OPEN = frozenset(("CertificateLookup", "CertificateVerify", "CaptchaView", "HealthView", "LocaleView", "appbuilder"))


def closed() -> Any:
    """Before each request. A payment's notification is answered 503 too: its sender comes again, for a day and more."""
    if (request.endpoint or "").endswith("static") or request.blueprint in OPEN:
        return None
    found = maintenance.current()
    if found is None:
        return None
    # Nobody is known meanwhile: who is signed in stands in the database, and that may be away.
    g._login_user = current_app.login_manager.anonymous_user()  # type: ignore[attr-defined]
    if wants_json():
        answer = make_response(jsonify(message=found.words), 503)
    else:
        answer = make_response(render_template("portal/maintenance.html", maintenance=found), 503)
    answer.headers["Retry-After"] = str(found.seconds_left)
    answer.headers["Cache-Control"] = "no-store"
    return answer
