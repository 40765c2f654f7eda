"""Sign-in with three tabs (X1), and changing one's own password (X3)."""

from __future__ import annotations

from typing import Any

from flask import redirect, request, session
from flask_appbuilder import expose
from flask_appbuilder.security.views import AuthDBView
from flask_appbuilder.utils.base import get_safe_redirect
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_user
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import PasswordField, RadioField, StringField
from wtforms.validators import InputRequired, Length

from app.errors import PortalError
from app.operations import accounts
from app.security import SESSION_VERSION
from views.base import PortalView, page, put_error_on, said
from views.forms import new_password

PARTIES = [("institution", _l("培训机构")), ("enterprise", _l("企业")), ("authority", _l("主管部门"))]


class LoginForm(FlaskForm):
    """The party is part of what is checked: the right password under the wrong tab is refused."""

    party = RadioField(_l("身份"), choices=PARTIES, default="institution")
    username = StringField(_l("用户名"), validators=[InputRequired(_l("请填写用户名。")), Length(max=64)],
                           render_kw={"autocomplete": "username"})
    password = PasswordField(_l("密码"), validators=[InputRequired(_l("请填写密码。")), Length(max=256)],
                             render_kw={"autocomplete": "current-password"})


class LoginView(AuthDBView):
    """登录. One answer for every failure, so that nobody learns which accounts exist."""

    login_template = "appbuilder/general/security/login_db.html"

    @expose("/login/", methods=["GET", "POST"])
    def login(self) -> Any:
        if current_user.is_authenticated:
            return self._go_on()
        form = LoginForm()
        wanted = request.args.get("party", "")
        if request.method == "GET" and wanted in dict(PARTIES):
            form.party.data = wanted
        if form.validate_on_submit():
            account = accounts.sign_in(form.party.data, form.username.data, form.password.data,
                                       check=self.appbuilder.sm.auth_user_db)
            if account is not None:
                session.clear()
                login_user(account.user)
                session[SESSION_VERSION] = account.session_version
                session.permanent = True
                return self._go_on()
            form.form_errors = [_("用户名或密码不正确，或与所选身份不符。请核对后再试。")]
        return self.render_template(self.login_template, form=form, party=form.party.data, lookup_form=None,
                                    title=_("登录"), appbuilder=self.appbuilder)

    def _go_on(self) -> Response:
        return redirect(get_safe_redirect(request.args.get("next", "")), 303)


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
                    current_user.id, form.current.data, form.new.data, form.again.data, actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("密码已修改。其他设备上的登录已全部退出。"))
                return self.to("Home.index")
        return self.page("portal/accounts/password.html", form=form, title=_("修改密码"))
