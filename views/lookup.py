"""证书查验: anyone checks a certificate, from the login page or by its QR code (P1, C17)."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _

from app.extensions import limiter
from app.operations import lookup
from views.base import PortalView, public_page


class CertificateLookup(PortalView):
    """Two things must be known: the name, and the ID number or the certificate's number. What is told is masked."""

    route_base = "/c"
    default_view = "lookup"

    @public_page("/")
    @limiter.limit("30 per minute; 300 per day")
    def lookup(self) -> Any:
        given = {key: request.args.get(key, "").strip()[:60] for key in ("name", "id_number", "number")}
        asked = any(given.values())
        complete = bool(given["name"] and (given["id_number"] or given["number"]))
        found = lookup.find(**given) if complete else []
        return self.page("portal/lookup/lookup.html", title=_("证书查验"), given=given, asked=asked, complete=complete, found=found)

    @public_page("/<string:number>")
    @limiter.limit("30 per minute; 300 per day")
    def code(self, number: str) -> Any:
        found = lookup.by_code(number[:60])
        return self.page("portal/lookup/lookup.html", title=_("证书查验"), given={"name": "", "id_number": "", "number": number[:60]},
                         asked=True, complete=True, found=[found] if found else []), 200 if found else 404
