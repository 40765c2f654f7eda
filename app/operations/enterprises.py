"""Enterprises: registering oneself, correcting what was typed, and which authority reviews it (E1–E9, C1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, cast

from flask_appbuilder.security.sqla.models import Role, User
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from app import audit, clock, files, workflow
from app.actors import Actor
from app.crypto import blind
from app.errors import Conflict, Invalid, InvalidFields
from app.extensions import db, let_go, transaction
from app.identifiers import mask_phone
from app.operations import readings, rounds
from app.operations.accounts import check_new_password, hashed
from app.operations.checks import Findings, checked_photo, checked_uscc
from app.operations.phone_codes import checked_phone, use_code
from app.permissions import ENTERPRISE
from models import Account, Authority, Enterprise, Region, RegistrationDraft, StoredFile

# The exact name each paper's file must carry (E2), and what it is called.
PAPERS = {"licence": "yyzz.jpg", "qualification": "zzzs.jpg", "commitment": "cns.jpg"}


@dataclass(frozen=True)
class Registration:
    """What an enterprise types when it registers. `papers` are (file name, bytes) by kind; a kind without one takes the
    photo of the `draft`, which was checked when it was saved."""

    uscc: str
    name: str
    region_code: str
    is_provincial: bool
    address: str
    legal_representative: str
    contact_name: str
    phone: str
    code: str
    password: str
    again: str
    papers: dict[str, tuple[str, bytes]]
    founded_on: date | None = None
    licence_until: date | None = None
    draft: RegistrationDraft | None = None
    # The person has compared what a machine read on the licence; asked for only where something was read (E4).
    confirmed: bool = False

    @property
    def kept(self) -> dict[str, StoredFile]:
        """The photos of the draft that no newly chosen one replaces, by kind."""
        return {kind: stored for kind in PAPERS if not self.papers.get(kind, ("", b""))[0]
                and (stored := getattr(self.draft, kind, None)) is not None}


def paper_names() -> dict[str, Any]:
    """The papers in the person's words."""
    return {"licence": _l("营业执照"), "qualification": _l("资质证书"), "commitment": _l("企业承诺书")}


def checked_paper(kind: str, name: str, data: bytes) -> bytes:
    """The re-encoded JPEG of one paper. Raises `Invalid` that says which file, what is wrong, what to do (E2)."""
    title, wanted = paper_names()[kind], PAPERS[kind]
    if not data:
        raise Invalid(_("请上传%(title)s照片（%(wanted)s）。", title=title, wanted=wanted) if not name else
                      _("%(title)s（%(wanted)s）是空文件，请重新选择。", title=title, wanted=wanted), kind)
    if name != wanted:
        raise Invalid(_("%(title)s的文件名应为 %(wanted)s，您选择的是 %(name)s。请改名后重新上传。", title=title, wanted=wanted,
                        name=name[:60]), kind)
    return checked_photo(_("%(title)s（%(wanted)s）", title=title, wanted=wanted), data, kind)


def reviewing_authority(region_code: str, is_provincial: bool) -> Authority:
    """C1: a provincial enterprise is the province's; any other its city's, even when a county was chosen.

    Raises `Invalid` when the region is unknown or its city has no authority in the portal yet.
    """
    region = db.session.get(Region, region_code)
    if region is None or not region.enabled or (region.level == "province" and not is_provincial):
        raise Invalid(_("请选择所属地区（市或县区）。"), "region_code")
    code = region_code[:2] + "0000" if is_provincial else region.city_code
    authority = db.session.scalars(select(Authority).where(Authority.region_code == code)).first()
    if authority is None:
        raise Invalid(_("所选地区的主管部门尚未开通，请联系省级主管部门。"), "region_code")
    return authority


def _registered() -> str:
    return str(_("该企业已注册，不能重复注册。请直接登录；忘记密码可在登录页重置。"))


def _check(registration: Registration) -> tuple[str, str, Authority, dict[str, bytes]]:
    """Every rule of a registration at once, except the phone code, which is spent only when all else is right. The
    pictures come first: nobody waits for the database while they are drawn anew."""
    found = Findings()
    given = {kind: registration.papers.get(kind, ("", b"")) for kind in PAPERS}
    papers = {kind: found.tried(partial(checked_paper, kind, *each)) for kind, each in given.items()
              if kind not in registration.kept}
    if registration.founded_on and registration.founded_on > clock.shanghai_day():
        found.add("founded_on", _("成立日期不能晚于今天。"))
    if registration.licence_until and registration.licence_until < clock.shanghai_day():
        found.add("licence_until", _("营业执照已过期，请换领新照后再注册。"))
    uscc = found.tried(lambda: checked_uscc(registration.uscc))
    phone = found.tried(lambda: checked_phone(registration.phone))
    found.tried(lambda: check_new_password(registration.password, "password"))
    if registration.again != registration.password:
        found.add("again", _("两次输入的密码不一致。"))
    authority = found.tried(lambda: reviewing_authority(registration.region_code, registration.is_provincial))
    if uscc and db.session.scalars(select(Enterprise.id).where(Enterprise.uscc == uscc)).first():
        found.add("uscc", _registered())
    licence = registration.kept.get("licence")
    reading = readings.reading_of(licence) if licence is not None else None
    if reading is not None and reading.fields and not registration.confirmed:
        found.add("confirmed", _("请对照营业执照逐项核对，并勾选确认。"))
    found.settle()
    return cast("tuple[str, str, Authority, dict[str, bytes]]", (uscc, phone, authority, papers))


