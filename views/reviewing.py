"""The authority's desk, once for everything that is reviewed: what waits, one row read in full, one or many decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, ClassVar

from flask import current_app, jsonify, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import Select, select, true

from app import clock, jobs, parameters, scope, workflow
from app.areas import VERB_OF
from app.errors import Invalid, NotFound
from app.extensions import db
from app.operations import bulk_steps
from app.operations.rounds import changes_since_last_round
from app.security import current_actor
from models import BulkRun, Remark
from views.base import PortalView, page, said, wants_json
from views.listing import Filter, Search, chosen_ids, listing
from views.records import events_of

# So many rows that could not go are named on one page.
MOST_NAMED = 1000


def standing(subject: Any, then: str) -> tuple[str, str]:
    """Where a registration or filing stands, as (tone, sentence) for its owner; `then` is what approval allows."""
    authority = str(subject.authority)
    if subject.review_state == "rejected":
        return "bad", _("未通过%(authority)s审核：%(reason)s", authority=authority, reason=subject.review_remark)
    return {
        "draft": ("warn", _("尚未提交审核。提交并经%(authority)s审核通过后，可以%(then)s。", authority=authority, then=then)),
        "submitted": ("info", _("等待%(authority)s受理。审核通过后，可以%(then)s。", authority=authority, then=then)),
        "accepted": ("info", _("%(authority)s已受理，正在审核。审核通过后，可以%(then)s。", authority=authority, then=then)),
        "approved": ("ok", _("已通过%(authority)s审核，可以%(then)s。", authority=authority, then=then)),
    }[subject.review_state]


@dataclass(frozen=True)
class Column:
    """A column of a desk: its heading, and what a row shows in it."""

    label: Any
    value: Callable[[Any], Any]


def _state_filter(model: Any, default: str) -> Filter:
    """待办 is what still needs an act of the authority; it is what a desk opens with."""
    def clause(value: str) -> Any:
        if value == "all":
            return true()
        return model.review_state.in_(("submitted", "accepted")) if value == "waiting" else model.review_state == value

    choices = (("waiting", _l("待办")), ("submitted", _l("待受理")), ("accepted", _l("待审核")),
               ("approved", _l("已通过")), ("rejected", _l("未通过")), ("all", _l("全部")))
    return Filter("state", _l("状态"), choices, clause, default=default)


class ReviewDesk(PortalView):
    """Base of the five desks. A subclass names its kind, its columns and the template that shows one row."""

    kind: ClassVar[str]
    title: ClassVar[Any]
    columns: ClassVar[Sequence[Column]] = ()
    show_template: ClassVar[str]
    list_template: ClassVar[str] = "portal/reviews/desk.html"
    # What the desk opens with: what waits, unless a subclass is also a register of everything.
    opens_with: ClassVar[str] = "waiting"
    default_view = "list"

    @property
    def model(self) -> Any:
        return workflow.SUBJECTS[self.kind].model

    def searches(self) -> Sequence[Search]:
        """The text searches of this desk."""
        return ()

    def filters(self) -> Sequence[Filter]:
        """Filters besides the state."""
        return ()

    def options(self) -> Sequence[Any]:
        """Eager loads of the list."""
        return ()

    def show_values(self, subject: Any) -> dict[str, Any]:
        """What the show template needs besides the subject and its events."""
        return {}

    def _statement(self) -> Select[Any]:
        return scope.visible(self.actor, self.model)

    def _all_searches(self) -> tuple[Search, ...]:
        return (*self.searches(), *_dates(self.model))

    def _all_filters(self) -> tuple[Filter, ...]:
        return (_state_filter(self.model, self.opens_with), *self.filters())

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(self._statement(), order=(self.model.submitted_at, self.model.id), searches=self._all_searches(),
                       filters=self._all_filters(), options=self.options())
        return self.page(self.list_template, listing=rows, columns=self.columns, title=self.title, kind=self.kind,
                         waited=waited, phrases=phrases_for(self.kind))

    @page("/<int:subject_id>", "show")
    def show(self, subject_id: int) -> Any:
        return self.drawn(self.fetch(self.model, subject_id))

    def drawn(self, subject: Any, **more: Any) -> str:
        """The page of one row; `more` goes before what `show_values` says."""
        return self.page(self.show_template, subject=subject, title=str(subject), kind=self.kind,
                         events=events_of(self.kind, subject.id), steps=self._open_steps(subject), phrases=phrases_for(self.kind),
                         frame="portal/pane.html" if "pane" in request.args else "",
                         needs_another=workflow.needs_another(self.actor, subject),
                         **({"changes": changes_since_last_round(subject)} | self.show_values(subject) | more))

    @page("/<int:subject_id>/<any(accept):step>", "accept", ("POST",))
    def accept(self, subject_id: int, step: str) -> Any:
        return self._take(subject_id, step)

    @page("/<int:subject_id>/<any(approve, reject):step>", "decide", ("POST",))
    def decide(self, subject_id: int, step: str) -> Any:
        return self._take(subject_id, step)

    @page("/bulk/<any(accept):step>", "accept", ("POST",))
    def accept_many(self, step: str) -> Any:
        return self._take_many(step)

    @page("/bulk/<any(approve, reject):step>", "decide", ("POST",))
    def decide_many(self, step: str) -> Any:
        return self._take_many(step)

    def _take(self, subject_id: int, step: str) -> Any:
        subject = self.fetch(self.model, subject_id)
        workflow.take_step(subject, step, actor=self.actor, remark=request.form.get("remark", ""))
        message = _("“%(name)s”：%(state)s。", name=str(subject), state=workflow.REVIEW_LABELS[workflow.REVIEW[step].target])
        if wants_json():  # read beside the list: the person stays there
            state = workflow.REVIEW[step].target
            return jsonify(message=message, state=str(workflow.REVIEW_LABELS[state]), tone=workflow.REVIEW_TONES[state],
                           decided=state != "accepted")
        said(message)
        return self.to("show", subject_id=subject_id)

    def _take_many(self, step: str) -> Any:
        ids = chosen_ids(self._statement(), searches=self._all_searches(), filters=self._all_filters())
        remark = request.form.get("remark", "")
        if not ids:
            if request.form.get("ids") or request.form.get("all") == "1":  # seen on the list, but in another region
                raise Invalid(_("所选记录不在您可以%(step)s的地区内，或已不在列表中。", step=workflow.REVIEW[step].label))
            raise Invalid(_("请先勾选要处理的记录。"))
        if len(ids) > bulk_steps.AT_ONCE:
            return self.to("run", run_id=bulk_steps.start(self.kind, ids, step, actor=self.actor, remark=remark).id)
        outcome = workflow.take_steps(self.kind, ids, step, actor=self.actor, remark=remark)
        _tell(self.model, self.actor, step, outcome)
        return self.to("list")

    @page("/runs/<int:run_id>", "list")
    def run(self, run_id: int) -> Any:
        """How far a step on thousands is, and in the end every row that could not go."""
        run = self.fetch(BulkRun, run_id)
        if run.kind != self.kind:
            raise NotFound("")
        left = scope.fetch_many(self.actor, self.model, run.left[:MOST_NAMED])
        return self.page("portal/reviews/run.html", title=_("批量%(step)s", step=workflow.REVIEW[run.step].label), run=run,
                         job=jobs.latest(bulk_steps.JOB, run.id), left=sorted(left, key=lambda row: row.id),
                         own={row.id for row in left if workflow.needs_another(self.actor, row)} if run.step != "accept" else set())

    def address(self, step: str, subject_id: int | None = None) -> str:
        """Where a step is posted: of one subject, or of many."""
        endpoint = f"{self.endpoint}.{VERB_OF[step]}"
        return url_for(f"{endpoint}_many", step=step) if subject_id is None else url_for(endpoint, subject_id=subject_id, step=step)

    def _open_steps(self, subject: Any) -> Sequence[workflow.Step]:
        """The steps that the subject's state, the person's authority and their roles allow."""
        allowed = self.steps()
        return [step for step in workflow.steps_open_to(self.actor, subject) if step.name in allowed and self._reaches(step.name, subject)]

    def _reaches(self, step: str, subject: Any) -> bool:
        """Whether a role that allows this step holds where the subject is; looking may reach further."""
        actor = current_actor(f"can_{VERB_OF[step]}", type(self).__name__)
        return actor.regions is None or scope.sees(actor, subject)

    def steps(self) -> Sequence[str]:
        """The steps this person's roles allow on this desk. (A property FAB would ask for before anybody is there.)"""
        security = current_app.extensions["appbuilder"].sm
        return [step for step, verb in VERB_OF.items() if security.has_access(f"can_{verb}", type(self).__name__)]


