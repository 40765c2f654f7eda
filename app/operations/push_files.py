"""The other way to the ministry: certificates are written to a workbook, a person takes it to the ministry's own page, and says
afterwards what became of them (MINISTRY_ADAPTER=file)."""

from __future__ import annotations

from typing import Any

from flask import current_app
from flask_babel import gettext as _
from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from app import audit, clock, files, workflow
from app.actors import Actor
from app.documents.faults import WorkbookFault
from app.documents.workbooks import read_rows, write_table
from app.errors import Conflict, Forbidden, Invalid
from app.extensions import db, transaction, will_write
from app.operations.push import TOLD, happened, records_of
from app.operations.roster_words import unreadable
from models import Certificate, PushBatch

MOST = 5_000
KIND = "push_batch"
NUMBER, RESULT, REASON = "证书编号", "推送结果", "失败原因"
HEADINGS = (NUMBER, "姓名", "身份证号", "职业（工种）代码", "职业（工种）", "技能等级", "培训机构", "发证日期",
            "状态", "原证书编号", RESULT, REASON)
STATUS = {"valid": "有效", "revoked": "已撤销", "replaced": "已换发"}
GOOD, BAD = ("成功", "是", "OK"), ("失败", "否")


def by_file() -> bool:
    """Whether certificates go to the ministry by file."""
    return str(current_app.extensions["settings"].ministry_adapter) == "file"


def export(statement: Select[Certificate], *, actor: Actor) -> PushBatch:
    """Write what waits among these certificates to a file, at most 5,000, and mark them as exported. ID numbers stand in it in full,
    so it is on record. Raises `Conflict` where nothing waits."""
    if actor.authority_id is None:
        raise Forbidden(_("只有主管部门可以导出推送批次。"))
    with transaction() as session:
        rows = session.scalars(statement.where(Certificate.push_state == "waiting").order_by(Certificate.number).limit(MOST)
                               .options(*TOLD).with_for_update(of=Certificate), execution_options={"populate_existing": True}).all()
        if not rows:
            raise Conflict(_("没有待推送的证书。"))
        lines = [(each.number, each.name, each.id_number, each.occupation_code, each.occupation, each.level, each.institution,
                  each.issued_on.isoformat(), STATUS[each.status], each.replaces, "", "") for _key, each in records_of(rows)]
        at = clock.now()
        stored = files.keep(write_table("证书推送", HEADINGS, lines), kind=KIND,
                            name=f"证书推送-{at.astimezone(clock.SHANGHAI):%Y%m%d%H%M}.xlsx", content_type=files.XLSX)
        batch = PushBatch(authority_id=actor.authority_id, state="exported", people=len(rows), pushed=0, file_id=stored.id, created_at=at,
                          created_by_name=actor.name, ended_by_name="")
        session.add(batch)
        session.flush()
        _mark([row.id for row in rows], batch.id)
        audit.record(actor, "export_push", batch, {"count": len(rows)})
        happened([row.id for row in rows], "exported", "", actor.name)
    return batch


def _mark(ids: list[int], batch_id: int) -> None:
    for status in STATUS:
        workflow.move(Certificate, ids, "push_state", workflow.PUSH_MOVES, "waiting", "exported", where=Certificate.state == status,
                      push_batch_id=batch_id, push_sent=status, push_error="", push_due_at=None)


def confirm_all(batch: PushBatch, *, actor: Actor) -> int:
    """Everything in the file has arrived, says a person, whose name is kept with it."""
    with transaction() as session:
        return _confirm(session, batch, {}, actor)


def confirm_by(batch: PushBatch, data: bytes, *, actor: Actor) -> int:
    """The file came back with a result in each row. Taken whole or not at all; answers how many arrived. Raises `Invalid`
    with what is wrong."""
    refused = _results(batch, data)
    with transaction() as session:
        return _confirm(session, batch, refused, actor)


