"""Red letters of the invoice stand-in: 红字确认单 applied for, agreed to, and the red invoice that follows by itself."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from standins.state import State

REASONS = ("1", "2", "3", "4")


def apply(state: State, _values: Mapping[str, str], content: dict[str, Any]) -> dict[str, Any]:
    """One saveInvoiceRedConfirm: refused at once for its form; what the tax bureau finds wrong ends the form later (16)."""
    wrong = _problem(content)
    if wrong:
        return {"code": "E9100", "describe": wrong}
    bill_id = str(content.get("billId") or uuid.uuid4().int)[:32]
    with state.lock:
        if state.get("red_form", bill_id) is not None:
            return {"code": "E9999", "describe": "申请号重复"}
        blue = next((row for row in state.all("invoice") if row["number"] == content["blueElecInvoiceNumber"]), None)
        if blue is None or blue["order"]["salerTaxNum"] != content["sellerTaxNo"]:
            return {"code": "E9103", "describe": "未查询到对应的蓝字发票"}
        amounts = _amounts(content, blue)
        message = str(state.settings("invoice").get("red_fail_with", "")) or _bureau(state, blue, content, amounts)
        asked = bool(state.settings("invoice").get("red_confirm"))
        state.put("red_form", bill_id, {
            "billId": bill_id, "billNo": "99" + f"{secrets.randbelow(10**16):016d}", "billUuid": uuid.uuid4().hex,
            "billStatus": "16" if message else "02" if asked else "01", "billMessage": message, "applySource": 0,
            "blueElecInvoiceNumber": blue["number"], "redReason": content["redReason"], "sellerTaxNo": content["sellerTaxNo"],
            "taxExcludedAmount": f"{amounts[0]:.2f}", "taxAmount": f"{amounts[1]:.2f}", "invoiceSerialNum": None,
            "redInvoiceNumber": None, "blueSerial": blue["serial"],
        })
    return {"code": "E0000", "describe": "提交成功", "result": bill_id}


def _problem(content: dict[str, Any]) -> str:
    for name in ("blueInvoiceLine", "applySource", "blueElecInvoiceNumber", "sellerTaxNo", "sellerName", "redReason"):
        if not str(content.get(name, "")):
            return f"{name}不能为空"
    if content["redReason"] not in REASONS:
        return "redReason无效"
    if len(str(content.get("billId", ""))) > 32:
        return "billId长度不能超过32"
    for line in content.get("detail") or []:
        for name in ("blueDetailIndex", "goodsName", "taxRate", "goodsCode"):
            if not line.get(name):
                return f"detail.{name}不能为空"
        try:
            if Decimal(line["taxExcludedAmount"]) >= 0 or Decimal(line["taxAmount"]) > 0:
                return "红字明细的金额必须为负数"
        except (KeyError, TypeError, InvalidOperation):
            return "detail不完整"
    return ""


def _amounts(content: dict[str, Any], blue: dict[str, Any]) -> tuple[Decimal, Decimal]:
    """(without tax, tax), both negative: of the lines given, else of the whole invoice."""
    lines = content.get("detail")
    if lines:
        return (sum((Decimal(line["taxExcludedAmount"]) for line in lines), Decimal(0)),
                sum((Decimal(line["taxAmount"]) for line in lines), Decimal(0)))
    own = blue["order"]["invoiceDetail"]
    return (-sum((Decimal(line["taxExcludedAmount"]) for line in own), Decimal(0)),
            -sum((Decimal(line["tax"]) for line in own), Decimal(0)))


def _bureau(state: State, blue: dict[str, Any], content: dict[str, Any], amounts: tuple[Decimal, Decimal]) -> str:
    """What the tax bureau finds wrong, or "": the lines must be the invoice's, and no more goes back than it was over."""
    own = blue["order"]["invoiceDetail"]
    for line in content.get("detail") or []:
        index = str(line["blueDetailIndex"])
        if not index.isdigit() or not 1 <= int(index) <= len(own):
            return "明细序号与蓝字发票不一致"
        if any(str(line[name]) != str(own[int(index) - 1][name]) for name in ("goodsCode", "taxRate", "goodsName")):
            return "明细内容与蓝字发票不一致"
    if content["redReason"] == "2" and content.get("detail"):
        return "开票有误须全额冲红"
    alive = [form for form in state.all("red_form")
             if form["blueSerial"] == blue["serial"] and form["billStatus"] in ("01", "02", "04")]
    for asked, field, name in zip(amounts, ("taxExcludedAmount", "tax"), ("taxExcludedAmount", "taxAmount"), strict=True):
        left = sum((Decimal(line[field]) for line in own), Decimal(0)) + sum((Decimal(form[name]) for form in alive), Decimal(0))
        if left + asked < 0:
            return "该发票已全额冲红" if left == 0 else "冲红金额超过蓝字发票的剩余金额"
    return ""


def query(state: State, _values: Mapping[str, str], content: dict[str, Any]) -> dict[str, Any]:
    """One queryInvoiceRedConfirm by billId or billUuid. A form that nobody has to agree to any more has its red invoice."""
    wanted = {str(content.get("billId") or ""), str(content.get("billUuid") or "")} - {""}
    if not wanted:
        return {"code": "E9100", "describe": "billTimeStart不能为空"}
    found = [_opened(state, form) for form in state.all("red_form") if wanted & {form["billId"], form["billUuid"]}]
    return {"code": "E0000", "describe": "查询成功", "result": {"total": len(found), "list": found}}


def _opened(state: State, form: dict[str, Any]) -> dict[str, Any]:
    if form["billStatus"] not in ("01", "04") or form["invoiceSerialNum"]:
        return form
    from standins.invoice import book

    blue = state.get("invoice", form["blueSerial"])
    assert blue is not None
    excluded, tax = Decimal(form["taxExcludedAmount"]), Decimal(form["taxAmount"])
    line = blue["order"]["invoiceDetail"][0] | {"price": f"{excluded + tax:.2f}", "num": "1", "taxIncludedAmount": f"{excluded + tax:.2f}",
                                               "taxExcludedAmount": f"{excluded:.2f}", "tax": f"{tax:.2f}"}
    serial = book(state, blue["order"] | {"orderNo": form["billId"], "invoiceType": "2", "invoiceDetail": [line]})
    number = (state.get("invoice", serial) or {})["number"]
    opened = form | {"invoiceSerialNum": serial, "redInvoiceNumber": number}
    state.put("red_form", form["billId"], opened)
    return opened


def refresh(state: State, _values: Mapping[str, str], content: dict[str, Any]) -> dict[str, Any]:
    """One refreshInvoiceRedConfirm: the buyer has agreed, or denied, as the control setting `red_buyer` says."""
    answer = {"agree": "04", "deny": "05"}.get(str(state.settings("invoice").get("red_buyer", "")))
    for form in state.all("red_form"):
        if form["billUuid"] == content.get("billUuid") and form["billStatus"] == "02" and answer:
            state.put("red_form", form["billId"], form | {"billStatus": answer})
    return {"code": "E0000", "describe": "提交成功"}
