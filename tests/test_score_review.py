"""What the reviewer of scores sees: how they are spread, and what stands out (B5)."""

from __future__ import annotations

from typing import Any

from app.extensions import db
from app.operations.score_statistics import outliers, spreads
from models import ExamPlan, ExamRoom, ScoreReport


def marked(make: Any, marks: list[tuple[int | None, int | None]], *, rooms: int = 1) -> ScoreReport:
    """A submitted report with these marks, the people dealt out to the rooms in turn."""
    report: ScoreReport = make.report("submitted", people=len(marks))
    exam = db.session.get_one(ExamPlan, report.exam_plan_id)
    first = exam.rooms[0]
    others = [ExamRoom(exam_plan_id=exam.id, number=n, place="", occupation_id=first.occupation_id) for n in range(2, rooms + 1)]
    db.session.add_all(others)
    db.session.flush()
    for n, (sitting, (theory, practice)) in enumerate(zip(exam.sittings, marks, strict=True)):
        sitting.theory, sitting.practice = theory, practice
        sitting.result = "absent" if theory is None else "passed"
        sitting.room_id = [first, *others][n % rooms].id
    db.session.commit()
    db.session.expire_all()
    return report


def exam_of(report: ScoreReport) -> ExamPlan:
    return db.session.get_one(ExamPlan, report.exam_plan_id)


def test_the_spread_counts_everyone_who_has_a_mark_once(make: Any, app: Any) -> None:
    report = marked(make, [(0, 599), (99, 600), (100, 1000), (999, 1000), (None, None)])
    theory, practice = spreads(exam_of(report))
    assert theory.counts == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert practice.counts == [0, 0, 0, 0, 0, 1, 1, 0, 0, 2]
    assert (theory.mean, practice.mean, theory.passing) == (300, 800, 600)


def test_an_ordinary_exam_has_nothing_that_stands_out(make: Any, login: Any) -> None:
    report = marked(make, [(700 + n * 7, 720 + n * 5) for n in range(12)], rooms=2)
    assert outliers(exam_of(report)) == []
    assert "没有发现异常" in login("hangzhou").get(f"/reviews/scores/{report.id}").text


def test_a_room_far_above_the_others_equal_marks_and_far_apart_marks_stand_out(make: Any, login: Any) -> None:
    marks = [(980 if n % 2 else 600 + n, 980 if n % 2 else 640 + n) for n in range(12)]
    marks[0] = (950, 400)
    report = marked(make, marks, rooms=2)
    said = " ".join(each.sentence for each in outliers(exam_of(report)))
    assert "第 2 考场平均 98.0 分" in said
    assert "6 人两项成绩完全相同（理论 98，实操 98）" in said
    assert "理论 95，实操 40，相差很大" in said
    page = login("hangzhou").get(f"/reviews/scores/{report.id}").text
    assert "值得留意" in page
    assert "成绩分布" in page
    assert page.count("<svg viewBox") >= 2


def test_small_groups_are_not_judged(make: Any, app: Any) -> None:
    report = marked(make, [(990, 990), (600, 610), (995, 985), (605, 615)], rooms=2)
    assert outliers(exam_of(report)) == []


def test_the_statements_do_not_grow_with_the_exam(make: Any, app: Any) -> None:
    from sqlalchemy import event

    exam = exam_of(marked(make, [(700, 710)] * 40, rooms=4))
    sent: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *given: sent.append(given[2]))
    outliers(exam)
    spreads(exam)
    assert len([each for each in sent if each.startswith("SELECT")]) <= 7
