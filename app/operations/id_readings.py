"""Reading the fronts of ID cards, and comparing what was read with what was typed (I18): a hint for who checks, never a block.

What was read is compared and never corrects anything. The process of the queue `ocr` does it, a few pictures a job, so that a visitor
whose licence waits to be read stands behind a few seconds of work only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, and_, or_, select

from app import clock, jobs, workflow
from app.crypto import blind
from app.documents.id_card import name_and_number
from app.extensions import db, gateways, let_go, transaction
from app.gateways.errors import GatewayError
from app.gateways.ocr import NotInstalled
from app.identifiers import IdentifierError, parse_id_number
from app.operations.photo_matching import READ_JOB
from models import Enrolment, PhotoReading, StoredFile

AT_ONCE = 8
MOST_ATTEMPTS = 3
TURNS = (0, 1, 3, 2)
# A reading that has lasted so long was left by a process that ended.
LEFT = timedelta(minutes=2)
Report = Callable[[int, int], None]


def run_readings(batch_id: int, report: Report) -> None:
    """Job: read up to `AT_ONCE` fronts of a batch, then ask for the next. Run twice it finds nothing left to do."""
    for done in range(AT_ONCE):
        report(done, AT_ONCE)  # the lease is renewed before the engine, which cannot do it while it reads
        reading = _next(batch_id)
        if reading is None:
            return
        _read(reading)
    with transaction():
        if db.session.scalar(select(PhotoReading.id).where(*_open(batch_id)).limit(1)) is not None:
            owner = jobs.latest(READ_JOB, batch_id)
            jobs.schedule(READ_JOB, batch_id, enterprise_id=owner.enterprise_id if owner else None)


def _open(batch_id: int) -> tuple[ColumnElement[bool], ...]:
    left = and_(PhotoReading.state == "reading", PhotoReading.started_at < clock.now() - LEFT)
    return PhotoReading.batch_id == batch_id, or_(PhotoReading.state == "waiting", left)


def _next(batch_id: int) -> PhotoReading | None:
    """Take up the next front, or one that a killed process left; one that took its process along three times is given up."""
    while True:
        with transaction() as session:
            found = session.scalars(select(PhotoReading).where(*_open(batch_id)).order_by(PhotoReading.id).limit(1)).first()
            if found is None:
                return None
            given_up = found.attempts >= MOST_ATTEMPTS
            moved = workflow.move(PhotoReading, [found.id], "state", workflow.READING_MOVES, found.state, "reading",
                                  attempts=found.attempts + 1, started_at=clock.now())
            if moved and not given_up:
                return session.get_one(PhotoReading, found.id, populate_existing=True)
        if moved:
            _end(found.id, "failed", error="the process ended each time this picture was read")


def _read(reading: PhotoReading) -> None:
    reading_id = reading.id
    key = db.session.scalars(select(StoredFile.key).where(StoredFile.id == reading.file_id)).one()
    let_go()  # a row looked at after it would take the lock again, for as long as the engine reads
    try:
        name, number = _best(gateways().storage.get(key))
    except NotInstalled as error:
        _end(reading_id, "unavailable", error=error.detail[:300])
    except GatewayError as error:
        _end(reading_id, "failed", error=error.detail[:300])
    else:
        _end(reading_id, "read", name=name[:50], id_number=number or None, id_number_index=blind(number or None, "id_number"))


def _best(picture: bytes) -> tuple[str, str]:
    """As it lies, and where no number is found a quarter turned at a time, as a telephone may have lain."""
    best = ("", "")
    for turns in TURNS:
        found = name_and_number(gateways().reader.read(picture, turns), _right_number)
        best = max(best, found, key=lambda each: (bool(each[1]), bool(each[0])))
        if best[1]:
            break
    return best


def _right_number(text: str) -> bool:
    try:
        return parse_id_number(text, clock.shanghai_day()).number == text
    except IdentifierError:
        return False


def _end(reading_id: int, state: str, **values: object) -> None:
    workflow.move(PhotoReading, [reading_id], "state", workflow.READING_MOVES, "reading", state, finished_at=clock.now(), **values)


@dataclass(frozen=True)
class Hint:
    """What a machine saw on a person's photos. `name` and `number` are match, differs, unreadable, waiting, or empty where
    nobody reads; `read_name` is what the card seems to say; `faces` of the portrait, None where unknown."""

    name: str = ""
    number: str = ""
    read_name: str = ""
    faces: int | None = None

    @property
    def differs(self) -> bool:
        return "differs" in (self.name, self.number)

    @property
    def faceless(self) -> bool:
        return self.faces is not None and self.faces != 1


def hints_of(people: Sequence[Enrolment]) -> dict[int, Hint]:
    """For each person what was seen on their two photos, compared with what is typed now: one statement."""
    ids = [file_id for each in people for file_id in (each.portrait_id, each.id_front_id) if file_id is not None]
    readings = {row.file_id: row for row in db.session.scalars(select(PhotoReading).where(PhotoReading.file_id.in_(ids)))} if ids else {}
    hints = {}
    for person in people:
        front, portrait = readings.get(person.id_front_id or 0), readings.get(person.portrait_id or 0)
        hints[person.id] = Hint(*_compared(person, front), faces=portrait.faces if portrait else None)
    return hints


def _compared(person: Enrolment, front: PhotoReading | None) -> tuple[str, str, str]:
    if front is None or front.state == "unavailable":
        return "", "", ""
    if front.state in ("waiting", "reading"):
        return "waiting", "waiting", ""
    name = "unreadable" if not front.name else "match" if front.name == person.name else "differs"
    number = "unreadable" if front.id_number_index is None else "match" if bytes(front.id_number_index) == bytes(person.id_number_index) \
        else "differs"
    return name, number, front.name if name == "differs" else ""


def seems_to_differ() -> ColumnElement[bool]:
    """Asked of `Enrolment`: the card seems to say another name or number."""
    return select(PhotoReading.id).where(
        PhotoReading.file_id == Enrolment.id_front_id, PhotoReading.state == "read",
        or_(and_(PhotoReading.name != "", PhotoReading.name != Enrolment.name),
            and_(PhotoReading.id_number_index.is_not(None), PhotoReading.id_number_index != Enrolment.id_number_index))).exists()


def verdict_words() -> dict[str, tuple[str, str]]:
    """Each verdict in words, with its tone."""
    return {"match": (_("相符"), "ok"), "differs": (_("不一致"), "bad"), "unreadable": (_("未能识别"), "neutral"),
            "waiting": (_("识别中"), "info")}
