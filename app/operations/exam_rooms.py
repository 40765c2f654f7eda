"""The rooms of an exam and who sits where in them: drawn up by rule, shown, changed by hand within the rule (I22, C7).

An exam room may be one of the institution's own rooms, which then gives its place and may hold fewer people than the rule allows.
Whoever is seated keeps room, seat and ticket number as long as the rule allows it; only `fresh` begins anew. Every writer
holds the exam plan's row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import count
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import selectinload

from app import audit, clock, parameters
from app.actors import Actor
from app.errors import Conflict, Invalid, NotFound
from app.extensions import db, transaction
from app.operations.filings import rooms_of
from app.operations.plan_checks import SESSIONS, hours_of
from app.operations.seating import Room as Seats
from app.operations.seating import allocate
from app.sets import among
from models import Enrolment, ExamPlan, ExamRoom, PlanDay, Room, Sitting, TrainingPlan

LONGEST_PLACE = 100
Arrangement = Seats[int, int]


@dataclass(frozen=True)
class Proposal:
    """What saving would make of an exam's rooms: each with the room of the institution it is in, and how many people keep
    their seat, move to another, come new, or are no longer there."""

    rooms: list[tuple[Arrangement, Room | None]]
    kept: int
    moved: int
    new: int
    gone: int


def most_in_a_room() -> int:
    return parameters.number("room_size") or 1


def limit_of(room: ExamRoom) -> int:
    """How many people an exam room may hold: the rule's number, or fewer where the room itself is smaller."""
    return min(most_in_a_room(), room.own_room.capacity) if room.own_room is not None else most_in_a_room()


def _arranged(exam: ExamPlan) -> list[Arrangement]:
    """The rooms as they stand, their people by enrolment id."""
    found = {row.id: Seats[int, int](row.number, row.occupation_id)
             for row in db.session.scalars(select(ExamRoom).where(ExamRoom.exam_plan_id == exam.id))}
    for room_id, seat, enrolment_id in db.session.execute(
            select(Sitting.room_id, Sitting.seat, Sitting.enrolment_id).where(Sitting.exam_plan_id == exam.id)):
        found[room_id].seats[seat] = enrolment_id
    return list(found.values())


def _whereabouts(exam: ExamPlan | None, chosen: Sequence[Room]) -> dict[int, tuple[Room | None, str]]:
    """Which room of the institution, and which place, each number gets. A number keeps the room or the place it had, unless the
    room is no longer chosen; what is chosen besides goes to the lowest numbers that have neither."""
    by_id = {room.id: room for room in chosen}
    found: dict[int, tuple[Room | None, str]] = {}
    if exam is not None:
        for number, room_id, place in db.session.execute(select(ExamRoom.number, ExamRoom.room_id, ExamRoom.place)
                                                         .where(ExamRoom.exam_plan_id == exam.id).order_by(ExamRoom.number)):
            if room_id in by_id:
                found[number] = (by_id.pop(room_id), place)
            elif room_id is None and place:
                found[number] = (None, place)
    numbers = (number for number in count(1) if number not in found)
    found |= {number: (room, room.name) for number, room in zip(numbers, list(by_id.values()), strict=False)}
    return found


def _arrange(exam: ExamPlan | None, people: Iterable[Enrolment], chosen: Sequence[Room],
             fresh: bool) -> tuple[list[Arrangement], dict[int, tuple[Room | None, str]]]:
    groups: dict[int, list[int]] = {}
    for each in people:
        groups.setdefault(each.occupation_id, []).append(each.id)
    where = _whereabouts(exam, chosen)
    limits = {number: room.capacity for number, (room, _place) in where.items() if room is not None}
    kept = _arranged(exam) if exam is not None and not fresh else ()
    return allocate(groups.items(), most_in_a_room(), limits=limits, kept=kept), where


