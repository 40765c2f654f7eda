"""What a gateway raises when the outside world did not do as asked."""

from __future__ import annotations


class GatewayError(Exception):
    """An outside system failed or refused.

    `permanent` says that this very request will be refused again however often it is sent; anything else (the network, a
    server error, a limit, a wrong key that the operator can mend) is passing, and the same request may be tried later.
    `detail` is for the log and the operator. `code` is the other side's own code, where it gave one, or the HTTP status; `words` is what
    the other side said in its own words, fit to be shown to a person.
    """

    def __init__(self, detail: str, permanent: bool, code: str = "", words: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.permanent = permanent
        self.code = code
        self.words = words


class AlreadyPaid(GatewayError):
    """The trade cannot be closed: the buyer has paid in the meantime. Ask `query` and honour the payment."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, permanent=True, code="ACQ.TRADE_STATUS_ERROR")


class MissingObject(GatewayError):
    """The storage has no object of that key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no stored object {key}", permanent=True, code="not-found")
