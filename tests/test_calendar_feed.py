"""The private address of a calendar: who gets one, what it tells to whom, when it dies, and that every reader can parse it."""

from __future__ import annotations

import logging
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask_appbuilder.security.sqla.models import User
from icalendar import Calendar
from sqlalchemy import event, select, update

from app import clock as portal_clock
from app import workflow
from app.extensions import db, transaction
from app.operations import calendar, institutions
from models import AuditEvent, CalendarFeed, Enrolment, TrainingPlan
from tests.test_calendar import ENTERPRISE, OTHER, held, on

PASSWORD = "Demo2026!"


def soon(days: int = 3) -> date:
    return portal_clock.shanghai_day() + timedelta(days=days)


def subscribe(client: Any, query: str = "") -> str:
    """The address as the page tells it, as a path."""
    page = client.post(f"/calendar/address{query}")
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "private, no-store"
    found = re.search(r'<code id="private-address">http://portal\.test([^<]+)</code>', page.text)
    assert found, page.text
    return found.group(1).replace("&amp;", "&")


def events(client: Any, address: str) -> dict[str, Any]:
    """The events of a feed by their summary, parsed back."""
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.content_type == "text/calendar; charset=utf-8"
    return {str(each["SUMMARY"]): each for each in Calendar.from_ical(answer.data).walk("VEVENT")}


def names(client: Any, address: str) -> str:
    return " ".join(events(client, address))


def test_a_person_makes_an_address_and_anyone_who_has_it_reads_the_calendar(login: Any, make: Any, client: Any) -> None:
    plan = on(make.plan(), (soon(), "morning"))
    person = login("hjp")
    assert "目前没有订阅地址" in person.get("/calendar/").text
    address = subscribe(person)
    token = address.removeprefix("/calendar/").removesuffix(".ics")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token), "256 bits"
    found = events(client, address)
    assert list(found) == [f"培训：{plan.name} 第1课"]
    page = person.get("/calendar/").text
    assert "订阅地址已于" in page
    assert token not in page, "it is told once"


def test_a_feed_is_an_icalendar_that_readers_take(login: Any, make: Any, client: Any) -> None:
    plan = on(make.plan(), (soon(), "morning"), (soon(), "all"))
    with transaction():
        plan.place = "基地；一号楼, 三层\\东; " + "很长的地址" * 20
    exam = held(make.exam(), soon(10), 9, 2.5)
    answer = client.get(subscribe(login("hjp")))
    text = answer.data.decode()
    assert "\n" not in text.replace("\r\n", ""), "lines end with CRLF"
    assert max(len(line) for line in answer.data.split(b"\r\n")) <= 75
    assert all(line.decode() is not None for line in answer.data.split(b"\r\n")), "no character is cut by the folding"
    parsed = Calendar.from_ical(answer.data)
    assert not parsed.errors
    assert "METHOD" not in parsed, "with a method each event would need an organizer, and DTSTAMP would be the moment of asking"
    assert [str(zone["TZID"]) for zone in parsed.walk("VTIMEZONE")] == ["Asia/Shanghai"]
    found = {str(each["UID"]): each for each in parsed.walk("VEVENT")}
    assert len(found) == 5, "two classes of this plan, the exam and the two classes before it"
    morning, whole, sat = (next(each for each in found.values() if text in each["SUMMARY"])
                           for text in (f"{plan.name} 第1课", f"{plan.name} 第2课", exam.name))
    assert morning["DTSTART"].params["TZID"] == "Asia/Shanghai"
    assert morning["DTSTART"].dt.hour == 9
    assert str(morning["LOCATION"]) == plan.place, "commas, semicolons and backslashes come back as they were"
    assert "上午" in morning["DESCRIPTION"]
    assert "\n" in morning["DESCRIPTION"]
    assert (whole["DTSTART"].dt, whole["DTEND"].dt) == (soon(), soon(4))
    assert sat["DTSTART"].dt == exam.starts_at
    assert sat["DTEND"].dt == exam.ends_at
    assert sat["DTSTART"].params["TZID"] == "Asia/Shanghai"
    for each in found.values():
        assert each["DTSTAMP"].dt.tzinfo == UTC or each["DTSTAMP"].dt.utcoffset() == timedelta(0)
        assert each["STATUS"] == "CONFIRMED"
        assert each["SEQUENCE"] == 3
        assert str(each["URL"]).startswith("http://portal.test/")
    assert re.search(r"DTSTART;TZID=Asia/Shanghai:\d{8}T090000\r\n", text)