def propose(exam: ExamPlan | None, people: Sequence[Enrolment], chosen: Sequence[Room], *, fresh: bool = False) -> Proposal:
    """What `seat` would do, without writing anything."""
    rooms, where = _arrange(exam, people, chosen, fresh)
    before = _places(_arranged(exam)) if exam is not None else {}
    after = _places(rooms)
    kept = sum(before.get(person) == place for person, place in after.items())
    new = len(after.keys() - before.keys())
    return Proposal([(room, where.get(room.number, (None, ""))[0]) for room in rooms], kept, len(after) - kept - new, new,
                    len(before.keys() - after.keys()))


def _places(rooms: Iterable[Arrangement]) -> dict[int, tuple[int, int]]:
    return {person: (room.number, seat) for room in rooms for seat, person in room.seats.items()}


def seat(exam: ExamPlan, people: Sequence[Enrolment], chosen: Sequence[Room], *, fresh: bool = False) -> int:
    """Seat these people, in the order of their seats, in the caller's transaction. Returns how many rooms. A handful of
    statements, however many people; who stays keeps the ticket number, and a number is not given to another."""
    session = db.session()
    rooms, where = _arrange(exam, people, chosen, fresh)
    before = {row.enrolment_id: row for row in session.execute(select(
        Sitting.id, Sitting.enrolment_id, Sitting.ticket_number).where(Sitting.exam_plan_id == exam.id))}
    after = {person for room in rooms for person in room.seats.values()}
    gone = [row.id for person, row in before.items() if person not in after]
    quietly = {"synchronize_session": False}
    session.execute(delete(Sitting).where(among(Sitting.id, gone)).execution_options(**quietly))
    # Out of the way first: a seat is nobody's while two people change places.
    session.execute(update(Sitting).where(Sitting.exam_plan_id == exam.id).values(seat=-Sitting.id).execution_options(**quietly))
    ids = _write_rooms(exam, rooms, where)
    placed = [(ids[room.number], number, person) for room in rooms for number, person in sorted(room.seats.items())]
    if moved := [{"id": before[person].id, "room_id": room_id, "seat": number}
                 for room_id, number, person in placed if person in before]:
        session.execute(update(Sitting), moved)
    serial = max((int(row.ticket_number[-4:]) for row in before.values()), default=0)
    if fresh_ones := [each for each in placed if each[2] not in before]:
        session.execute(insert(Sitting), [
            {"exam_plan_id": exam.id, "enrolment_id": person, "room_id": room_id, "seat": number, "score_source": "",
             "ticket_number": f"{exam.number}{serial + n:04d}"} for n, (room_id, number, person) in enumerate(fresh_ones, 1)])
    _drop_empty(exam)
    session.expire(exam, ["rooms", "sittings"])
    return len(rooms)


def _write_rooms(exam: ExamPlan, rooms: Sequence[Arrangement], where: Mapping[int, tuple[Room | None, str]]) -> dict[int, int]:
    """The rows of the rooms, by number: those there are changed, those lacking made."""
    session = db.session()
    known: dict[int, int] = dict(session.execute(select(ExamRoom.number, ExamRoom.id).where(ExamRoom.exam_plan_id == exam.id)).all())
    rows: list[dict[str, Any]] = []
    for room in rooms:
        own, place = where.get(room.number, (None, ""))
        rows.append({"number": room.number, "occupation_id": room.key, "place": place, "room_id": own.id if own else None})
    if changed := [{"id": known[row["number"]], **row} for row in rows if row["number"] in known]:
        session.execute(update(ExamRoom), changed)
    if new := [{"exam_plan_id": exam.id, **row} for row in rows if row["number"] not in known]:
        known |= {row.number: row.id for row in session.execute(insert(ExamRoom).returning(ExamRoom.id, ExamRoom.number), new)}
    return known


def _drop_empty(exam: ExamPlan) -> None:
    full = select(Sitting.room_id).where(Sitting.exam_plan_id == exam.id)
    db.session.execute(delete(ExamRoom).where(ExamRoom.exam_plan_id == exam.id, ExamRoom.id.not_in(full))
                       .execution_options(synchronize_session=False))


