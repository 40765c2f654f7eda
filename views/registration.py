"""企业注册 and 忘记密码: what a visitor does before there is an account (E1–E8)."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Any

from flask import jsonify, make_response, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from wtforms import BooleanField, FileField, SelectField
from wtforms.validators import InputRequired, Optional

from app import files
from app.documents import letter, papers
from app.errors import NotFound, PortalError
from app.extensions import db, limiter
from app.operations import drafts, enterprises, passwords, phone_codes, readings
from app.operations.checks import MOST_BYTES
from models import Region, RegistrationDraft
from views.base import PortalView, answer_error, download, public_page, put_error_on, said, uploaded
from views.captcha import CaptchaForm
from views.forms import Day, answer_sent, chosen_file, code_line, line, new_password, phone_line

COOKIE = "registration"


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
    return papers.render("commitment_letter", letter.blank())


class RegistrationForm(CaptchaForm):
    """The three files come beside it, read from the request."""

    uscc = line(_l("社会信用代码"), 40)
    name = line(_l("企业名称"), 100)
    legal_representative = line(_l("法定代表人"), 50)
    region_code = SelectField(_l("所属地区"), validators=[InputRequired(_l("请选择所属地区（市或县区）。"))])
    is_provincial = BooleanField(_l("省属单位"))
    address = line(_l("企业地址"), 200)
    founded_on = Day(_l("成立日期"), validators=[Optional()])
    licence_until = Day(_l("营业期限至"), validators=[Optional()])
    confirmed = BooleanField(_l("我已对照营业执照核对以上内容"))
    licence = FileField(_l("营业执照"))
    qualification = FileField(_l("资质证书"))
    commitment = FileField(_l("企业承诺书"))
    contact_name = line(_l("负责人姓名"), 50)
    phone = phone_line(_l("负责人手机号"))
    code = code_line()
    password = new_password(_l("登录密码"), _l("请设置登录密码。"))
    again = new_password(_l("再次输入密码"), _l("请再次输入密码。"))

    def registration(self, draft: RegistrationDraft | None) -> enterprises.Registration:
        """What was typed, as the operation takes it."""
        return enterprises.Registration(
            uscc=self.uscc.data, name=self.name.data, region_code=self.region_code.data,
            is_provincial=self.is_provincial.data, address=self.address.data,
            legal_representative=self.legal_representative.data, contact_name=self.contact_name.data,
            phone=self.phone.data, code=self.code.data, password=self.password.data, again=self.again.data,
            papers=given_papers(), founded_on=self.founded_on.data, licence_until=self.licence_until.data, draft=draft,
            confirmed=self.confirmed.data)


class RegistrationView(PortalView):
    """企业注册."""

    route_base = "/register"
    default_view = "register"

    @public_page("/", ("GET", "POST"))
    @limiter.limit("60 per hour", methods=["POST"])
    def register(self) -> Any:
        draft = drafts.draft_of(_token())
        form = _form(draft)
        if form.validate_on_submit():
            try:
                row = enterprises.register(form.registration(draft), address=request.remote_addr or "")
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("注册成功，请等待%(authority)s审核，通过后即可报名。现在可以用社会信用代码登录查看审核状态。",
                       authority=row.authority.name))
                return _forgetting(self.to("LoginView.login", party="enterprise"))
        return self._page(form, draft)

    @public_page("/code", ("POST",))
    @limiter.limit("20 per hour")
    def code(self) -> Any:
        phone_codes.send_code(request.form.get("phone", ""), "register", _captcha())
        draft = drafts.draft_of(_token())
        return answer_sent(_("验证码已发送，5 分钟内有效。")) or self._page(_form(draft), draft)

    @public_page("/save", ("POST",))
    @limiter.limit("30 per minute")
    def save(self) -> Any:
        """What was typed so far."""
        drafts.save_typed(_token(), request.form)
        return _keeping(jsonify(message=_("已保存")), _token())

    @public_page("/papers/<any(licence, qualification, commitment):kind>", ("POST",))
    @limiter.limit("120 per hour")
    def keep_paper(self, kind: str) -> Any:
        """One photo, at once when it is chosen."""
        try:
            drafts.save_paper(_token(), kind, *_first_bytes(uploaded("file")))
        except PortalError as error:
            return answer_error(error)
        return _keeping(jsonify(message=_("已上传，照片符合要求。")), _token())

    @public_page("/papers/<any(licence, qualification, commitment):kind>")
    def paper(self, kind: str) -> Any:
        """A photo of the draft, to the browser that has its token and to nobody else."""
        stored = drafts.paper_of(_token(), kind)
        return download(files.read(stored), stored.name, stored.content_type, inline=True)

    @public_page("/reading")
    @limiter.limit("120 per minute")
    def reading(self) -> Any:
        """What was read on this browser's licence so far, field by field as the form names them."""
        found = drafts.reading_of(drafts.draft_of(_token()))
        if found is None:
            raise NotFound("")
        fields = {name: found.fields[read_as] for name, read_as in enterprises.READ_AS.items()
                  if read_as in found.fields and found.fields[read_as]["value"] != readings.FOREVER}
        answer = jsonify(ended=found.ended, message=readings.explain_reading(found), fields=fields)
        answer.headers["Cache-Control"] = "private, no-store"
        return answer

    @public_page("/clear", ("POST",))
    @limiter.limit("60 per hour")
    def clear(self) -> Any:
        drafts.drop(_token())
        said(_("已清空，可以重新填写。"))
        return _forgetting(self.to("register"))

    @public_page("/commitment-letter.pdf")
    @limiter.limit("60 per hour")
    def letter(self) -> Any:
        return download(_blank_letter(), _("企业承诺书.pdf"), files.PDF)

    @public_page("/commitment-letter.docx")
    @limiter.limit("60 per hour")
    def letter_to_type_in(self) -> Any:
        return download(letter.word(), _("企业承诺书.docx"), files.DOCX)

    def _page(self, form: RegistrationForm, draft: RegistrationDraft | None) -> Any:
        form.draw_captcha()
        drawn = self.page("portal/accounts/register.html", form=form, title=_("企业注册"), names=enterprises.PAPERS, draft=draft,
                          reading=drafts.reading_of(draft))
        return _keeping(make_response(drawn), _token() or drafts.new_token())


