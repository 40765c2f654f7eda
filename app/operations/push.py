"""The push of certificates to the ministry: timed, once each by number, tried again when it must be (J1, M1)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from flask_babel import gettext as _
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session, joinedload

from app import audit, clock, jobs, parameters, workflow
from app.actors import Actor
from app.errors import Conflict
from app.extensions import db, gateways, transaction
from app.gateways.errors import GatewayError
from app.gateways.ministry import TAKEN, CertificateRecord, MinistryGateway
from app.sets import among
from models import Certificate, CertificateEvent, Job

# A push that a killed worker left behind is due again after this. A slice is sent and written down in far less: 200 at eight
# at once with ten seconds each are over in 250.
LEASE = timedelta(minutes=5)
SLICE = 200
# Outcomes are written down in groups, so that a kill leaves few of them unknown.
GROUP = 32
LONGEST_WAIT = 6 * 3600
# The code of an error of our own: the record never left.
UNSENT = "unsent"
JOB = "push_certificates"
Report = Callable[[int, int], None]
log = logging.getLogger("portal.push")


@dataclass(frozen=True)
class Outcome:
    """What became of one certificate: the status it was sent with, and what went wrong."""

    id: int
    status: str
    error: GatewayError | None


class _Away(GatewayError):
    """Not sent at all: the ministry had stopped answering by then."""

    def __init__(self) -> None:
        super().__init__("", permanent=False)


def run_push(_subject: int, report: Report) -> None:
    """The job: push what is due until nothing is, until `push_batch` are, or until the ministry is found to be away. The remote
    side takes a number once, so a push that was already sent does no harm. Where certificates go by file there is nothing to do.

    They are leased in slices, sent `push_at_once` at a time by threads that touch no database, and written down by this one.
    The first slice is as small as what is sent at once, to find out whether anyone answers. What is left over when the run
    ends is asked for at once: other jobs come in between.
    """
    if current_app.extensions["settings"].ministry_adapter != "http":
        return
    most, at_once, done = parameters.number("push_batch"), parameters.number("push_at_once"), 0
    sender, size = _Sender(gateways().ministry, at_once), at_once
    with ThreadPoolExecutor(at_once) as pool:
        while done < most and not sender.away and (batch := _lease(min(size, most - done))):
            for outcomes in _sent(pool, sender, _records(batch)):
                _write(outcomes)
                done += len(outcomes)
                report(done, done + 1)
            size = SLICE
    if sender.away:
        log.warning("the ministry is away, the push goes on later")
    else:
        _ask_for_the_rest()


class _Sender:
    """Sends one certificate after the other, from several threads; gives up once as many in a row as are sent at once got no
    answer worth the name."""

    def __init__(self, gateway: MinistryGateway, at_once: int) -> None:
        self._gateway = gateway
        self._patience = at_once
        self._failing = 0

    @property
    def away(self) -> bool:
        return self._failing >= self._patience

    def send(self, key: int, record: CertificateRecord) -> Outcome:
        """A record that the program cannot even send fails by itself, not with all the others."""
        error: GatewayError | None = None
        if self.away:
            return Outcome(key, record.status, _Away())
        try:
            self._gateway.push(record)
        except GatewayError as caught:
            log.info("certificate %s was not taken: %s", record.number, caught.detail)
            error = caught
        except Exception as caught:
            log.exception("certificate %s could not be sent", record.number)
            error = GatewayError(type(caught).__name__, permanent=True, code=UNSENT)
        self._failing = self._failing + 1 if error is not None and not error.permanent else 0
        return Outcome(key, record.status, error)


def _sent(pool: ThreadPoolExecutor, sender: _Sender, records: list[tuple[int, CertificateRecord]]) -> Iterator[list[Outcome]]:
    """The outcomes as they come, in groups."""
    group: list[Outcome] = []
    for future in as_completed([pool.submit(sender.send, key, record) for key, record in records]):
        group.append(future.result())
        if len(group) >= GROUP:
            yield group
            group = []
    if group:
        yield group


def _ask_for_the_rest() -> None:
    """Where certificates are due before the timetable comes round, the next run is asked for when they are, once."""
    at = clock.now()
    with transaction() as session:
        next_due = session.scalar(select(func.min(Certificate.push_due_at)).where(Certificate.push_state == "waiting"))
        asked = session.scalar(select(Job.id).where(Job.name == JOB, Job.state == "waiting").limit(1))
        if next_due is not None and next_due < at + timedelta(minutes=1) and asked is None:
            jobs.schedule(JOB, 0, due_at=max(next_due, at))


def _lease(size: int) -> list[int]:
    """Take due certificates for this worker by moving their due time: of two workers each takes others."""
    at = clock.now()
    with transaction() as session:
        due = select(Certificate.id).where(Certificate.push_state == "waiting", Certificate.push_due_at <= at).order_by(
            Certificate.push_due_at, Certificate.id).limit(size).with_for_update(skip_locked=True)
        ids = list(session.scalars(due))
        if not ids:
            return []
        return [row.id for row in session.execute(
            update(Certificate).where(among(Certificate.id, ids), Certificate.push_state == "waiting", Certificate.push_due_at <= at)
            .values(push_due_at=at + LEASE, push_attempts=Certificate.push_attempts + 1)
            .returning(Certificate.id).execution_options(synchronize_session=False))]


def records_of(rows: Iterable[Certificate]) -> list[tuple[int, CertificateRecord]]:
    """Certificates as the ministry is told of them; their occupations and what they replace should be loaded."""
    return [(row.id, CertificateRecord(
        number=row.number, name=row.name, id_number=row.id_number, occupation_code=row.occupation.code,
        occupation=row.occupation_name, level=row.level_name, institution=row.institution_name, issued_on=row.issued_on,
        status=row.state, replaces=row.replaces.number if row.replaces else "")) for row in rows]


TOLD = (joinedload(Certificate.occupation), joinedload(Certificate.replaces))


def _records(ids: list[int]) -> list[tuple[int, CertificateRecord]]:
    found = records_of(db.session.scalars(select(Certificate).where(among(Certificate.id, ids)).options(*TOLD)
                                          .execution_options(populate_existing=True)))
    db.session.commit()  # no lock is held while the ministry thinks
    return found


def _write(outcomes: list[Outcome]) -> None:
    """Each outcome by compare-and-set, from ``waiting`` and from the status that was sent: a certificate that was revoked while it
    was on its way waits on and is pushed again. Passing trouble never ends as failed: after a weekend without the ministry
    nobody should have to press a thousand buttons."""
    at = clock.now()
    with transaction() as session:
        for status in sorted({each.status for each in outcomes if each.error is None}):
            moved = workflow.move(
                Certificate, [each.id for each in outcomes if each.error is None and each.status == status], "push_state",
                workflow.PUSH_MOVES, "waiting", "pushed", where=Certificate.state == status,
                pushed_at=func.coalesce(Certificate.pushed_at, at), push_error="", push_due_at=None)
            happened(moved, "pushed", status)
        attempts = {row.id: row.push_attempts for row in session.execute(select(Certificate.id, Certificate.push_attempts).where(
            among(Certificate.id, [each.id for each in outcomes if each.error is not None])))}
        for each in outcomes:
            if each.error is not None:
                _write_trouble(session, each, each.error, at, attempts[each.id])


def _write_trouble(session: Session, each: Outcome, error: GatewayError, at: datetime, attempts: int) -> None:
    if error.permanent:
        moved = workflow.move(Certificate, [each.id], "push_state", workflow.PUSH_MOVES, "waiting", "failed",
                              where=Certificate.state == each.status, push_error=told(error), push_due_at=None)
        happened(moved, "failed", told(error))
        return
    values: dict[str, Any] = {"push_due_at": _later(at, attempts), "push_error": told(error)}
    if isinstance(error, _Away):  # given back as it was taken
        values = {"push_due_at": at, "push_attempts": attempts - 1}
    still = (Certificate.id == each.id, Certificate.push_state == "waiting", Certificate.state == each.status)
    session.execute(update(Certificate).where(*still).values(values).execution_options(synchronize_session=False))


def happened(ids: Iterable[int], kind: str, detail: str = "", by: str = "") -> None:
    """Put one thing that happened on the history of each of these certificates, in the current transaction."""
    rows = [{"certificate_id": key, "kind": kind, "at": clock.now(), "actor_name": by, "detail": detail[:300]} for key in ids]
    if rows:
        db.session.execute(insert(CertificateEvent), rows)


def told(error: GatewayError) -> str:
    """What the authority reads beside the certificate: what it means, then the ministry's own words; addresses and the names of
    errors are for the log."""
    if error.code == UNSENT:
        return str(_("本平台没能发出这条记录，请联系系统管理员。"))
    said = _("%(words)s（代码 %(code)s）", words=error.words, code=error.code) if error.words else _(
        "部里的系统出错（代码 %(code)s）", code=error.code) if error.code else _("部里的系统没有应答，或应答不完整")
    if error.code == TAKEN:
        text = _("部里已登记同号而内容不同的证书，须核实后更正或撤销：%(detail)s", detail=said)
    elif error.permanent:
        text = _("部里的系统没有接受：%(detail)s", detail=said)
    else:
        text = _("暂时没有送达，稍后自动再试：%(detail)s", detail=said)
    return str(text)[:300]


def _later(at: datetime, attempts: int) -> datetime:
    """1 s, 2 s, 4 s ... at most 6 hours: one lost answer is soon made good, a broken register is left in peace."""
    return at + timedelta(seconds=min(2 ** (min(attempts, 16) - 1), LONGEST_WAIT))


def push_again(ids: Sequence[int], *, actor: Actor) -> int:
    """Try failed pushes once more, at a person's request; returns how many. Raises `Conflict` when none of them failed."""
    with transaction():
        moved = workflow.move(Certificate, ids, "push_state", workflow.PUSH_MOVES, "failed", "waiting",
                              push_due_at=clock.now(), push_attempts=0, push_error="")
        if not moved:
            raise Conflict(_("只有推送失败的证书需要重新推送。"))
        happened(moved, "again", by=actor.name)
        audit.record(actor, "push_again", "certificate", {"count": len(moved), "ids": sorted(moved)[:100]})
    return len(moved)
