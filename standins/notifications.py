"""Alipay's notifications: signed, posted in the background, repeated by Alipay's rule until the answer is `success`."""

from __future__ import annotations

import json
import secrets
import threading
from typing import Any

import requests

from standins.merchants import Merchants
from standins.state import State, shanghai_text
from standins.trades import yuan

# 4 min, 10 min, 10 min, 1 h, 2 h, 6 h, 15 h after one another; scaled by the control setting `notify_scale`.
RETRY_AFTER_S = (240, 600, 600, 3600, 7200, 21600, 54000)
TIMEOUT_S = 15.0


class Notifier:
    """Sends what is due. Pending notifications are in the state and go on after a restart."""

    def __init__(self, state: State, merchants: Merchants) -> None:
        self._state = state
        self._merchants = merchants
        self._woken = threading.Event()
        self._busy: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="alipay-notifier", daemon=True)
        self._thread.start()

    def form(self, trade: dict[str, Any], fields: dict[str, str], tamper: dict[str, str]) -> dict[str, str]:
        """A signed notification of the trade; `fields` are put in before signing, `tamper` after it."""
        amount, house = yuan(trade["amount_fen"]), self._merchants.of(trade)
        plain = {
            "gmt_create": trade["gmt_create"], "charset": "utf-8", "gmt_payment": trade["gmt_payment"],
            "notify_time": shanghai_text(self._state.now()), "subject": trade["subject"], "buyer_id": "2088000000000002",
            "invoice_amount": amount, "version": "1.0", "notify_id": secrets.token_hex(17),
            "fund_bill_list": json.dumps([{"amount": amount, "fundChannel": "ALIPAYACCOUNT"}], separators=(",", ":")),
            "notify_type": "trade_status_sync", "out_trade_no": trade["order_no"], "total_amount": amount,
            "trade_status": trade["status"], "trade_no": trade["trade_no"], "auth_app_id": house.app_id,
            "receipt_amount": amount, "point_amount": "0.00", "app_id": house.app_id, "buyer_pay_amount": amount,
            "sign_type": "RSA2", "seller_id": house.seller_id,
        }
        if not trade["gmt_payment"]:
            del plain["gmt_payment"]
        return {**house.signer.signed({**plain, **fields}, with_type=False), **tamper}

    def queue(self, trade: dict[str, Any]) -> str:
        """Notify of the trade as the control settings say; returns the id of the pending notification, or ""."""
        settings = self._state.settings("alipay")
        if not trade["notify_url"] or settings.get("notify", "on") == "off":
            return ""
        form = self.form(trade, {}, {})
        due = self._state.now().timestamp() + float(settings.get("notify_delay_s", 0))
        self._state.put("notification", form["notify_id"], {
            "id": form["notify_id"], "order_no": trade["order_no"], "url": trade["notify_url"], "form": form,
            "due": due, "sent": 0, "state": "pending", "answers": [],
        })
        self._woken.set()
        return form["notify_id"]

    def post(self, url: str, form: dict[str, str]) -> str:
        """Send once; the answer's text, or what went wrong in angle brackets."""
        try:
            # Straight to the portal: a proxy of the environment is not for addresses of this machine.
            with requests.Session() as session:
                session.trust_env = False
                answer = session.post(url, data=form, timeout=TIMEOUT_S, allow_redirects=False)
            return answer.text.strip()[:200] if answer.status_code == 200 else f"<HTTP {answer.status_code}>"
        except requests.RequestException as error:
            return f"<{type(error).__name__}>"

    def wait(self, notification_id: str, seconds: float) -> None:
        """Wait until the notification was sent once, but no longer than so many seconds."""
        for _ in range(int(seconds / 0.05)):
            pending = self._state.get("notification", notification_id)
            if pending is None or pending["sent"] or self._state.closing.is_set():
                return
            self._state.sleep(0.05)

    def _run(self) -> None:
        while not self._state.closing.is_set():
            self._woken.clear()
            now = self._state.now().timestamp()
            for pending in self._state.all("notification"):
                if pending["state"] == "pending" and pending["due"] <= now and pending["id"] not in self._busy:
                    self._busy.add(pending["id"])
                    threading.Thread(target=self._send, args=(pending,), daemon=True).start()
            self._woken.wait(0.2)

    def _send(self, pending: dict[str, Any]) -> None:
        try:
            answer = self.post(pending["url"], pending["form"])
            if self._state.closing.is_set():
                return
            sent = pending["sent"] + 1
            scale = float(self._state.settings("alipay").get("notify_scale", 0.02))
            again = "pending" if sent <= len(RETRY_AFTER_S) else "given up"
            state = "delivered" if answer == "success" else again
            wait = RETRY_AFTER_S[sent - 1] * scale if state == "pending" else 0
            self._state.put("notification", pending["id"], pending | {
                "sent": sent, "state": state, "due": self._state.now().timestamp() + wait,
                "answers": [*pending["answers"], answer],
            })
        finally:
            self._busy.discard(pending["id"])