def _token() -> str:
    """The token of this browser's draft."""
    return request.cookies.get(COOKIE, "")


def _captcha() -> tuple[str, str]:
    """The captcha of a form, as its token and the answer."""
    return request.form.get("captcha_token", ""), request.form.get("captcha", "")


def _first_bytes(given: tuple[str, bytes]) -> tuple[str, bytes]:
    """A file's name and no more of its bytes than show that it is too big."""
    return given[0], given[1][:MOST_BYTES + 1]


def _keeping(answer: Any, token: str) -> Any:
    """An answer after which this browser has the token, for as long as the draft lives; no script can read it."""
    answer.set_cookie(COOKIE, token, max_age=drafts.LIFE, path=RegistrationView.route_base, httponly=True, samesite="Lax",
                      secure=request.is_secure)
    return answer


def _forgetting(answer: Any) -> Any:
    answer.delete_cookie(COOKIE, path=RegistrationView.route_base)
    return answer


def _form(draft: RegistrationDraft | None) -> RegistrationForm:
    """The form, with what the draft has of it."""
    form = RegistrationForm(data=_typed(draft) if draft is not None else None)
    form.region_code.choices = region_choices()
    return form


def _typed(draft: RegistrationDraft) -> dict[str, Any]:
    """What was typed, as the form's fields take it; a date that was half typed is left out."""
    values: dict[str, Any] = dict(drafts.typed_of(draft))
    reading = drafts.reading_of(draft)
    for name, read_as in enterprises.READ_AS.items():
        values[name] = values.get(name) or (reading.value(read_as) if reading is not None else "")
    values["is_provincial"] = values.get("is_provincial") == "y"
    for name in ("founded_on", "licence_until"):
        try:
            values[name] = date.fromisoformat(values.get(name, ""))
        except ValueError:
            values[name] = None
    return values


class ResetForm(CaptchaForm):
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
        passwords.ask_for_code(request.form.get("uscc", ""), request.form.get("phone", ""), _captcha())
        return answer_sent(_("如果代码与手机号相符，验证码已发送，5 分钟内有效。")) or self._page(ResetForm())

    def _page(self, form: ResetForm) -> str:
        form.draw_captcha()
        return self.page("portal/accounts/reset.html", form=form, title=_("忘记密码"))
