"""The push to the ministry: once each, tried again when it must be, visible (J1, M1)."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from app import jobs
from app.extensions import db, gateways
from app.operations import certificates, push
from models import Certificate, Parameter


@pytest.fixture
def waiting(make: Any, clock: Any) -> list[Certificate]:
    report = make.report(people=4)
    certificates.run_issue(report.id, lambda done, total: None)
    return all_of()


AT_ONCE = 8


def all_of() -> list[Certificate]:
    return list(db.session.scalars(select(Certificate).order_by(Certificate.number)))


def states() -> list[str]:
    db.session.expire_all()
    return [row.push_state for row in all_of()]


def run() -> None:
    push.run_push(0, lambda done, total: None)


def arrived(standins: Any) -> dict[str, int]:
    """How often each number arrived at the ministry."""
    found: dict[str, int] = standins.control("ministry", "certificates.json")["calls"]
    return found


def test_every_certificate_arrives_once(waiting: list[Certificate], standins: Any) -> None:
    run()
    run()
    assert states() == ["pushed"] * 4
    assert arrived(standins) == {row.number: 1 for row in waiting}


def test_the_timetable_pushes_by_itself(waiting: list[Certificate], standins: Any, run_jobs: Any) -> None:
    jobs.schedule("push_certificates", 0)
    db.session.commit()
    run_jobs()
    assert states() == ["pushed"] * 4


def test_a_passing_fault_is_tried_again_later(waiting: list[Certificate], standins: Any, clock: Any) -> None:
    standins.control("ministry", "settings", {"next_answers": ["500"] * 4})
    run()
    assert states() == ["waiting"] * 4
    assert all(row.push_error for row in all_of())
    run()
    assert states() == ["waiting"] * 4
    clock.advance(minutes=1)
    run()
    assert states() == ["pushed"] * 4
    assert all(row.push_error == "" for row in all_of())


def test_a_refusal_is_shown_and_can_be_pushed_again(waiting: list[Certificate], standins: Any, login: Any, clock: Any) -> None:
    standins.control("ministry", "settings", {"next_answers": ["refuse"]})
    run()
    assert sorted(states()) == ["failed", "pushed", "pushed", "pushed"]
    failed = next(row for row in all_of() if row.push_state == "failed")
    city = login("hangzhou")
    page = city.get(f"/certificates/{failed.id}").text
    assert "推送失败" in page
    assert "重新推送" in page
    assert login("hjp").post("/push/again", data={"ids": str(failed.id)}).status_code == 403
    city.post("/push/again", data={"ids": str(failed.id)})
    run()
    assert states() == ["pushed"] * 4


def test_many_failed_ones_are_pushed_again_with_one_press(waiting: list[Certificate], standins: Any, login: Any) -> None:
    standins.control("ministry", "settings", {"next_answers": ["refuse"] * 3})
    run()
    city = login("hangzhou")
    page = city.get("/push/?push=failed").text
    assert "重新推送所选" in page
    assert "重新推送所选" not in city.get("/push/").text
    for username, status in (("hjp", 403), ("91330100MA2AAAA05G", 403), ("ningbo", 303)):
        assert login(username).post("/push/again", data={"all": "1", "push": "failed"}).status_code == status
    assert sorted(states()) == ["failed", "failed", "failed", "pushed"]
    city.post("/push/again", data={"all": "1", "push": "failed"})
    assert sorted(states()) == ["pushed", "waiting", "waiting", "waiting"]
    city.post("/push/again", data={"ids": [str(row.id) for row in all_of()]})
    assert "只有推送失败的证书需要重新推送" in city.get("/certificates/").text
    run()
    assert states() == ["pushed"] * 4


def test_a_ministry_that_is_away_is_not_asked_about_everyone(make: Any, standins: Any, clock: Any) -> None:
    certificates.run_issue(make.report(people=20).id, lambda done, total: None)
    standins.control("ministry", "settings", {"next_answers": ["500"] * 20})
    run()
    assert sum(arrived(standins).values()) == AT_ONCE
    assert [row.push_attempts for row in all_of()].count(0) == 20 - AT_ONCE
    standins.control("ministry", "settings", {"next_answers": []})
    clock.advance(hours=1)
    run()
    assert states() == ["pushed"] * 20


def test_passing_trouble_never_ends_as_failed(waiting: list[Certificate], standins: Any, clock: Any) -> None:
    for _each in range(15):
        standins.control("ministry", "settings", {"next_answers": ["500"] * 4})
        run()
        clock.advance(hours=7)
    assert states() == ["waiting"] * 4
    assert all("稍后自动再试" in row.push_error for row in all_of())
    standins.control("ministry", "settings", {"next_answers": []})
    run()
    assert states() == ["pushed"] * 4


@pytest.mark.parametrize(("answer", "state", "said"), [
    ("error", "waiting", "稍后自动再试：系统繁忙，请稍后再试（代码 2001）"), ("500", "waiting", "部里的系统出错（代码 500）"),
    ("timeout", "waiting", "没有应答"), ("half", "waiting", "没有应答，或应答不完整"), ("garbage", "waiting", "应答不完整"),
    ("refuse", "failed", "没有接受：内容不被接受（代码 1099）")])
def test_each_trouble_is_told_in_words_and_without_addresses(make: Any, clock: Any, standins: Any, login: Any, monkeypatch: Any,
                                                            answer: str, state: str, said: str) -> None:
    certificates.run_issue(make.report(people=1).id, lambda done, total: None)
    monkeypatch.setattr(gateways().ministry, "_timeout", 0.3)
    standins.control("ministry", "settings", {"next_answers": [answer], "timeout_s": 1})
    run()
    row = all_of()[0]
    assert (row.push_state, said in row.push_error) == (state, True), row.push_error
    page = login("hangzhou").get("/push/").text
    assert said in page
    assert ("http" in row.push_error.lower(), "Error" in row.push_error) == (False, False)
    standins.control("ministry", "settings", {"next_answers": []})
    push.push_again([row.id], actor=make.actor("hangzhou")) if state == "failed" else clock.advance(minutes=1)
    run()
    assert (states(), len(standins.control("ministry", "certificates.json")["certificates"])) == (["pushed"], 1)


def test_a_number_that_is_there_already_with_other_content_is_said_as_that(make: Any, clock: Any, standins: Any) -> None:
    certificates.run_issue(make.report(people=1).id, lambda done, total: None)
    (_key, record), = push.records_of(all_of())
    gateways().ministry.push(replace(record, name="别人"))
    run()
    row = all_of()[0]
    assert row.push_state == "failed"
    assert row.push_error == "部里已登记同号而内容不同的证书，须核实后更正或撤销：该编号已登记其他内容（代码 1002）"
    assert standins.control("ministry", "certificates.json")["certificates"][row.number]["name"] == "别人", "nothing is written over"


def test_one_that_cannot_be_sent_does_not_hold_up_the_others(waiting: list[Certificate], standins: Any, monkeypatch: Any) -> None:
    broken = waiting[0].number
    send = push.MinistryGateway.push

    def push_one(self: Any, record: Any) -> None:
        if record.number == broken:
            raise UnicodeEncodeError("utf-8", "", 0, 1, "surrogates not allowed")
        send(self, record)

    monkeypatch.setattr(push.MinistryGateway, "push", push_one)
    run()
    assert states() == ["failed", "pushed", "pushed", "pushed"]


def test_one_run_takes_no_more_than_a_batch(waiting: list[Certificate], standins: Any) -> None:
    db.session.get(Parameter, "push_batch").value = "3"
    db.session.commit()
    run()
    assert sorted(states()) == ["pushed", "pushed", "pushed", "waiting"]
    run()
    assert states() == ["pushed"] * 4
    assert arrived(standins) == {row.number: 1 for row in waiting}


def two_at_once(app: Any, make: Any) -> None:
    certificates.run_issue(make.report(people=20).id, lambda done, total: None)
    db.session.commit()
    barrier = threading.Barrier(2)

    def run_here() -> None:
        with app.app_context():
            barrier.wait()
            try:
                run()
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run_here) for _each in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db.session.rollback()


def test_two_pushes_at_once_send_each_number_once(app: Any, make: Any, standins: Any) -> None:
    two_at_once(app, make)
    assert states() == ["pushed"] * 20
    assert set(arrived(standins).values()) == {1}


def test_without_the_lease_two_pushes_at_once_would_send_numbers_twice(app: Any, make: Any, standins: Any, monkeypatch: Any) -> None:
    """Negative control; the register takes them once all the same."""
    def look(size: int) -> list[int]:
        return list(db.session.scalars(select(Certificate.id).where(Certificate.push_state == "waiting").limit(size)))

    monkeypatch.setattr(push, "_lease", look)
    two_at_once(app, make)
    assert max(arrived(standins).values()) == 2
    assert states() == ["pushed"] * 20
    assert len(standins.control("ministry", "certificates.json")["certificates"]) == 20


def test_a_worker_killed_after_sending_sends_the_same_number_again_and_no_harm_is_done(waiting: list[Certificate], standins: Any,
                                                                                    clock: Any, monkeypatch: Any) -> None:
    def killed(_outcomes: Any) -> None:
        raise SystemExit("killed")

    monkeypatch.setattr(push, "_write", killed)
    with pytest.raises(SystemExit):
        run()
    db.session.rollback()
    monkeypatch.undo()
    from app import clock as module
    monkeypatch.setattr(module, "now", clock.now)
    assert states() == ["waiting"] * 4
    run()
    assert states() == ["waiting"] * 4, "a leased certificate is left alone until its lease is over"
    clock.advance(minutes=6)
    run()
    assert states() == ["pushed"] * 4
    assert set(arrived(standins)) == {row.number for row in waiting}


def test_two_workers_take_different_certificates(waiting: list[Certificate]) -> None:
    first, second = push._lease(2), push._lease(10)
    assert len(first) == 2
    assert len(second) == 2
    assert not set(first) & set(second)