def register(registration: Registration, *, address: str = "") -> Enterprise:
    """Register an enterprise and submit it to its authority, in one transaction (E1, E6, E7).

    Raises `InvalidFields`, or `Invalid` at the code's field; of two registrations of one code at the same moment the
    second is told that it exists (E21).
    """
    let_go()
    uscc, phone, authority, papers = _check(registration)
    password = hashed(registration.password)
    use_code(phone, "register", registration.code)
    try:
        with transaction() as session:
            stored = registration.kept | {kind: files.keep(data, kind=kind, name=PAPERS[kind], content_type=files.JPEG)
                                          for kind, data in papers.items()}
            row = Enterprise(
                uscc=uscc, name=registration.name.strip(), region_code=registration.region_code,
                is_provincial=registration.is_provincial, address=registration.address.strip(),
                legal_representative=registration.legal_representative.strip(), contact_name=registration.contact_name.strip(),
                phone=phone, phone_index=blind(phone, "phone"), authority_id=authority.id, created_at=clock.now(),
                founded_on=registration.founded_on, licence_until=registration.licence_until,
                licence=stored["licence"], qualification=stored["qualification"], commitment=stored["commitment"])
            session.add(row)
            session.flush()
            for each in stored.values():
                each.enterprise_id = row.id
            actor = _open_account(row, password, address)
            _send(row, "submit", actor)
            if registration.draft is not None:
                session.execute(delete(RegistrationDraft).where(RegistrationDraft.id == registration.draft.id))
            audit.record(actor, "register", row, {"uscc": uscc})
    except IntegrityError:
        raise InvalidFields({"uscc": _registered()}, _("该企业已注册。")) from None
    return row


def _open_account(row: Enterprise, password: str, address: str) -> Actor:
    """The enterprise's way in: its code and the hash of the password it chose."""
    role = db.session.scalars(select(Role).where(Role.name == ENTERPRISE)).one()
    user = User(username=row.uscc, first_name=row.contact_name, last_name="", email=f"{row.uscc}@enterprise.invalid", active=True,
                password=password, roles=[role])
    db.session.add(Account(user=user, party="enterprise", enterprise_id=row.id))
    db.session.flush()
    return Actor(user_id=user.id, name=row.contact_name, party="enterprise", enterprise_id=row.id, organisation=row.name,
                 address=address)


@dataclass(frozen=True)
class Correction:
    """What an enterprise may change later (E9). `papers` only those uploaded anew; `code` only for a new phone."""

    name: str
    region_code: str
    is_provincial: bool
    address: str
    legal_representative: str
    contact_name: str
    phone: str
    code: str
    papers: dict[str, tuple[str, bytes]]


def _moves(row: Enterprise, correction: Correction) -> bool:
    return (correction.region_code, correction.is_provincial) != (row.region_code, row.is_provincial)


def _refuse_what_is_settled(row: Enterprise, correction: Correction) -> None:
    """What an authority is reading, or has approved, does not change under it."""
    if row.editable:
        return
    names = (correction.name.strip(), correction.legal_representative.strip()) != (row.name, row.legal_representative)
    papers = any(data for _name, data in correction.papers.values())
    if row.review_state == "approved":
        if names or papers:
            raise Conflict(_("审核通过后，企业名称、法定代表人和证件不能修改。"))
    elif names or papers or _moves(row, correction):
        raise Conflict(_("注册信息正在审核，名称、地区和证件暂不能修改。未受理时可以先撤回。"))


