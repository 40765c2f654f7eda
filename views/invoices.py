"""电子发票: the enterprise's own, the institution's of its orders; details of the buyer, uploads by hand, many at once (E17)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import current_app, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import joinedload
from wtforms.validators import InputRequired

from app import clock, files, scope
from app.errors import Conflict, Invalid, InvalidFields, NotFound
from app.extensions import db
from app.operations import invoice_details, invoice_uploads, invoices
from app.presentation import day, yuan
from app.security import current_actor
from models import Enterprise, Invoice, Order
from models.invoices import FORMATS
from views.base import PortalView, download, page, put_error_on, said
from views.forms import Amount, Day, line
from views.listing import Filter, Search, chosen_ids, like, listing

OPTIONS = (joinedload(Invoice.order), joinedload(Invoice.enterprise), joinedload(Invoice.institution), joinedload(Invoice.blue))
# How many are asked for again at once.
MOST_AGAIN = 1000
PAPERS = (joinedload(Invoice.pdf), joinedload(Invoice.ofd), joinedload(Invoice.xml))


@dataclass(frozen=True)
class Standing:
    """Where an invoice stands: a word, the tone of its badge, and what happens next and when."""

    label: str
    tone: str
    words: str = ""


def invoice_words(invoice: Invoice) -> Standing:
    """How an invoice or a red letter stands, in plain words; for every page that shows one."""
    if invoice.state == "waiting" and invoice.is_red:
        return Standing(_("待申请"), "neutral", _("退款已完成，系统将自动申请红字发票，通常几分钟内提交。"))
    if invoice.state == "requested" and invoice.confirming:
        return Standing(_("待购方确认"), "warn", _("红字确认单已发出，请企业在 72 小时内登录电子税务局确认，确认后自动开具红字发票。"))
    reason = invoice.reason or _("未说明原因")
    words = {
        "waiting": Standing(_("待开具"), "neutral", _waiting(invoice)),
        "requested": Standing(_("开具中"), "info", _("已提交开票平台，通常几分钟内完成，完成后会有消息通知。")),
        "issued": Standing(_("已开具"), "ok", _issued(invoice)),
        "failed": Standing(_("开具失败"), "bad", _("开票平台未能开具：%(reason)s", reason=reason)),
        "to_upload": Standing(_("待上传"), "warn", _to_upload()),
        "cancelled": Standing(_("无需开具"), "neutral", _("开具前款项已退回，不再开具。")),
    }
    return words[invoice.state]


def _to_upload() -> str:
    if current_actor().is_institution:
        return _("原发票由本机构手工上传，请在原开票系统开具红字发票，再到这里上传。")
    return _("原发票由培训机构手工上传，红字发票由培训机构在原开票系统开具后上传。")


def _waiting(invoice: Invoice) -> str:
    if invoice.attempt > 1 or invoice.due_on < clock.shanghai_day():
        return _("正在排队提交开票平台，请稍后刷新本页。")
    return _("将于 %(day)s 上午 9 点自动开具，届时可在这里下载。在此之前可以修改开票信息。", day=day(invoice.due_on))


def _issued(invoice: Invoice) -> str:
    if invoice.is_receipt:
        return _("收据编号 %(number)s。收据不是发票，不作为税务凭证。", number=invoice.number or "")
    return _("发票号码 %(number)s，开票日期 %(day)s", number=invoice.number or "", day=day(invoice.issued_on or invoice.issued_at))


def paper_name(invoice: Invoice) -> str:
    """发票, 红字发票, 收据 or 退款收据: what this one is. What has not been asked for is called by what will issue it."""
    provider = invoice.provider or current_app.extensions["settings"].invoice_provider
    if invoice.state == "to_upload":
        return _("红字发票")
    if provider == "local":
        return _("退款收据") if invoice.is_red else _("收据")
    return _("红字发票") if invoice.is_red else _("电子发票")


def signed(invoice: Invoice) -> str:
    """The amount as it stands on the paper: of a red letter with its sign."""
    return f"-{yuan(invoice.amount_fen)}" if invoice.is_red else yuan(invoice.amount_fen)


def context() -> dict[str, Any]:
    """What the part 《发票》 of an order's page draws with."""
    return {"invoice_words": invoice_words, "paper_name": paper_name, "signed": signed}


