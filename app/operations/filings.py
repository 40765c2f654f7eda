"""The filing 备案 of an institution (I2, A2): written bit by bit, submitted as a whole, counted once it is approved.

The working copy (`Filing`) may be half filled. Approval copies it to the institution; an approved filing is changed by preparing
the next one, and until that is approved the earlier one counts: its name, its rooms, its teachers, its licence.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app import audit, clock, files, workflow
from app.actors import Actor
from app.crypto import blind
from app.errors import Conflict, Invalid, InvalidFields
from app.extensions import db, let_go, transaction
from app.identifiers import mask_id_number, mask_phone
from app.operations import rounds
from app.operations.checks import Findings, checked_photo
from app.operations.filing_checks import ROOM_KINDS, capacity_of, day_of, findings, place_of, taken
from app.operations.teachers import KINDS, hold, let_go_of
from models import Filing, Institution, Room, StoredFile, Teacher

# The fields of the unit as typed, with the most characters of each.
FIELDS = {"name": 100, "short_name": 10, "uscc": 40, "address": 200, "legal_representative": 50, "contact_name": 50,
          "licence_number": 50, "licence_from": 10, "licence_until": 10, "licence_forever": 1}
ROOM_FIELDS = {"name": 50, "address": 200, "capacity": 6, "kind": 10}
MOST_ROOMS = 100
PAPERS = {"licence": _l("营业执照"), "commitment": _l("承诺书")}


def filing_of(row: Institution) -> Filing:
    """The working copy of an institution; one made of what is approved, and not kept yet, where nothing was ever written."""
    return db.session.get(Filing, row.id) or beginning(row)


def beginning(row: Institution) -> Filing:
    """A working copy that says what the institution has now."""
    typed: dict[str, Any] = {name: getattr(row, name, "") or "" for name in FIELDS if not name.startswith("licence")}
    typed |= {"licence_number": row.licence_number or "", "licence_from": str(row.licence_from or ""),
              "licence_until": str(row.licence_until or ""),
              "licence_forever": "y" if row.licence_from and row.licence_until is None else "",
              "rooms": [{"key": each.key, "name": each.name, "address": each.address, "capacity": str(each.capacity),
                         "kind": each.kind} for each in row.rooms if each.enabled]}
    return Filing(institution_id=row.id, name=row.name, short_name=row.short_name, uscc=row.uscc, typed=typed,
                  contact_phone=row.contact_phone, licence_id=row.licence_id, commitment_id=row.commitment_id, version=0)


def _cut(text: object, most: int) -> str:
    """One line of at most `most` characters, without signs that no keyboard makes."""
    return "".join(sign for sign in str(text or "") if sign.isprintable() or sign == "\u3000").strip()[:most]


def _tidy(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed, bounded. A room without a key, or with another's, gets one of its own; empty rows are left out."""
    typed: dict[str, Any] = {name: _cut(given.get(name), most) for name, most in FIELDS.items()}
    rooms: list[dict[str, str]] = []
    keys: set[str] = set()
    for each in list(given.get("rooms", []))[:MOST_ROOMS]:
        room = {name: _cut(each.get(name), most) for name, most in ROOM_FIELDS.items()}
        if not (room["name"] or room["address"] or room["capacity"]):
            continue
        key = _cut(each.get("key"), 16)
        room["key"] = key if key and key not in keys else secrets.token_hex(8)
        keys.add(room["key"])
        rooms.append(room)
    return typed | {"rooms": rooms}


def save(row: Institution, given: Mapping[str, Any], *, actor: Actor, seen: int | None = None,
         pictures: Mapping[str, tuple[str, bytes]] | None = None) -> Filing:
    """Keep what is typed so far, however much it is, and photos chosen with it. `seen` is the version that was opened.

    Raises `InvalidFields` for photos that will not do (nothing is kept then), `Conflict` while the filing may not be edited or
    when a colleague has saved meanwhile.
    """
    clean = _cleaned({kind: each for kind, each in (pictures or {}).items() if each[0]})
    typed, phone = _tidy(given), _cut(given.get("contact_phone"), 20) or None
    with transaction() as session:
        hold(row)
        filing = _own(row)
        if seen is not None and seen != filing.version and filing.saved_by_id != actor.user_id:
            raise Conflict(_("您打开之后，同事修改过备案。请刷新页面，在最新内容上修改。"))
        filing.typed, filing.contact_phone = typed, phone
        _keep_pictures(row, filing, clean)
        _count(filing, actor)
        if clean:
            audit.record(actor, "save_filing", row, {"pictures": sorted(clean)})
        session.flush()
    return filing


