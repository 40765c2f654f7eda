"""Stand-in of Aliyun's text messages: SendSms 2017-05-25 in the ACS3-HMAC-SHA256 protocol, with an outbox to read."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, jsonify, render_template, request

from standins.faults import Faults
from standins.state import State

LIMITS = (("分钟级", timedelta(minutes=1), 1), ("小时级", timedelta(hours=1), 5), ("天级", timedelta(days=1), 10))
DAY = timedelta(days=1)
NOTICE_LIMITS = (("天级", DAY, 50),)
A_DAY = 40
# What a notice says after its variable; the words of the templates an operator would have approved.
NOTICE_WORDS = {
    "submit": "已提交，等待受理", "reopen": "已重新报审，等待受理", "withdraw": "已由申报单位撤回", "accept": "已受理",
    "approve": "已审核通过", "reject": "未通过审核",
    "order_paid": "已支付", "order_expired": "超时未支付，已失效", "order_closed": "因开班关闭",
    "seats_offered": "有名额为贵单位保留", "offer_lapsed": "保留的名额已逾期", "waitlist_closed": "候补已结束",
    "person_mismatch": "与照片不相符，请更正", "person_corrected": "已更正，请复核",
    "refunded": "的付款已退回", "invoice_issued": "的发票已开具", "certificates_issued": "已生成",
    "invoice_failed": "的发票开具失败", "invoice_reversed": "的红字发票已开具", "red_letter_due": "的红字发票待上传",
    "unlock_asked": "申请解锁，等待办理", "unlock_granted": "已解锁", "unlock_refused": "的解锁申请未获同意",
    "refund_failed": "的退款未成功，请办理", "bill_differs": "有差异，请核对",
}
CLOCK_SKEW = timedelta(minutes=15)


class Rejected(Exception):
    """The call is refused before any business: an HTTP status, a code and a text."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(code)
        self.status, self.code, self.text = status, code, text


def verify(state: State, key_id: str, secret: str) -> None:
    """Check the request at hand as Aliyun does: who, the body's hash, date, nonce, signature. Raises `Rejected`."""
    given = re.fullmatch(
        r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]+)",
        request.headers.get("Authorization", ""),
    )
    if given is None:
        raise Rejected(400, "MissingAuthorization", "Authorization is mandatory for this action.")
    if given[1] != key_id:
        raise Rejected(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    payload = hashlib.sha256(request.get_data()).hexdigest()
    names = given[2].split(";")
    if request.headers.get("x-acs-content-sha256") != payload or not {"host", "x-acs-action", "x-acs-date"} <= set(names):
        raise Rejected(400, "SignatureDoesNotMatch", "Specified signature does not match our calculation.")
    query = "&".join(
        f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(request.args.items())
    )
    headers = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in names)
    canonical = "\n".join((request.method, request.path, query, headers, given[2], payload))
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    if not hmac.compare_digest(hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest(), given[3]):
        raise Rejected(400, "SignatureDoesNotMatch", "Specified signature does not match our calculation.")
    _fresh(state)