def phrases_for(kind: str) -> Sequence[str]:
    """What is often said of such a subject, as the administrator keeps it."""
    return db.session.scalars(select(Remark.name).where(Remark.enabled, Remark.subject_kind.in_(("", kind)))
                              .order_by(Remark.position, Remark.id)).all()


def waited(subject: Any) -> tuple[int, bool]:
    """How many whole days a subject has waited for the step that is due, and whether that is more than it should."""
    since = subject.accepted_at if subject.review_state == "accepted" else subject.submitted_at
    if since is None or subject.review_state not in ("submitted", "accepted"):
        return 0, False
    days = (clock.now() - since).days
    return days, days >= parameters.number("review_days")


def _dates(model: Any) -> tuple[Search, Search]:
    """From and to: the days of submission, both included."""
    def bound(text: str, later: int) -> Any:
        try:
            moment = clock.at_shanghai(date.fromisoformat(text)) + timedelta(days=later)
        except (ValueError, OverflowError):
            return true()
        return model.submitted_at < moment if later else model.submitted_at >= moment

    return (Search("from", _l("上报日期从"), lambda text: bound(text, 0), "date"),
            Search("to", _l("上报日期至"), lambda text: bound(text, 1), "date"))


def _tell(model: Any, actor: Any, name: str, outcome: workflow.Outcome) -> None:
    """How many went through, and the names of those that did not."""
    step = workflow.REVIEW[name]
    if outcome.moved:
        said(_("%(step)s：已处理 %(n)s 项。", step=step.label, n=len(outcome.moved)))
    own = set(outcome.own)
    left = [key for key in outcome.left if key not in own]
    if own:
        said(_("%(n)s 项由您受理，须由另一人审核，未处理：%(names)s。", n=len(own), names=_named(model, actor, outcome.own)), "warning")
    if left:
        said(_("%(n)s 项当前状态不能%(step)s，未处理：%(names)s。", n=len(left), step=step.label,
               names=_named(model, actor, left)), "warning")


def _named(model: Any, actor: Any, ids: Sequence[int]) -> str:
    """The names of the first ten."""
    return "、".join(str(row) for row in scope.fetch_many(actor, model, ids[:10])) + (_(" 等") if len(ids) > 10 else "")