def save_picture(row: Institution, kind: str, given: tuple[str, bytes], *, actor: Actor) -> Filing:
    """Keep one photo at once, whatever else is still missing. Raises `Invalid` at its field."""
    let_go()
    clean = checked_photo(_paper_name(kind), given[1], kind)
    with transaction():
        hold(row)
        filing = _own(row)
        _keep_pictures(row, filing, {kind: clean})
        _count(filing, actor)
        audit.record(actor, "save_filing", row, {"pictures": [kind]})
    return filing


def _paper_name(kind: str) -> str:
    return str({"licence": _("营业执照照片"), "commitment": _("承诺书照片")}[kind])


def _cleaned(given: Mapping[str, tuple[str, bytes]]) -> dict[str, bytes]:
    let_go()
    found = Findings()
    clean = {kind: found.tried(partial(checked_photo, _paper_name(kind), data, kind)) for kind, (_name, data) in given.items()}
    found.settle()
    return {kind: data for kind, data in clean.items() if data}


def _own(row: Institution) -> Filing:
    """The kept working copy, made now where there is none; call it while the institution's row is held."""
    filing = db.session.get(Filing, row.id, populate_existing=True)
    if filing is None:
        filing = beginning(row)
        db.session.add(filing)
    return filing


def _keep_pictures(row: Institution, filing: Filing, clean: Mapping[str, bytes]) -> None:
    for kind, data in clean.items():
        stored = files.keep(data, kind=kind, name=f"{kind}.jpg", content_type=files.JPEG, institution_id=row.id)
        old_id = getattr(filing, f"{kind}_id")
        setattr(filing, f"{kind}_id", stored.id)
        db.session.flush()
        old = db.session.get(StoredFile, old_id) if old_id and old_id != getattr(row, f"{kind}_id") else None
        if old is not None:
            let_go_of(row, old)


def _count(filing: Filing, actor: Actor) -> None:
    filing.version, filing.saved_by_id, filing.saved_at = (filing.version or 0) + 1, actor.user_id, clock.now()


def missing(row: Institution) -> dict[str, str]:
    """What the filing still lacks, by field: for its owner, before it is submitted."""
    return listed(row, findings(row, filing_of(row)).messages)


def listed(row: Institution, messages: Mapping[str, object]) -> dict[str, str]:
    """Messages of fields as they are said in a list, away from their field."""
    filing = filing_of(row)
    return {field: f"{place_of(field, filing)}{message}" for field, message in messages.items()}


def submit(row: Institution, *, actor: Actor) -> None:
    """Send the filing to the authority, and keep what was sent. Raises `InvalidFields` with everything that is missing or
    wrong, `Conflict` when it is with the authority already. Of two institutions that submit one short name the later is told."""
    if row.editable:
        findings(row, filing_of(row)).settle()
    unique: dict[str, str] = {}
    try:
        with transaction() as session:
            session.refresh(row, with_for_update={"of": Institution})
            if row.editable:
                filing = _own(row)
                findings(row, filing).settle()
                unique = {"name": filing.typed["name"], "short_name": filing.typed["short_name"],
                          "uscc": filing.typed["uscc"].upper()}
                filing.name, filing.short_name, filing.uscc = unique["name"], unique["short_name"], unique["uscc"]
                session.flush()
            facts = facts_of(row)
            audit.record(actor, "submit_filing", row, {"changed": _changed(row, facts)})
            workflow.take_step(row, "submit", actor=actor)
            rounds.write(row, facts)
    except IntegrityError:
        fields: dict[str, object] = dict(taken(unique, row.id)) or {"short_name": _("这个简称刚被其他培训机构使用，请换一个。")}
        raise InvalidFields(fields, _("未能提交，请修改标红的栏目。")) from None


def _changed(row: Institution, facts: rounds.Facts) -> dict[str, list[Any]]:
    """What the unit's data were when last submitted and become, for the audit record. Typing is not on record, this is."""
    last = rounds.snapshots(row, 1)
    old = {each["key"]: each["value"] for each in last[0].facts} if last else {}
    return {each["key"]: [old.get(each["key"]), each["value"]] for each in facts.rows
            if "part" not in each and "file" not in each and old.get(each["key"]) != each["value"]}


def ask_for_change(row: Institution, *, actor: Actor) -> None:
    """Open an approved filing for changes (变更): a new round begins, and the approved one counts until it is decided."""
    with transaction() as session:
        session.refresh(row, with_for_update={"of": Institution})
        if row.approved_round is None and row.review_state == "approved":
            row.approved_round = row.review_round
        _own(row)
        session.flush()
        workflow.take_step(row, "change", actor=actor)


@workflow.follows("institution", "approve")
def _count_as_approved(ids: list[int]) -> None:
    """What was submitted is now what the institution has: its data, its papers, its rooms, its teachers."""
    for row in db.session.scalars(select(Institution).where(Institution.id.in_(ids))):
        filing = db.session.get(Filing, row.id)
        row.approved_round = row.review_round
        if filing is not None:
            _copy(row, filing)
    db.session.flush()


