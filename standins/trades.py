"""The book of the stand-in payment gateway: trades, their moves, their refunds. Rules as Alipay's, amounts in fen."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from standins.state import State, from_shanghai, shanghai_text

WAITING, PAID, CLOSED, FINISHED = "WAIT_BUYER_PAY", "TRADE_SUCCESS", "TRADE_CLOSED", "TRADE_FINISHED"
TEXTS = {
    "ACQ.TRADE_NOT_EXIST": "交易不存在",
    "ACQ.TRADE_STATUS_ERROR": "交易状态不合法",
    "ACQ.CONTEXT_INCONSISTENT": "交易信息被篡改",
    "ACQ.INVALID_PARAMETER": "参数无效",
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": "退款金额超限",
    "ACQ.DISCORDANT_REPEAT_REQUEST": "同一退款请求号更改退款金额",
    "ACQ.TRADE_HAS_CLOSE": "交易已经关闭",
    "ACQ.TRADE_HAS_SUCCESS": "交易已被支付",
    "isp.bill_not_exist": "账单不存在",
}


class Refused(Exception):
    """A business refusal; `code` is Alipay's sub_code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
        self.text = TEXTS[code]


@dataclass(frozen=True)
class PageOrder:
    """What a signed page-pay request asks for."""

    app_id: str
    order_no: str
    amount_fen: int
    subject: str
    time_expire: str
    return_url: str
    notify_url: str


def fen(text: object) -> int:
    """Alipay's amount text as fen. Raises `Refused`."""
    match = re.fullmatch(r"([0-9]{1,9})(?:\.([0-9]{1,2}))?", str(text))
    if match is None or not re.search("[1-9]", match[0]):
        raise Refused("ACQ.INVALID_PARAMETER")
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))


def yuan(amount_fen: int) -> str:
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


class Trades:
    """All trades, kept in the state. A trade is a plain dict; `token` is the secret in the pay page's address."""

    def __init__(self, state: State) -> None:
        self._state = state

    def find(self, order_no: str, app_id: str = "") -> dict[str, Any]:
        """The trade, timed out if its time is over. Raises `Refused` if there is none, or none of that merchant."""
        with self._state.lock:
            trade = self._state.get("trade", order_no)
            if trade is None or (app_id and trade.get("app_id", app_id) != app_id):
                raise Refused("ACQ.TRADE_NOT_EXIST")
            if trade["status"] == WAITING and self.expired(trade):
                trade |= {"status": CLOSED, "closed_why": "timeout"}
                self._state.put("trade", order_no, trade)
            return trade

    def by_token(self, token: str) -> dict[str, Any]:
        for trade in self._state.all("trade"):
            if secrets.compare_digest(trade["token"], token):
                return self.find(trade["order_no"])
        raise Refused("ACQ.TRADE_NOT_EXIST")

    def expired(self, trade: dict[str, Any]) -> bool:
        return bool(trade["time_expire"]) and self._state.now() >= from_shanghai(trade["time_expire"])

    def open(self, order: PageOrder) -> dict[str, Any]:
        """What opening the pay page does: the trade begins, or goes on if it is the same one."""
        with self._state.lock:
            try:
                trade = self.find(order.order_no, order.app_id)
            except Refused:
                now = self._state.now()
                trade = {
                    "app_id": order.app_id, "order_no": order.order_no, "amount_fen": order.amount_fen, "subject": order.subject,
                    "time_expire": order.time_expire, "return_url": order.return_url, "notify_url": order.notify_url,
                    "trade_no": now.strftime("%Y%m%d") + "220014" + f"{secrets.randbelow(10**14):014d}",
                    "token": secrets.token_urlsafe(24), "status": WAITING, "gmt_create": shanghai_text(now),
                    "gmt_payment": "", "refunds": {},
                }
                self._state.put("trade", order.order_no, trade)
                return self.find(order.order_no)
            if trade["amount_fen"] != order.amount_fen:
                raise Refused("ACQ.CONTEXT_INCONSISTENT")
            return trade

    def pay(self, order_no: str, *, at: datetime | None = None, even_if_late: bool = False) -> dict[str, Any]:
        """The buyer pays. Raises `Refused` unless the trade waits for it; `even_if_late` also pays a timed-out one."""
        with self._state.lock:
            trade = self.find(order_no)
            late = trade["status"] == CLOSED and trade.get("closed_why") == "timeout"
            if trade["status"] in (PAID, FINISHED):
                raise Refused("ACQ.TRADE_HAS_SUCCESS")
            if trade["status"] == CLOSED and not (late and even_if_late):
                raise Refused("ACQ.TRADE_HAS_CLOSE")
            trade |= {"status": PAID, "gmt_payment": shanghai_text(at or self._state.now()), "closed_why": ""}
            self._state.put("trade", order_no, trade)
            return trade

    def close(self, order_no: str) -> dict[str, Any]:
        with self._state.lock:
            trade = self.find(order_no)
            if trade["status"] != WAITING:
                raise Refused("ACQ.TRADE_STATUS_ERROR")
            trade |= {"status": CLOSED, "closed_why": "merchant"}
            self._state.put("trade", order_no, trade)
            return trade

    def finish(self, order_no: str) -> dict[str, Any]:
        """The refund period is over."""
        with self._state.lock:
            trade = self.find(order_no)
            if trade["status"] != PAID:
                raise Refused("ACQ.TRADE_STATUS_ERROR")
            trade["status"] = FINISHED
            self._state.put("trade", order_no, trade)
            return trade

    def refund(self, order_no: str, amount_fen: int, request_no: str) -> tuple[dict[str, Any], bool]:
        """Pay back; the second value says whether money moved now. One request number moves money once."""
        with self._state.lock:
            trade = self.find(order_no)
            request_no = request_no or order_no
            earlier = trade["refunds"].get(request_no)
            if earlier is not None:
                if earlier != amount_fen:
                    raise Refused("ACQ.DISCORDANT_REPEAT_REQUEST")
                return trade, False
            if trade["status"] != PAID:
                raise Refused("ACQ.TRADE_STATUS_ERROR")
            if amount_fen > trade["amount_fen"] - refunded(trade):
                raise Refused("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL")
            trade["refunds"][request_no] = amount_fen
            trade.setdefault("refund_times", {})[request_no] = shanghai_text(self._state.now())
            if refunded(trade) == trade["amount_fen"]:
                trade |= {"status": CLOSED, "closed_why": "refunded"}
            self._state.put("trade", order_no, trade)
            return trade, True


def refunded(trade: dict[str, Any]) -> int:
    """Fen paid back so far."""
    return sum(trade["refunds"].values())
