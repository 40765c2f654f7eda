"""候补: an enterprise stands in line for a full plan, and steps out of it. What it sees of that is on the pages of 报名."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _

from app.operations import waitlist
from models import TrainingPlan, WaitlistEntry
from views.base import PortalView, page, said


class WaitlistView(PortalView):
    """Its place in line is the enterprise's own; the order of the line is nobody's to change."""

    route_base = "/waitlist"

    @page("/plans/<int:plan_id>/join", "edit", ("POST",))
    def join(self, plan_id: int) -> Any:
        entry = waitlist.join(self.fetch(TrainingPlan, plan_id), _number("people"), _number("least", 1), actor=self.actor)
        if entry.state == "waiting":
            said(_("已加入候补，空出名额时会以消息通知贵单位。"))
        return self.to("EnrolView.plan", plan_id=plan_id, _anchor="waitlist")

    @page("/<int:entry_id>/leave", "edit", ("POST",))
    def leave(self, entry_id: int) -> Any:
        entry = self.fetch(WaitlistEntry, entry_id)
        waitlist.leave(entry, actor=self.actor)
        said(_("已退出候补。"))
        return self.to("EnrolView.plan", plan_id=entry.plan_id)


def _number(name: str, empty: int = 0) -> int:
    """A whole number of the form; what is none is no number that could be wanted."""
    text = request.form.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else empty if not text else 0
