"""培训机构管理, for the authority: accounts, filings, licences that end (I1, A1, A2, B2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import request
from flask_appbuilder.security.sqla.models import User
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from markupsafe import Markup
from sqlalchemy import or_
from sqlalchemy.orm import joinedload, selectinload

from app import clock
from app.errors import NotFound, PortalError
from app.operations import filings, institutions, rounds, teachers
from app.presentation import moment
from models import Account, Institution, Teacher
from models.parties import WARNING_DAYS
from views.base import page, put_error_on, said
from views.forms import line
from views.listing import Filter, Search, like
from views.reviewing import Column, ReviewDesk


class NewInstitutionForm(FlaskForm):
    name = line(_l("机构名称"), 100)
    short_name = line(_l("中文简称"), 10)
    uscc = line(_l("社会信用代码"), 40)
    username = line(_l("登录用户名"), 30)


class NewAccountForm(FlaskForm):
    person = line(_l("使用人姓名"), 50)
    username = line(_l("登录用户名"), 30)


def licence_words(row: Institution) -> Any:
    """Until when the approved licence is good, with a label when that is soon or over."""
    if not row.filed:
        return "—"
    until = str(row.licence_until) if row.licence_until else _("长期")
    if row.licence_expired:
        return Markup('<span class="nowrap">{}</span> <span class="badge badge-bad">{}</span>').format(until, _("已过期"))
    if row.licence_expires_soon:
        return Markup('<span class="nowrap">{}</span> <span class="badge badge-warn">{}</span>').format(
            until, _("%(n)s 天后到期", n=row.licence_days))
    return until


def _accounts(row: Institution) -> Any:
    """How many accounts, and whether anybody can sign in."""
    if row.accounts and not any(each.user.active for each in row.accounts):
        return Markup('<span class="badge badge-bad">{}</span>').format(_("已停用"))
    return _("%(n)s 个", n=len(row.accounts))


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
        Column(_l("营业执照有效期"), lambda row: licence_words(row)),
        Column(_l("帐号"), lambda row: _accounts(row)),
        Column(_l("上报时间"), lambda row: moment(row.submitted_at)),
    )
    opens_with = "all"

    def searches(self) -> Any:
        return (Search("q", _l("名称、简称、代码或用户名"), lambda text: or_(
            *(like(column, text) for column in (Institution.name, Institution.short_name, Institution.uscc)),
            institutions.with_account(like(User.username, text)))),)

    def filters(self) -> Any:
        today = clock.shanghai_day()
        licences = {"soon": Institution.licence_until.between(today, today + timedelta(days=WARNING_DAYS)),
                    "expired": Institution.licence_until < today}
        accounts = {"open": ~institutions.disabled(), "disabled": institutions.disabled()}
        return (Filter("licence", _l("营业执照"), (("soon", _l("即将到期")), ("expired", _l("已过期"))), lambda value: licences[value]),
                Filter("account", _l("帐号"), (("open", _l("正常")), ("disabled", _l("已停用"))), lambda value: accounts[value]))

    def options(self) -> Any:
        return (selectinload(Institution.accounts).joinedload(Account.user),)

    def show_values(self, subject: Institution) -> dict[str, Any]:
        """What was submitted last stands on the page: what its owner is still writing is not for anybody else's eyes."""
        kept = rounds.snapshots(subject, 1)
        rows = kept[0].facts if kept else filings.facts_of(subject).rows if subject.filed else []
        return {"institution": subject, "logins": institutions.accounts_of(subject), "told": rounds.told(rows) if rows else None,
                "licence": licence_words(subject), "manages": subject.authority_id == self.actor.authority_id,
                "account_form": NewAccountForm(), "revealed": {}}

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

    @page("/<int:subject_id>/accounts", "add", ("GET", "POST"))
    def add_account(self, subject_id: int) -> Any:
        row = self.fetch(Institution, subject_id)
        form = NewAccountForm()
        if form.validate_on_submit():
            try:
                account, password = institutions.add_account(row, form.username.data, form.person.data, actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                return self._hand_over(row, account.user.username, password)
        return self.page("portal/institutions/add_account.html", form=form, institution=row, title=_("增加帐号"))

    def _account(self, row: Institution, user_id: int) -> Account:
        account = self.fetch(Account, user_id, joinedload(Account.user))
        if account.institution_id != row.id:
            raise NotFound("")
        return account

    @page("/<int:subject_id>/accounts/<int:user_id>/reset", "reset", ("POST",))
    def reset(self, subject_id: int, user_id: int) -> Any:
        row = self.fetch(Institution, subject_id)
        account = self._account(row, user_id)
        password = institutions.reset_password(row, account, request.form.get("remark", ""), actor=self.actor)
        return self._hand_over(row, account.user.username, password)

    @page("/<int:subject_id>/accounts/<int:user_id>/<any(enable, disable):wanted>", "reset", ("POST",))
    def switch(self, subject_id: int, user_id: int, wanted: str) -> Any:
        row = self.fetch(Institution, subject_id)
        return self._switched(row, [self._account(row, user_id)], wanted)

    @page("/<int:subject_id>/<any(enable, disable):wanted>", "reset", ("POST",))
    def switch_all(self, subject_id: int, wanted: str) -> Any:
        row = self.fetch(Institution, subject_id)
        return self._switched(row, institutions.accounts_of(row), wanted)

    def _switched(self, row: Institution, accounts: list[Account], wanted: str) -> Any:
        n = institutions.set_enabled(row, accounts, wanted == "enable", request.form.get("remark", ""), actor=self.actor)
        said(_("已启用 %(n)s 个帐号。", n=n) if wanted == "enable" else _("已停用 %(n)s 个帐号，已退出登录。", n=n))
        return self.to("show", subject_id=row.id)

    @page("/<int:subject_id>/teachers/<int:teacher_id>/reveal", "reveal", ("POST",))
    def reveal(self, subject_id: int, teacher_id: int) -> Any:
        """A teacher's ID number and phone in full, to compare with the certificates."""
        row = self.fetch(Institution, subject_id)
        teacher = self.fetch(Teacher, teacher_id)
        if teacher.institution_id != row.id:
            raise NotFound("")
        return self.drawn(row, revealed={f"teacher-{teacher.id}": teachers.reveal(teacher, actor=self.actor)})
