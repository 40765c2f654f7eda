"""证书文件核验: anyone brings a certificate's PDF and is told whether it is untouched, and who signed it."""

from __future__ import annotations

from typing import Any

from flask import jsonify, make_response, request
from flask_babel import gettext as _

from app.errors import Invalid, PortalError
from app.extensions import csrf, limiter
from app.operations import verification
from app.operations.lookup import STATES
from app.presentation import moment
from views.base import PortalView, public_page, uploaded, wants_json

CHECKED = limiter.shared_limit("20 per minute; 200 per day", scope="certificate file check", exempt_when=lambda: request.method == "GET")


class CertificateVerify(PortalView):
    """Nothing of the file is kept, and nothing of its holder is told but what the look-up tells."""

    route_base = "/verify"
    default_view = "verify"

    @public_page("/", ("GET", "POST"))
    @CHECKED
    def verify(self) -> Any:
        found, fault = None, ""
        if request.method == "POST":
            try:
                found = verification.verify(uploaded("file")[1])
            except PortalError as error:
                if wants_json() or not isinstance(error, Invalid):
                    raise
                fault = str(error)
        if found is not None and wants_json():
            row = found.certificate
            return jsonify(untouched=found.untouched, sentence=found.sentence, signer=found.signer,
                           signed_at=moment(found.signed_at) if found.signed_at else "", number=row.number if row else "",
                           state=row.state if row else "", replaced_by=row.replaced_by if row else "")
        answer = make_response(self.page("portal/lookup/verify.html", title=_("证书文件核验"), found=found, fault=fault, states=STATES))
        answer.headers["Cache-Control"] = "private, no-store"
        return answer, 422 if fault else 200


# Machines ask as well, and whoever asks is told what anyone is told: there is nothing to forge.
csrf.exempt(CertificateVerify.verify)
