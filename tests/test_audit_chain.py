"""The chain over the audit record: who alters, removes, swaps or inserts a row is found out, whatever rights they had."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, insert, select, text

from app.audit import chain
from app.extensions import db, transaction
from models import AuditEvent, AuditSeal, Job, Timer
from workers import scheduler, timetable

POSTGRES_ROLE = "SET session_replication_role = replica"  # triggers sleep


@contextmanager
def behind_the_portal() -> Iterator[Any]:
    """What someone with all rights on the database can do: switch the triggers off, and on again as they were."""
    db.session.commit()
    with db.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            kept = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
            for name, _sql in kept:
                connection.execute(text(f"DROP TRIGGER {name}"))
            yield connection
            for _name, sql in kept:
                connection.exec_driver_sql(sql)
        else:
            connection.execute(text(POSTGRES_ROLE))
            yield connection
            connection.execute(text("SET session_replication_role = origin"))
    db.session.expire_all()


def write(count: int, clock: Any, first: int | None = None, **values: Any) -> None:
    with transaction() as session:
        session.execute(insert(AuditEvent), [
            {**({"id": first + n} if first else {}), "at": clock.moment, "actor_name": "李四", "organisation": "某公司",
             "address": "10.0.0.9", "verb": "reveal_person", "subject_kind": "enrolment", "subject_id": n,
             "facts": {"名": ["前", n]}, **values} for n in range(count)])


@pytest.fixture
def events(app: Flask, clock: Any) -> list[int]:
    """Ten sealed events."""
    write(10, clock)
    assert chain.seal() >= 10
    return list(db.session.scalars(select(AuditSeal.event_id).order_by(AuditSeal.seq.desc()).limit(10)))[::-1]


@pytest.fixture
def prove(app: Flask) -> Callable[..., tuple[int, str]]:
    """The command as an operator runs it: exit code and what it says."""

    def run(*arguments: str) -> tuple[int, str]:
        db.session.commit()
        result = app.test_cli_runner().invoke(args=["prove-audit", *arguments])
        db.session.expire_all()
        return result.exit_code, result.output

    return run


def test_an_untouched_record_is_proved(events: list[int], prove: Any, clock: Any) -> None:
    write(3, clock)
    code, said = prove()
    total = db.session.scalar(select(func.count(AuditSeal.seq)))
    assert (code, f"{total} events are sealed" in said, "3 wait" in said) == (0, True, True)
    last = db.session.scalars(select(AuditSeal.hash).order_by(AuditSeal.seq.desc()).limit(1)).one()
    assert last in said
    assert chain.seal() == 3
    assert chain.seal() == 0
    assert "0 wait" in prove()[1]


@pytest.mark.parametrize(("column", "value"), [
    ("verb", "'other'"), ("facts", "'{}'"),
    ("facts", "'{\"名\": [\"前\", 40]}'"), ("at", "'2026-01-01 00:00:00'"), ("actor_name", "'王五'"),
    ("actor_id", "1"), ("address", "''"), ("subject_id", "77"), ("subject_kind", "'plan'"), ("organisation", "'x'"),
])
def test_an_altered_event_is_named(events: list[int], prove: Any, column: str, value: str) -> None:
    with behind_the_portal() as connection:
        connection.execute(text(f"UPDATE audit_event SET {column} = {value} WHERE id = {events[4]}"))  # noqa: S608
    code, said = prove()
    assert (code, f"event {events[4]} was altered" in said) == (1, True), said


def test_an_event_that_cannot_be_read_any_more_is_named(events: list[int], prove: Any) -> None:
    if db.engine.dialect.name == "postgresql":
        return  # its column takes JSON only
    with behind_the_portal() as connection:
        connection.execute(text(f"UPDATE audit_event SET facts = '{{nonsense' WHERE id = {events[4]}"))  # noqa: S608
    code, said = prove()
    assert (code, f"event {events[4]} was altered" in said) == (1, True), said


def test_a_removed_event_is_named(events: list[int], prove: Any) -> None:
    with behind_the_portal() as connection:
        connection.execute(text(f"DELETE FROM audit_event WHERE id IN ({events[2]}, {events[6]})"))  # noqa: S608
    code, said = prove()
    assert (code, f"event {events[2]} was removed" in said) == (1, True), said


def test_an_event_removed_with_its_seal_leaves_a_gap(events: list[int], prove: Any) -> None:
    with behind_the_portal() as connection:
        connection.execute(text(f"DELETE FROM audit_event WHERE id = {events[2]}"))  # noqa: S608
        connection.execute(text(f"DELETE FROM audit_seal WHERE event_id = {events[2]}"))  # noqa: S608
    code, said = prove()
    assert (code, f"before event {events[3]}" in said) == (1, True), said


def test_closing_the_gap_by_counting_again_does_not_help(events: list[int], prove: Any) -> None:
    with behind_the_portal() as connection:
        seq = connection.execute(text(f"SELECT seq FROM audit_seal WHERE event_id = {events[2]}")).scalar()  # noqa: S608
        connection.execute(text(f"DELETE FROM audit_seal WHERE seq = {seq}"))  # noqa: S608
        connection.execute(text(f"DELETE FROM audit_event WHERE id = {events[2]}"))  # noqa: S608
        for later in range(seq + 1, seq + 8):
            connection.execute(text(f"UPDATE audit_seal SET seq = seq - 1 WHERE seq = {later}"))  # noqa: S608
    code, said = prove()
    assert (code, f"of event {events[3]} does not follow" in said) == (1, True), said


def test_two_swapped_events_are_named(events: list[int], prove: Any) -> None:
    one, other = events[3], events[5]
    with behind_the_portal() as connection:
        for source, target in ((one, 999_999), (other, one), (999_999, other)):
            connection.execute(text(f"UPDATE audit_event SET id = {target} WHERE id = {source}"))  # noqa: S608
    code, said = prove()
    assert (code, f"event {one} was altered" in said) == (1, True), said


def test_two_swapped_seals_are_named(events: list[int], prove: Any) -> None:
    one, other = events[3], events[5]
    with behind_the_portal() as connection:
        for source, target in ((one, 999_999), (other, one), (999_999, other)):
            connection.execute(text(f"UPDATE audit_seal SET event_id = {target} WHERE event_id = {source}"))  # noqa: S608
    code, said = prove()
    assert (code, "was altered" in said and f"event {other} " in said) == (1, True), said


def test_an_event_dated_back_and_put_in_is_named(events: list[int], prove: Any, clock: Any) -> None:
    write(1, clock, first=900_000, at=clock.moment - timedelta(days=3))
    assert chain.seal() == 0, "the sealer gives no seal to the past"
    code, said = prove()
    assert (code, "event 900000 was inserted" in said) == (1, True), said


def test_a_cut_off_end_is_noticed_with_an_anchor(events: list[int], prove: Any, tmp_path: Path) -> None:
    anchor = tmp_path / "anchor"
    assert prove("--anchor", str(anchor))[0] == 0
    noted = anchor.read_text(encoding="ascii")
    assert prove("--anchor", str(anchor))[0] == 0
    assert anchor.read_text(encoding="ascii") == noted, "the same seal is not noted twice"
    with behind_the_portal() as connection:
        for number in events[7:]:
            connection.execute(text(f"DELETE FROM audit_event WHERE id = {number}"))  # noqa: S608
            connection.execute(text(f"DELETE FROM audit_seal WHERE event_id = {number}"))  # noqa: S608
    assert prove()[0] == 0, "without an anchor a shorter chain is a chain"
    code, said = prove("--anchor", str(anchor))
    assert (code, "cut off" in said, str(events[6]) in said) == (1, True, True), said
    assert anchor.read_text(encoding="ascii") == noted


def test_a_chain_that_was_sealed_anew_is_noticed_with_an_anchor(events: list[int], prove: Any, tmp_path: Path) -> None:
    """Even by someone who made the portal seal again what they had altered."""
    anchor = tmp_path / "anchor"
    assert prove("--anchor", str(anchor))[0] == 0
    with behind_the_portal() as connection:
        connection.execute(text("DELETE FROM audit_seal"))
        connection.execute(text(f"UPDATE audit_event SET verb = 'other' WHERE id = {events[4]}"))  # noqa: S608
    chain.seal()
    assert prove()[0] == 0
    code, said = prove("--anchor", str(anchor))
    assert (code, "written anew" in said) == (1, True), said


def test_a_file_that_is_no_anchor_is_refused_in_words(events: list[int], prove: Any, tmp_path: Path) -> None:
    other = tmp_path / "notes"
    other.write_text("milk\n", encoding="ascii")
    code, said = prove("--anchor", str(other))
    assert (code, "is no anchor file" in said) == (2, True), said
    assert other.read_text(encoding="ascii") == "milk\n"


def test_a_late_commit_with_a_lower_id_is_sealed_late(events: list[int], prove: Any, clock: Any) -> None:
    write(1, clock, first=5_000)
    assert chain.seal() == 1
    write(1, clock, first=4_000, at=clock.moment - timedelta(minutes=20))
    assert chain.seal() == 1
    order = list(db.session.scalars(select(AuditSeal.event_id).order_by(AuditSeal.seq.desc()).limit(2)))
    assert order == [4_000, 5_000]
    assert prove()[0] == 0


def test_what_waited_while_no_sealer_ran_is_sealed(events: list[int], prove: Any, clock: Any) -> None:
    for _day in range(3):
        clock.advance(days=1)
        write(2, clock)
    assert chain.seal() == 6
    assert prove()[0] == 0


def test_two_sealers_at_once_do_no_harm(app: Flask, prove: Any, clock: Any) -> None:
    write(3000, clock)
    db.session.commit()
    start = threading.Barrier(3)
    faults: list[BaseException] = []

    def run() -> None:
        with app.app_context():
            try:
                start.wait()
                chain.seal()
            except BaseException as error:
                faults.append(error)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run) for _each in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    chain.seal()
    assert faults == []
    sealed = db.session.scalar(select(func.count(AuditSeal.seq)))
    assert sealed == db.session.scalar(select(func.count(AuditEvent.id)))
    assert prove()[0] == 0


def test_a_sealer_that_was_overtaken_writes_nothing(app: Flask, events: list[int], clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one seals between its look at the head and its insert."""
    write(2, clock)
    head = db.session.execute(select(AuditSeal.seq, AuditSeal.hash).order_by(AuditSeal.seq.desc()).limit(1)).one()
    true = chain.link

    def overtaken(previous: str, event: Any) -> str:
        monkeypatch.setattr(chain, "link", true)
        other = {"seq": head.seq + 1, "event_id": event.id, "hash": true(previous, event), "previous": previous}
        db.session.execute(insert(AuditSeal), [other])
        return true(previous, event)

    monkeypatch.setattr(chain, "link", overtaken)
    assert chain.seal() == 0
    assert db.session.scalar(select(func.max(AuditSeal.seq))) == head.seq
    assert chain.seal() == 2


