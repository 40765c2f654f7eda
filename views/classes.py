"""报名与开班: who is enrolled, opening the class, attendance (I17–I20)."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import and_, or_
from sqlalchemy.orm import joinedload

from app import clock, scope
from app.errors import Conflict
from app.extensions import will_write
from app.operations import attendance, classes, corrections, unlocking
from models import Enrolment, TrainingPlan
from views.attendance import question
from views.base import PortalView, download, page, said
from views.listing import Filter, Search, chosen_ids, like, listing
from views.plans import DETAIL, occupation_names
from views.stages import standing_of

PEOPLE = (joinedload(Enrolment.occupation), joinedload(Enrolment.level), joinedload(Enrolment.enterprise))


def _stage_filter() -> Filter:
    """Where a class stands."""
    def clause(value: str) -> Any:
        cancelled = TrainingPlan.cancelled_at.is_not(None)
        over = or_(TrainingPlan.class_opened_at.is_not(None), cancelled, TrainingPlan.enrolment_closes_at <= clock.now())
        opened = TrainingPlan.class_opened_at.is_not(None)
        confirmed = TrainingPlan.attendance_confirmed_at.is_not(None)
        return {"enrolling": ~over, "ready": and_(over, ~opened, ~cancelled), "training": and_(opened, ~confirmed), "done": confirmed,
                "cancelled": cancelled}[value]

    choices = (("enrolling", _l("报名中")), ("ready", _l("待开班")), ("training", _l("培训中")), ("done", _l("考勤已确认")),
               ("cancelled", _l("已取消")))
    return Filter("stage", _l("阶段"), choices, clause)


class ClassView(PortalView):
    """Approved plans of this institution, from enrolment to confirmed attendance."""

    route_base = "/classes"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(scope.visible(self.actor, TrainingPlan).where(TrainingPlan.review_state == "approved"),
                       order=(TrainingPlan.id.desc(),), filters=(_stage_filter(),),
                       searches=(Search("q", _l("计划名称"), lambda text: like(TrainingPlan.name, text)),))
        return self.page("portal/classes/list.html", listing=rows, title=_("开班与考勤"))

    @staticmethod
    def _search() -> tuple[Search, ...]:
        return (Search("q", _l("姓名"), lambda text: like(Enrolment.name, text)),)

    @staticmethod
    def _filters(plan: TrainingPlan) -> tuple[Filter, ...]:
        return (Filter("attendance", _l("考勤"), (("absent", _l("缺勤")), ("present", _l("未标缺勤"))), lambda value:
                       attendance.absent_clause(plan) if value == "absent" else ~attendance.absent_clause(plan)),)

    def _people(self, plan: TrainingPlan) -> Any:
        return scope.visible(self.actor, Enrolment).where(Enrolment.plan_id == plan.id, Enrolment.state == "enrolled")

    @page("/<int:plan_id>", "show")
    def show(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id, *DETAIL)
        if plan.review_state != "approved":
            raise Conflict(_("培训计划审核通过后才能招生和开班。"))
        counts = classes.attendance_of(plan)
        rows = listing(self._people(plan), order=(Enrolment.id,), searches=self._search(), filters=self._filters(plan),
                       options=PEOPLE, size=100)
        return self.page(
            "portal/classes/show.html", plan=plan, title=plan.name, occupation_names=occupation_names(plan),
            enterprises=classes.enrolled_enterprises(plan, actor=self.actor), attendance=counts,
            listing=rows, sheet=attendance.sheet(plan, rows.rows), standing=standing_of(plan), unsettled=attendance.unsettled(plan),
            to_check=corrections.waiting_in(plan), unlock=unlocking.open_request(plan), pending=classes.pending_orders(plan),
            closed_to_opening=classes.obstacle_to_opening(plan), question=question(plan, counts),
            early=classes.closes_early(plan), closed_to_confirming=classes.obstacle_to_confirming(plan))

    @page("/<int:plan_id>/open", "open", ("POST",))
    def open(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id)
        ended = classes.open_class(plan, early=request.form.get("early") == "1", actor=self.actor)
        said(_("已开班，报名结束。%(n)s 个未支付的订单已关闭。", n=ended) if ended else _("已开班，报名结束。"))
        return self.to("show", plan_id=plan_id)

    @page("/<int:plan_id>/attendance", "attendance", ("POST",))
    def mark(self, plan_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id)
        ids = chosen_ids(self._people(plan), searches=self._search(), filters=self._filters(plan))
        marked = classes.mark_attendance(plan, ids, request.form.get("attendance", ""), actor=self.actor)
        said(_("已标记 %(n)s 人。", n=marked))
        return self.to("show", plan_id=plan_id)

    @page("/<int:plan_id>/confirm", "attendance", ("POST",))
    def confirm(self, plan_id: int) -> Any:
        found = classes.confirm_attendance(self.fetch(TrainingPlan, plan_id), actor=self.actor)
        said(_("考勤已确认：全勤 %(full)s 人，缺勤 %(absent)s 人。可以创建考核计划了。", full=found.full, absent=found.absent))
        return self.to("show", plan_id=plan_id)

    @page("/<int:plan_id>/roster.xlsx", "download")
    def roster(self, plan_id: int) -> Any:
        will_write()  # the download is on record
        name, data, content_type = classes.roster(self.fetch(TrainingPlan, plan_id), actor=self.actor)
        return download(data, name, content_type)

    @page("/<int:plan_id>/contacts/<int:enterprise_id>", "show", ("POST",))
    def contact(self, plan_id: int, enterprise_id: int) -> Any:
        plan = self.fetch(TrainingPlan, plan_id)
        name, person, phone = classes.contact_of(plan, enterprise_id, actor=self.actor)
        said(_("%(name)s 联系人：%(person)s，手机号：%(phone)s（本次查看已记录）", name=name, person=person, phone=phone), "info")
        return self.to("show", plan_id=plan_id)
