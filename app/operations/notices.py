"""消息: what a person reads of what their organisation was told, and which of it they want by SMS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, delete, exists, func, literal, select
from sqlalchemy.exc import IntegrityError

from app import audit, notices, scope
from app.actors import Actor
from app.errors import Invalid
from app.extensions import db, transaction
from app.operations.notice_texts import templates
from app.operations.phone_codes import checked_phone, use_code
from app.workflow import SUBJECTS
from models import (
    AttendanceUnlock,
    Certificate,
    Enrolment,
    Enterprise,
    Invoice,
    Notice,
    NoticeRead,
    NoticeReader,
    Order,
    PlanChange,
    Reconciliation,
    Refund,
    Withdrawal,
)

MOST_UNREAD = 100
PHONE_PURPOSE = "notice_phone"
_MODELS: dict[str, type[Any]] = {**{kind: subject.model for kind, subject in SUBJECTS.items()}, "order": Order, "certificate": Certificate,
                                 "attendance_unlock": AttendanceUnlock, "person": Enrolment, "refund": Refund,
                                 "reconciliation": Reconciliation, "invoice": Invoice, "plan_change": PlanChange,
                                 "withdrawal": Withdrawal, "enrolment": Enrolment}


def unread_clause(actor: Actor) -> ColumnElement[bool]:
    """Above the person's mark, and not opened."""
    mark = select(NoticeReader.read_through).where(NoticeReader.user_id == actor.user_id).scalar_subquery()
    opened = exists().where(NoticeRead.user_id == actor.user_id, NoticeRead.notice_id == Notice.id)
    return (Notice.id > func.coalesce(mark, 0)) & ~opened


def unread_count(actor: Actor) -> int:
    """How many notices are unread, counted to `MOST_UNREAD` at most: one query, answered by an index."""
    if actor.sees_all or actor.user_id is None:
        return 0
    some = select(literal(1)).select_from(Notice).where(scope.visible_clause(actor, Notice), unread_clause(actor)).limit(MOST_UNREAD)
    return db.session.scalar(select(func.count()).select_from(some.subquery())) or 0


def unread_among(rows: Iterable[Notice], *, actor: Actor) -> set[int]:
    """Which of these notices the person has not read."""
    ids = [row.id for row in rows]
    return set(db.session.scalars(select(Notice.id).where(Notice.id.in_(ids), unread_clause(actor))))


def links(rows: Iterable[Notice], *, actor: Actor) -> dict[int, tuple[str, dict[str, Any]]]:
    """Endpoint and arguments of what each notice leads to. A subject that the person may not see (any more) leads nowhere."""
    found: dict[int, tuple[str, dict[str, Any]]] = {}
    single: dict[str, list[Notice]] = {}
    for row in rows:
        if row.subject_id is not None:
            single.setdefault(row.subject_kind, []).append(row)
        elif (listed := notices.THINGS[row.subject_kind].lists.get(notices.party_of(row))) is not None:
            found[row.id] = (listed[0], dict(listed[1]))
    for kind, some in single.items():
        subjects = {each.id: each for each in scope.fetch_many(actor, _MODELS[kind], [row.subject_id for row in some])}
        for row in some:
            page = notices.THINGS[kind].pages.get(notices.party_of(row))
            if page is not None and row.subject_id in subjects:
                endpoint, argument, attribute = page
                found[row.id] = (endpoint, {argument: getattr(subjects[row.subject_id], attribute)} if argument else {})
    return found


def open_notice(row: Notice, *, actor: Actor) -> tuple[str, dict[str, Any]] | None:
    """Mark a notice read, and answer where it leads."""
    try:
        with transaction() as session:
            if row.id in unread_among([row], actor=actor):
                session.add(NoticeRead(user_id=actor.user_id, notice_id=row.id))
    except IntegrityError:
        pass  # opened twice at the same moment: it is read
    return links([row], actor=actor).get(row.id)


def read_all(through: int, *, actor: Actor) -> None:
    """Mark everything read up to the newest notice the person has seen listed; what came since stays unread."""
    with transaction() as session:
        newest = session.scalar(select(func.max(Notice.id)).where(scope.visible_clause(actor, Notice), Notice.id <= through)) or 0
        reader = _reader(actor)
        reader.read_through = max(reader.read_through, newest)
        session.execute(delete(NoticeRead).where(NoticeRead.user_id == actor.user_id, NoticeRead.notice_id <= reader.read_through))


def newest_id(actor: Actor) -> int:
    """The newest notice there is for this person, 0 without one."""
    return db.session.scalar(select(func.max(Notice.id)).where(scope.visible_clause(actor, Notice))) or 0


def _reader(actor: Actor) -> NoticeReader:
    """The person's own row, made in the current transaction if there is none."""
    reader = db.session.get(NoticeReader, actor.user_id, with_for_update=True, populate_existing=True)
    if reader is None:
        try:
            with db.session.begin_nested():
                db.session.add(NoticeReader(user_id=actor.user_id, read_through=0, texts=[]))
        except IntegrityError:
            pass  # the same person, at the same moment in another window
        reader = db.session.get_one(NoticeReader, actor.user_id, with_for_update=True, populate_existing=True)
    return reader


def phone_of(actor: Actor) -> str:
    """The number messages go to: the one the person has proved here, else the one their enterprise proved at registration."""
    reader = db.session.get(NoticeReader, actor.user_id)
    if reader is not None and reader.phone:
        return reader.phone
    enterprise = db.session.get(Enterprise, actor.enterprise_id) if actor.enterprise_id else None
    return enterprise.phone if enterprise is not None else ""


def wanted(actor: Actor) -> list[str]:
    """The events this person wants by SMS."""
    reader = db.session.get(NoticeReader, actor.user_id)
    return list(reader.texts) if reader is not None else []


def offered(actor: Actor) -> list[str]:
    """The events that can be had by SMS: those the person's party is told of and the operator has set a template for."""
    return [event for event in notices.offered_to(actor.party) if event in templates()
            and ((table := notices.NOTICES[event].table) == "" or actor.regions_of(table) != frozenset())]


def choose_texts(events: Iterable[str], *, actor: Actor) -> None:
    """Set which events the person wants by SMS. Raises `Invalid` without a proved phone, or for one that is not offered."""
    chosen = list(dict.fromkeys(events))
    if not set(chosen) <= set(offered(actor)):
        raise Invalid(_("这项短信提醒暂不提供，请刷新页面后再选。"), "events")
    if chosen and not phone_of(actor):
        raise Invalid(_("请先验证手机号，再选择短信提醒。"), "phone")
    with transaction():
        _reader(actor).texts = chosen
        audit.record(actor, "choose_notice_texts", "notice_reader", {"events": chosen})


def prove_phone(phone: str, code: str, *, actor: Actor) -> None:
    """Take a number for this person's messages, by the code that was sent to it. Raises `Invalid` at a field."""
    number = checked_phone(phone)
    use_code(number, PHONE_PURPOSE, code)
    with transaction():
        _reader(actor).phone = number
        audit.record(actor, "change_notice_phone", "notice_reader")
