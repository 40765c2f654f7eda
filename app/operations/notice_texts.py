"""Notices by SMS: planned in groups, quiet at night, each sent at most once for all we know."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from flask_appbuilder.security.sqla.models import User
from flask_babel import gettext as _
from sqlalchemy import ColumnElement, func, or_, select, update

from app import clock, jobs, notices, workflow
from app.errors import PortalError
from app.extensions import db, gateways, let_go, transaction
from app.gateways.errors import GatewayError
from app.workflow import NOTICE_TEXT_MOVES
from models import Account, Enterprise, Notice, NoticeReader, NoticeText

JOB = "send_notice_text"
BATCH = 500
# One message about a kind of event, then none for this long: what happens meanwhile is told in the next.
APART = timedelta(minutes=10)
QUIET_FROM, QUIET_UNTIL = 21, 8
# The platform gives a number 40 messages a day over all templates; codes must still get through (FACTS of the platform).
A_DAY = 20
# What was not planned for so long (no worker ran) is no news any more.
STALE = timedelta(hours=24)
# A template's variable takes 35 characters.
MOST_VARIABLE = 35

Report = Callable[[int, int], None]


def templates() -> dict[str, str]:
    """The template code of each event that the operator has one for, from `SMS_NOTICE_TEMPLATES`."""
    text: str = current_app.extensions["settings"].sms_notice_templates
    pairs = (pair.partition("=") for pair in re.split(r"[,\s]+", text) if pair)
    return {event: code for event, _sign, code in pairs if event in notices.NOTICES}


def after_quiet(moment: datetime) -> datetime:
    """That moment, or eight in the morning when it lies in the night (Shanghai)."""
    local = moment.astimezone(clock.SHANGHAI)
    if local.hour >= QUIET_FROM:
        return clock.at_shanghai(local.date() + timedelta(days=1), QUIET_UNTIL)
    return clock.at_shanghai(local.date(), QUIET_UNTIL) if local.hour < QUIET_UNTIL else moment


def run_plan(_subject: int, report: Report) -> None:
    """The job: turn what was told since the last run into messages, each with its own job. A notice is taken by
    compare-and-set, so that of two runs one plans it."""
    planned = 0
    while taken := _plan_some():
        planned += taken
        report(planned, planned + 1)


def _plan_some() -> int:
    with transaction() as session:
        some = select(Notice.id).where(~Notice.texted).order_by(Notice.id).limit(BATCH)
        taken = session.execute(
            update(Notice).where(Notice.id.in_(some), ~Notice.texted).values(texted=True)
            .returning(Notice.id, Notice.event, Notice.subject_kind, Notice.count.label("several"), Notice.name, Notice.at,
                       Notice.authority_id, Notice.institution_id, Notice.enterprise_id)
            .execution_options(synchronize_session=False)).all()
        fresh = [row for row in taken if row.at > clock.now() - STALE and row.event in templates()]
        if fresh:
            readers = _readers(fresh)
            for row in fresh:
                organisation = (row.authority_id, row.institution_id, row.enterprise_id)
                for user_id in readers.get((organisation, row.event), ()):
                    _add(user_id, row.event, row.subject_kind, row.several, row.name)
    return len(taken)


def _readers(rows: Iterable[Any]) -> dict[tuple[tuple[int | None, ...], str], list[int]]:
    """Who wants what: user ids by organisation and event."""
    told: list[ColumnElement[bool]] = [
        getattr(Account, column).in_({getattr(row, column) for row in rows} - {None})
        for column in ("authority_id", "institution_id", "enterprise_id")]
    found: dict[tuple[tuple[int | None, ...], str], list[int]] = {}
    people = db.session.execute(
        select(NoticeReader.user_id, NoticeReader.texts, Account.authority_id, Account.institution_id, Account.enterprise_id)
        .join(Account, Account.user_id == NoticeReader.user_id).join(Account.user).where(or_(*told), User.active))
    for user_id, events, *organisation in people:
        for event in events:
            found.setdefault((tuple(organisation), event), []).append(user_id)
    return found


def _add(user_id: int, event: str, kind: str, count: int, name: str) -> None:
    """Add to the message of this kind that still waits for this person, or write one and schedule it."""
    session = db.session
    waiting = session.scalars(select(NoticeText).where(
        NoticeText.user_id == user_id, NoticeText.event == event, NoticeText.state == "waiting").with_for_update()).first()
    if waiting is not None:
        # One that gathers says each time how many they are in all.
        waiting.count = count if notices.NOTICES[event].gathers else waiting.count + count
        waiting.name = name
        waiting.subject_kind = kind if waiting.subject_kind == kind else ""
        job = jobs.latest(JOB, waiting.id)
        if job is None or job.state in ("done", "failed"):  # it gave up after hours of failure: this is a reason to try again
            jobs.schedule(JOB, waiting.id, due_at=_due(user_id, event))
        return
    row = NoticeText(user_id=user_id, event=event, subject_kind=kind, count=count, name=name, due_at=_due(user_id, event))
    session.add(row)
    session.flush()
    jobs.schedule(JOB, row.id, due_at=row.due_at)


def _due(user_id: int, event: str) -> datetime:
    """Now, ten minutes after the last of this kind, tomorrow when the day's are used up; never at night."""
    at = clock.now()
    sent = select(func.max(NoticeText.sent_at)).where(NoticeText.user_id == user_id, NoticeText.event == event)
    last = db.session.scalar(sent)
    due = after_quiet(max(at, last + APART) if last else at)
    today = select(func.count()).where(NoticeText.user_id == user_id, NoticeText.sent_at > at - timedelta(days=1))
    if (db.session.scalar(today) or 0) >= A_DAY:
        due = max(due, clock.at_shanghai(clock.shanghai_day(at) + timedelta(days=1), QUIET_UNTIL))
    return due


