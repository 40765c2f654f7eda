"""Marks come in page by page, from a sheet or by hand; what they change is told, and nobody writes over what they have not seen (I26)."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from sqlalchemy import select

from app.extensions import db, transaction
from app.gateways.exam import ExamGateway
from models import AuditEvent, ExamPlan, ScoreChange, ScoreIntake, Sitting
from tests.test_scores import filled, grade, kept, results, sittings, upload


@pytest.fixture
def exam(make: Any, clock: Any) -> ExamPlan:
    """An exam of five, confirmed as an online one, that has begun."""
    found: ExamPlan = make.exam(people=5)
    found.online_confirmed_at = clock.moment
    db.session.commit()
    clock.advance(days=1, minutes=1)
    return found


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exam system answers two scores at a time."""
    real = ExamGateway.fetch_scores
    monkeypatch.setattr(ExamGateway, "fetch_scores", lambda self, number, after="", limit=2: real(self, number, after, 2))


def intakes(exam: ExamPlan) -> list[ScoreIntake]:
    db.session.expire_all()
    return list(db.session.scalars(select(ScoreIntake).where(ScoreIntake.exam_plan_id == exam.id).order_by(ScoreIntake.id)))


def all_passed(exam: ExamPlan) -> dict[str, dict[str, Any]]:
    return {sitting.ticket_number: {"theory": 850, "practice": 900} for sitting in sittings(exam)}


def test_a_pull_that_was_interrupted_goes_on_where_it_was(login: Any, exam: ExamPlan, standins: Any, run_jobs: Any, clock: Any,
                                                          small_pages: None, monkeypatch: pytest.MonkeyPatch) -> None:
    client = login("hjp")
    grade(standins, client, exam, all_passed(exam))
    paged, asked = ExamGateway.fetch_scores, []

    def breaking(self: Any, number: str, after: str = "", limit: int = 2) -> Any:
        asked.append(after)
        if len(asked) == 2:
            raise RuntimeError("the worker is gone")
        return paged(self, number, after)

    monkeypatch.setattr(ExamGateway, "fetch_scores", breaking)
    client.post(f"/scores/{exam.id}/pull")
    run_jobs()
    assert results(exam) == ["passed", "passed", None, None, None], "the first page is kept"
    assert "中断" in client.get(f"/scores/{exam.id}/history").text
    clock.advance(minutes=1)
    run_jobs()
    assert results(exam) == ["passed"] * 5
    tickets = [sitting.ticket_number for sitting in sittings(exam)]
    assert asked == ["", tickets[1], tickets[1], tickets[3]], "what was there is not asked for again"
    assert [(row.taken, row.finished_at is not None) for row in intakes(exam)] == [(5, True)], "and it was one pull"


def test_what_a_second_pull_changed_is_shown(login: Any, exam: ExamPlan, standins: Any, run_jobs: Any, small_pages: None) -> None:
    client = login("hjp")
    grade(standins, client, exam, all_passed(exam))
    client.post(f"/scores/{exam.id}/pull")
    run_jobs()
    assert "改动了" not in client.get(f"/scores/{exam.id}").text
    third = sittings(exam)[2]
    standins.control("exam", f"{exam.number}/grade", {third.ticket_number: {"theory": 500, "practice": 900}})
    client.post(f"/scores/{exam.id}/pull")
    run_jobs()
    assert [(row.taken, row.changed) for row in intakes(exam)] == [(5, 0), (5, 1)]
    change = db.session.scalars(select(ScoreChange)).one()
    assert (change.sitting_id, change.theory_before, change.theory_after, change.result_after) == (third.id, 850, 500, "failed")
    assert "改动了 1 人已有的成绩" in client.get(f"/scores/{exam.id}").text
    page = client.get(f"/scores/{exam.id}/history").text
    person = db.session.scalars(select(AuditEvent.actor_name).where(AuditEvent.verb == "pull_scores").distinct()).one()
    assert [row.actor_name for row in intakes(exam)] == [person, person], "who pressed it, not the system that did it"
    assert page.count(f"· {person}</span>") == 2
    assert third.enrolment.name in page
    assert "理论 85，实操 90" in page
    assert "理论 50，实操 90" in page


