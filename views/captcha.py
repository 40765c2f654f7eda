"""图形验证码: its picture, and another one."""

from __future__ import annotations

from typing import Any

from flask import jsonify, url_for
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import HiddenField

from app.extensions import limiter
from app.operations import captchas
from views.base import PortalView, download, public_page
from views.forms import line


class CaptchaForm(FlaskForm):
    """A form with a captcha. Its token is drawn anew with each page, so what was typed of the old one goes."""

    captcha = line(_l("图形验证码"), 10, required=False, autocomplete="off", autocapitalize="characters", spellcheck="false")
    captcha_token = HiddenField()

    def draw_captcha(self) -> None:
        """Put a fresh token in, before the page is drawn."""
        self.captcha_token.data, self.captcha.data = captchas.new(), ""


class CaptchaView(PortalView):
    """Answers anyone; writes nothing."""

    route_base = "/captcha"
    default_view = "another"

    @public_page("/new")
    @limiter.limit("60 per minute")
    def another(self) -> Any:
        token = captchas.new()
        answer = jsonify(token=token, picture=url_for("CaptchaView.picture", token=token))
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @public_page("/<token>.png")
    @limiter.limit("120 per minute")
    def picture(self, token: str) -> Any:
        return download(captchas.picture(token), "captcha.png", "image/png", inline=True)
