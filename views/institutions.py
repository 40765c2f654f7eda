"""机构备案 for the institution, 培训机构管理 for its authority (I1, I2, I7, A1, A2)."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy.orm import selectinload
from wtforms import FileField, RadioField

from app import workflow
from app.errors import PortalError
from app.identifiers import mask_phone
from app.operations import institutions
from app.presentation import moment
from models import Institution, Teacher
from views.base import PortalView, page, put_error_on, said
from views.forms import chosen_file, line, phone_line
from views.listing import Search, like
from views.records import events_of
from views.reviewing import Column, ReviewDesk, standing

TEACHER_KINDS = [("own", _l("本单位")), ("external", _l("外聘"))]


class FilingForm(FlaskForm):
    address = line(_l("单位地址"), 200)
    contact_name = line(_l("联系人"), 50)
    contact_phone = phone_line(_l("联系电话"))
    licence = FileField(_l("营业执照"))
    commitment = FileField(_l("承诺书"))


class TeacherForm(FlaskForm):
    name = line(_l("姓名"), 50)
    kind = RadioField(_l("类别"), choices=TEACHER_KINDS, default="own")
    qualification = line(_l("职称或资格"), 100, required=False)
    phone = phone_line(_l("手机号（选填）"), required=False)


def _phone(row: Institution) -> str:
    return mask_phone(row.contact_phone) if row.contact_phone else ""


class FilingView(PortalView):
    """机构备案: unit data, licence, commitment letter, teachers."""

    route_base = "/filing"
    default_view = "show"

    def _own(self) -> Institution:
        return self.fetch(Institution, self.actor.institution_id, selectinload(Institution.teachers))

    def _filing_page(self, row: Institution, teacher_form: TeacherForm) -> str:
        return self.page("portal/institutions/filing.html", institution=row, title=_("机构备案"), teacher_form=teacher_form,
                         standing=standing(row, _("上报培训计划")), teacher_kinds=dict(TEACHER_KINDS), phone=_phone(row),
                         papers=institutions.papers_of(row),
                         missing=institutions.missing_for_submission(row), events=events_of("institution", row.id),
                         steps=workflow.steps_open_to(self.actor, row))

    @page("/", "show")
    def show(self) -> Any:
        return self._filing_page(self._own(), TeacherForm())

    @page("/edit", "edit", ("GET", "POST"))
    def edit(self) -> Any:
        row = self._own()
        form = FilingForm(obj=row)
        if form.validate_on_submit():
            filing = institutions.Filing(form.address.data, form.contact_name.data, form.contact_phone.data,
                                         chosen_file("licence"), chosen_file("commitment"))
            try:
                institutions.save_filing(row, filing, actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("已保存。"))
                return self.to("show")
        return self.page("portal/institutions/filing_edit.html", form=form, institution=row, title=_("填写备案信息"))

    @page("/teachers", "edit", ("POST",))
    def add_teacher(self) -> Any:
        form = TeacherForm()
        row = self._own()
        if form.validate_on_submit():
            try:
                institutions.add_teacher(row, form.name.data, form.kind.data, form.qualification.data or "",
                                         form.phone.data or "", actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("已登记老师 %(name)s。", name=form.name.data))
                return self.to("show", _anchor="teachers")
        return self._filing_page(row, form)

    @page("/teachers/<int:teacher_id>/<any(enable, disable):wanted>", "edit", ("POST",))
    def switch_teacher(self, teacher_id: int, wanted: str) -> Any:
        teacher = self.fetch(Teacher, teacher_id)
        institutions.set_teacher_enabled(teacher, wanted == "enable", actor=self.actor)
        said(_("已启用 %(name)s。", name=teacher.name) if wanted == "enable" else
             _("已停用 %(name)s，不再出现在新计划中。", name=teacher.name))
        return self.to("show", _anchor="teachers")

    @page("/submit", "submit", ("POST",))
    def submit(self) -> Any:
        institutions.submit(self._own(), actor=self.actor)
        said(_("已提交审核。"))
        return self.to("show")

    @page("/withdraw", "submit", ("POST",))
    def withdraw(self) -> Any:
        workflow.take_step(self._own(), "withdraw", actor=self.actor)
        said(_("已撤回，可以修改后再次提交。"))
        return self.to("show")


class NewInstitutionForm(FlaskForm):
    name = line(_l("机构名称"), 100)
    short_name = line(_l("中文简称"), 10)
    uscc = line(_l("社会信用代码"), 40)
    username = line(_l("登录用户名"), 30)


class InstitutionView(ReviewDesk):
    """培训机构管理: accounts and filings of the institutions of this authority."""

    route_base = "/institutions"
    kind = "institution"
    title = _l("培训机构管理")
    show_template = "portal/institutions/review.html"
    list_template = "portal/institutions/desk.html"
    columns = (
        Column(_l("机构名称"), lambda row: row.name),
        Column(_l("简称"), lambda row: row.short_name),
        Column(_l("社会信用代码"), lambda row: row.uscc),
        Column(_l("上报时间"), lambda row: moment(row.submitted_at)),
    )
    opens_with = "all"

    def searches(self) -> Any:
        return (Search("q", _l("机构名称"), lambda text: like(Institution.name, text)),)

    def show_values(self, subject: Institution) -> dict[str, Any]:
        return {"institution": subject, "login": institutions.account_of(subject), "teacher_kinds": dict(TEACHER_KINDS),
                "papers": institutions.papers_of(subject),
                "phone": _phone(subject), "manages": subject.authority_id == self.actor.authority_id}

    @page("/add", "add", ("GET", "POST"))
    def add(self) -> Any:
        form = NewInstitutionForm()
        if form.validate_on_submit():
            given = institutions.NewInstitution(form.username.data, form.name.data, form.short_name.data, form.uscc.data)
            try:
                row, password = institutions.create(given, actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                return self._hand_over(row, given.username, password)
        return self.page("portal/institutions/add.html", form=form, title=_("开通培训机构"))

    def _hand_over(self, row: Institution, username: str, password: str) -> Any:
        """The issued password, on this page only and never again."""
        return self.page("portal/institutions/password.html", institution=row, username=username, password=password,
                         title=_("登录帐号"))

    @page("/<int:subject_id>/reset", "reset", ("POST",))
    def reset(self, subject_id: int) -> Any:
        row = self.fetch(Institution, subject_id)
        password = institutions.reset_password(row, actor=self.actor)
        account = institutions.account_of(row)
        return self._hand_over(row, account.user.username if account else "", password)

    @page("/<int:subject_id>/<any(enable, disable):wanted>", "reset", ("POST",))
    def switch(self, subject_id: int, wanted: str) -> Any:
        row = self.fetch(Institution, subject_id)
        institutions.set_enabled(row, wanted == "enable", actor=self.actor)
        said(_("帐号已启用。") if wanted == "enable" else _("帐号已停用，该机构已退出登录。"))
        return self.to("show", subject_id=subject_id)
