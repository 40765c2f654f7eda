"""The chain over the audit record: seals are added one after the other, and a proof walks them from the first.

Writing an event and sealing it are two things, so that no act waits for the one head of the chain. The order of the chain
is that of sealing: an event whose transaction committed late is sealed late, whatever its id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, exists, func, insert, select
from sqlalchemy.exc import IntegrityError

from app import clock
from app.crypto import vault
from app.extensions import db, let_go, transaction
from models import AuditEvent, AuditSeal

GENESIS = "0" * 64
# How long after the newest sealed event an older one may still appear: longer than any transaction lasts.
LATEST = timedelta(hours=1)
BATCH = 2000
_EVENT = AuditEvent.__table__.columns
_NAMES = [column.name for column in _EVENT]
_UNSEALED = ~exists().where(AuditSeal.event_id == AuditEvent.id)


def canonical(event: Row[Any] | Mapping[str, Any]) -> str:
    """An event as one text, the same on every database."""
    values: dict[str, Any] = dict(event if isinstance(event, Mapping) else event._mapping)
    at = values["at"]
    values["at"] = at.astimezone(UTC).isoformat(timespec="microseconds") if isinstance(at, datetime) else at
    return json.dumps({name: values[name] for name in _NAMES}, sort_keys=True, separators=(",", ":"))


def link(previous: str, event: Row[Any] | Mapping[str, Any]) -> str:
    """The digest of an event that follows `previous`. Its key is not in the database."""
    return vault().witness(f"{previous}\n{canonical(event)}", "audit")


def seal() -> int:
    """Seal every event that is not sealed yet; answers how many. Any number may seal at once: of two links to the same
    head the database takes one, and the other's events are sealed by the next run."""
    total = 0
    while number := _seal_some():
        total += number
    return total


def _seal_some() -> int:
    try:
        with transaction() as session:
            head = session.execute(select(AuditSeal.seq, AuditSeal.hash).order_by(AuditSeal.seq.desc()).limit(1)).first()
            seq, previous = head or (0, GENESIS)
            seals: list[dict[str, Any]] = []
            for event in session.execute(_next_to_seal()):
                seq, digest = seq + 1, link(previous, event)
                seals.append({"seq": seq, "event_id": event.id, "hash": digest, "previous": previous})
                previous = digest
            if seals:
                session.execute(insert(AuditSeal), seals)
    except IntegrityError:
        return 0
    return len(seals)


def _next_to_seal() -> Select[Any]:
    """In the order of their moments: the index on them leads past everything that was sealed long ago."""
    return select(*_EVENT).where(_UNSEALED, _in_time()).order_by(AuditEvent.at, AuditEvent.id).limit(BATCH)


def waiting() -> bool:
    """Whether anything is to be sealed."""
    return db.session.scalars(
        select(AuditEvent.id).where(_UNSEALED, _in_time()).order_by(AuditEvent.at.desc()).limit(1)).first() is not None


def run_seal(_subject_id: int, _report: Any) -> None:
    """The job of the timetable."""
    let_go()
    seal()


def _horizon() -> datetime | None:
    """An event older than this comes too late to be sealed. It bounds what the sealer looks at, and it shows what was put
    into the record behind the portal's back."""
    newest = db.session.scalar(select(AuditEvent.at).join(AuditSeal, AuditSeal.event_id == AuditEvent.id)
                               .order_by(AuditSeal.seq.desc()).limit(1))
    return min(newest, clock.now()) - LATEST if newest else None


def _in_time() -> ColumnElement[bool]:
    horizon = _horizon()
    return AuditEvent.at >= horizon if horizon else AuditEvent.id.is_not(None)


@dataclass
class Proof:
    """What a walk found: how many events are sealed and how many wait, the last seal, and the first fault if any."""

    sealed: int = 0
    waiting: int = 0
    last: str = GENESIS
    fault: str = ""
    anchors: dict[int, str] = field(default_factory=dict)


def prove(anchors: Mapping[int, str] | None = None) -> Proof:
    """Walk the chain from its beginning, in batches that hold nobody up, and stop at the first fault.

    `anchors` are seals that were noted elsewhere, {seq: hash}: with them a chain whose end was cut off is noticed.
    """
    proof = Proof(anchors=dict(anchors or {}))
    size = BATCH
    while not proof.fault:
        try:
            links = _links_after(proof.sealed, size)
        except ValueError:  # what stands there is no JSON or no moment: find out in which event
            if size == 1:
                proof.fault = f"event {_event_of(proof.sealed + 1)} was altered (seal {proof.sealed + 1}): it cannot be read"
            size = 1
            continue
        finally:
            let_go()
        if not links:
            break
        _follow(proof, links)
    if not proof.fault:
        _check_end(proof)
    if not proof.fault:
        _count_waiting(proof)
    return proof


def _links_after(seq: int, size: int) -> Sequence[Row[Any]]:
    return db.session.execute(
        select(AuditSeal.seq, AuditSeal.event_id, AuditSeal.hash, AuditSeal.previous, *_EVENT)
        .join(AuditEvent, AuditEvent.id == AuditSeal.event_id, isouter=True)
        .where(AuditSeal.seq > seq).order_by(AuditSeal.seq).limit(size)).all()


def _follow(proof: Proof, links: Sequence[Row[Any]]) -> None:
    for each in links:
        if each.seq != proof.sealed + 1:
            proof.fault = f"seal {proof.sealed + 1} was removed (before event {each.event_id})"
        elif each.previous != proof.last:
            proof.fault = f"seal {each.seq} of event {each.event_id} does not follow the one before it"
        elif each.id is None:
            proof.fault = f"event {each.event_id} was removed (seal {each.seq})"
        elif each.hash != link(proof.last, dict(zip(_NAMES, each[4:], strict=True))):
            proof.fault = f"event {each.event_id} was altered (seal {each.seq})"
        elif proof.anchors.pop(each.seq, each.hash) != each.hash:
            proof.fault = f"seal {each.seq} of event {each.event_id} is not the one that was noted: the chain was written anew"
        if proof.fault:
            return
        proof.sealed, proof.last = each.seq, each.hash


def _check_end(proof: Proof) -> None:
    if proof.anchors:
        noted = max(proof.anchors)
        proof.fault = f"the end was cut off: {noted} events had been sealed, after event {_event_of(proof.sealed)} they are gone"


def _event_of(seq: int) -> int:
    return db.session.scalar(select(AuditSeal.event_id).where(AuditSeal.seq == seq)) or 0


def _count_waiting(proof: Proof) -> None:
    """Events without a seal: new ones wait for the sealer, an old one was put in behind the portal's back."""
    horizon = _horizon()
    last, top = 0, db.session.scalar(select(func.max(AuditEvent.id))) or 0
    while last < top:
        found = db.session.execute(select(AuditEvent.id, AuditEvent.at).where(
            _UNSEALED, AuditEvent.id > last, AuditEvent.id <= last + 10 * BATCH).order_by(AuditEvent.id)).all()
        let_go()
        forged = next((event for event in found if horizon and event.at < horizon), None)
        if forged is not None:
            proof.fault = f"event {forged.id} was inserted: it is dated {forged.at:%Y-%m-%d %H:%M}, and no seal knows it"
            return
        proof.waiting += len(found)
        last += 10 * BATCH
