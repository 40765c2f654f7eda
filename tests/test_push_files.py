"""The other way to the ministry: a file that a person takes there, and the word on what became of it (M1)."""

from __future__ import annotations

import io
import sqlite3
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook
from sqlalchemy import func, select

from app.extensions import db
from app.operations import certificates, push, push_files
from models import AuditEvent, Certificate, PushBatch


@pytest.fixture
def waiting(app: Any, make: Any, monkeypatch: Any) -> list[Certificate]:
    monkeypatch.setitem(app.extensions, "settings", replace(app.extensions["settings"], ministry_adapter="file"))
    certificates.run_issue(make.report(people=3).id, lambda done, total: None)
    return every()


def every() -> list[Certificate]:
    db.session.expire_all()
    return list(db.session.scalars(select(Certificate).order_by(Certificate.number)))


def batch() -> PushBatch:
    return db.session.scalars(select(PushBatch).order_by(PushBatch.id.desc())).first()


def results(*rows: tuple[str, str, str]) -> tuple[io.BytesIO, str]:
    book, out = Workbook(), io.BytesIO()
    book.active.append(["证书编号", "推送结果", "失败原因"])
    for row in rows:
        book.active.append(list(row))
    book.save(out)
    return io.BytesIO(out.getvalue()), "结果.xlsx"


def test_a_file_has_what_waits_once_and_its_results_come_back(waiting: list[Certificate], login: Any, standins: Any) -> None:
    push.run_push(0, lambda done, total: None)
    assert standins.control("ministry", "certificates.json")["calls"] == {}, "nothing goes by itself"
    city = login("hangzhou")
    city.post("/push/batches")
    city.post("/push/batches")
    assert "没有待推送的证书" in city.get("/push/").text
    found = batch()
    sheet = load_workbook(io.BytesIO(city.get(f"/push/batches/{found.id}/certificates.xlsx").data)).worksheets[0]
    cells = [str(cell.value) for row in sheet.iter_rows() for cell in row]
    assert all(row.number in cells and row.id_number in cells for row in waiting)
    assert [row.push_state for row in every()] == ["exported"] * 3
    first, second, third = (row.number for row in waiting)
    for wrong, said in ((results((first, "成功", "")), "没有结果"), (results((first, "也许", "")), "成功”或“失败"),
                        (results(("X1", "成功", "")), "不在这个批次")):
        city.post(f"/push/batches/{found.id}/confirm", data={"file": wrong})
        assert said in city.get("/push/").text
        assert [row.push_state for row in every()] == ["exported"] * 3
    city.post(f"/push/batches/{found.id}/confirm", data={
        "file": results((first, "成功", ""), (second, "失败", "姓名与公安库不符"), (third, "成功", ""))})
    assert [row.push_state for row in every()] == ["pushed", "failed", "pushed"]
    page = city.get("/push/?push=failed").text
    assert "姓名与公安库不符" in page
    assert (batch().state, batch().pushed) == ("confirmed", 2)
    city.post(f"/push/batches/{found.id}/confirm", data={"all": "1"})
    assert "已经处理过" in city.get("/push/").text


def test_what_was_revoked_meanwhile_waits_for_the_next_file(waiting: list[Certificate], login: Any) -> None:
    city = login("hangzhou")
    city.post("/push/batches")
    city.post(f"/certificates/{waiting[0].id}/revoke", data={"remark": "成绩取消"})
    city.post(f"/push/batches/{batch().id}/confirm", data={"all": "1"})
    assert [row.push_state for row in every()] == ["waiting", "pushed", "pushed"]
    assert every()[0].push_word == "pushed"
    city.post("/push/batches")
    assert batch().people == 1


def test_a_file_that_was_not_used_is_discarded_and_strangers_have_no_part_in_it(waiting: list[Certificate], login: Any) -> None:
    city = login("hangzhou")
    city.post("/push/batches")
    key = batch().id
    assert login("ningbo").post(f"/push/batches/{key}/confirm", data={"all": "1"}).status_code == 404
    assert login("hjp").post(f"/push/batches/{key}/discard").status_code == 403
    login("province").post(f"/push/batches/{key}/confirm", data={"all": "1"})
    assert batch().state == "exported"
    city.post(f"/push/batches/{key}/discard")
    assert [row.push_state for row in every()] == ["waiting"] * 3


def test_a_file_is_handed_out_though_somebody_writes_meanwhile(waiting: list[Certificate], login: Any, monkeypatch: Any) -> None:
    """What is on record is written by a page that only shows: it must hold the lock before it looks, or the writing fails."""
    city = login("hangzhou")
    city.post("/push/batches")
    record, path = push_files.audit.record, f"/push/batches/{batch().id}/certificates.xlsx"

    def meanwhile(*given: Any) -> Any:
        event = record(*given)
        with db.engine.connect() as another, suppress(sqlite3.OperationalError):
            bare: Any = another.connection.driver_connection
            if db.engine.dialect.name == "sqlite":
                bare.execute("PRAGMA busy_timeout=50")
            bare.execute("UPDATE certificate SET push_attempts = push_attempts + 1")
            bare.commit()
        return event

    monkeypatch.setattr(push_files.audit, "record", meanwhile)
    assert city.get(path).status_code == 200
    assert db.session.scalar(select(func.count(AuditEvent.id)).where(AuditEvent.verb == "download_push")) == 1
