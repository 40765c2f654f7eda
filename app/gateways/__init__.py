"""The outside world: one client per outside system, made from the settings. Plain values in and out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.gateways.errors import AlreadyPaid, GatewayError, MissingObject
from app.gateways.exam import ExamGateway
from app.gateways.invoice import InvoiceGateway, NuonuoInvoiceGateway
from app.gateways.ministry import MinistryGateway
from app.gateways.nuonuo import TokenStore
from app.gateways.ocr import LicenceReader
from app.gateways.payment import Alipay
from app.gateways.receipts import Draw, LocalReceiptGateway
from app.gateways.sms import AliyunSmsGateway
from app.gateways.storage import Storage
from app.gateways.timestamps import TimestampGateway

__all__ = ["AlreadyPaid", "GatewayError", "GatewaySettings", "Gateways", "MissingObject", "build"]


class GatewaySettings(Protocol):
    """What `build` reads; `config.Settings` has all of it."""

    @property
    def alipay_gateway_url(self) -> str: ...
    @property
    def sms_endpoint(self) -> str: ...
    @property
    def sms_access_key_id(self) -> str: ...
    @property
    def sms_access_key_secret(self) -> str: ...
    @property
    def sms_sign_name(self) -> str: ...
    @property
    def invoice_url(self) -> str: ...
    @property
    def invoice_app_key(self) -> str: ...
    @property
    def invoice_app_secret(self) -> str: ...
    @property
    def invoice_token_url(self) -> str: ...
    @property
    def invoice_provider(self) -> str: ...
    @property
    def exam_url(self) -> str: ...
    @property
    def exam_token(self) -> str: ...
    @property
    def ministry_url(self) -> str: ...
    @property
    def ministry_token(self) -> str: ...
    @property
    def signing_timestamp_url(self) -> str: ...
    @property
    def storage_url(self) -> str: ...
    @property
    def ocr(self) -> str: ...


@dataclass(frozen=True)
class Gateways:
    """The clients, made once and shared by all threads of a process."""

    payment: Alipay
    sms: AliyunSmsGateway
    # What issues invoices here, and what draws receipts where nothing does (INVOICE_PROVIDER).
    invoice: InvoiceGateway
    receipts: LocalReceiptGateway
    exam: ExamGateway
    ministry: MinistryGateway
    # What vouches for the time of a signature; None where nothing does (SIGNING_TIMESTAMP_URL=none).
    timestamps: TimestampGateway | None
    storage: Storage
    reader: LicenceReader


def build(settings: GatewaySettings, draw_receipt: Draw, invoice_tokens: TokenStore) -> Gateways:
    """Make all clients. Opens nothing and imports no SDK: each connects at its first use."""
    s = settings
    receipts = LocalReceiptGateway(draw_receipt)
    nuonuo = NuonuoInvoiceGateway(s.invoice_url, s.invoice_token_url, s.invoice_app_key, s.invoice_app_secret, tokens=invoice_tokens)
    return Gateways(
        payment=Alipay(s.alipay_gateway_url),
        sms=AliyunSmsGateway(s.sms_endpoint, s.sms_access_key_id, s.sms_access_key_secret, s.sms_sign_name),
        invoice=receipts if s.invoice_provider == "local" else nuonuo,
        receipts=receipts,
        exam=ExamGateway(s.exam_url, s.exam_token),
        ministry=MinistryGateway(s.ministry_url, s.ministry_token),
        timestamps=None if s.signing_timestamp_url == "none" else TimestampGateway(s.signing_timestamp_url),
        storage=Storage(s.storage_url),
        reader=LicenceReader(s.ocr),
    )
