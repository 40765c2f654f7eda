"""/console, the operator's room on Flask-Admin: dictionaries, job queue, stored files, raw records. Never a copy of a
product page, and never another party's tool: it has no row scope, so only administrators enter."""

from __future__ import annotations

from typing import Any

from flask import Flask, abort, flash, redirect, url_for
from flask_admin import Admin, AdminIndexView, expose
from flask_admin.actions import action
from flask_admin.contrib.sqla import ModelView
from flask_admin.form import SecureForm
from flask_admin.theme import Bootstrap4Theme
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from sqlalchemy import select
from wtforms.validators import ValidationError

from app import audit, jobs
from app.errors import Invalid
from app.extensions import csrf, db
from app.operations.numbering import parse_pattern
from app.security import current_actor
from app.workflow import SUBJECTS
from models import (
    AuditEvent,
    Education,
    Job,
    Occupation,
    Parameter,
    Region,
    Remark,
    ReviewEvent,
    SkillLevel,
    StoredFile,
    Title,
)
from views.base import PortalView, page
from views.doorstep import ask_to_sign_in


class ConsoleView(PortalView):
    """The menu entry, and the permission that opens the console."""

    route_base = "/operator"
    default_view = "enter"

    @page("/", "show")
    def enter(self) -> Any:
        return redirect(url_for("console.index"))


class _Guarded:
    """Entry only for those FAB lets open `ConsoleView`; others are told exactly that."""

    def is_accessible(self) -> bool:
        from flask import current_app

        return bool(current_app.extensions["appbuilder"].sm.has_access("can_show", "ConsoleView"))

    def inaccessible_callback(self, name: str, **kwargs: Any) -> Any:
        if not current_user.is_authenticated:
            return ask_to_sign_in()
        return abort(403)


class Index(_Guarded, AdminIndexView):
    """What waits, at a glance."""

    @expose("/")
    def index(self) -> Any:
        states = ("waiting", "running", "failed")
        counts = {state: db.session.query(Job).filter_by(state=state).count() for state in states}
        return self.render("console/index.html", counts=counts)


class DictionaryView(_Guarded, ModelView):
    """A dictionary. Rows are switched off, never deleted: old plans and certificates refer to them."""

    form_base_class = SecureForm
    can_delete = False
    can_view_details = False
    page_size = 50
    column_labels = {"code": _l("代码"), "name": _l("名称"), "position": _l("顺序"), "enabled": _l("启用"),
                     "key": _l("名称"), "value": _l("值"), "note": _l("说明"), "parent": _l("上级"), "parent_code": _l("上级代码")}
    column_searchable_list: Any = ("code", "name")
    column_editable_list: Any = ("name", "position", "enabled")
    column_default_sort = "position"
    form_columns: Any = ("code", "name", "position", "enabled")

    def on_model_change(self, form: Any, model: Any, is_created: bool) -> None:
        """Every change of a dictionary is on record, with what was before (B7)."""
        key = getattr(model, "code", None) or getattr(model, "key", "")
        audit.record(current_actor(), "add_entry" if is_created else "change_entry", model.__tablename__,
                     {"key": key, "changed": audit.changed(model)})


class RegionView(DictionaryView):
    column_list = ("code", "name", "parent_code", "enabled")
    column_editable_list = ("name", "enabled")
    column_default_sort = "code"
    form_columns = ("code", "name", "parent", "enabled")


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

    def on_model_change(self, form: Any, model: Parameter, is_created: bool) -> None:
        if model.key == "certificate_number":
            _check_pattern(model.value)
        elif not (model.value.isascii() and model.value.isdigit() and 0 < int(model.value) <= 100_000):
            raise ValidationError(_("请填写 1 到 100000 之间的整数。"))
        super().on_model_change(form, model, is_created)


def _check_pattern(pattern: str) -> None:
    """The pattern is read by the very code that will use it."""
    try:
        parse_pattern(pattern)
    except Invalid as error:
        raise ValidationError(str(error)) from None


class ReadOnlyView(_Guarded, ModelView):
    """Raw rows, to look at."""

    form_base_class = SecureForm
    can_create = can_edit = can_delete = False
    can_view_details = True
    page_size = 50
    column_default_sort = ("id", True)


class JobView(ReadOnlyView):
    """The job queue: what waits, runs and failed, and the button that runs a failed one again."""

    column_list = ("id", "name", "subject_id", "state", "due_at", "attempts", "error", "finished_at")
    column_filters = ("name", "state")
    column_labels = {"name": _l("任务"), "subject_id": _l("对象"), "state": _l("状态"), "due_at": _l("到期"),
                     "attempts": _l("次数"), "error": _l("原因"), "finished_at": _l("完成时间")}

    @action("again", _l("重新运行"), _l("重新运行所选的失败任务？"))
    def again(self, ids: list[str]) -> None:
        rows = db.session.scalars(select(Job).where(Job.id.in_([int(each) for each in ids])))
        done = sum(jobs.again(job) for job in rows)
        flash(_("已重新开始 %(n)s 项任务。", n=done))


class FileView(ReadOnlyView):
    column_list = ("id", "kind", "name", "content_type", "size", "created_at", "enterprise_id", "institution_id")
    column_filters = ("kind", "enterprise_id", "institution_id")


class EventView(ReadOnlyView):
    column_list = ("id", "at", "organisation", "actor_name", "subject_kind", "subject_id", "step", "to_state", "remark")
    column_filters = ("subject_kind", "subject_id", "actor_name")


class AuditView(ReadOnlyView):
    column_list = ("id", "at", "organisation", "actor_name", "address", "verb", "subject_kind", "subject_id", "facts")
    column_filters = ("verb", "actor_name", "subject_kind", "subject_id")


def register_console(app: Flask) -> None:
    """Put the console under /console. Its forms carry Flask-Admin's own token, so the portal's check leaves them alone."""
    lists, queue, raw = _l("字典"), _l("任务"), _l("原始记录")
    admin = Admin(app, name=_l("控制台"), theme=Bootstrap4Theme(swatch="default", base_template="console/base.html"),
                  index_view=Index(name=_l("概况"), endpoint="console", url="/console"))
    admin.add_views(
        RegionView(Region, db, name=_l("地区"), category=lists, endpoint="console_regions", url="regions"),
        DictionaryView(Occupation, db, name=_l("工种"), category=lists, endpoint="console_occupations", url="occupations"),
        DictionaryView(SkillLevel, db, name=_l("等级"), category=lists, endpoint="console_levels", url="levels"),
        DictionaryView(Title, db, name=_l("职称"), category=lists, endpoint="console_titles", url="titles"),
        DictionaryView(Education, db, name=_l("文化程度"), category=lists, endpoint="console_education", url="education"),
        RemarkView(Remark, db, name=_l("审核常用语"), category=lists, endpoint="console_remarks", url="remarks"),
        ParameterView(Parameter, db, name=_l("参数"), category=lists, endpoint="console_parameters", url="parameters"),
        JobView(Job, db, name=_l("任务队列"), category=queue, endpoint="console_jobs", url="jobs"),
        FileView(StoredFile, db, name=_l("文件"), category=raw, endpoint="console_files", url="files"),
        EventView(ReviewEvent, db, name=_l("审核事件"), category=raw, endpoint="console_events", url="events"),
        AuditView(AuditEvent, db, name=_l("操作记录"), category=raw, endpoint="console_audit", url="audit"),
    )
    for view in admin._views:
        csrf.exempt(view.blueprint)