def test_uids_stay_and_the_sequence_rises(login: Any, make: Any, client: Any) -> None:
    plan = on(make.plan("draft"), (soon(), "all"))
    person = login("hjp")
    address = subscribe(person)
    before = next(iter(events(client, address).values()))
    assert before["STATUS"] == "TENTATIVE"
    assert "未上报" in before["SUMMARY"]
    workflow.take_step(db.session.get_one(TrainingPlan, plan.id), "submit", actor=make.actor("hjp"))
    after = next(iter(events(client, address).values()))
    assert after["UID"] == before["UID"]
    assert after["SEQUENCE"] > before["SEQUENCE"]
    assert after["DTSTAMP"].dt >= before["DTSTAMP"].dt
    with transaction() as session:
        session.get_one(TrainingPlan, plan.id).days.clear()
    assert events(client, address) == {}, "what no longer takes place is no longer there"


def test_the_feed_shows_each_person_what_their_pages_show(login: Any, make: Any, client: Any) -> None:
    ours, theirs = on(make.plan(), (soon(), "all")), on(make.plan(institution="nbp"), (soon(), "all"))
    draft = on(make.plan("submitted"), (soon(), "all"))
    make.paid(ours, enterprise=ENTERPRISE)
    for username, seen, unseen in (
        ("hjp", (ours, draft), (theirs,)), ("nbp", (theirs,), (ours, draft)), ("hangzhou", (ours,), (theirs, draft)),
        ("ningbo", (theirs,), (ours, draft)), ("province", (ours, theirs), (draft,)), (ENTERPRISE, (ours,), (theirs, draft)),
        (OTHER, (), (ours, theirs, draft)), ("admin", (ours, theirs), (draft,)),
    ):
        said = names(client, subscribe(login(username)))
        assert all(plan.name in said for plan in seen), username
        assert not any(plan.name in said for plan in unseen), username


def test_an_address_made_of_a_narrowed_page_stays_narrowed(login: Any, make: Any, client: Any) -> None:
    ours, theirs = on(make.plan(), (soon(), "all")), on(make.plan(institution="nbp"), (soon(), "all"))
    address = subscribe(login("province"), "?region=330200")
    assert address.endswith("?region=330200")
    said = names(client, address)
    assert theirs.name in said
    assert ours.name not in said


def test_a_feed_holds_the_last_30_and_the_next_180_days(login: Any, make: Any, client: Any) -> None:
    on(make.plan(), (soon(-31), "all"), (soon(-30), "all"), (soon(180), "evening"), (soon(181), "all"))
    assert [each[-3:] for each in events(client, subscribe(login("hjp")))] == ["第2课", "第3课"]


def test_of_too_much_the_nearest_is_kept(login: Any, make: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar, "FEED_MOST", 3)
    on(make.plan(), *((soon(n), "all") for n in (-2, -1, 0, 1, 50)))
    address = subscribe(login("hjp"))
    assert [each[-3:] for each in events(client, address)] == ["第3课", "第4课", "第5课"]
    assert "只包含时间最近的部分" in str(Calendar.from_ical(client.get(address).data)["X-WR-CALDESC"])


def test_no_trainee_is_in_a_feed(login: Any, make: Any, client: Any) -> None:
    exam = held(make.exam(people=4), soon())
    people = db.session.scalars(select(Enrolment).where(Enrolment.plan_id == exam.plan_id)).all()
    for username in ("hjp", ENTERPRISE, "hangzhou"):
        text = client.get(subscribe(login(username))).text.replace("\r\n ", "")
        assert exam.name in text
        assert not any(secret in text for person in people for secret in (person.name, person.id_number, person.phone))


def test_a_new_address_ends_the_old_one_and_switching_off_ends_both(login: Any, client: Any) -> None:
    person = login("hjp")
    first = subscribe(person)
    second = subscribe(person)
    assert first != second
    assert client.get(first).status_code == 404
    assert client.get(second).status_code == 200
    other = subscribe(login("nbp"))
    assert person.post("/calendar/address/off").status_code == 303
    assert client.get(second).status_code == 404
    assert client.get(other).status_code == 200, "one's own address only"
    assert "目前没有订阅地址" in person.get("/calendar/").text


