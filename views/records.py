"""审核记录 and 查看详情 of whatever is reviewed (I14)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from app.errors import NotFound
from app.extensions import db
from app.workflow import SUBJECTS
from models import ReviewEvent
from views.base import PortalView, page


def events_of(kind: str, subject_id: int) -> list[ReviewEvent]:
    """Every step of a subject the caller has fetched through scope, oldest first."""
    return list(db.session.scalars(
        select(ReviewEvent).where(ReviewEvent.subject_kind == kind, ReviewEvent.subject_id == subject_id)
        .order_by(ReviewEvent.id)))


class RecordView(PortalView):
    """Read from the events only: what a round's accepted time, decision and remark were, then each person's act."""

    route_base = "/records"
    default_view = "show"

    @page("/<string:kind>/<int:subject_id>", "show")
    def show(self, kind: str, subject_id: int) -> Any:
        if kind not in SUBJECTS:
            raise NotFound("")
        subject = self.fetch(SUBJECTS[kind].model, subject_id)
        events = events_of(kind, subject_id)
        rounds: dict[int, list[ReviewEvent]] = {}
        for event in events:
            rounds.setdefault(event.round, []).append(event)
        return self.page("portal/records/show.html", subject=subject, label=SUBJECTS[kind].label, rounds=rounds)
