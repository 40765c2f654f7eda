"""The paper of a receipt, from the plain values of the gateway that draws receipts where no tax platform is connected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.documents.amounts import amount_in_figures, amount_in_words
from app.documents.papers import render

NOTES = {False: "本收据仅为收款凭证，不是发票，不得用于税前扣除。", True: "本退款收据仅为退款凭证，不是发票，不得用于税前扣除。"}


def draw(values: Mapping[str, Any]) -> bytes:
    """One PDF, 收据 or (with a negative `amount_fen`) 退款收据."""
    fen = int(values["amount_fen"])
    back = fen < 0
    amount = f"{'-' if back else ''}{amount_in_figures(abs(fen))}"
    name = f"{values['goods']}（{values['about']}）" if values.get("about") else str(values["goods"])
    return render("receipt", {
        "title": values["title"], "note": NOTES[back], "number": values["number"], "payer": values["payer"],
        "payer_code": values["payer_code"], "order_no": values.get("order_no", ""), "method": values.get("method", ""),
        "trade_no": values.get("trade_no", ""), "paid_at": values.get("paid_at", ""), "payee": values["payee"],
        "issued_on": values.get("issued_on", ""), "amount": amount,
        "amount_in_words": ("（负数）" if back else "") + amount_in_words(abs(fen)),
        "items": [{"name": name, "quantity": values.get("people", "1"), "price": values.get("price") or amount, "amount": amount}]})