class DetailsForm(FlaskForm):
    """开票信息."""

    title = line(_l("发票抬头"), 100)
    tax_number = line(_l("纳税人识别号"), 20, autocapitalize="characters")
    email = line(_l("接收邮箱"), 100, required=False, inputmode="email", autocomplete="email")
    address = line(_l("单位地址"), 100, required=False)
    phone = line(_l("单位电话"), 20, required=False, inputmode="tel")
    account = line(_l("开户行及账号"), 100, required=False)

    def details(self) -> invoice_details.Details:
        return invoice_details.Details(**{name: self[name].data or "" for name in invoice_details.Details.__dataclass_fields__})


class UploadForm(FlaskForm):
    """What is typed of an invoice that was issued elsewhere."""

    number = line(_l("发票号码"), 20, inputmode="numeric", autocomplete="off")
    issued_on = Day(_l("开票日期"), validators=[InputRequired(_l("此项必填。"))])
    amount = Amount(_l("价税合计"), validators=[InputRequired(_l("此项必填。"))])

    @property
    def fen(self) -> int | None:
        amount = self.amount.data
        return int(amount * 100) if amount is not None and amount.is_finite() and amount * 100 == int(amount * 100) else None


def _of_order(text: str) -> Any:
    return or_(like(Invoice.number, text), like(Invoice.title, text),
               Invoice.order_id.in_(select(Order.id).where(like(Order.number, text))))


def _of_enterprise(text: str) -> Any:
    return Invoice.enterprise_id.in_(select(Enterprise.id).where(like(Enterprise.name, text)))


def _since(value: str) -> Any:
    """Invoices due in this month or in the last 3 or 12."""
    today = clock.shanghai_day()
    first = {"month": today.replace(day=1), "quarter": today - timedelta(days=92), "year": today - timedelta(days=366)}
    return Invoice.due_on >= first[value]


FILTERS = (
    Filter("state", _l("状态"), (("waiting", _l("待开具")), ("requested", _l("开具中")), ("issued", _l("已开具")),
                               ("to_upload", _l("待上传")), ("failed", _l("开具失败")), ("cancelled", _l("无需开具"))),
           lambda value: Invoice.state == value),
    Filter("kind", _l("类别"), (("blue", _l("发票")), ("red", _l("红字发票"))), lambda value: Invoice.kind == value),
    Filter("since", _l("时间"), (("month", _l("本月")), ("quarter", _l("近三个月")), ("year", _l("近一年"))), _since),
)