def still_editable(exam: ExamPlan) -> None:
    """Lock the exam plan's row. Raises `Conflict` once it is submitted."""
    db.session.refresh(exam, with_for_update={"of": type(exam)})
    check_editable(exam)


def check_editable(exam: ExamPlan) -> None:
    """Raises `Conflict` once it is submitted, in the words of where it stands: only what is not accepted yet can be withdrawn."""
    if exam.review_state == "approved":
        raise Conflict(_("该考核计划已审核通过，不能再修改。"))
    if exam.review_state == "accepted":
        raise Conflict(_("主管部门已受理该考核计划，审核期间不能修改。"))
    if not exam.editable:
        raise Conflict(_("该考核计划已提交审核，不能修改。如需修改，请先撤回。"))


@dataclass(frozen=True)
class Move:
    """A person's way to another seat: `sitting_id` from where it was shown (room id, seat) to a room and seat, in which
    `occupant_id` was shown (a sitting, 0 for nobody). Room 0 is one that does not exist yet."""

    sitting_id: int
    shown: tuple[int, int]
    room_id: int
    seat: int
    occupant_id: int = 0


def move(exam: ExamPlan, way: Move, *, actor: Actor) -> tuple[str, str]:
    """Move a person to a free seat, or have two people change places. Returns the names of who moved, the second "" for one.

    Raises `Conflict` where the rule is broken (occupations mixed, a room too full), when someone has changed the seats
    meanwhile, or the exam is submitted; `NotFound` for what is not of this exam.
    """
    with transaction() as session:
        still_editable(exam)
        person = _sitting(exam, way.sitting_id)
        if (person.room_id, person.seat) != way.shown:
            raise Conflict(_("%(name)s的座位刚被调整过，请按现在的座位再选一次。", name=person.enrolment.name))
        before = place_words(person.room, person.seat)
        room = _new_room(exam, person) if way.room_id == 0 else _room(exam, way.room_id)
        seat_number = 1 if way.room_id == 0 else way.seat
        _check_room(room, person, seat_number)
        occupant = session.scalars(select(Sitting).where(Sitting.room_id == room.id, Sitting.seat == seat_number)).one_or_none()
        if (occupant.id if occupant else 0) != way.occupant_id:
            raise Conflict(_("第 %(room)s 考场 %(seat)s 号座位刚有变动，请按现在的座位再选一次。", room=room.number, seat=seat_number))
        if occupant is None:
            _check_full(room, person)
        else:
            left = (person.room_id, person.seat)
            person.seat = -person.id
            session.flush()
            occupant.room_id, occupant.seat = left
            session.flush()
        person.room_id, person.seat = room.id, seat_number
        session.flush()
        _drop_empty(exam)
        names = person.enrolment.name, occupant.enrolment.name if occupant else ""
        audit.record(actor, "move_seat", exam, {"name": exam.name, "person": "、".join(each for each in names if each),
                                                "changed": {"seat": [before, place_words(room, seat_number)]}})
    db.session.expire_all()
    return names


def place_words(room: ExamRoom, seat_number: int) -> str:
    """第 2 考场 05 号."""
    return str(_("第 %(room)s 考场 %(seat)s 号", room=room.number, seat=f"{seat_number:02d}"))


def _sitting(exam: ExamPlan, key: int) -> Sitting:
    row = db.session.get(Sitting, key, populate_existing=True)
    if row is None or row.exam_plan_id != exam.id:
        raise NotFound(_("没有找到这名考生，或您无权查看。"))
    return row


def _room(exam: ExamPlan, key: int) -> ExamRoom:
    row = db.session.get(ExamRoom, key, populate_existing=True)
    if row is None or row.exam_plan_id != exam.id:
        raise NotFound(_("没有找到这个考场，或您无权查看。"))
    return row


