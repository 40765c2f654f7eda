"""Training plans: drafting one by the rules, and sending it to its authority (I6–I13)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app import audit, clock, workflow
from app.actors import Actor
from app.errors import Conflict, Forbidden, Invalid, InvalidFields
from app.extensions import db, transaction
from app.identifiers import IdentifierError, parse_plan_name
from models import Enterprise, Institution, Occupation, PlanDay, PlanOccupation, SkillLevel, Teacher, TrainingPlan

MOST_SEATS = 2000
HIGHEST_FEE_FEN = 10_000_000


@dataclass(frozen=True)
class DayDraft:
    """One teaching day as typed; `id` is the row it was, None for a new one."""

    day: date
    session: str
    topic: str
    teacher_id: int
    id: int | None = None


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


def next_name(institution: Institution, start: date) -> str:
    """The first free name of that institution for a plan that starts in that month (I6, C11)."""
    prefix = f"{institution.short_name}培{start:%Y%m}"
    names = set(db.session.scalars(select(TrainingPlan.name).where(TrainingPlan.name.startswith(prefix))))
    for serial in range(1, 100):
        if (name := f"{prefix}{serial:02d}") not in names:
            return name
    raise Invalid(_("本月的计划序号 01–99 已用完，请改用其他开始月份。"), "name")


def _check_name(draft: PlanDraft, institution: Institution, errors: dict[str, object]) -> None:
    try:
        name = parse_plan_name(draft.name)
    except IdentifierError:
        errors["name"] = _("名称应为“%(short)s培 + 年份4位 + 月份2位 + 序号2位”，例如 %(example)s。", short=institution.short_name,
                           example=f"{institution.short_name}培20261101")
        return
    if name.short_name != institution.short_name:
        errors["name"] = _("名称须以本机构简称“%(short)s”开头。", short=institution.short_name)
    elif draft.days and (start := min(each.day for each in draft.days)) and (name.year, name.month) != (start.year, start.month):
        errors["name"] = _("名称中的年月应与首个培训日 %(day)s 一致。", day=start.isoformat())


def _check_window(draft: PlanDraft, errors: dict[str, object]) -> None:
    if draft.closes_at <= draft.opens_at:
        errors["closes_at"] = _("报名截止时间应晚于报名开始时间。")
    elif draft.days and clock.shanghai_day(draft.closes_at) > min(each.day for each in draft.days):
        errors["closes_at"] = _("报名应在首个培训日结束前截止。")


def _check_numbers(draft: PlanDraft, errors: dict[str, object]) -> None:
    if not 0 <= draft.fee_fen <= HIGHEST_FEE_FEN:
        errors["fee"] = _("费用应在 0 到 100,000 元之间。")
    if not 1 <= draft.seats <= MOST_SEATS:
        errors["seats"] = _("人数应在 1 到 %(most)s 之间。", most=MOST_SEATS)


def _check_days(draft: PlanDraft, institution: Institution, errors: dict[str, object]) -> None:
    if not draft.days:
        errors["days"] = _("请至少安排一个培训日。")
    teachers = set(db.session.scalars(select(Teacher.id).where(
        Teacher.institution_id == institution.id, Teacher.enabled)))
    seen: dict[date, set[str]] = {}
    for index, each in enumerate(draft.days):
        if each.teacher_id not in teachers:
            errors[f"days-{index}-teacher_id"] = _("请选择授课老师；没有合适的，请先在机构备案中登记。")
        taken = seen.setdefault(each.day, set())
        if each.session in taken or (taken and "all" in (each.session, *taken)):
            errors[f"days-{index}-day"] = _("同一天的同一时段只能安排一次。")
        taken.add(each.session)


def _check_occupations(draft: PlanDraft, errors: dict[str, object]) -> None:
    if not draft.occupations:
        errors["occupations"] = _("请至少选择一个工种。")
    occupations = set(db.session.scalars(select(Occupation.id).where(Occupation.enabled)))
    levels = set(db.session.scalars(select(SkillLevel.id).where(SkillLevel.enabled)))
    seen: set[tuple[int, int]] = set()
    for index, (occupation_id, level_id) in enumerate(draft.occupations):
        if occupation_id not in occupations:
            errors[f"occupations-{index}-occupation_id"] = _("请从列表中选择工种。")
        elif level_id not in levels:
            errors[f"occupations-{index}-level_id"] = _("请从列表中选择等级。")
        elif (occupation_id, level_id) in seen:
            errors[f"occupations-{index}-occupation_id"] = _("同一工种和等级只需选一次。")
        seen.add((occupation_id, level_id))


def _check_form(draft: PlanDraft, errors: dict[str, object]) -> None:
    if draft.enrolment_form not in ("open", "designated"):
        errors["enrolment_form"] = _("请选择报名形式。")
    if draft.enrolment_form != "designated":
        return
    if not draft.enterprise_ids:
        errors["enterprise_ids"] = _("指定企业报名时，请至少选择一家企业。")
    approved = set(db.session.scalars(select(Enterprise.id).where(
        Enterprise.id.in_(draft.enterprise_ids), Enterprise.review_state == "approved")))
    if set(draft.enterprise_ids) - approved:
        errors["enterprise_ids"] = _("所选企业中有尚未通过审核的，请移除后再保存。")


def check(draft: PlanDraft, institution: Institution) -> None:
    """Every rule of a plan at once. Raises `InvalidFields` with each message at its field."""
    errors: dict[str, object] = {}
    _check_name(draft, institution, errors)
    _check_numbers(draft, errors)
    _check_window(draft, errors)
    _check_occupations(draft, errors)
    _check_days(draft, institution, errors)
    _check_form(draft, errors)
    if errors:
        raise InvalidFields(errors, _("有 %(n)s 处需要修改，见标红的栏目。", n=len(errors)))


def save(plan: TrainingPlan | None, draft: PlanDraft, *, actor: Actor) -> TrainingPlan:
    """Write a draft to a new plan, or to one that may be edited (I10, I13).

    Raises `InvalidFields` when a rule is broken, `Conflict` when the plan was submitted meanwhile, or the name was taken
    by someone else at the same moment.
    """
    if actor.institution_id is None:
        raise Forbidden(_("只有培训机构可以编制培训计划。"))
    institution = db.session.get_one(Institution, actor.institution_id)
    check(draft, institution)
    try:
        with transaction() as session:
            if plan is None:
                plan = TrainingPlan(institution_id=institution.id, authority_id=institution.authority_id,
                                    created_at=clock.now(), review_state="draft", review_round=1)
                session.add(plan)
            else:
                session.refresh(plan, with_for_update={"of": type(plan)})
                if not plan.editable:
                    raise Conflict(_("该计划已提交审核，不能修改。如需修改，请先撤回。"))
            _write(plan, draft)
            session.flush()
            audit.record(actor, "save_plan", plan, {"name": plan.name})
    except IntegrityError as error:
        if "name" in str(error.orig).lower():
            raise InvalidFields({"name": _("这个名称已被使用，请换一个序号。")}, _("计划名称不能重复。")) from None
        raise
    return plan


def _write(plan: TrainingPlan, draft: PlanDraft) -> None:
    """Copy the draft to the row. Days keep their ids, so that what refers to them still does."""
    plan.name, plan.fee_fen, plan.seats, plan.place = draft.name, draft.fee_fen, draft.seats, draft.place
    plan.enrolment_opens_at, plan.enrolment_closes_at = draft.opens_at, draft.closes_at
    plan.enrolment_form = draft.enrolment_form
    kept = {(each.occupation_id, each.level_id): each for each in plan.occupations}
    plan.occupations = [kept.get(pair) or PlanOccupation(occupation_id=pair[0], level_id=pair[1]) for pair in draft.occupations]
    for position, each in enumerate(plan.occupations):
        each.position = position
    plan.days = _days(plan.days, draft.days)
    designated = draft.enterprise_ids if draft.enrolment_form == "designated" else []
    plan.designated = list(db.session.scalars(select(Enterprise).where(Enterprise.id.in_(designated))))


def _days(present: Iterable[PlanDay], drafts: list[DayDraft]) -> list[PlanDay]:
    known = {each.id: each for each in present}
    days = []
    for draft in drafts:
        row = known.pop(draft.id, None) if draft.id is not None else None
        row = row or PlanDay()
        row.day, row.session, row.topic, row.teacher_id = draft.day, draft.session, draft.topic, draft.teacher_id
        days.append(row)
    return days


def missing_for_submission(plan: TrainingPlan) -> list[str]:
    """What still stands between a saved plan and its submission, each as a sentence."""
    missing = []
    if plan.institution.review_state != "approved":
        missing.append(_("本机构备案尚未通过审核。"))
    if plan.enrolment_closes_at <= clock.now():
        missing.append(_("报名截止时间已过，请修改报名时间。"))
    if plan.days and min(each.day for each in plan.days) < clock.shanghai_day():
        missing.append(_("首个培训日已过，请修改培训安排。"))
    return missing


def submit(plan: TrainingPlan, *, actor: Actor) -> None:
    """提交审核 (I12, I13). Raises `Invalid` saying what is missing, `Conflict` when it is submitted already."""
    if plan.editable and (missing := missing_for_submission(plan)):
        raise Invalid(" ".join(missing))
    workflow.take_step(plan, "submit", actor=actor)


def suggested(institution: Institution) -> PlanDraft:
    """What a new plan's form begins with: next month's first free name, a window of two weeks from tomorrow."""
    tomorrow = clock.shanghai_day() + timedelta(days=1)
    start = tomorrow + timedelta(days=15)
    return PlanDraft(name=next_name(institution, start), fee_fen=0, seats=60, place=institution.address,
                     opens_at=clock.at_shanghai(tomorrow, 9), closes_at=clock.at_shanghai(tomorrow + timedelta(days=14), 18),
                     enrolment_form="open", occupations=[], days=[DayDraft(start, "all", "", 0)])
