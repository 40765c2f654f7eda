"""证书查验: anyone checks a certificate, from the login page or by its QR code (P1, C17); machines ask for JSON (docs/lookup.md)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Response, jsonify, make_response, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.errors import Invalid
from app.extensions import csrf, limiter
from app.operations import captchas, lookup, maintenance
from app.operations.lookup import Found
from app.presentation import day
from views.base import PortalView, public_page, put_error_on, wants_json
from views.captcha import CaptchaForm
from views.forms import line

# All ways together, for each address: numbers must not be tried out one after another. The empty form is free.
CHECKED = limiter.shared_limit("30 per minute; 300 per day", scope="certificate check",
                               exempt_when=lambda: request.method == "GET" and not request.view_args)


class LookupForm(CaptchaForm):
    """The name and one of two numbers. It is posted: an ID number has no business in an address or a log."""

    name = line(_l("姓名"), 50, required=False, autocomplete="off")
    id_number = line(_l("身份证号"), 18, required=False, autocomplete="off", spellcheck="false")
    number = line(_l("证书编号"), 40, required=False, autocomplete="off", spellcheck="false")

    @property
    def asks(self) -> dict[str, str]:
        return {"name": self.name.data or "", "id_number": self.id_number.data or "", "number": self.number.data or ""}


def lookup_form(number: str = "") -> LookupForm:
    """The form as a page shows it first, its captcha drawn; `number` is what the QR code said."""
    form = LookupForm(formdata=None, data={"number": number})
    form.draw_captcha()
    return form


class CertificateLookup(PortalView):
    """Two things must be known: the name, and the ID number or the certificate's number. What is told is masked."""

    route_base = "/c"
    default_view = "lookup"

    @public_page("/", ("GET", "POST"))
    @CHECKED
    def lookup(self) -> Any:
        if request.method == "GET":
            return self._answer(lookup_form(request.args.get("number", "")[:40]))
        form = LookupForm()
        found = _find(form) if form.validate() else None
        form.draw_captcha()
        return self._answer(form, found), 200 if found is not None else 422

    @public_page("/<string:number>")
    @CHECKED
    def code(self, number: str) -> Any:
        found = lookup.by_code(number[:60])
        if wants_json():
            return _as_json(found)
        return self._answer(lookup_form(number[:40]), [found] if found else []), 200 if found else 404

    @public_page("/check", ("POST",))
    @CHECKED
    def check(self) -> Any:
        """For machines: a certificate's number and its holder's name. They solve no captcha, so ID numbers are not taken here."""
        given = request.get_json(silent=True)
        name, number = (str(given.get(key) or "")[:60] if isinstance(given, dict) else "" for key in ("name", "number"))
        if not (name.strip() and number.strip()):
            return jsonify(message=_("请给出 name（姓名）和 number（证书编号）。")), 422
        found = lookup.find(name=name, number=number)
        return _as_json(found[0] if found else None)

    def _answer(self, form: LookupForm, found: list[Found] | None = None) -> Response:
        """The page, to be kept by no cache and listed by no search engine. `found` is None before anything was asked."""
        return _uncached(make_response(self.page(
            "portal/lookup/lookup.html", title=_("证书查验"), lookup_form=form, found=found, states=lookup.STATES)))


csrf.exempt(CertificateLookup.check)


def _find(form: LookupForm) -> list[Found] | None:
    """What the form asks for; None where it has to be filled in better, which it then says at its fields."""
    asks = form.asks
    try:
        if not asks["name"] or not (asks["id_number"] or asks["number"]):
            raise Invalid(_("请输入姓名，并输入身份证号或证书编号之一。"))
        captchas.spend(form.captcha_token.data or "", form.captcha.data or "", remember=maintenance.current() is None)
    except Invalid as error:
        put_error_on(form, error)
        return None
    return lookup.find(**asks)


def _as_json(found: Found | None) -> Any:
    """What the page says, field by field."""
    if found is None:
        return _uncached(make_response(jsonify(found=False, message=_("没有查到证书"))), json=True), 404
    told = {**asdict(found), "issued_on": day(found.issued_on)}
    return _uncached(make_response(jsonify(found=True, certificate=told)), json=True)


def _uncached(answer: Response, *, json: bool = False) -> Response:
    answer.headers["Cache-Control"] = "private, no-store"
    answer.headers["X-Robots-Tag"] = "noindex, nofollow"
    if not json:
        answer.headers["Vary"] = "Accept"
    return answer
