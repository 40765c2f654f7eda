"""Notices by SMS: only where wanted, to a proved number, once, in groups, and not at night."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select, update

from app import clock as clock_module
from app import jobs, notices, workflow
from app.extensions import db, transaction
from app.operations.notice_texts import after_quiet
from config import DEMO_NOTICE_TEMPLATES
from models import Account, Job, Notice, NoticeReader, NoticeText, Order

FIRST = "91330100MA2AAAA05G"
PHONE = "13912345678"


@pytest.fixture
def noon(clock: Any) -> Any:
    """Today at noon in Shanghai, a time at which messages may be sent."""
    clock.set(clock_module.at_shanghai(clock_module.shanghai_day(), 12))
    return clock


@pytest.fixture
def told(standins: Any) -> Any:
    """The notices that arrived at a number, newest first; codes are left out."""
    def read(phone: str = PHONE) -> list[str]:
        return [m["text"] for m in standins.control("sms", "outbox.json") if m["phone"] == phone and "验证码" not in m["text"]]
    return read


@pytest.fixture
def round_of_jobs(run_jobs: Any) -> Any:
    """What the scheduler would do within the next minute."""
    def run() -> None:
        with transaction():
            jobs.schedule("plan_notice_texts", 0)
        run_jobs()
    return run


def want(login: Any, standins: Any, *events: str, who: str = "hjp") -> Any:
    """Prove a number and choose events, through the page."""
    client = login(who)
    client.post("/notices/code", data={"phone": PHONE}, headers={"X-Requested-With": "fetch"})
    answer = client.post("/notices/phone", data={"phone": PHONE, "code": standins.last_code(PHONE)})
    assert answer.status_code == 303
    assert client.post("/notices/texts", data={"events": list(events)}).status_code == 303
    return client


def decide(make: Any, step: str = "approve", plans: int = 1, **values: Any) -> None:
    ids = [make.plan("accepted", **values).id for _each in range(plans)]
    workflow.take_steps("training_plan", ids, step, actor=make.actor("hangzhou"), remark="课时不足")


def test_a_decision_is_sent_to_who_wants_it(app: Any, make: Any, login: Any, standins: Any, noon: Any, told: Any,
                                            round_of_jobs: Any) -> None:
    client = want(login, standins, "approve")
    assert "139****5678" in client.get("/notices/").text
    assert PHONE not in client.get("/notices/").text
    decide(make, name="杭建培20261203")
    round_of_jobs()
    assert told() == ["【建设工人培训】培训计划“杭建培20261203”已审核通过，请登录平台查看。"]


def test_nothing_is_sent_that_was_not_asked_for(app: Any, make: Any, login: Any, standins: Any, noon: Any, told: Any,
                                                round_of_jobs: Any) -> None:
    client = want(login, standins, "reject")
    decide(make)
    decide(make, "reject", institution="nbp")
    round_of_jobs()
    assert told() == []
    client.post("/notices/texts", data={})
    decide(make, "reject")
    round_of_jobs()
    assert told() == []
    assert db.session.scalars(select(NoticeText)).all() == []
    assert not any(row.texted is False for row in db.session.scalars(select(Notice)))


def test_off_between_planning_and_sending_means_off(app: Any, make: Any, login: Any, standins: Any, noon: Any, told: Any,
                                                    run_jobs: Any) -> None:
    client = want(login, standins, "approve")
    decide(make)
    from app.operations.notice_texts import run_plan

    run_plan(0, lambda done, total: None)
    client.post("/notices/texts", data={})
    run_jobs()
    assert told() == []
    assert db.session.scalars(select(NoticeText.state)).all() == ["dropped"]


def test_a_job_that_runs_twice_sends_once(app: Any, make: Any, login: Any, standins: Any, noon: Any, told: Any,
                                          round_of_jobs: Any, run_jobs: Any) -> None:
    want(login, standins, "approve")
    decide(make)
    round_of_jobs()
    for name in ("send_notice_text", "plan_notice_texts"):
        with transaction() as session:
            session.execute(update(Job).where(Job.name == name).values(state="waiting"))
        run_jobs()
    assert len(told()) == 1


def test_a_worker_that_died_while_sending_is_not_repeated_blindly(app: Any, make: Any, login: Any, standins: Any, noon: Any,
                                                                  told: Any, round_of_jobs: Any, run_jobs: Any) -> None:
    want(login, standins, "approve")
    decide(make)
    round_of_jobs()
    with transaction() as session:
        session.execute(update(NoticeText).values(state="sending"))
        session.execute(update(Job).where(Job.name == "send_notice_text").values(state="waiting"))
    run_jobs()
    job = db.session.scalars(select(Job).where(Job.name == "send_notice_text")).one()
    assert (job.state, len(told())) == ("failed", 1)
    assert "不能确定" in job.error
    login("admin").post(f"/jobs/{job.id}/again")
    run_jobs()
    assert len(told()) == 2


def test_many_of_a_kind_are_one_message_and_the_next_comes_ten_minutes_later(
        app: Any, make: Any, login: Any, standins: Any, noon: Any, told: Any, round_of_jobs: Any, run_jobs: Any) -> None:
    want(login, standins, "approve", "reject")
    decide(make, plans=7)
    decide(make, plans=5)
    decide(make, "reject", name="另一种")
    round_of_jobs()
    assert sorted(told()) == sorted(["【建设工人培训】12 个培训计划已审核通过，请登录平台查看。",
                                     "【建设工人培训】培训计划“另一种”未通过审核，请登录平台查看。"])
    decide(make)
    noon.advance(minutes=5)
    decide(make)
    workflow.take_steps("exam_plan", [make.exam("accepted").id], "approve", actor=make.actor("hangzhou"))
    round_of_jobs()
    assert len(told()) == 2
    noon.advance(minutes=6)
    run_jobs()
    assert told()[0] == "【建设工人培训】3 项已审核通过，请登录平台查看。"


@pytest.mark.parametrize(("day", "hour", "until_day", "until"), [
    (24, 20, 24, 20), (24, 21, 25, 8), (24, 23, 25, 8), (25, 0, 25, 8), (25, 7, 25, 8), (25, 8, 25, 8)])
def test_the_night_ends_at_eight(day: int, hour: int, until_day: int, until: int) -> None:
    at = datetime(2026, 11, day, hour, 0, tzinfo=clock_module.SHANGHAI)
    assert after_quiet(at) == datetime(2026, 11, until_day, until, 0, tzinfo=clock_module.SHANGHAI)


def test_what_happens_at_night_is_sent_at_eight_in_one_message(app: Any, make: Any, login: Any, standins: Any, noon: Any,
                                                               told: Any, round_of_jobs: Any, run_jobs: Any) -> None:
    want(login, standins, "approve")
    noon.advance(hours=10)
    decide(make)
    round_of_jobs()
    noon.advance(hours=3)
    decide(make, plans=2)
    round_of_jobs()
    assert told() == []
    noon.set(clock_module.at_shanghai(clock_module.shanghai_day(noon.now()), 8))
    run_jobs()
    assert told() == ["【建设工人培训】3 个培训计划已审核通过，请登录平台查看。"]


def test_a_message_whose_job_comes_late_waits_for_the_morning(app: Any, make: Any, login: Any, standins: Any, noon: Any, told: Any,
                                                              run_jobs: Any) -> None:
    from app.operations.notice_texts import run_plan

    want(login, standins, "approve")
    noon.advance(hours=8, minutes=59)
    decide(make)
    run_plan(0, lambda done, total: None)
    noon.advance(minutes=2)
    run_jobs()
    assert told() == []
    noon.advance(hours=11)
    run_jobs()
    assert len(told()) == 1


def test_a_passing_failure_is_tried_again_and_a_final_one_is_the_administrators_to_see(
        app: Any, make: Any, login: Any, standins: Any, noon: Any, told: Any, round_of_jobs: Any, run_jobs: Any) -> None:
    want(login, standins, "approve", "reject")
    standins.control("sms", "settings", {"next_answers": ["error"]})
    decide(make)
    round_of_jobs()
    assert (told(), db.session.scalars(select(NoticeText.state)).all()) == ([], ["waiting"])
    noon.advance(minutes=2)
    run_jobs()
    assert len(told()) == 1
    with transaction() as session:  # a number that the platform refuses for good
        session.execute(update(NoticeReader).values(phone="11000000000"))
    decide(make, "reject")
    round_of_jobs()
    job = db.session.scalars(select(Job).where(Job.name == "send_notice_text", Job.state == "failed")).one()
    assert "isv.MOBILE_NUMBER_ILLEGAL" in job.error
    assert "isv.MOBILE_NUMBER_ILLEGAL" in login("admin").get("/console/jobs/").text
    assert login("hjp").get(f"/jobs/{job.id}").status_code == 404


def test_a_message_whose_job_gave_up_goes_out_with_the_next_notice(
        app: Any, make: Any, login: Any, standins: Any, noon: Any, told: Any, round_of_jobs: Any) -> None:
    want(login, standins, "approve")
    standins.control("sms", "settings", {"next_answers": ["error"]})
    decide(make)
    round_of_jobs()
    with transaction() as session:
        session.execute(update(Job).where(Job.name == "send_notice_text").values(state="failed"))
    decide(make)
    round_of_jobs()
    assert told() == ["【建设工人培训】2 个培训计划已审核通过，请登录平台查看。"]


def test_twenty_a_day_and_the_rest_the_next_morning(app: Any, make: Any, login: Any, standins: Any, noon: Any, told: Any,
                                                    round_of_jobs: Any) -> None:
    want(login, standins, "approve")
    user = make.actor("hjp").user_id
    with transaction() as session:
        session.add_all(NoticeText(user_id=user, event="accept", subject_kind="training_plan", count=1, state="sent", due_at=noon.now(),
                                   sent_at=noon.now()) for _each in range(20))
    decide(make)
    round_of_jobs()
    assert told() == []
    waiting = db.session.scalars(select(NoticeText).where(NoticeText.state == "waiting")).one()
    assert waiting.due_at.astimezone(clock_module.SHANGHAI).hour == 8


def test_an_institution_without_a_proved_number_cannot_choose(app: Any, login: Any) -> None:
    client = login("hjp")
    client.post("/notices/texts", data={"events": ["approve"]})
    assert db.session.scalars(select(NoticeReader)).all() == []
    client.post("/notices/phone", data={"phone": PHONE, "code": "000000"})
    assert [row.phone for row in db.session.scalars(select(NoticeReader))] == []


def test_a_code_for_another_purpose_proves_nothing(app: Any, login: Any, standins: Any) -> None:
    login(FIRST).post("/enterprise/code", data={"phone": PHONE}, headers={"X-Requested-With": "fetch"})
    login("hjp").post("/notices/phone", data={"phone": PHONE, "code": standins.last_code(PHONE)})
    assert db.session.scalars(select(NoticeReader)).all() == []


def test_events_of_another_party_cannot_be_chosen(app: Any, login: Any, standins: Any) -> None:
    client = want(login, standins, "approve")
    client.post("/notices/texts", data={"events": ["submit"]})
    assert db.session.scalars(select(NoticeReader)).one().texts == ["approve"]


def test_an_enterprise_uses_the_number_it_registered_with(app: Any, make: Any, login: Any, noon: Any, told: Any,
                                                          round_of_jobs: Any) -> None:
    client = login(FIRST)
    client.post("/notices/texts", data={"events": ["order_paid"]})
    order = make.paid(make.plan(), 1)
    with transaction():
        notices.tell("order_paid", "order", ids=[order.id], name=order.number, enterprise_id=order.enterprise_id,
                     institution_id=order.institution_id)
    round_of_jobs()
    assert told(make.enterprise(FIRST).phone) == [f"【建设工人培训】订单“{order.number}”已支付，请登录平台查看。"]
    assert db.session.get_one(Order, order.id).number in client.get("/notices/").text
    assert order.number in login("hjp").get("/notices/").text
    assert order.number not in login("nbp").get("/notices/").text


def test_a_notice_that_grows_is_sent_again_with_how_many_they_are_in_all(make: Any, login: Any, standins: Any, noon: Any, told: Any,
                                                                         round_of_jobs: Any, run_jobs: Any) -> None:
    want(login, standins, "person_mismatch", who=FIRST)
    people = db.session.get_one(Order, make.paid(make.plan(), 4).id).enrolments
    for person in people:
        login("hjp").post(f"/checks/{person.id}/reject", data={"reasons": ["portrait"]})
        noon.advance(minutes=1)
        round_of_jobs()
    assert [text.partition("的")[0] for text in told()] == [f"【建设工人培训】“{people[0].name}”"]
    noon.advance(minutes=10)
    run_jobs()
    assert told()[0] == "【建设工人培训】4 人的报名信息与照片不相符，请更正，请登录平台查看。"


def test_a_disabled_account_gets_nothing(app: Any, make: Any, login: Any, standins: Any, noon: Any, told: Any, round_of_jobs: Any) -> None:
    want(login, standins, "approve")
    with transaction() as session:
        session.get_one(Account, make.actor("hjp").user_id).user.active = False
    decide(make)
    round_of_jobs()
    assert told() == []


def test_a_demonstration_has_a_template_for_every_event() -> None:
    named = [pair.partition("=")[0] for pair in DEMO_NOTICE_TEMPLATES.split(",")]
    assert sorted(named) == sorted(notices.NOTICES)
