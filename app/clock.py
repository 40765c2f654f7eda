"""The one source of "now". Everything that compares with the time asks here, so that a test can move it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def shanghai_day(moment: datetime | None = None) -> date:
    """The calendar day in Shanghai, on which "the day after" of every rule counts (E17)."""
    return (moment or now()).astimezone(SHANGHAI).date()


def at_shanghai(day: date, hour: int = 0, minute: int = 0) -> datetime:
    """That time of day in Shanghai, as an aware UTC moment."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=SHANGHAI).astimezone(UTC)
