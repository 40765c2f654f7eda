"""审计日志: finding acts, and taking what was found out as a workbook: at once when it is short, by a job when it is long.
Taking it out is itself on record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from flask_appbuilder.security.sqla.models import User
from flask_babel import gettext as _
from sqlalchemy import ColumnElement, Select, false, func, or_, select

from app import audit, clock, files, jobs
from app.actors import Actor
from app.audit import words
from app.documents.workbooks import write_table
from app.errors import Invalid
from app.extensions import db, let_go, transaction
from models import AuditEvent, StoredFile

AT_ONCE = 5_000
MOST_EXPORTED = 200_000
CHUNK = 2_000
KIND = "audit_export"
Clause = ColumnElement[bool]
Report = Callable[[int, int], None]


def _person(text: str) -> Clause:
    """By the name that stands in the row, or by the name of the account that acted, whatever its person was called then."""
    return or_(AuditEvent.actor_name == text, AuditEvent.actor_id.in_(select(User.id).where(User.username == text)))


def _number(text: str) -> Clause:
    return AuditEvent.subject_id == int(text) if text.isascii() and text.isdigit() and len(text) < 10 else false()


def _from_day(text: str) -> Clause:
    day = _day(text)
    return AuditEvent.at >= clock.at_shanghai(day, 0) if day else false()


def _to_day(text: str) -> Clause:
    day = _day(text)
    return AuditEvent.at < clock.at_shanghai(day + timedelta(days=1), 0) if day else false()


def _day(text: str) -> date | None:
    """A Shanghai day; what is none finds nothing, rather than everything."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 2000 <= day.year < 2200 else None


# What the record can be searched by. A job knows its export's criteria by these names.
CRITERIA: dict[str, Callable[[str], Clause]] = {
    "person": _person,
    "organisation": lambda text: AuditEvent.organisation.contains(text, autoescape=True),
    "from": _from_day,
    "to": _to_day,
    "address": lambda text: AuditEvent.address == text,
    "verb": lambda text: AuditEvent.verb == text,
    "kind": lambda text: AuditEvent.subject_kind == text,
    "subject": _number,
}


def export(statement: Select[Any], criteria: Mapping[str, str], *, actor: Actor) -> tuple[AuditEvent, bytes | None]:
    """Put an export on record. Answers its audit row, and the workbook, or None when a job will write it.

    `criteria` are the CRITERIA that narrowed the statement; the job makes it from them again. Raises `Invalid` when too much was found.
    """
    count = db.session.scalar(select(func.count()).select_from(statement.with_only_columns(AuditEvent.id).subquery())) or 0
    if count > MOST_EXPORTED:
        raise Invalid(_("查询结果超过 %(n)s 条，请缩短时间段或增加条件后再导出。", n=MOST_EXPORTED))
    with transaction() as session:
        event = audit.record(actor, "export_audit", "audit_event", {"count": count, "by": dict(criteria)})
        session.flush()
        if count > AT_ONCE:
            jobs.schedule("export_audit", event.id, total=count)
    return event, None if count > AT_ONCE else _workbook(statement, event)


def file_of(event: AuditEvent) -> StoredFile | None:
    """The workbook that a job has written for an export."""
    return db.session.scalars(select(StoredFile).where(StoredFile.kind == KIND, StoredFile.name == _name(event))).first()


def _name(event: AuditEvent) -> str:
    return f"审计日志-{event.id}.xlsx"


def run_export(event_id: int, report: Report) -> None:
    """Write the workbook of an export, as the record stood when it was asked for. A second run finds it there."""
    event = db.session.get_one(AuditEvent, event_id)
    if file_of(event) is not None:
        return
    clauses = [CRITERIA[name](text) for name, text in event.facts["by"].items()]
    book = _workbook(select(AuditEvent).where(*clauses), event, report)
    with transaction():
        files.keep(book, kind=KIND, name=_name(event), content_type=files.XLSX)


def _workbook(statement: Select[Any], event: AuditEvent, report: Report | None = None) -> bytes:
    headings = (_("时间"), _("人员"), _("单位"), _("网络地址"), _("操作"), _("对象"), _("对象编号"), _("内容"), _("编号"))
    return write_table(_("审计日志"), headings, _rows(statement, event, report))


def _rows(statement: Select[Any], event: AuditEvent, report: Report | None) -> Iterator[Sequence[Any]]:
    """The rows before the export's own, newest first, in chunks between which nobody is kept waiting."""
    total, done, last = event.facts["count"], 0, event.id
    while True:
        chunk: Sequence[Any] = db.session.execute(
            statement.with_only_columns(*AuditEvent.__table__.columns).where(AuditEvent.id < last)
            .order_by(AuditEvent.id.desc()).limit(CHUNK)).all()
        let_go()
        if not chunk:
            return
        for row in chunk:
            yield _row(row)
        last, done = chunk[-1].id, done + len(chunk)
        if report:
            report(done, max(total, done))


def _row(row: Any) -> Sequence[Any]:
    return (words.exact(row.at), row.actor_name, row.organisation, row.address, words.verb(row.verb), words.kind(row.subject_kind),
            row.subject_id, words.in_one_line(row.facts), row.id)