def test_absent_and_excluded_people_come_from_every_source(login: Any, exam: ExamPlan, standins: Any, run_jobs: Any) -> None:
    client = login("hjp")
    tickets = [sitting.ticket_number for sitting in sittings(exam)]
    grade(standins, client, exam, {**all_passed(exam), tickets[0]: {"cheating": True}, tickets[1]: {"absent": True}})
    client.post(f"/scores/{exam.id}/pull")
    run_jobs()
    assert results(exam) == ["cheating", "absent", "passed", "passed", "passed"]
    assert "违纪 1" in client.get(f"/scores/{exam.id}").text


def sheet(client: Any, exam: ExamPlan, rows: list[tuple[Any, Any, Any, Any]]) -> bytes:
    """The score sheet with its last column filled in too."""
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(filled(client, exam, [row[:3] for row in rows])))
    for row, values in enumerate(rows, 3):
        book.worksheets[0][f"F{row}"] = values[3]
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_a_sheet_may_say_excluded_but_not_beside_marks_or_absent(login: Any, exam: ExamPlan) -> None:
    client = login("hjp")
    page = upload(client, exam, sheet(client, exam, [(80, 80, None, "是"), (None, None, "是", "是"), (None, None, None, "有"),
                                                     (101, 80, None, None), ("良", 80, None, None)]))
    for fault in ("第 3 行：标为违纪，却填了成绩", "第 4 行：缺考和违纪只能选一项", "第 5 行：违纪一列只能填“是”或留空",
                  "第 6 行：理论成绩应在 0 到 100 之间", "第 7 行：理论成绩应为 0 到 100 的数字"):
        assert fault in page
    assert results(exam) == [None] * 5
    upload(client, exam, sheet(client, exam, [(None, None, None, "是"), *[(80, 80, None, None)] * 4]))
    assert results(exam) == ["cheating", *["passed"] * 4]


def pulled(login: Any, exam: ExamPlan, standins: Any, run_jobs: Any, people: int = 4) -> Any:
    """The exam system has marked all but the last; the clerk who pulled them."""
    client = login("hjp")
    passed = all_passed(exam)
    grade(standins, client, exam, {ticket: passed[ticket] if n < people else {} for n, ticket in enumerate(passed)})
    client.post(f"/scores/{exam.id}/pull")
    run_jobs()
    return client


def sent(client: Any, exam: ExamPlan, data: bytes) -> Any:
    return client.post(f"/scores/{exam.id}/upload", data={"workbook": (io.BytesIO(data), "s.xlsx")})


def test_a_sheet_that_would_replace_marks_shows_old_and_new_by_person_and_asks(login: Any, exam: ExamPlan, standins: Any,
                                                                               run_jobs: Any) -> None:
    client = pulled(login, exam, standins, run_jobs)
    data = filled(client, exam, [(85, 90, None), (59.5, 90, None), (None, None, "是"), (85, 90, None), (70, 70, None)])
    page = sent(client, exam, data)
    assert page.status_code == 200
    rows = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in re.findall(r"<tr>.*?</tr>", page.text, re.S)]
    second, third = (sitting for sitting in sittings(exam)[1:3])
    assert rows[-2:] == [f"{second.ticket_number} {second.enrolment.name} 理论 85，实操 90 合格 从考试系统拉取 理论 59.5，实操 90 不合格",
                         f"{third.ticket_number} {third.enrolment.name} 理论 85，实操 90 合格 从考试系统拉取 缺考"]
    assert "有 2 人的成绩与已有成绩不同" in page.text
    assert "另有 1 人补上还没有的成绩" in page.text
    assert results(exam) == ["passed"] * 4 + [None], "nothing is written before the answer"
    assert len(intakes(exam)) == 1
    only = client.post(f"/scores/{exam.id}/upload/take", data={"kept": kept(page.text), "which": "fresh"}, follow_redirects=True)
    assert "已写入 1 人的成绩" in only.text
    assert results(exam) == ["passed"] * 5
    everyone = client.post(f"/scores/{exam.id}/upload/take", data={"kept": kept(sent(client, exam, data).text), "which": "all"},
                           follow_redirects=True)
    assert "其中覆盖 2 人" in everyone.text
    assert results(exam) == ["passed", "failed", "absent", "passed", "passed"]
    assert intakes(exam)[-1].changed == 2
    assert sent(client, exam, data).status_code == 303, "the same once more replaces nothing, and is not asked about"


