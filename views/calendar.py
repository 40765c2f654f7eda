"""日程: a month or a week of classes and exams, and the private address of the same for calendars of others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from flask import Response, abort, current_app, make_response, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app import clock
from app.actors import Actor
from app.documents import ics
from app.extensions import limiter
from app.operations import calendar, feeds
from app.operations.calendar import Day, Entry, Narrowing
from app.operations.plan_checks import SESSIONS
from app.presentation import review_label
from app.security import narrowed
from config import VERSION
from views.base import PortalView, page, public_page, said

# Of a busy day: how many a cell of the month shows, and how many the week lists.
IN_CELL, IN_LIST = 3, 200
WEEKDAYS = (_l("周一"), _l("周二"), _l("周三"), _l("周四"), _l("周五"), _l("周六"), _l("周日"))
# Readers ask every few hours, but many people may share one address of the network.
ASKED = limiter.limit("60 per minute; 3000 per day")


@dataclass(frozen=True)
class Span:
    """What a page shows: `day` lies in it, `first` to `last` are drawn."""

    view: str
    day: date
    first: date
    last: date
    back: date
    forward: date

    @property
    def title(self) -> str:
        if self.view == "month":
            return _("%(year)s 年 %(month)s 月", year=self.day.year, month=self.day.month)
        return _("%(first)s 至 %(last)s", first=self.first.isoformat(), last=self.last.isoformat())

    def outside(self, day: date) -> bool:
        """A day of the neighbouring month, drawn to fill the week."""
        return self.view == "month" and day.month != self.day.month


def _asked_day() -> date:
    """The day of the address, or today where it is none that a calendar of ours could hold."""
    try:
        day = date.fromisoformat(request.args.get("date", ""))
    except ValueError:
        return clock.shanghai_day()
    return day if 2000 <= day.year <= 2100 else clock.shanghai_day()


def _span() -> Span:
    day = _asked_day()
    if request.args.get("view") == "week":
        first = day - timedelta(days=day.weekday())
        return Span("week", day, first, first + timedelta(days=6), first - timedelta(days=7), first + timedelta(days=7))
    start = day.replace(day=1)
    forward = (start + timedelta(days=32)).replace(day=1)
    end = forward - timedelta(days=1)
    first, last = start - timedelta(days=start.weekday()), end + timedelta(days=6 - end.weekday())
    return Span("month", day, first, last, (start - timedelta(days=1)).replace(day=1), forward)


def _narrowing() -> Narrowing:
    institution = request.args.get("institution", "")
    return Narrowing(region if (region := request.args.get("region", "")).isdigit() and len(region) == 6 else "",
                     int(institution) if institution.isdigit() and len(institution) < 19 else None)


def _kept(narrowing: Narrowing) -> dict[str, Any]:
    """The same narrowing in an address."""
    given = {"region": narrowing.region_code, "institution": narrowing.institution_id}
    return {key: value for key, value in given.items() if value}


def _address(entry: Entry, actor: Actor, *, full: bool = False) -> str:
    """Where a class or an exam is shown to this party."""
    is_class = entry.kind == "class"
    if actor.is_institution:
        path = url_for("PlanView.show", plan_id=entry.subject_id) if is_class else url_for("ExamView.show", exam_id=entry.subject_id)
    elif actor.is_enterprise:
        path = (url_for("EnrolView.plan", plan_id=entry.subject_id) if is_class
                else url_for("EnrolledView.list", plan=entry.plan_name))
    else:
        path = url_for("PlanReviewView.show" if is_class else "ExamReviewView.show", subject_id=entry.subject_id)
    return f"{current_app.extensions['settings'].public_url.rstrip('/')}{path}" if full else path


def _time(entry: Entry) -> str:
    """上午, or 09:30–11:30; of an exam over several days what of it is on this day."""
    if entry.starts_at is None or entry.ends_at is None:
        return str(SESSIONS[entry.session])
    starts, ends = (moment.astimezone(clock.SHANGHAI) for moment in (entry.starts_at, entry.ends_at))
    begin = f"{starts:%H:%M}" if starts.date() == entry.day else "00:00"
    return f"{begin}–{ends:%H:%M}" if ends.date() == entry.day else f"{begin}–24:00"


class CalendarView(PortalView):
    """Classes and exams of what this person may see, and their own private address of it."""

    route_base = "/calendar"
    default_view = "show"

    @page("/", "show")
    def show(self) -> Any:
        span, narrowing = _span(), _narrowing()
        days = calendar.agenda(span.first, span.last, narrowing, most=IN_CELL if span.view == "month" else IN_LIST, actor=self.actor)
        regions, institutions = calendar.choices(narrowing.region_code, actor=self.actor)
        return self.page(
            "portal/calendar/show.html", title=_("日程"), span=span, weeks=list(_weeks(days)), weekdays=WEEKDAYS,
            today=clock.shanghai_day(),
            any_shown=any(each.total for each in days if not span.outside(each.day)), narrowing=narrowing, regions=regions,
            institutions=institutions, feed=feeds.own(actor=self.actor), time_of=_time,
            kept=_kept(narrowing), address_of=lambda entry: _address(entry, self.actor),
            url=lambda view, day: self._url(view, day, narrowing))

    def _url(self, view: str, day: date, narrowing: Narrowing) -> str:
        return url_for("CalendarView.show", view=view, date=day.isoformat(), **_kept(narrowing))

    @page("/address", "subscribe", ("POST",))
    def make_address(self) -> Any:
        """The address is told on this page only; loading it again makes another."""
        token = feeds.make(actor=self.actor)
        path = url_for("CalendarFeedView.feed", token=token)
        query = f"?{urlencode(kept)}" if (kept := _kept(_narrowing())) else ""
        answer = make_response(self.page("portal/calendar/address.html", title=_("日程订阅地址"), narrowed=bool(query),
                                         address=f"{current_app.extensions['settings'].public_url.rstrip('/')}{path}{query}"))
        answer.headers["Cache-Control"] = "private, no-store"
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer

    @page("/address/off", "subscribe", ("POST",))
    def switch_off(self) -> Any:
        feeds.switch_off(actor=self.actor)
        said(_("订阅地址已停用。已订阅的日历不会再更新，可以在手机或电脑上删除。"))
        return self.to("show")


def _weeks(days: list[Day]) -> Iterator[list[Day]]:
    for start in range(0, len(days), 7):
        yield days[start:start + 7]


class CalendarFeedView(PortalView):
    """The calendar for who knows its private address, without signing in."""

    route_base = "/calendar"
    default_view = "feed"

    @public_page("/<string:token>.ics")
    @ASKED
    def feed(self, token: str) -> Any:
        reader = feeds.reader(token)
        granted = current_app.extensions["appbuilder"].sm.granted_to(reader.user_id) if reader else {}
        if reader is None or ("can_show", "CalendarView") not in granted:
            abort(404)
        reader = narrowed(reader, granted)
        entries, cut = calendar.feed_entries(_narrowing(), actor=reader)
        about = _("培训和考核日程：过去 30 天和今后 180 天。")
        if cut:
            about += _("内容太多，只包含时间最近的部分。")
        name = _("%(organisation)s 培训日程", organisation=reader.organisation) if reader.organisation else _("培训日程")
        # What is in it, not its bytes: a reader that has it already costs two statements and no writing.
        etag = sha256(repr((VERSION, name, about, reader.party, entries)).encode()).hexdigest()
        known = etag in request.if_none_match
        answer = Response(status=304) if known else Response(
            ics.calendar(name, about, (_happening(entry, reader) for entry in entries)), content_type=ics.CONTENT_TYPE)
        answer.headers["X-Robots-Tag"] = "noindex, nofollow"
        answer.headers["Cache-Control"] = "private, max-age=900"
        answer.headers["Content-Disposition"] = 'inline; filename="calendar.ics"'
        answer.set_etag(etag)
        return answer


def _happening(entry: Entry, reader: Actor) -> ics.Happening:
    host = current_app.extensions["settings"].public_url.split("//")[-1].split("/")[0].split(":")[0]
    status = {"approved": "CONFIRMED", "cancelled": "CANCELLED"}.get(entry.state, "TENTATIVE")
    name = entry.title if entry.state == "approved" else _("%(name)s（%(state)s）", name=entry.title, state=review_label(entry.state))
    told = [(_("培训机构"), entry.institution), (_("培训计划"), entry.plan_name)]
    starts, ends = entry.starts_at, entry.ends_at
    if entry.kind == "class":
        summary = _("培训：%(name)s %(topic)s", name=name, topic=entry.topic)
        told += [(_("培训内容"), entry.topic), (_("时段"), SESSIONS[entry.session])]
        if entry.session in calendar.HOURS:
            begin, end = calendar.HOURS[entry.session]
            starts, ends = clock.at_shanghai(entry.day, begin), clock.at_shanghai(entry.day, end)
            told.append((_("说明"), _("日历中的钟点仅表示时段，具体时间以培训机构通知为准。")))
    else:
        summary = _("考核：%(name)s", name=name)
    return ics.Happening(
        uid=f"{entry.kind}-{entry.id}@{host}", day=entry.day, summary=summary, place=entry.place, status=status,
        description="\n".join(f"{label}：{value}" for label, value in told), url=_address(entry, reader, full=True),
        category=_("培训") if entry.kind == "class" else _("考核"), revision=entry.revision, changed_at=entry.changed_at,
        starts_at=starts.astimezone(clock.SHANGHAI) if starts else None, ends_at=ends.astimezone(clock.SHANGHAI) if ends else None)
