"""名额调整 and 计划取消: asked for by the institution with a reason, granted or refused by its authority, or made at once where a
parameter allows it (`resize_percent`, `cancel_consent`)."""

from __future__ import annotations

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app import audit, clock, notices, parameters, workflow
from app.actors import Actor
from app.errors import Conflict, Forbidden, NotFound
from app.extensions import db, transaction
from app.operations import cancellations, resizing, seats
from app.operations.withdrawals import reason_of
from app.workflow import REQUEST_MOVES
from models import PlanChange, TrainingPlan


def resize(plan: TrainingPlan, wanted: int, reason: str, *, actor: Actor) -> PlanChange:
    """Change the seats of a plan, or ask its authority to. The state of what is returned says which.

    Raises `Invalid` for a number the seats cannot be, `Conflict` when the class has opened or another change waits.
    """
    return _ask(plan, "resize", wanted, reason, actor)


def cancel(plan: TrainingPlan, reason: str, *, actor: Actor) -> PlanChange:
    """Call a plan off, or ask its authority to. Raises `Conflict` when the class has opened or another change waits."""
    return _ask(plan, "cancel", None, reason, actor)


def _ask(plan: TrainingPlan, kind: str, wanted: int | None, reason: str, actor: Actor) -> PlanChange:
    reason = reason_of(reason)
    if actor.institution_id is None or actor.user_id is None:
        raise Forbidden(_("只有培训机构可以调整名额或取消计划。"))
    try:
        with transaction() as session:
            plan = seats.lock(plan.id)
            if plan.institution_id != actor.institution_id:
                raise NotFound(_("没有找到这条记录，或您无权查看。"))
            if obstacle := (cancellations if wanted is None else resizing).obstacle(plan):
                raise Conflict(obstacle)
            if wanted is not None:
                resizing.check(plan, wanted)
            at_once = not parameters.number("cancel_consent") if wanted is None else resizing.alone(plan, wanted)
            change = PlanChange(plan_id=plan.id, institution_id=plan.institution_id, authority_id=plan.authority_id, kind=kind,
                                state="asked", seats_before=plan.seats, seats=wanted, reason=reason, asked_at=clock.now(),
                                asked_by_id=actor.user_id, asked_by_name=actor.name)
            session.add(change)
            session.flush()
            audit.record(actor, f"ask_{kind}", plan, _facts(change))
            if at_once:
                _grant(change, None, "", actor)
            else:
                notices.tell(f"{kind}_asked", "plan_change", ids=[change.id], name=plan.name, authority_id=plan.authority_id)
            return change
    except IntegrityError as error:
        raise Conflict(_("该计划已有一项调整或取消的申请在等待主管部门审批，请先撤回或等待审批。")) from error


def _facts(change: PlanChange) -> dict[str, object]:
    changed = {"changed": {"seats": [change.seats_before, change.seats]}} if change.seats is not None else {}
    return {"reason": change.reason, **changed}


def _grant(change: PlanChange, decided_by_id: int | None, remark: str, actor: Actor) -> None:
    """Write that it is granted, and make it so."""
    _move(change, "granted", decided_by_id, remark, actor)
    if change.kind == "cancel":
        cancellations.apply(change, actor=actor)
    else:
        resizing.apply(change)
        audit.record(actor, "resize_plan", change.plan, _facts(change))
        if decided_by_id is None:
            notices.tell("plan_resized", "plan_change", ids=[change.id], name=change.plan.name,
                         remark=f"{change.seats_before} → {change.seats}", authority_id=change.authority_id)


def _move(change: PlanChange, state: str, decided_by_id: int | None, remark: str, actor: Actor) -> None:
    if not workflow.move(PlanChange, [change.id], "state", REQUEST_MOVES, "asked", state, decided_at=clock.now(),
                         decided_by_id=decided_by_id, decided_by_name=actor.name, remark=remark):
        raise Conflict(_("该申请的状态已变化。请刷新页面查看最新状态。"))


def decide(change: PlanChange, granted: bool, remark: str = "", *, actor: Actor) -> None:
    """The authority grants a change, which is then made, or refuses it with a reason.

    Raises `Conflict` when it was answered or taken back, or can no longer be made; it then waits on.
    """
    if actor.authority_id is None or actor.authority_id != change.authority_id:
        raise Forbidden(_("这项申请由其他主管部门审批。"))
    remark = remark.strip()[:500] if granted else reason_of(remark)
    with transaction():
        plan = seats.lock(change.plan_id)
        if granted:
            _grant(change, actor.user_id, remark, actor)
        else:
            _move(change, "refused", actor.user_id, remark, actor)
            audit.record(actor, f"refuse_{change.kind}", plan, {"reason": remark})
        event = f"{change.kind}_{'granted' if granted else 'refused'}"
        notices.tell(event, "plan_change", ids=[change.id], name=plan.name, remark=remark, institution_id=plan.institution_id)


def asked_of(plan: TrainingPlan) -> PlanChange | None:
    """What has been asked for this plan and not been answered."""
    return db.session.scalars(select(PlanChange).where(PlanChange.plan_id == plan.id, PlanChange.state == "asked")).first()


def cancellation_of(plan: TrainingPlan) -> PlanChange | None:
    """With which a plan was called off."""
    if plan.cancelled_at is None:
        return None
    return db.session.scalars(select(PlanChange).where(
        PlanChange.plan_id == plan.id, PlanChange.kind == "cancel", PlanChange.state == "granted")).first()


def take_back(change: PlanChange, *, actor: Actor) -> None:
    """The institution takes back what it asked for."""
    if actor.institution_id is None or actor.institution_id != change.institution_id:
        raise NotFound(_("没有找到这条记录，或您无权查看。"))
    with transaction():
        _move(change, "taken_back", actor.user_id, "", actor)
        audit.record(actor, f"take_back_{change.kind}", change.plan, {"reason": change.reason})
