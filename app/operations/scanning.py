"""扫码签到: the slips that are handed out, and taking a session by scanning them.

A slip's QR names the class and the person and is signed with a key of the portal; it holds no ID number. Its short code is for
typing. Neither lets anyone do anything without a teacher's signed-in page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest

from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from app import audit, clock, scope
from app.actors import Actor
from app.crypto import vault
from app.errors import Conflict, Invalid, NotFound
from app.extensions import db, transaction
from app.operations.attendance import Session, check_in_class, own_plan, people_of, session_of, sessions_of
from models import AttendanceMark, Enrolment, SessionRoll, TrainingPlan

# No 0 O 1 I L, which are read for each other.
_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_TOKEN = re.compile(r"PXQD:([0-9]{1,18}):([0-9]{1,18}):([0-9A-F]{20})")
_CODE_LENGTH = 6
# A phone may hold a scan back while its line is down; what is older was not scanned in this session.
LONGEST_WAIT = timedelta(hours=12)


@dataclass(frozen=True)
class Scanned:
    """Whose slip it was. `again` when they had been scanned in this session before, at `at`; `was_absent` when they stood as away.
    The scan is one of a session: a mark as away from the whole stays, and `away_as_a_whole` says so."""

    person: Enrolment
    at: datetime
    again: bool = False
    was_absent: bool = False

    @property
    def away_as_a_whole(self) -> bool:
        return self.person.attendance_mark == "absent"


def token(plan_id: int, enrolment_id: int) -> str:
    """What the QR of a slip says: upper case and digits only, so that its modules are large."""
    signed = vault().witness(f"{plan_id}:{enrolment_id}", "slip")[:20].upper()
    return f"PXQD:{plan_id}:{enrolment_id}:{signed}"


def short_code(plan_id: int, enrolment_id: int) -> str:
    """What is typed instead, K7Q-M3T: six signs, different within a class but for one in a million."""
    number = int(vault().witness(f"{plan_id}:{enrolment_id}", "slip code")[:16], 16)
    signs = ""
    for _each in range(_CODE_LENGTH):
        number, rest = divmod(number, len(_LETTERS))
        signs += _LETTERS[rest]
    return f"{signs[:3]}-{signs[3:]}"


def read_slip(text: str, plan: TrainingPlan, *, actor: Actor) -> int:
    """The enrolment id that a scanned or typed text names in this class. Raises `Invalid` or `NotFound`, each in clear words."""
    cleaned = text.strip().upper()
    found = _TOKEN.fullmatch(cleaned)
    if found is None:
        return _typed(cleaned, plan)
    plan_id, enrolment_id = int(found[1]), int(found[2])
    if not compare_digest(token(plan_id, enrolment_id), cleaned):
        raise Invalid(_("这张听课证不是本平台生成的，或已被改动，不能签到。"))
    if plan_id != plan.id:
        name = db.session.scalar(scope.visible(actor, TrainingPlan).where(TrainingPlan.id == plan_id).with_only_columns(TrainingPlan.name))
        raise Invalid(_("这是“%(name)s”的听课证，不是本班的。", name=name) if name else _("这不是本机构的听课证，不能签到。"))
    return enrolment_id


def _typed(text: str, plan: TrainingPlan) -> int:
    signs = re.sub("[^0-9A-Z]", "", text)
    if len(signs) != _CODE_LENGTH:
        raise Invalid(_("没有认出听课证。请对准二维码，或输入 6 位编号。"))
    wanted = f"{signs[:3]}-{signs[3:]}"
    ids = [each for each in db.session.scalars(select(Enrolment.id).where(Enrolment.plan_id == plan.id))
           if short_code(plan.id, each) == wanted]
    if len(ids) != 1:
        raise NotFound(_("本班没有编号为 %(code)s 的学员，请核对后再输入。", code=wanted))
    return ids[0]


def scan(plan: TrainingPlan, day_id: int, text: str, *, waited: timedelta = timedelta(0), actor: Actor) -> Scanned:
    """Take one slip in a session: there, whatever was known before. A second time changes nothing.

    `waited` is how long the phone held the scan back. Raises `PortalError`s that are said to the teacher as they are: a slip that is
    forged or another's, a person who is no longer in the class, a session that is not on yet, confirmed attendance.
    """
    with transaction() as session:
        plan = own_plan(plan.id, actor)
        check_in_class(plan)
        one = session_of(plan, day_id)
        if not one.open:
            raise Conflict(_("%(session)s还没有到，不能签到。", session=one.label))
        person = session.scalars(select(Enrolment).where(Enrolment.id == read_slip(text, plan, actor=actor), Enrolment.plan_id == plan.id)
                                 .options(joinedload(Enrolment.occupation), joinedload(Enrolment.enterprise))
                                 .execution_options(populate_existing=True)).one_or_none()
        if person is None or person.state != "enrolled":
            raise Conflict(_("%(name)s已不在本班名单中，不能签到。", name=person.name if person is not None else _("此人")))
        known = session.scalars(select(AttendanceMark).where(
            AttendanceMark.day_id == day_id, AttendanceMark.enrolment_id == person.id)
            .execution_options(populate_existing=True)).one_or_none()
        if known is not None and known.state == "present" and known.scanned_at is not None:
            return Scanned(person, known.scanned_at, again=True)
        at = clock.now() - min(max(waited, timedelta(0)), LONGEST_WAIT)
        _begin(plan, one, at, actor)
        if known is None:
            session.add(AttendanceMark(plan_id=plan.id, day_id=day_id, enrolment_id=person.id, state="present", source="scan",
                                       scanned_at=at, marked_at=clock.now(), marked_by_id=actor.user_id))
            return Scanned(person, at)
        was_absent = known.state == "absent"
        known.state, known.scanned_at, known.source = "present", at, "scan"
        known.marked_at, known.marked_by_id = clock.now(), actor.user_id
        if was_absent:
            audit.record(actor, "mark_sessions", plan, {"source": "scan", "absent": {}, "present": {one.label: [person.id]}})
        return Scanned(person, at, was_absent=was_absent)


def _begin(plan: TrainingPlan, one: Session, at: datetime, actor: Actor) -> None:
    """From the first slip on, a session is one that is taken by scanning."""
    if one.by_scan:
        return
    db.session.add(SessionRoll(day_id=one.id, plan_id=plan.id, scanned_from=at))
    db.session.flush()
    audit.record(actor, "begin_scanning", plan, {"session": one.label})


def due_session(plan: TrainingPlan) -> Session | None:
    """The session a teacher most likely stands in: today's of this hour, else the last that has begun."""
    hour = clock.now().astimezone(clock.SHANGHAI).hour
    now = "morning" if hour < 12 else "afternoon" if hour < 18 else "evening"
    begun = [each for each in sessions_of(plan) if each.open]
    today = [each for each in begun if each.day == clock.shanghai_day()]
    return next((each for each in today if each.session in (now, "all")), None) or (begun[-1] if begun else None)


def head_count(plan: TrainingPlan, day_id: int) -> tuple[int, int]:
    """How many of a class were scanned in a session, and how many they are in all."""
    people = db.session.scalar(select(func.count(Enrolment.id)).where(people_of(plan))) or 0
    return session_of(plan, day_id).scanned, people
