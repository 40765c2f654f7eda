"""企业注册 and 忘记密码: what a visitor does before there is an account (E1–E8)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import BooleanField, FileField, SelectField
from wtforms.validators import InputRequired

from app.documents import papers
from app.errors import PortalError
from app.extensions import db, limiter
from app.files import PDF
from app.operations import enterprises, passwords, phone_codes
from models import Region
from views.base import PortalView, download, public_page, put_error_on, said
from views.forms import answer_sent, chosen_file, code_line, line, new_password, phone_line


def region_choices() -> list[tuple[str, str]]:
    """Cities and counties as one list, counties named with their city."""
    regions = db.session.scalars(select(Region).where(Region.enabled).order_by(Region.code)).all()
    return [("", _("请选择")), *((row.code, row.full_name) for row in regions if row.level != "province")]


def given_papers() -> dict[str, tuple[str, bytes]]:
    """The papers of a form by kind: file name and bytes, empty where none was chosen."""
    return {kind: chosen_file(kind) for kind in enterprises.PAPERS}


@lru_cache(maxsize=1)
def _blank_letter() -> bytes:
    """The commitment letter to fill in by hand. The same for everyone, so it is drawn once and no visitor waits twice."""
    return papers.render("commitment_letter", {"province": "浙江省", "enterprise": "", "code": "", "authority": ""})


class RegistrationForm(FlaskForm):
    """The three files come beside it, read from the request."""

    uscc = line(_l("社会信用代码"), 40)
    name = line(_l("企业名称"), 100)
    legal_representative = line(_l("法定代表人"), 50)
    region_code = SelectField(_l("所属地区"), validators=[InputRequired(_l("请选择所属地区（市或县区）。"))])
    is_provincial = BooleanField(_l("省属单位"))
    address = line(_l("企业地址"), 200)
    licence = FileField(_l("营业执照"))
    qualification = FileField(_l("资质证书"))
    commitment = FileField(_l("企业承诺书"))
    contact_name = line(_l("负责人姓名"), 50)
    phone = phone_line(_l("负责人手机号"))
    code = code_line()
    password = new_password(_l("登录密码"), _l("请设置登录密码。"))
    again = new_password(_l("再次输入密码"), _l("请再次输入密码。"))

    def registration(self) -> enterprises.Registration:
        """What was typed, as the operation takes it."""
        return enterprises.Registration(
            uscc=self.uscc.data, name=self.name.data, region_code=self.region_code.data,
            is_provincial=self.is_provincial.data, address=self.address.data,
            legal_representative=self.legal_representative.data, contact_name=self.contact_name.data,
            phone=self.phone.data, code=self.code.data, password=self.password.data, again=self.again.data,
            papers=given_papers())


class RegistrationView(PortalView):
    """企业注册."""

    route_base = "/register"
    default_view = "register"

    @public_page("/", ("GET", "POST"))
    @limiter.limit("60 per hour", methods=["POST"])
    def register(self) -> Any:
        form = self._form()
        if form.validate_on_submit():
            try:
                row = enterprises.register(form.registration(), address=request.remote_addr or "")
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("注册成功，请等待%(authority)s审核，通过后即可报名。现在可以用社会信用代码登录查看审核状态。",
                       authority=row.authority.name))
                return self.to("LoginView.login", party="enterprise")
        return self._page(form)

    @public_page("/code", ("POST",))
    @limiter.limit("20 per hour")
    def code(self) -> Any:
        phone_codes.send_code(request.form.get("phone", ""), "register")
        return answer_sent(_("验证码已发送，5 分钟内有效。")) or self._page(self._form())

    @public_page("/commitment-letter.pdf")
    @limiter.limit("60 per hour")
    def letter(self) -> Any:
        return download(_blank_letter(), _("企业承诺书.pdf"), PDF)

    @staticmethod
    def _form() -> RegistrationForm:
        form = RegistrationForm()
        form.region_code.choices = region_choices()
        return form

    def _page(self, form: RegistrationForm) -> str:
        return self.page("portal/accounts/register.html", form=form, title=_("企业注册"), names=enterprises.PAPERS)


class ResetForm(FlaskForm):
    uscc = line(_l("社会信用代码"), 40)
    phone = phone_line(_l("注册时的手机号"))
    code = code_line()
    new = new_password(_l("新密码"), _l("请填写新密码。"))
    again = new_password(_l("再次输入新密码"), _l("请再次填写新密码。"))


class ResetView(PortalView):
    """忘记密码 (E8)."""

    route_base = "/forgotten"
    default_view = "reset"

    @public_page("/", ("GET", "POST"))
    @limiter.limit("30 per hour", methods=["POST"])
    def reset(self) -> Any:
        form = ResetForm()
        if form.validate_on_submit():
            try:
                passwords.reset_password(form.uscc.data, form.phone.data, form.code.data, form.new.data, form.again.data,
                                         address=request.remote_addr or "")
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("密码已重置，请用新密码登录。"))
                return self.to("LoginView.login", party="enterprise")
        return self._page(form)

    @public_page("/code", ("POST",))
    @limiter.limit("20 per hour")
    def code(self) -> Any:
        passwords.ask_for_code(request.form.get("uscc", ""), request.form.get("phone", ""))
        return answer_sent(_("如果代码与手机号相符，验证码已发送，5 分钟内有效。")) or self._page(ResetForm())

    def _page(self, form: ResetForm) -> str:
        return self.page("portal/accounts/reset.html", form=form, title=_("忘记密码"))
