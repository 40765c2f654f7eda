"""Stand-in of the ministry's certificate register (docs/ministry-protocol.md)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request

from standins.faults import Faults
from standins.state import State
from standins.tokens import envelope, has_token

FIELDS = ("number", "name", "id_number", "occupation_code", "occupation", "level", "institution", "issued_on", "status", "replaces")
MAY_BE_EMPTY = ("replaces",)


def problem(body: Any, number: str) -> str:
    """What is wrong with a record, or ""."""
    if not isinstance(body, dict) or set(body) != set(FIELDS):
        return "字段不符"
    if any(not isinstance(body[name], str) or not (body[name].strip() or name in MAY_BE_EMPTY) for name in FIELDS):
        return "有空字段"
    if body["number"] != number:
        return "证书编号与地址不符"
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", body["issued_on"]) or body["status"] not in ("valid", "revoked", "replaced"):
        return "发证日期或状态不符"
    return "" if re.fullmatch(r"[0-9]{17}[0-9X]", body["id_number"]) else "身份证号不符"


def put_certificate(state: State, number: str) -> Response:
    body: Any = request.get_json(silent=True)
    wrong = problem(body, number)
    if wrong:
        return envelope(200, 1001, wrong)
    with state.lock:
        known = state.get("certificate", number)
        if known is not None and known["content"] == body:
            return envelope(200, 0, "ok")
        # Only the status of a registered certificate may change; anything else under its number is another certificate.
        if known is not None and {**known["content"], "status": ""} != {**body, "status": ""}:
            return envelope(409, 1002, "该编号已登记其他内容")
        # What has ended stays ended: a "valid" that was long on its way must not bring it back.
        if known is not None and known["content"]["status"] != "valid":
            return envelope(409, 1003, "该证书已撤销或已换发")
        state.put("certificate", number, {"content": body, "at": state.now().isoformat()})
    return envelope(200 if known else 201, 0, "ok")


def make_blueprint(state: State, values: Mapping[str, str]) -> Blueprint:
    """The routes below /ministry."""
    pages = Blueprint("ministry", __name__, url_prefix="/ministry")
    faults = Faults("ministry", state)

    @pages.put("/certificates/<number>")
    def certificate(number: str) -> Response:
        def work(fault: str) -> Response:
            if not has_token(values["ministry_token"]):
                return envelope(401, 1000, "令牌无效")
            if fault == "error":
                return envelope(200, 2001, "系统繁忙，请稍后再试")
            if fault == "refuse":
                return envelope(200, 1099, "内容不被接受")
            return put_certificate(state, number)

        state.add("arrival", {"number": number, "at": state.now().isoformat()})
        return faults.around(work)

    @pages.get("/")
    def register() -> str:
        calls = Counter(arrival["number"] for arrival in state.all("arrival"))
        return render_template("ministry.html", certificates=state.all("certificate", newest=500), calls=calls)

    @pages.get("/_control/certificates.json")
    def control_certificates() -> Response:
        """What is registered, by number: the content, and how often the number was sent."""
        calls = Counter(arrival["number"] for arrival in state.all("arrival"))
        rows = {row["content"]["number"]: row["content"] for row in state.all("certificate")}
        return jsonify(certificates=rows, calls=calls)

    return pages
