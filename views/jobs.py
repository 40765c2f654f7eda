"""How far a job is, and the button that runs a failed one again."""

from __future__ import annotations

from typing import Any

from flask import jsonify
from flask_babel import gettext as _

from app import jobs
from models import Job
from views.base import PortalView, page, said


class JobView(PortalView):
    """Read by the progress bars (`portal.js`)."""

    route_base = "/jobs"
    default_view = "show"

    @page("/<int:job_id>", "show")
    def show(self, job_id: int) -> Any:
        job = self.fetch(Job, job_id)
        return jsonify(id=job.id, state=job.state, percent=job.percent, done=job.done_units, total=job.total_units,
                       error=job.error if job.state == "failed" else "")

    @page("/<int:job_id>/again", "again", ("POST",))
    def again(self, job_id: int) -> Any:
        job = self.fetch(Job, job_id)
        if jobs.again(job):
            said(_("已重新开始。"))
        return self.to("Home.index")
