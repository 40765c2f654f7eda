"""The exam client against the stand-in exam system, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.gateways.errors import GatewayError
from app.gateways.exam import Candidate, ExamGateway, ScorePage, ScoreRow
from tests.standin_server import RunningStandins, running_standins

START = datetime(2026, 11, 20, 1, 0, tzinfo=UTC)
NO = "杭建培20261101-1"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStandins]:
    with running_standins(tmp_path_factory.mktemp("standins")) as server:
        yield server


@pytest.fixture
def outside(served: RunningStandins) -> RunningStandins:
    served.reset()
    return served


@pytest.fixture
def gateway(outside: RunningStandins) -> ExamGateway:
    return ExamGateway(outside.settings()["exam_url"], outside.settings()["exam_token"], timeout=1.0)


def open_session(gateway: ExamGateway, count: int = 3, title: str = "第一次考核", **times: Any) -> None:
    candidates = [Candidate(f"T{n:03d}", f"张{n}", "330106199001010018", "砌筑工", "中级工/四级") for n in range(count)]
    gateway.open_session(NO, title, times.get("starts", START), times.get("ends", START + timedelta(hours=2)), candidates)


def test_a_session_opened_twice_is_one_session(outside: RunningStandins, gateway: ExamGateway) -> None:
    open_session(gateway)
    open_session(gateway)
    sessions = outside.control("exam", "sessions.json")
    assert [s["exam_no"] for s in sessions] == [NO]
    assert sessions[0]["content"]["candidates"][0]["name"] == "张0"
    assert sessions[0]["content"]["starts_at"] == "2026-11-20T01:00:00Z"


def test_there_are_no_scores_before_marking_and_exact_ones_after(outside: RunningStandins, gateway: ExamGateway) -> None:
    open_session(gateway)
    assert gateway.fetch_scores(NO) == ScorePage([], "")
    outside.control("exam", f"{NO}/grade", {
        "T000": {"theory": 855, "practice": 600}, "T001": {"absent": True}, "T002": {"theory": 0, "practice": 1000},
    })
    assert gateway.fetch_scores(NO).rows == [
        ScoreRow("T000", 855, 600, False), ScoreRow("T001", None, None, True), ScoreRow("T002", 0, 1000, False),
    ]


def test_the_button_of_the_demonstration_marks_everyone_the_same_way_each_time(
    outside: RunningStandins, gateway: ExamGateway
) -> None:
    open_session(gateway, count=300)
    assert "生成成绩" in outside.http.get(f"{outside.url}/exam/", timeout=10).text
    outside.http.post(f"{outside.url}/exam/mark/{NO}", timeout=10)
    first = gateway.fetch_scores(NO).rows
    outside.control("exam", "reset", {})
    open_session(gateway, count=300)
    outside.http.post(f"{outside.url}/exam/mark/{NO}", timeout=10)
    assert gateway.fetch_scores(NO).rows == first
    assert len(first) == 300
    passed = sum(not s.absent and (s.theory or 0) >= 600 and (s.practice or 0) >= 600 for s in first)
    assert 0 < sum(s.absent for s in first) < 30
    assert 200 < passed < 300


def test_a_session_may_be_changed_until_it_is_marked(outside: RunningStandins, gateway: ExamGateway) -> None:
    open_session(gateway)
    open_session(gateway, title="改期")
    outside.control("exam", f"{NO}/grade", {})
    open_session(gateway, title="改期")
    with pytest.raises(GatewayError) as caught:
        open_session(gateway, title="再改期")
    assert caught.value.permanent is True
    assert outside.control("exam", "sessions.json")[0]["content"]["title"] == "改期"


def test_content_the_exam_system_refuses_is_refused_for_good(outside: RunningStandins, gateway: ExamGateway) -> None:
    with pytest.raises(GatewayError) as caught:
        open_session(gateway, ends=START)
    assert caught.value.permanent is True
    assert outside.control("exam", "sessions.json") == []


def test_a_naive_time_is_not_sent(gateway: ExamGateway) -> None:
    with pytest.raises(ValueError, match="naive"):
        open_session(gateway, starts=START.replace(tzinfo=None))


def test_an_unknown_exam_is_refused_for_good(gateway: ExamGateway) -> None:
    with pytest.raises(GatewayError) as caught:
        gateway.fetch_scores("没有的考试")
    assert caught.value.permanent is True


def test_a_wrong_token_opens_nothing_and_is_the_operators_to_mend(outside: RunningStandins) -> None:
    with pytest.raises(GatewayError) as caught:
        open_session(ExamGateway(outside.settings()["exam_url"], "wrong"))
    assert caught.value.permanent is False
    assert outside.control("exam", "sessions.json") == []


@pytest.mark.parametrize("fault", ["500", "429", "garbage", "half", "timeout"])
def test_the_exam_systems_own_trouble_is_passing(outside: RunningStandins, gateway: ExamGateway, fault: str) -> None:
    open_session(gateway)
    outside.control("exam", "settings", {"next_answers": [fault], "timeout_s": 3})
    with pytest.raises(GatewayError) as caught:
        gateway.fetch_scores(NO)
    assert caught.value.permanent is False
    assert gateway.fetch_scores(NO) == ScorePage([], "")


def test_scores_come_page_by_page_in_the_order_of_the_tickets(outside: RunningStandins, gateway: ExamGateway) -> None:
    open_session(gateway, count=7)
    outside.http.post(f"{outside.url}/exam/mark/{NO}", timeout=10)
    tickets, after = [], ""
    while True:
        page = gateway.fetch_scores(NO, after, limit=3)
        assert len(page.rows) <= 3
        tickets += [row.ticket_no for row in page.rows]
        after = page.after
        if not after:
            break
    assert tickets == [f"T{n:03d}" for n in range(7)]


@pytest.mark.parametrize("wish", [
    {"theory": 1001}, {"theory": -1}, {"theory": 85.5}, {"theory": True}, {"theory": "85"}, {"theory": 1, "absent": True},
    {"theory": 1, "cheating": True},
    {"absent": True, "cheating": True},
])
def test_a_score_that_cannot_be_is_not_taken(outside: RunningStandins, gateway: ExamGateway, wish: dict[str, Any]) -> None:
    open_session(gateway)
    outside.control("exam", f"{NO}/grade", {"T000": wish})
    with pytest.raises(GatewayError) as caught:
        gateway.fetch_scores(NO)
    assert caught.value.permanent is True