def _copy(row: Institution, filing: Filing) -> None:
    typed = filing.typed
    row.name, row.short_name, row.uscc = filing.name or row.name, filing.short_name or row.short_name, filing.uscc or row.uscc
    for name in ("address", "legal_representative", "contact_name", "licence_number"):
        setattr(row, name, typed.get(name, ""))
    row.contact_phone = filing.contact_phone
    row.licence_from = day_of(typed.get("licence_from"))
    row.licence_until = None if typed.get("licence_forever") else day_of(typed.get("licence_until"))
    row.licence_id, row.commitment_id = filing.licence_id, filing.commitment_id
    known = {each.key: each for each in row.rooms}
    for each in typed.get("rooms", []):
        room = known.pop(each["key"], None) or Room(institution_id=row.id, key=each["key"])
        room.name, room.address, room.kind = each["name"], each["address"], each["kind"]
        room.capacity, room.enabled = capacity_of(each) or 1, True
        db.session.add(room)
    for room in known.values():
        room.enabled = False
    db.session.flush()
    db.session.expire(row, ["rooms", "licence", "commitment"])


def facts_of(row: Institution) -> rounds.Facts:
    """The filing as it stands, for its pages and for the record of a round."""
    filing, facts = filing_of(row), rounds.Facts()
    typed = filing.typed
    for name, label in (("name", _l("机构名称")), ("short_name", _l("中文简称")), ("uscc", _l("社会信用代码")),
                        ("address", _l("单位地址")), ("legal_representative", _l("法定代表人")), ("contact_name", _l("联系人"))):
        facts.say(name, label, typed.get(name))
    phone = filing.contact_phone or ""
    facts.say("contact_phone", _l("联系电话"), mask_phone(phone) if len(phone) == 11 else phone and "****",
              secret=blind(phone, "phone") if phone else None)
    facts.say("licence_number", _l("证照编号"), typed.get("licence_number") or typed.get("uscc"))
    facts.say("licence_from", _l("执照有效期自"), typed.get("licence_from"))
    facts.say("licence_until", _l("执照有效期至"), _l("长期") if typed.get("licence_forever") else typed.get("licence_until"))
    for kind, label in PAPERS.items():
        facts.file(kind, label, getattr(filing, f"{kind}_id"))
    for each in row.teachers:
        if each.enabled:
            _teacher_facts(facts.part(f"teacher-{each.id}", _l("老师"), each.name), each)
    for room in typed.get("rooms", []):
        part = facts.part(f"room-{room['key']}", _l("场地"), room["name"])
        part.say("kind", _l("用途"), ROOM_KINDS.get(room["kind"], ""))
        part.say("address", _l("地址"), room["address"])
        part.say("capacity", _l("可容纳人数"), room["capacity"])
    return facts


def _teacher_facts(facts: rounds.Facts, each: Teacher) -> None:
    facts.say("kind", _l("类别"), KINDS[each.kind])
    facts.say("id_number", _l("身份证号"), mask_id_number(each.id_number) if each.id_number else "",
              secret=blind(each.id_number, "id_number"))
    facts.say("phone", _l("手机号"), mask_phone(each.phone) if each.phone else "", secret=blind(each.phone, "phone"))
    facts.say("qualification", _l("职称或资格"), each.qualification)
    facts.say("subject", _l("任教科目"), each.teaches)
    facts.say("occupations", _l("任教工种"), "、".join(row.name for row in each.occupations))
    for paper in each.papers:
        facts.file(f"paper-{paper.file_id}", _l("资格证书"), paper.file_id)


def rooms_of(institution: Institution) -> list[Room]:
    """The rooms that may be chosen for a plan: those of the approved filing."""
    return list(db.session.scalars(select(Room).where(Room.institution_id == institution.id, Room.enabled).order_by(Room.id)))


def licence_warning(row: Institution) -> str:
    """What the institution must know about its licence, in a sentence; empty while there is nothing to say."""
    if row.licence_expired:
        return _("营业执照已于 %(day)s 到期，不能创建或提交新的培训计划；已通过的计划照常进行。请更新备案中的营业执照。",
                 day=str(row.licence_until))
    if row.licence_expires_soon:
        return _("营业执照将于 %(day)s 到期（还有 %(n)s 天）。到期后不能创建或提交新的培训计划，请及时更新备案。",
                 day=str(row.licence_until), n=row.licence_days)
    return ""


def refuse_new_plans(row: Institution) -> None:
    """Raise `Invalid` when the institution's licence has run out: running plans go on, new ones are not begun."""
    if row.licence_expired:
        raise Invalid(licence_warning(row))