def run_send(text_id: int, report: Report) -> None:
    """The job: send one message.

    It is "sending" before it leaves. A gateway that says no puts it back, or ends it when the refusal is final; a run that
    finds it "sending" had a worker that died in between, and does not guess: it may have gone out. An administrator who
    runs that job again sends it.
    """
    text = db.session.get(NoticeText, text_id)
    if text is None or text.state in ("sent", "dropped"):
        return
    if text.state == "waiting" and (later := after_quiet(clock.now())) > clock.now():
        with transaction():
            jobs.schedule(JOB, text_id, due_at=later)
        return
    number = _number(text)
    if not number:
        workflow.move(NoticeText, [text_id], "state", NOTICE_TEXT_MOVES, "waiting", "dropped")
        return
    if text.state == "sending":
        workflow.move(NoticeText, [text_id], "state", NOTICE_TEXT_MOVES, "sending", "failed")
        raise PortalError(_("发送中断，不能确定短信是否已发出。如需补发，请重新运行。"))
    if workflow.move(NoticeText, [text_id], "state", NOTICE_TEXT_MOVES, text.state, "sending", sent_at=clock.now()):
        _send(text_id, number)
    report(1, 1)


def _another_waits(text_id: int) -> bool:
    mine = db.session.get_one(NoticeText, text_id)
    return db.session.scalar(select(NoticeText.id).where(
        NoticeText.user_id == mine.user_id, NoticeText.event == mine.event, NoticeText.state == "waiting")) is not None


def _number(text: NoticeText) -> str | None:
    """Where the message goes, if the person still wants it, may still sign in, and has a number that was proved."""
    found = db.session.execute(
        select(NoticeReader, Account).join(Account, Account.user_id == NoticeReader.user_id)
        .where(NoticeReader.user_id == text.user_id)).first()
    if found is None or text.event not in {*found.NoticeReader.texts} & {*templates()} or not found.Account.user.active:
        return None
    if found.NoticeReader.phone:
        return str(found.NoticeReader.phone)
    enterprise = db.session.get(Enterprise, found.Account.enterprise_id) if found.Account.enterprise_id else None
    return enterprise.phone if enterprise is not None else None


def _send(text_id: int, number: str) -> None:
    text = db.session.get_one(NoticeText, text_id, populate_existing=True)
    about = notices.what(text.subject_kind, text.count, text.name)
    code = templates().get(text.event, "")
    let_go()
    try:
        gateways().sms.send(number, code, {"name": about if len(about) <= MOST_VARIABLE else f"{about[:MOST_VARIABLE - 1]}…"})
    except GatewayError as error:
        # Later notices may wait in a message of their own by now; then this one is not put back beside it.
        target = "failed" if error.permanent or _another_waits(text_id) else "waiting"
        workflow.move(NoticeText, [text_id], "state", NOTICE_TEXT_MOVES, "sending", target, sent_at=None)
        raise
    workflow.move(NoticeText, [text_id], "state", NOTICE_TEXT_MOVES, "sending", "sent", sent_at=clock.now())
