"""Scores: pulled, uploaded, reported, reviewed (I26, B5)."""

from __future__ import annotations

import html
import io
import re
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy import select

from app.extensions import db
from app.operations.score_intakes import latest_intake, take_in
from app.operations.scores import Mark, PassMarks, result_of
from models import ExamPlan, Job, ScoreReport, Sitting


@pytest.fixture
def exam(make: Any, clock: Any) -> ExamPlan:
    """An exam of three, confirmed as an online one, that has begun."""
    found: ExamPlan = make.exam(people=3)
    found.online_confirmed_at = clock.moment
    db.session.commit()
    clock.advance(days=1, minutes=1)
    return found


def sittings(exam: ExamPlan) -> list[Sitting]:
    return list(db.session.scalars(select(Sitting).where(Sitting.exam_plan_id == exam.id).order_by(Sitting.ticket_number)))


def results(exam: ExamPlan) -> list[str | None]:
    return [sitting.result for sitting in sittings(exam)]


def report_of(exam: ExamPlan) -> ScoreReport | None:
    return db.session.scalars(select(ScoreReport).where(ScoreReport.exam_plan_id == exam.id)).first()


def filled(client: Any, exam: ExamPlan, rows: list[tuple[Any, Any, Any]]) -> bytes:
    workbook = load_workbook(io.BytesIO(client.get(f"/scores/{exam.id}/template.xlsx").data))
    sheet = workbook.worksheets[0]
    for row, values in enumerate(rows, 3):
        for column, value in zip("CDE", values, strict=True):
            sheet[f"{column}{row}"] = value
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def upload(client: Any, exam: ExamPlan, data: bytes, which: str = "all") -> str:
    """The page after an upload: the one that tells the faults, or the exam's. What would be replaced is looked at and taken."""
    answer = client.post(f"/scores/{exam.id}/upload", data={"workbook": (io.BytesIO(data), "scores.xlsx")})
    if answer.status_code == 200:
        answer = client.post(f"/scores/{exam.id}/upload/take", data={"kept": kept(answer.text), "which": which})
    assert answer.status_code in (303, 422)
    return str(answer.text if answer.status_code == 422 else client.get(f"/scores/{exam.id}").text)


def kept(page: str) -> str:
    """What a page that asks about differences sends on."""
    found = re.search(r'name="kept" value="([^"]+)"', page)
    assert found is not None
    return html.unescape(found[1])


@pytest.mark.parametrize(("mark", "result"), [
    ((600, 600, False), "passed"), ((599, 1000, False), "failed"), ((1000, 599, False), "failed"), ((None, None, True), "absent"),
    ((600, None, False), None), ((None, 600, False), None), ((0, 0, False), "failed"),
    ((None, None, False, True), "cheating"), ((900, 900, False, True), "cheating"),
])
def test_a_result_needs_both_marks(mark: tuple[int | None, int | None, bool], result: str | None) -> None:
    assert result_of(Mark("1", *mark), PassMarks(600, 600)) == result


def grade(standins: Any, client: Any, exam: ExamPlan, marks: dict[str, dict[str, Any]]) -> None:
    """Let the exam system have the roster and these marks."""
    from app.extensions import gateways
    from app.gateways.exam import Candidate

    candidates = [Candidate(sitting.ticket_number, sitting.enrolment.name, sitting.enrolment.id_number,
                            sitting.enrolment.occupation.name, sitting.enrolment.level.name) for sitting in sittings(exam)]
    gateways().exam.open_session(exam.number, exam.name, exam.starts_at, exam.ends_at, candidates)
    standins.control("exam", f"{exam.number}/grade", marks)


def test_scores_are_pulled_from_the_exam_system(login: Any, exam: ExamPlan, standins: Any, run_jobs: Any) -> None:
    client = login("hjp")
    tickets = [sitting.ticket_number for sitting in sittings(exam)]
    grade(standins, client, exam, {tickets[0]: {"theory": 850, "practice": 900, "absent": False},
                                   tickets[1]: {"theory": 300, "practice": 900, "absent": False},
                                   tickets[2]: {"theory": None, "practice": None, "absent": True}})
    client.post(f"/scores/{exam.id}/pull")
    run_jobs()
    assert results(exam) == ["passed", "failed", "absent"]
    page = client.get(f"/scores/{exam.id}").text
    assert "合格 1" in page
    assert "成绩上报" in page