def test_ten_thousand_rows_are_sealed_and_proved_in_seconds(app: Flask, clock: Any) -> None:
    write(10_000, clock)
    before = time.perf_counter()
    assert chain.seal() >= 10_000
    sealed = time.perf_counter()
    assert chain.prove().fault == ""
    assert sealed - before < 5
    assert time.perf_counter() - sealed < 5


def test_the_timetable_seals_only_when_something_waits(app: Flask, clock: Any, run_jobs: Any) -> None:
    chain.seal()
    assert timetable.TIMETABLE["seal_audit"] <= timedelta(seconds=10)
    for wrote in (False, True):
        if wrote:
            write(1, clock)
        with transaction() as session:
            session.merge(Timer(name="seal_audit", due_at=clock.moment))
        scheduler.set_timers()
        found = db.session.query(Job).filter_by(name="seal_audit").count()
        assert found == wrote
        clock.advance(seconds=6)
    run_jobs()
    assert not chain.waiting()
    assert db.session.query(Job).filter_by(name="seal_audit").one().state == "done"


def test_without_the_key_no_seal_can_be_made(app: Flask, events: list[int]) -> None:
    """The digest is keyed: who owns the database alone cannot compute the next link."""
    import hashlib

    row = db.session.execute(select(*AuditEvent.__table__.columns).where(AuditEvent.id == events[0])).one()
    seal = db.session.scalars(select(AuditSeal).where(AuditSeal.event_id == events[0])).one()
    body = f"{seal.previous}\n{chain.canonical(row)}"
    assert hashlib.sha256(body.encode()).hexdigest() != seal.hash
    assert app.extensions["vault"].witness(body, "audit") == seal.hash
    assert app.extensions["vault"].witness(body, "other") != seal.hash


def test_the_commands_are_there(app: Flask) -> None:
    said = app.test_cli_runner().invoke(args=["--help"]).output
    assert "prove-audit" in said
    assert "sync-roles" in said
