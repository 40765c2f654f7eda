"""What the forms of several pages share: their fields, their files, and how they answer the page's script."""

from __future__ import annotations

from typing import Any

from flask import jsonify, request
from flask_babel import lazy_gettext as _l
from wtforms import DateField, DateTimeLocalField, DecimalField, IntegerField, PasswordField, StringField
from wtforms.validators import DataRequired, InputRequired, Length

from app.operations.checks import MOST_BYTES
from views.base import said, wants_json

# Blanks alone are not an answer.
REQUIRED = DataRequired(_l("此项必填。"))


def _tidy(text: Any) -> Any:
    """One line without blanks around it. Signs that no keyboard makes (line ends, NUL) are refused at the field."""
    if isinstance(text, str):
        text = text.strip()
        if any(not sign.isprintable() and sign != "\u3000" for sign in text):
            raise ValueError(_l("含有不能识别的字符，请重新输入。"))
    return text


def line(label: Any, most: int, *, required: bool = True, **attributes: str) -> Any:
    """A field for one line of text of at most `most` characters; `attributes` are those of its <input>."""
    length = Length(max=most, message=_l("不能超过 %(max)d 个字符。"))
    return StringField(label, validators=[*([REQUIRED] if required else []), length], filters=[_tidy], render_kw=attributes)


def phone_line(label: Any, *, required: bool = True) -> Any:
    """A field for a mobile number."""
    return line(label, 20, required=required, inputmode="tel", autocomplete="tel")


def code_line(*, required: bool = True) -> Any:
    """A field for a code that came by SMS."""
    return line(_l("验证码"), 10, required=required, inputmode="numeric", autocomplete="one-time-code")


def new_password(label: Any, message: Any) -> Any:
    """A field for a password to be set. Blanks in it are the person's own."""
    return PasswordField(label, validators=[InputRequired(message), Length(max=128, message=_l("不能超过 %(max)d 个字符。"))],
                         render_kw={"autocomplete": "new-password"})


def chosen_file(name: str) -> tuple[str, bytes]:
    """The name of an uploaded file and its bytes, at most one more than are allowed; both empty when none was chosen."""
    file = request.files.get(name)
    return (file.filename or "", file.read(MOST_BYTES + 1)) if file else ("", b"")


def answer_sent(message: str) -> Any:
    """A code was asked for: tell the page's script, or (None) let the caller draw its form again with the message."""
    if wants_json():
        return jsonify(message=message)
    said(message)
    return None


def spoken(kind: type[Any], message: Any) -> type[Any]:
    """A field class that says `message` when what was typed is no number or date, in place of the library's own words."""

    class Spoken(kind):  # type: ignore[misc]
        def process_formdata(self, valuelist: list[str]) -> None:
            try:
                super().process_formdata(valuelist)
            except ValueError:
                raise ValueError(message) from None

    return Spoken


Amount = spoken(DecimalField, _l("请填写金额，如 830 或 830.50。"))
Whole = spoken(IntegerField, _l("请填写整数。"))
Day = spoken(DateField, _l("请填写有效的日期。"))
Moment = spoken(DateTimeLocalField, _l("请填写有效的日期和时间。"))
