"""Enterprises: registering oneself, correcting what was typed, and which authority reviews it (E1–E9, C1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask_appbuilder.security.sqla.models import Role, User
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app import audit, clock, files, workflow
from app.actors import Actor
from app.crypto import blind
from app.documents.pictures import PictureFault, clean_jpeg
from app.errors import Conflict, Invalid, InvalidFields
from app.extensions import db, transaction
from app.identifiers import IdentifierError, parse_uscc
from app.operations.accounts import check_new_password, hashed
from app.operations.phone_codes import checked_phone, use_code
from app.permissions import ENTERPRISE
from models import Account, Authority, Enterprise, Region, StoredFile

# The exact name each paper's file must carry (E2), and what it is called.
PAPERS = {"licence": "yyzz.jpg", "qualification": "zzzs.jpg", "commitment": "cns.jpg"}
MOST_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True)
class Registration:
    """What an enterprise types when it registers. `papers` are (file name, bytes) by kind."""

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
    papers: dict[str, tuple[str, bytes]]


def paper_names() -> dict[str, str]:
    """The papers in the person's words."""
    return {"licence": _("营业执照"), "qualification": _("资质证书"), "commitment": _("企业承诺书")}


def checked_paper(kind: str, name: str, data: bytes) -> bytes:
    """The re-encoded JPEG of one paper. Raises `Invalid` that says which file, what is wrong, what to do (E2)."""
    title, wanted = paper_names()[kind], PAPERS[kind]
    if not data:
        raise Invalid(_("请上传%(title)s照片（%(wanted)s）。", title=title, wanted=wanted), kind)
    if name != wanted:
        raise Invalid(_("%(title)s的文件名应为 %(wanted)s，您选择的是 %(name)s。请改名后重新上传。", title=title, wanted=wanted,
                        name=name[:60]), kind)
    try:
        return clean_jpeg(data, max_bytes=MOST_BYTES, min_side=300).data
    except PictureFault as fault:
        reasons = {
            "not_jpeg": _("不是 JPG 图片，请用相机或手机重新拍摄并保存为 JPG"),
            "too_big": _("超过 2 MB，请压缩后重新上传"),
            "too_small": _("尺寸太小，看不清文字，请重新拍摄"),
            "too_many_pixels": _("像素过大，请缩小后重新上传"),
        }
        reason = reasons.get(fault.code, _("图片已损坏，请重新拍摄"))
        raise Invalid(_("%(title)s（%(wanted)s）%(reason)s。", title=title, wanted=wanted, reason=reason), kind) from None


def checked_uscc(text: str, field: str = "uscc") -> str:
    """A social credit code as typed, or `Invalid` saying what is wrong with it."""
    try:
        return parse_uscc(text)
    except IdentifierError as error:
        messages = {
            "length": _("社会信用代码应为 18 位。"),
            "charset": _("社会信用代码只含数字和大写字母，且没有 I、O、S、V、Z，请检查是否把 1 写成 I、0 写成 O。"),
            "form": _("社会信用代码的格式不对，请对照营业执照核对。"),
            "check": _("社会信用代码校验不通过，请对照营业执照逐位核对。"),
        }
        raise Invalid(messages[error.code], field) from None


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


