"""E-invoices (数电票) and their red letters through the Nuonuo open platform, product 诺税通SaaS.

Methods of `nuonuo.OpeMplatform`: requestBillingNew, queryInvoiceResult, reInvoice, saveInvoiceRedConfirm, queryInvoiceRedConfirm,
refreshInvoiceRedConfirm. Only the tax platform behind Nuonuo issues a legal invoice; nothing here draws one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Protocol
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from app.gateways.errors import GatewayError
from app.gateways.nuonuo import NOT_FOUND, OK, MemoryTokens, NuonuoPlatform, TokenStore, code_of, refusal
from app.gateways.web import TIMEOUT_S, download

SHANGHAI = ZoneInfo("Asia/Shanghai")
PRODUCT = "nuonuo.OpeMplatform."
REQUEST, QUERY, SEAL_AGAIN = PRODUCT + "requestBillingNew", PRODUCT + "queryInvoiceResult", PRODUCT + "reInvoice"
RED_REQUEST, RED_QUERY = PRODUCT + "saveInvoiceRedConfirm", PRODUCT + "queryInvoiceRedConfirm"
RED_REFRESH = PRODUCT + "refreshInvoiceRedConfirm"
ISSUED, FAILED, VOIDED, UNSEALED = "2", "22", "3", "24"
# 红字确认单: confirmed or in no need of it; waiting for the buyer or the seller; refused, run out or withdrawn.
RED_AGREED, RED_ASKED, RED_ENDED = ("01", "04"), ("02", "03"), ("05", "06", "07", "08", "09", "16")
RED_END_WORDS = {"05": "购方否认了红字确认单", "06": "销方否认了红字确认单", "07": "红字确认单超过 72 小时未确认，已作废",
                 "08": "红字确认单已撤销", "09": "红字确认单确认后被撤销", "16": "红字确认单申请失败"}
SERVICE_ENDED = "3"  # redReason 服务中止: the one of a refunded service, and it may be for a part
SELLER_SIDE = "0"
ORDINARY = "pc"  # 电子发票（普通发票）
log = logging.getLogger("portal.invoices")


@dataclass(frozen=True)
class Seller:
    """In whose name an invoice is issued. `extension` is the platform's number of the issuing desk (分机号), where it has one."""

    tax_number: str
    name: str
    extension: str = ""


@dataclass(frozen=True)
class Bill:
    """One invoice as it is asked for. Amounts are fen with tax; `tax_rate` as "0.03"; `goods_code` is the 税收分类编码."""

    order_no: str
    seller: Seller
    buyer_name: str
    buyer_tax_number: str
    amount_fen: int
    goods_name: str
    goods_code: str
    tax_rate: str
    email: str = ""
    buyer_address: str = ""
    buyer_phone: str = ""
    buyer_account: str = ""
    # For a receipt alone: what was paid, when and how.
    facts: Mapping[str, str] = field(default_factory=dict)

    def without_tax(self, fen: int) -> int:
        """The part of so many fen that is not tax, rounded as the tax platform rounds."""
        return int((Decimal(fen) / (1 + Decimal(self.tax_rate))).quantize(Decimal(1), ROUND_HALF_UP))


@dataclass(frozen=True)
class RedLetter:
    """红字: so many fen of an issued invoice are taken back. `before_fen` were taken back by earlier ones."""

    bill_id: str
    blue: Bill
    blue_number: str
    amount_fen: int
    before_fen: int = 0

    @property
    def whole(self) -> bool:
        return self.before_fen == 0 and self.amount_fen == self.blue.amount_fen

    @property
    def without_tax_fen(self) -> int:
        """Cumulative, so that all parts together are exactly what the invoice says."""
        return self.blue.without_tax(self.before_fen + self.amount_fen) - self.blue.without_tax(self.before_fen)


@dataclass(frozen=True)
class InvoiceResult:
    """`state`: issuing, confirming (the buyer must agree to a red letter), issued (then `number` and the PDF are there) or failed
    (then `reason` says why). `files` are by format: pdf, and ofd and xml where the platform gives them."""

    state: str
    number: str = ""
    reason: str = ""
    issued_on: date | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


class InvoiceGateway(Protocol):
    """What issues invoices. Every call may be repeated: it is idempotent by `order_no` or `bill_id`."""

    name: str

    def request(self, bill: Bill) -> str: ...

    def fetch(self, serial: str, bill: Bill) -> InvoiceResult: ...

    def request_red(self, letter: RedLetter) -> str: ...

    def fetch_red(self, serial: str, letter: RedLetter) -> InvoiceResult: ...


