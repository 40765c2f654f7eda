"""The rules of a training plan as typed, each told at its field, and whom it would book twice (I6–I11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import or_, select, tuple_
from sqlalchemy.orm import joinedload, selectinload

from app import clock
from app.errors import Invalid
from app.extensions import db
from app.identifiers import IdentifierError, parse_plan_name
from app.operations.checks import Findings
from app.operations.filings import rooms_of
from app.operations.teachers import teachers_of
from models import Enterprise, ExamPlan, ExamRoom, Institution, Occupation, PlanDay, Room, SkillLevel, TrainingPlan

MOST_SEATS = 2000
HIGHEST_FEE_FEN = 10_000_000
SESSIONS = {"all": _l("全天"), "morning": _l("上午"), "afternoon": _l("下午"), "evening": _l("晚上")}


@dataclass(frozen=True)
class DayDraft:
    """One teaching day as typed; `id` is the row it was, None for a new one."""

    day: date
    session: str
    topic: str
    teacher_id: int
    id: int | None = None
    room_id: int | None = None


@dataclass(frozen=True)
class PlanDraft:
    """A training plan as typed. Money in fen, moments aware."""

    name: str
    fee_fen: int
    seats: int
    place: str
    opens_at: datetime
    closes_at: datetime
    enrolment_form: str
    occupations: list[tuple[int, int]] = field(default_factory=list)
    days: list[DayDraft] = field(default_factory=list)
    enterprise_ids: list[int] = field(default_factory=list)


def check(draft: PlanDraft, institution: Institution) -> None:
    """Every rule of a plan at once. Raises `InvalidFields` with each message at its field."""
    found = Findings()
    found.tried(lambda: check_name(draft.name, institution, min((each.day for each in draft.days), default=None)))
    _check_numbers(draft, found)
    _check_window(draft, found)
    _check_occupations(draft, found)
    _check_days(draft, institution, found)
    _check_form(draft, found)
    found.settle()


def usual_start() -> date:
    """The first teaching day of a plan that has none yet, by the Shanghai day: after two weeks of enrolment from tomorrow on. Its month,
    and not today's, is that of the name."""
    return clock.shanghai_day() + timedelta(days=16)


def check_name(text: str, institution: Institution, start: date | None) -> None:
    """The code rule of a plan's name (I6, C11); `start` is the first teaching day. Raises `Invalid` at the field `name`."""
    try:
        name = parse_plan_name(text)
    except IdentifierError:
        raise Invalid(_("名称应为“%(short)s培 + 年份4位 + 月份2位 + 序号2位”，例如 %(example)s。", short=institution.short_name,
                        example=f"{institution.short_name}培{start or usual_start():%Y%m}01"), "name") from None
    if name.short_name != institution.short_name:
        raise Invalid(_("名称须以本机构简称“%(short)s”开头。", short=institution.short_name), "name")
    if start and (name.year, name.month) != (start.year, start.month):
        raise Invalid(_("名称中的年月应与首个培训日 %(day)s 一致。", day=start.isoformat()), "name")


def _check_window(draft: PlanDraft, found: Findings) -> None:
    if draft.closes_at <= draft.opens_at:
        found.add("closes_at", _("报名截止时间应晚于报名开始时间。"))
    elif draft.days and clock.shanghai_day(draft.closes_at) > min(each.day for each in draft.days):
        found.add("closes_at", _("报名应在首个培训日结束前截止。"))


def _check_numbers(draft: PlanDraft, found: Findings) -> None:
    if not 0 <= draft.fee_fen <= HIGHEST_FEE_FEN:
        found.add("fee", _("费用应在 0 到 100,000 元之间。"))
    if not 1 <= draft.seats <= MOST_SEATS:
        found.add("seats", _("人数应在 1 到 %(most)s 之间。", most=MOST_SEATS))


def _check_days(draft: PlanDraft, institution: Institution, found: Findings) -> None:
    if not draft.days:
        found.add("days", _("请至少安排一个培训日。"))
    teachers = {each.id for each in teachers_of(institution)}
    rooms = {room.id for room in rooms_of(institution)}
    seen: dict[date, set[str]] = {}
    for index, each in enumerate(draft.days):
        if each.room_id and each.room_id not in rooms:
            found.add(f"days-{index}-room_id", _("请从备案的场地中选择。"))
        if each.teacher_id not in teachers:
            found.add(f"days-{index}-teacher_id", _("请选择授课老师；没有合适的，请先在机构备案中登记。"))
        taken = seen.setdefault(each.day, set())
        if any(overlap(each.session, other) for other in taken):
            found.add(f"days-{index}-day", _("同一天的同一时段只能安排一次。"))
        taken.add(each.session)


def _check_occupations(draft: PlanDraft, found: Findings) -> None:
    if not draft.occupations:
        found.add("occupations", _("请至少选择一个工种。"))
    occupations = {row.id: row for row in db.session.scalars(
        select(Occupation).where(Occupation.enabled).options(selectinload(Occupation.levels)))}
    levels = set(db.session.scalars(select(SkillLevel.id).where(SkillLevel.enabled)))
    seen: set[tuple[int, int]] = set()
    for index, (occupation_id, level_id) in enumerate(draft.occupations):
        if occupation_id not in occupations:
            found.add(f"occupations-{index}-occupation_id", _("请从列表中选择工种。"))
        elif level_id not in levels:
            found.add(f"occupations-{index}-level_id", _("请从列表中选择等级。"))
        elif not occupations[occupation_id].allows(level_id):
            found.add(f"occupations-{index}-level_id", _("%(occupation)s只设：%(levels)s。", occupation=occupations[occupation_id].name,
                                                         levels="、".join(level.name for level in occupations[occupation_id].levels)))
        elif (occupation_id, level_id) in seen:
            found.add(f"occupations-{index}-occupation_id", _("同一工种和等级只需选一次。"))
        seen.add((occupation_id, level_id))