def test_an_address_dies_with_the_account_and_with_its_sessions(login: Any, make: Any, client: Any) -> None:
    address = subscribe(login("hjp"))
    institution, actor = make.institution(), make.actor("hangzhou")
    institutions.set_enabled(institution, institutions.accounts_of(institution), False, "停业整顿", actor=actor)
    assert client.get(address).status_code == 404
    institutions.set_enabled(institution, institutions.accounts_of(institution), True, "恢复营业", actor=actor)
    assert client.get(address).status_code == 404, "what was ended stays ended"
    person = login("nbp")
    address = subscribe(person)
    answer = person.post("/password/", data={"current": PASSWORD, "new": "Andere2026!", "again": "Andere2026!"})
    assert answer.status_code == 303
    assert client.get(address).status_code == 404
    assert "目前没有订阅地址" in person.get("/calendar/").text
    address = subscribe(login("hangzhou"))
    with transaction() as session:  # as FAB's own screen of users does it
        session.execute(update(User).where(User.username == "hangzhou").values(active=False))
    assert client.get(address).status_code == 404
    address = subscribe(login("ningbo"))
    with transaction() as session:
        session.scalars(select(User).where(User.username == "ningbo")).one().roles = []
    assert client.get(address).status_code == 404, "who may no longer open the calendar is told nothing of it"


def test_a_wrong_address_is_not_found_with_one_statement_whatever_is_wrong(login: Any, client: Any) -> None:
    person = login("hjp")
    dead = subscribe(person)
    person.post("/calendar/address/off")

    def statements(address: str) -> int:
        seen: list[Any] = []
        event.listen(db.engine, "before_cursor_execute", listener := lambda *args: seen.append(args[2]))
        answer = client.get(address)
        event.remove(db.engine, "before_cursor_execute", listener)
        assert answer.status_code == 404, address
        return sum("calendar_feed" in text for text in seen)

    for address in (dead, f"{dead[:-5]}x.ics", "/calendar/x.ics", "/calendar/.ics.ics", f"/calendar/{'a' * 2000}.ics",
                    "/calendar/%E4%B8%AD.ics"):
        assert statements(address) == 1, address


def test_the_table_and_the_audit_hold_no_token_and_neither_does_a_log(
        login: Any, app: Any, client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    address = subscribe(login("hjp"))
    token = address.split("/")[-1].removesuffix(".ics")
    client.get(address)
    row = db.session.scalars(select(CalendarFeed)).one()
    assert token.encode() not in row.digest
    written = db.session.scalars(select(AuditEvent).where(AuditEvent.subject_kind == "calendar_feed")).all()
    assert [each.verb for each in written] == ["make_calendar_address"]
    assert token not in repr([each.facts for each in written])

    def fails(*_args: Any, **_values: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(calendar, "feed_entries", fails)
    monkeypatch.setitem(app.config, "TESTING", False)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    assert client.get(address).status_code == 500
    assert "a fault" in caplog.text
    assert "/calendar/<string:token>.ics" in caplog.text
    assert token not in caplog.text


def test_a_reader_that_has_it_is_not_sent_it_again(login: Any, make: Any, client: Any) -> None:
    on(make.plan(), (soon(), "all"))
    address = subscribe(login("hjp"))
    first = client.get(address)
    assert "no-store" not in first.headers["Cache-Control"]
    assert "private" in first.headers["Cache-Control"]
    again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert again.data == b""
    on(make.plan(), (soon(), "all"))
    assert client.get(address, headers={"If-None-Match": first.headers["ETag"]}).status_code == 200
    assert client.head(address).status_code == 200


def test_addresses_cannot_be_tried_out(limited: Any) -> None:
    answers = [limited.get(f"/calendar/guess{n}.ics").status_code for n in range(61)]
    assert answers[:60] == [404] * 60
    assert answers[60] == 429


def test_a_visitor_makes_no_address_and_a_get_none_either(login: Any, client: Any) -> None:
    assert client.post("/calendar/address").status_code in (302, 303)
    assert login("hjp").get("/calendar/address").status_code in (404, 405)
    assert db.session.scalars(select(CalendarFeed)).all() == []


def test_time_of_a_feed_is_shanghai_whatever_the_machine(login: Any, make: Any, client: Any) -> None:
    held(make.exam(), soon(), 0, 1)
    found = next(each for name, each in events(client, subscribe(login("hangzhou"))).items() if name.startswith("考核"))
    assert found["DTSTART"].dt.utcoffset() == timedelta(hours=8)
    assert found["DTSTART"].dt.date() == soon()
    assert isinstance(found["DTSTART"].dt, datetime)
