"""版式: the layouts of the papers, for an administrator: change, try, keep, and the way back."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import IntegerField, TextAreaField
from wtforms.validators import Optional

from app import files
from app.errors import PortalError
from app.operations import layouts
from views.base import PortalView, download, page, put_error_on, said
from views.forms import line


class LayoutForm(FlaskForm):
    """A layout as typed; `since` is the version that was opened."""

    source = TextAreaField(_l("版式"))
    note = line(_l("改了什么"), layouts.LONGEST_NOTE, required=False)
    since = IntegerField(_l("版次"), validators=[Optional()])


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


class LayoutView(PortalView):
    """The layouts with their versions."""

    route_base = "/layouts"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        return self.page("portal/layouts/list.html", title=_("版式"), rows=layouts.overview())

    @page("/<name>", "show")
    def show(self, name: str) -> Any:
        source = layouts.shown(name, _number(request.args.get("version", "")))
        return self._shown(name, LayoutForm(formdata=None, data={"source": source, "since": self._newest(name)}))

    @staticmethod
    def _newest(name: str) -> int:
        row = layouts.newest(name)
        return row.number if row is not None else 0

    def _shown(self, name: str, form: LayoutForm) -> Any:
        layouts.known(name)
        return self.page("portal/layouts/show.html", title=_("%(name)s版式", name=layouts.EDITABLE[name]), name=name, form=form,
                         versions=layouts.versions(name), newest=self._newest(name))

    @page("/<name>", "edit", ("POST",))
    def save(self, name: str) -> Any:
        form = LayoutForm()
        layouts.known(name)
        if form.validate_on_submit():
            try:
                row = layouts.save(name, form.source.data or "", form.note.data or "", since=form.since.data or 0, actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("已保存为第 %(n)s 版，从现在起按它打印。", n=row.number))
                return self.to("show", name=name)
        return self._shown(name, form)

    @page("/<name>/preview", "edit", ("POST",))
    def preview(self, name: str) -> Any:
        """What the layout makes of sample people; a layout that cannot be used comes back with what is wrong."""
        form = LayoutForm()
        layouts.known(name)
        try:
            data = layouts.preview(name, (form.source.data or "").replace("\r\n", "\n"))
        except PortalError as error:
            put_error_on(form, error)
            return self._shown(name, form)
        return download(data, f"{layouts.EDITABLE[name]}预览.pdf", files.PDF, inline=True)

    @page("/<name>/restore", "edit", ("POST",))
    def restore(self, name: str) -> Any:
        version, since = (_number(request.form.get(each, "")) for each in ("version", "since"))
        row = layouts.restore(name, version, since=since, actor=self.actor)
        said(_("已恢复，现为第 %(n)s 版。", n=row.number))
        return self.to("show", name=name)
