"""iCalendar (RFC 5545): a calendar as the phones and desktops of others read it.

Moments carry TZID=Asia/Shanghai, whose VTIMEZONE is in the file; a span without hours is a whole day. The package writes the
escapes, the line ends, and the folding at 75 octets that leaves characters whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from icalendar import Calendar, Event, Timezone, TimezoneStandard, vDuration

CONTENT_TYPE = "text/calendar; charset=utf-8"
# How often a reader need look again.
REFRESH = timedelta(hours=4)


@dataclass(frozen=True)
class Happening:
    """One event. `uid` never changes for the same thing, `revision` only rises; `status` is CONFIRMED, TENTATIVE or
    CANCELLED. Without moments it is the whole `day`;
    moments are aware, in Shanghai."""

    uid: str
    day: date
    summary: str
    description: str
    place: str
    url: str
    category: str
    status: str
    revision: int
    changed_at: datetime
    starts_at: datetime | None = None
    ends_at: datetime | None = None


def calendar(name: str, about: str, happenings: Iterable[Happening]) -> bytes:
    """The file. The same happenings make the same bytes, so that an ETag can stand for it."""
    root = Calendar()
    root.add("prodid", "-//Construction training portal//Calendar//ZH")
    root.add("version", "2.0")
    root.add("calscale", "GREGORIAN")
    for key in ("name", "x-wr-calname"):
        root.add(key, name)
    for key in ("description", "x-wr-caldesc"):
        root.add(key, about)
    root.add("x-wr-timezone", "Asia/Shanghai")
    root.add("refresh-interval", vDuration(REFRESH), parameters={"VALUE": "DURATION"})
    root.add("x-published-ttl", vDuration(REFRESH))
    root.add_component(_shanghai())
    for each in happenings:
        root.add_component(_event(each))
    written: bytes = root.to_ical()
    return written


def _shanghai() -> Timezone:
    """UTC+8 without summer time, as it has been since 1991; a feed holds no earlier day."""
    standard = TimezoneStandard()
    standard.add("dtstart", datetime(1992, 1, 1))
    standard.add("tzoffsetfrom", timedelta(hours=8))
    standard.add("tzoffsetto", timedelta(hours=8))
    standard.add("tzname", "CST")
    zone = Timezone()
    zone.add("tzid", "Asia/Shanghai")
    zone.add_component(standard)
    return zone


def _event(happening: Happening) -> Event:
    event = Event()
    changed = happening.changed_at.astimezone(UTC).replace(microsecond=0)
    begins: Any = happening.starts_at or happening.day
    ends: Any = happening.ends_at or happening.day + timedelta(days=1)
    for key, value in (
        ("uid", happening.uid), ("dtstamp", changed), ("last-modified", changed), ("sequence", happening.revision),
        ("dtstart", begins), ("dtend", ends), ("summary", happening.summary), ("description", happening.description),
        ("location", happening.place), ("url", happening.url), ("categories", [happening.category]),
        ("status", happening.status),
    ):
        event.add(key, value)
    return event
