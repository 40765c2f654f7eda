"""How values look to a person: template filters, and plain words for HTTP errors."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

from flask import Flask
from flask_babel import force_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from app import clock
from app.identifiers import mask_id_number, mask_name, mask_phone
from app.workflow import REVIEW, REVIEW_LABELS, REVIEW_TONES
from models import TrainingPlan

# What the portal itself writes into rows, labels and reasons, is kept in the language of its messages and translated for who reads it.
KEPT_IN = "zh_Hans_CN"


def kept(words: Any) -> str:
    """A lazy message as it is kept in a row, whoever's page it was written on. `retold` is its other half."""
    with force_locale(KEPT_IN):
        return str(words)


def retold(text: str) -> str:
    """Kept words in the reader's language; what a person wrote stays as it is. One number in them may vary: such messages name it `n`."""
    known = _translated(text) if text else text
    number = re.search(r"\d+", text) if known == text else None
    if number is not None:
        return _translated(text.replace(number[0], "%(n)s", 1)).replace("%(n)s", number[0])
    return known


# What stands in rows as it is, and is said in the reader's language by `retold`.
KEPT = (_l("男"), _l("女"))


def _translated(text: str) -> str:
    """Under a name of its own, so that it is not taken for a message to translate."""
    return str(_(text))


def moment(value: datetime | None, empty: str = "—") -> str:
    """2026-11-24 09:30, Shanghai time."""
    return value.astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M") if value else empty


def clock_time(value: datetime) -> str:
    """09:30, Shanghai time, with its day where that is not today; the seconds are rounded up."""
    local = (value + timedelta(seconds=59)).astimezone(clock.SHANGHAI)
    return f"{local:%H:%M}" if local.date() == clock.shanghai_day() else f"{local:%m-%d %H:%M}"


def day(value: date | datetime | None, empty: str = "—") -> str:
    """2026-11-24, the Shanghai day."""
    if isinstance(value, datetime):
        value = value.astimezone(clock.SHANGHAI).date()
    return value.isoformat() if value else empty


def yuan(fen: int | None) -> str:
    """83000 fen → ¥830.00."""
    if fen is None:
        return "—"
    return f"{'-' if fen < 0 else ''}¥{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def points(tenths: int | None) -> str:
    """Tenths of a point → 85 or 85.5."""
    if tenths is None:
        return "—"
    return str(tenths // 10) if tenths % 10 == 0 else f"{tenths / 10:.1f}"


def iso(value: datetime) -> str:
    """For scripts and <time> elements."""
    return value.isoformat()


def review_label(state: str) -> Any:
    """The word for a review state (C8, C9), or of an approved plan that was called off."""
    return _("已取消") if state == "cancelled" else REVIEW_LABELS[state]


def review_tone(state: str) -> str:
    return "bad" if state == "cancelled" else REVIEW_TONES[state]


def step_label(name: str) -> Any:
    return REVIEW[name].label


def window_words(plan: TrainingPlan, left: int | None = None) -> tuple[str, str]:
    """Where the enrolment window of an approved plan stands at this second, with its tone: 3 天后开放, 今天 17:00 截止, 已截止.
    It opens and closes by the clock alone (J4); the words follow `enrolling` and `enrolment_ended`. `left` is how many seats are
    there for the reader, where that is known better than by the plan's own count."""
    if plan.cancelled_at is not None:
        return _("计划已取消"), "bad"
    if plan.enrolment_ended:
        return _("已截止"), "neutral"
    if not plan.enrolling:
        return _coming(plan.enrolment_opens_at, (_("今天 %(time)s 开放"), _("明天 %(time)s 开放"), _("%(n)s 天后开放"))), "neutral"
    if not (plan.seats_left if left is None else left):
        return _("名额已满"), "warn"
    closing = _coming(plan.enrolment_closes_at, (_("今天 %(time)s 截止"), _("明天 %(time)s 截止"), _("%(n)s 天后截止")))
    return closing, "warn" if _days_until(plan.enrolment_closes_at) <= 1 else "info"


def _days_until(at: datetime) -> int:
    return (clock.shanghai_day(at) - clock.shanghai_day()).days


def _coming(at: datetime, words: tuple[str, str, str]) -> str:
    """One of the three, by the Shanghai days until then."""
    days = _days_until(at)
    return words[min(days, 2)] % {"time": f"{at.astimezone(clock.SHANGHAI):%H:%M}", "n": days}


def seat_words(plan: TrainingPlan, left: int | None = None) -> str:
    """剩余 12 / 60 个名额; of a plan that was called off none is left or taken."""
    if plan.cancelled_at is not None:
        return _("共 %(total)s 个名额", total=plan.seats)
    left = plan.seats_left if left is None else left
    if not left:
        return _("%(total)s 个名额已满", total=plan.seats)
    return _("剩余 %(left)s / %(total)s 个名额", left=left, total=plan.seats)


def span(seconds: int) -> str:
    """How long, as one would say it: 40 秒, 12 分钟, 3 小时; never less than it is."""
    if seconds < 60:
        return _("%(n)s 秒", n=seconds)
    return _("%(n)s 分钟", n=-(-seconds // 60)) if seconds <= 3600 else _("%(n)s 小时", n=-(-seconds // 3600))


def explain(error: HTTPException | None) -> str:
    """What happened and what to do, for an HTTP error. One that says how long it lasts (`retry_after`) is said with that."""
    code = error.code if error is not None else 500
    wait = getattr(error, "retry_after", None)
    if code == 429 and isinstance(wait, int):
        return _("操作太频繁，请在 %(span)s后（%(at)s 起）再试。", span=span(wait), at=clock_time(clock.now() + timedelta(seconds=wait)))
    texts = {
        400: _("请求不完整或已过期。请返回上一页，刷新后再试。"),
        403: _("您的帐号没有这项权限。如需开通，请联系管理员。"),
        404: _("没有找到这个页面或记录，或您无权查看。"),
        405: _("不能这样打开这个地址。请从菜单进入。"),
        413: _("上传的文件太大。请压缩或分批上传，每次不超过 64 MB。"),
        429: _("操作太频繁，请稍等几分钟再试。"),
        503: _("系统正在恢复，暂时不能处理。刚才的操作可能没有完成：请过半分钟刷新页面，看清结果后再决定是否重做。"),
    }
    return texts.get(code or 500, _("系统出了点问题，已记录下来。请稍后再试；若一直如此，请联系管理员。"))


def init_app(app: Flask) -> None:
    """Make the filters known to every template."""
    app.jinja_env.filters.update(
        moment=moment, day=day, yuan=yuan, points=points, iso=iso, review_label=review_label, review_tone=review_tone,
        step_label=step_label, mask_id_number=mask_id_number, mask_phone=mask_phone, mask_name=mask_name,
        window_words=window_words, seat_words=seat_words, retold=retold)
    app.jinja_env.globals.update(now=lambda: clock.now(), Markup=Markup)  # a test may move the clock
