"""帐号: the people of the authorities and the administrators, for the administrator; 人员 of one's own authority (B9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask_appbuilder.security.sqla.models import User
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import Select, or_
from sqlalchemy.orm import joinedload
from wtforms import RadioField, SelectField, SelectMultipleField
from wtforms.validators import Optional

from app import areas, scope
from app.errors import NotFound, PortalError
from app.extensions import db
from app.identifiers import mask_phone
from app.operations import roles, second_factors, staff
from models import Account, Authority
from views.base import PortalView, page, put_error_on, said
from views.forms import line, phone_line
from views.listing import Filter, Search, like, listing

EVERYONE = [("authority", _l("主管部门")), ("administrator", _l("主管部门")), ("institution", _l("培训机构")), ("enterprise", _l("企业"))]
PARTIES = [("authority", _l("主管部门")), ("administrator", _l("系统管理"))]

IN_FULL = (joinedload(Account.user).selectinload(User.roles), joinedload(Account.authority))


class StaffForm(FlaskForm):
    party = RadioField(_l("身份"), choices=PARTIES, default="authority")
    authority_id = SelectField(_l("所属主管部门"), choices=[], validators=[Optional()])
    username = line(_l("登录用户名"), 30)
    name = line(_l("姓名"), 50)
    phone = phone_line(_l("手机号（选填）"), required=False)
    role_ids = SelectMultipleField(_l("角色"), choices=[])


class StaffView(PortalView):
    """Who works here, what they may do, and everyone's way in."""

    route_base = "/staff"
    default_view = "list"

    def _statement(self) -> Select[Account]:
        return scope.visible(self.actor, Account).join(Account.user)

    def _account(self, user_id: int, *clauses: Any) -> Account:
        wanted = self._statement().where(Account.user_id == user_id, *clauses).options(*IN_FULL)
        found = db.session.scalars(wanted).unique().first()
        if found is None:
            raise NotFound(_("没有找到这条记录，或您无权查看。"))
        return found

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(self._statement(), order=(Account.party.desc(), Account.authority_id, Account.user_id), searches=_searches(),
                       filters=(_party_filter(), _state_filter(), _authority_filter(self.actor)), options=IN_FULL)
        return self.page("portal/staff/list.html", listing=rows, title=_("帐号"), masked=mask_phone)

    @page("/<int:user_id>", "show")
    def show(self, user_id: int) -> Any:
        account = self._account(user_id)
        return self.page("portal/staff/show.html", person=account, title=account.user.first_name or account.user.username,
                         masked=mask_phone, words=dict(EVERYONE), made=roles.described(account.user.roles),
                         in_words=areas.in_words, factor=second_factors.factor_of(account) is not None, own=user_id == self.actor.user_id)

    @page("/add", "add", ("GET", "POST"))
    def add(self) -> Any:
        form = self._form()
        if form.validate_on_submit():
            try:
                account, password = staff.create(_given(form), form.username.data, actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                return self._hand_over(account, password)
        return self.page("portal/staff/edit.html", form=form, person=None, title=_("开通帐号"))

    @page("/<int:user_id>/edit", "edit", ("GET", "POST"))
    def edit(self, user_id: int) -> Any:
        account = self._account(user_id, staff.is_staff())
        form = self._form(party=account.party, authority_id=str(account.authority_id or ""), name=account.user.first_name,
                          phone=account.phone or "", role_ids=[str(role.id) for role in account.user.roles])
        del form.username  # a user name is for good: the audit log and the person's habit hold it
        if form.validate_on_submit():
            try:
                staff.change(account, _given(form), actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("已保存。"))
                return self.to("show", user_id=user_id)
        return self.page("portal/staff/edit.html", form=form, person=account, title=_("修改帐号"))

    def _form(self, **values: Any) -> StaffForm:
        form = StaffForm(data=values)
        form.authority_id.choices = [("", _("请选择")), *_authorities(self.actor)]
        form.role_ids.choices = [(str(role.id), role.name) for role in roles.giveable(actor=self.actor)]
        return form

    @page("/<int:user_id>/reset", "reset", ("POST",))
    def reset(self, user_id: int) -> Any:
        account = self._account(user_id)
        return self._hand_over(account, staff.reset_password(account, actor=self.actor))

    @page("/<int:user_id>/factor", "reset", ("POST",))
    def reset_factor(self, user_id: int) -> Any:
        second_factors.reset_second_factor(self._account(user_id), actor=self.actor)
        said(_("二次验证已解除。此人下次登录后可以重新设置。"))
        return self.to("show", user_id=user_id)

    @page("/<int:user_id>/<any(enable, disable):wanted>", "switch", ("POST",))
    def switch(self, user_id: int, wanted: str) -> Any:
        staff.set_enabled(self._account(user_id), wanted == "enable", actor=self.actor)
        said(_("帐号已启用。") if wanted == "enable" else _("帐号已停用，已退出登录。"))
        return self.to("show", user_id=user_id)

    def _hand_over(self, account: Account, password: str) -> Any:
        """The issued password, on this page only and never again."""
        return self.page("portal/staff/password.html", person=account, password=password, words=dict(EVERYONE), title=_("登录帐号"))


class ColleagueView(PortalView):
    """人员: who of one's own authority may do what. Read only."""

    route_base = "/colleagues"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        statement = scope.visible(self.actor, Account).join(Account.user).where(
            Account.authority_id == self.actor.authority_id, User.active.is_(True))
        rows = listing(statement, order=(Account.user_id,), searches=_searches(), options=IN_FULL)
        return self.page("portal/staff/colleagues.html", listing=rows, title=_("人员"))


def _given(form: StaffForm) -> staff.StaffForm:
    chosen = form.authority_id.data or ""
    return staff.StaffForm(form.party.data, form.name.data, form.phone.data or "", int(chosen) if chosen.isdigit() else None,
                           tuple(int(key) for key in form.role_ids.data or () if key.isdigit()))


def _authorities(actor: Any) -> Sequence[tuple[str, str]]:
    rows = db.session.scalars(scope.visible(actor, Authority).order_by(Authority.region_code))
    return [(str(row.id), row.name) for row in rows]


def _searches() -> tuple[Search, ...]:
    return (Search("q", _l("姓名或用户名"), lambda text: or_(like(User.first_name, text), like(User.username, text))),)


def _party_filter() -> Filter:
    """The accounts made here come first; those of the other parties are here to be reset or disabled."""
    return Filter("party", _l("身份"), (("staff", _l("主管部门和系统管理")), ("institution", _l("培训机构")), ("enterprise", _l("企业"))),
                  lambda value: staff.is_staff() if value == "staff" else Account.party == value, default="staff")


def _state_filter() -> Filter:
    return Filter("state", _l("状态"), (("on", _l("正常")), ("off", _l("已停用"))), lambda value: User.active.is_(value == "on"))


def _authority_filter(actor: Any) -> Filter:
    return Filter("authority", _l("主管部门"), _authorities(actor), lambda value: Account.authority_id == int(value))
