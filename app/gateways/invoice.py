"""E-invoices through the Nuonuo open platform (sdk.nuonuo.com/open/v1/services).

The protocol as its published documents give it: one address, the method in a header, the body signed with HMAC-SHA1. Only
the tax platform behind Nuonuo issues a legal invoice; nothing here draws one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo

from app.gateways.errors import GatewayError
from app.gateways.web import TIMEOUT_S, Answer, call_json, download, encode

SHANGHAI = ZoneInfo("Asia/Shanghai")
SERVICE = "/open/v1/services"
REQUEST = "nuonuo.ElectronInvoice.requestBillingNew"
QUERY = "nuonuo.ElectronInvoice.queryInvoiceResult"
DONE = {"2", "3"}  # issued; voided later (the paper still exists)
FAILED = {"22", "24"}  # issuing failed; issued but its file could not be signed
# Keys and tokens, call limits, and the platform's own trouble: the same request may succeed later.
PASSING_PREFIXES = ("0701", "0703", "0704", "E9999")


@dataclass(frozen=True)
class InvoiceResult:
    """`state`: issuing, issued (then `number` and `pdf` are there) or failed (then `reason` says why)."""

    state: str
    number: str
    pdf: bytes | None
    reason: str


def signature(app_secret: str, path: str, app_key: str, senid: str, nonce: str, timestamp: str, content: bytes) -> str:
    """X-Nuonuo-Sign: base64 of HMAC-SHA1 over the request; `path` is the address's, of which the last three names count."""
    p, version, service = path.rstrip("/").split("/")[-3:]
    head = f"a={service}&l={version}&p={p}&k={app_key}&i={senid}&n={nonce}&t={timestamp}&f="
    return base64.b64encode(hmac.new(app_secret.encode(), head.encode() + content, hashlib.sha1).digest()).decode()


class NuonuoInvoiceGateway:
    """Requests invoices in the name of one seller and fetches them."""

    def __init__(
        self,
        url: str,
        app_key: str,
        app_secret: str,
        access_token: str,
        seller_tax_number: str,
        *,
        tax_rate: str = "0.03",
        goods_code: str = "3070201020000000000",
        clerk: str = "系统",
        timeout: float = TIMEOUT_S,
    ) -> None:
        """`tax_rate` and `goods_code` (税收分类编码, 非学历教育服务) are the seller's; its accountant decides them."""
        self._url = url.rstrip("/") if url.rstrip("/").endswith(SERVICE) else url.rstrip("/") + SERVICE
        self._app_key = app_key
        self._app_secret = app_secret
        self._access_token = access_token
        self._seller = seller_tax_number
        self._tax_rate = tax_rate
        self._goods_code = goods_code
        self._clerk = clerk
        self._timeout = timeout

    def request(
        self, order_no: str, buyer_name: str, buyer_tax_number: str, amount_fen: int, goods_name: str, email: str
    ) -> str:
        """Ask for one invoice over `amount_fen`, tax included; returns the platform's serial. Idempotent by `order_no`.

        Raises `GatewayError`; permanent when the platform refuses the content.
        """
        price = f"{amount_fen // 100}.{amount_fen % 100:02d}"
        order = {
            "buyerName": buyer_name, "buyerTaxNum": buyer_tax_number, "email": email, "pushMode": "0" if email else "-1",
            "salerTaxNum": self._seller, "orderNo": order_no, "clerk": self._clerk,
            "invoiceDate": datetime.now(UTC).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S"),
            "invoiceType": "1", "invoiceLine": "pc",
            "invoiceDetail": [{
                "goodsName": goods_name, "goodsCode": self._goods_code, "num": "1", "price": price, "withTaxFlag": "1",
                "taxRate": self._tax_rate, "taxIncludedAmount": price,
            }],
        }
        answer = self._call(REQUEST, {"order": order})
        if answer.body.get("code") == "E0000":
            result = answer.body.get("result")
            serial = result.get("invoiceSerialNum") if isinstance(result, dict) else None
            if not isinstance(serial, str) or not serial:
                raise GatewayError(f"invoice of {order_no}: no serial in the answer", permanent=False)
            return serial
        # The platform refuses an order number it already has: an earlier request whose answer was lost. Look it up
        # whatever the code, for its codes differ by product.
        known = self._rows({"orderNos": [order_no], "isOfferInvoiceDetail": "0"}, key="orderNo", value=order_no)
        if known and known[0].get("serialNo"):
            return str(known[0]["serialNo"])
        raise self._refusal(answer)

    def fetch(self, serial: str) -> InvoiceResult:
        """How the invoice stands, with its PDF once issued. Raises `GatewayError`; permanent for an unknown serial."""
        rows = self._rows({"serialNos": [serial], "isOfferInvoiceDetail": "0"}, key="serialNo", value=serial)
        if not rows:
            raise GatewayError(f"invoice {serial} is not known to the platform", permanent=True)
        row = rows[0]
        status = str(row.get("status", ""))
        if status in FAILED:
            return InvoiceResult("failed", "", None, str(row.get("failCause") or row.get("statusMsg") or ""))
        if status not in DONE or not row.get("pdfUrl"):
            return InvoiceResult("issuing", "", None, "")
        number = str(row.get("allElectronicInvoiceNumber") or row.get("invoiceNo") or "")
        return InvoiceResult("issued", number, self._pdf(str(row["pdfUrl"])), "")

    def _pdf(self, url: str) -> bytes:
        if urlsplit(url).scheme not in ("https", urlsplit(self._url).scheme):
            raise GatewayError("invoice: the address of the PDF is not a web address", permanent=True)
        data = download(url, timeout=self._timeout)
        if not data.startswith(b"%PDF-"):
            raise GatewayError("invoice: what came is no PDF", permanent=False)
        return data

    def _rows(self, content: dict[str, Any], *, key: str, value: str) -> list[dict[str, Any]]:
        answer = self._call(QUERY, content)
        if answer.body.get("code") == "E9500":  # nothing found
            return []
        if answer.body.get("code") != "E0000":
            raise self._refusal(answer)
        result = answer.body.get("result")
        rows = result if isinstance(result, list) else []
        return [row for row in rows if isinstance(row, dict) and row.get(key) == value]

    def _call(self, method: str, content: dict[str, Any]) -> Answer:
        body = encode(content)
        senid, nonce = uuid.uuid4().hex, str(10_000_000 + secrets.randbelow(90_000_000))
        timestamp = str(int(time.time()))
        query = urlencode({"senid": senid, "nonce": nonce, "timestamp": timestamp, "appkey": self._app_key})
        sign = signature(self._app_secret, urlsplit(self._url).path, self._app_key, senid, nonce, timestamp, body)
        headers = {
            "Content-Type": "application/json;charset=UTF-8", "X-Nuonuo-Sign": sign, "accessToken": self._access_token,
            "userTax": self._seller, "method": method,
        }
        return call_json("POST", f"{self._url}?{query}", body=body, headers=headers, timeout=self._timeout)

    @staticmethod
    def _refusal(answer: Answer) -> GatewayError:
        code = str(answer.body.get("code", ""))
        permanent = code != "" and not code.startswith(PASSING_PREFIXES)
        return GatewayError(f"invoice platform: {code}: {answer.reason}", permanent=permanent, code=code)
