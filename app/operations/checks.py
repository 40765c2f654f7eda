"""What parties type and bring, checked with the person in mind: every fault at its field, all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flask_babel import gettext as _

from app.documents.faults import PictureFault
from app.documents.pictures import clean_jpeg
from app.errors import Invalid, InvalidFields
from app.identifiers import IdentifierError, parse_uscc
from app.operations.photo_words import picture_reason

Value = TypeVar("Value")
# E2: at most 2 MB; a shorter side below this many pixels cannot be read.
MOST_BYTES = 2 * 1024 * 1024
LEAST_SIDE = 300


class Findings:
    """Messages by form field. Try every check, then `settle`."""

    def __init__(self) -> None:
        self.messages: dict[str, object] = {}

    def tried(self, check: Callable[[], Value]) -> Value | None:
        """The value of a check, or None with its message kept."""
        try:
            return check()
        except Invalid as error:
            self.add(error.field or "", error.message)
            return None

    def add(self, field: str, message: object) -> None:
        """Keep a message; the first one of a field stays."""
        self.messages.setdefault(field, message)

    def __contains__(self, field: str) -> bool:
        return field in self.messages

    def settle(self) -> None:
        """Raise `InvalidFields` with all that was found, if anything was."""
        if self.messages:
            raise InvalidFields(self.messages, _("有 %(n)s 处需要修改，见标红的栏目。", n=len(self.messages)))


def checked_uscc(text: str, field: str = "uscc") -> str:
    """A social credit code as typed, or `Invalid` saying what is wrong with it (FACTS 2.1)."""
    try:
        return parse_uscc(text)
    except IdentifierError as error:
        messages = {
            "length": _("社会信用代码应为 18 位，请检查是否漏字、多字或夹有空格。"),
            "charset": _("社会信用代码只含半角数字和大写字母，且没有 I、O、S、V、Z，请检查是否把 1 写成 I、0 写成 O。"),
            "form": _("社会信用代码的格式不对，请对照营业执照核对。"),
            "check": _("社会信用代码校验不通过，请对照营业执照逐位核对。"),
        }
        raise Invalid(messages[error.code], field) from None


def checked_photo(title: str, data: bytes, field: str) -> bytes:
    """The re-encoded JPEG of a photographed paper (E2), or `Invalid` that says which paper, what is wrong, what to do."""
    try:
        return clean_jpeg(data, max_bytes=MOST_BYTES, min_side=LEAST_SIDE).data
    except PictureFault as fault:
        raise Invalid(_("%(title)s：%(reason)s", title=title, reason=picture_reason(fault.code, fault.message_args)), field) from None