def test_a_second_pull_changes_what_was_corrected_and_nothing_once_reported(login: Any, exam: ExamPlan, standins: Any,
                                                                           run_jobs: Any) -> None:
    client = login("hjp")
    tickets = [sitting.ticket_number for sitting in sittings(exam)]
    passed = {ticket: {"theory": 800, "practice": 800, "absent": False} for ticket in tickets}
    grade(standins, client, exam, passed)
    for _twice in range(2):
        client.post(f"/scores/{exam.id}/pull")
        run_jobs()
    assert results(exam) == ["passed"] * 3
    client.post(f"/scores/{exam.id}/submit")
    assert report_of(exam).review_state == "submitted"
    standins.control("exam", f"{exam.number}/grade", {tickets[0]: {"theory": 0, "practice": 0, "absent": False}})
    client.post(f"/scores/{exam.id}/pull")
    run_jobs()
    assert results(exam) == ["passed"] * 3


def test_a_part_that_is_not_marked_leaves_what_is_known(login: Any, exam: ExamPlan, make: Any) -> None:
    client = login("hjp")
    first, _second, third = (sitting.ticket_number for sitting in sittings(exam))
    upload(client, exam, filled(client, exam, [(70, 90.5, None), (70, 80, None), (None, None, "是")]))
    take_in(exam, [Mark(first, 850, None, False), Mark(third, None, None, False)], "pull", actor=make.actor("hjp"))
    assert [(sitting.theory, sitting.practice) for sitting in sittings(exam)] == [(850, 905), (700, 800), (None, None)]
    assert results(exam) == ["passed", "passed", "absent"]
    assert latest_intake(exam).changed == 1


def test_an_exam_that_was_not_confirmed_online_is_not_pulled(login: Any, make: Any, clock: Any, run_jobs: Any) -> None:
    offline = make.exam(people=1)
    clock.advance(days=1, minutes=1)
    client = login("hjp")
    assert "拉取考生成绩" not in client.get(f"/scores/{offline.id}").text
    client.post(f"/scores/{offline.id}/pull")
    assert "请先确认线上考核" in client.get(f"/scores/{offline.id}").text
    assert run_jobs() == 0


def test_the_exam_system_away_is_told_in_words_and_tried_again(login: Any, exam: ExamPlan, standins: Any, run_jobs: Any,
                                                               clock: Any) -> None:
    client = login("hjp")
    grade(standins, client, exam, {sitting.ticket_number: {"theory": 850, "practice": 900, "absent": False}
                                   for sitting in sittings(exam)})
    standins.control("exam", "settings", {"next_answers": ["500"]})
    client.post(f"/scores/{exam.id}/pull")
    run_jobs()
    assert db.session.scalars(select(Job.error).where(Job.name == "pull_scores")).one() == "考试系统暂时联系不上，稍后自动再试。"
    clock.advance(minutes=1)
    run_jobs()
    assert results(exam) == ["passed"] * 3


def test_an_exam_the_exam_system_does_not_know_is_told_in_words(login: Any, exam: ExamPlan, standins: Any, run_jobs: Any) -> None:
    client = login("hjp")
    client.post(f"/scores/{exam.id}/pull")
    run_jobs()
    page = client.get(f"/scores/{exam.id}").text
    assert "考试系统没有给出本场考核的成绩" in page
    assert "HTTP" not in page


def test_tickets_of_nobody_are_told_and_write_nothing(login: Any, exam: ExamPlan, make: Any) -> None:
    other = make.exam(people=1)
    foreign = sittings(other)[0].ticket_number
    take_in(exam, [Mark(foreign, 1000, 1000, False), Mark(sittings(exam)[0].ticket_number, 700, 700, False)], "pull",
            actor=make.actor("hjp"))
    assert results(other) == [None]
    assert results(exam) == ["passed", None, None]
    page = login("hjp").get(f"/scores/{exam.id}").text
    assert "有 1 个准考证号不属于本次考核" in page
    assert foreign in page


