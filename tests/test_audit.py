"""The audit record: what it says, that nobody can change it, and the administrator's screen."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from openpyxl import load_workbook
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from app import audit
from app.actors import SYSTEM
from app.audit import words
from app.extensions import db, transaction
from app.operations import audit_exports, filings
from models import AuditEvent, Occupation, TrainingPlan
from models.audit import APPEND_ONLY
from tests.test_plans import form


def newest(verb: str) -> AuditEvent:
    return db.session.scalars(select(AuditEvent).where(AuditEvent.verb == verb).order_by(AuditEvent.id.desc())).first()  # type: ignore[return-value]


def events(count: int, clock: Any, **values: Any) -> None:
    """Rows of a busy day."""
    with transaction() as session:
        session.execute(insert(AuditEvent), [
            {"at": clock.moment + timedelta(seconds=n), "actor_name": "李四", "organisation": "某公司", "address": "10.0.0.9",
             "verb": "reveal_person", "subject_kind": "enrolment", "subject_id": n, "facts": {}, **values} for n in range(count)])


# What a row was and becomes

def test_an_edited_plan_is_on_record_with_before_and_after(login: Any, make: Any) -> None:
    client = login("hjp")
    client.post("/plans/add", data=form(make))
    made = newest("save_plan").facts["changed"]
    assert made["seats"] == [None, 60]
    plan = db.session.scalars(select(TrainingPlan)).one()
    changed = form(make, **{"days-0-id": str(plan.days[0].id), "seats": "45", "place": "基地 2 号楼", "days-0-topic": "用电安全"})
    assert client.post(f"/plans/{plan.id}/edit", data=changed).status_code == 303
    facts = newest("save_plan").facts["changed"]
    assert set(facts) == {"seats", "place", "days"}
    assert facts["seats"] == [60, 45]
    assert facts["place"] == ["基地 1 号楼", "基地 2 号楼"]
    assert "安全" in facts["days"][0][0]
    assert "用电安全" in facts["days"][1][0]


def test_a_changed_phone_is_on_record_masked(app: Flask, make: Any) -> None:
    row = make.institution("hjp")
    row.review_state = "draft"
    db.session.commit()
    before = row.contact_phone
    typed = filings.filing_of(row).typed | {"address": "新地址 8 号", "contact_phone": "13912345678"}
    filings.save(row, typed, actor=make.actor("hjp"))
    filings.submit(row, actor=make.actor("hjp"))
    facts = newest("submit_filing").facts
    assert facts["changed"]["address"][1] == "新地址 8 号"
    assert facts["changed"]["contact_phone"][1] == "139****5678"
    assert "13912345678" not in str(facts)
    assert before is None or before not in str(facts)


def test_what_was_before_is_read_from_the_database_where_the_row_was_not(app: Flask) -> None:
    entry = db.session.scalars(select(Occupation).where(Occupation.code == "020")).one()
    was = entry.name
    db.session.expire(entry)
    entry.name = "钢筋工人"
    assert audit.changed(entry) == {"name": [was, "钢筋工人"]}
    assert audit.changed(entry, without=("name",)) == {}
    db.session.rollback()


def test_a_digest_and_a_password_never_stand_in_the_record(app: Flask, make: Any) -> None:
    row = make.enterprise()
    row.phone, row.phone_index = "13900001111", b"0123456789abcdef"
    assert set(audit.changed(row)) == {"phone"}
    user = make.actor("admin")
    account = db.session.get_one(audit_exports.User, user.user_id)
    account.password = "pbkdf2:of-something"  # noqa: S105
    assert audit.changed(account) == {"password": ["***", "***"]}
    db.session.rollback()


def test_a_changed_dictionary_says_what_was(login: Any) -> None:
    admin = login("admin")
    admin.post("/console/parameters/edit/?id=certificate_number", data={"value": "ZJ{yyyy}{seq:5}"})
    facts = newest("change_entry").facts
    assert facts["key"] == "certificate_number"
    assert facts["changed"]["value"][1] == "ZJ{yyyy}{seq:5}"
    assert facts["changed"]["value"][0] not in (None, "ZJ{yyyy}{seq:5}")


# Nobody changes it

@pytest.mark.parametrize("table", APPEND_ONLY)
def test_the_database_refuses_to_change_or_remove_a_record(app: Flask, make: Any, table: str) -> None:
    from app.audit import chain

    with transaction():
        audit.record(SYSTEM, "seats_differ", "training_plan")
    chain.seal()
    make.report("submitted")
    key = "seq" if table == "audit_seal" else "id"
    column = {"audit_event": "verb", "audit_seal": "hash", "review_event": "remark"}[table]
    if not db.session.execute(text(f"SELECT count(*) FROM {table}")).scalar():  # noqa: S608
        pytest.fail(f"no row in {table}")
    db.session.commit()
    for statement in (f"UPDATE {table} SET {column} = 'x'", f"DELETE FROM {table}",  # noqa: S608
                      *([f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}"] if db.engine.dialect.name == "sqlite" else  # noqa: S608
                        [f"TRUNCATE {table}"])):
        with pytest.raises(DBAPIError, match="append-only"):
            db.session.execute(text(statement))
        db.session.rollback()
    assert db.session.execute(text(f"SELECT min({key}) FROM {table}")).scalar()  # noqa: S608


# The words

def _recorded() -> Iterator[tuple[str, str]]:
    """Every verb and kind that the code records, (what, where)."""
    root = Path(__file__).resolve().parent.parent
    for path in [*(root / "app").rglob("*.py"), *(root / "views").glob("*.py"), *(root / "workers").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("audit.record") and len(node.args) > 1:
                verbs = [node.args[1].body, node.args[1].orelse] if isinstance(node.args[1], ast.IfExp) else [node.args[1]]
                yield from ((each.value, path.name) for each in verbs if isinstance(each, ast.Constant))


def test_every_verb_that_the_code_records_has_words() -> None:
    found = set(_recorded())
    assert len(found) > 30
    assert sorted(f"{verb} ({where})" for verb, where in found if verb not in words.VERBS) == []


def test_every_kind_of_row_that_is_named_is_a_table() -> None:
    assert [name for name in words.KINDS if name not in db.metadata.tables] == []


def test_values_are_said_as_people_say_them(app: Flask) -> None:
    with app.test_request_context():
        assert words.changes({"changed": {"fee_fen": [83000, 100], "enabled": [True, False], "name": [None, "甲"]}}) == [
            ("费用", "¥830.00", "¥1.00"), ("是否启用", "是", "否"), ("名称", "—", "甲")]
        assert words.value("starts_at", "2026-11-24T01:30:00+00:00") == "2026-11-24 09:30"
        assert words.value("name", "2026-99-99T99:99") == "2026-99-99T99:99"
        assert words.others({"count": 3, "changed": {}, "strange": ["a", 1]}) == [("数量", "3"), ("strange", "a、1")]
        assert words.field("room 3") == "第 3 考场"
        assert words.value("days", ["2026-12-10 all 用电安全"]) == "2026-12-10 全天 用电安全"
        assert words.value("by", {"verb": "reveal_person", "person": "all"}) == "操作 查看完整身份证号和手机号；人员 all"
        assert words.value("ids", [*range(101)]).endswith("99 等 101 项")
        assert words.changes({"changed": 3}) == []
        assert words.changes({"changed": {"a": "odd"}}) == []


# The screen

def test_the_administrator_finds_an_act_and_reads_what_was_before(login: Any, make: Any) -> None:
    client = login("hjp")
    client.post("/plans/add", data=form(make))
    event = newest("save_plan")
    admin = login("admin")
    page = admin.get("/audit/", query_string={"person": "hjp", "verb": "save_plan", "organisation": "建工", "kind": "training_plan",
                                              "subject": str(event.subject_id)}).text
    assert f"/audit/{event.id}" in page
    assert "保存培训计划" in page
    detail = admin.get(f"/audit/{event.id}").text
    assert "修改前" in detail
    assert "¥830.50" in detail
    assert "等待封存" in detail
    assert admin.get("/audit/999999").status_code == 404


def test_each_filter_narrows(login: Any, clock: Any) -> None:
    events(3, clock)
    events(1, clock, actor_name="王五", address="10.0.0.7", at=clock.moment - timedelta(days=30))
    admin = login("admin")

    def rows(**criteria: str) -> int:
        return admin.get("/audit/", query_string=criteria).text.count('class="do"')

    day = (clock.moment - timedelta(days=10)).date().isoformat()
    assert rows(person="王五") == 1
    assert rows(person="王") == 0
    assert rows(address="10.0.0.7") == 1
    assert rows(address="10.0.0.9", subject="2") == 1
    assert rows(to=day) == 1
    assert rows(**{"from": day, "organisation": "某公"}) == 3
    assert rows(**{"from": "gestern"}) == 0
    assert rows(subject="x") == 0


@pytest.mark.parametrize("username", ["hangzhou", "hjp", "91330100MA2AAAA05G"])
def test_the_record_is_the_administrators(login: Any, clock: Any, username: str) -> None:
    events(1, clock)
    client = login(username)
    event = newest("reveal_person")
    assert client.get("/audit/").status_code == 403
    assert client.get(f"/audit/{event.id}").status_code == 403
    assert client.post("/audit/export").status_code == 403
    assert not newest("export_audit")


def test_an_export_has_what_was_found_and_is_itself_on_record(login: Any, clock: Any) -> None:
    events(2, clock)
    events(1, clock, actor_name="=cmd|' /C calc'!A0")
    answer = login("admin").post("/audit/export", data={"verb": "reveal_person"})
    sheet = load_workbook(io.BytesIO(answer.data)).worksheets[0]
    cells = [cell for row in sheet.iter_rows() for cell in row]
    assert sheet.max_row == 4
    assert "=cmd|' /C calc'!A0" in {cell.value for cell in cells}
    assert all(cell.data_type != "f" for cell in cells)
    assert "查看完整身份证号和手机号" in {cell.value for cell in cells}
    kept = newest("export_audit")
    assert kept.facts == {"count": 3, "by": {"verb": "reveal_person"}}
    assert kept.actor_name


def test_a_long_export_is_written_by_a_job_and_only_for_the_administrator(
        login: Any, clock: Any, run_jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_exports, "AT_ONCE", 3)
    monkeypatch.setattr(audit_exports, "CHUNK", 2)
    events(5, clock)
    events(1, clock, actor_name="王五")
    admin = login("admin")
    answer = admin.post("/audit/export", data={"person": "李四"})
    event = newest("export_audit")
    assert answer.location.endswith(f"/audit/{event.id}")
    assert "data-progress" in admin.get(answer.location).text
    events(1, clock)  # later than the export: not in it
    assert run_jobs() == 1
    found = re.search(r'href="(/files/\d+)"', admin.get(answer.location).text)
    assert found
    sheet = load_workbook(io.BytesIO(admin.get(found[1]).data)).worksheets[0]
    assert [row[1].value for row in sheet.iter_rows(min_row=2)] == ["李四"] * 5
    assert login("hangzhou").get(found[1]).status_code == 404
    audit_exports.run_export(event.id, lambda done, total: None)
    assert db.session.query(audit_exports.StoredFile).filter_by(kind="audit_export").count() == 1


def test_too_long_an_export_is_refused_in_words(login: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_exports, "MOST_EXPORTED", 2)
    events(3, clock)
    answer = login("admin").post("/audit/export", follow_redirects=True)
    assert "请缩短时间段" in answer.text
    assert newest("export_audit") is None
