"""企业基本信息 for the enterprise itself, and the desk on which its authority reviews it (E7, E9, A3)."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import false
from sqlalchemy.orm import joinedload
from wtforms import BooleanField, FileField, SelectField
from wtforms.validators import InputRequired

from app import workflow
from app.errors import PortalError
from app.identifiers import mask_phone
from app.operations import enterprises, phone_codes
from app.presentation import moment
from models import Enterprise, Region
from views.base import PortalView, page, put_error_on, said
from views.forms import answer_sent, code_line, line, phone_line
from views.listing import Filter, Search, like
from views.records import events_of
from views.registration import given_papers, region_choices
from views.reviewing import Column, ReviewDesk, standing

# What of a correction is settled once an authority reads it, and what stays settled after it has approved.
NAMES_AND_PAPERS = ("name", "legal_representative", "licence", "qualification", "commitment")
PLACE = ("region_code", "is_provincial")


class CorrectionForm(FlaskForm):
    """修改 (E9). A field that may not change now is taken out."""

    name = line(_l("企业名称"), 100)
    legal_representative = line(_l("法定代表人"), 50)
    region_code = SelectField(_l("所属地区"), validators=[InputRequired(_l("请选择所属地区（市或县区）。"))])
    is_provincial = BooleanField(_l("省属单位"))
    address = line(_l("企业地址"), 200)
    contact_name = line(_l("企业联系人"), 50)
    phone = phone_line(_l("手机号"))
    code = code_line(required=False)
    licence = FileField(_l("营业执照"))
    qualification = FileField(_l("资质证书"))
    commitment = FileField(_l("企业承诺书"))

    def keep_to(self, row: Enterprise) -> None:
        """Offer only what may change in this state (C1)."""
        settled: tuple[str, ...] = ()
        if not row.editable:
            settled = NAMES_AND_PAPERS if row.review_state == "approved" else NAMES_AND_PAPERS + PLACE
        for name in settled:
            delattr(self, name)
        if "region_code" in self:
            choices = region_choices()
            if row.region_code not in dict(choices):
                choices.insert(1, (row.region_code, row.region.full_name))
            self.region_code.choices = choices

    def correction(self, row: Enterprise) -> enterprises.Correction:
        """What was typed; what was not offered stays as it is."""
        def value(name: str) -> Any:
            return self[name].data if name in self else getattr(row, name)

        return enterprises.Correction(
            name=value("name"), region_code=value("region_code"), is_provincial=value("is_provincial"),
            address=value("address"), legal_representative=value("legal_representative"),
            contact_name=value("contact_name"), phone=value("phone"), code=self.code.data or "", papers=given_papers())


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
                         standing=standing(row, _("报名")), papers=enterprises.papers_of(row), phone=mask_phone(row.phone),
                         events=events_of("enterprise", row.id), steps=workflow.steps_open_to(self.actor, row))

    @page("/edit", "edit", ("GET", "POST"))
    def edit(self) -> Any:
        row, form = self._form()
        if form.validate_on_submit():
            try:
                again = enterprises.correct(row, form.correction(row), actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("已保存。所属地区或省属标志有变化，需重新审核，审核通过前不能报名。") if again else _("已保存。"),
                     "warning" if again else "success")
                return self.to("show")
        return self._edit_page(row, form)

    def _form(self) -> tuple[Enterprise, CorrectionForm]:
        row = self._own()
        form = CorrectionForm(obj=row)
        form.keep_to(row)
        return row, form

    def _edit_page(self, row: Enterprise, form: CorrectionForm) -> str:
        return self.page("portal/enterprises/edit.html", form=form, enterprise=row, title=_("修改企业信息"),
                         names=enterprises.PAPERS, papers={stored.kind: stored for _name, stored in enterprises.papers_of(row)})

    @page("/code", "edit", ("POST",))
    def code(self) -> Any:
        phone_codes.send_code(request.form.get("phone", ""), "change_phone")
        return answer_sent(_("验证码已发送，5 分钟内有效。")) or self._edit_page(*self._form())

    @page("/submit", "submit", ("POST",))
    def submit(self) -> Any:
        enterprises.submit(self._own(), actor=self.actor)
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
        Column(_l("所属地区"), lambda row: row.region.full_name),
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
        return (joinedload(Enterprise.region).joinedload(Region.parent),)

    def show_values(self, subject: Enterprise) -> dict[str, Any]:
        return {"enterprise": subject, "comparison": enterprises.compared(subject),
                "papers": enterprises.papers_of(subject), "phone": mask_phone(subject.phone)}