def test_nothing_to_pull_is_said_and_can_be_tried_again(login: Any, exam: ExamPlan, standins: Any, run_jobs: Any) -> None:
    client = login("hjp")
    client.post(f"/scores/{exam.id}/pull")
    run_jobs()
    assert report_of(exam) is None
    assert client.get(f"/scores/{exam.id}").status_code == 200


def test_scores_are_taken_from_a_workbook(login: Any, exam: ExamPlan) -> None:
    client = login("hjp")
    page = upload(client, exam, filled(client, exam, [(85, 90.5, None), (59.9, 100, None), (None, None, "是")]))
    assert results(exam) == ["passed", "failed", "absent"]
    assert [sitting.practice for sitting in sittings(exam)] == [905, 1000, None]
    assert "已写入 3 人的成绩" in page


@pytest.mark.parametrize(("row", "told"), [
    ((101, 80, None), "应在 0 到 100 之间"), ((-1, 80, None), "应在 0 到 100 之间"), (("优秀", 80, None), "应为 0 到 100 的数字"),
    ((80, None, None), "应为 0 到 100 的数字"), ((80.55, 80, None), "最多一位小数"), (("nan", 80, None), "应为 0 到 100 的数字"),
    ((True, 80, None), "应为 0 到 100 的数字"), (("inf", 80, None), "应在 0 到 100 之间"), ((80, 80, "是"), "标为缺考，却填了成绩"),
    ((None, None, "没来"), "只能填“是”或留空"),
])
def test_a_wrong_mark_writes_nothing_at_all(login: Any, exam: ExamPlan, row: tuple[Any, Any, Any], told: str) -> None:
    client = login("hjp")
    page = upload(client, exam, filled(client, exam, [(80, 80, None), row, (80, 80, None)]))
    assert told in page
    assert "第 4 行" in page
    assert results(exam) == [None, None, None]


def test_a_column_sorted_by_itself_is_noticed(login: Any, exam: ExamPlan) -> None:
    client = login("hjp")
    workbook = load_workbook(io.BytesIO(filled(client, exam, [(80, 80, None)] * 3)))
    sheet = workbook.worksheets[0]
    sheet["B3"].value, sheet["B4"].value = sheet["B4"].value, sheet["B3"].value
    out = io.BytesIO()
    workbook.save(out)
    page = upload(client, exam, out.getvalue())
    assert "第 3 行" in page
    assert "第 4 行" in page
    assert "第 5 行" not in page
    assert results(exam) == [None] * 3


def test_a_half_filled_sheet_is_taken_and_the_others_are_named(login: Any, exam: ExamPlan) -> None:
    client = login("hjp")
    page = upload(client, exam, filled(client, exam, [(80, 80, None), (None, None, None), (80, 80, None)]))
    assert results(exam) == ["passed", None, "passed"]
    assert "还有 1 名考生没有成绩" in page
    left = client.get(f"/scores/{exam.id}", query_string={"result": "none"}).text.split("<tbody>")[1]
    assert [sitting.ticket_number in left for sitting in sittings(exam)] == [False, True, False]
    assert "成绩没有写入" in upload(client, exam, filled(client, exam, []))


@pytest.mark.parametrize("data", [b"", b"no workbook", b"PK\x03\x04 broken"])
def test_what_is_no_workbook_is_told_and_writes_nothing(login: Any, exam: ExamPlan, data: bytes) -> None:
    client = login("hjp")
    upload(client, exam, data)
    assert report_of(exam) is None


def test_a_withdrawn_report_can_be_corrected_and_an_accepted_one_not_withdrawn(login: Any, exam: ExamPlan) -> None:
    client, city = login("hjp"), login("hangzhou")
    upload(client, exam, filled(client, exam, [(80, 80, None)] * 3))
    client.post(f"/scores/{exam.id}/submit")
    client.post(f"/scores/{exam.id}/withdraw")
    assert report_of(exam).review_state == "draft"
    upload(client, exam, filled(client, exam, [(50, 80, None)] * 3))
    assert results(exam) == ["failed"] * 3
    client.post(f"/scores/{exam.id}/submit")
    city.post(f"/reviews/scores/{report_of(exam).id}/accept")
    client.post(f"/scores/{exam.id}/withdraw")
    assert report_of(exam).review_state == "accepted"


