"""报名人员查询: who is enrolled, how far they are, everything about one person (I28, E20, X2, X4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import redirect, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import Select, select
from sqlalchemy.orm import joinedload

from app import files, scope
from app.extensions import db
from app.operations import attendance, carry_over, corrections, people, withdrawals
from app.operations.plan_checks import SESSIONS
from app.operations.progress import states_of
from app.operations.scores import RESULTS
from models import Certificate, Enrolment, Enterprise, ExamPlan, Sitting, TrainingPlan
from models.plans import PlanDay
from views import sealed
from views.base import PortalView, download, page, said
from views.listing import Search, like, listing, narrowed


class PeopleView(PortalView):
    """One page for three parties; scope decides whom each of them finds."""

    route_base = "/people"
    default_view = "list"

    def _statement(self) -> Select[Any]:
        return scope.visible(self.actor, Enrolment).where(Enrolment.state == "enrolled")

    def _searches(self) -> Sequence[Search]:
        searches = [Search("q", _l("姓名"), lambda text: like(Enrolment.name, text)),
                    Search("id_number", _l("身份证号（完整）"), people.by_id_number, secret=True),
                    Search("phone", _l("手机号（完整）"), people.by_phone, secret=True)]
        if not self.actor.is_enterprise:
            searches += [
                Search("enterprise", _l("企业名称"), lambda text: Enrolment.enterprise_id.in_(
                    select(Enterprise.id).where(like(Enterprise.name, text)))),
                Search("plan", _l("培训计划名称"), lambda text: Enrolment.plan_id.in_(
                    select(TrainingPlan.id).where(like(TrainingPlan.name, text)))),
                Search("exam", _l("考核计划名称"), lambda text: people.by_exam(like(ExamPlan.name, text)))]
        return searches

    @page("/", "list", ("GET", "POST"))
    def list(self) -> Any:
        searches = self._searches()
        if request.method == "POST":
            return redirect(sealed.address(searches), 303)
        if sealed.bare(searches):
            said(_("身份证号和手机号不能放在网址里，请在下面重新输入。"), "info")
            return self.to("list")
        rows = listing(self._statement(), order=(Enrolment.id.desc(),), searches=searches, options=people.IN_FULL,
                       given=sealed.given(searches))
        return self.page("portal/people/list.html", listing=rows, title=_("报名人员查询"), states=states_of(rows.rows))

    @page("/people.xlsx", "download")
    def export(self) -> Any:
        searches = self._searches()
        statement, values = narrowed(self._statement(), searches, (), sealed.given(searches))
        return download(people.export(statement, tuple(values), actor=self.actor), "报名人员.xlsx", files.XLSX)

    @page("/<int:enrolment_id>", "show")
    def show(self, enrolment_id: int) -> Any:
        return self._show(self._person(enrolment_id))

    @page("/<int:enrolment_id>/reveal", "reveal", ("POST",))
    def reveal(self, enrolment_id: int) -> Any:
        person = self._person(enrolment_id)
        return self._show(person, revealed=people.reveal(person, actor=self.actor))

    def _person(self, enrolment_id: int) -> Enrolment:
        return self.fetch(Enrolment, enrolment_id, *people.IN_FULL, joinedload(Enrolment.title), joinedload(Enrolment.education),
                          joinedload(Enrolment.plan).selectinload(TrainingPlan.days).joinedload(PlanDay.teacher))

    def _attended(self, person: Enrolment) -> Sequence[tuple[Any, str, str]]:
        """Each session of the training with the day's row, the word for it, and its tone (X4)."""
        found = attendance.sheet(person.plan, [person])
        days = {day.id: day for day in person.plan.days}
        words = {"absent": (_("缺课"), "bad"), "present": (_("到课"), "ok"), "unscanned": (_("待核对"), "warn"), "": (_("未到"), "neutral")}
        return [(days[one.id], *words[found.state(person.id, one)]) for one in found.sessions]

    def _show(self, person: Enrolment, revealed: tuple[str, str] | None = None) -> Any:
        sittings = db.session.scalars(
            scope.visible(self.actor, Sitting).where(Sitting.enrolment_id == person.id).order_by(Sitting.id)
            .options(joinedload(Sitting.room), joinedload(Sitting.exam_plan).joinedload(ExamPlan.report))).all()
        certificate = db.session.scalars(
            scope.visible(self.actor, Certificate).where(Certificate.enrolment_id == person.id).order_by(Certificate.id.desc())).first()
        return self.page("portal/people/show.html", person=person, title=person.name, attended=self._attended(person),
                         progress=states_of([person])[person.id],
                         sittings=sittings, certificate=certificate,
                         marks_open={sitting.id for sitting in sittings
                                     if people.marks_open(sitting.exam_plan.report, actor=self.actor)},
                         check=corrections.check_of(person), said_reasons=corrections.reasons_said,
                         gone_on_as=carry_over.gone_on_as(person), withdrawal=withdrawals.open_of(person),
                         revealed=revealed, sessions=SESSIONS, results=RESULTS)
