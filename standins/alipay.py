"""Stand-in of Alipay's gateway: page pay, query, close, refund, refund query, bills, signed notifications (open platform,
RSA2), for several merchants."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from standins import bills
from standins.faults import Faults
from standins.merchants import House, Merchants
from standins.notifications import Notifier
from standins.state import State, from_shanghai, shanghai_text
from standins.trades import PAID, WAITING, PageOrder, Refused, Trades, fen, refunded, yuan

RETURN_WAIT_S = 1.5


class Gateway:
    """The answers to signed requests, one method each."""

    def __init__(self, state: State, values: Mapping[str, str], keys: Mapping[str, Path]) -> None:
        self.state = state
        self.merchants = Merchants(state, values, keys)
        self.trades = Trades(state)
        self.notifier = Notifier(state, self.merchants)
        self.faults = Faults("alipay", state)
        self.methods: dict[str, Callable[[dict[str, Any], House], dict[str, Any]]] = {
            "alipay.trade.query": self.query, "alipay.trade.close": self.close, "alipay.trade.refund": self.refund,
            "alipay.trade.fastpay.refund.query": self.refund_query,
            "alipay.data.dataservice.bill.downloadurl.query": self.bill_address,
        }

    def why_refused(self, fields: Mapping[str, str]) -> tuple[str, str] | None:
        """Sub-code and text of a request that is not to be served at all."""
        house = self.merchants.find(fields.get("app_id", ""))
        if house is None:
            return "isv.invalid-app-id", "无效的AppID参数"
        if fields.get("sign_type") != "RSA2" or not house.signer.is_merchants(fields):
            return "isv.invalid-signature", "无效签名"
        if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", fields.get("timestamp", "")):
            return "isv.invalid-timestamp", "非法的时间戳参数"
        return None

    def answer(self, fields: Mapping[str, str]) -> Response:
        """The signed JSON answer of a server-side method."""
        method, house = fields.get("method", ""), self.merchants.find(fields.get("app_id", "")) or self.merchants.agreed
        return self.faults.around(lambda fault: self._reply(method, self._content(method, fields, fault, house), fault, house))

    def _content(self, method: str, fields: Mapping[str, str], fault: str, house: House) -> dict[str, Any]:
        refusal = self.why_refused(fields)
        if refusal is not None:
            return {"code": "40002", "msg": "Invalid Arguments", "sub_code": refusal[0], "sub_msg": refusal[1]}
        if fault == "error":
            return {"code": "20000", "msg": "Service Currently Unavailable", "sub_code": "aop.ACQ.SYSTEM_ERROR",
                    "sub_msg": "系统错误"}
        if method not in self.methods:
            return {"code": "40002", "msg": "Invalid Arguments", "sub_code": "isv.invalid-method", "sub_msg": "不存在的方法名"}
        try:
            return {"code": "10000", "msg": "Success", **self.methods[method](json.loads(fields["biz_content"]), house)}
        except Refused as error:
            return {"code": "40004", "msg": "Business Failed", "sub_code": error.code, "sub_msg": error.text}
        except (ValueError, KeyError):
            return {"code": "40002", "msg": "Invalid Arguments", "sub_code": "isv.invalid-parameter", "sub_msg": "参数无效"}

    def _reply(self, method: str, content: dict[str, Any], fault: str, house: House) -> Response:
        # What is signed is the text of the object exactly as it stands in the body.
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        sign = house.signer.sign(text + " " if fault == "bad_signature" else text)
        tail = "" if fault == "unsigned" else f',"sign":"{sign}"'
        name = method.replace(".", "_") + "_response"
        return Response(f'{{"{name}":{text}{tail}}}', mimetype="application/json")

    def query(self, content: dict[str, Any], house: House) -> dict[str, Any]:
        trade = self.trades.find(content["out_trade_no"], house.app_id)
        answer = self._brief(trade) | {
            "trade_status": trade["status"], "total_amount": yuan(trade["amount_fen"]), "subject": trade["subject"],
            "buyer_logon_id": "yan***@example.com", "point_amount": "0.00",
        }
        if trade["gmt_payment"]:
            answer |= {"send_pay_date": trade["gmt_payment"], "buyer_pay_amount": yuan(trade["amount_fen"])}
        return answer

    def close(self, content: dict[str, Any], house: House) -> dict[str, Any]:
        self.trades.find(content["out_trade_no"], house.app_id)
        return self._brief(self.trades.close(content["out_trade_no"]))

    def refund(self, content: dict[str, Any], house: House) -> dict[str, Any]:
        amount, request_no = fen(content["refund_amount"]), content.get("out_request_no", "")
        if content.get("trade_no", trade_no := self.trades.find(content["out_trade_no"], house.app_id)["trade_no"]) != trade_no:
            raise Refused("ACQ.TRADE_NOT_EXIST")
        trade, moved = self.trades.refund(content["out_trade_no"], amount, request_no)
        return self._brief(trade) | {
            "fund_change": "Y" if moved else "N", "refund_fee": yuan(refunded(trade)),
            "gmt_refund_pay": shanghai_text(self.state.now()),
        }

    def refund_query(self, content: dict[str, Any], house: House) -> dict[str, Any]:
        trade = self.trades.find(content["out_trade_no"], house.app_id)
        amount = trade["refunds"].get(content["out_request_no"])
        if amount is None:
            return {}  # Alipay answers success without a refund status when it knows of no such refund
        return self._brief(trade) | {
            "out_request_no": content["out_request_no"], "refund_amount": yuan(amount), "refund_status": "REFUND_SUCCESS",
            "total_amount": yuan(trade["amount_fen"]),
        }

    def bill_address(self, content: dict[str, Any], house: House) -> dict[str, Any]:
        """Where the bill of a day that is over can be fetched: the address is a secret and lives for thirty seconds."""
        day = str(content["bill_date"])
        if content["bill_type"] not in ("trade", "signcustomer") or not re.fullmatch(r"\d{4}-\d\d-\d\d", day):
            raise Refused("ACQ.INVALID_PARAMETER")
        late = self.state.settings("alipay").get("bill", {}).get("late")
        if late or day >= shanghai_text(self.state.now())[:10] or not self._moved(house, day):
            raise Refused("isp.bill_not_exist")
        token = secrets.token_urlsafe(24)
        self.state.put("bill", token, {"app_id": house.app_id, "day": day, "until": self.state.now().timestamp() + 30})
        return {"bill_download_url": f"{request.host_url}alipay/bill/{token}.zip"}

    def _moved(self, house: House, day: str) -> list[dict[str, Any]]:
        return bills.movements(self.state.all("trade"), house.app_id, day, self.state.settings("alipay").get("bill") or {})

    def bill(self, token: str) -> bytes | None:
        """The file behind such an address; None once its time is over."""
        kept = self.state.get("bill", token)
        house = self.merchants.find(kept["app_id"]) if kept and kept["until"] > self.state.now().timestamp() else None
        if kept is None or house is None:
            return None
        data = bills.bill(house.seller_id, kept["day"], shanghai_text(self.state.now()), self._moved(house, kept["day"]))
        return data[: len(data) // 2] if self.state.settings("alipay").get("bill", {}).get("cut") else data

    @staticmethod
    def _brief(trade: dict[str, Any]) -> dict[str, Any]:
        return {"out_trade_no": trade["order_no"], "trade_no": trade["trade_no"]}

    def page_order(self, fields: Mapping[str, str]) -> PageOrder:
        """The order in a page-pay request. Raises `Refused`."""
        try:
            content = json.loads(fields["biz_content"])
            order_no, subject = str(content["out_trade_no"]), str(content["subject"])
            if content["product_code"] != "FAST_INSTANT_TRADE_PAY" or not 1 <= len(order_no) <= 64 or not subject:
                raise Refused("ACQ.INVALID_PARAMETER")
            expire = str(content.get("time_expire", ""))
            if expire:
                from_shanghai(expire)
        except (ValueError, KeyError, TypeError) as error:
            raise Refused("ACQ.INVALID_PARAMETER") from error
        return PageOrder(
            fields["app_id"], order_no, fen(content["total_amount"]), subject, expire, fields.get("return_url", ""),
            fields.get("notify_url", ""),
        )

    def return_address(self, trade: dict[str, Any]) -> str:
        """Where the buyer is sent after paying, with signed parameters (which prove nothing: the notification does)."""
        house = self.merchants.of(trade)
        fields = {
            "charset": "utf-8", "out_trade_no": trade["order_no"], "method": "alipay.trade.page.pay.return",
            "total_amount": yuan(trade["amount_fen"]), "trade_no": trade["trade_no"], "auth_app_id": house.app_id,
            "version": "1.0", "app_id": house.app_id, "sign_type": "RSA2", "seller_id": house.seller_id,
            "timestamp": shanghai_text(self.state.now()),
        }
        joint = "&" if "?" in trade["return_url"] else "?"
        return f"{trade['return_url']}{joint}{urlencode(house.signer.signed(fields, with_type=False))}"


def make_blueprint(state: State, values: Mapping[str, str], keys: Mapping[str, Path]) -> Blueprint:
    """The routes below /alipay."""
    gateway = Gateway(state, values, keys)
    pages = Blueprint("alipay", __name__, url_prefix="/alipay")

    @pages.route("/gateway.do", methods=["GET", "POST"])
    def gateway_do() -> BaseResponse:
        fields = {**request.args.to_dict(), **request.form.to_dict()}
        if fields.get("method") != "alipay.trade.page.pay":
            return gateway.answer(fields)
        return _open_page(gateway, fields)

    @pages.post("/pay/<token>")
    def pay(token: str) -> BaseResponse:
        try:
            trade = gateway.trades.by_token(token)
            trade = gateway.trades.pay(trade["order_no"])
        except Refused as error:
            return _page("alipay_refused.html", 409, code=error.code, text=error.text)
        gateway.notifier.wait(gateway.notifier.queue(trade), RETURN_WAIT_S)
        if not trade["return_url"]:
            return _page("alipay_pay.html", 200, trade=trade, amount=yuan(trade["amount_fen"]), left=0, back="")
        return redirect(gateway.return_address(trade), 303)

    @pages.get("/bill/<token>.zip")
    def bill(token: str) -> BaseResponse:
        data = gateway.bill(token)
        return Response("gone", 403) if data is None else Response(data, mimetype="application/zip")

    @pages.get("/")
    def trades() -> BaseResponse:
        rows = [gateway.trades.find(trade["order_no"]) for trade in state.all("trade", newest=200)]
        return _page("alipay_trades.html", 200, trades=rows, yuan=yuan, refunded=refunded)

    _add_control(pages, gateway)
    return pages


def _open_page(gateway: Gateway, fields: Mapping[str, str]) -> BaseResponse:
    refusal = gateway.why_refused(fields)
    if refusal is not None:
        return _page("alipay_refused.html", 400, code=refusal[0], text=refusal[1])
    try:
        trade = gateway.trades.open(gateway.page_order(fields))
    except Refused as error:
        return _page("alipay_refused.html", 400, code=error.code, text=error.text)
    left = 0
    if trade["status"] == WAITING and trade["time_expire"]:
        left = max(0, int((from_shanghai(trade["time_expire"]) - gateway.state.now()).total_seconds()))
    back = gateway.return_address(trade) if trade["status"] == PAID and trade["return_url"] else trade["return_url"]
    return _page("alipay_pay.html", 200, trade=trade, amount=yuan(trade["amount_fen"]), left=left, back=back)


def _page(template: str, status: int, **values: Any) -> Response:
    return Response(render_template(template, **values), status, mimetype="text/html")


def _add_control(pages: Blueprint, gateway: Gateway) -> None:
    """Ways for tests to look and to meddle (docs/gateways.md)."""
    state, trades, notifier = gateway.state, gateway.trades, gateway.notifier

    @pages.errorhandler(Refused)
    def refused(error: Refused) -> tuple[Response, int]:
        return jsonify(code=error.code, message=error.text), 409

    @pages.get("/_control/trades")
    def control_trades() -> Response:
        return jsonify([trades.find(trade["order_no"]) for trade in state.all("trade")])

    @pages.get("/_control/notifications")
    def control_notifications() -> Response:
        return jsonify(state.all("notification"))

    @pages.post("/_control/pay")
    def control_pay() -> Response:
        """Pay an opened trade: order_no; paid_at (ISO, aware); even_if_late; notify (true unless said otherwise)."""
        wish = request.get_json()
        at = datetime.fromisoformat(wish["paid_at"]) if wish.get("paid_at") else None
        trade = trades.pay(wish["order_no"], at=at, even_if_late=bool(wish.get("even_if_late")))
        if wish.get("notify", True):
            notifier.queue(trade)
        return jsonify(trade)

    @pages.post("/_control/merchants")
    def control_merchants() -> Response:
        """Let a merchant in: app_id, seller_id. Answers with the keys that the portal needs for it."""
        wish = request.get_json()
        return jsonify(gateway.merchants.open(str(wish["app_id"]), str(wish["seller_id"])))

    @pages.post("/_control/finish")
    def control_finish() -> Response:
        return jsonify(trades.finish(request.get_json()["order_no"]))

    @pages.post("/_control/refund")
    def control_refund() -> Response:
        """What a merchant does in the console: order_no, amount_fen. The refund gets a number that the portal does not know."""
        wish = request.get_json()
        return jsonify(trades.refund(wish["order_no"], int(wish["amount_fen"]), f"console{secrets.randbelow(10**12):012d}")[0])

    @pages.post("/_control/form")
    def control_form() -> Response:
        """A signed notification as the form that would be posted: order_no, fields (before signing), tamper (after)."""
        wish = request.get_json()
        trade = trades.find(wish["order_no"])
        return jsonify(notifier.form(trade, wish.get("fields") or {}, wish.get("tamper") or {}))

    @pages.post("/_control/notify")
    def control_notify() -> Response:
        """Post a notification now and give the answers: as `form`, and `times`, `url`, `same` (one notify_id for all)."""
        wish = request.get_json()
        trade = trades.find(wish["order_no"])
        answers = []
        form = notifier.form(trade, wish.get("fields") or {}, wish.get("tamper") or {})
        for _ in range(int(wish.get("times", 1))):
            answers.append(notifier.post(wish.get("url") or trade["notify_url"], form))
            if not wish.get("same", True):
                form = notifier.form(trade, wish.get("fields") or {}, wish.get("tamper") or {})
        return jsonify(answers)
