"""What can go wrong and be told to a person. The message is theirs: in their language, with what to do next."""

from __future__ import annotations


class PortalError(Exception):
    """Base of all errors whose message may be shown."""

    status = 400

    def __init__(self, message: object) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return str(self.message)


class Invalid(PortalError):
    """The input breaks a rule. `field` names the form field it belongs to, where there is one."""

    def __init__(self, message: object, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidFields(PortalError):
    """Several rules broken at once, each at its field: {field name: message}. Nested rows are named ``days-0-topic``."""

    def __init__(self, fields: dict[str, object], message: object) -> None:
        super().__init__(message)
        self.fields = fields


class NotFound(PortalError):
    """No such row for this person: it does not exist or is not theirs, and the answer does not say which."""

    status = 404


class Forbidden(PortalError):
    """The row is theirs to see, the act is not theirs to do."""

    status = 403


class Unavailable(PortalError):
    """Something the portal needs is away for a while; nothing has been done."""

    status = 503


class Conflict(PortalError):
    """The state has moved on: someone was faster, or the moment has passed."""

    status = 409


class NoSeats(Conflict):
    """The plan has too few seats left: there is a line to stand in."""
