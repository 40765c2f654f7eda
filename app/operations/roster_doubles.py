"""Who has a seat already (C15): asked of the index for exactly the people of one list."""

from __future__ import annotations

from flask_babel import gettext as _
from sqlalchemy import select

from app.crypto import vault
from app.documents import roster
from app.extensions import db
from app.operations.roster_rows import PersonRow, RowFault
from app.sets import among_digests
from models import Enrolment, TrainingPlan
from models.rosters import LIVE


def live_elsewhere(plan_id: int, people: list[PersonRow]) -> tuple[dict[bytes, PersonRow], list[RowFault]]:
    """The people who may be enrolled in this plan, by the blind index of their ID numbers, and a fault for each who has a seat in it
    already, or for the same occupation and level in another that is not over."""
    by_digest = dict(zip(vault().index_many([person.id_number for person in people], "id_number"), people, strict=True))
    live = db.session.execute(
        select(Enrolment.id_number_index, Enrolment.plan_id, Enrolment.occupation_id, Enrolment.level_id, TrainingPlan.name)
        .join(TrainingPlan, Enrolment.plan_id == TrainingPlan.id)
        .where(among_digests(Enrolment.id_number_index, by_digest), Enrolment.state.in_(LIVE),
               TrainingPlan.attendance_confirmed_at.is_(None))).all()
    db.session.commit()
    taken: dict[bytes, RowFault] = {}
    for digest, where, occupation_id, level_id, plan_name in live:
        person = by_digest[bytes(digest)]
        if where == plan_id:
            taken[bytes(digest)] = _fault(person, _("%(name)s已报名本计划，不能重复报名。", name=person.name))
        elif (occupation_id, level_id) == (person.occupation_id, person.level_id):
            taken.setdefault(bytes(digest), _fault(person, _("%(name)s已报名“%(plan)s”的同一工种和等级，不能重复报名。",
                                                             name=person.name, plan=plan_name)))
    for digest in taken:
        del by_digest[digest]
    return by_digest, list(taken.values())


def _fault(person: PersonRow, reason: str) -> RowFault:
    return RowFault(person.row, 0, roster.ID_NUMBER, reason, _("请删去这一行。"), double=True)
