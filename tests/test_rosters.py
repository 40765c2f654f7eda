"""《报名人员信息表》: taken in whole, or every fault told and nothing written (E10–E13, C5, C15)."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from app.extensions import db, transaction
from models import AuditEvent, Enrolment, ImportBatch, Job, TrainingPlan
from tests.people import Person, filled_roster, people_of

ENTERPRISE, OTHER = "91330100MA2AAAA05G", "91330212MA2AAAA052"


@pytest.fixture
def plan(make: Any) -> TrainingPlan:
    return make.plan(occupations=("020", "040"))


def template(client: Any) -> bytes:
    answer = client.get("/enrol/roster.xlsx")
    assert answer.status_code == 200
    return bytes(answer.data)


def bring(client: Any, plan: TrainingPlan, data: bytes, *, consent: str = "1", name: str = "名单.xlsx") -> Any:
    return client.post(f"/enrol/plans/{plan.id}/import", data={"workbook": (io.BytesIO(data), name), "consent": consent})


def only_batch() -> ImportBatch:
    return db.session.scalars(select(ImportBatch)).one()


def reasons(batch: ImportBatch) -> str:
    return " ".join(fault["reason"] for fault in batch.faults)


def test_a_clean_roster_becomes_drafts(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    people = people_of([("钢筋工", 4), ("混凝土工", 2)])
    answer = bring(client, plan, filled_roster(template(client), people))
    assert answer.status_code == 303
    assert only_batch().state == "waiting"
    assert "正在检查名单" in client.get(answer.location).text
    run_jobs()
    assert (only_batch().state, only_batch().people) == ("clean", 6)
    drafts = db.session.scalars(select(Enrolment).order_by(Enrolment.id)).all()
    assert [(row.name, row.id_number, row.phone, row.state) for row in drafts] == [
        (person.name, person.id_number, person.phone, "draft") for person in people]
    page = client.get(answer.location).text
    assert "还有 6 人缺照片" in page
    assert people[0].id_number not in page
    assert db.session.get(TrainingPlan, plan.id).seats_taken == 0


def test_numbers_are_not_readable_in_the_database(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    person = people_of([("钢筋工", 1)])[0]
    bring(client, plan, filled_roster(template(client), [person]))
    run_jobs()
    stored = db.session.execute(text("SELECT id_number, phone FROM enrolment")).one()
    assert person.id_number.encode() not in bytes(stored[0])
    assert person.phone.encode() not in bytes(stored[1])


def test_a_faulty_roster_writes_nothing_and_tells_every_fault(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    good = people_of([("钢筋工", 3)])
    bad = [
        good[0], Person("", good[1].id_number, good[1].phone, "钢筋工"),
        Person("张三", good[2].id_number[:-1] + ("0" if good[2].id_number[-1] != "0" else "1"), "12345", "钢筋工"),
        Person("李四", good[0].id_number, "13800138000", "砌筑工"), Person("王五", "33010620150101001X", "13800138000", "钢筋弓"),
    ]
    location = bring(client, plan, filled_roster(template(client), bad)).location
    run_jobs()
    batch = only_batch()
    assert batch.state == "faulty"
    assert db.session.scalars(select(Enrolment)).all() == []
    told = {(fault["row"], fault["column"]) for fault in batch.faults}
    assert {(4, "姓名"), (5, "身份证号"), (5, "手机号"), (6, "身份证号"), (6, "职业（工种）名称"), (7, "职业（工种）名称")} <= told
    assert "与第 3 行重复" in reasons(batch)
    assert "本培训计划不含这个工种和等级" in reasons(batch)
    assert "是不是：钢筋工" in next(fault["advice"] for fault in batch.faults if (fault["row"], fault["column"]) == (7, "职业（工种）名称"))
    assert "没有导入" in client.get(location).text


def test_the_same_workbook_comes_back_with_the_cells_marked(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    people = people_of([("钢筋工", 2)])
    bring(client, plan, filled_roster(template(client), [people[0], Person("张三", "1", people[1].phone, "钢筋工")]))
    run_jobs()
    answer = client.get(f"/enrol/batches/{only_batch().id}/marked.xlsx")
    sheet = load_workbook(io.BytesIO(answer.data))["人员信息"]
    assert sheet["A3"].value == people[0].name
    assert sheet["B4"].comment is not None
    assert "18 位" in sheet["B4"].comment.text
    assert sheet["B3"].comment is None


@pytest.mark.parametrize(("data", "told"), [
    (b"", "这不是 Excel 表格"), (b"%PDF-1.7 nothing", "这不是 Excel 表格"), (b"<html></html>", "这不是 Excel 表格"),
])
def test_what_is_no_workbook_is_told_so(login: Any, plan: TrainingPlan, run_jobs: Any, data: bytes, told: str) -> None:
    bring(login(ENTERPRISE), plan, data)
    run_jobs()
    assert only_batch().state == "faulty"
    assert told in reasons(only_batch())


def test_a_number_excel_has_rounded_is_said_so_and_not_guessed(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    workbook = load_workbook(io.BytesIO(filled_roster(template(client), people_of([("钢筋工", 1)]))))
    workbook["人员信息"]["B3"] = 3.30106e17
    out = io.BytesIO()
    workbook.save(out)
    bring(client, plan, out.getvalue())
    run_jobs()
    assert "末几位已丢失" in reasons(only_batch())


def test_without_consent_nothing_is_taken(login: Any, plan: TrainingPlan) -> None:
    client = login(ENTERPRISE)
    bring(client, plan, filled_roster(template(client), people_of([("钢筋工", 1)])), consent="")
    assert db.session.scalars(select(ImportBatch)).all() == []
    assert "请确认已取得本人同意" in client.get("/enrol/").text


def test_consent_is_on_record(login: Any, plan: TrainingPlan) -> None:
    client = login(ENTERPRISE)
    bring(client, plan, filled_roster(template(client), people_of([("钢筋工", 1)])))
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "import_roster")).one()
    assert event.facts["workers_consented"] is True


@pytest.mark.parametrize("window", [(timedelta(days=1), timedelta(days=5)), (timedelta(days=-5), timedelta(days=-1))])
def test_outside_the_window_nobody_imports(login: Any, make: Any, window: Any) -> None:
    closed = make.plan(window=window)
    client = login(ENTERPRISE)
    assert bring(client, closed, filled_roster(template(client), people_of([("钢筋工", 1)]))).status_code == 303
    assert db.session.scalars(select(ImportBatch)).all() == []


def test_an_enterprise_that_is_not_approved_cannot_import(login: Any, make: Any, plan: TrainingPlan) -> None:
    client = login(ENTERPRISE)
    data = filled_roster(template(client), people_of([("钢筋工", 1)]))
    make.enterprise().review_state = "submitted"
    db.session.commit()
    bring(client, plan, data)
    assert db.session.scalars(select(ImportBatch)).all() == []
    assert "暂不能报名" in client.get("/enrol/").text


def test_a_person_who_is_enrolled_already_is_named(login: Any, make: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    order = make.paid(plan, 1)
    taken = order.enrolments[0]
    bring(client, plan, filled_roster(template(client), [Person(taken.name, taken.id_number, taken.phone, "钢筋工")]))
    run_jobs()
    assert only_new_batch(order.batch_id).state == "faulty"
    assert "不能重复报名" in reasons(only_new_batch(order.batch_id))


def only_new_batch(other: int) -> ImportBatch:
    return db.session.scalars(select(ImportBatch).where(ImportBatch.id != other)).one()


def test_an_import_that_runs_twice_writes_once(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    from app.operations.rosters import run_import

    client = login(ENTERPRISE)
    bring(client, plan, filled_roster(template(client), people_of([("钢筋工", 3)])))
    run_jobs()
    run_import(only_batch().id, lambda done, total: None)
    assert len(db.session.scalars(select(Enrolment)).all()) == 3


def test_an_import_that_died_half_way_leaves_nothing_and_is_done_after(login: Any, plan: TrainingPlan, run_jobs: Any, clock: Any,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    from app import jobs
    from app.operations import rosters

    client = login(ENTERPRISE)
    bring(client, plan, filled_roster(template(client), people_of([("钢筋工", 3)])))
    job = db.session.scalars(select(Job)).one()
    jobs.take(job.id)  # a worker takes it and is killed: no report, no end

    def killed(*_args: Any) -> None:
        raise SystemExit("killed")

    monkeypatch.setattr(rosters, "_write_people", killed)
    with pytest.raises(SystemExit):
        rosters.run_import(only_batch().id, lambda done, total: None)
    db.session.rollback()
    monkeypatch.undo()
    assert only_batch().state == "waiting"
    assert run_jobs() == 0
    from app import clock as module
    monkeypatch.setattr(module, "now", clock.now)
    clock.advance(seconds=31)
    assert run_jobs() == 1
    assert (only_batch().state, len(db.session.scalars(select(Enrolment)).all())) == ("clean", 3)


@pytest.mark.parametrize("column", ["institution_id", "authority_id"])
def test_nobody_can_be_written_under_another_institution_or_authority_than_the_plans(make: Any, plan: TrainingPlan, column: str) -> None:
    person, other = make.paid(plan, 1).enrolments[0], make.plan(institution="nbp")
    assert getattr(person, column) != getattr(other, column)
    with pytest.raises(IntegrityError), transaction() as session:
        session.execute(update(Enrolment).where(Enrolment.id == person.id).values({column: getattr(other, column)}))
    same = {"plan_id": other.id, "institution_id": other.institution_id, "authority_id": other.authority_id}
    with transaction() as session:
        session.execute(update(Enrolment).where(Enrolment.id == person.id).values(same))


def test_another_enterprises_list_is_not_found(login: Any, make: Any, plan: TrainingPlan) -> None:
    batch = make.batch(plan)
    client = login(OTHER)
    for url in (f"/enrol/batches/{batch.id}", f"/enrol/batches/{batch.id}/marked.xlsx"):
        assert client.get(url).status_code == 404
    assert client.post(f"/enrol/batches/{batch.id}/discard").status_code == 404
    assert db.session.get(ImportBatch, batch.id).state == "clean"


def test_a_designated_plan_is_seen_by_its_enterprises_only(login: Any, make: Any) -> None:
    designated = make.plan(enrolment_form="designated")
    designated.designated = [make.enterprise()]
    db.session.commit()
    assert login(ENTERPRISE).get(f"/enrol/plans/{designated.id}").status_code == 200
    assert login(OTHER).get(f"/enrol/plans/{designated.id}").status_code == 404
    assert designated.name not in login(OTHER).get("/enrol/").text


def test_a_discarded_list_is_gone_but_an_ordered_one_stays(login: Any, make: Any, plan: TrainingPlan) -> None:
    batch, ordered = make.batch(plan), make.paid(plan, 2)
    client = login(ENTERPRISE)
    client.post(f"/enrol/batches/{batch.id}/discard")
    client.post(f"/enrol/batches/{ordered.batch_id}/discard")
    assert db.session.get(ImportBatch, batch.id).state == "discarded"
    assert db.session.get(ImportBatch, ordered.batch_id).state == "clean"
    assert {row.batch_id for row in db.session.scalars(select(Enrolment))} == {ordered.batch_id}
