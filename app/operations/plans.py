"""Training plans: drafting one by the rules, and sending it to its authority (I6–I13)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app import audit, clock, workflow
from app.actors import Actor
from app.errors import Conflict, Forbidden, Invalid, InvalidFields
from app.extensions import db, transaction
from app.operations import form_drafts, rounds
from app.operations.filings import licence_warning, refuse_new_plans
from app.operations.plan_checks import SESSIONS, DayDraft, PlanDraft, check, check_name, clashes, usual_start
from app.presentation import moment, yuan
from models import Enterprise, Institution, PlanDay, PlanOccupation, TrainingPlan


def next_name(institution: Institution, start: date) -> str:
    """The first free name of that institution for a plan that starts in that month (I6, C11)."""
    prefix = f"{institution.short_name}培{start:%Y%m}"
    names = set(db.session.scalars(select(TrainingPlan.name).where(TrainingPlan.name.startswith(prefix))))
    for serial in range(1, 100):
        if (name := f"{prefix}{serial:02d}") not in names:
            return name
    raise Invalid(_("本月的计划序号 01–99 已用完，请改用其他开始月份。"), "name")


def renamed(draft: PlanDraft, institution: Institution) -> PlanDraft:
    """A draft whose name nobody typed, under a free name of the month in which its first teaching day lies (I6): between the proposal
    and the saving the days were chosen, and a colleague may have taken the number."""
    start = min((each.day for each in draft.days), default=None)
    taken = select(TrainingPlan.id).where(TrainingPlan.name == draft.name)
    if start is None or (draft.name[-8:-2] == f"{start:%Y%m}" and db.session.scalar(taken) is None):
        return draft
    return replace(draft, name=next_name(institution, start))


def form_of(plan: TrainingPlan | None) -> str:
    """The name under which a plan's form keeps what was typed and not saved."""
    return f"plan:{plan.id}" if plan is not None else "plan:new"


def proposal(text: str, institution: Institution, start: date | None, plan: TrainingPlan | None) -> tuple[str, str]:
    """What is wrong with a name while it is typed, or "", and a free name by the rule (I6)."""
    own = plan is not None and start is not None and plan.name[-8:-2] == f"{start:%Y%m}"
    free = plan.name if plan is not None and own else next_name(institution, start or usual_start())
    try:
        check_name(text, institution, start)
    except Invalid as error:
        return str(error.message), free
    taken = db.session.scalars(select(TrainingPlan.id).where(TrainingPlan.name == text)).first()
    return _("这个名称已被使用，请换一个序号。") if taken and taken != getattr(plan, "id", None) else "", free


def save(plan: TrainingPlan | None, draft: PlanDraft, *, actor: Actor, seen: int | None = None) -> TrainingPlan:
    """Write a draft to a new plan, or to one that may be edited (I10, I13). `seen` is the version that was edited.

    Raises `InvalidFields` when a rule is broken, `Conflict` when the plan was submitted or changed by a colleague
    meanwhile, or the name was taken by someone else at the same moment.
    """
    if actor.institution_id is None:
        raise Forbidden(_("只有培训机构可以编制培训计划。"))
    institution = db.session.get_one(Institution, actor.institution_id)
    if plan is None:
        refuse_new_plans(institution)
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
                if seen is not None and seen != plan.version:
                    raise Conflict(_("您打开之后，同事修改过这个计划。请在另一窗口核对最新内容；再次保存将以您的为准。"))
            known = form_of(plan if plan.id else None)
            changes = _write(plan, draft)
            session.flush()
            form_drafts.drop(known, actor=actor)
            audit.record(actor, "save_plan", plan, {"name": plan.name, "changed": changes})
    except IntegrityError as error:
        if "name" in str(error.orig).lower():
            raise InvalidFields({"name": _("这个名称已被使用，请换一个序号。")}, _("计划名称不能重复。")) from None
        raise
    return plan


def _write(plan: TrainingPlan, draft: PlanDraft) -> dict[str, list[Any]]:
    """Copy the draft to the row; answers what changed. Days keep their ids, so that what refers to them still does."""
    days = _said(plan.days)
    plan.name, plan.fee_fen, plan.seats, plan.place = draft.name, draft.fee_fen, draft.seats, draft.place
    plan.enrolment_opens_at, plan.enrolment_closes_at = draft.opens_at, draft.closes_at
    plan.enrolment_form, plan.version = draft.enrolment_form, (plan.version or 0) + 1
    changes = audit.changed(plan, without=("version",))  # before what follows reads, and so flushes
    kept = {(each.occupation_id, each.level_id): each for each in plan.occupations}
    plan.occupations = [kept.get(pair) or PlanOccupation(occupation_id=pair[0], level_id=pair[1]) for pair in draft.occupations]
    for position, each in enumerate(plan.occupations):
        each.position = position
    plan.days = _days(plan.days, draft.days)
    designated = draft.enterprise_ids if draft.enrolment_form == "designated" else []
    plan.designated = list(db.session.scalars(select(Enterprise).where(Enterprise.id.in_(designated))))
    return changes if _said(plan.days) == days else {**changes, "days": [days, _said(plan.days)]}


