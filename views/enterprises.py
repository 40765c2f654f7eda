"""企业基本信息 for the enterprise itself, and the desk on which its authority reviews it (E7, E9, A3)."""

from __future__ import annotations

from typing import Any

from flask import jsonify, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import false
from sqlalchemy.orm import joinedload
from wtforms import BooleanField, FileField, SelectField, StringField
from wtforms.validators import InputRequired, Length, Optional

from app import workflow
from app.errors import PortalError
from app.identifiers import mask_phone
from app.operations import enterprises, phone_codes
from app.presentation import moment
from models import Enterprise
from views.base import PortalView, page, put_error_on, said
from views.listing import Filter, Search, like
from views.records import events_of
from views.registration import given_papers, region_choices
from views.reviewing import Column, ReviewDesk

REQUIRED = InputRequired(_l("此项必填。"))


class CorrectionForm(FlaskForm):
    """修改 (E9). Name, legal representative and papers are offered only while they may change."""

    name = StringField(_l("企业名称"), validators=[REQUIRED, Length(max=100)])
    legal_representative = StringField(_l("法定代表人"), validators=[Length(max=50)])
    region_code = SelectField(_l("所属地区"), validators=[Optional()])
    is_provincial = BooleanField(_l("省属单位"))
    address = StringField(_l("企业地址"), validators=[REQUIRED, Length(max=200)])
    contact_name = StringField(_l("企业联系人"), validators=[REQUIRED, Length(max=50)])
    phone = StringField(_l("手机号"), validators=[REQUIRED, Length(max=20)])
    code = StringField(_l("验证码（更换手机号时填写）"), validators=[Length(max=6)])
    licence = FileField(_l("营业执照"))
    qualification = FileField(_l("资质证书"))
    commitment = FileField(_l("企业承诺书"))


class EnterpriseView(PortalView):
    """What the enterprise registered, its review state, and the button to change it."""

    route_base = "/enterprise"
    default_view = "show"

    def _own(self) -> Enterprise:
        return self.fetch(Enterprise, self.actor.enterprise_id)

    @page("/", "show")
    def show(self) -> Any:
        row = self._own()
        return self.page("portal/enterprises/show.html", enterprise=row, title=_("企业基本信息"),
                         papers=enterprises.papers_of(row), phone=mask_phone(row.phone),
                         events=events_of("enterprise", row.id), steps=workflow.steps_open_to(self.actor, row))

    @page("/edit", "edit", ("GET", "POST"))
    def edit(self) -> Any:
        row = self._own()
        form = CorrectionForm(obj=row)
        form.region_code.choices = region_choices()
        if form.validate_on_submit():
            try:
                again = enterprises.correct(row, self._correction(form, row), actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("已保存。所属地区或省属标志有变化，需重新审核，审核通过前不能报名。") if again else _("已保存。"))
                return self.to("show")
        return self.page("portal/enterprises/edit.html", form=form, enterprise=row, title=_("修改企业信息"))

    @staticmethod
    def _correction(form: CorrectionForm, row: Enterprise) -> enterprises.Correction:
        return enterprises.Correction(
            name=form.name.data, region_code=form.region_code.data or row.region_code, is_provincial=form.is_provincial.data,
            address=form.address.data, legal_representative=form.legal_representative.data or "",
            contact_name=form.contact_name.data, phone=form.phone.data, code=form.code.data or "", papers=given_papers())

    @page("/code", "edit", ("POST",))
    def code(self) -> Any:
        phone_codes.send_code(request.form.get("phone", ""), "change_phone")
        return jsonify(message=_("验证码已发送，5 分钟内有效。"))

    @page("/submit", "submit", ("POST",))
    def submit(self) -> Any:
        workflow.take_step(self._own(), "submit", actor=self.actor)
        said(_("已提交审核。"))
        return self.to("show")

    @page("/withdraw", "submit", ("POST",))
    def withdraw(self) -> Any:
        workflow.take_step(self._own(), "withdraw", actor=self.actor)
        said(_("已撤回，可以修改后再次提交。"))
        return self.to("show")


class EnterpriseReviewView(ReviewDesk):
    """企业审核."""

    route_base = "/reviews/enterprises"
    kind = "enterprise"
    title = _l("企业审核")
    show_template = "portal/enterprises/review.html"
    columns = (
        Column(_l("企业名称"), lambda row: row.name),
        Column(_l("社会信用代码"), lambda row: row.uscc),
        Column(_l("所属地区"), lambda row: row.region.name),
        Column(_l("省属"), lambda row: _("是") if row.is_provincial else _("否")),
        Column(_l("上报时间"), lambda row: moment(row.submitted_at)),
    )

    def searches(self) -> Any:
        return (Search("q", _l("企业名称"), lambda text: like(Enterprise.name, text)),
                Search("uscc", _l("社会信用代码"), lambda text: Enterprise.uscc == text.upper()
                       if len(text) == 18 else Enterprise.uscc.startswith(text.upper()) if text.isalnum() else false()))

    def filters(self) -> Any:
        return (Filter("provincial", _l("省属单位"), (("1", _l("是")), ("0", _l("否"))),
                       lambda value: Enterprise.is_provincial.is_(value == "1")),)

    def options(self) -> Any:
        return (joinedload(Enterprise.region),)

    def show_values(self, subject: Enterprise) -> dict[str, Any]:
        return {"enterprise": subject, "papers": enterprises.papers_of(subject), "phone": mask_phone(subject.phone)}
