"""首页: what waits for a signed-in person; a visitor is sent to sign in."""

from __future__ import annotations

from typing import Any

from flask import url_for
from flask_appbuilder import IndexView, expose

from app.actors import Actor
from app.operations.waiting import blocked, waiting_for
from app.security import current_actor


class Home(IndexView):
    """The first page: counts that lead to the pages that deal with them."""

    @staticmethod
    def _seen_at(view: str) -> Actor:
        return current_actor("can_list", view)

    @expose("/")
    def index(self) -> Any:
        actor = current_actor()
        tasks = [(url_for(task.endpoint, **task.arguments), task.count, task.label) for task in waiting_for(actor, self._seen_at)
                 if self.appbuilder.sm.has_access(f"can_{task.verb}", task.endpoint.partition(".")[0])]
        return self.render_template("portal/home.html", actor=actor, tasks=tasks, blocked=blocked(actor))
