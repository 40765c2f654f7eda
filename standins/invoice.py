"""Stand-in of the Nuonuo invoice platform: requestBillingNew and queryInvoiceResult. Its paper says 收据, never 发票."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import Blueprint, Response, abort, jsonify, render_template, request

from standins.faults import Faults
from standins.receipt import draw
from standins.state import State, shanghai_text

SKEW_S = 600


def refusal(values: Mapping[str, str]) -> tuple[str, str] | None:
    """Code and text of a call that is not to be served: key, token, time, signature."""
    args = request.args
    if args.get("appkey") != values["invoice_app_key"]:
        return "070101", "appKey无效"
    if request.headers.get("accessToken") != values["invoice_access_token"]:
        return "070304", "accessToken无效"
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


def bill(state: State, values: Mapping[str, str], order: Any) -> dict[str, Any]:
    """One requestBillingNew."""
    wrong = problem(order, values["invoice_seller_tax_number"])
    if wrong:
        return {"code": "E9100", "describe": wrong}
    settings = state.settings("invoice")
    with state.lock:
        if any(row["order"]["orderNo"] == order["orderNo"] for row in state.all("invoice")):
            return {"code": "E9106", "describe": "订单编号已存在"}
        now = state.now()
        serial = now.strftime("%y%m%d%H%M%S") + f"{secrets.randbelow(10**8):08d}"
        state.put("invoice", serial, {
            "serial": serial, "order": order, "number": "25337000" + f"{secrets.randbelow(10**12):012d}",
            "requested": now.isoformat(), "fails": str(settings.get("fail_with", "")), "secret": secrets.token_hex(16),
        })
    return {"code": "E0000", "describe": "开票提交成功", "result": {"invoiceSerialNum": serial}}


def problem(order: Any, seller: str) -> str:
    """What is wrong with an order, or ""."""
    if not isinstance(order, dict):
        return "order不能为空"
    for name in ("buyerName", "orderNo", "invoiceDate", "clerk", "salerTaxNum", "invoiceType"):
        if not order.get(name):
            return f"{name}不能为空"
    if order["salerTaxNum"] != seller:
        return "销方税号与授权企业不符"
    lines = order.get("invoiceDetail")
    if not isinstance(lines, list) or not lines:
        return "invoiceDetail不能为空"
    try:
        return "" if amount(order) > 0 and all(line["goodsName"] for line in lines) else "金额必须大于零"
    except (KeyError, TypeError, InvalidOperation):
        return "invoiceDetail不完整"


def amount(order: dict[str, Any]) -> Decimal:
    return sum((Decimal(line["price"]) * Decimal(line["num"]) for line in order["invoiceDetail"]), Decimal(0))


def standing(state: State, row: dict[str, Any]) -> tuple[str, str]:
    """Status code and text: 20 issuing, 2 issued, 22 failed."""
    delay = timedelta(seconds=float(state.settings("invoice").get("delay_s", 0)))
    if state.now() < datetime.fromisoformat(row["requested"]) + delay:
        return "20", "开票中"
    return ("22", "开票失败") if row["fails"] else ("2", "开票完成")


def results(state: State, content: dict[str, Any]) -> dict[str, Any]:
    """One queryInvoiceResult."""
    serials, orders = content.get("serialNos") or [], content.get("orderNos") or []
    found = []
    for row in state.all("invoice"):
        if row["serial"] not in serials and row["order"]["orderNo"] not in orders:
            continue
        status, text = standing(state, row)
        result = {
            "serialNo": row["serial"], "orderNo": row["order"]["orderNo"], "status": status, "statusMsg": text,
            "failCause": row["fails"] if status == "22" else "", "buyerName": row["order"]["buyerName"],
            "orderAmount": f"{amount(row['order']):.2f}",
        }
        if status == "2":
            address = f"{request.url_root}invoice/pdf/{row['serial']}-{row['secret']}.pdf"
            result |= {"allElectronicInvoiceNumber": row["number"], "invoiceNo": row["number"], "pdfUrl": address}
        found.append(result)
    if not found:
        return {"code": "E9500", "describe": "未查询到发票信息"}
    return {"code": "E0000", "describe": "获取成功", "result": found}


def make_blueprint(state: State, values: Mapping[str, str]) -> Blueprint:
    """The routes below /invoice."""
    pages = Blueprint("invoice", __name__, url_prefix="/invoice")
    faults = Faults("invoice", state)

    def work(fault: str) -> Response:
        refused = refusal(values)
        if refused is not None:
            return jsonify(code=refused[0], describe=refused[1])
        if fault == "error":
            return jsonify(code="E9999", describe="系统异常")
        content = request.get_json(silent=True)
        if not isinstance(content, dict):
            return jsonify(code="E9001", describe="报文不是JSON")
        method = request.headers.get("method", "")
        if method == "nuonuo.ElectronInvoice.requestBillingNew":
            return jsonify(bill(state, values, content.get("order")))
        if method == "nuonuo.ElectronInvoice.queryInvoiceResult":
            return jsonify(results(state, content))
        return jsonify(code="070307", describe="没有这个接口")

    @pages.post("/open/v1/services")
    def services() -> Response:
        return faults.around(work)

    @pages.get("/pdf/<serial>-<secret>.pdf")
    def pdf(serial: str, secret: str) -> Response:
        row = state.get("invoice", serial)
        if row is None or not hmac.compare_digest(row["secret"], secret) or standing(state, row)[0] != "2":
            abort(404)
        order = row["order"]
        lines = [
            ("收据编号", row["number"]), ("订单编号", order["orderNo"]), ("付款方", order["buyerName"]),
            ("纳税人识别号", order.get("buyerTaxNum") or "—"), ("项目", order["invoiceDetail"][0]["goodsName"]),
            ("金额（元）", f"{amount(order):.2f}"), ("收款方税号", order["salerTaxNum"]),
            ("开具时间", shanghai_text(datetime.fromisoformat(row["requested"]))),
        ]
        return Response(draw("收据", "演示系统开具，不作为税务凭证", lines), mimetype="application/pdf")

    @pages.get("/")
    def invoices() -> str:
        rows = [row | {"standing": standing(state, row)[1], "amount": f"{amount(row['order']):.2f}"}
                for row in state.all("invoice", newest=200)]
        return render_template("invoices.html", rows=rows)

    @pages.get("/_control/invoices.json")
    def control_invoices() -> Response:
        return jsonify(state.all("invoice"))

    return pages
