"""The dictionaries in the operator's room: what may be changed, how each value must look, what it was before (B7)."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, jsonify, redirect, request, url_for
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from flask_admin.model.template import EndpointLinkRowAction
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from sqlalchemy import inspect
from wtforms.validators import Regexp, ValidationError

from app import parameters
from app.errors import Invalid, PortalError
from app.extensions import db
from app.operations import entries, numbering
from app.security import current_actor
from app.workflow import SUBJECTS
from models import Parameter
from views.doorstep import ask_to_sign_in


class Guarded:
    """Entry only for those FAB lets open `ConsoleView`; others are told exactly that."""

    def is_accessible(self) -> bool:
        from flask import current_app

        return bool(current_app.extensions["appbuilder"].sm.has_access("can_show", "ConsoleView"))

    def inaccessible_callback(self, name: str, **kwargs: Any) -> Any:
        if not current_user.is_authenticated:
            return ask_to_sign_in()
        return abort(403)


class DictionaryView(Guarded, ModelView):
    """A dictionary. Rows are switched off, never deleted, and keep their code: old plans and certificates refer to them."""

    can_delete = False
    can_view_details = False
    page_size = 50
    column_labels = {"code": _l("代码"), "name": _l("名称"), "position": _l("顺序"), "enabled": _l("是否启用"), "levels": _l("可设等级"),
                     "key": _l("名称"), "value": _l("值"), "note": _l("说明"), "parent": _l("上级"), "parent_code": _l("上级代码")}
    column_searchable_list: Any = ("code", "name")
    column_editable_list: Any = ("name", "position", "enabled")
    column_default_sort = "position"
    column_extra_row_actions = [EndpointLinkRowAction("fa fa-history", ".history", _l("历史"))]
    form_columns: Any = ("code", "name", "position", "enabled")
    form_args: Any = {"code": {"validators": [Regexp("^[0-9A-Z]{1,10}$", message=_l("代码只含数字和大写字母，最多 10 位。"))]}}

    def edit_form(self, obj: Any = None) -> Any:
        """A code is what plans, rosters and certificates were made with: it stays."""
        form = super().edit_form(obj)
        if "code" in form:
            del form.code
        return form

    def on_model_change(self, form: Any, model: Any, is_created: bool) -> None:
        """Every change of a dictionary is on record, with what was before (B7)."""
        entries.record(model, actor=current_actor(), created=is_created, levels=_levels(model))

    def _row(self, key: str) -> Any:
        """A row by the key in an address, whatever was written there."""
        if self.model.__table__.primary_key.columns[0].type.python_type is int and not (key.isdigit() and len(key) < 10):
            return None
        return self.get_one(key)

    @expose("/history")
    def history(self) -> Any:
        """The versions of one row."""
        row = self._row(request.args.get("id", ""))
        if row is None:
            abort(404)
        key = entries.key_of(row)
        return self.render("console/history.html", row=row, key=key, pk=self.get_pk_value(row), field_words=self.column_labels,
                           versions=entries.versions(row.__tablename__, key), restored=entries.RESTORED)

    @expose("/restore", methods=("POST",))
    def restore(self) -> Any:
        """Bring back what a row was before one of its changes."""
        row = self._row(request.form.get("id", ""))
        event = request.form.get("event", "")
        if not FlaskForm().validate():  # the console is outside the portal's own check of tokens
            abort(400)
        if row is None or not event.isdigit() or len(event) > 18:
            abort(404)
        try:
            entries.restore(row.__tablename__, entries.key_of(row), int(event), actor=current_actor())
        except PortalError as error:
            flash(str(error), "error")
        else:
            flash(_("已恢复。"))
        return redirect(url_for(".history", id=request.form["id"]), 303)


def _levels(model: Any) -> tuple[list[str], list[str]] | None:
    """The names of an occupation's levels before and after; None for what has none."""
    if "levels" not in inspect(model).attrs:
        return None
    history = inspect(model).attrs.levels.history
    before, after = ([*history.unchanged, *history.deleted], [*history.unchanged, *history.added])
    return [level.name for level in before], [level.name for level in after]


class OccupationView(DictionaryView):
    """工种; without levels of its own an occupation may be taught in every one."""

    column_list = ("code", "name", "levels", "position", "enabled")
    form_columns = ("code", "name", "levels", "position", "enabled")
    column_editable_list = ("name", "position", "enabled")


class RegionView(DictionaryView):
    column_list = ("code", "name", "parent_code", "enabled")
    column_editable_list = ("name", "enabled")
    column_default_sort = "code"
    form_columns = ("code", "name", "parent", "enabled")
    form_args = {"code": {"validators": [Regexp("^[0-9]{6}$", message=_l("地区代码是 6 位数字（GB/T 2260）。"))]}}


class RemarkView(DictionaryView):
    """What reviewers may say with one click; each belongs to a kind of subject, or to all of them."""

    column_list = ("code", "subject_kind", "name", "position", "enabled")
    form_columns = ("code", "subject_kind", "name", "position", "enabled")
    column_labels = {**DictionaryView.column_labels, "subject_kind": _l("适用于")}
    form_choices = {"subject_kind": [("", _l("全部")), *((kind, subject.label) for kind, subject in SUBJECTS.items())]}
    column_choices = form_choices


class ParameterView(DictionaryView):
    """Numbers and patterns. A value the portal could not use is refused here, in words."""

    can_create = False
    column_list = ("key", "value", "note")
    column_searchable_list = ("key", "note")
    column_editable_list = ()
    column_default_sort = "key"
    form_columns = ("value",)
    edit_template = "console/parameter.html"

    @expose("/preview")
    def preview(self) -> Any:
        """The next certificate numbers under a pattern that is being typed, or why it cannot be used."""
        try:
            rows = numbering.preview(request.args.get("value", ""))
        except Invalid as error:
            return jsonify(rows=[], error=str(error))
        return jsonify(rows=rows, error="")

    def on_model_change(self, form: Any, model: Parameter, is_created: bool) -> None:
        try:
            # The check reads tables; what is changed must not be written by that, or nobody could say what was before.
            with db.session.no_autoflush:
                check_value(model.key, model.value)
        except Invalid as error:
            raise ValidationError(str(error)) from None
        super().on_model_change(form, model, is_created)


def check_value(key: str, value: str) -> None:
    """A parameter's value is read by the very code that will use it. Raises `Invalid` in words."""
    if key == "certificate_number":
        numbering.preview(value)
    elif key in parameters.TEXTS:
        parameters.check_text(key, value)
    else:
        parameters.check_number(key, value)
