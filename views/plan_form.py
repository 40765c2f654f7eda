"""The form of a training plan, and its way to and from the operation's plain values."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import FieldList, Form, FormField, HiddenField, RadioField, SelectField, SelectMultipleField
from wtforms.validators import InputRequired, NumberRange, ValidationError

from app import clock
from app.extensions import db
from app.operations.filings import rooms_of
from app.operations.plan_checks import SESSIONS, DayDraft, PlanDraft
from app.operations.teachers import KINDS, teachers_of
from models import Enterprise, Institution, Occupation, SkillLevel, TrainingPlan
from views.forms import Amount, Day, Moment, Whole, line

FORMS = [("open", _l("公开报名")), ("designated", _l("指定企业"))]
MOST_TICKS = 50
REQUIRED = InputRequired(_l("此项必填。"))


def _whole_fen(_form: Any, field: Any) -> None:
    if field.data is not None and field.data != round(field.data, 2):
        raise ValidationError(_l("费用最多两位小数。"))


class OccupationRow(Form):
    """One occupation with its level; a nested form, so without a token of its own."""

    occupation_id = SelectField(_l("工种"), coerce=int, validators=[REQUIRED])
    level_id = SelectField(_l("等级"), coerce=int, validators=[REQUIRED])


class DayRow(Form):
    """One day or half-day of teaching."""

    id = HiddenField()
    day = Day(_l("日期"), validators=[InputRequired(_l("请填写有效的日期。"))])
    session = SelectField(_l("时段"), choices=list(SESSIONS.items()), default="all")
    topic = line(_l("培训内容"), 100)
    teacher_id = SelectField(_l("授课老师"), coerce=int, validators=[REQUIRED])
    room_id = SelectField(_l("场地"), coerce=int, default=0)


class PlanForm(FlaskForm):
    """Everything the manual asks for (I11)."""

    name = line(_l("计划名称"), 20)
    fee = Amount(_l("费用（元/人）"), places=2, validators=[
        InputRequired(_l("请填写金额，如 830 或 830.50。")), NumberRange(0, 100_000, _l("费用应在 0 到 100,000 元之间。")), _whole_fen])
    seats = Whole(_l("人数"), validators=[
        InputRequired(_l("请填写整数。")), NumberRange(1, 2000, _l("人数应在 1 到 2000 之间。"))])
    place = line(_l("培训地点"), 200)
    opens_at = Moment(_l("报名开始"), format=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
                                  validators=[InputRequired(_l("请填写有效的日期和时间。"))])
    closes_at = Moment(_l("报名截止"), format=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
                                   validators=[InputRequired(_l("请填写有效的日期和时间。"))])
    occupations = FieldList(FormField(OccupationRow), label=_l("培训工种"), min_entries=1, max_entries=20)
    days = FieldList(FormField(DayRow), label=_l("培训安排"), min_entries=1, max_entries=60)
    enrolment_form = RadioField(_l("报名形式"), choices=FORMS, default="open")
    enterprise_ids = SelectMultipleField(_l("指定企业"), coerce=int)
    version = HiddenField()
    # The name as the portal proposed it: while it stands there untouched it follows the first teaching day.
    proposed = HiddenField()

    def offer(self, institution_id: int) -> None:
        """Fill every select with what this institution may choose: its own teachers. Of the enterprises only those chosen are
        on the page, the others are searched for; without a script the first of the province can be ticked."""
        none = [(0, _l("请选择"))]
        occupations = none + [(row.id, f"{row.code} {row.name}") for row in db.session.scalars(
            select(Occupation).where(Occupation.enabled).order_by(Occupation.position))]
        levels = none + [(row.id, row.name) for row in db.session.scalars(
            select(SkillLevel).where(SkillLevel.enabled).order_by(SkillLevel.position))]
        institution = db.session.get_one(Institution, institution_id)
        rooms = [(0, _l("同培训地点")), *((row.id, f"{row.name}（{row.capacity}）") for row in rooms_of(institution))]
        teachers = none + [(row.id, f"{row.name}（{KINDS[row.kind]}）") for row in teachers_of(institution)]
        approved = select(Enterprise.id, Enterprise.name, Enterprise.uscc).where(Enterprise.review_state == "approved")
        chosen = db.session.execute(approved.where(Enterprise.id.in_(self.enterprise_ids.data or [])).order_by(Enterprise.name)).all()
        first = db.session.execute(approved.order_by(Enterprise.name).limit(MOST_TICKS)).all()
        self.enterprise_ids.choices = [(row.id, f"{row.name} {row.uscc}") for row in dict.fromkeys((*chosen, *first))]
        for entry in self.occupations:
            entry.form.occupation_id.choices, entry.form.level_id.choices = occupations, levels
        for entry in self.days:
            entry.form.teacher_id.choices, entry.form.room_id.choices = teachers, rooms

    @property
    def seen(self) -> int | None:
        """The version of the plan that this form was opened with."""
        text = str(self.version.data or "")
        return int(text) if text.isdigit() and len(text) < 9 else None

    @property
    def named_by_us(self) -> bool:
        """Whether nobody has typed a name."""
        return bool(self.proposed.data) and (self.name.data or "").strip() == self.proposed.data

    def draft(self) -> PlanDraft:
        """What was typed, as the operation takes it. Call only on a valid form."""
        return PlanDraft(
            name=self.name.data.strip(), fee_fen=int(self.fee.data * 100), seats=self.seats.data,
            place=self.place.data.strip(), opens_at=_aware(self.opens_at.data), closes_at=_aware(self.closes_at.data),
            enrolment_form=self.enrolment_form.data, enterprise_ids=list(self.enterprise_ids.data or []),
            occupations=[(row.data["occupation_id"], row.data["level_id"]) for row in self.occupations],
            days=[DayDraft(row.data["day"], row.data["session"], row.data["topic"].strip(), row.data["teacher_id"],
                           int(row.data["id"]) if str(row.data["id"] or "").isdigit() else None, row.data["room_id"] or None)
                  for row in self.days])


def _aware(typed: datetime) -> datetime:
    return typed.replace(tzinfo=clock.SHANGHAI)


def _typed(moment: datetime) -> datetime:
    return moment.astimezone(clock.SHANGHAI).replace(tzinfo=None)


def form_values(draft: PlanDraft) -> dict[str, Any]:
    """The form's beginning for a draft."""
    return {
        "name": draft.name, "fee": Decimal(draft.fee_fen) / 100 if draft.fee_fen else None, "seats": draft.seats,
        "place": draft.place, "opens_at": _typed(draft.opens_at), "closes_at": _typed(draft.closes_at),
        "enrolment_form": draft.enrolment_form, "enterprise_ids": draft.enterprise_ids,
        "occupations": [{"occupation_id": a, "level_id": b} for a, b in draft.occupations],
        "days": [{"id": d.id or "", "day": d.day, "session": d.session, "topic": d.topic, "teacher_id": d.teacher_id,
                  "room_id": d.room_id or 0}
                 for d in draft.days],
    }


def draft_of(plan: TrainingPlan) -> PlanDraft:
    """A saved plan as a draft, for its edit form."""
    return PlanDraft(
        name=plan.name, fee_fen=plan.fee_fen, seats=plan.seats, place=plan.place, opens_at=plan.enrolment_opens_at,
        closes_at=plan.enrolment_closes_at, enrolment_form=plan.enrolment_form,
        enterprise_ids=[row.id for row in plan.designated],
        occupations=[(row.occupation_id, row.level_id) for row in plan.occupations],
        days=[DayDraft(row.day, row.session, row.topic, row.teacher_id, row.id, row.room_id) for row in plan.days])
