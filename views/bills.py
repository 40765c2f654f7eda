"""对账: the platform's bill of each day beside ours, and the differences until somebody has resolved them (B8)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy.orm import joinedload, selectinload

from app import clock, scope
from app.operations import finance, reconciliations
from models import BillDifference, Merchant, Reconciliation
from views.base import PortalView, page, said
from views.listing import Filter, listing

KINDS: dict[str, Any] = {
    "only_there": _l("账单有，平台没有这笔付款"), "only_here": _l("平台有付款，账单没有"),
    "amount": _l("付款金额不一致"), "refund_only_there": _l("账单有，平台没有这笔退款"),
    "refund_only_here": _l("平台有退款，账单没有"), "refund_amount": _l("退款金额不一致"),
    "fee": _l("手续费与约定不一致"),
}


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _waits(row: Reconciliation) -> tuple[str, str] | None:
    """Why there is no comparison yet, with the tone of it."""
    if row.state == "failed":
        return _("未能取得账单。") + row.error, "bad"
    if row.state != "waiting":
        return None
    if row.error != reconciliations.NOT_THERE:
        return _("正在取支付宝的账单，取不到时系统会自动再取。") + row.error, "info"
    if row.day > reconciliations.last_ready():
        return _("%(day)s 的账单还没有生成：支付宝次日上午提供，系统会自动再取。", day=row.day.isoformat()), "info"
    return _("当天有收款或退款，但支付宝还没有提供账单，系统会自动再取。"), "warn"


class BillView(PortalView):
    """One row for each merchant and day."""

    route_base = "/bills"
    default_view = "list"

    @page("/", "list")
    def list(self) -> Any:
        states = Filter("state", _l("状态"), (("open", _l("有待处理")), ("done", _l("已对账")), ("waiting", _l("等待账单")),
                                            ("failed", _l("未能取得账单"))),
                        lambda value: reconciliations.waiting_clause() if value == "open" else Reconciliation.state == value)
        houses = [(str(each.id), each.name) for each in finance.merchants_seen(self.actor)]
        merchant = Filter("merchant", _l("收款商户"), houses, lambda value: Reconciliation.merchant_id == int(value))
        rows = listing(scope.visible(self.actor, Reconciliation), order=(Reconciliation.day.desc(), Reconciliation.merchant_id),
                       filters=(states, merchant) if len(houses) > 1 else (states,),
                       options=(joinedload(Reconciliation.merchant), selectinload(Reconciliation.differences)))
        return self.page("portal/finance/bills.html", listing=rows, title=_("对账"), houses=houses,
                         elsewhere=reconciliations.reconciled_elsewhere(self.actor),
                         yesterday=clock.shanghai_day() - timedelta(days=1))

    @page("/fetch", "again", ("POST",))
    def fetch_bill(self) -> Any:
        """取账单: of a past day, without waiting for the morning's job."""
        merchant_id, day = request.form.get("merchant", ""), request.form.get("day", "")
        merchant = self.fetch(Merchant, int(merchant_id) if merchant_id.isdigit() and len(merchant_id) < 19 else 0)
        row = reconciliations.fetch(merchant, _day(day), actor=self.actor)
        said(_("正在取 %(day)s 的账单，请稍后刷新本页。", day=row.day.isoformat()))
        return self.to("show", reconciliation_id=row.id)

    @page("/<int:reconciliation_id>", "show")
    def show(self, reconciliation_id: int) -> Any:
        row = self.fetch(Reconciliation, reconciliation_id, joinedload(Reconciliation.merchant),
                         selectinload(Reconciliation.differences).joinedload(BillDifference.refund))
        return self.page("portal/finance/bill.html", row=row, changed=reconciliations.changed_since(row), kinds=KINDS, waits=_waits(row),
                         title=_("%(day)s 对账", day=row.day.isoformat()))

    @page("/<int:reconciliation_id>/again", "again", ("POST",))
    def again(self, reconciliation_id: int) -> Any:
        reconciliations.again(self.fetch(Reconciliation, reconciliation_id, joinedload(Reconciliation.merchant)), actor=self.actor)
        said(_("已重新取账单对账，请稍后刷新本页。"))
        return self.to("show", reconciliation_id=reconciliation_id)

    @page("/differences/<int:difference_id>/resolve", "resolve", ("POST",))
    def resolve(self, difference_id: int) -> Any:
        difference = self.fetch(BillDifference, difference_id)
        row_id = difference.reconciliation_id
        reconciliations.resolve(difference, request.form.get("remark", ""), actor=self.actor)
        said(_("已记录处理说明。"))
        return self.to("show", reconciliation_id=row_id)