def correct(row: Enterprise, correction: Correction, *, actor: Actor) -> bool:
    """Write a correction. Answers whether it must be reviewed again.

    While approved, only contact, address and phone change at once; another region or provincial flag sends it to review
    again (C1), and enrolment is blocked meanwhile. Name and papers change only before submission or after a rejection.
    Raises `InvalidFields`, `Invalid` at the code's field, `Conflict` for what may not change now.
    """
    let_go()
    found = Findings()
    fresh = {kind: found.tried(partial(checked_paper, kind, *given)) for kind, given in correction.papers.items() if given[0]}
    phone = found.tried(lambda: checked_phone(correction.phone)) or ""
    authority_id = row.authority_id
    if _moves(row, correction):
        chosen = found.tried(lambda: reviewing_authority(correction.region_code, correction.is_provincial))
        authority_id = chosen.id if chosen else authority_id
    found.settle()
    _refuse_what_is_settled(row, correction)
    if phone != row.phone:
        use_code(phone, "change_phone", correction.code)
    with transaction() as session:
        session.refresh(row, with_for_update={"of": type(row)})
        _refuse_what_is_settled(row, correction)
        moved, again = _moves(row, correction), row.review_state == "approved"
        row.name, row.legal_representative = correction.name.strip(), correction.legal_representative.strip()
        row.address, row.contact_name = correction.address.strip(), correction.contact_name.strip()
        row.phone, row.phone_index = phone, cast(bytes, blind(phone, "phone"))
        row.region_code, row.is_provincial, row.authority_id = correction.region_code, correction.is_provincial, authority_id
        changes = audit.changed(row)
        for kind, data in fresh.items():
            stored = files.keep(cast(bytes, data), kind=kind, name=PAPERS[kind], content_type=files.JPEG, enterprise_id=row.id)
            setattr(row, f"{kind}_id", stored.id)
        # The person's name stands at the top of every page and in every record of what they do.
        session.execute(update(User).where(User.id.in_(select(Account.user_id).where(Account.enterprise_id == row.id)))
                        .values(first_name=row.contact_name).execution_options(synchronize_session=False))
        audit.record(actor, "correct_enterprise", row, {"changed": changes, "moved": moved, "papers": sorted(fresh)})
        session.flush()
        if moved and again:
            _send(row, "reopen", actor)
    return moved and again


def submit(row: Enterprise, *, actor: Actor) -> None:
    """Send a registration to review again, after a withdrawal or a rejection. Raises `Conflict` when it is there already."""
    with transaction():
        _send(row, "submit", actor)


def _send(row: Enterprise, step: str, actor: Actor) -> None:
    """The step, and what was sent with it: the next round is compared with this one (A3)."""
    workflow.take_step(row, step, actor=actor)
    rounds.write(row, facts_of(row))


def facts_of(row: Enterprise) -> rounds.Facts:
    """The registration as it stands, for the record of this round."""
    facts = rounds.Facts()
    facts.say("name", _l("企业名称"), row.name)
    facts.say("legal_representative", _l("法定代表人"), row.legal_representative)
    facts.say("address", _l("企业地址"), row.address)
    facts.say("founded_on", _l("成立日期"), row.founded_on)
    facts.say("licence_until", _l("营业期限至"), row.licence_until)
    facts.say("region", _l("所属地区"), row.region.full_name if row.region else row.region_code)
    facts.say("provincial", _l("省属单位"), "是" if row.is_provincial else "否")
    facts.say("contact_name", _l("负责人"), row.contact_name)
    facts.say("phone", _l("手机号"), mask_phone(row.phone), secret=blind(row.phone, "phone"))
    for kind, title in paper_names().items():
        facts.file(kind, title, getattr(row, f"{kind}_id"))
    return facts


@dataclass(frozen=True)
class Comparison:
    """One field of the licence as typed and as a machine read it. `confidence` is a percentage; `differs` only where
    something was read that is not what was typed."""

    label: Any
    typed: str
    read: str
    confidence: int | None
    differs: bool


# Field of the enterprise -> field of the reading.
READ_AS = {"uscc": "uscc", "name": "name", "legal_representative": "legal_representative", "address": "address",
           "founded_on": "established_on", "licence_until": "valid_until"}


def compared(row: Enterprise) -> list[Comparison]:
    """What was typed beside what was read on the licence, for whoever reviews it (A3)."""
    labels = {"uscc": _l("社会信用代码"), "name": _l("企业名称"), "legal_representative": _l("法定代表人"), "address": _l("企业地址"),
              "founded_on": _l("成立日期"), "licence_until": _l("营业期限至")}
    reading = readings.reading_of(row.licence)
    found = []
    for name, read_as in READ_AS.items():
        each = (reading.fields.get(read_as) or {}) if reading is not None else {}
        typed, read = str(getattr(row, name) or ""), str(each.get("value", ""))
        if read == readings.FOREVER:
            typed = typed or read
        found.append(Comparison(labels[name], typed, read, round(each["confidence"] * 100) if each else None,
                                bool(read) and _bare(typed) != _bare(read)))
    return found


def _bare(text: str) -> str:
    """A text without what a machine and a hand write differently: blanks, and full-width brackets."""
    return "".join(text.split()).replace("（", "(").replace("）", ")").upper()


def papers_of(row: Enterprise) -> list[tuple[str, StoredFile]]:
    """The three papers with their names, in the order people check them."""
    names = paper_names()
    return [(names["licence"], row.licence), (names["qualification"], row.qualification), (names["commitment"], row.commitment)]
