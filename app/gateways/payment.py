"""Payment through Alipay's page pay (`alipay.trade.page.pay`), by python-alipay-sdk 3.4.

The rules come from Alipay's open platform: RSA2 signatures on both sides, amounts as text with two decimals, times as naive
text in Asia/Shanghai. Amounts here are integer fen and times aware UTC. What the SDK gets wrong is put right in `_client`.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.gateways.bills import BillLine, read_bill
from app.gateways.errors import AlreadyPaid, GatewayError
from app.gateways.web import TIMEOUT_S, download

SHANGHAI = ZoneInfo("Asia/Shanghai")
STATUSES = {"WAIT_BUYER_PAY": "waiting", "TRADE_SUCCESS": "paid", "TRADE_CLOSED": "closed", "TRADE_FINISHED": "finished"}
# Alipay's own trouble and what the operator can mend; every other business error is a refusal of this request.
PASSING = {
    "ACQ.SYSTEM_ERROR", "aop.ACQ.SYSTEM_ERROR", "isp.unknow-error", "aop.unknow-error",
    "ACQ.SELLER_BALANCE_NOT_ENOUGH", "ACQ.REASON_TRADE_BEEN_FREEZEN", "ACQ.REQUEST_AMOUNT_EXCEED",
}
STATE_MOVED_ON = {"ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID", "ACQ.REASON_ILLEGAL_STATUS"}


@dataclass(frozen=True)
class Trade:
    """A trade as Alipay knows it. `status`: waiting, paid, closed (unpaid and timed out, or fully refunded), finished.

    `paid_at` tells the two kinds of closed apart: it is None for a trade that was never paid.
    """

    order_no: str
    trade_no: str
    status: str
    amount_fen: int
    paid_at: datetime | None


@dataclass(frozen=True)
class Notification:
    """What a genuine notification says. The amount is as read: whether it is the right one is the receiver's to compare."""

    order_no: str
    trade_no: str
    amount_fen: int
    status: str
    paid_at: datetime | None
    notify_id: str


def yuan(amount_fen: int) -> str:
    """Fen as Alipay's text: 12345 -> "123.45"."""
    if amount_fen <= 0:
        raise ValueError(f"an amount of {amount_fen} fen cannot be paid")
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


def fen(text: str) -> int:
    """Alipay's text as fen: "123.45" -> 12345. Raises ValueError for anything else than at most two decimals."""
    match = re.fullmatch(r"([0-9]{1,12})(?:\.([0-9]{1,2}))?", text)
    if match is None:
        raise ValueError(f"not an amount: {text[:40]!r}")
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))