def _new_room(exam: ExamPlan, person: Sitting) -> ExamRoom:
    used = set(db.session.scalars(select(ExamRoom.number).where(ExamRoom.exam_plan_id == exam.id)))
    row = ExamRoom(exam_plan_id=exam.id, number=next(n for n in count(1) if n not in used), place="",
                   occupation_id=person.enrolment.occupation_id)
    db.session.add(row)
    db.session.flush()
    return row


def _check_room(room: ExamRoom, person: Sitting, seat_number: int) -> None:
    if room.occupation_id != person.enrolment.occupation_id:
        raise Conflict(_("第 %(room)s 考场是%(occupation)s的考场，不同工种不能同场。", room=room.number, occupation=room.occupation.name))
    if not 1 <= seat_number <= limit_of(room):
        raise Conflict(_("第 %(room)s 考场最多 %(n)s 人，没有 %(seat)s 号座位。", room=room.number, n=limit_of(room), seat=seat_number))


def _check_full(room: ExamRoom, person: Sitting) -> None:
    there = db.session.scalar(select(func.count(Sitting.id)).where(Sitting.room_id == room.id, Sitting.id != person.id)) or 0
    if there >= limit_of(room):
        raise Conflict(_("第 %(room)s 考场最多 %(n)s 人，已经坐满。可以与场内考生对调。", room=room.number, n=limit_of(room)))


def settle_rooms(exam: ExamPlan, wanted: Mapping[int, tuple[int, str]], *, actor: Actor) -> None:
    """Say where each exam room is: by its id, a room of the institution (0 for none) and the place typed, which counts where no
    room is chosen. Ids of other exams are not touched.

    Raises `Conflict` once the exam is submitted, `Invalid` for a place that is too long, a room that is not the institution's,
    is chosen twice or holds too few.
    """
    if any(len(place.strip()) > LONGEST_PLACE for _room_id, place in wanted.values()):
        raise Invalid(_("考场位置不能超过 100 个字。"))
    with transaction() as session:
        still_editable(exam)
        offered = {room.id: room for room in rooms_of(exam.institution)}
        last = dict(session.execute(select(Sitting.room_id, func.max(Sitting.seat)).where(Sitting.exam_plan_id == exam.id)
                                    .group_by(Sitting.room_id)).all())
        moved: dict[str, list[str]] = {}
        taken: dict[int, int] = {}
        for row in session.scalars(select(ExamRoom).where(ExamRoom.exam_plan_id == exam.id).order_by(ExamRoom.number)):
            room_id, place = wanted.get(row.id, (row.room_id or 0, row.place))
            if room_id and room_id != row.room_id and room_id not in offered:
                raise Invalid(_("请从备案的场地中选择。"))
            if room_id and room_id in taken:
                name = offered[room_id].name if room_id in offered else row.place
                raise Invalid(_("“%(name)s”已是第 %(n)s 考场，不能同时作两个考场。", name=name, n=taken[room_id]))
            taken[room_id] = row.number
            own = offered.get(room_id)
            if own is not None and last.get(row.id, 0) > own.capacity:
                raise Invalid(_("“%(name)s”只能坐 %(most)s 人，第 %(n)s 考场的座位排到了 %(last)s 号。请先调整座位，或另选场地。",
                                name=own.name, most=own.capacity, n=row.number, last=last[row.id]))
            new_place = own.name if own is not None else place.strip()
            if (row.room_id or 0, row.place) != (room_id, new_place):
                moved[f"room {row.number}"] = [row.place, new_place]
                row.room_id, row.place = room_id or None, new_place
        audit.record(actor, "name_rooms", exam, {"rooms": len(wanted), "changed": moved})
    db.session.expire_all()


def too_full(exam: ExamPlan) -> list[str]:
    """The rooms that hold more than they may, each as a sentence: the rule was changed after the exam was drawn up."""
    rows = db.session.execute(select(ExamRoom, func.count(Sitting.id)).join(Sitting, Sitting.room_id == ExamRoom.id)
                              .where(ExamRoom.exam_plan_id == exam.id).group_by(ExamRoom.id).order_by(ExamRoom.number)
                              .options(selectinload(ExamRoom.own_room)))
    return [_("第 %(room)s 考场有 %(people)s 人，超过上限 %(n)s 人，请重新编排。", room=room.number, people=people, n=limit_of(room))
            for room, people in rows if people > limit_of(room)]


