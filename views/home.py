"""首页: where a signed-in person begins, and where a visitor is sent to sign in."""

from __future__ import annotations

from typing import Any

from flask import redirect, url_for
from flask_appbuilder import IndexView, expose
from flask_login import current_user

from app.security import current_actor


class Home(IndexView):
    """The first page: what waits for this person."""

    @expose("/")
    def index(self) -> Any:
        if not current_user.is_authenticated:
            return redirect(url_for("LoginView.login"))
        return self.render_template("portal/home.html", actor=current_actor())
