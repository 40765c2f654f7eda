"""财务汇总: orders, money and invoices by day or institution, and the lines on which they add up (B8; docs/money.md).

Everything is read by sets: the same eight statements for a day and for a year, and one for names. Amounts are fen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, and_, case, func, literal_column, select

from app import audit, clock, scope
from app.actors import Actor
from app.documents.workbooks import write_table
from app.extensions import db, transaction, will_write
from app.presentation import yuan
from app.sets import among
from models import Institution, Invoice, Order, Payment, Refund
from models.orders import ENDED

TAKEN = ("applied", "reseated")


@dataclass
class Sums:
    """One line: `*_n` are counts, `*_fen` amounts. Orders count on the day they were made, paid or ended; payments on the day they
    were paid, refunds on the day they were done; invoices and red letters on the day their order was paid, whenever they came."""

    label: str = ""
    made_n: int = 0
    made_fen: int = 0
    bought_n: int = 0
    bought_fen: int = 0
    expired_n: int = 0
    expired_fen: int = 0
    cancelled_n: int = 0
    cancelled_fen: int = 0
    closed_n: int = 0
    closed_fen: int = 0
    paid_n: int = 0
    paid_fen: int = 0
    applied_fen: int = 0
    reseated_fen: int = 0
    # Money that is in no order: on its way in, for a person to judge, or sent back as a whole.
    apart_fen: int = 0
    refunds_n: int = 0
    refunded_fen: int = 0
    issued_n: int = 0
    issued_fen: int = 0
    due_n: int = 0
    due_fen: int = 0
    failed_n: int = 0
    failed_fen: int = 0
    # Red letters: issued; still to be issued, by a platform or a person; and those that failed.
    red_n: int = 0
    red_fen: int = 0
    red_due_n: int = 0
    red_due_fen: int = 0
    red_failed_n: int = 0
    red_failed_fen: int = 0
    # What of the payments taken into their orders has gone back since.
    back_fen: int = 0

    @property
    def taken_fen(self) -> int:
        return self.applied_fen + self.reseated_fen

    @property
    def net_fen(self) -> int:
        return self.paid_fen - self.refunded_fen

    @property
    def invoiced_fen(self) -> int:
        """Invoices, whether or not they are issued yet, less their red letters."""
        return self.issued_fen + self.due_fen + self.failed_fen - self.red_fen - self.red_open_fen

    @property
    def red_open_fen(self) -> int:
        """Red letters that are not there yet, or failed."""
        return self.red_due_fen + self.red_failed_fen


Column = tuple[Any, str]
PARTS: dict[str, tuple[Any, tuple[Column, ...]]] = {
    "money": (_l("收款与退款"), (
        (_l("付款笔数"), "paid_n"), (_l("收款"), "paid_fen"), (_l("退款笔数"), "refunds_n"), (_l("退款"), "refunded_fen"),
        (_l("净额"), "net_fen"))),
    "orders": (_l("订单"), (
        (_l("生成笔数"), "made_n"), (_l("生成金额"), "made_fen"), (_l("支付笔数"), "bought_n"), (_l("支付金额"), "bought_fen"),
        (_l("失效笔数"), "expired_n"), (_l("失效金额"), "expired_fen"),
        (_l("取消笔数"), "cancelled_n"), (_l("取消金额"), "cancelled_fen"),
        (_l("开班截止笔数"), "closed_n"), (_l("开班截止金额"), "closed_fen"))),
    "invoices": (_l("发票"), (
        (_l("已开张数"), "issued_n"), (_l("已开金额"), "issued_fen"), (_l("待开金额"), "due_fen"), (_l("开票失败金额"), "failed_fen"),
        (_l("红字张数"), "red_n"), (_l("红字金额"), "red_fen"), (_l("待开红字金额"), "red_due_fen"),
        (_l("红字失败金额"), "red_failed_fen"), (_l("净额"), "invoiced_fen"))),
}


@dataclass(frozen=True)
class Balance:
    """One line on which two sides must be the same; `left` and `right` say of what each is made."""

    left: str
    left_fen: int
    right: str
    right_fen: int

    @property
    def apart_fen(self) -> int:
        return self.left_fen - self.right_fen


def balances(total: Sums) -> tuple[Balance, ...]:
    """The lines on which the figures of a table add up."""
    return (
        Balance(_("已支付订单"), total.bought_fen,
                _("入账付款 %(applied)s + 恢复报名后入账 %(reseated)s", applied=yuan(total.applied_fen), reseated=yuan(total.reseated_fen)),
                total.taken_fen),
        Balance(_("收款 %(paid)s − 没有记入订单 %(apart)s", paid=yuan(total.paid_fen), apart=yuan(total.apart_fen)),
                total.paid_fen - total.apart_fen, _("已支付订单"), total.bought_fen),
        Balance(_("已开发票 %(issued)s + 待开 %(due)s + 开具失败 %(failed)s − 红字 %(red)s − 未开红字 %(open)s",
                  issued=yuan(total.issued_fen), due=yuan(total.due_fen), failed=yuan(total.failed_fen), red=yuan(total.red_fen),
                  open=yuan(total.red_open_fen)), total.invoiced_fen,
                _("入账 %(taken)s − 其中已退 %(back)s", taken=yuan(total.taken_fen), back=yuan(total.back_fen)),
                total.taken_fen - total.back_fen),
    )


def told(found: Sequence[Sums], part: str) -> list[Sums]:
    """The lines that say anything in this part."""
    return [line for line in found if any(getattr(line, name) for _heading, name in PARTS[part][1])]


def total_of(lines: Sequence[Sums]) -> Sums:
    """The foot of a table."""
    return Sums("", *(sum(getattr(line, each.name) for line in lines) for each in fields(Sums)[1:]))


class _Table:
    """The lines that the statements fill, by day or by institution."""

    def __init__(self, actor: Actor, first: date, last: date, by: str, where: Sequence[ColumnElement[bool]]) -> None:
        self.by, self.first, self.last, self.where = by, first, last, tuple(where)
        self.orders, self.payments = scope.orders_of_money(actor), scope.visible_clause(actor, Payment)
        self.found: dict[Any, Sums] = {}

    def key(self, day: Any) -> Any:
        return day if self.by == "day" else Order.institution_id

    def within(self, moment: Any) -> ColumnElement[bool]:
        return and_(moment >= clock.at_shanghai(self.first), moment < clock.at_shanghai(self.last + timedelta(days=1)))

    def put(self, statement: Any, *names: str) -> None:
        """Add each row, a key and its figures, to the line of that key."""
        for key, *figures in db.session.execute(statement.group_by(statement.selected_columns[0])):
            line = self.found.setdefault(date.fromisoformat(key) if isinstance(key, str) else key, Sums())
            for name, figure in zip(names, figures, strict=True):
                setattr(line, name, getattr(line, name) + int(figure or 0))


def lines(actor: Actor, first: date, last: date, *, by: str, where: Sequence[ColumnElement[bool]] = ()) -> list[Sums]:
    """The lines of the Shanghai days `first` to `last`, by "day" or by "institution". `where` narrows by clauses on `Order`; money of no
    order is left out then."""
    table = _Table(actor, first, last, by, where)
    _orders(table)
    _money(table)
    _invoices(table)
    found = table.found
    names = {} if by == "day" else {row.id: row.name for row in db.session.execute(
        select(Institution.id, Institution.name).where(among(Institution.id, [key for key in found if key is not None])))}
    for key, line in found.items():
        line.label = key.isoformat() if by == "day" else names.get(key, _("没有对应的订单"))
    return [found[key] for key in sorted(found, key=lambda key: found[key].label, reverse=by == "day")]


def _orders(table: _Table) -> None:
    def put(moment: Any, state: ColumnElement[bool] | None, *names: str) -> None:
        clauses = [table.orders, *table.where, table.within(moment)] + ([state] if state is not None else [])
        table.put(select(table.key(_day_of(moment)), func.count(), func.sum(Order.amount_fen)).where(*clauses), *names)

    put(Order.created_at, None, "made_n", "made_fen")
    put(Order.paid_at, Order.state == "paid", "bought_n", "bought_fen")
    # Of those that ended before it was kept when, the buyer's deadline stands for it.
    ended = func.coalesce(Order.ended_at, Order.expires_at, type_=Order.expires_at.type)
    for state in ENDED:
        put(ended, Order.state == state, f"{state}_n", f"{state}_fen")


def _money(table: _Table) -> None:
    days = Payment.paid_on.between(table.first, table.last)
    ends = [_sum_of(Payment.amount_fen, clause) for clause in (
        Payment.state == "applied", Payment.state == "reseated", Payment.state.not_in(TAKEN))]
    came = select(table.key(Payment.paid_on), func.count(), func.sum(Payment.amount_fen), *ends).select_from(Payment)
    table.put(came.outerjoin(Order, Payment.order_id == Order.id).where(table.payments, *table.where, days),
              "paid_n", "paid_fen", "applied_fen", "reseated_fen", "apart_fen")
    for day, clause, names in ((Refund.done_on, Refund.done_on.between(table.first, table.last), ("refunds_n", "refunded_fen")),
                               (Payment.paid_on, and_(days, Payment.state.in_(TAKEN)), ("back_fen",))):
        figures = (func.count(), func.sum(Refund.amount_fen))[-len(names):]
        table.put(select(table.key(day), *figures).select_from(Refund).join(Payment, Refund.payment_id == Payment.id)
                  .outerjoin(Order, Payment.order_id == Order.id)
                  .where(table.payments, *table.where, Refund.state == "done", clause), *names)


def _invoices(table: _Table) -> None:
    kinds = [(and_(Invoice.kind == kind, Invoice.state.in_(states)), name) for kind, names in (
        ("blue", ("issued", "due", "failed")), ("red", ("red", "red_due", "red_failed"))) for name, states in zip(names, (
            ("issued",), ("waiting", "requested", "to_upload"), ("failed",)), strict=True)]
    figures = [each for clause, _name in kinds for each in (_sum_of(1, clause), _sum_of(Invoice.amount_fen, clause))]
    table.put(select(table.key(_day_of(Order.paid_at)), *figures).select_from(Invoice).join(Order, Invoice.order_id == Order.id).where(
        table.orders, *table.where, Order.state == "paid", table.within(Order.paid_at)),
        *(f"{name}_{what}" for _clause, name in kinds for what in ("n", "fen")))


def _sum_of(figure: Any, clause: ColumnElement[bool]) -> Any:
    return func.sum(case((clause, figure), else_=0))


def _day_of(moment: Any) -> Any:
    """The Shanghai day of a moment, in the database; SQLite, which knows no zones, answers with its text. Written out, because what is
    selected and what is grouped by must be one expression."""
    if db.session.get_bind().dialect.name == "postgresql":
        return func.date(func.timezone(literal_column("'Asia/Shanghai'"), moment))
    return func.date(moment, literal_column("'+8 hours'"))


def export(found: Sequence[Sums], first: date, last: date, *, by: str, actor: Actor) -> bytes:
    """These lines as a workbook with every column, the totals at the foot, and how they add up on the second sheet."""
    columns = [(f"{label}：{heading}" + ("（元）" if name.endswith("_fen") else ""), name)
               for label, part in PARTS.values() for heading, name in part]
    total = total_of(found)
    total.label = _("合计")
    rows = [(line.label, *(getattr(line, name) / 100 if name.endswith("_fen") else getattr(line, name) for _heading, name in columns))
            for line in (*found, total)]
    notes = [f"{first.isoformat()} — {last.isoformat()}"] + [
        f"{each.left} {yuan(each.left_fen)} = {each.right} {yuan(each.right_fen)}" + (
            f"（{_('相差')} {yuan(each.apart_fen)}）" if each.apart_fen else "") for each in balances(total)]
    will_write()
    with transaction():
        audit.record(actor, "export_finance_sums", "payment", {"first": first.isoformat(), "last": last.isoformat(), "by": by})
    headings = (_("日期") if by == "day" else _("培训机构"), *(heading for heading, _name in columns))
    return write_table(_("汇总"), headings, rows, notes=notes)
