"""How a list ends when something came in between, and what is told: a cancelled plan, people enrolled meanwhile, an old .xls (E12, C15)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy import func, select, update

from app import clock
from app.extensions import db
from models import Enrolment, ImportBatch, RosterUpload, TrainingPlan
from tests.factory import id_number, phone_number
from tests.test_roster_mending import book, line, mend, taken
from tests.test_rosters import ENTERPRISE, OTHER, bring, only_batch, reasons


@pytest.fixture
def plan(make: Any) -> TrainingPlan:
    return make.plan(occupations=("020", "040"), seats=50)


def call_off(plan_id: int) -> None:
    db.session.execute(update(TrainingPlan).where(TrainingPlan.id == plan_id).values(cancelled_at=clock.now()))
    db.session.commit()


@pytest.mark.parametrize("moment", ["before the job", "while it reads", "of a wrong list"])
def test_a_list_of_a_cancelled_plan_writes_nobody_and_says_why(login: Any, plan: TrainingPlan, run_jobs: Any, moment: str,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    from app.operations import rosters

    client = login(ENTERPRISE)
    location = bring(client, plan, book([line(1, phone="1" if moment == "of a wrong list" else "13900000001"), line(2)])).location
    if moment == "before the job":
        call_off(plan.id)
    else:
        real = rosters.live_elsewhere
        monkeypatch.setattr(rosters, "live_elsewhere", lambda plan_id, people: (call_off(plan_id), real(plan_id, people))[1])
    run_jobs()
    db.session.expire_all()
    assert (only_batch().state, taken()) == ("faulty", [])
    page = client.get(location).text
    assert "取消，不能再报名" in page
    assert "改好后上传" not in page
    assert "只导入无误" not in page
    if moment != "of a wrong list":
        assert "该培训计划已取消，名单没有导入" in page
    client.post(f"{location}/good")
    assert (only_batch().state, run_jobs()) == ("faulty", 0)


def test_a_clean_list_of_a_cancelled_plan_offers_no_order(login: Any, make: Any, plan: TrainingPlan) -> None:
    batch = make.batch(plan)
    call_off(plan.id)
    client = login(ENTERPRISE)
    for path in ("", "/photos"):
        page = client.get(f"/enrol/batches/{batch.id}{path}").text
        assert "取消，不能再报名" in page
        assert "生成订单" not in page
        assert "type=\"file\"" not in page


def test_who_was_enrolled_since_the_first_workbook_is_left_out_by_name_and_the_rest_is_taken(
        login: Any, make: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    """The first workbook has somebody who is enrolled already; its row is deleted, the others come again."""
    enrolled = make.paid(plan, 1).enrolments[0]
    client = login(ENTERPRISE)
    location = bring(client, plan, book([line(1, name=enrolled.name, number=enrolled.id_number), line(802, phone="1"), line(803)])).location
    run_jobs()
    batch = db.session.scalars(select(ImportBatch).order_by(ImportBatch.id.desc())).first()
    assert "不能重复报名" in reasons(batch)
    assert "整个表格" not in client.get(location).text
    mend(client, batch.id, book([line(802), line(803)]))
    run_jobs()
    db.session.refresh(batch)
    assert batch.state == "clean", batch.faults
    assert set(db.session.scalars(select(Enrolment.id_number).where(Enrolment.batch_id == batch.id))) == {id_number(802), id_number(803)}
    assert f"1 人已有报名，已从名单中去掉：{enrolled.name}已报名本计划" in client.get(location).text


def test_an_old_xls_through_the_page_tells_its_hidden_rows_and_its_formula(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    data = (Path(__file__).parent / "data" / "roster-hidden.xls").read_bytes()
    location = bring(client, plan, data, name="名单.xls").location
    run_jobs()
    batch = only_batch()
    assert [(fault["row"], fault["column"]) for fault in batch.faults] == [(6, "手机号")]
    assert "是公式" in reasons(batch)
    page = client.get(location).text
    assert "有 2 行是隐藏的（第 3～4 行）" in page
    assert client.get(f"{location}/marked.xlsx").headers["Content-Disposition"].endswith(".xlsx")
    client.post(f"{location}/good")
    run_jobs()
    assert {number for _name, number, _phone in taken()} == {id_number(n) for n in range(8801, 8805)}


def test_a_long_import_keeps_its_lease_while_a_workbook_is_read_and_marked(login: Any, plan: TrainingPlan, run_jobs: Any,
                                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    from app import jobs
    from app.documents import child

    monkeypatch.setattr(child, "PULSE", 0.002)
    told, real = [], jobs.report
    monkeypatch.setattr(jobs, "report", lambda job_id, done, total: (told.append(done), real(job_id, done, total))[1])
    bring(login(ENTERPRISE), plan, book([line(1, phone="1"), line(2)]))
    run_jobs()
    assert only_batch().state == "faulty"
    assert min(told.count(0), told.count(1)) > 1, "while it is read, and while it is marked"


def test_faults_are_told_in_the_language_of_the_page_the_list_was_brought_on(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    client.get("/lang/en")
    location = bring(client, plan, book([line(1, phone="1"), line(2)])).location
    run_jobs()
    assert reasons(only_batch()) == "A mobile number has 11 digits and begins with 1."
    assert "It has 1 digits" in client.get(location).text


def test_rows_that_did_not_come_again_are_named_and_their_marked_workbook_stays(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    rows = [line(1), line(2, phone="12"), line(3, phone="1"), line(4, number=id_number(4)[:-1]), line(5, occupation="钢经工")]
    location = bring(client, plan, book(rows)).location
    run_jobs()
    first = db.session.scalars(select(RosterUpload)).one().id
    mend(client, only_batch().id, book([line(2), line(4), line(5, phone="1")]))  # by number, by name, and one that is wrong still
    run_jobs()
    db.session.expire_all()
    batch = only_batch()
    assert [(each["row"], each["name"]) for each in batch.findings["missing"]] == [(4, line(3)[0])]
    assert "手机号应为 11 位" in batch.findings["missing"][0]["reason"]
    page = client.get(location).text
    assert "还没有送来的行" in page
    assert f"upload={first}" in page
    earlier = client.get(f"{location}/marked.xlsx?upload={first}")
    assert len(load_workbook(io.BytesIO(earlier.data))["Sheet"]["A"]) == 6
    assert client.get(f"{location}/marked.xlsx?upload=999").status_code == 404
    assert login(OTHER).get(f"{location}/marked.xlsx?upload={first}").status_code == 404
    mend(login(ENTERPRISE), batch.id, book([line(3)]))  # the row that was wrong still is of the second workbook
    run_jobs()
    db.session.expire_all()
    assert [each["row"] for each in only_batch().findings["missing"]] == [4]
    assert [each["upload"] for each in only_batch().findings["marked"]] == [first, first + 1]
    mend(login(ENTERPRISE), batch.id, book([line(5)]))
    run_jobs()
    db.session.expire_all()
    assert (only_batch().state, only_batch().people) == ("clean", 5)


def test_a_list_without_one_good_row_is_mended_row_by_row_too(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    location = bring(client, plan, book([line(n, phone="1") for n in range(3)])).location
    run_jobs()
    assert (only_batch().good, only_batch().faulty_rows) == (0, 3)
    assert "可以只送来改好的行" in client.get(location).text
    mend(client, only_batch().id, book([line(0)]))
    run_jobs()
    db.session.expire_all()
    assert (only_batch().state, only_batch().good, only_batch().faulty_rows) == ("faulty", 1, 2)
    assert [each["name"] for each in only_batch().findings["missing"]] == [line(1)[0], line(2)[0]]
    assert "还有 2 行没有送来" in client.get(location).text
    mend(client, only_batch().id, book([line(2), line(1)]))
    run_jobs()
    db.session.expire_all()
    assert (only_batch().state, only_batch().people) == ("clean", 3)


def test_more_people_than_seats_are_not_offered_and_another_list_takes_their_place(login: Any, make: Any, run_jobs: Any) -> None:
    plan = make.plan(occupations=("020",), seats=11)
    client = login(ENTERPRISE)
    location = bring(client, plan, book([line(n) for n in range(12)])).location
    run_jobs()
    page = client.get(location).text
    assert "只导入无误的" not in page
    assert "至少删去 1 人" in page
    answer = client.post(f"{location}/good", follow_redirects=True)
    assert "超过本计划的总名额 11 人，不能导入" in answer.text
    assert (only_batch().state, run_jobs()) == ("faulty", 0)

    def anew(where: str) -> None:
        client.post(f"{where}/mend", data={"workbook": (io.BytesIO(book([line(n) for n in range(11)])), "少一人.xlsx"), "consent": "1",
                                           "anew": "1"})
        run_jobs()
        db.session.expire_all()

    anew(location)
    anew(f"/enrol/batches/{db.session.scalar(select(func.max(ImportBatch.id)))}")  # a stale page throws no list away that is in
    lists = db.session.execute(select(ImportBatch.state, ImportBatch.people).order_by(ImportBatch.id)).all()
    assert [tuple(each) for each in lists] == [("discarded", 0), ("clean", 11)]


def test_a_workbook_without_a_column_that_is_wanted_can_come_again_whole(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    location = bring(client, plan, book([line(30)[:3]], ["姓名", "身份证号", "手机号"])).location
    run_jobs()
    page = client.get(location).text
    assert only_batch().state == "unmapped"
    assert "没有认出：职业（工种）名称、职业等级、职称、文化程度" in page
    assert phone_number(30)[:6] not in page, "the example of a phone is masked as any other"
    assert f'action="{location}/mend"' in page
    mend(client, only_batch().id, book([line(30)]))
    run_jobs()
    db.session.expire_all()
    assert (only_batch().state, only_batch().people) == ("clean", 1)