class InvoiceView(PortalView):
    """Invoices with what happens next to each."""

    route_base = "/invoices"
    default_view = "list"

    def _searches(self) -> list[Search]:
        own = [Search("q", _l("订单号、抬头或发票号码"), _of_order)]
        return own if self.actor.is_enterprise else [*own, Search("enterprise", _l("企业名称"), _of_enterprise)]

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(scope.visible(self.actor, Invoice), order=(Invoice.id.desc(),), searches=self._searches(), filters=FILTERS,
                       options=OPTIONS)
        again = any(each.state == "failed" for each in rows.rows) and not self.actor.is_authority
        return self.page("portal/invoices/list.html", listing=rows, again=again, title=_("电子发票"), **context())

    @page("/<int:invoice_id>", "show")
    def show(self, invoice_id: int) -> Any:
        return self._show(self.fetch(Invoice, invoice_id, *OPTIONS, *PAPERS))

    def _show(self, invoice: Invoice, details: DetailsForm | None = None, upload: UploadForm | None = None) -> str:
        reds = [each for each in invoice.order.invoices if each.red_of_id == invoice.id]
        return self.page("portal/invoices/show.html", invoice=invoice, standing=invoice_words(invoice), reds=reds,
                         details=details or DetailsForm(obj=invoice, formdata=None), upload=upload or UploadForm(formdata=None),
                         title=_("%(paper)s · 订单 %(number)s", paper=paper_name(invoice), number=invoice.order.number), **context())

    @page("/<int:invoice_id>/edit", "edit", ("POST",))
    def edit(self, invoice_id: int) -> Any:
        invoice, form = self.fetch(Invoice, invoice_id, *OPTIONS, *PAPERS), DetailsForm()
        if form.validate_on_submit():
            try:
                invoice_details.change(invoice, form.details(), actor=self.actor)
            except (Invalid, InvalidFields) as error:
                put_error_on(form, error)
            else:
                said(_("开票信息已保存。"))
                return self.to("show", invoice_id=invoice_id)
        return self._show(invoice, details=form)

    @page("/<int:invoice_id>/again", "again", ("POST",))
    def again(self, invoice_id: int) -> Any:
        invoices.try_again(self.fetch(Invoice, invoice_id), actor=self.actor)
        said(_("已重新申请开具，请稍后刷新本页。"))
        return self.to("show", invoice_id=invoice_id)

    @page("/again", "again", ("POST",))
    def again_all(self) -> Any:
        """重新申请开具 of those chosen in the list that have failed, once what kept them from being issued is gone."""
        ids = chosen_ids(scope.visible(self.actor, Invoice).where(Invoice.state == "failed"), searches=self._searches(), filters=FILTERS)
        done = invoices.try_again_all(ids[:MOST_AGAIN], actor=self.actor)
        if not done:
            raise Conflict(_("所选发票中没有开具失败的。请勾选状态为“开具失败”的发票。"))
        said(_("已重新申请开具 %(n)s 张发票，请稍后刷新本页。", n=f"{done:,}"))
        if left := len(ids) - MOST_AGAIN if len(ids) > MOST_AGAIN else 0:
            said(_("每次最多 %(most)s 张，还有 %(n)s 张开具失败，请再次选择。", most=f"{MOST_AGAIN:,}", n=f"{left:,}"), "warning")
        return self.to("list", **({"state": "failed"} if left else {}))

    @page("/<int:invoice_id>/upload", "upload", ("POST",))
    def upload(self, invoice_id: int) -> Any:
        """By hand: PDF, OFD or XML from elsewhere, one of each at most."""
        invoice, form = self.fetch(Invoice, invoice_id, *OPTIONS, *PAPERS), UploadForm()
        if form.validate_on_submit():
            given = {file.filename: file.read(invoice_uploads.MOST_BYTES + 1)
                     for file in request.files.getlist("files")[:5] if file.filename}
            try:
                invoice_uploads.upload(invoice, given, form.number.data or "", form.issued_on.data, form.fen, actor=self.actor)
            except (Invalid, InvalidFields) as error:
                put_error_on(form, error)
            else:
                said(_("红字发票已上传，企业可以下载。") if invoice.is_red else _("发票已上传，企业可以下载。"))
                return self.to("show", invoice_id=invoice_id)
        return self._show(invoice, upload=form)

    @page("/<int:invoice_id>/<any(pdf,ofd,xml):kind>", "download")
    def file(self, invoice_id: int, kind: str) -> Any:
        """下载; with `print=1` a PDF opens in the browser, which prints it."""
        invoice = self.fetch(Invoice, invoice_id, *PAPERS)
        stored = getattr(invoice, kind) if kind in FORMATS else None
        if stored is None:
            raise NotFound(_("这张发票还没有开具。"))
        return download(files.read(stored), stored.name, stored.content_type, inline=kind == "pdf" and request.args.get("print") == "1")

    @page("/zip", "download", ("POST",))
    def zip(self) -> Any:
        statement = scope.visible(self.actor, Invoice).where(Invoice.state == "issued")
        ids = chosen_ids(statement, searches=self._searches(), filters=FILTERS)
        rows = scope.fetch_many(self.actor, Invoice, ids[:invoice_uploads.MOST_IN_ZIP + 1], joinedload(Invoice.order), *PAPERS)
        return download(invoice_uploads.packed(rows, actor=self.actor), f"{_('电子发票')}-{day(clock.now())}.zip", "application/zip")

    @page("/details", "edit", ("GET", "POST"))
    def details(self) -> Any:
        """开票信息 of the enterprise, with which its next orders begin."""
        assert self.actor.enterprise_id is not None
        form = DetailsForm(data=invoice_details.details_of(self.actor.enterprise_id))
        if form.validate_on_submit():
            try:
                invoice_details.save_profile(form.details(), actor=self.actor)
            except (Invalid, InvalidFields) as error:
                put_error_on(form, error)
            else:
                said(_("开票信息已保存，用于今后的订单。"))
                return self.to("list")
        waiting = scope.visible(self.actor, Invoice).where(and_(Invoice.kind == "blue", Invoice.state.in_(("waiting", "failed"))))
        return self.page("portal/invoices/details.html", form=form, title=_("开票信息"),
                         waiting=db.session.scalars(waiting.options(joinedload(Invoice.order)).order_by(Invoice.id).limit(20)).all())
