"""考勤解锁: what institutions ask of their authority about confirmed attendance, and the answer."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import true
from sqlalchemy.orm import joinedload

from app import scope
from app.operations import classes, unlocking
from models import AttendanceUnlock, TrainingPlan
from views.base import PortalView, page, said
from views.listing import Filter, Search, like, listing

IN_FULL = (joinedload(AttendanceUnlock.plan), joinedload(AttendanceUnlock.institution), joinedload(AttendanceUnlock.authority))
STATES = {"asked": (_l("待办理"), "warn"), "granted": (_l("已解锁"), "ok"), "refused": (_l("不同意"), "bad"),
          "dropped": (_l("已撤销"), "neutral")}


class AttendanceUnlockView(PortalView):
    """The authority's list, what waits first."""

    route_base = "/reviews/attendance"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        def clause(value: str) -> Any:
            return true() if value == "all" else AttendanceUnlock.state == value

        choices = (*((key, label) for key, (label, _tone) in STATES.items()), ("all", _l("全部")))
        rows = listing(scope.visible(self.actor, AttendanceUnlock), order=(AttendanceUnlock.id.desc(),), options=IN_FULL,
                       searches=(Search("q", _l("培训计划"), lambda text: AttendanceUnlock.plan.has(like(TrainingPlan.name, text))),),
                       filters=(Filter("state", _l("状态"), choices, clause, default="asked"),))
        return self.page("portal/attendance/unlocks.html", listing=rows, title=_("考勤解锁"), states=STATES)

    @page("/<int:unlock_id>", "show")
    def show(self, unlock_id: int) -> Any:
        row = self.fetch(AttendanceUnlock, unlock_id, *IN_FULL)
        return self.page("portal/attendance/unlock.html", row=row, plan=row.plan, title=row.plan.name, states=STATES,
                         counts=classes.attendance_of(row.plan), closed=unlocking.obstacle_to_unlocking(row.plan),
                         own=self.actor.authority_id == row.authority_id)

    @page("/<int:unlock_id>/<any(granted, refused):verdict>", "decide", ("POST",))
    def decide(self, unlock_id: int, verdict: str) -> Any:
        unlocking.decide(self.fetch(AttendanceUnlock, unlock_id), verdict, request.form.get("remark", ""), actor=self.actor)
        said(_("已解锁，培训机构可以修改后重新确认。") if verdict == "granted" else _("已答复培训机构。"))
        return self.to("show", unlock_id=unlock_id)
