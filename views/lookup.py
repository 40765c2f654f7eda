"""证书查验: anyone checks a certificate, from the login page or by its QR code (P1, C17)."""

from __future__ import annotations

from typing import Any

from flask import Response, make_response, request
from flask_babel import gettext as _

from app.extensions import limiter
from app.operations import lookup
from app.operations.lookup import Found
from views.base import PortalView, public_page

# Both pages together, for each address: numbers must not be tried out one after another. The empty form is free.
CHECKED = limiter.shared_limit("30 per minute; 300 per day", scope="certificate check",
                               exempt_when=lambda: not request.args and not request.view_args)


class CertificateLookup(PortalView):
    """Two things must be known: the name, and the ID number or the certificate's number. What is told is masked."""

    route_base = "/c"
    default_view = "lookup"

    @public_page("/")
    @CHECKED
    def lookup(self) -> Any:
        given = {key: request.args.get(key, "").strip()[:60] for key in ("name", "id_number", "number")}
        complete = bool(given["name"] and (given["id_number"] or given["number"]))
        found = lookup.find(**given) if complete else []
        return self._answer(given, found, asked=any(given.values()), complete=complete)

    @public_page("/<string:number>")
    @CHECKED
    def code(self, number: str) -> Any:
        found = lookup.by_code(number[:60])
        given = {"name": "", "id_number": "", "number": number[:60]}
        return self._answer(given, [found] if found else [], asked=True, complete=True), 200 if found else 404

    def _answer(self, given: dict[str, str], found: list[Found], *, asked: bool, complete: bool) -> Response:
        """The page, to be kept by no cache and listed by no search engine."""
        answer = make_response(self.page("portal/lookup/lookup.html", title=_("证书查验"), given=given, asked=asked,
                                         complete=complete, found=found))
        answer.headers["Cache-Control"] = "private, no-store"
        answer.headers["X-Robots-Tag"] = "noindex, nofollow"
        return answer
