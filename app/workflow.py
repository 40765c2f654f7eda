"""The review, declared once, and every other small table of states.

Six things are reviewed: enterprise registration, institution filing, training plan, exam plan, score report, score correction. They share
`REVIEW`. Nobody assigns a state column anywhere else in the project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, and_, insert, literal, or_, select, true, update

from app import clock, notices, parameters
from app.actors import Actor
from app.errors import Conflict, Forbidden, Invalid
from app.extensions import transaction
from app.sets import among
from models import Enterprise, ExamPlan, Institution, ReviewEvent, ScoreCorrection, ScoreReport, TrainingPlan
from models.reviews import Reviewed

Who = Literal["owner", "reviewer"]


@dataclass(frozen=True)
class Step:
    """One row of the review table."""

    name: str
    label: Any
    sources: tuple[str, ...]
    target: str
    who: Who
    remark_required: bool = False


REVIEW: dict[str, Step] = {step.name: step for step in (
    Step("submit", _l("提交审核"), ("draft", "rejected"), "submitted", "owner"),
    Step("withdraw", _l("撤回"), ("submitted",), "draft", "owner"),
    Step("accept", _l("受理"), ("submitted",), "accepted", "reviewer"),
    Step("approve", _l("审核通过"), ("accepted",), "approved", "reviewer"),
    Step("reject", _l("不通过"), ("accepted",), "rejected", "reviewer", remark_required=True),
    # C1: a changed region or provincial flag needs a new review; only an approved registration can fall back.
    Step("reopen", _l("重新报审"), ("approved",), "submitted", "owner"),
    # A2: an approved filing is changed by preparing another; until that is approved the earlier one counts.
    Step("change", _l("申请变更"), ("approved",), "draft", "owner"),
)}

REVIEW_LABELS: dict[str, Any] = {
    "draft": _l("未上报"),
    "submitted": _l("已上报待受理"),
    "accepted": _l("已受理"),
    "approved": _l("已审核通过"),  # not the words of the step: other languages say the two differently
    "rejected": _l("未通过"),
}
REVIEW_TONES = {"draft": "neutral", "submitted": "info", "accepted": "warn", "approved": "ok", "rejected": "bad"}


@dataclass(frozen=True)
class Subject:
    """What is reviewed: its table, and which party owns a row of it."""

    model: type[Any]
    owner: Literal["institution", "enterprise"]
    label: Any
    steps: tuple[str, ...] = ("submit", "withdraw", "accept", "approve", "reject")

    def owner_column(self) -> Any:
        name = f"{self.owner}_id"
        return getattr(self.model, name) if hasattr(self.model, name) else self.model.id


SUBJECTS: dict[str, Subject] = {
    "enterprise": Subject(Enterprise, "enterprise", _l("企业注册"), ("submit", "withdraw", "accept", "approve", "reject", "reopen")),
    "institution": Subject(Institution, "institution", _l("机构备案"), ("submit", "withdraw", "accept", "approve", "reject", "change")),
    "training_plan": Subject(TrainingPlan, "institution", _l("培训计划")),
    "exam_plan": Subject(ExamPlan, "institution", _l("考核计划")),
    "score_report": Subject(ScoreReport, "institution", _l("成绩报审")),
    "score_correction": Subject(ScoreCorrection, "institution", _l("成绩更正")),
}


# What else a step means for a kind of subject, e.g. that an approved filing now counts: done in the step's transaction.
Follower = Callable[[list[int]], None]
_FOLLOWERS: dict[tuple[str, str], Follower] = {}


def follows(kind: str, step_name: str) -> Callable[[Follower], Follower]:
    """Have a function called with the ids that took a step, in its transaction, whoever took it and however many at once."""

    def wrap(follower: Follower) -> Follower:
        _FOLLOWERS[kind, step_name] = follower
        return follower

    return wrap


def _whose(subject: Subject, step: Step, actor: Actor) -> ColumnElement[bool]:
    """The rows of a subject on which this person may take this step."""
    if step.who == "reviewer":
        if actor.authority_id is None:
            raise Forbidden(_("只有主管部门可以%(step)s。", step=step.label))
        return cast(ColumnElement[bool], subject.model.authority_id == actor.authority_id)
    owner_id = getattr(actor, f"{subject.owner}_id")
    if owner_id is None:
        raise Forbidden(_("只有申报单位可以%(step)s。", step=step.label))
    return cast(ColumnElement[bool], subject.owner_column() == owner_id)


def _decides(step: Step) -> bool:
    return step.who == "reviewer" and step.sources == ("accepted",)


def two_people() -> bool:
    """Whether who accepted a subject may not decide it."""
    return parameters.number("two_person_review") > 0


def needs_another(actor: Actor, subject: Reviewed) -> bool:
    """Whether this subject waits for somebody else, because this person accepted it."""
    return subject.review_state == "accepted" and subject.accepted_by_id == actor.user_id and two_people()


def _written(step: Step, actor: Actor, remark: str, model: type[Any]) -> dict[str, Any]:
    """The columns a step writes: the state with its evidence."""
    at = clock.now()
    values: dict[str, Any] = {"review_state": step.target, "review_remark": remark,
                              "review_version": model.review_version + 1}
    if step.target == "submitted":
        values |= {"submitted_at": at, "accepted_at": None, "accepted_by_id": None, "decided_at": None, "decided_by_id": None}
    elif step.name == "accept":
        values |= {"accepted_at": at, "accepted_by_id": actor.user_id}
    elif step.who == "reviewer":
        values |= {"decided_at": at, "decided_by_id": actor.user_id}
    return values


@dataclass(frozen=True)
class Outcome:
    """What a bulk step did: the ids that moved, and those that were not in the right state (or not this person's). `own` are
    those of them that this person accepted, where another must decide."""

    moved: list[int]
    left: list[int]
    own: list[int] = field(default_factory=list)


def take_steps(kind: str, ids: Iterable[int], step_name: str, *, actor: Actor, remark: str = "") -> Outcome:
    """Take one step on many subjects of a kind: one UPDATE ... RETURNING and one INSERT for each source state, and one INSERT
    that tells the organisations concerned.

    Compare-and-set: a row moves only from the state the table allows, so of two racing steps one wins. Rows that could
    not move are returned, not raised. Raises `Invalid` when a required remark is missing and `Forbidden` when the step
    is not this party's.
    """
    subject, step = SUBJECTS[kind], REVIEW[step_name]
    wanted = list(dict.fromkeys(ids))
    remark = remark.strip()
    if step_name not in subject.steps:
        raise Forbidden(_("此项不能%(step)s。", step=step.label))
    if step.remark_required and not remark:
        raise Invalid(_("请填写不通过的原因，申报单位将据此修改。"), "remark")
    if len(remark) > 500:
        raise Invalid(_("备注不能超过 500 个字。"), "remark")
    model = subject.model
    moved: list[int] = []
    own: list[int] = []
    with transaction() as session:
        allowed = _whose(subject, step, actor)
        if _decides(step) and two_people():
            mine = and_(allowed, model.accepted_by_id == actor.user_id)
            allowed = and_(allowed, or_(model.accepted_by_id.is_(None), model.accepted_by_id != actor.user_id))
            own = list(session.scalars(select(model.id).where(among(model.id, wanted), model.review_state == "accepted", mine)))
        for source in step.sources:
            values = _written(step, actor, remark, model)
            if source in ("rejected", "approved"):  # what was decided stays as it is: a new round begins
                values["review_round"] = model.review_round + 1
            rows = session.execute(
                update(model)
                .where(among(model.id, wanted), model.review_state == source, allowed)
                .values(values)
                .returning(model.id)
                .execution_options(synchronize_session=False)
            ).all()
            if rows:
                session.execute(_events(kind, step, source, [row.id for row in rows], actor, remark))
            moved += [row.id for row in rows]
        notices.tell_steps(session, kind, model, step_name, moved, subject.owner, remark)
        _forget(session, model, moved)
        if moved and (follower := _FOLLOWERS.get((kind, step_name))):
            follower(moved)
    found = set(moved)
    return Outcome(moved, [each for each in wanted if each not in found], own)


def _events(kind: str, step: Step, source: str, ids: list[int], actor: Actor, remark: str) -> Any:
    """One INSERT that gives each of these rows its event, read from the rows as the step has left them."""
    model = SUBJECTS[kind].model
    same = {"subject_kind": kind, "step": step.name, "from_state": source, "to_state": step.target, "actor_id": actor.user_id,
            "actor_name": actor.name, "organisation": actor.organisation, "at": clock.now(), "remark": remark}
    columns = ReviewEvent.__table__.c
    values = [literal(value, columns[name].type) for name, value in same.items()]
    rows = select(model.id, model.review_version, model.review_round, *values).where(among(model.id, ids))
    return insert(ReviewEvent).from_select(["subject_id", "sequence", "round", *same], rows)


def _forget(session: Any, model: type[Any], ids: list[int]) -> None:
    """Rows already loaded must be read again: the UPDATE went past them."""
    changed = set(ids)
    for row in list(session.identity_map.values()):
        if isinstance(row, model) and row.id in changed:
            session.expire(row)


def take_step(subject: Reviewed, step_name: str, *, actor: Actor, remark: str = "") -> None:
    """Take one step on one subject. Raises `Conflict` when it is no longer in a state that allows it, or waits for another person."""
    row = cast(Any, subject)
    outcome = take_steps(subject.review_kind, [row.id], step_name, actor=actor, remark=remark)
    if outcome.own:
        raise Conflict(_("“%(name)s”由您受理，须由另一人审核。", name=str(row)))
    if not outcome.moved:
        raise Conflict(_("“%(name)s”的状态已变化，不能%(step)s。请刷新页面查看最新状态。", name=str(row), step=REVIEW[step_name].label))


def steps_open_to(actor: Actor, subject: Reviewed) -> list[Step]:
    """The steps this person could take on this subject now; the screens derive their buttons from it."""
    row = cast(Any, subject)
    declared = SUBJECTS[subject.review_kind]
    owner_id = getattr(actor, f"{declared.owner}_id")
    owns = owner_id is not None and owner_id == getattr(row, declared.owner_column().key)
    reviews = actor.authority_id is not None and actor.authority_id == row.authority_id and not needs_another(actor, subject)
    return [step for name in declared.steps if (step := REVIEW[name]) and name != "reopen"
            and subject.review_state in step.sources and (owns if step.who == "owner" else reviews)]


# The small tables of the same form. Each names the moves allowed; a harmless repeat is a move to where it already is.
Moves = Mapping[str, tuple[str, ...]]

IMPORT_MOVES: Moves = {"waiting": ("clean", "faulty", "unmapped"), "clean": ("discarded",), "faulty": ("waiting", "discarded"),
                       "unmapped": ("waiting", "discarded")}
PHOTO_MOVES: Moves = {"open": ("waiting",), "waiting": ("done", "failed")}
# 核对: a corrected person may be corrected again until the institution has looked.
CHECK_MOVES: Moves = {"ok": ("mismatch",), "mismatch": ("mismatch", "ok", "corrected"), "corrected": ("corrected", "ok", "mismatch")}
ENROLMENT_MOVES: Moves = {"draft": ("held", "discarded"), "held": ("enrolled", "draft"), "enrolled": ("draft", "withdrawn", "discarded")}
# What an institution asks of its authority, and an enterprise of the institution.
REQUEST_MOVES: Moves = {"asked": ("granted", "refused", "taken_back")}
# However it ended, money that came in time or finds its seats makes it paid.
ORDER_MOVES: Moves = {"pending": ("paid", "expired", "cancelled", "closed"), "expired": ("paid",), "cancelled": ("paid",),
                      "closed": ("paid",)}
# An offer ends in an order, by hand or by its time; where it was for fewer than wanted, the place is kept for the rest.
WAITLIST_MOVES: Moves = {"waiting": ("offered", "declined", "closed"), "offered": ("waiting", "accepted", "declined", "lapsed", "closed")}
PAYMENT_MOVES: Moves = {"received": ("applied", "reseated", "refunding", "unmatched"), "unmatched": ("refunding",),
                        "refunding": ("refunded", "unmatched")}
# What went back in the platform's own console is only booked: nothing is due.
REFUND_MOVES: Moves = {"proposed": ("due", "done", "declined"), "due": ("done", "failed"), "failed": ("due", "declined")}
RECONCILIATION_MOVES: Moves = {"waiting": ("done", "failed"), "done": ("waiting",), "failed": ("waiting",)}
# An upload by hand issues what waits or has failed, and takes the place of a receipt; nothing is asked of a platform then.
# A red letter of what was uploaded by hand waits for another upload.
INVOICE_MOVES: Moves = {"waiting": ("requested", "failed", "issued", "cancelled", "to_upload"), "requested": ("issued", "failed"),
                        "failed": ("waiting", "issued", "cancelled"), "issued": ("issued", "to_upload"), "to_upload": ("issued",)}
# "exported" is in a file that a person takes to the ministry; what is pushed or failed waits again once it has changed.
PUSH_MOVES: Moves = {"waiting": ("pushed", "failed", "exported"), "exported": ("pushed", "failed", "waiting"), "failed": ("waiting",),
                     "pushed": ("waiting",)}
PUSH_BATCH_MOVES: Moves = {"exported": ("confirmed", "discarded")}
# A text message that was "sending" when its worker died may have gone out: it is failed, and only a person sends it again.
NOTICE_TEXT_MOVES: Moves = {"waiting": ("sending", "dropped"), "sending": ("sent", "waiting", "failed"), "failed": ("sending",)}
# A process that ended in the middle of a reading leaves it there: the next one takes it up from the same state.
READING_MOVES: Moves = {"waiting": ("reading",), "reading": ("reading", "read", "failed", "unavailable")}
CERTIFICATE_MOVES: Moves = {"valid": ("revoked", "replaced")}
CERTIFICATE_CHANGE_MOVES: Moves = {"asked": ("done", "refused")}
UNLOCK_MOVES: Moves = {"asked": ("granted", "refused", "dropped")}
JOB_MOVES: Moves = {"waiting": ("running",), "running": ("done", "failed", "waiting"), "failed": ("waiting",)}


def move(model: type[Any], ids: Iterable[int], field: str, moves: Moves, source: str, target: str, *,
         where: Any = None, **values: Any) -> list[int]:
    """Move rows of `model` from one state to another by compare-and-set, writing `values` with it. `where` is what else must
    still be so.

    Returns the ids that moved, so that the caller knows who won a race. A move the table does not hold is a mistake in
    the program and raises `ValueError`.
    """
    if target not in moves.get(source, ()):
        raise ValueError(f"{model.__name__}.{field}: {source} -> {target} is not a declared move")
    wanted = list(ids)
    if not wanted:
        return []
    with transaction() as session:
        result = session.execute(
            update(model).where(among(model.id, wanted), getattr(model, field) == source, true() if where is None else where)
            .values({field: target, **values}).returning(model.id).execution_options(synchronize_session=False))
        moved = [int(row.id) for row in result]
        _forget(session, model, moved)
    return moved
