"""The merchants the stand-in payment gateway knows: the agreed one, and those that are opened by control. Each has keys of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from standins.keys import draw_pair
from standins.rsa import Signer
from standins.state import State


@dataclass(frozen=True)
class House:
    """One merchant: its application, the account that is paid, and who signs and verifies for it."""

    app_id: str
    seller_id: str
    signer: Signer


class Merchants:
    def __init__(self, state: State, values: Mapping[str, str], keys: Mapping[str, Path]) -> None:
        self._state = state
        self.agreed = House(values["alipay_app_id"], values["alipay_seller_id"],
                            Signer(keys["alipay_private"].read_bytes(), keys["app_public"].read_bytes()))
        self._made: dict[str, House] = {}

    def find(self, app_id: str) -> House | None:
        """The merchant of an application, or None."""
        if app_id == self.agreed.app_id:
            return self.agreed
        kept = self._state.get("merchant", app_id)
        if kept is None:
            return None
        if app_id not in self._made or self._made[app_id].seller_id != kept["seller_id"]:
            self._made[app_id] = House(app_id, kept["seller_id"],
                                       Signer(kept["alipay_private"].encode(), kept["app_public"].encode()))
        return self._made[app_id]

    def of(self, trade: Mapping[str, Any]) -> House:
        """The merchant a trade belongs to."""
        return self.find(trade.get("app_id", "")) or self.agreed

    def open(self, app_id: str, seller_id: str) -> dict[str, str]:
        """Let a merchant in; answers with the keys that its side needs: its own private one and Alipay's public one."""
        app_private, app_public = (key.decode() for key in draw_pair())
        alipay_private, alipay_public = (key.decode() for key in draw_pair())
        self._made.pop(app_id, None)
        self._state.put("merchant", app_id, {"app_id": app_id, "seller_id": seller_id, "app_public": app_public,
                                             "alipay_private": alipay_private})
        return {"app_id": app_id, "seller_id": seller_id, "private_key": app_private, "alipay_key": alipay_public}