def _check_form(draft: PlanDraft, found: Findings) -> None:
    if draft.enrolment_form not in ("open", "designated"):
        found.add("enrolment_form", _("请选择报名形式。"))
    if draft.enrolment_form != "designated":
        return
    if not draft.enterprise_ids:
        found.add("enterprise_ids", _("指定企业报名时，请至少选择一家企业。"))
    approved = set(db.session.scalars(select(Enterprise.id).where(
        Enterprise.id.in_(draft.enterprise_ids), Enterprise.review_state == "approved")))
    if set(draft.enterprise_ids) - approved:
        found.add("enterprise_ids", _("所选企业中有尚未通过审核的，请移除后再保存。"))


# The hours of Shanghai's day that a session may take.
_HOURS = {"all": (0, 24), "morning": (0, 12), "afternoon": (12, 18), "evening": (18, 24)}


def hours_of(day: date, session: str) -> tuple[datetime, datetime]:
    """From when to when a session may last."""
    first, last = (clock.at_shanghai(day, 0) + timedelta(hours=hour) for hour in _HOURS[session])
    return first, last


def overlap(session: str, other: str) -> bool:
    """Whether two sessions of one day share an hour."""
    return session == other or "all" in (session, other)


@dataclass(frozen=True)
class Clash:
    """A teacher or a room (`part` is the form's field) that is booked twice: the row of the form (from 0), and the other
    plan's hour."""

    row: int
    part: str
    name: str
    day: date
    session: str
    plan: str
    settled: bool

    def __str__(self) -> str:
        said = {"name": self.name, "day": self.day.isoformat(), "session": SESSIONS[self.session], "plan": self.plan}
        if self.part == "room_id":
            return str(_("场地“%(name)s” %(day)s %(session)s已用于“%(plan)s”。", **said))
        return str(_("%(name)s老师 %(day)s %(session)s已安排在“%(plan)s”。", **said))


def clashes(days: Sequence[tuple[date, str, int, int | None]], institution_id: int, plan_id: int | None) -> list[Clash]:
    """Which of these (day, session, teacher id, room id) are booked at the same hour by another plan of the institution, or by an
    exam. What was rejected or cancelled books nobody; `settled` says that the other was submitted, and so will not make way by itself.
    Two statements."""
    teachers = {(day, teacher_id) for day, _session, teacher_id, _room in days if teacher_id}
    rooms = {(day, room_id) for day, _session, _teacher, room_id in days if room_id}
    if not teachers and not rooms:
        return []
    booked = db.session.scalars(
        select(PlanDay).join(TrainingPlan, PlanDay.plan_id == TrainingPlan.id)
        .where(TrainingPlan.institution_id == institution_id, TrainingPlan.review_state != "rejected",
               TrainingPlan.cancelled_at.is_(None),
               TrainingPlan.id != (plan_id or 0), or_(tuple_(PlanDay.day, PlanDay.teacher_id).in_(sorted(teachers)),
                                                      tuple_(PlanDay.day, PlanDay.room_id).in_(sorted(rooms))))
        .options(joinedload(PlanDay.teacher), joinedload(PlanDay.room), joinedload(PlanDay.plan)).order_by(PlanDay.id)).all()
    found = []
    for row, (day, session, teacher_id, room_id) in enumerate(days):
        for each in booked:
            if each.day != day or not overlap(session, each.session):
                continue
            settled = each.plan.review_state != "draft"
            if each.teacher_id == teacher_id:
                found.append(Clash(row, "teacher_id", each.teacher.name, day, each.session, each.plan.name, settled))
            if room_id and each.room_id == room_id and each.room is not None:
                found.append(Clash(row, "room_id", each.room.name, day, each.session, each.plan.name, settled))
    return found + _examined(days, rooms)


def _examined(days: Sequence[tuple[date, str, int, int | None]], rooms: set[tuple[date, int]]) -> list[Clash]:
    """The rooms in which an exam that was submitted sits meanwhile."""
    if not rooms:
        return []
    first, last = (hours_of(pick(day for day, _room in rooms), "all") for pick in (min, max))
    exams = db.session.execute(
        select(ExamRoom.room_id, Room.name, ExamPlan.name, ExamPlan.starts_at, ExamPlan.ends_at)
        .join(Room, ExamRoom.room_id == Room.id).join(ExamPlan, ExamRoom.exam_plan_id == ExamPlan.id)
        .where(ExamRoom.room_id.in_(sorted({room for _day, room in rooms})),
               ExamPlan.review_state.in_(("submitted", "accepted", "approved")),
               ExamPlan.starts_at < last[1], ExamPlan.ends_at > first[0]).order_by(ExamPlan.id, ExamRoom.number)).all()
    found = []
    for row, (day, session, _teacher, room_id) in enumerate(days):
        begin, end = hours_of(day, session)
        found += [Clash(row, "room_id", name, day, session, exam, settled=True)
                  for examined, name, exam, starts_at, ends_at in exams if examined == room_id and starts_at < end and ends_at > begin]
    return found