def _results(batch: PushBatch, data: bytes) -> dict[str, str]:
    """The numbers that were refused, each with the reason."""
    try:
        sheets = read_rows(data, max_bytes=5 * 1024 * 1024)
    except WorkbookFault as fault:
        raise Invalid(unreadable(fault, _("导出的文件")), "file") from None
    rows = sheets[0].rows if sheets else []
    places = {str(cell): at for at, cell in enumerate(rows[0] if rows else [])}
    if NUMBER not in places or RESULT not in places:
        raise Invalid(_("表格第 1 行须有“%(number)s”和“%(result)s”两列，请用导出的文件填写。", number=NUMBER, result=RESULT), "file")
    wanted = set(db.session.scalars(select(Certificate.number).where(*_in(batch))))
    db.session.rollback()
    refused, seen = {}, set()
    for line, row in enumerate(rows[1:], 2):
        number, result, reason = (_cell(row, places.get(name, -1)) for name in (NUMBER, RESULT, REASON))
        if not number:
            continue
        if number not in wanted:
            raise Invalid(_("第 %(n)s 行的证书 %(number)s 不在这个批次里。", n=line, number=number), "file")
        if result.upper() not in (*GOOD, *BAD):
            raise Invalid(_("第 %(n)s 行的推送结果须填“成功”或“失败”。", n=line), "file")
        seen.add(number)
        if result in BAD:
            refused[number] = reason or _("未说明原因")
    if lacking := sorted(wanted - seen):
        raise Invalid(_("还有 %(n)s 张证书没有结果，如 %(number)s。", n=len(lacking), number=lacking[0]), "file")
    return refused


def _in(batch: PushBatch) -> tuple[Any, ...]:
    """What of a batch nobody has said anything about yet."""
    return Certificate.push_batch_id == batch.id, Certificate.push_state == "exported"


def _cell(row: list[Any], at: int) -> str:
    return str(row[at]).strip() if 0 <= at < len(row) and row[at] is not None else ""


def _confirm(session: Session, batch: PushBatch, refused: dict[str, str], actor: Actor) -> int:
    _end(batch, "confirmed", actor)
    rows = session.execute(select(Certificate.id, Certificate.number).where(*_in(batch))).all()
    at = clock.now()
    arrived = [row.id for row in rows if row.number not in refused]
    moved = workflow.move(Certificate, arrived, "push_state", workflow.PUSH_MOVES, "exported", "pushed",
                          where=Certificate.push_sent == Certificate.state, pushed_at=func.coalesce(Certificate.pushed_at, at))
    # What was revoked or replaced meanwhile is known there by its earlier state: it waits for the next file.
    workflow.move(Certificate, arrived, "push_state", workflow.PUSH_MOVES, "exported", "waiting", push_due_at=at,
                  pushed_at=func.coalesce(Certificate.pushed_at, at))
    happened(arrived, "pushed", "", actor.name)
    for row in rows:
        if row.number in refused:
            told = str(_("部里的系统没有接受：%(detail)s", detail=refused[row.number]))[:300]
            workflow.move(Certificate, [row.id], "push_state", workflow.PUSH_MOVES, "exported", "failed", push_error=told)
            happened([row.id], "failed", told, actor.name)
    session.execute(update(PushBatch).where(PushBatch.id == batch.id).values(pushed=len(arrived))
                    .execution_options(synchronize_session=False))
    audit.record(actor, "confirm_push", batch, {"count": len(moved), "reason": len(refused)})
    return len(arrived)


def discard(batch: PushBatch, *, actor: Actor) -> None:
    """The file was not used: what is in it waits again."""
    with transaction() as session:
        _end(batch, "discarded", actor)
        ids = list(session.scalars(select(Certificate.id).where(*_in(batch))))
        moved = workflow.move(Certificate, ids, "push_state", workflow.PUSH_MOVES, "exported", "waiting", push_due_at=clock.now())
        happened(moved, "discarded", "", actor.name)
        audit.record(actor, "discard_push", batch, {"count": len(moved)})


def _end(batch: PushBatch, state: str, actor: Actor) -> None:
    if batch.authority_id != actor.authority_id:
        raise Forbidden(_("只有导出批次的主管部门可以确认。"))
    if not workflow.move(PushBatch, [batch.id], "state", workflow.PUSH_BATCH_MOVES, "exported", state, ended_at=clock.now(),
                         ended_by_name=actor.name or "-"):
        raise Conflict(_("这个批次已经处理过，请刷新页面查看。"))


def hand_out(batch: PushBatch, *, actor: Actor) -> bytes:
    """The file of a batch once more, on record."""
    data = files.read(batch.file)
    will_write()
    with transaction():
        audit.record(actor, "download_push", batch, {"count": batch.people})
    return data


