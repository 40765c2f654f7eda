"""The rules of a filing, each told at its field (I2): asked all at once when it is submitted, never while it is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, select

from app import clock
from app.errors import Invalid
from app.extensions import db
from app.operations.checks import Findings, checked_uscc
from app.operations.phone_codes import checked_phone
from app.operations.teachers import lacks_of
from models import Filing, Institution

MOST_CAPACITY = 2000
ROOM_KINDS = {"classroom": _l("教室"), "exam": _l("考场"), "practice": _l("实训场地")}
SHORT_NAME = re.compile("[\u4e00-\u9fff]{1,5}")


def checked_short_name(text: str) -> str:
    """At most five Chinese characters: every plan's name begins with it (I6). Raises `Invalid`."""
    if not SHORT_NAME.fullmatch(text):
        raise Invalid(_("中文简称为 1 至 5 个汉字，将用于培训计划名称。"), "short_name")
    return text


def taken(values: dict[str, str], institution_id: int | None) -> dict[str, str]:
    """Which of name, short name and code another institution has, or has submitted: a message by field."""
    labels = {"name": _("名称"), "short_name": _("简称"), "uscc": _("社会信用代码")}
    found = {}
    for field, text in values.items():
        others: list[tuple[Any, ColumnElement[bool]]] = [
            (Institution.id, getattr(Institution, field) == text), (Filing.institution_id, getattr(Filing, field) == text)]
        for key, same in others:
            if db.session.scalars(select(key).where(same, key != (institution_id or 0))).first():
                found[field] = _("这个%(label)s已被其他培训机构使用。", label=labels[field])
    return found


def findings(row: Institution, filing: Filing) -> Findings:
    """Everything that stands between a filing and its submission. Fields of rooms are named ``rooms-0-capacity``."""
    found = Findings()
    _check_unit(row, filing, found)
    _check_licence(filing, found)
    _check_rooms(filing.typed.get("rooms", []), found)
    teachers = [each for each in row.teachers if each.enabled]
    if not teachers:
        found.add("teachers", _("请至少登记一名授课老师。"))
    for each in teachers:
        if lacks := lacks_of(each):
            found.add(f"teacher-{each.id}", _("老师 %(name)s 还缺：%(lacks)s。", name=each.name, lacks="、".join(lacks)))
    return found


def _check_unit(row: Institution, filing: Filing, found: Findings) -> None:
    typed = filing.typed
    for field, message in (("name", _("请填写机构名称。")), ("address", _("请填写单位地址。")),
                           ("legal_representative", _("请填写法定代表人。")), ("contact_name", _("请填写联系人。"))):
        if not typed.get(field):
            found.add(field, message)
    for field, check in (("short_name", checked_short_name), ("uscc", checked_uscc)):
        text = str(typed.get(field, ""))
        found.tried(_checking(check, text))
    if not filing.contact_phone:
        found.add("contact_phone", _("请填写联系电话。"))
    else:
        found.tried(_checking(lambda text: checked_phone(text, "contact_phone"), filing.contact_phone))
    unique = {field: str(typed[field]) for field in ("name", "short_name", "uscc") if typed.get(field) and field not in found}
    if "uscc" in unique:
        unique["uscc"] = unique["uscc"].upper()
    for field, message in taken(unique, row.id).items():
        found.add(field, message)


def _checking(check: Callable[[str], str], text: str) -> Callable[[], str]:
    return lambda: check(text)


def day_of(text: object) -> date | None:
    """A day as typed, or None."""
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        return None


def _check_licence(filing: Filing, found: Findings) -> None:
    typed, today = filing.typed, clock.shanghai_day()
    if filing.licence_id is None:
        found.add("licence", _("请上传营业执照。"))
    if filing.commitment_id is None:
        found.add("commitment", _("请上传承诺书。"))
    start = day_of(typed.get("licence_from", ""))
    if start is None:
        found.add("licence_from", _("请填写营业执照的有效期起始日期。"))
    elif start > today:
        found.add("licence_from", _("有效期起始日期不能晚于今天。"))
    if typed.get("licence_forever"):
        if typed.get("licence_until"):
            found.add("licence_until", _("已勾选长期。有截止日期的请取消勾选，没有的请清空日期。"))
        return
    end = day_of(typed.get("licence_until", ""))
    if end is None:
        found.add("licence_until", _("请填写有效期截止日期；没有截止日期的，请勾选长期。"))
    elif start is not None and end <= start:
        found.add("licence_until", _("截止日期应晚于起始日期。"))
    elif end < today:
        found.add("licence_until", _("营业执照已过期，请换领新照后再提交。"))


def place_of(field: str, filing: Filing) -> str:
    """Which room a message is about, to be said where it stands in a list; empty for the other fields."""
    match = re.fullmatch(r"rooms-(\d+)-\w+", field)
    rooms = filing.typed.get("rooms", [])
    if match is None or int(match[1]) >= len(rooms):
        return ""
    return _("教室与考场第 %(n)s 处：", n=int(match[1]) + 1)


def _check_rooms(rooms: list[dict[str, str]], found: Findings) -> None:
    if not any(each.get("name") for each in rooms):
        found.add("rooms-0-name" if rooms else "rooms", _("请至少登记一间教室或考场。"))
        return
    seen: set[str] = set()
    for index, each in enumerate(rooms):
        if not each.get("name"):
            found.add(f"rooms-{index}-name", _("请填写名称，或删除这一行。"))
        elif each["name"] in seen:
            found.add(f"rooms-{index}-name", _("名称与前面的重复，请加以区分，如“101 教室”。"))
        seen.add(each.get("name", ""))
        if not each.get("address"):
            found.add(f"rooms-{index}-address", _("请填写地址。"))
        if capacity_of(each) is None:
            found.add(f"rooms-{index}-capacity", _("可容纳人数应为 1 到 %(most)s 的整数。", most=MOST_CAPACITY))
        if each.get("kind") not in ROOM_KINDS:
            found.add(f"rooms-{index}-kind", _("请选择用途。"))


def capacity_of(room: dict[str, str]) -> int | None:
    """How many a room holds, as typed; None where that is no number it could be."""
    text = room.get("capacity", "")
    good = re.fullmatch("[0-9]{1,6}", text, re.ASCII) and 1 <= int(text) <= MOST_CAPACITY
    return int(text) if good else None
