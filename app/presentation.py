"""How values look to a person: template filters, and plain words for HTTP errors."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from flask import Flask
from flask_babel import gettext as _
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from app import clock
from app.identifiers import mask_id_number, mask_name, mask_phone
from app.workflow import REVIEW, REVIEW_LABELS, REVIEW_TONES


def moment(value: datetime | None, empty: str = "—") -> str:
    """2026-11-24 09:30, Shanghai time."""
    return value.astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M") if value else empty


def day(value: date | datetime | None, empty: str = "—") -> str:
    """2026-11-24, the Shanghai day."""
    if isinstance(value, datetime):
        value = value.astimezone(clock.SHANGHAI).date()
    return value.isoformat() if value else empty


def yuan(fen: int | None) -> str:
    """83000 fen → ¥830.00."""
    return "—" if fen is None else f"¥{fen // 100:,}.{fen % 100:02d}"


def points(tenths: int | None) -> str:
    """Tenths of a point → 85 or 85.5."""
    if tenths is None:
        return "—"
    return str(tenths // 10) if tenths % 10 == 0 else f"{tenths / 10:.1f}"


def iso(value: datetime) -> str:
    """For scripts and <time> elements."""
    return value.isoformat()


def review_label(state: str) -> Any:
    """The word for a review state (C8, C9)."""
    return REVIEW_LABELS[state]


def review_tone(state: str) -> str:
    return REVIEW_TONES[state]


def step_label(name: str) -> Any:
    return REVIEW[name].label


def explain(error: HTTPException | None) -> str:
    """What happened and what to do, for an HTTP error."""
    code = error.code if error is not None else 500
    texts = {
        400: _("请求不完整或已过期。请返回上一页，刷新后再试。"),
        403: _("您的帐号没有这项权限。如需开通，请联系管理员。"),
        404: _("没有找到这个页面或记录，或您无权查看。"),
        405: _("不能这样打开这个地址。请从菜单进入。"),
        413: _("上传的文件太大。请压缩或分批上传，每次不超过 64 MB。"),
        429: _("操作太频繁，请稍等几分钟再试。"),
    }
    return texts.get(code or 500, _("系统出了点问题，已记录下来。请稍后再试；若一直如此，请联系管理员。"))


def init_app(app: Flask) -> None:
    """Make the filters known to every template."""
    app.jinja_env.filters.update(
        moment=moment, day=day, yuan=yuan, points=points, iso=iso, review_label=review_label, review_tone=review_tone,
        step_label=step_label, mask_id_number=mask_id_number, mask_phone=mask_phone, mask_name=mask_name)
    app.jinja_env.globals.update(now=clock.now, Markup=Markup)
