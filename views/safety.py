"""安全设置: where one signed in, the other sessions, and the second factor of authorities and administrators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import current_app, session
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from app.errors import NotFound, PortalError
from app.operations import accounts, second_factors, sign_ins
from app.security import SESSION_VERSION
from views.accounts import own_account
from views.base import PortalView, download, page, put_error_on, said
from views.doorstep import origin

OUTCOMES = {"ok": (_l("成功"), "ok"), "wrong": (_l("密码或身份不正确"), "bad"), "locked": (_l("已暂停登录"), "warn"),
            "second_factor_wrong": (_l("验证码不正确"), "bad"), "disabled": (_l("帐号已停用"), "bad"), "reset": (_l("密码已重置"), "info")}


def _code_line() -> Any:
    return StringField(_l("验证码"), validators=[InputRequired(_l("请填写验证码。")), Length(max=30)],
                       render_kw={"autocomplete": "one-time-code", "spellcheck": "false"})


class ConfirmForm(FlaskForm):
    code = _code_line()


class ProofForm(FlaskForm):
    password = PasswordField(_l("当前密码"), validators=[InputRequired(_l("请填写当前密码。")), Length(max=256)],
                             render_kw={"autocomplete": "current-password"})
    code = _code_line()


class SafetyView(PortalView):
    """安全设置, behind the button at the top right."""

    route_base = "/safety"
    default_view = "show"

    @page("/", "show")
    def show(self) -> Any:
        return self._overview()

    def _overview(self, form: FlaskForm | None = None) -> str:
        account = own_account()
        shown = second_factors.invitation(account) if account.party in second_factors.PARTIES else None
        factor = second_factors.factor_of(account)
        return self.page(
            "portal/accounts/safety.html", title=_("安全设置"), history=sign_ins.history(account.user_id), outcomes=OUTCOMES,
            factor=factor,
            may_have_factor=account.party in second_factors.PARTIES, must=second_factors.must_set_up(account), invitation=shown,
            form=form or (ProofForm() if factor else ConfirmForm()),
            left=second_factors.recovery_codes_left(account) if factor else 0,
            required=current_app.extensions["settings"].second_factor == "required")

    @page("/elsewhere", "end", ("POST",))
    def end_elsewhere(self) -> Any:
        session[SESSION_VERSION] = accounts.sign_out_elsewhere(own_account(), actor=self.actor)
        said(_("其他设备上的登录已全部退出。"))
        return self.to("show")

    @page("/factor/begin", "edit", ("POST",))
    def begin(self) -> Any:
        second_factors.begin(own_account(), actor=self.actor)
        return self.to("show", _anchor="factor")

    @page("/factor/picture", "edit")
    def picture(self) -> Any:
        """The QR code of what was begun; gone once it was confirmed."""
        shown = second_factors.invitation(own_account())
        if shown is None:
            raise NotFound(_("没有找到这条记录，或您无权查看。"))
        return download(shown.picture, "qr.png", "image/png", inline=True)

    @page("/factor/confirm", "edit", ("POST",))
    def confirm(self) -> Any:
        account = own_account()
        return self._with_form(ConfirmForm(), lambda form: second_factors.confirm(
            account, form.code.data, actor=self.actor, origin=origin()))

    @page("/factor/codes", "edit", ("POST",))
    def renew_codes(self) -> Any:
        account = own_account()
        return self._with_form(ProofForm(), lambda form: second_factors.renew_recovery_codes(
            account, form.password.data, form.code.data, actor=self.actor, origin=origin()))

    @page("/factor/off", "edit", ("POST",))
    def switch_off(self) -> Any:
        account = own_account()
        return self._with_form(ProofForm(), lambda form: second_factors.switch_off(
            account, form.password.data, form.code.data, actor=self.actor, origin=origin()))

    def _with_form(self, form: Any, act: Callable[[Any], list[str] | None]) -> Any:
        """Do what the form asks, and show recovery codes where the act made some: on that page only, and never again."""
        if not form.validate():
            return self._overview(form)
        try:
            codes = act(form)
        except PortalError as error:
            put_error_on(form, error)
            return self._overview(form)
        session[SESSION_VERSION] = own_account().session_version
        if codes:
            return self.page("portal/accounts/recovery_codes.html", title=_("恢复码"), codes=codes)
        said(_("二次验证已关闭。"))
        return self.to("show")