def _fresh(state: State) -> None:
    try:
        date = datetime.strptime(request.headers.get("x-acs-date", ""), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Rejected(400, "InvalidTimeStamp.Format", "Specified time stamp is not well formatted.") from None
    if abs(datetime.now(UTC) - date) > CLOCK_SKEW:
        raise Rejected(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
    nonce = request.headers.get("x-acs-signature-nonce", "")
    with state.lock:
        if not nonce or state.get("nonce", nonce) is not None:
            raise Rejected(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        state.put("nonce", nonce, {})


def notice_event(values: Mapping[str, str], template: str) -> str:
    """The event whose template this is, or ""."""
    pairs = (pair.partition("=") for pair in re.split(r"[,\s]+", values.get("sms_notice_templates", "")) if pair)
    return next((event for event, _sign, code in pairs if code == template), "")


def over_limit(state: State, phone: str, template: str, of_codes: bool) -> str:
    """The name of the limit this number has reached, or "". A notice's template has one of its own, and every message of the
    signature counts for the day."""
    if state.settings("sms").get("limits", "on") == "off":
        return ""
    now = state.now()
    sent = [m for m in state.all("message", newest=2000) if m["phone"] == phone]
    if sum(_age(now, m) < DAY for m in sent) >= A_DAY:
        return f"触发天级流控Permits:{A_DAY}"
    same = [_age(now, m) for m in sent if m["template"] == template]
    for name, window, most in LIMITS if of_codes else NOTICE_LIMITS:
        if sum(age < window for age in same) >= most:
            return f"触发{name}流控Permits:{most}"
    return ""


def _age(now: datetime, message: Mapping[str, Any]) -> timedelta:
    return now - datetime.fromisoformat(message["at"])


def _words(event: str, params: Mapping[str, str]) -> str:
    if not event:
        return f"您的验证码为 {params['code']}，请勿告诉他人。"
    return f"{params['name']}{NOTICE_WORDS.get(event, '有新进展')}，请登录平台查看。"


def _send(state: State, values: Mapping[str, str], fields: Mapping[str, str]) -> tuple[str, str]:
    """Code and text of one SendSms."""
    phone = fields.get("PhoneNumbers", "")
    if not re.fullmatch("1[3-9][0-9]{9}", phone):
        return "isv.MOBILE_NUMBER_ILLEGAL", "非法手机号"
    if fields.get("SignName") != values["sms_sign_name"]:
        return "isv.SMS_SIGNATURE_ILLEGAL", "该账号下找不到对应签名"
    template = fields.get("TemplateCode", "")
    event = notice_event(values, template)
    if not event and template != values["sms_template_code"]:
        return "isv.SMS_TEMPLATE_ILLEGAL", "该账号下找不到对应模板"
    try:
        params = json.loads(fields.get("TemplateParam") or "{}")
    except ValueError:
        params = None
    if not isinstance(params, dict):
        return "isv.INVALID_JSON_PARAM", "参数格式错误，请修改为字符串值"
    wanted = "name" if event else "code"
    if not params.get(wanted):
        return "isv.TEMPLATE_MISSING_PARAMETERS", "模板缺少变量"
    with state.lock:
        reached = over_limit(state, phone, template, of_codes=not event)
        if reached:
            return "isv.BUSINESS_LIMIT_CONTROL", reached
        state.add("message", {
            "at": state.now().isoformat(), "phone": phone, "template": template, "params": params,
            "text": f"【{fields['SignName']}】{_words(event, params)}",
        })
    return "OK", "OK"


def make_blueprint(state: State, values: Mapping[str, str]) -> Blueprint:
    """The routes below /sms."""
    pages = Blueprint("sms", __name__, url_prefix="/sms")
    faults = Faults("sms", state)

    def work(fault: str) -> Response:
        request_id = str(uuid.uuid4()).upper()
        try:
            verify(state, values["sms_access_key_id"], values["sms_access_key_secret"])
            if request.headers.get("x-acs-action") != "SendSms" or request.headers.get("x-acs-version") != "2017-05-25":
                raise Rejected(404, "InvalidAction.NotFound", "Specified api is not found.")
        except Rejected as error:
            return _json({"Code": error.code, "Message": error.text, "RequestId": request_id}, error.status)
        if fault == "error":
            code, text = "isp.SYSTEM_ERROR", "系统错误"
        else:
            code, text = _send(state, values, {**request.args.to_dict(), **request.form.to_dict()})
        answer = {"Code": code, "Message": text, "RequestId": request_id}
        return _json(answer | ({"BizId": uuid.uuid4().hex} if code == "OK" else {}), 200)

    @pages.post("/")
    def send() -> Response:
        return faults.around(work)

    @pages.get("/outbox")
    def outbox() -> str:
        return render_template("sms_outbox.html", messages=state.all("message", newest=100))

    @pages.get("/_control/outbox.json")
    def control_outbox() -> Response:
        return jsonify(state.all("message", newest=1000))

    return pages


def _json(body: dict[str, Any], status: int) -> Response:
    answer = jsonify(body)
    answer.status_code = status
    return answer
