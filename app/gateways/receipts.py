"""What can be had without a tax platform: a receipt (收据), and never an invoice.

It speaks to nobody: number and paper follow from the request, so every call gives the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.gateways.invoice import Bill, InvoiceResult, RedLetter, yuan

# Draws the paper from its values; given by the application, for a gateway knows no templates.
Draw = Callable[[Mapping[str, Any]], bytes]


class LocalReceiptGateway:
    """Draws a 收据 for a payment and a 退款收据 for a refund."""

    name = "local"

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def request(self, bill: Bill) -> str:
        return f"SJ{bill.order_no}"

    def fetch(self, serial: str, bill: Bill) -> InvoiceResult:
        return self._paper(serial, bill, bill.amount_fen, "收据")

    def request_red(self, letter: RedLetter) -> str:
        return f"SJ{letter.bill_id}"

    def fetch_red(self, serial: str, letter: RedLetter) -> InvoiceResult:
        return self._paper(serial, letter.blue, -letter.amount_fen, "退款收据", f"冲减收据 {letter.blue_number}")

    def _paper(self, number: str, bill: Bill, fen: int, title: str, about: str = "") -> InvoiceResult:
        pdf = self._draw({
            "title": title, "about": about, "number": number, "payer": bill.buyer_name, "payer_code": bill.buyer_tax_number,
            "payee": bill.seller.name, "goods": bill.goods_name, "amount_fen": fen, "amount": yuan(fen), **bill.facts})
        return InvoiceResult("issued", number, files={"pdf": pdf})
