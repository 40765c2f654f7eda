"""Sign-in with three tabs (X1), the code of a second factor, and changing one's own password (X3)."""

from __future__ import annotations

from typing import Any

from flask import redirect, request, session, url_for
from flask_appbuilder import expose
from flask_appbuilder.security.views import AuthDBView
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import PasswordField, RadioField, StringField
from wtforms.validators import InputRequired, Length

from app.errors import Forbidden, PortalError
from app.operations import accounts, second_factors, sign_ins
from app.operations.sign_ins import Last
from app.presentation import moment
from app.security import SESSION_VERSION, current_account, this_second
from models import Account
from views.base import PortalView, page, put_error_on, said
from views.doorstep import let_in, origin, own_path
from views.forms import new_password
from views.lookup import lookup_form

# In a session: whose password was right, while the code is asked for.
HALF_IN = "half_in"
PARTIES = [("institution", _l("培训机构")), ("enterprise", _l("企业")), ("authority", _l("主管部门"))]


class LoginForm(FlaskForm):
    """The party is part of what is checked: the right password under the wrong tab is refused."""

    party = RadioField(_l("身份"), choices=PARTIES, default="institution")
    username = StringField(_l("用户名"), validators=[InputRequired(_l("请填写用户名。")), Length(max=64)],
                           render_kw={"autocomplete": "username"})
    password = PasswordField(_l("密码"), validators=[InputRequired(_l("请填写密码。")), Length(max=256)],
                             render_kw={"autocomplete": "current-password"})


class CodeForm(FlaskForm):
    code = StringField(_l("验证码"), validators=[InputRequired(_l("请填写验证码。")), Length(max=30)],
                       render_kw={"autocomplete": "one-time-code", "spellcheck": "false", "autofocus": True})


class LoginView(AuthDBView):
    """登录. One answer for every failure, so that nobody learns which accounts exist."""

    login_template = "appbuilder/general/security/login_db.html"

    @expose("/login/", methods=["GET", "POST"])
    def login(self) -> Any:
        if current_user.is_authenticated:
            return self._go_on(request.args.get("next"))
        form = LoginForm()
        wanted = request.args.get("party", "")
        if request.method == "GET" and wanted in dict(PARTIES):
            form.party.data = wanted
        if form.validate_on_submit():
            answer = sign_ins.sign_in(form.party.data, form.username.data, form.password.data, origin=origin())
            if answer.account is not None and answer.needs_code:
                return self._ask_for_code(answer.account)
            if answer.account is not None:
                return self._enter(answer.account, answer.last, request.args.get("next"))
            form.form_errors = [locked_out() if answer.locked else _("用户名或密码不正确，或与所选身份不符。请核对后再试。")]
        return self.render_template(self.login_template, form=form, party=form.party.data, lookup_form=lookup_form(),
                                    title=_("登录"), appbuilder=self.appbuilder)

    def _ask_for_code(self, account: Account) -> Response:
        """Half in: what the first page found is remembered for a few minutes, and opens nothing."""
        session.clear()
        session[HALF_IN] = {"user": account.user_id, "version": account.session_version, "until": this_second() + 300,
                            "next": own_path(request.args.get("next"))}
        return redirect(url_for("LoginView.code"), 303)

    @expose("/login/code", methods=["GET", "POST"])
    def code(self) -> Any:
        """The second page, for accounts with a second factor."""
        half = session.get(HALF_IN)
        if half is None or half["until"] < this_second():
            return self._again(_("登录没有完成，请重新输入用户名和密码。"))
        form = CodeForm()
        if form.validate_on_submit():
            answer = second_factors.enter_with_code(half["user"], half["version"], form.code.data, origin=origin())
            if answer is None:
                return self._again(_("登录没有完成，请重新输入用户名和密码。"))
            if answer.locked:
                return self._again(locked_out())
            if answer.account is not None:
                return self._enter(answer.account, answer.last, half["next"])
            form.code.data = ""
            form.form_errors = [_("验证码不正确，或已经用过。请输入手机上当前显示的 6 位数字，或一个未用过的恢复码。")]
        return self.render_template("portal/accounts/code.html", form=form, title=_("二次验证"), appbuilder=self.appbuilder)

    def _again(self, message: str) -> Response:
        session.pop(HALF_IN, None)
        said(message, "warning")
        return redirect(url_for("LoginView.login"), 303)

    def _enter(self, account: Account, last: Last | None, place: str | None) -> Response:
        let_in(account)
        if last is not None and (last.before is not None or last.failures):
            said(*_greeting(last))
        return self._go_on(place)

    def _go_on(self, place: str | None) -> Response:
        return redirect(own_path(place) or url_for("Home.index"), 303)


def locked_out() -> str:
    """Said alike for known and unknown names, and whether the name or the address is locked."""
    return _("登录失败次数过多，已暂停登录。请在 15 分钟后再试。")


def _greeting(last: Last) -> tuple[str, str]:
    """When the person was here before, and what failed since."""
    text = ""
    if last.before is not None:
        where = " · ".join(each for each in (last.before.browser, last.before.address) if each)
        text = _("上次登录：%(when)s（%(where)s）。", when=moment(last.before.at), where=where)
    if last.failures:
        text += _("此后有 %(n)s 次登录失败；如果不是您本人，请修改密码，并在安全设置中查看登录记录。", n=last.failures)
    return text, "warning" if last.failures else "info"


def own_account() -> Account:
    """The account of this person. A user that an administrator made without one has nothing to set here."""
    account = current_account()
    if account is None:
        raise Forbidden(_("您的帐号不属于任何单位，请联系管理员。"))
    return account


class PasswordForm(FlaskForm):
    current = PasswordField(_l("当前密码"), validators=[InputRequired(_l("请填写当前密码。")), Length(max=256)],
                            render_kw={"autocomplete": "current-password"})
    new = new_password(_l("新密码"), _l("请填写新密码。"))
    again = new_password(_l("再次输入新密码"), _l("请再次填写新密码。"))


class PasswordView(PortalView):
    """修改密码, behind the button at the top right."""

    route_base = "/password"
    default_view = "change"

    @page("/", "edit", ("GET", "POST"))
    def change(self) -> Any:
        form = PasswordForm()
        if form.validate_on_submit():
            try:
                session[SESSION_VERSION] = accounts.change_password(
                    own_account(), form.current.data, form.new.data, form.again.data, actor=self.actor, origin=origin())
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("密码已修改。其他设备上的登录已全部退出。"))
                return self.to("Home.index")
        return self.page("portal/accounts/password.html", form=form, title=_("修改密码"))
