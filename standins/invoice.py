"""Stand-in of the Nuonuo invoice platform (诺税通SaaS): token, invoices, red letters. Its paper says 收据, never 发票."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import Blueprint, Response, abort, jsonify, render_template, request

from standins import red_letters
from standins.faults import Faults
from standins.receipt import draw
from standins.state import State, shanghai_text

SKEW_S = 600
TOKEN_S = 86_400
TOKENS_A_MONTH = 50
PRODUCT = "nuonuo.OpeMplatform."
Method = Callable[[State, Mapping[str, str], dict[str, Any]], dict[str, Any]]


def refusal(state: State, values: Mapping[str, str]) -> tuple[str, str] | None:
    """Code and text of a call that is not to be served: key, token, time, signature."""
    args = request.args
    if args.get("appkey") != values["invoice_app_key"]:
        return "070101", "appKey无效"
    token = state.get("invoice_token", request.headers.get("accessToken", ""))
    if token is None or state.now() >= datetime.fromisoformat(token["until"]):
        return "070304", "accessToken无效或已过期"
    if not args.get("timestamp", "").isdigit() or abs(datetime.now().timestamp() - int(args["timestamp"])) > SKEW_S:
        return "070302", "timestamp无效"
    head = (
        f"a=services&l=v1&p=open&k={args['appkey']}&i={args.get('senid', '')}"
        f"&n={args.get('nonce', '')}&t={args['timestamp']}&f="
    )
    own = hmac.new(values["invoice_app_secret"].encode(), head.encode() + request.get_data(), hashlib.sha1).digest()
    if not hmac.compare_digest(base64.b64encode(own).decode(), request.headers.get("X-Nuonuo-Sign", "")):
        return "070303", "签名错误"
    return None


def give_token(state: State, values: Mapping[str, str]) -> dict[str, Any]:
    """One call of accessToken by a self-built application."""
    form = request.form
    if form.get("grant_type") != "client_credentials":
        return {"error": "unsupported_grant_type", "error_description": "grant_type无效"}
    right = form.get("client_id") == values["invoice_app_key"] and form.get("client_secret") == values["invoice_app_secret"]
    if not right:
        return {"error": "invalid_client", "error_description": "appKey或appSecret错误"}
    now, settings = state.now(), state.settings("invoice")
    with state.lock:
        lately = [row for row in state.all("invoice_token") if datetime.fromisoformat(row["at"]) > now - timedelta(days=30)]
        if len(lately) >= int(settings.get("tokens_a_month", TOKENS_A_MONTH)):
            return {"error": "070306", "error_description": "30天内获取token的次数已达上限"}
        token, seconds = secrets.token_hex(16), int(settings.get("token_s", TOKEN_S))
        until = now + timedelta(seconds=seconds)
        state.put("invoice_token", token, {"token": token, "at": now.isoformat(), "until": until.isoformat()})
    return {"access_token": token, "expires_in": seconds}


def bill(state: State, values: Mapping[str, str], content: dict[str, Any]) -> dict[str, Any]:
    """One requestBillingNew."""
    order = content.get("order")
    wrong = problem(order, sellers(state, values))
    if wrong:
        return {"code": "E9100", "describe": wrong}
    assert isinstance(order, dict)
    with state.lock:
        if any(row["order"]["orderNo"] == order["orderNo"] for row in state.all("invoice")):
            return {"code": "E9106", "describe": "订单编号已存在"}
        serial = book(state, order)
    return {"code": "E0000", "describe": "开票提交成功", "result": {"invoiceSerialNum": serial}}


def book(state: State, order: dict[str, Any]) -> str:
    """Write an invoice down; its serial."""
    now, settings = state.now(), state.settings("invoice")
    serial = now.strftime("%y%m%d%H%M%S") + f"{secrets.randbelow(10**8):08d}"
    state.put("invoice", serial, {
        "serial": serial, "order": order, "number": "25337000" + f"{secrets.randbelow(10**12):012d}",
        "requested": now.isoformat(), "fails": str(settings.get("fail_with", "")), "secret": secrets.token_hex(16),
        "unsealed": bool(settings.get("unsealed")),
    })
    return serial


def sellers(state: State, values: Mapping[str, str]) -> set[str]:
    """The tax numbers that have authorised the application: the one agreed upon, and those of the control setting."""
    return {values["invoice_seller_tax_number"], *map(str, state.settings("invoice").get("sellers") or ())}


def problem(order: Any, authorised: set[str]) -> str:
    """What is wrong with an order, or ""."""
    if not isinstance(order, dict):
        return "order不能为空"
    for name in ("buyerName", "orderNo", "invoiceDate", "clerk", "salerTaxNum", "invoiceType"):
        if not order.get(name):
            return f"{name}不能为空"
    if order["salerTaxNum"] not in authorised:
        return "销方税号与授权企业不符"
    if len(order["orderNo"]) > 20:
        return "orderNo长度不能超过20"
    if str(order.get("pushMode", "1")) in ("0", "2") and not order.get("email"):
        return "pushMode为邮箱时email不能为空"
    lines = order.get("invoiceDetail")
    if not isinstance(lines, list) or not lines:
        return "invoiceDetail不能为空"
    try:
        return "" if amount(order) > 0 and all(right(line) for line in lines) else "金额不正确"
    except (KeyError, TypeError, InvalidOperation):
        return "invoiceDetail不完整"


def right(line: dict[str, Any]) -> bool:
    """The parts of a line add up, and its tax is that of its rate to a fen."""
    total, tax = Decimal(line["taxIncludedAmount"]), Decimal(line["tax"])
    rate = Decimal(line["taxRate"])
    fits = abs(tax - total / (1 + rate) * rate) <= Decimal("0.01")
    return bool(line["goodsName"] and line["goodsCode"] and fits) and total == Decimal(line["taxExcludedAmount"]) + tax


def amount(order: dict[str, Any]) -> Decimal:
    return sum((Decimal(line["price"]) * Decimal(line["num"]) for line in order["invoiceDetail"]), Decimal(0))


def standing(state: State, row: dict[str, Any]) -> tuple[str, str]:
    """Status code and text: 20 issuing, 2 issued, 22 failed, 24 issued without a signed file."""
    delay = timedelta(seconds=float(state.settings("invoice").get("delay_s", 0)))
    if state.now() < datetime.fromisoformat(row["requested"]) + delay:
        return "20", "开票中"
    if row["fails"]:
        return "22", "开票失败"
    return ("24", "开票成功签章失败") if row["unsealed"] else ("2", "开票完成")


def results(state: State, _values: Mapping[str, str], content: dict[str, Any]) -> dict[str, Any]:
    """One queryInvoiceResult."""
    serials, orders = content.get("serialNos") or [], content.get("orderNos") or []
    found = [described(state, row) for row in state.all("invoice")
             if row["serial"] in serials or row["order"]["orderNo"] in orders]
    if not found:
        return {"code": "E9500", "describe": "未查询到发票信息"}
    return {"code": "E0000", "describe": "获取成功", "result": found}


def described(state: State, row: dict[str, Any]) -> dict[str, Any]:
    status, text = standing(state, row)
    result = {
        "serialNo": row["serial"], "orderNo": row["order"]["orderNo"], "status": status, "statusMsg": text,
        "failCause": row["fails"] if status == "22" else "", "buyerName": row["order"]["buyerName"],
        "orderAmount": f"{amount(row['order']):.2f}",
    }
    if status == "2":
        address = f"{request.url_root}invoice/pdf/{row['serial']}-{row['secret']}"
        issued = int(datetime.fromisoformat(row["requested"]).timestamp() * 1000)
        result |= {"allElectronicInvoiceNumber": row["number"], "invoiceTime": issued, "pdfUrl": f"{address}.pdf",
                   "xmlUrl": f"{address}.xml"}
    return result


def seal(state: State, _values: Mapping[str, str], content: dict[str, Any]) -> dict[str, Any]:
    """One reInvoice: what was issued without its file is signed now."""
    row = state.get("invoice", str(content.get("fpqqlsh", "")))
    if row is None:
        return {"code": "E9500", "describe": "未查询到发票信息"}
    state.put("invoice", row["serial"], row | {"unsealed": False})
    return {"code": "E0000", "describe": "重试成功"}


METHODS: dict[str, Method] = {
    PRODUCT + "requestBillingNew": bill, PRODUCT + "queryInvoiceResult": results, PRODUCT + "reInvoice": seal,
    PRODUCT + "saveInvoiceRedConfirm": red_letters.apply, PRODUCT + "queryInvoiceRedConfirm": red_letters.query,
    PRODUCT + "refreshInvoiceRedConfirm": red_letters.refresh,
}


def make_blueprint(state: State, values: Mapping[str, str]) -> Blueprint:
    """The routes below /invoice."""
    pages = Blueprint("invoice", __name__, url_prefix="/invoice")
    faults = Faults("invoice", state)

    def work(fault: str) -> Response:
        refused = refusal(state, values)
        if refused is not None:
            return jsonify(code=refused[0], describe=refused[1])
        if fault == "error":
            return jsonify(code="E9999", describe="系统异常")
        content = request.get_json(silent=True)
        if not isinstance(content, dict):
            return jsonify(code="E9001", describe="报文不是JSON")
        method = METHODS.get(request.headers.get("method", ""))
        return jsonify(method(state, values, content)) if method else jsonify(code="070307", describe="没有这个接口")

    @pages.post("/accessToken")
    def access_token() -> Response:
        return jsonify(give_token(state, values))

    @pages.post("/open/v1/services")
    def services() -> Response:
        return faults.around(work)

    @pages.get("/pdf/<serial>-<secret>.<kind>")
    def paper(serial: str, secret: str, kind: str) -> Response:
        row = state.get("invoice", serial)
        if row is None or not hmac.compare_digest(row["secret"], secret) or standing(state, row)[0] != "2":
            abort(404)
        state.sleep(float(state.settings("invoice").get("pdf_latency_s", 0)))
        return _xml(row) if kind == "xml" else Response(_pdf(row), mimetype="application/pdf")

    @pages.get("/")
    def invoices() -> str:
        rows = [row | {"standing": standing(state, row)[1], "amount": f"{amount(row['order']):.2f}"}
                for row in state.all("invoice", newest=200)]
        return render_template("invoices.html", rows=rows)

    @pages.get("/_control/invoices.json")
    def control_invoices() -> Response:
        return jsonify(state.all("invoice"))

    @pages.get("/_control/red_forms.json")
    def control_red_forms() -> Response:
        return jsonify(state.all("red_form"))

    @pages.get("/_control/tokens.json")
    def control_tokens() -> Response:
        return jsonify(state.all("invoice_token"))

    return pages


def _pdf(row: dict[str, Any]) -> bytes:
    order = row["order"]
    lines = [
        ("收据编号", row["number"]), ("订单编号", order["orderNo"]), ("付款方", order["buyerName"]),
        ("纳税人识别号", order.get("buyerTaxNum") or "—"), ("项目", order["invoiceDetail"][0]["goodsName"]),
        ("金额（元）", f"{amount(order):.2f}"), ("收款方税号", order["salerTaxNum"]),
        ("开具时间", shanghai_text(datetime.fromisoformat(row["requested"]))),
    ]
    title = "退款收据" if amount(order) < 0 else "收据"
    return draw(title, "演示系统开具，不作为税务凭证", lines)


def _xml(row: dict[str, Any]) -> Response:
    text = (f'<?xml version="1.0" encoding="UTF-8"?><Receipt><Number>{row["number"]}</Number>'
            f"<Total>{amount(row['order']):.2f}</Total></Receipt>")
    return Response(text, mimetype="application/xml")