def test_what_was_pulled_while_the_person_looked_is_not_written_over(login: Any, exam: ExamPlan, standins: Any, run_jobs: Any) -> None:
    client = pulled(login, exam, standins, run_jobs, people=5)
    page = sent(client, exam, filled(client, exam, [(50, 90, None), *[(85, 90, None)] * 4])).text
    standins.control("exam", f"{exam.number}/grade", {sittings(exam)[0].ticket_number: {"theory": 990, "practice": 900}})
    client.post(f"/scores/{exam.id}/pull")
    run_jobs()
    stale = client.post(f"/scores/{exam.id}/upload/take", data={"kept": kept(page), "which": "all"}, follow_redirects=True)
    assert "刚被别人修改过" in stale.text
    assert sittings(exam)[0].theory == 990


def test_what_a_page_sends_on_is_of_its_exam_and_as_it_was(login: Any, exam: ExamPlan, standins: Any, run_jobs: Any, make: Any) -> None:
    client = pulled(login, exam, standins, run_jobs, people=5)
    good = kept(sent(client, exam, filled(client, exam, [(50, 90, None), *[(85, 90, None)] * 4])).text)
    other = make.exam(people=1)
    other.starts_at = exam.starts_at
    db.session.commit()
    for place, text in ((exam.id, good[:-8] + "AAAAAAA="), (exam.id, "x"), (exam.id, ""), (other.id, good)):
        answer = client.post(f"/scores/{place}/upload/take", data={"kept": text}, follow_redirects=True)
        assert "请重新上传成绩表" in answer.text, text[:10]
    assert login("nbp").post(f"/scores/{exam.id}/upload/take", data={"kept": good}).status_code == 404
    assert results(exam) == ["passed"] * 5
    client.post(f"/scores/{exam.id}/submit")
    late = client.post(f"/scores/{exam.id}/upload/take", data={"kept": good, "which": "all"}, follow_redirects=True)
    assert "成绩已上报，不能再修改" in late.text
    assert results(exam) == ["passed"] * 5