def yuan(fen: int) -> str:
    """83000 → 830.00, -5 → -0.05."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"


class NuonuoInvoiceGateway:
    """Requests invoices in the name of a seller that the application is authorised for, and fetches them."""

    name = "nuonuo"

    def __init__(self, url: str, token_url: str, app_key: str, app_secret: str, *, tokens: TokenStore | None = None,
                 clerk: str = "系统", timeout: float = TIMEOUT_S) -> None:
        self._platform = NuonuoPlatform(url, token_url, app_key, app_secret, tokens or MemoryTokens(), timeout)
        self._clerk = clerk
        self._timeout = timeout

    def request(self, bill: Bill) -> str:
        """Ask for one invoice; returns the platform's serial. Where an e-mail address is given, the platform mails the invoice.

        An order number the platform already has is an earlier request whose answer was lost: its serial is looked up, and the
        invoice must be over the same amount. Raises `GatewayError`; permanent when the platform refuses the content.
        """
        answer = self._platform.call(REQUEST, {"order": self._order(bill)}, bill.seller.tax_number)
        if code_of(answer) == OK:
            result = answer.body.get("result")
            serial = result.get("invoiceSerialNum") if isinstance(result, dict) else None
            if not isinstance(serial, str) or not serial:
                raise GatewayError(f"invoice of {bill.order_no}: no serial in the answer", permanent=False)
            return serial
        # Whatever the code, for its codes differ by product.
        known = self._rows({"orderNos": [bill.order_no]}, "orderNo", bill.order_no, bill.seller.tax_number)
        if known and known[0].get("serialNo"):
            _must_be(known[0], bill)
            return str(known[0]["serialNo"])
        raise refusal(answer)

    def _order(self, bill: Bill) -> dict[str, Any]:
        without, price = bill.without_tax(bill.amount_fen), yuan(bill.amount_fen)
        order: dict[str, Any] = {
            "buyerName": bill.buyer_name, "buyerTaxNum": bill.buyer_tax_number, "buyerAddress": bill.buyer_address,
            "buyerTel": bill.buyer_phone, "buyerAccount": bill.buyer_account, "email": bill.email,
            "pushMode": "0" if bill.email else "-1", "salerTaxNum": bill.seller.tax_number, "orderNo": bill.order_no,
            "clerk": self._clerk, "invoiceDate": datetime.now(UTC).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S"),
            "invoiceType": "1", "invoiceLine": ORDINARY,
            "invoiceDetail": [{
                "goodsName": bill.goods_name, "goodsCode": bill.goods_code, "num": "1", "price": price, "withTaxFlag": "1",
                "taxRate": bill.tax_rate, "taxIncludedAmount": price, "taxExcludedAmount": yuan(without),
                "tax": yuan(bill.amount_fen - without),
            }],
        }
        return order | ({"extensionNumber": bill.seller.extension} if bill.seller.extension else {})

    def fetch(self, serial: str, bill: Bill) -> InvoiceResult:
        """How the invoice stands, with its files once issued. Raises `GatewayError`; permanent for an unknown serial."""
        rows = self._rows({"serialNos": [serial]}, "serialNo", serial, bill.seller.tax_number)
        if not rows:
            raise GatewayError(f"invoice {serial} is not known to the platform", permanent=True)
        _must_be(rows[0], bill)
        return self._result(rows[0], bill.seller.tax_number)

    def _result(self, row: dict[str, Any], tax_number: str) -> InvoiceResult:
        status = str(row.get("status", ""))
        if status == FAILED:
            return InvoiceResult("failed", reason=str(row.get("failCause") or row.get("statusMsg") or ""))
        if status == VOIDED:
            return InvoiceResult("failed", reason="发票已在开票平台作废")
        if status == UNSEALED:
            # The invoice exists and only its file is not signed: a new request would make a second one.
            again = {"fpqqlsh": str(row.get("serialNo") or ""), "orderno": str(row.get("orderNo") or "")}
            self._platform.call(SEAL_AGAIN, again, tax_number)
            return InvoiceResult("issuing")
        number = str(row.get("allElectronicInvoiceNumber") or row.get("invoiceNo") or "")
        if status != ISSUED or not row.get("pdfUrl") or not number:
            return InvoiceResult("issuing")
        return InvoiceResult("issued", number, issued_on=_day(row.get("invoiceTime")), files=self._files(row))

    def _files(self, row: dict[str, Any]) -> dict[str, bytes]:
        files = {"pdf": self._file(str(row["pdfUrl"]), b"%PDF-")}
        for kind, start in (("ofd", b"PK\x03\x04"), ("xml", b"<")):
            if row.get(f"{kind}Url"):
                try:
                    files[kind] = self._file(str(row[f"{kind}Url"]), start)
                except GatewayError as error:  # a copy that cannot be had must not undo an issued invoice
                    log.warning("no %s of an invoice: %s", kind, error)
        return files

    def _file(self, url: str, start: bytes) -> bytes:
        if urlsplit(url).scheme not in ("https", urlsplit(self._platform.url).scheme):
            raise GatewayError("invoice: the address of its file is not a web address", permanent=True)
        data = download(url, timeout=self._timeout)
        if not data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(start):
            raise GatewayError("invoice: what came is not the file that was asked for", permanent=False)
        return data

    def _rows(self, content: dict[str, Any], key: str, value: str, tax_number: str) -> list[dict[str, Any]]:
        answer = self._platform.call(QUERY, {**content, "isOfferInvoiceDetail": "0"}, tax_number)
        if code_of(answer) == NOT_FOUND:
            return []
        if code_of(answer) != OK:
            raise refusal(answer)
        result = answer.body.get("result")
        return [row for row in result if isinstance(row, dict) and row.get(key) == value] if isinstance(result, list) else []

    def request_red(self, letter: RedLetter) -> str:
        """Apply for the red letter (红字确认单) as the seller; returns the number it was asked for under.

        Of a part only the amounts of its line go out, of the whole none. The platform issues the red invoice by itself once nobody
        has to agree any more. Raises `GatewayError`; permanent when the platform refuses.
        """
        blue = letter.blue
        content: dict[str, Any] = {
            "billId": letter.bill_id, "blueInvoiceLine": ORDINARY, "applySource": SELLER_SIDE,
            "blueElecInvoiceNumber": letter.blue_number, "sellerTaxNo": blue.seller.tax_number, "sellerName": blue.seller.name,
            "buyerName": blue.buyer_name, "buyerTaxNo": blue.buyer_tax_number, "redReason": SERVICE_ENDED, "email": blue.email,
        }
        if blue.seller.extension:
            content["extensionNumber"] = blue.seller.extension
        if not letter.whole:
            without = letter.without_tax_fen
            content["detail"] = [{"blueDetailIndex": "1", "goodsName": blue.goods_name, "goodsCode": blue.goods_code,
                                  "taxRate": blue.tax_rate, "taxExcludedAmount": yuan(-without),
                                  "taxAmount": yuan(without - letter.amount_fen)}]
        answer = self._platform.call(RED_REQUEST, content, blue.seller.tax_number)
        if code_of(answer) != OK and self._form(letter) is None:  # it may be refused because it is there already
            raise refusal(answer)
        return letter.bill_id

    def fetch_red(self, serial: str, letter: RedLetter) -> InvoiceResult:
        """How the red letter stands. Raises `GatewayError`; permanent for one the platform does not know."""
        seller = letter.blue.seller.tax_number
        form = self._form(letter)
        if form is not None and str(form.get("billStatus")) in RED_ASKED and form.get("billUuid"):
            # Whoever agrees does so at the tax bureau: the platform fetches the news when asked to.
            self._platform.call(RED_REFRESH, {"identity": SELLER_SIDE, "billUuid": form["billUuid"]}, seller)
            form = self._form(letter)
        if form is None:
            raise GatewayError(f"red letter {serial} is not known to the platform", permanent=True)
        status = str(form.get("billStatus") or "")
        if status in RED_ENDED:
            return InvoiceResult("failed", reason=str(form.get("billMessage") or RED_END_WORDS[status]))
        if status in RED_ASKED:
            return InvoiceResult("confirming")
        if status not in RED_AGREED or not form.get("invoiceSerialNum"):
            return InvoiceResult("issuing")
        number = str(form["invoiceSerialNum"])
        rows = self._rows({"serialNos": [number]}, "serialNo", number, seller)
        return self._result(rows[0], seller) if rows else InvoiceResult("issuing")

    def _form(self, letter: RedLetter) -> dict[str, Any] | None:
        answer = self._platform.call(RED_QUERY, {"identity": SELLER_SIDE, "billId": letter.bill_id}, letter.blue.seller.tax_number)
        if code_of(answer) == NOT_FOUND:
            return None
        if code_of(answer) != OK:
            raise refusal(answer)
        result = answer.body.get("result")
        forms = result.get("list") if isinstance(result, dict) else None
        found = [form for form in forms or [] if isinstance(form, dict) and form.get("billId") == letter.bill_id]
        if not found:
            return None
        if str(found[0].get("blueElecInvoiceNumber") or letter.blue_number) != letter.blue_number:
            raise GatewayError(f"red letter {letter.bill_id} is about another invoice", permanent=True)
        return found[0]


def _must_be(row: dict[str, Any], bill: Bill) -> None:
    """The platform's invoice is over our amount; a red one's is negative. Where it names none there is nothing to compare."""
    try:
        amount = Decimal(str(row.get("orderAmount") or "")).copy_abs()
    except InvalidOperation:
        return
    if amount != Decimal(bill.amount_fen) / 100:
        raise GatewayError(f"开票平台上订单 {bill.order_no} 的金额是 {amount}，与本平台的 {yuan(bill.amount_fen)} 不符", permanent=True)


def _day(milliseconds: object) -> date | None:
    text = str(milliseconds or "")
    return datetime.fromtimestamp(int(text) / 1000, UTC).astimezone(SHANGHAI).date() if text.isdigit() else None