def without_place(exam: ExamPlan) -> list[int]:
    """The rooms whose place nobody has said: of them a ticket tells only where the exam is."""
    return list(db.session.scalars(select(ExamRoom.number).where(
        ExamRoom.exam_plan_id == exam.id, ExamRoom.place == "", ExamRoom.room_id.is_(None)).order_by(ExamRoom.number)))


def double_booked(exam: ExamPlan) -> list[str]:
    """The institution's rooms in which another exam sits at the same time, each as a sentence."""
    rows = db.session.execute(
        select(ExamRoom.number, Room.name, ExamPlan.name).join(Room, ExamRoom.room_id == Room.id)
        .join(other := select(ExamRoom.room_id, ExamRoom.exam_plan_id).subquery(), other.c.room_id == ExamRoom.room_id)
        .join(ExamPlan, ExamPlan.id == other.c.exam_plan_id)
        .where(ExamRoom.exam_plan_id == exam.id, ExamPlan.id != exam.id, ExamPlan.review_state.in_(("submitted", "accepted", "approved")),
               ExamPlan.starts_at < exam.ends_at, ExamPlan.ends_at > exam.starts_at).order_by(ExamRoom.number, ExamPlan.id))
    return [_("第 %(n)s 考场“%(room)s”同一时间已安排考核“%(exam)s”，请换一间或改时间。", n=number, room=room, exam=name)
            for number, room, name in rows]


def taught_in(exam: ExamPlan) -> list[str]:
    """The institution's rooms in which a class is taught while this exam sits there, each as a sentence."""
    rows = db.session.execute(
        select(ExamRoom.number, Room.name, PlanDay.day, PlanDay.session, TrainingPlan.name).join(Room, ExamRoom.room_id == Room.id)
        .join(PlanDay, PlanDay.room_id == Room.id).join(TrainingPlan, PlanDay.plan_id == TrainingPlan.id)
        .where(ExamRoom.exam_plan_id == exam.id, TrainingPlan.review_state.in_(("submitted", "accepted", "approved")),
               TrainingPlan.cancelled_at.is_(None),
               PlanDay.day.between(clock.shanghai_day(exam.starts_at), clock.shanghai_day(exam.ends_at)))
        .order_by(ExamRoom.number, PlanDay.day, PlanDay.id)).all()

    def meanwhile(day: date, session: str) -> bool:
        first, last = hours_of(day, session)
        return first < exam.ends_at and last > exam.starts_at

    return [_("第 %(n)s 考场“%(room)s” %(day)s %(session)s是“%(plan)s”的课堂，请换一间或改时间。", n=number, room=room, day=day.isoformat(),
              session=SESSIONS[session], plan=plan) for number, room, day, session, plan in rows if meanwhile(day, session)]


def reseat(exam: ExamPlan, people: Sequence[Enrolment], *, fresh: bool, actor: Actor) -> Proposal:
    """Draw up the rooms again for these people: whoever can stays where they are, or with `fresh` everyone by the rule anew.
    In the caller's transaction, the exam plan locked."""
    chosen = [row.own_room for row in db.session.scalars(
        select(ExamRoom).where(ExamRoom.exam_plan_id == exam.id, ExamRoom.room_id.is_not(None)).order_by(ExamRoom.number))
        if row.own_room is not None]
    told = propose(exam, people, chosen, fresh=fresh)
    rooms = seat(exam, people, chosen, fresh=fresh)
    audit.record(actor, "reseat_exam", exam, {"name": exam.name, "people": len(people), "rooms": rooms, "kept": told.kept,
                                              "gone": told.gone})
    return told
