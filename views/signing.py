"""签章密钥: which keys sign certificates, until when, and how they are changed."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _
from sqlalchemy import select

from app import scope
from app.errors import Invalid
from app.extensions import db
from app.operations import signing_keys
from models import Authority
from views.base import PortalView, page, said, uploaded


class SigningKeyView(PortalView):
    """An administrator looks after the keys; an authority sees its own."""

    route_base = "/signing"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        authorities = db.session.scalars(scope.visible(self.actor, Authority).order_by(Authority.region_code)).all()
        return self.page("portal/certificates/keys.html", title=_("签章密钥"), keys=signing_keys.all_keys(self.actor),
                         authorities=authorities, own=signing_keys.in_use(self.actor.authority_id) if self.actor.authority_id else None)

    def _authority(self) -> Authority | None:
        chosen = request.form.get("authority_id", "")
        if not chosen:
            return None
        key = int(chosen) if chosen.isdigit() and len(chosen) < 10 else 0
        found = db.session.scalars(select(Authority).where(Authority.id == key)).first()
        if found is None:
            raise Invalid(_("请选择主管部门。"))
        return found

    @page("/add", "add", ("POST",))
    def add(self) -> Any:
        key = signing_keys.add(uploaded("file")[1], request.form.get("password", ""), self._authority(), actor=self.actor)
        said(_("密钥“%(name)s”已启用。", name=key.subject))
        return self.to("list")

    @page("/draw", "add", ("POST",))
    def draw(self) -> Any:
        authority = self._authority()
        if authority is None:
            raise Invalid(_("请选择主管部门。"))
        key = signing_keys.draw(authority, actor=self.actor)
        said(_("密钥“%(name)s”已启用。", name=key.subject))
        return self.to("list")

    @page("/<int:key_id>/retire", "retire", ("POST",))
    def retire(self, key_id: int) -> Any:
        signing_keys.retire(key_id, actor=self.actor)
        said(_("密钥已停用。它签过的证书仍可验证。"))
        return self.to("list")
