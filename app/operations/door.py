"""考场入口: whether an admission ticket is ours, whose it is, and where that person sits (I25, E18). It changes nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hmac import compare_digest

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app import scope
from app.actors import Actor
from app.errors import Conflict, Invalid, NotFound
from app.extensions import db
from app.operations.papers import ready, token
from models import Enrolment, ExamPlan, ExamRoom, Sitting

_TOKEN = re.compile(r"PXKS:([0-9]{1,32}):([0-9A-F]{20})")
_NUMBER = re.compile(r"[0-9]{1,32}")
_SHOWN = (joinedload(Sitting.enrolment).joinedload(Enrolment.occupation), joinedload(Sitting.enrolment).joinedload(Enrolment.enterprise),
          joinedload(Sitting.room), joinedload(Sitting.exam_plan))


@dataclass(frozen=True)
class Shown:
    """Whose ticket it is. `typed` when its number was typed, so that the code was not checked; `elsewhere` when the person belongs
    to another room than this door's."""

    sitting: Sitting
    typed: bool
    elsewhere: bool


def check(exam: ExamPlan, text: str, room_id: int = 0, *, actor: Actor) -> Shown:
    """The sitting that a scanned code, or a typed ticket number, names in this exam. `room_id` is the door's room, 0 for any.

    Raises `Invalid` for what is forged, is no ticket or is another exam's, `NotFound` for a number of nobody, `Conflict` before
    the approval and for who has left since.
    """
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
    return Shown(row, scanned is None, bool(room_id) and row.room_id != room_id)


def _other(row: Sitting, actor: Actor) -> str:
    """Of another exam it is said which, where this person may know it."""
    if scope.sees(actor, row.exam_plan):
        return _("这是“%(name)s”的准考证，不是本场考核的。", name=row.exam_plan.name)
    return _("这是其他机构的准考证，不是本场考核的。")


def rooms_of(exam: ExamPlan) -> list[ExamRoom]:
    """The doors there are, by number."""
    return list(db.session.scalars(select(ExamRoom).where(ExamRoom.exam_plan_id == exam.id).order_by(ExamRoom.number)))
