"""考场入口: whether an admission ticket is ours, whose it is, where that person sits, and whether it was shown before (I25, E18).

From two hours before the exam until its end, who shows the ticket at the right door is admitted, once: a second person with the same
ticket is told of. At other times it is only looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest

from flask_babel import gettext as _
from sqlalchemy import func, select, update
from sqlalchemy.orm import joinedload

from app import clock, scope
from app.actors import Actor
from app.errors import Conflict, Invalid, NotFound
from app.extensions import db, transaction
from app.operations.papers import ready, token
from models import Enrolment, ExamPlan, ExamRoom, Sitting

OPEN_BEFORE = timedelta(hours=2)
# A phone whose line was down sends a scan late, or once more because the answer was lost: the same moment is the same scan.
LONGEST_WAIT, SAME_SCAN = timedelta(hours=12), timedelta(seconds=5)
_TOKEN = re.compile(r"PXKS:([0-9]{1,32}):([0-9A-F]{20})")
_NUMBER = re.compile(r"[0-9]{1,32}")
_SHOWN = (joinedload(Sitting.enrolment).joinedload(Enrolment.occupation), joinedload(Sitting.enrolment).joinedload(Enrolment.enterprise),
          joinedload(Sitting.room), joinedload(Sitting.exam_plan))


@dataclass(frozen=True)
class Shown:
    """Whose ticket it is. `typed` when its number was typed, so that the code was not checked; `elsewhere` when the person belongs
    to another room than this door's; `again` when the person was admitted before, at `admitted_at` by `admitted_by`. Outside the
    hours of the exam nobody is admitted."""

    sitting: Sitting
    typed: bool
    elsewhere: bool
    again: bool = False
    admitted_at: datetime | None = None
    admitted_by: str = ""


def check(exam: ExamPlan, text: str, room_id: int = 0, *, waited: timedelta = timedelta(0), actor: Actor) -> Shown:
    """Admit whom a scanned code, or a typed ticket number, names in this exam, or say that it was done. `room_id` is the door's room,
    0 for any; `waited` is how long the phone held the scan back.

    Raises `Invalid` for what is forged, is no ticket or is another exam's, `NotFound` for a number of nobody, `Conflict` before
    the approval and for who has left since.
    """
    with transaction():
        row, typed = _named(exam, text, actor)
        if room_id and row.room_id != room_id:
            return Shown(row, typed, elsewhere=True)
        at = clock.now() - min(max(waited, timedelta(0)), LONGEST_WAIT)
        if not exam.starts_at - OPEN_BEFORE <= at <= exam.ends_at:
            return Shown(row, typed, False, row.admitted_at is not None, row.admitted_at, row.admitted_by_name or "")
        # Compare-and-set: of two doors at once one admits, the other is told.
        first = db.session.execute(
            update(Sitting).where(Sitting.id == row.id, Sitting.admitted_at.is_(None))
            .values(admitted_at=at, admitted_by_name=actor.name).returning(Sitting.id).execution_options(synchronize_session=False)).first()
        db.session.refresh(row, ["admitted_at", "admitted_by_name"])
        since, by = row.admitted_at or at, row.admitted_by_name or ""
        again = first is None and not (by == actor.name and abs(since - at) <= SAME_SCAN)
        return Shown(row, typed, False, again, since, by)


def admitted(exam: ExamPlan, room_id: int = 0) -> tuple[int, int]:
    """How many have been admitted to a room, or with 0 to the exam, and how many are expected."""
    expected = select(func.count(), func.count(Sitting.admitted_at)).join(Enrolment, Sitting.enrolment_id == Enrolment.id).where(
        Sitting.exam_plan_id == exam.id, Enrolment.state == "enrolled", *([Sitting.room_id == room_id] if room_id else []))
    people, there = db.session.execute(expected).one()
    return there, people


def _named(exam: ExamPlan, text: str, actor: Actor) -> tuple[Sitting, bool]:
    """The sitting, and whether its number was typed."""
    if not ready(exam):
        raise Conflict(_("考核计划审核通过后才能核验准考证。"))
    cleaned = text.strip().upper()
    scanned, typed = _TOKEN.fullmatch(cleaned), _NUMBER.fullmatch(cleaned)
    if scanned is None and typed is None:
        raise Invalid(_("没有认出准考证。请对准准考证上的二维码，或输入准考证号。"))
    number = scanned[1] if scanned is not None else cleaned
    row = db.session.scalars(select(Sitting).where(Sitting.ticket_number == number).options(*_SHOWN)).one_or_none()
    if scanned is not None:
        if row is None or not compare_digest(token(row), cleaned):
            raise Invalid(_("这张准考证是伪造的，或已作废：不是本平台生成的二维码。"))
        if row.exam_plan_id != exam.id:
            raise Invalid(_other(row, actor))
    elif row is None or row.exam_plan_id != exam.id:
        raise NotFound(_("本场考核没有准考证号 %(number)s，请核对后再输入。", number=number))
    if row.enrolment.state != "enrolled":
        raise Conflict(_("%(name)s已退出本次培训，准考证已作废。", name=row.enrolment.name))
    return row, scanned is None


def _other(row: Sitting, actor: Actor) -> str:
    """Of another exam it is said which, where this person may know it."""
    if scope.sees(actor, row.exam_plan):
        return _("这是“%(name)s”的准考证，不是本场考核的。", name=row.exam_plan.name)
    return _("这是其他机构的准考证，不是本场考核的。")


def rooms_of(exam: ExamPlan) -> list[ExamRoom]:
    """The doors there are, by number."""
    return list(db.session.scalars(select(ExamRoom).where(ExamRoom.exam_plan_id == exam.id).order_by(ExamRoom.number)))
