"""/console, the operator's room on Flask-Admin: dictionaries, job queue, stored files, raw records. Never a copy of a
product page, and never another party's tool: it has no row scope, so only administrators enter."""

from __future__ import annotations

from typing import Any

from flask import Flask, redirect, url_for
from flask_admin import Admin, AdminIndexView, expose
from flask_admin.theme import Bootstrap4Theme
from flask_babel import lazy_gettext as _l

from app.extensions import db
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
from views.console_jobs import STATES, JobView, ReadOnlyView
from views.dictionaries import DictionaryView, Guarded, OccupationView, ParameterView, RegionView, RemarkView


class ConsoleView(PortalView):
    """The menu entry, and the permission that opens the console."""

    route_base = "/operator"
    default_view = "enter"

    @page("/", "show")
    def enter(self) -> Any:
        return redirect(url_for("console.index"))


class Index(Guarded, AdminIndexView):
    """What waits, at a glance."""

    @expose("/")
    def index(self) -> Any:
        counts = {state: db.session.query(Job).filter_by(state=state).count() for state in STATES if state != "done"}
        return self.render("console/index.html", counts=counts)


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
    """Put the console under /console. Flask-Admin's templates carry the portal's token by themselves: with its `SecureForm` as well,
    a form would have two, and be refused."""
    lists, queue, raw = _l("字典"), _l("任务"), _l("原始记录")
    admin = Admin(app, name=_l("控制台"), theme=Bootstrap4Theme(swatch="default", base_template="console/base.html"),
                  index_view=Index(name=_l("概况"), endpoint="console", url="/console"))
    admin.add_views(
        RegionView(Region, db, name=_l("地区"), category=lists, endpoint="console_regions", url="regions"),
        OccupationView(Occupation, db, name=_l("工种"), category=lists, endpoint="console_occupations", url="occupations"),
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
