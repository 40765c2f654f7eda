"""Where money stands, in plain words: payments and refunds, on the page of an order and on the desk of 财务."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flask_babel import gettext as _

from app.operations import finance
from app.presentation import moment, retold, yuan
from models import Payment, Refund


@dataclass(frozen=True)
class Standing:
    """Where something stands, for a person: a word, the tone of its badge, and a sentence."""

    label: str
    tone: str
    words: str = ""


def payment_words(payment: Payment) -> Standing:
    """What became of money that arrived, told to who paid it."""
    amount = yuan(payment.amount_fen)
    stands, gone = finance.stands(payment), yuan(finance.gone(payment))
    back = moment(max((each.done_at for each in payment.refunds if each.done_at), default=None))
    words = {
        "received": _("已收到付款 %(amount)s，正在处理。", amount=amount),
        "applied": _("已收到付款 %(amount)s。", amount=amount),
        "reseated": _("已收到付款 %(amount)s。%(reason)s", amount=amount, reason=retold(payment.reason)),
        "refunding": _("收到付款 %(amount)s。%(reason)s退款正在办理，到账时间以支付宝为准。", amount=amount,
                       reason=retold(payment.reason)),
        "refunded": _("付款 %(amount)s 已于 %(at)s 原路退回。原因：%(reason)s", amount=amount, at=back, reason=retold(payment.reason)),
        "unmatched": _("收到付款 %(amount)s，没有记入订单。%(reason)s", amount=amount, reason=retold(payment.reason)),
    }
    tones = {"refunding": "warn", "refunded": "warn", "partly": "warn", "unmatched": "bad", "received": "info"}
    words["reseated"] += _("其中 %(gone)s 已退回。", gone=gone) if stands in ("partly", "refunded") else ""
    return Standing(finance.state_labels()[stands], tones.get(stands, "ok"), words[payment.state])


def refund_words(refund: Refund) -> Standing:
    """How a refund stands."""
    if refund.elsewhere and refund.state != "declined":
        return (Standing(_("已退款"), "ok", _("已于 %(at)s 在支付宝商家平台退回，只作登记。", at=moment(refund.done_at)))
                if refund.state == "done" else Standing(_("待批准"), "info", _("登记为已在支付宝退回，等待另一人批准。")))
    words = {
        "proposed": Standing(_("待批准"), "info", _("已提出，等待另一人批准。")),
        "due": Standing(_("退款中"), "warn", _("正在办理，到账时间以支付宝为准。")),
        "done": Standing(_("已退款"), "ok", _("已于 %(at)s 原路退回。", at=moment(refund.done_at))),
        "failed": Standing(_("退款未成功"), "bad", _("支付平台没有受理，财务人员正在处理。")),
        "declined": Standing(_declined(refund), "neutral", refund.remark),
    }
    return words[refund.state]


def refund_standings(refunds: Iterable[Refund]) -> list[Standing]:
    """How several refunds stand: each state once."""
    found = [refund_words(each) for each in refunds]
    return list({each.label: each for each in found}.values())


def _declined(refund: Refund) -> str:
    """One that was agreed to and failed was given up; the others never began."""
    if refund.approved_at is not None:
        return _("已放弃")
    return _("不予登记") if refund.elsewhere else _("不予退款")