def fields(page: str) -> dict[str, str]:
    """Every field of the grid, as the page shows it."""
    found = dict(re.findall(r'name="((?:was|theory|practice)-\d+)" value="([^"]*)"', page))
    for key, body in re.findall(r'<select name="(conduct-\d+)".*?>(.*?)</select>', page, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', body)
        found[key] = chosen[1] if chosen else ""
    return found


def test_marks_are_typed_a_room_at_a_time(login: Any, exam: ExamPlan) -> None:
    client = login("hjp")
    form = fields(client.get(f"/scores/typing/{exam.id}").text)
    people = sittings(exam)
    assert len(form) == 4 * len(people)
    form |= {f"theory-{people[0].id}": "85.5", f"practice-{people[0].id}": "60", f"theory-{people[1].id}": "59.9",
             f"practice-{people[1].id}": "100", f"conduct-{people[2].id}": "absent", f"conduct-{people[3].id}": "cheating"}
    assert client.post(f"/scores/typing/{exam.id}", data=form).status_code == 303
    assert results(exam) == ["passed", "failed", "absent", "cheating", None]
    assert [sitting.theory for sitting in sittings(exam)] == [855, 599, None, None, None]
    assert [row.source for row in intakes(exam)] == ["typed"]
    again = fields(client.get(f"/scores/typing/{exam.id}").text)
    assert again[f"theory-{people[0].id}"] == "85.5"
    assert again[f"conduct-{people[2].id}"] == "absent"


@pytest.mark.parametrize(("typed", "said"), [
    ({"theory": "101", "practice": "80"}, "理论应在 0 到 100 之间"), ({"theory": "八十", "practice": "80"}, "理论应为 0 到 100 的数字"),
    ({"theory": "80", "practice": "80.55"}, "实操应在 0 到 100 之间"), ({"theory": "nan", "practice": "80"}, "理论应为"),
    ({"theory": "80", "practice": "80", "conduct": "absent"}, "两项成绩须留空"), ({"conduct": "excellent"}, "请选择正常、缺考或违纪"),
])
def test_one_wrong_mark_writes_nothing_and_what_was_typed_stays(login: Any, exam: ExamPlan, typed: dict[str, str], said: str) -> None:
    client = login("hjp")
    form = fields(client.get(f"/scores/typing/{exam.id}").text)
    first, second, *_rest = sittings(exam)
    form |= {f"theory-{first.id}": "77", f"practice-{first.id}": "78", **{f"{name}-{second.id}": text for name, text in typed.items()}}
    answer = client.post(f"/scores/typing/{exam.id}", data=form)
    assert answer.status_code == 422
    assert said in answer.text
    assert 'value="77"' in answer.text
    assert results(exam) == [None] * 5


def test_of_two_clerks_the_later_is_told_and_sees_what_is_there(login: Any, exam: ExamPlan) -> None:
    client, colleague = login("hjp"), login("hjp")
    stale = fields(client.get(f"/scores/typing/{exam.id}").text)
    first = sittings(exam)[0]
    theirs = {**stale, f"theory-{first.id}": "90", f"practice-{first.id}": "90"}
    assert colleague.post(f"/scores/typing/{exam.id}", data=theirs).status_code == 303
    answer = client.post(f"/scores/typing/{exam.id}", data={**stale, f"theory-{first.id}": "40", f"practice-{first.id}": "40"})
    assert answer.status_code == 422
    assert "刚被别人修改过" in answer.text
    assert sittings(exam)[0].theory == 900
    assert fields(answer.text)[f"theory-{first.id}"] == "90"


def test_a_mark_that_was_there_cannot_be_emptied(login: Any, exam: ExamPlan) -> None:
    client = login("hjp")
    with transaction():
        sittings(exam)[0].theory = 800
    form = fields(client.get(f"/scores/typing/{exam.id}").text)
    form[f"theory-{sittings(exam)[0].id}"] = ""
    assert "请填写成绩" in client.post(f"/scores/typing/{exam.id}", data=form).text
    assert sittings(exam)[0].theory == 800


def test_the_grid_is_closed_to_others_and_once_reported(login: Any, exam: ExamPlan, make: Any) -> None:
    assert login("nbp").get(f"/scores/typing/{exam.id}").status_code == 404
    assert login("nbp").post(f"/scores/typing/{exam.id}", data={}).status_code == 404
    reported = make.report("submitted")
    exam_id = reported.exam_plan_id
    client = login("hjp")
    row = db.session.scalars(select(Sitting).where(Sitting.exam_plan_id == exam_id)).first()
    client.post(f"/scores/typing/{exam_id}", data={f"was-{row.id}": "85|90||passed", f"theory-{row.id}": "10", f"practice-{row.id}": "10",
                                                   f"conduct-{row.id}": ""})
    db.session.expire_all()
    assert db.session.get_one(Sitting, row.id).theory == 850


def test_a_tampered_field_is_no_way_around_what_is_there(login: Any, exam: ExamPlan) -> None:
    client = login("hjp")
    first = sittings(exam)[0]
    for was in ("x|y|z|passed", "", "||", "85|90||passed"):
        answer = client.post(f"/scores/typing/{exam.id}", data={
            f"was-{first.id}": was, f"theory-{first.id}": "100", f"practice-{first.id}": "100", f"conduct-{first.id}": ""})
        assert answer.status_code == 422, was
    assert results(exam)[0] is None


def test_the_export_holds_what_is_filtered(login: Any, exam: ExamPlan) -> None:
    from openpyxl import load_workbook

    client = login("hjp")
    upload(client, exam, filled(client, exam, [(80, 80, None), (30, 80, None), (None, None, "是"), (80, 80, None), (80, 80, None)]))

    def rows(query: str) -> list[Any]:
        book = load_workbook(io.BytesIO(client.get(f"/scores/{exam.id}/scores.xlsx{query}").data))
        return [row[9] for row in book.worksheets[0].iter_rows(min_row=2, values_only=True)]

    assert rows("") == ["合格", "不合格", "缺考", "合格", "合格"]
    assert rows("?result=failed") == ["不合格"]
    assert rows("?result=failed&q=nobody") == []
    assert rows("?ticket=" + sittings(exam)[2].ticket_number) == ["缺考"]
