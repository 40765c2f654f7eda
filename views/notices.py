"""消息: what this person's organisation was told, and which of it they want by SMS."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm

from app import notices as table
from app import scope
from app.errors import PortalError
from app.identifiers import mask_phone
from app.operations import notices, phone_codes
from models import Notice
from views.base import PortalView, page, put_error_on, said
from views.forms import answer_sent, code_line, phone_line
from views.listing import Filter, listing


class PhoneForm(FlaskForm):
    phone = phone_line(_l("手机号"))
    code = code_line()


class NoticeView(PortalView):
    """The list with its settings below it; opening a notice marks it read and leads to its subject."""

    route_base = "/notices"
    default_view = "list"

    def _list_page(self, form: PhoneForm) -> str:
        actor = self.actor
        unread_only = Filter("unread", _l("未读"), (("1", _l("未读")),), lambda _value: notices.unread_clause(actor))
        found = listing(scope.visible(actor, Notice), order=(Notice.id.desc(),), filters=(unread_only,))
        number = notices.phone_of(actor)
        return self.page(
            "portal/notices/list.html", title=_("消息"), listing=found, form=form, lines=table.NOTICES, sentence=table.sentence,
            unread=notices.unread_among(found.rows, actor=actor), links=notices.links(found.rows, actor=actor),
            newest=notices.newest_id(actor), offered=notices.offered(actor), wanted=notices.wanted(actor),
            phone=mask_phone(number) if number else "")

    @page("/", "list")
    def list(self) -> Any:
        return self._list_page(PhoneForm())

    @page("/<int:notice_id>/open", "read", ("POST",))
    def open(self, notice_id: int) -> Any:
        leads = notices.open_notice(self.fetch(Notice, notice_id), actor=self.actor)
        return self.to(leads[0], **leads[1]) if leads is not None else self.to("list", **_where())

    @page("/read", "read", ("POST",))
    def read_all(self) -> Any:
        through = request.form.get("through", "")
        notices.read_all(int(through) if through.isdigit() and len(through) < 19 else 0, actor=self.actor)
        return self.to("list")

    @page("/texts", "edit", ("POST",))
    def texts(self) -> Any:
        notices.choose_texts(request.form.getlist("events"), actor=self.actor)
        said(_("短信提醒已保存。"))
        return self.to("list")

    @page("/code", "edit", ("POST",))
    def code(self) -> Any:
        phone_codes.send_code(request.form.get("phone", ""), notices.PHONE_PURPOSE)
        return answer_sent(_("验证码已发送，5 分钟内有效。")) or self._list_page(PhoneForm())

    @page("/phone", "edit", ("POST",))
    def phone(self) -> Any:
        form = PhoneForm()
        if form.validate_on_submit():
            try:
                notices.prove_phone(form.phone.data, form.code.data, actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("手机号已验证，可以选择短信提醒。"))
                return self.to("list")
        return self._list_page(form)


def _where() -> dict[str, str]:
    """The page of the list that a notice without a link was opened on."""
    return {name: value for name in ("page", "unread") if (value := request.form.get(name, ""))[:20]}
