"""角色: what an authority's staff may do, ticked area by area, for the administrator (B9)."""

from __future__ import annotations

from typing import Any

from flask_appbuilder.security.sqla.models import Role
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import SelectField, SelectMultipleField

from app import areas, scope
from app.errors import NotFound, PortalError
from app.extensions import db
from app.operations import roles
from models import Region
from views.base import PortalView, page, put_error_on, said
from views.forms import line
from views.listing import Search, like, listing


class RoleForm(FlaskForm):
    name = line(_l("角色名称"), 50)
    region_code = SelectField(_l("地区"), choices=[])
    entries = SelectMultipleField(_l("可以做什么"), choices=[(key, entry.label) for key, entry in areas.ENTRIES.items()])


class RoleView(PortalView):
    """The roles an administrator made. The portal's own are not among them: they follow the release."""

    route_base = "/staff/roles"
    default_view = "list"

    def _role(self, role_id: int) -> Role:
        """A role made here; the portal's own cannot be changed and are not found."""
        found = db.session.scalars(roles.made_roles(actor=self.actor).where(Role.id == role_id)).first()
        if found is None:
            raise NotFound(_("没有找到这条记录，或您无权查看。"))
        return found

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(roles.made_roles(actor=self.actor), order=(Role.name,),
                       searches=(Search("q", _l("角色名称"), lambda text: like(Role.name, text)),))
        return self.page("portal/staff/roles.html", listing=rows, title=_("角色"), made=roles.described(rows.rows), in_words=areas.in_words)

    @page("/add", "add", ("GET", "POST"))
    def add(self) -> Any:
        return self._form(None, RoleForm(), _("新建角色"))

    @page("/<int:role_id>", "edit", ("GET", "POST"))
    def edit(self, role_id: int) -> Any:
        role = self._role(role_id)
        made = roles.described([role])[0]
        form = RoleForm(data={"name": role.name, "region_code": made.region.code if made.region else "", "entries": made.entries})
        return self._form(role, form, role.name)

    def _form(self, role: Role | None, form: RoleForm, title: str) -> Any:
        form.region_code.choices = [("", _("全省")), *_regions(self.actor)]
        if form.validate_on_submit():
            given = roles.RoleForm(form.name.data, tuple(form.entries.data or ()), form.region_code.data)
            try:
                roles.save(role, given, actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("已保存角色“%(name)s”。", name=given.name))
                return self.to("list")
        return self.page("portal/staff/role.html", form=form, role=role, title=title, areas=areas.AREAS)

    @page("/<int:role_id>/delete", "delete", ("POST",))
    def delete(self, role_id: int) -> Any:
        role = self._role(role_id)
        name = role.name
        roles.delete(role, actor=self.actor)
        said(_("已删除角色“%(name)s”。", name=name))
        return self.to("list")


def _regions(actor: Any) -> Any:
    """Cities and their counties, each county named with its city."""
    rows = db.session.scalars(scope.visible(actor, Region).where(Region.enabled, Region.parent_code.is_not(None)).order_by(Region.code))
    return [(row.code, row.full_name) for row in rows]