def test_nobody_else_writes_or_reports_scores(login: Any, exam: ExamPlan) -> None:
    sheet = filled(login("hjp"), exam, [(80, 80, None)] * 3)
    for username, status in (("nbp", 404), ("hangzhou", 403), ("91330100MA2AAAA05G", 403)):
        client = login(username)
        for act in ("pull", "submit", "withdraw"):
            assert client.post(f"/scores/{exam.id}/{act}").status_code == status, f"{act} by {username}"
        answer = client.post(f"/scores/{exam.id}/upload", data={"workbook": (io.BytesIO(sheet), "s.xlsx")})
        assert answer.status_code == status, username
        assert client.get(f"/scores/{exam.id}/scores.xlsx").status_code == status
    assert results(exam) == [None] * 3


def test_someone_elses_ticket_is_refused(login: Any, exam: ExamPlan, make: Any) -> None:
    client = login("hjp")
    workbook = load_workbook(io.BytesIO(filled(client, exam, [(80, 80, None)] * 3)))
    workbook.worksheets[0]["A4"] = "999999999999"
    out = io.BytesIO()
    workbook.save(out)
    assert "不属于本次考核" in upload(client, exam, out.getvalue())
    assert results(exam) == [None, None, None]


def test_before_the_exam_there_are_no_scores(login: Any, make: Any, clock: Any) -> None:
    early = make.exam(people=1)
    client = login("hjp")
    client.post(f"/scores/{early.id}/pull")
    assert "考核尚未开始" in client.get(f"/scores/{early.id}").text
    assert report_of(early) is None


def test_a_report_waits_for_every_result(login: Any, exam: ExamPlan) -> None:
    client = login("hjp")
    upload(client, exam, filled(client, exam, [(80, 80, None)] * 3))
    sitting = sittings(exam)[0]
    sitting.result = sitting.theory = None
    db.session.commit()
    client.post(f"/scores/{exam.id}/submit")
    assert report_of(exam).review_state == "draft"
    assert "还有 1 名考生没有成绩" in client.get(f"/scores/{exam.id}").text


def test_a_report_is_accepted_rejected_corrected_and_approved(login: Any, exam: ExamPlan) -> None:
    client, city = login("hjp"), login("hangzhou")
    upload(client, exam, filled(client, exam, [(80, 80, None)] * 3))
    client.post(f"/scores/{exam.id}/submit")
    report = report_of(exam)
    assert report.exam_plan.name in city.get("/reviews/scores/").text
    for step, remark in (("accept", ""), ("reject", "第 2 名成绩有误")):
        city.post(f"/reviews/scores/{report.id}/{step}", data={"remark": remark})
    assert "第 2 名成绩有误" in client.get(f"/scores/{exam.id}").text
    upload(client, exam, filled(client, exam, [(80, 80, None), (20, 80, None), (80, 80, None)]))
    assert results(exam) == ["passed", "failed", "passed"]
    client.post(f"/scores/{exam.id}/submit")
    for step in ("accept", "approve"):
        city.post(f"/reviews/scores/{report.id}/{step}")
    assert report_of(exam).review_state == "approved"
    upload(client, exam, filled(client, exam, [(100, 100, None)] * 3))
    assert results(exam) == ["passed", "failed", "passed"]


def test_scores_are_exported_masked(login: Any, make: Any) -> None:
    report = make.report()
    sheet = load_workbook(io.BytesIO(login("hjp").get(f"/scores/{report.exam_plan_id}/scores.xlsx").data)).worksheets[0]
    cells = [str(cell.value) for row in sheet.iter_rows() for cell in row]
    number = sittings(report.exam_plan)[0].enrolment.id_number
    assert number not in cells
    assert any("********" in cell for cell in cells)
    assert "85" in cells
