"""考勤, session by session and as a whole: what is known, what the rule makes of it, and marking it (I20).

Nothing known of a person in a session means there. A session that was taken by scanning is the exception: who did not scan is
proposed as away, and counts as nothing until a person has settled it. Every writer holds the plan's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update

from app import audit, clock, parameters, presentation
from app.actors import Actor
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.extensions import db, transaction
from app.operations import seats
from app.operations.plan_checks import SESSIONS
from app.sets import among
from models import AttendanceMark, Enrolment, PlanDay, SessionRoll, TrainingPlan

# A person in a session: (enrolment id, day id).
Cell = tuple[int, int]
_ORDER = {name: number for number, name in enumerate(SESSIONS)}


@dataclass(frozen=True)
class Session:
    """One session of a class. `absent` and `scanned` count people; `open` ones have begun, so that they can be marked."""

    id: int
    day: date
    session: str
    topic: str
    open: bool
    by_scan: bool = False
    settled: bool = False
    absent: int = 0
    scanned: int = 0

    @property
    def unsettled(self) -> bool:
        """Taken by scanning, and nobody has said yet who of the others was away."""
        return self.by_scan and not self.settled

    @property
    def label(self) -> str:
        """2026-11-26 上午."""
        return f"{self.day.isoformat()} {SESSIONS[self.session]}"

    @property
    def short(self) -> str:
        """11-26 上午."""
        return f"{self.day:%m-%d} {SESSIONS[self.session]}"


@dataclass(frozen=True)
class Standing:
    """A person of a class: the sessions missed, and whether the whole counts as away, by whom ("hand", "rule" or "")."""

    missed: int
    absent: bool
    by: str


@dataclass
class Sheet:
    """Some people of a class and all its sessions. `marks` holds what is known, by person and session."""

    sessions: list[Session]
    marks: dict[Cell, AttendanceMark] = field(default_factory=dict)
    standing: dict[int, Standing] = field(default_factory=dict)

    def state(self, person_id: int, session: Session) -> str:
        """absent, present, unscanned (proposed as away) or "" where the session has not begun."""
        mark = self.marks.get((person_id, session.id))
        if mark is not None:
            return mark.state
        if not session.open:
            return ""
        return "unscanned" if session.unsettled else "present"

    def known(self, person_id: int, day_id: int) -> str:
        """What stands of a person in a session, or with 0 of the whole, and how it came: "absent hand", "present scan"; "" where
        nothing is known. Two that are alike say the same."""
        if not day_id:
            one = self.standing[person_id]
            return f"{'absent' if one.absent else 'present'} {one.by}"
        mark = self.marks.get((person_id, day_id))
        return "" if mark is None else f"{mark.state} {mark.source}"

    def away(self, person_id: int) -> list[str]:
        """The cells of a person that are marked as away, as a form names them: "12-3", and "12-0" for the whole."""
        cells = [f"{person_id}-{each.id}" for each in self.sessions if self.state(person_id, each) == "absent"]
        return cells + ([f"{person_id}-0"] if self.standing[person_id].absent else [])


def own_plan(plan_id: int, actor: Actor) -> TrainingPlan:
    """The plan as it is now, locked: payments of its orders and other marks wait until this transaction ends."""
    if actor.institution_id is None:
        raise Forbidden(_("只有培训机构可以办理开班和考勤。"))
    plan = seats.lock(plan_id)
    if plan.institution_id != actor.institution_id:
        raise NotFound(_("没有找到这条记录，或您无权查看。"))
    return plan


def check_in_class(plan: TrainingPlan) -> None:
    """Attendance is taken between 开班 and its confirmation. Raises `Conflict`."""
    if plan.class_opened_at is None:
        raise Conflict(_("请先开班，再登记考勤。"))
    if plan.attendance_confirmed_at is not None:
        raise Conflict(_("考勤已于 %(at)s 确认，不能再修改。", at=presentation.moment(plan.attendance_confirmed_at)))


def people_of(plan: TrainingPlan) -> ColumnElement[bool]:
    """The condition of being in a class."""
    return and_(Enrolment.plan_id == plan.id, Enrolment.state == "enrolled")


def least_missed(plan: TrainingPlan) -> int:
    """How many sessions missed make the whole count as away, by the parameter ``attendance_share`` (percent of the sessions); 0 where
    the institution marks it by hand."""
    share = parameters.number("attendance_share")
    total = db.session.scalar(select(func.count(PlanDay.id)).where(PlanDay.plan_id == plan.id)) or 0
    return -(-share * total // 100) if share else 0


def absent_clause(plan: TrainingPlan) -> ColumnElement[bool]:
    """Who of a class counts as away: by the confirmed record, before it by hand, else by the rule. Never NULL."""
    if plan.attendance_confirmed_at is not None:
        return func.coalesce(Enrolment.attendance, "") == "absent"
    marked: ColumnElement[bool] = func.coalesce(Enrolment.attendance_mark, "") == "absent"
    least = least_missed(plan)
    if not least:
        return marked
    missed = (select(AttendanceMark.enrolment_id).where(AttendanceMark.plan_id == plan.id, AttendanceMark.state == "absent")
              .group_by(AttendanceMark.enrolment_id).having(func.count() >= least))
    return or_(marked, and_(Enrolment.attendance_mark.is_(None), Enrolment.id.in_(missed)))


def sessions_of(plan: TrainingPlan) -> list[Session]:
    """The sessions of a class in their order. Three statements."""
    counts: dict[tuple[int, str], int] = {}
    scanned: dict[int, int] = {}
    for day_id, state, people, slips in db.session.execute(
            select(AttendanceMark.day_id, AttendanceMark.state, func.count(), func.count(AttendanceMark.scanned_at))
            .join(Enrolment, AttendanceMark.enrolment_id == Enrolment.id).where(people_of(plan))
            .group_by(AttendanceMark.day_id, AttendanceMark.state)):
        counts[day_id, state] = people
        scanned[day_id] = scanned.get(day_id, 0) + slips
    rolls = {row.day_id: row for row in db.session.scalars(select(SessionRoll).where(SessionRoll.plan_id == plan.id))}
    today = clock.shanghai_day()
    rows = db.session.scalars(select(PlanDay).where(PlanDay.plan_id == plan.id)).all()
    return [Session(row.id, row.day, row.session, row.topic, plan.class_opened_at is not None and row.day <= today, row.id in rolls,
                    row.id in rolls and rolls[row.id].settled_at is not None, counts.get((row.id, "absent"), 0),
                    scanned.get(row.id, 0))
            for row in sorted(rows, key=lambda each: (each.day, _ORDER[each.session], each.id))]


def session_of(plan: TrainingPlan, day_id: int) -> Session:
    """One session of this class, or `NotFound`."""
    found = next((each for each in sessions_of(plan) if each.id == day_id), None)
    if found is None:
        raise NotFound(_("没有找到这条记录，或您无权查看。"))
    return found


def sheet(plan: TrainingPlan, people: Iterable[Enrolment]) -> Sheet:
    """What is known of these people of a class. Five statements, however many they are."""
    shown = list(people)
    ids = [person.id for person in shown]
    marks = db.session.scalars(select(AttendanceMark).where(AttendanceMark.plan_id == plan.id, among(AttendanceMark.enrolment_id, ids))
                               .execution_options(populate_existing=True))
    found = Sheet(sessions_of(plan), {(mark.enrolment_id, mark.day_id): mark for mark in marks})
    missed: dict[int, int] = {}
    for (person_id, _day), mark in found.marks.items():
        missed[person_id] = missed.get(person_id, 0) + (mark.state == "absent")
    least = least_missed(plan)
    found.standing = {person.id: _standing(person, missed.get(person.id, 0), least, plan) for person in shown}
    return found


def _standing(person: Enrolment, missed: int, least: int, plan: TrainingPlan) -> Standing:
    by_rule = bool(least) and missed >= least
    if plan.attendance_confirmed_at is not None:
        return Standing(missed, person.attendance == "absent", "rule" if by_rule and person.attendance_mark is None else "hand")
    if person.attendance_mark is not None:
        return Standing(missed, person.attendance_mark == "absent", "hand")
    return Standing(missed, by_rule, "rule" if by_rule else "")


def mark(plan: TrainingPlan, away: Iterable[Cell], back: Iterable[Cell], *, actor: Actor, source: str = "hand",
         expected: Mapping[Cell, str] | None = None) -> int:
    """Mark people as away from sessions, or take that back; a session of 0 is the whole training. Returns how many marks changed.

    Cells of people or sessions of another class are not touched. `expected` is what the person was shown of cells (`Sheet.known`).
    Raises `Conflict` before 开班, once attendance is confirmed, for a session that has not begun, and where a cell is neither as
    expected nor as wanted any more.
    """
    with transaction():
        plan = own_plan(plan.id, actor)
        check_in_class(plan)
        gone, here = _of_this_class(plan, away), _of_this_class(plan, back)
        here -= gone
        _check_expected(plan, expected or {}, gone)
        _mark_whole(plan, {person for person, day in gone if not day}, {person for person, day in here if not day}, actor)
        changed = _mark_sessions(plan, {cell for cell in gone if cell[1]}, {cell for cell in here if cell[1]}, source, actor)
    db.session.expire_all()
    return changed + sum(1 for _person, day in gone | here if not day)


def _check_expected(plan: TrainingPlan, expected: Mapping[Cell, str], gone: set[Cell]) -> None:
    """Nobody writes over marks they have not seen. What already is as it should become is no conflict: a second click."""
    if not expected:
        return
    people = {each.id: each for each in db.session.scalars(
        select(Enrolment).where(people_of(plan), among(Enrolment.id, {person for person, _day in expected}))
        .execution_options(populate_existing=True))}
    found = sheet(plan, people.values())
    others = {person for (person, day), seen in expected.items() if person in people and found.known(person, day) != seen
              and found.known(person, day).startswith("absent") != ((person, day) in gone)}
    if others:
        raise Conflict(_("%(names)s 的考勤刚被修改过，表格没有写入。请重新上传，核对最新的考勤。",
                         names="、".join(people[each].name for each in sorted(others)[:5])))


def _of_this_class(plan: TrainingPlan, cells: Iterable[Cell]) -> set[Cell]:
    wanted = set(cells)
    if not wanted:
        return wanted
    sessions = {each.id: each for each in sessions_of(plan)}
    for day in {day for _person, day in wanted if day in sessions}:
        if not sessions[day].open:
            raise Conflict(_("%(session)s还没有到，不能登记考勤。", session=sessions[day].label))
    own = set(db.session.scalars(select(Enrolment.id).where(people_of(plan), among(Enrolment.id, {person for person, _day in wanted}))))
    return {(person, day) for person, day in wanted if person in own and (day == 0 or day in sessions)}


def _mark_sessions(plan: TrainingPlan, gone: set[Cell], here: set[Cell], source: str, actor: Actor) -> int:
    """Write what differs from what is known, and the audit row that says it."""
    session = db.session()
    known = {(row.enrolment_id, row.day_id): row for row in session.scalars(
        select(AttendanceMark).where(AttendanceMark.plan_id == plan.id).execution_options(populate_existing=True))}
    scanned_days = set(session.scalars(select(SessionRoll.day_id).where(SessionRoll.plan_id == plan.id)))
    at = clock.now()
    new, changed, dropped = [], [], []
    for cell in gone | here:
        state = "absent" if cell in gone else "present"
        row = known.get(cell)
        if row is not None and row.state == state:
            continue
        if row is not None and (state == "absent" or row.scanned_at is not None or cell[1] in scanned_days):
            changed.append({"id": row.id, "state": state, "source": source, "marked_at": at, "marked_by_id": actor.user_id})
        elif row is not None:
            dropped.append(row.id)
        elif state == "absent" or cell[1] in scanned_days:
            new.append({"plan_id": plan.id, "day_id": cell[1], "enrolment_id": cell[0], "state": state, "source": source,
                        "marked_at": at, "marked_by_id": actor.user_id, "scanned_at": None})
        else:
            continue
    if new:
        session.execute(insert(AttendanceMark), new)
    if changed:
        session.execute(update(AttendanceMark), changed)
    if dropped:
        session.execute(delete(AttendanceMark).where(among(AttendanceMark.id, dropped)).execution_options(synchronize_session=False))
    if total := len(new) + len(changed) + len(dropped):
        really = {cell for cell in gone | here if (known[cell].state if cell in known else "") != ("absent" if cell in gone else "present")}
        audit.record(actor, "mark_sessions", plan, {"source": source, "absent": _by_session(plan, gone & really),
                                                    "present": _by_session(plan, here & really)})
        return total
    return 0


def _by_session(plan: TrainingPlan, cells: set[Cell]) -> dict[str, list[int]]:
    """Enrolment ids by the label of their session, for the record."""
    labels = {each.id: each.label for each in sessions_of(plan)}
    found: dict[str, list[int]] = {}
    for person, day in sorted(cells, key=lambda cell: (cell[1], cell[0])):
        found.setdefault(labels[day], []).append(person)
    return found


def _mark_whole(plan: TrainingPlan, gone: set[int], here: set[int], actor: Actor) -> None:
    """The whole training. Who is there although the rule says otherwise is marked so; for everyone else no mark means there."""
    if not gone and not here:
        return
    session = db.session()
    before = session.scalars(select(Enrolment.id).where(people_of(plan), absent_clause(plan), among(Enrolment.id, gone | here))
                             .order_by(Enrolment.id)).all()
    mine = update(Enrolment).execution_options(synchronize_session=False)
    session.execute(mine.where(among(Enrolment.id, gone)).values(attendance_mark="absent"))
    session.execute(mine.where(among(Enrolment.id, here)).values(attendance_mark=None))
    by_rule = session.scalars(select(Enrolment.id).where(people_of(plan), absent_clause(plan), among(Enrolment.id, here))).all()
    session.execute(mine.where(among(Enrolment.id, by_rule)).values(attendance_mark="full"))
    for state, ids in (("absent", gone), ("full", here)):
        if ids:
            audit.record(actor, "mark_attendance", plan, {
                "attendance": state, "enrolments": sorted(ids), "absent_before": [each for each in before if each in ids]})


def settle(plan: TrainingPlan, day_id: int, away: Iterable[int], *, actor: Actor) -> int:
    """核对未扫码人员: of those nothing is known of in a session taken by scanning, these were away, the others were there. Who has
    been scanned or marked meanwhile stays as that. Returns how many were marked; a second time changes nothing.

    Raises `Conflict` for a session that was not taken by scanning.
    """
    with transaction() as session:
        plan = own_plan(plan.id, actor)
        check_in_class(plan)
        one = session_of(plan, day_id)
        if not one.by_scan:
            raise Conflict(_("%(session)s没有扫码签到，无需核对。", session=one.label))
        if one.settled:
            return 0
        known = select(AttendanceMark.enrolment_id).where(AttendanceMark.day_id == day_id)
        gone = session.scalars(select(Enrolment.id).where(people_of(plan), among(Enrolment.id, away), Enrolment.id.not_in(known))
                               .order_by(Enrolment.id)).all()
        at = clock.now()
        if gone:
            session.execute(insert(AttendanceMark), [
                {"plan_id": plan.id, "day_id": day_id, "enrolment_id": each, "state": "absent", "source": "scan", "marked_at": at,
                 "marked_by_id": actor.user_id, "scanned_at": None} for each in gone])
        session.execute(update(SessionRoll).where(SessionRoll.day_id == day_id).values(settled_at=at, settled_by_id=actor.user_id)
                        .execution_options(synchronize_session=False))
        audit.record(actor, "settle_session", plan, {"session": one.label, "scanned": one.scanned, "absent": {one.label: list(gone)}})
    db.session.expire_all()
    return len(gone)


def away_yet_scanned(plan: TrainingPlan) -> list[str]:
    """The names of those marked by hand as away from the whole who were nevertheless scanned in a session. (By rule a person may be
    away from the whole and there now and then.)"""
    return list(db.session.scalars(select(Enrolment.name).where(
        people_of(plan), Enrolment.attendance_mark == "absent", Enrolment.id.in_(
            select(AttendanceMark.enrolment_id).where(AttendanceMark.plan_id == plan.id, AttendanceMark.state == "present",
                                                      AttendanceMark.scanned_at.is_not(None)))).order_by(Enrolment.id)))


def unsettled(plan: TrainingPlan) -> list[Session]:
    """The sessions taken by scanning that still have to be settled."""
    return [each for each in sessions_of(plan) if each.unsettled]


def cells_of(names: Iterable[str]) -> set[Cell]:
    """Cells as a form names them; what is none is left out. Raises `Invalid` for far too many."""
    found: set[Cell] = set()
    for name in names:
        person, dash, day = name.partition("-")
        if dash and person.isdecimal() and day.isdecimal() and len(person) < 19 and len(day) < 19:
            found.add((int(person), int(day)))
    if len(found) > 50_000:
        raise Invalid(_("一次提交的考勤太多，请分页保存。"))
    return found


def told(plan: TrainingPlan, people: Iterable[int]) -> Mapping[str, Any]:
    """What a page has to redraw after a mark: sessions with their counts, people with what they missed."""
    rows = db.session.scalars(select(Enrolment).where(people_of(plan), among(Enrolment.id, people))).all()
    found = sheet(plan, rows)
    return {"sessions": {str(each.id): each.absent for each in found.sessions},
            "people": {str(key): {"missed": one.missed, "absent": one.absent, "by": one.by} for key, one in found.standing.items()}}
