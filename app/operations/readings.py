"""Reading a business licence from its picture: asked for by a page, done by the process of the queue `ocr` (E1).

What is read is a proposal. A reading that fails, or that this portal cannot do, blocks nobody: its state says so and the
person types.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from flask_babel import gettext as _
from sqlalchemy import select

from app import audit, clock, files, jobs, workflow
from app.actors import Actor
from app.documents.licence import ReadField, fields
from app.extensions import db, gateways, let_go, transaction
from app.gateways import GatewayError
from app.gateways.ocr import NotInstalled
from app.identifiers import IdentifierError, parse_uscc
from models import LicenceReading, StoredFile

JOB = "read_licence"
# What a licence without a last day says in its place.
FOREVER = "长期"
MOST_ATTEMPTS = 3
# Quarter turns clockwise, the likely first, and with how many fields found no other is tried.
TURNS = (0, 1, 3, 2)
ENOUGH = 3
Report = Callable[[int, int], None]


def ask_reading(file: StoredFile, *, actor: Actor) -> LicenceReading:
    """Have the licence on this picture read: the row and its job, in the caller's transaction where there is one. With
    OCR=off the row says `unavailable` at once."""
    with transaction() as session:
        at = clock.now()
        reading = LicenceReading(file_id=file.id, created_at=at)
        if not gateways().reader.enabled:
            reading.state, reading.finished_at = "unavailable", at
        session.add(reading)
        session.flush()
        if not reading.ended:
            jobs.schedule(JOB, reading.id)
        audit.record(actor, "ask_licence_reading", reading, {"file": file.id})
    return reading


def reading_of(file: StoredFile) -> LicenceReading | None:
    """The newest reading of this picture. Who may see the picture may see it; the caller has fetched that."""
    return db.session.scalars(
        select(LicenceReading).where(LicenceReading.file_id == file.id).order_by(LicenceReading.id.desc()).limit(1)).first()


def explain_reading(reading: LicenceReading) -> str:
    """The state in a sentence for the person who waits, or need not."""
    if reading.state == "read":
        if not reading.fields:
            return _("没有从图片中识别出营业执照内容，请手工填写。")
        if (reading.fields.get("uscc") or {}).get("suspect"):
            return _("识别完成。统一社会信用代码没有识别准确，请对照营业执照填写，并核对其他内容。")
        return _("识别完成，请对照营业执照核对后再提交。")
    return {
        "waiting": _("正在排队识别营业执照，您可以先手工填写。"),
        "reading": _("正在识别营业执照，您可以先手工填写。"),
        "failed": _("没有识别成功，请手工填写。"),
        "unavailable": _("识别组件未安装，请手工填写。"),
    }[reading.state]


def read_licence(reading_id: int, report: Report) -> None:
    """Job: read the picture and keep what was found. Run twice it reads twice and keeps one result; a picture that took the
    process with it three times is given up."""
    reading = _begin(reading_id)
    if reading is None:
        return
    stored = reading.file
    let_go()
    try:
        found = _best(files.read(stored), report)
    except NotInstalled as error:
        _end(reading_id, "unavailable", error=error.detail[:300])
        return
    except GatewayError as error:
        if not error.permanent and reading.attempts < MOST_ATTEMPTS:
            raise
        _end(reading_id, "failed", error=error.detail[:300])
        return
    _end(reading_id, "read", fields={name: asdict(field) for name, field in found.items()})


def _best(picture: bytes, report: Report) -> dict[str, ReadField]:
    """What is on the picture as it lies; where that is little, turned a quarter at a time, as a telephone may have lain."""
    best: dict[str, ReadField] = {}
    for done, turns in enumerate(TURNS):
        report(done, len(TURNS))  # the lease is renewed before the engine, which cannot do it while it reads
        found = fields(gateways().reader.read(picture, turns), right_uscc)
        if len(found) > len(best):
            best = found
        if len(best) >= ENOUGH:
            break
    return best


def _begin(reading_id: int) -> LicenceReading | None:
    """Take the reading up, or again after a process that ended in the middle; None when there is nothing left to do."""
    with transaction() as session:
        reading = session.get(LicenceReading, reading_id, populate_existing=True)
        if reading is None or reading.ended:
            return None
        if reading.attempts >= MOST_ATTEMPTS:
            _end(reading_id, "failed", error="the process ended each time this picture was read")
            return None
        workflow.move(LicenceReading, [reading_id], "state", workflow.READING_MOVES, reading.state, "reading",
                      attempts=reading.attempts + 1, started_at=clock.now())
        return session.get(LicenceReading, reading_id, populate_existing=True)


def _end(reading_id: int, state: str, **values: object) -> None:
    workflow.move(LicenceReading, [reading_id], "state", workflow.READING_MOVES, "reading", state, finished_at=clock.now(), **values)


def right_uscc(text: str) -> bool:
    """Whether the code's own check characters agree."""
    try:
        return parse_uscc(text) == text
    except IdentifierError:
        return False