def _said(days: Iterable[PlanDay]) -> list[str]:
    """Training days as the audit record shows them."""
    return [f"{each.day} {each.session} {each.topic}" for each in days]


def _days(present: Iterable[PlanDay], drafts: list[DayDraft]) -> list[PlanDay]:
    known = {each.id: each for each in present}
    days = []
    for draft in drafts:
        row = known.pop(draft.id, None) if draft.id is not None else None
        row = row or PlanDay()
        row.day, row.session, row.topic, row.teacher_id = draft.day, draft.session, draft.topic, draft.teacher_id
        row.room_id = draft.room_id or None
        days.append(row)
    return days


def missing_for_submission(plan: TrainingPlan) -> list[tuple[str, str]]:
    """What still stands between a saved plan and its submission: each as a sentence, and the place where it is mended
    (``filing``, or the name of a field of the form)."""
    missing = []
    if not plan.institution.filed:
        missing.append((_("本机构备案尚未通过审核。"), "filing"))
    if plan.institution.licence_expired:
        missing.append((licence_warning(plan.institution), "filing"))
    if plan.enrolment_closes_at <= clock.now():
        missing.append((_("报名截止时间已过，请修改报名时间。"), "closes_at"))
    if plan.days and min(each.day for each in plan.days) < clock.shanghai_day():
        missing.append((_("首个培训日已过，请修改培训安排。"), "days"))
    booked = clashes([(each.day, each.session, each.teacher_id, each.room_id) for each in plan.days], plan.institution_id, plan.id)
    missing += [(_("%(clash)s请调整时间、老师或场地。", clash=clash), f"days-{clash.row}-{clash.part}")
                for clash in booked if clash.settled]
    return missing


def submit(plan: TrainingPlan, *, actor: Actor) -> None:
    """提交审核 (I12, I13). Raises `Invalid` saying what is missing, `Conflict` when it is submitted already."""
    if plan.editable and (missing := missing_for_submission(plan)):
        raise Invalid(" ".join(sentence for sentence, _place in missing))
    with transaction():
        workflow.take_step(plan, "submit", actor=actor)
        rounds.write(plan, facts_of(plan))


def facts_of(plan: TrainingPlan) -> rounds.Facts:
    """The plan as it stands, for the record of this round: its reviewer sees what the next one changes (I13)."""
    facts = rounds.Facts()
    facts.say("name", _l("计划名称"), plan.name)
    facts.say("fee", _l("费用"), yuan(plan.fee_fen))
    facts.say("seats", _l("人数"), plan.seats)
    facts.say("place", _l("培训地点"), plan.place)
    facts.say("opens_at", _l("报名开始"), moment(plan.enrolment_opens_at))
    facts.say("closes_at", _l("报名截止"), moment(plan.enrolment_closes_at))
    facts.say("form", _l("报名形式"), {"open": "公开报名", "designated": "指定企业"}[plan.enrolment_form])
    for taught in plan.occupations:
        facts.part(f"occupation-{taught.occupation_id}-{taught.level_id}", _l("工种"), f"{taught.occupation.name}（{taught.level.name}）")
    for each in plan.days:
        part = facts.part(f"day-{each.id}", _l("培训日"), f"{each.day.isoformat()}")
        part.say("session", _l("时段"), SESSIONS[each.session])
        part.say("topic", _l("培训内容"), each.topic)
        part.say("teacher", _l("授课老师"), each.teacher.name)
        part.say("room", _l("场地"), each.room.name if each.room else None)
    for enterprise in plan.designated:
        facts.part(f"enterprise-{enterprise.id}", _l("指定企业"), enterprise.name)
    return facts


def suggested(institution: Institution) -> PlanDraft:
    """What a new plan's form begins with: a window of two weeks from tomorrow, the day after it, and the first free name of that month."""
    tomorrow, start = clock.shanghai_day() + timedelta(days=1), usual_start()
    return PlanDraft(name=next_name(institution, start), fee_fen=0, seats=60, place=institution.address,
                     opens_at=clock.at_shanghai(tomorrow, 9), closes_at=clock.at_shanghai(tomorrow + timedelta(days=14), 18),
                     enrolment_form="open", occupations=[], days=[DayDraft(start, "all", "", 0)])


def copied(plan: TrainingPlan, institution: Institution) -> PlanDraft:
    """An older plan as the beginning of a new one (I11): its days moved as they stand to the next start, a fresh name and window.
    Occupations, teachers and enterprises that may no longer be chosen are told when it is saved."""
    fresh = suggested(institution)
    start = fresh.days[0].day
    first = min((each.day for each in plan.days), default=start)
    return replace(
        fresh, fee_fen=plan.fee_fen, seats=plan.seats, place=plan.place, enrolment_form=plan.enrolment_form,
        occupations=[(each.occupation_id, each.level_id) for each in plan.occupations],
        days=[DayDraft(start + (each.day - first), each.session, each.topic, each.teacher_id, room_id=each.room_id)
              for each in plan.days],
        enterprise_ids=[each.id for each in plan.designated])