def _check(registration: Registration) -> tuple[str, str, Authority, dict[str, bytes]]:
    """Every rule of a registration at once, except the phone code, which is spent only when all else is right."""
    errors: dict[str, object] = {}

    def tried(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except Invalid as error:
            errors[error.field or ""] = error.message
            return None

    uscc = tried(lambda: checked_uscc(registration.uscc))
    phone = tried(lambda: checked_phone(registration.phone))
    authority = tried(lambda: reviewing_authority(registration.region_code, registration.is_provincial))
    tried(lambda: check_new_password(registration.password, "password"))
    papers = {kind: tried(partial(checked_paper, kind, *registration.papers.get(kind, ("", b"")))) for kind in PAPERS}
    if uscc and db.session.scalars(select(Enterprise.id).where(Enterprise.uscc == uscc)).first():
        errors["uscc"] = _("该企业已注册，不能重复注册。请直接登录；忘记密码可在登录页重置。")
    if errors:
        raise InvalidFields(errors, _("有 %(n)s 处需要修改，见标红的栏目。", n=len(errors)))
    return uscc, phone, authority, papers


def register(registration: Registration, *, address: str = "") -> Enterprise:
    """Register an enterprise and submit it to its authority, in one transaction (E1, E6, E7).

    Raises `InvalidFields`, or `Invalid` at the code's field; of two registrations of one code at the same moment the
    second is told that it exists (E21).
    """
    uscc, phone, authority, papers = _check(registration)
    use_code(phone, "register", registration.code)
    try:
        with transaction() as session:
            stored = {kind: files.keep(data, kind=kind, name=PAPERS[kind], content_type=files.JPEG)
                      for kind, data in papers.items()}
            row = Enterprise(
                uscc=uscc, name=registration.name.strip(), region_code=registration.region_code,
                is_provincial=registration.is_provincial, address=registration.address.strip(),
                legal_representative=registration.legal_representative.strip(), contact_name=registration.contact_name.strip(),
                phone=phone, phone_index=blind(phone, "phone"), authority_id=authority.id, created_at=clock.now(),
                licence=stored["licence"], qualification=stored["qualification"], commitment=stored["commitment"])
            session.add(row)
            session.flush()
            for each in stored.values():
                each.enterprise_id = row.id
            actor = _open_account(row, registration.password, address)
            workflow.take_step(row, "submit", actor=actor)
            audit.record(actor, "register", row, {"uscc": uscc})
    except IntegrityError:
        raise InvalidFields({"uscc": _("该企业已注册，不能重复注册。请直接登录；忘记密码可在登录页重置。")},
                            _("该企业已注册。")) from None
    return row


def _open_account(row: Enterprise, password: str, address: str) -> Actor:
    """The enterprise's way in: its code and the password it chose."""
    role = db.session.scalars(select(Role).where(Role.name == ENTERPRISE)).one()
    user = User(username=row.uscc, first_name=row.contact_name, last_name="", email=f"{row.uscc}@enterprise.invalid", active=True,
                password=hashed(password), roles=[role])
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


def correct(row: Enterprise, correction: Correction, *, actor: Actor) -> bool:
    """Write a correction. Answers whether it must be reviewed again.

    While approved, only contact, address and phone change at once; another region or provincial flag sends it to review
    again (C1), and enrolment is blocked meanwhile. Name and papers change only before submission or after a rejection.
    """
    authority = reviewing_authority(correction.region_code, correction.is_provincial)
    phone = checked_phone(correction.phone)
    moved = (correction.region_code, correction.is_provincial) != (row.region_code, row.is_provincial)
    fresh = {kind: checked_paper(kind, *given) for kind, given in correction.papers.items() if given[1]}
    if row.review_state in ("submitted", "accepted") and (moved or fresh):
        raise Conflict(_("注册信息正在审核，暂不能修改地区和证件。"))
    if phone != row.phone:
        use_code(phone, "change_phone", correction.code)
    with transaction() as session:
        session.refresh(row, with_for_update=True)
        row.address, row.contact_name = correction.address.strip(), correction.contact_name.strip()
        row.phone, row.phone_index = phone, blind(phone, "phone") or b""
        if row.editable:
            row.name, row.legal_representative = correction.name.strip(), correction.legal_representative.strip()
            for kind, data in fresh.items():
                stored = files.keep(data, kind=kind, name=PAPERS[kind], content_type=files.JPEG, enterprise_id=row.id)
                setattr(row, f"{kind}_id", stored.id)
        row.region_code, row.is_provincial, row.authority_id = correction.region_code, correction.is_provincial, authority.id
        audit.record(actor, "correct_enterprise", row, {"moved": moved, "papers": sorted(fresh)})
        session.flush()
        if moved and row.review_state == "approved":
            workflow.take_step(row, "reopen", actor=actor)
            return True
    return False


def papers_of(row: Enterprise) -> list[tuple[str, StoredFile]]:
    """The three papers with their names, in the order people check them."""
    names = paper_names()
    return [(names["licence"], row.licence), (names["qualification"], row.qualification), (names["commitment"], row.commitment)]
