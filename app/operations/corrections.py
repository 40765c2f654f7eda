"""核对与更正: the institution says whose data do not agree with the photos, the enterprise corrects them until the class opens (I18, B10).

A phone number, title or education may be corrected at any time before 开班. Name, ID number and photos say who the person is: they
change only while the institution has marked the person as 不相符, and it looks again afterwards. Nobody becomes another person unseen:
a changed ID number keeps the class from opening until the institution has said that it is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from app import audit, clock, notices, workflow
from app.actors import Actor
from app.crypto import blind
from app.documents.faults import PictureFault
from app.errors import Conflict, Forbidden, Invalid, InvalidFields, NotFound
from app.extensions import db, gateways, let_go, transaction
from app.gateways.errors import GatewayError
from app.identifiers import IdentifierError, mask_id_number, mask_phone, parse_id_number, parse_phone
from app.operations import photo_matching, seats
from app.operations.photo_matching import Kept
from app.operations.photo_words import picture_reason
from app.operations.roster_rows import YOUNGEST
from app.operations.roster_words import number_fault
from models import CheckEvent, Education, Enrolment, FormerPhoto, PersonCheck, Title, TrainingPlan
from models.rosters import LIVE

PICTURES = ("portrait", "id_front")
# What says who a person is.
IDENTITY = ("name", "id_number", *PICTURES)


def reason_words() -> dict[str, str]:
    """Why a person does not agree with the photos: the short list."""
    return {"name": _("姓名与身份证不符"), "id_number": _("身份证号与身份证不符"), "portrait": _("寸照不是本人或不合格"),
            "id_front": _("身份证照片不清晰或不是正面"), "other": _("其他")}


def reasons_said(reasons: Sequence[str], remark: str) -> str:
    """The reasons in one line."""
    words = reason_words()
    chosen = [words[each] for each in reasons if each in words and each != "other"]
    return "；".join([*chosen, *([remark] if remark else [])]) or words["other"]


def check_of(person: Enrolment) -> PersonCheck | None:
    return db.session.scalars(select(PersonCheck).where(PersonCheck.enrolment_id == person.id)
                              .execution_options(populate_existing=True)).first()


def checks_of(people: Sequence[Enrolment]) -> dict[int, PersonCheck]:
    """The checks of these people, in one statement; who was never looked at is not among them."""
    return {row.enrolment_id: row for row in db.session.scalars(
        select(PersonCheck).where(PersonCheck.enrolment_id.in_([each.id for each in people])))}


def history_of(person: Enrolment) -> list[CheckEvent]:
    """Every step, the newest first."""
    return list(db.session.scalars(select(CheckEvent).where(CheckEvent.enrolment_id == person.id).order_by(CheckEvent.id.desc())))


def in_state(*states: str) -> ColumnElement[bool]:
    """Asked of `Enrolment`: the check stands in one of these states; ``new`` is nobody has looked."""
    mine = PersonCheck.enrolment_id == Enrolment.id
    named = [each for each in states if each != "new"]
    clauses = [exists().where(mine, PersonCheck.state.in_(named))] if named else []
    return or_(*clauses, *([~exists().where(mine)] if "new" in states else []))


def still_correctable() -> ColumnElement[bool]:
    """Asked of `Enrolment`: enrolled in a class that is not open yet."""
    return (Enrolment.state == "enrolled") & Enrolment.plan_id.in_(
        select(TrainingPlan.id).where(TrainingPlan.class_opened_at.is_(None), TrainingPlan.review_state == "approved"))


def waiting_in(plan: TrainingPlan) -> tuple[int, int]:
    """How many people of this class the institution has to look at, and how many their enterprise has to correct."""
    of_plan = select(func.count(Enrolment.id)).where(Enrolment.plan_id == plan.id, still_correctable())
    return (db.session.scalar(of_plan.where(in_state("new", "corrected"))) or 0,
            db.session.scalar(of_plan.where(in_state("mismatch"))) or 0)


def obstacle(plan: TrainingPlan) -> str:
    """Why these people keep the class from opening, as a sentence; empty when they do not."""
    waiting = db.session.scalar(select(func.count(PersonCheck.id)).join(Enrolment, PersonCheck.enrolment_id == Enrolment.id).where(
        Enrolment.plan_id == plan.id, Enrolment.state == "enrolled", PersonCheck.number_changed)) or 0
    return _("有 %(n)s 人更正了身份证号，请先在“报名人员核对”中复核，再开班。", n=waiting) if waiting else ""


def _locked(person_id: int, *, before_opening: bool) -> Enrolment:
    """The person as they are now, with plan and row locked."""
    plan_id = db.session.scalar(select(Enrolment.plan_id).where(Enrolment.id == person_id))
    plan = seats.lock(plan_id or 0)
    person = db.session.scalars(select(Enrolment).where(Enrolment.id == person_id).with_for_update()
                                .execution_options(populate_existing=True)).one()
    if person.state != "enrolled":
        raise Conflict(_("%(name)s已不在报名人员中。请刷新页面查看。", name=person.name))
    if before_opening and plan.class_opened_at is not None:
        raise Conflict(_("该计划已开班，报名信息不能再更正。"))
    return person


def _take(person: Enrolment, target: str, seen: int | None, **values: Any) -> PersonCheck:
    """Move the check by compare-and-set; a first look makes its row. `seen` is the version the person decided on."""
    row = check_of(person)
    if seen is not None and (row.version if row else 0) != seen:
        raise Conflict(_("%(name)s的资料刚刚有变化，请看过后再决定。", name=person.name))
    at = clock.now()
    if row is None:
        row = PersonCheck(enrolment_id=person.id, enterprise_id=person.enterprise_id, institution_id=person.institution_id,
                          state=target, at=at, **values)
        db.session.add(row)
        db.session.flush()
        return row
    if target not in workflow.CHECK_MOVES[row.state]:
        raise Conflict(_("%(name)s的核对结果没有变化。", name=person.name))
    if not workflow.move(PersonCheck, [row.id], "state", workflow.CHECK_MOVES, row.state, target, at=at, version=row.version + 1, **values):
        raise Conflict(_("%(name)s的资料刚刚有变化，请看过后再决定。", name=person.name))
    return row


def _event(person: Enrolment, step: str, actor: Actor, **values: Any) -> CheckEvent:
    event = CheckEvent(enrolment_id=person.id, step=step, at=clock.now(), actor_id=actor.user_id, actor_name=actor.name,
                       organisation=actor.organisation, **values)
    db.session.add(event)
    db.session.flush()
    return event


def _tell(event: str, check: PersonCheck, **organisation: int) -> None:
    """Tell a step at the desk: a hundred people decided one by one are one notice of a hundred, until it is read."""
    (column, key), = organisation.items()
    db.session.refresh(check)

    def those(since: datetime) -> list[tuple[int, str, str]]:
        rows = db.session.execute(
            select(Enrolment.id, Enrolment.name, PersonCheck.reasons, PersonCheck.remark)
            .join(PersonCheck, PersonCheck.enrolment_id == Enrolment.id)
            .where(getattr(PersonCheck, column) == key, PersonCheck.state == check.state, PersonCheck.at > since, still_correctable())
            .order_by(PersonCheck.at, PersonCheck.id)).all()
        return [(row.id, row.name, reasons_said(row.reasons, row.remark)) for row in rows]

    notices.gather(event, "person", those, at=check.at, **organisation)


def _its_institution(person: Enrolment, actor: Actor) -> None:
    if actor.institution_id is None:
        raise Forbidden(_("只有培训机构可以核对报名人员。"))
    if person.institution_id != actor.institution_id:
        raise NotFound(_("没有找到这条记录，或您无权查看。"))


def mark(person: Enrolment, reasons: Sequence[str], remark: str, *, seen: int | None = None, actor: Actor) -> None:
    """不相符, with why: the enterprise is told and may correct. Raises `Invalid` without a reason, `Conflict` once the class is open or
    when the person was changed meanwhile."""
    chosen = [each for each in reason_words() if each in reasons]
    remark = remark.strip()
    if not chosen and not remark:
        raise Invalid(_("请选择或填写不相符的原因，企业将据此更正。"), "remark")
    if chosen == ["other"] and not remark:
        raise Invalid(_("请说明不相符的原因，企业将据此更正。"), "remark")
    if len(remark) > 300:
        raise Invalid(_("原因不能超过 300 个字。"), "remark")
    _its_institution(person, actor)
    with transaction():
        person = _locked(person.id, before_opening=True)
        check = _take(person, "mismatch", seen, reasons=chosen, remark=remark)
        _event(person, "mismatch", actor, reasons=chosen, remark=remark)
        _tell("person_mismatch", check, enterprise_id=person.enterprise_id)
        audit.record(actor, "mark_mismatch", person, {"reason": reasons_said(chosen, remark)})


def confirm(person: Enrolment, *, seen: int | None = None, actor: Actor) -> None:
    """相符: data and photos agree; what was corrected counts. Raises `Conflict` when the person was changed meanwhile."""
    _its_institution(person, actor)
    with transaction():
        person = _locked(person.id, before_opening=False)
        row = check_of(person)
        if row is not None and row.state == "ok":
            return
        _take(person, "ok", seen, number_changed=False, reasons=[], remark="")
        _event(person, "ok", actor)
        audit.record(actor, "confirm_person", person)


@dataclass
class _Wanted:
    """What a correction changes: values by column, and for each field what was and becomes, as it may be shown."""

    values: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def identity(self) -> bool:
        return any(each in self.shown for each in IDENTITY)


def correct(person: Enrolment, typed: Mapping[str, str], pictures: Mapping[str, bytes], *, actor: Actor) -> None:
    """Correct a paid person (B10): `typed` holds name, id_number (left empty: as it is), phone (the same), title_id, education_id;
    `pictures` new photos by kind. All of it counts or nothing. The version before is kept, photos too.

    Raises `InvalidFields`; `Conflict` once the class is open, where the institution marked nothing that would allow it, or when the new
    ID number is live elsewhere (C15).
    """
    if actor.enterprise_id is None or person.enterprise_id != actor.enterprise_id:
        raise NotFound(_("没有找到这条记录，或您无权查看。"))
    messages: dict[str, object] = {}
    wanted = _wanted(person, typed, messages)
    storage = gateways().storage
    rules = {kind: photo_matching.rules_of(kind) for kind in pictures}
    person_id, enterprise_id = person.id, person.enterprise_id
    kept: dict[str, Kept] = {}
    if not messages:
        let_go()
        kept = _prepared(rules, pictures, messages)
    if messages:
        for each in kept.values():
            storage.delete(each.key)
        raise InvalidFields(messages, _("有几处需要修改，见标红的栏目。"))
    with photo_matching.kept_or_gone(storage, list(kept.values())):
        if not wanted.shown and not kept:
            raise Invalid(_("没有修改任何内容。"))
        try:
            with transaction():
                _write(_locked(person_id, before_opening=True), wanted, kept, enterprise_id, actor)
        except IntegrityError as error:
            raise Conflict(_("这个身份证号刚刚在本计划中报名，没有更正。请核对后再试。")) from error


def _wanted(person: Enrolment, typed: Mapping[str, str], messages: dict[str, object]) -> _Wanted:
    wanted = _Wanted()
    name = typed.get("name", "").strip()
    if name and name != person.name:
        if len(name) > 50 or any(sign.isdigit() or sign.isspace() for sign in name):
            messages["name"] = _("姓名中不能有数字或空格，请按身份证填写。")
        wanted.values["name"], wanted.shown["name"] = name, [person.name, name]
    number = typed.get("id_number", "").strip().upper()
    if number and number != person.id_number:
        _want_number(person, number, wanted, messages)
    phone = typed.get("phone", "").strip()
    if phone and phone != person.phone:
        try:
            wanted.values |= {"phone": parse_phone(phone), "phone_index": blind(phone, "phone")}
            wanted.shown["phone"] = [mask_phone(person.phone), mask_phone(phone)]
        except IdentifierError:
            messages["phone"] = _("手机号应为 11 位数字，以 1 开头。")
    for column, model in (("title_id", Title), ("education_id", Education)):
        key = typed.get(column, "")
        row = db.session.get(model, int(key)) if key.isdigit() and len(key) < 10 else None
        if row is not None and row.id != getattr(person, column):
            wanted.values[column] = row.id
            wanted.shown[column] = [getattr(person, column.removesuffix("_id")).name, row.name]
    return wanted


def _want_number(person: Enrolment, number: str, wanted: _Wanted, messages: dict[str, object]) -> None:
    today = clock.shanghai_day()
    try:
        found = parse_id_number(number, today)
    except IdentifierError as error:
        messages["id_number"] = number_fault(error.code)
        return
    if _age(found.birth, today) < YOUNGEST:
        messages["id_number"] = _("未满 %(n)s 周岁，不能报名。", n=YOUNGEST)
    wanted.values |= {"id_number": found.number, "id_number_index": blind(found.number, "id_number"), "sex": found.sex,
                      "birth": found.birth}
    wanted.shown["id_number"] = [mask_id_number(person.id_number), mask_id_number(found.number)]


def _age(birth: date, today: date) -> int:
    return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))


def _prepared(rules: Mapping[str, photo_matching.Rules], pictures: Mapping[str, bytes], messages: dict[str, object]) -> dict[str, Kept]:
    kept = {}
    for kind, data in pictures.items():
        try:
            kept[kind] = photo_matching.prepared(gateways().storage, rules[kind], data)
        except PictureFault as fault:
            messages[kind] = picture_reason(fault.code, fault.message_args)
        except GatewayError as error:
            for each in kept.values():
                gateways().storage.delete(each.key)
            raise Conflict(photo_matching.storage_trouble()) from error
    return kept


def _write(person: Enrolment, wanted: _Wanted, kept: Mapping[str, Kept], enterprise_id: int, actor: Actor) -> None:
    """Inside the transaction that has locked plan and person."""
    check = check_of(person)
    marked = check is not None and check.state in ("mismatch", "corrected")
    if (wanted.identity or kept) and not marked:
        raise Conflict(_("姓名、身份证号和照片须由培训机构标记“不相符”后才能更正。请联系培训机构。"))
    if "id_number" in wanted.values:
        _check_free(person, wanted.values["id_number_index"])
    former: list[tuple[str, int | None]] = []
    for kind, each in kept.items():
        file_id, = photo_matching.store_rows(kind, [each], enterprise_id)
        before = getattr(person, f"{kind}_id")
        former.append((kind, before))
        wanted.values[f"{kind}_id"], wanted.shown[kind] = file_id, [before, file_id]
        if person.batch_id is not None:
            photo_matching.note_readings(person.batch_id, kind, [(file_id, each)], clock.now())
    for column, value in wanted.values.items():
        setattr(person, column, value)
    db.session.flush()
    event = _event(person, "correct", actor, changes=wanted.shown)
    db.session.add_all(FormerPhoto(enrolment_id=person.id, event_id=event.id, kind=kind, file_id=file_id)
                       for kind, file_id in former if file_id is not None)
    if person.batch is not None and "id_front" in kept:
        photo_matching.ask_readings(person.batch, "id_front")
    if check is not None and marked:
        check = _take(person, "corrected", None, number_changed=check.number_changed or "id_number" in wanted.values)
        _tell("person_corrected", check, institution_id=person.institution_id)
    audit.record(actor, "correct_person", person, {"changed": {
        key: value for key, value in wanted.shown.items() if key not in PICTURES}, "pictures": sorted(kept)})


def _check_free(person: Enrolment, index: bytes) -> None:
    """C15 for one who has a seat already: nobody else with this number in this plan, in the batch, or for the same trade in a class
    that is not over."""
    other, plan = aliased(Enrolment), aliased(TrainingPlan)
    elsewhere = (other.occupation_id == person.occupation_id) & (other.level_id == person.level_id) & plan.attendance_confirmed_at.is_(None)
    clash = db.session.scalar(select(plan.name).join(other, other.plan_id == plan.id).where(
        other.id != person.id, other.id_number_index == index,
        or_(other.state.in_(LIVE) & ((other.plan_id == person.plan_id) | elsewhere), other.batch_id == person.batch_id)).limit(1))
    if clash is not None:
        raise InvalidFields({"id_number": _("这个身份证号已报名“%(plan)s”，不能重复报名。", plan=clash)},
                            _("有几处需要修改，见标红的栏目。"))