def _moment(text: str | None) -> datetime | None:
    """Alipay's naive Shanghai time as an aware UTC moment."""
    if not text:
        return None
    return datetime.strptime(text[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI).astimezone(UTC)


def _shanghai(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("a naive time cannot be sent to Alipay")
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def _client(gateway_url: str, app_id: str, private_key: str, public_key: str, timeout: float) -> Any:
    """The SDK's client with its known faults mended. Imported here: the SDK costs a tenth of a second at start."""
    from alipay import AliPay

    class Client(AliPay):  # type: ignore[misc]  # the SDK has no types
        def build_body(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            # The SDK writes the machine's local time; Alipay reads it as Shanghai time.
            body: dict[str, Any] = super().build_body(*args, **kwargs)
            body["timestamp"] = _shanghai(datetime.now(UTC))
            return body

        def _get_string_to_be_signed(self, raw_string: str, response_type: str) -> str:
            # The SDK counts braces, also those inside texts; a subject with one brace made every answer unverifiable.
            start = raw_string.index("{", raw_string.index(f'"{response_type}"'))
            return raw_string[start : json.JSONDecoder().raw_decode(raw_string, start)[1]]

        def verified_sync_response(self, data: dict[str, Any], response_type: str) -> Any:
            # The SDK leaves the connection open when an answer breaks off, and follows redirects.
            raw = download(f"{self._gateway}?{self.sign_data(data)}", timeout=timeout)
            return self._verify_and_return_sync_response(raw.decode(), response_type)

    client = Client(
        appid=app_id, app_private_key_string=private_key, alipay_public_key_string=public_key,
        sign_type="RSA2",
    )
    # The SDK only knows the real gateway and the sandbox; this attribute is where it keeps the address.
    client._gateway = gateway_url
    return client


def as_private_key(text: str) -> str:
    """An RSA private key as PEM: as a PEM, or as the bare base64 that Alipay's key tool gives. Raises ValueError."""
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    for label in ("PRIVATE KEY", "RSA PRIVATE KEY"):
        try:
            key = forms.load_pem_private_key(_pem(text, label), None)
        except (ValueError, TypeError):
            continue
        if isinstance(key, RSAPrivateKey):
            return key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.TraditionalOpenSSL, forms.NoEncryption()).decode()
    raise ValueError("no RSA private key")


def as_public_key(text: str) -> str:
    """Alipay's RSA public key as PEM, from a PEM or bare base64. Raises ValueError."""
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    key = forms.load_pem_public_key(_pem(text, "PUBLIC KEY"))
    if not isinstance(key, RSAPublicKey):
        raise ValueError("no RSA public key")
    return key.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo).decode()


def _pem(text: str, label: str) -> bytes:
    text = text.strip()
    if text.startswith("-----"):
        return text.encode()
    return f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n".encode()


class Alipay:
    """Alipay at one address: the clients of its merchants, each made once."""

    def __init__(self, gateway_url: str) -> None:
        self._gateway_url = gateway_url
        self._lock = threading.Lock()
        self._made: dict[str, tuple[tuple[str, str, str], AlipayGateway]] = {}

    def of(self, app_id: str, seller_id: str, private_key_pem: str, alipay_public_key_pem: str) -> AlipayGateway:
        """The client of a merchant; another one once its keys have been replaced."""
        keys = (seller_id, private_key_pem, alipay_public_key_pem)
        with self._lock:
            made = self._made.get(app_id)
            if made is None or made[0] != keys:
                made = self._made[app_id] = (keys, AlipayGateway(self._gateway_url, app_id, *keys))
            return made[1]


class AlipayGateway:
    """Page pay of one merchant. Safe to share between threads."""

    def __init__(
        self,
        gateway_url: str,
        app_id: str,
        seller_id: str,
        private_key_pem: str,
        alipay_public_key_pem: str,
        *,
        timeout: float = TIMEOUT_S,
    ) -> None:
        self.app_id = app_id
        self.seller_id = seller_id
        self._gateway_url = gateway_url
        self._keys = (private_key_pem, alipay_public_key_pem)
        self._timeout = timeout
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def _sdk(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = _client(self._gateway_url, self.app_id, *self._keys, self._timeout)
            return self._made

    def pay_url(
        self, order_no: str, amount_fen: int, subject: str, expires_at: datetime, return_url: str, notify_url: str
    ) -> str:
        """The address of Alipay's pay page for this order. Makes no request: the trade exists once the buyer opens it.

        `expires_at` (aware) goes out as an absolute `time_expire`; a relative one would start anew at each opening (E16).
        """
        signed: str = self._sdk.api_alipay_trade_page_pay(
            subject=re.sub(r"[/=&\s]+", " ", subject).strip()[:128],  # Alipay refuses these characters in a subject
            out_trade_no=order_no,
            total_amount=yuan(amount_fen),
            return_url=return_url,
            notify_url=notify_url,
            time_expire=_shanghai(expires_at),
        )
        return f"{self._gateway_url}?{signed}"

    def read_notification(self, form: Mapping[str, str]) -> Notification | None:
        """The content of a posted notification, or None if it is not Alipay's word about a trade of this merchant.

        None: signature missing, malformed or wrong, another app or seller, or fields that cannot be read. The form must
        be flat text and keep its empty values (they are signed too). Order and amount are the caller's to compare.
        """
        data = {str(key): str(value) for key, value in form.items()}  # the SDK's verify() empties what it is given
        signature = data.pop("sign", "")
        if not signature or data.get("sign_type") != "RSA2":
            return None
        try:
            # Malformed base64 and unencodable text raise ValueError in the SDK instead of answering False.
            if not self._sdk.verify(dict(data), signature):
                return None
            if data.get("app_id") != self.app_id or data.get("seller_id") != self.seller_id:
                return None
            return Notification(
                order_no=data["out_trade_no"], trade_no=data["trade_no"], amount_fen=fen(data["total_amount"]),
                status=STATUSES[data["trade_status"]], paid_at=_moment(data.get("gmt_payment")),
                notify_id=data["notify_id"],
            )
        except (ValueError, KeyError):
            return None

    def query(self, order_no: str) -> Trade | None:
        """What Alipay knows of the order; None if the buyer never opened the pay page. Raises `GatewayError`."""
        answer = self._call("alipay.trade.query", out_trade_no=order_no)
        if answer.get("sub_code") == "ACQ.TRADE_NOT_EXIST":
            return None
        self._demand_success(answer)
        try:
            if answer["out_trade_no"] != order_no:
                raise ValueError(f"answer about another order {answer['out_trade_no']!r}")
            return Trade(
                order_no=order_no, trade_no=answer["trade_no"], status=STATUSES[answer["trade_status"]],
                amount_fen=fen(str(answer["total_amount"])), paid_at=_moment(answer.get("send_pay_date")),
            )
        except (ValueError, KeyError) as error:
            raise GatewayError(f"query of {order_no}: unreadable answer: {error!r}", permanent=False) from error

    def close(self, order_no: str) -> None:
        """Close an unpaid trade, so that it can no longer be paid. Closing it twice, or one that never began, is no error.

        Raises `AlreadyPaid` when the buyer was faster, `GatewayError` otherwise. A trade that never began can still be
        begun from an open pay page until its `time_expire`: close only after that moment, or query again.
        """
        answer = self._call("alipay.trade.close", out_trade_no=order_no)
        if answer.get("sub_code") == "ACQ.TRADE_NOT_EXIST":
            return
        if answer.get("sub_code") in STATE_MOVED_ON:
            trade = self.query(order_no)
            if trade is not None and (trade.status in ("paid", "finished") or trade.paid_at is not None):
                raise AlreadyPaid(f"{order_no} has been paid")
            if trade is not None and trade.status == "closed":
                return
        self._demand_success(answer)

    def refund(self, order_no: str, amount_fen: int, request_no: str, reason: str, *, trade_no: str = "") -> None:
        """Pay money back. Idempotent by `request_no`: sent again with the same number it moves no further money.

        With `trade_no` only that very trade is refunded: never the money of another trade under the same order number.
        Returns once Alipay confirms the refund; raises `GatewayError` otherwise (passing: send it again).
        """
        named = {"out_trade_no": order_no} | ({"trade_no": trade_no} if trade_no else {})
        answer = self._call(
            "alipay.trade.refund", **named, refund_amount=yuan(amount_fen), out_request_no=request_no,
            refund_reason=reason[:256],
        )
        self._demand_success(answer)
        # Where no money moved in this call either an earlier call of the same number did it, or it is not done.
        if answer.get("fund_change") != "Y" and not self.refunded(order_no, amount_fen, request_no, trade_no=trade_no):
            raise GatewayError(f"refund {request_no} of {order_no} is not done yet", permanent=False)

    def refunded(self, order_no: str, amount_fen: int, request_no: str, *, trade_no: str = "") -> bool:
        """Whether the refund of this number has moved its money. False also where the gateway knows no such trade or refund.

        Raises `GatewayError` when it cannot be told now, or when another amount went back under this number (permanent).
        """
        named = {"out_trade_no": order_no} | ({"trade_no": trade_no} if trade_no else {})
        answer = self._call("alipay.trade.fastpay.refund.query", **named, out_request_no=request_no)
        if answer.get("sub_code") in ("ACQ.TRADE_NOT_EXIST", "TRADE_NOT_EXIST"):
            return False
        self._demand_success(answer)
        if answer.get("refund_status") != "REFUND_SUCCESS":
            return False
        if fen(str(answer.get("refund_amount", "0"))) != amount_fen:
            raise GatewayError(f"refund {request_no} of {order_no} was of another amount", permanent=True)
        return True

    def bill(self, day: date) -> list[BillLine] | None:
        """The bill of a Shanghai day, there from the next morning on; None where Alipay has none, as for a day without movements.

        Raises `GatewayError`, passing, also for a file that is cut.
        """
        answer = self._call("alipay.data.dataservice.bill.downloadurl.query", bill_type="trade", bill_date=day.isoformat())
        if answer.get("sub_code") in ("isp.bill_not_exist", "BILL_NOT_EXIST"):
            return None
        self._demand_success(answer)
        try:
            # The address carries a secret of its own and dies after thirty seconds: it is used once and kept nowhere.
            return read_bill(download(str(answer["bill_download_url"]), timeout=self._timeout * 6))
        except (ValueError, KeyError) as error:
            raise GatewayError(f"the bill of {day}: {error}", permanent=False) from error

    def _call(self, method: str, **content: str) -> dict[str, Any]:
        """One signed request; the answer's content once its signature is verified. Raises `GatewayError`, passing."""
        from alipay.exceptions import AliPayException, AliPayValidationError

        try:
            answer = self._sdk.server_api(method, content)
        except AliPayValidationError as error:
            raise GatewayError(f"{method}: the answer's signature is wrong", permanent=False) from error
        except AliPayException as error:
            raise GatewayError(f"{method}: refused without a signature: {error}"[:500], permanent=False) from error
        # ValueError: no JSON; AttributeError, TypeError: JSON of another shape, on which the SDK stumbles.
        except (ValueError, AttributeError, TypeError) as error:
            raise GatewayError(f"{method}: {type(error).__name__}: {error}"[:500], permanent=False) from error
        if not isinstance(answer, dict):
            raise GatewayError(f"{method}: the answer is no object", permanent=False)
        return answer

    @staticmethod
    def _demand_success(answer: Mapping[str, Any]) -> None:
        code, sub_code = str(answer.get("code", "")), str(answer.get("sub_code", ""))
        if code == "10000":
            return
        detail = f"Alipay {code} {sub_code}: {answer.get('sub_msg') or answer.get('msg')}"
        # 40004 is a refusal of this business; 20000 trouble at Alipay; 4000x a key or setting for the operator to mend.
        raise GatewayError(detail, permanent=code == "40004" and sub_code not in PASSING, code=sub_code or code)
