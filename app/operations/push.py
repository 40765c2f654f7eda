"""The push of certificates to the ministry: timed, once each by number, tried again when it must be (J1, M1)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from flask_babel import gettext as _
from sqlalchemy import select, update
from sqlalchemy.orm import joinedload

from app import audit, clock, parameters, workflow
from app.actors import Actor
from app.errors import Conflict
from app.extensions import db, gateways, transaction
from app.gateways.errors import GatewayError
from app.gateways.ministry import CertificateRecord, MinistryGateway
from models import Certificate

AT_ONCE = 8
# A push that a killed worker left behind is due again after this. A slice is sent and written down in far less.
LEASE = timedelta(minutes=5)
LONGEST_WAIT = 6 * 3600
Report = Callable[[int, int], None]
log = logging.getLogger("portal.push")


def run_push(_subject: int, report: Report) -> None:
    """The job: push what is due until nothing is, or until the ministry is found to be away. The remote side takes a number
    once, so a push that was already sent does no harm.

    Certificates are leased, sent and written down in slices of `AT_ONCE`, so that a kill leaves few of them unknown and the
    lease is never outlived by time-outs; `push_batch` slices' worth are taken in one run, the next run takes the rest.
    """
    most, done = parameters.number("push_batch"), 0
    gateway = gateways().ministry
    while done < most and (batch := _lease(min(AT_ONCE, most - done))):
        records = _records(batch)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = list(pool.map(lambda each: (each[0], _pushed(gateway, each[1])), records))
        _write(outcomes)
        done += len(batch)
        report(done, done + 1)
        if all(error is not None and not error.permanent for _key, error in outcomes):
            log.warning("the ministry is away, the push goes on later: %s", outcomes[0][1])
            return


def _lease(size: int) -> list[int]:
    """Take due certificates for this worker by moving their due time: of two workers each takes others."""
    at = clock.now()
    with transaction() as session:
        due = select(Certificate.id).where(Certificate.push_state == "waiting", Certificate.push_due_at <= at).order_by(
            Certificate.push_due_at).limit(size).with_for_update(skip_locked=True)
        ids = list(session.scalars(due))
        if not ids:
            return []
        return [row.id for row in session.execute(
            update(Certificate).where(Certificate.id.in_(ids), Certificate.push_state == "waiting", Certificate.push_due_at <= at)
            .values(push_due_at=at + LEASE, push_attempts=Certificate.push_attempts + 1)
            .returning(Certificate.id).execution_options(synchronize_session=False))]


def _records(ids: list[int]) -> list[tuple[int, CertificateRecord]]:
    rows = db.session.scalars(select(Certificate).where(Certificate.id.in_(ids)).options(
        joinedload(Certificate.occupation)))
    records = [(row.id, CertificateRecord(
        number=row.number, name=row.name, id_number=row.id_number, occupation_code=row.occupation.code,
        occupation=row.occupation_name, level=row.level_name, institution=row.institution_name, issued_on=row.issued_on,
        status=row.state)) for row in rows]
    db.session.commit()  # no lock is held while the ministry thinks
    return records


def _pushed(gateway: MinistryGateway, record: CertificateRecord) -> GatewayError | None:
    """What went wrong, or None. A record that the program cannot even send fails by itself, not with all the others."""
    try:
        gateway.push(record)
    except GatewayError as error:
        return error
    except Exception as error:
        log.exception("certificate %s could not be sent", record.number)
        return GatewayError(f"{type(error).__name__}", permanent=True)
    return None


def _write(outcomes: list[tuple[int, GatewayError | None]]) -> None:
    """Each outcome by compare-and-set from ``waiting``: what was pushed, what was refused, what is tried later. Passing
    trouble never ends as failed: after a weekend without the ministry nobody should have to press a thousand buttons."""
    at = clock.now()
    with transaction() as session:
        workflow.move(Certificate, [key for key, error in outcomes if error is None], "push_state", workflow.PUSH_MOVES,
                      "waiting", "pushed", pushed_at=at, push_error="", push_due_at=None)
        attempts = {row.id: row.push_attempts for row in session.execute(
            select(Certificate.id, Certificate.push_attempts).where(Certificate.id.in_([key for key, _error in outcomes])))}
        for key, error in outcomes:
            if error is None:
                continue
            if error.permanent:
                workflow.move(Certificate, [key], "push_state", workflow.PUSH_MOVES, "waiting", "failed",
                              push_error=_told(error), push_due_at=None)
            else:
                session.execute(update(Certificate).where(Certificate.id == key, Certificate.push_state == "waiting")
                                .values(push_due_at=_later(at, attempts[key]), push_error=_told(error))
                                .execution_options(synchronize_session=False))


def _told(error: GatewayError) -> str:
    """What the authority reads beside the certificate: what it means, then the ministry's own words."""
    text = _("部里的系统没有接受：%(detail)s", detail=error.detail) if error.permanent else _(
        "暂时没有送达，稍后自动再试：%(detail)s", detail=error.detail)
    return str(text)[:300]


def _later(at: datetime, attempts: int) -> datetime:
    """10 s, 20 s, 40 s ... at most 6 hours."""
    return at + timedelta(seconds=min(5 * 2 ** min(attempts, 16), LONGEST_WAIT))


def push_again(ids: Sequence[int], *, actor: Actor) -> int:
    """Try failed pushes once more, at a person's request; returns how many. Raises `Conflict` when none of them failed."""
    with transaction():
        moved = workflow.move(Certificate, ids, "push_state", workflow.PUSH_MOVES, "failed", "waiting",
                              push_due_at=clock.now(), push_attempts=0, push_error="")
        if not moved:
            raise Conflict(_("只有推送失败的证书需要重新推送。"))
        audit.record(actor, "push_again", "certificate", {"count": len(moved), "ids": sorted(moved)[:100]})
    return len(moved)
