"""企业注册 and 忘记密码: what a visitor does before there is an account (E1–E8)."""

from __future__ import annotations

from typing import Any

from flask import jsonify, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import BooleanField, FileField, PasswordField, SelectField, StringField
from wtforms.validators import InputRequired, Length

from app.documents import papers
from app.errors import Invalid, PortalError
from app.extensions import db, limiter
from app.files import PDF
from app.operations import enterprises, passwords, phone_codes
from models import Region
from views.base import PortalView, download, public_page, put_error_on, said

REQUIRED = InputRequired(_l("此项必填。"))


def region_choices() -> list[tuple[str, str]]:
    """Cities and counties as one list, counties named with their city."""
    regions = {row.code: row for row in db.session.scalars(select(Region).where(Region.enabled).order_by(Region.code))}
    choices = [("", _("请选择"))]
    for code, row in regions.items():
        if row.level == "city":
            choices.append((code, row.name))
        elif row.level == "county" and row.city_code in regions:
            choices.append((code, f"{regions[row.city_code].name} / {row.name}"))
    return choices


def given_papers() -> dict[str, tuple[str, bytes]]:
    """The papers of a form by kind: file name and bytes, empty where none was chosen."""
    found = {}
    for kind in enterprises.PAPERS:
        file = request.files.get(kind)
        found[kind] = (file.filename or "", file.read(enterprises.MOST_BYTES + 1)) if file else ("", b"")
    return found


class RegistrationForm(FlaskForm):
    """The three files come beside it, read from the request."""

    uscc = StringField(_l("社会信用代码"), validators=[REQUIRED, Length(max=40)])
    name = StringField(_l("企业名称"), validators=[REQUIRED, Length(max=100)])
    legal_representative = StringField(_l("法定代表人"), validators=[REQUIRED, Length(max=50)])
    region_code = SelectField(_l("所属地区"), validators=[InputRequired(_l("请选择所属地区（市或县区）。"))])
    is_provincial = BooleanField(_l("省属单位"))
    address = StringField(_l("企业地址"), validators=[REQUIRED, Length(max=200)])
    licence = FileField(_l("营业执照"))
    qualification = FileField(_l("资质证书"))
    commitment = FileField(_l("企业承诺书"))
    contact_name = StringField(_l("负责人姓名"), validators=[REQUIRED, Length(max=50)])
    phone = StringField(_l("负责人手机号"), validators=[REQUIRED, Length(max=20)])
    code = StringField(_l("验证码"), validators=[REQUIRED, Length(max=6)])
    password = PasswordField(_l("登录密码"), validators=[REQUIRED, Length(max=128)])
    again = PasswordField(_l("再次输入密码"), validators=[REQUIRED])

    def registration(self) -> enterprises.Registration:
        """What was typed, as the operation takes it."""
        if self.password.data != self.again.data:
            raise Invalid(_("两次输入的密码不一致。"), "again")
        return enterprises.Registration(
            uscc=self.uscc.data, name=self.name.data, region_code=self.region_code.data,
            is_provincial=self.is_provincial.data, address=self.address.data,
            legal_representative=self.legal_representative.data, contact_name=self.contact_name.data,
            phone=self.phone.data, code=self.code.data, password=self.password.data, papers=given_papers())


class RegistrationView(PortalView):
    """企业注册."""

    route_base = "/register"
    default_view = "register"

    @public_page("/", ("GET", "POST"))
    @limiter.limit("60 per hour", methods=["POST"])
    def register(self) -> Any:
        form = RegistrationForm()
        form.region_code.choices = region_choices()
        if form.validate_on_submit():
            try:
                row = enterprises.register(form.registration(), address=request.remote_addr or "")
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("注册成功。%(authority)s审核通过后即可报名。请用社会信用代码登录查看审核状态。", authority=row.authority.name))
                return self.to("LoginView.login", party="enterprise")
        return self.page("portal/accounts/register.html", form=form, title=_("企业注册"))

    @public_page("/code", ("POST",))
    @limiter.limit("20 per hour")
    def code(self) -> Any:
        phone_codes.send_code(request.form.get("phone", ""), "register")
        return jsonify(message=_("验证码已发送，5 分钟内有效。"))

    @public_page("/commitment-letter.pdf")
    def letter(self) -> Any:
        return download(papers.render("commitment_letter", {"province": _("浙江省"), "enterprise": "", "code": "", "authority": ""}), "企业承诺书.pdf", PDF)


class ResetForm(FlaskForm):
    uscc = StringField(_l("社会信用代码"), validators=[REQUIRED, Length(max=40)])
    phone = StringField(_l("注册时的手机号"), validators=[REQUIRED, Length(max=20)])
    code = StringField(_l("验证码"), validators=[REQUIRED, Length(max=6)])
    new = PasswordField(_l("新密码"), validators=[REQUIRED, Length(max=128)])
    again = PasswordField(_l("再次输入新密码"), validators=[REQUIRED])


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
        return self.page("portal/accounts/reset.html", form=form, title=_("忘记密码"))

    @public_page("/code", ("POST",))
    @limiter.limit("20 per hour")
    def code(self) -> Any:
        passwords.ask_for_code(request.form.get("uscc", ""), request.form.get("phone", ""))
        return jsonify(message=_("如果代码与手机号相符，验证码已发送，5 分钟内有效。"))
