"""Institutions: accounts made by their authority (I1, A1), and the filing they are reviewed by (I2, A2)."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from functools import partial

from flask_appbuilder.security.sqla.models import Role, User
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from app import audit, clock, files, workflow
from app.actors import Actor
from app.crypto import blind
from app.errors import Conflict, Forbidden, Invalid, InvalidFields
from app.extensions import db, let_go, transaction
from app.identifiers import mask_phone
from app.operations import rounds
from app.operations.accounts import hashed
from app.operations.checks import Findings, checked_photo, checked_uscc
from app.operations.phone_codes import checked_phone
from app.operations.sign_ins import lift_lock
from app.permissions import INSTITUTION
from models import Account, Institution, StoredFile, Teacher

_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz"


def issued_password() -> str:
    """A password to be read out once and changed at first sign-in: letters, digits and a sign, nothing to mistake."""
    letters = "".join(secrets.choice(_LETTERS) for _each in range(6))
    return f"{letters.capitalize()}-{secrets.randbelow(9000) + 1000}a"


@dataclass(frozen=True)
class NewInstitution:
    """What an authority types to open an institution's account."""

    username: str
    name: str
    short_name: str
    uscc: str


def create(given: NewInstitution, *, actor: Actor) -> tuple[Institution, str]:
    """Open an institution under the actor's authority. Answers the row and the password to hand over, shown once.

    Raises `InvalidFields` for a name, short name, code or user name that is wrong or taken.
    """
    if actor.authority_id is None:
        raise Forbidden(_("只有主管部门可以开通培训机构。"))
    found = Findings()
    uscc = found.tried(lambda: checked_uscc(given.uscc)) or ""
    if not re.fullmatch("[\u4e00-\u9fff]{1,5}", given.short_name):
        found.add("short_name", _("中文简称为 1 至 5 个汉字，将用于培训计划名称。"))
    if not re.fullmatch("[a-z][a-z0-9_]{2,29}", given.username):
        found.add("username", _("用户名为 3 至 30 位小写字母、数字或下划线，以字母开头。"))
    taken = select(Institution.id)
    for name, label, clause in (("name", _("名称"), Institution.name == given.name),
                                ("short_name", _("简称"), Institution.short_name == given.short_name),
                                ("uscc", _("社会信用代码"), Institution.uscc == uscc)):
        if name not in found and db.session.scalars(taken.where(clause)).first():
            found.add(name, _("这个%(label)s已被其他培训机构使用。", label=label))
    if "username" not in found and db.session.scalars(select(User.id).where(User.username == given.username)).first():
        found.add("username", _("这个用户名已被使用，请换一个。"))
    found.settle()
    return _insert(given, uscc, actor.authority_id, actor)


def _insert(given: NewInstitution, uscc: str, authority_id: int, actor: Actor) -> tuple[Institution, str]:
    password = issued_password()
    secret = hashed(password)
    try:
        with transaction() as session:
            row = Institution(name=given.name, short_name=given.short_name, uscc=uscc, authority_id=authority_id,
                              created_at=clock.now())
            role = session.scalars(select(Role).where(Role.name == INSTITUTION)).one()
            user = User(username=given.username, first_name=given.name[:60], last_name="",
                        email=f"{given.username}@institution.invalid", active=True, password=secret, roles=[role])
            session.add_all((row, user))
            session.flush()
            session.add(Account(user=user, party="institution", institution_id=row.id, must_change_password=True))
            audit.record(actor, "create_institution", row, {"username": given.username})
    except IntegrityError:
        raise InvalidFields({"name": _("名称、简称、代码或用户名刚被别人使用，请核对。")}, _("未能开通。")) from None
    return row, password


def account_of(row: Institution) -> Account | None:
    """The account of an institution."""
    return db.session.scalars(select(Account).where(Account.institution_id == row.id)).first()


def _account_to_manage(row: Institution, actor: Actor) -> Account:
    """The account of an institution, for the authority that made it and for no other (I1)."""
    if actor.authority_id is None or actor.authority_id != row.authority_id:
        raise Forbidden(_("只有该机构的主管部门可以管理其帐号。"))
    account = account_of(row)
    if account is None:
        raise Invalid(_("该机构没有登录帐号。"))
    return account


def reset_password(row: Institution, *, actor: Actor) -> str:
    """A fresh issued password; every session of the account ends, and the next sign-in must change it (A1)."""
    account = _account_to_manage(row, actor)
    password = issued_password()
    secret = hashed(password)
    with transaction() as session:
        session.execute(update(User).where(User.id == account.user_id).values(password=secret, fail_login_count=0))
        account.must_change_password = True
        account.session_version = Account.session_version + 1
        lift_lock(account, address=actor.address)
        audit.record(actor, "reset_password", row)
    return password


def set_enabled(row: Institution, enabled: bool, *, actor: Actor) -> None:
    """Disable or enable an institution's account; disabling ends its sessions at once."""
    account = _account_to_manage(row, actor)
    with transaction() as session:
        before = session.scalar(select(User.active).where(User.id == account.user_id))
        session.execute(update(User).where(User.id == account.user_id).values(active=enabled))
        account.session_version = Account.session_version + 1
        audit.record(actor, "enable_account" if enabled else "disable_account", row, {"changed": {"active": [before, enabled]}})


@dataclass(frozen=True)
class Filing:
    """What an institution files. `licence` and `commitment` are (file name, bytes), empty bytes to keep what is there."""

    address: str
    contact_name: str
    contact_phone: str
    licence: tuple[str, bytes] = ("", b"")
    commitment: tuple[str, bytes] = ("", b"")


def save_filing(row: Institution, filing: Filing, *, actor: Actor) -> None:
    """Write the filing while it may be edited. Raises `InvalidFields`, `Conflict` while it is under review or approved."""
    let_go()
    found = Findings()
    phone = found.tried(lambda: checked_phone(filing.contact_phone, "contact_phone"))
    given = (("licence", _("营业执照照片"), filing.licence), ("commitment", _("承诺书照片"), filing.commitment))
    pictures = {name: found.tried(partial(checked_photo, label, data, name)) for name, label, (file, data) in given if file}
    found.settle()
    with transaction() as session:
        session.refresh(row, with_for_update={"of": type(row)})
        if not row.editable:
            raise Conflict(_("备案信息已提交或已通过审核，不能修改。"))
        row.address, row.contact_name, row.contact_phone = filing.address.strip(), filing.contact_name.strip(), phone
        changes = audit.changed(row)
        for name, data in pictures.items():
            stored = files.keep(data or b"", kind=name, name=f"{name}.jpg", content_type=files.JPEG, institution_id=row.id)
            setattr(row, f"{name}_id", stored.id)
        audit.record(actor, "save_filing", row, {"changed": changes, "pictures": sorted(pictures)})


def papers_of(row: Institution) -> list[tuple[str, StoredFile]]:
    """The papers on file with their names."""
    named = ((_("营业执照"), row.licence), (_("承诺书"), row.commitment))
    return [(name, stored) for name, stored in named if stored is not None]


def missing_for_submission(row: Institution) -> list[str]:
    """What a filing still lacks (I2: unit data, teachers, licence, commitment letter)."""
    missing = []
    if not (row.address and row.contact_name and row.contact_phone):
        missing.append(_("请填写地址、联系人和联系电话。"))
    if row.licence_id is None:
        missing.append(_("请上传营业执照。"))
    if row.commitment_id is None:
        missing.append(_("请上传承诺书。"))
    if not any(teacher.enabled for teacher in row.teachers):
        missing.append(_("请至少登记一名授课老师。"))
    return missing


def submit(row: Institution, *, actor: Actor) -> None:
    """Send the filing to the authority. Raises `Invalid` saying what is missing."""
    if row.editable and (missing := missing_for_submission(row)):
        raise Invalid(" ".join(missing))
    with transaction():
        workflow.take_step(row, "submit", actor=actor)
        rounds.write(row, facts_of(row))


def facts_of(row: Institution) -> rounds.Facts:
    """The filing as it stands, for the record of this round."""
    facts = rounds.Facts()
    facts.say("address", _l("单位地址"), row.address)
    facts.say("contact_name", _l("联系人"), row.contact_name)
    facts.say("contact_phone", _l("联系电话"), mask_phone(row.contact_phone or ""), secret=blind(row.contact_phone, "phone"))
    facts.file("licence", _l("营业执照"), row.licence_id)
    facts.file("commitment", _l("承诺书"), row.commitment_id)
    for each in row.teachers:
        if each.enabled:
            facts.part(f"teacher-{each.id}", _l("老师"), each.name).say("qualification", _l("职称或资格"), each.qualification)
    return facts


def add_teacher(row: Institution, name: str, kind: str, qualification: str, phone: str, *, actor: Actor) -> Teacher:
    """Put a teacher on file, own or external (I7). Raises `Invalid` at a field; one who is on file already is not
    entered twice."""
    name, qualification = name.strip(), qualification.strip()
    if kind not in ("own", "external"):
        raise Invalid(_("请选择本单位或外聘。"), "kind")
    number = checked_phone(phone) if phone.strip() else None
    with transaction() as session:
        same = session.scalars(select(Teacher).where(
            Teacher.institution_id == row.id, Teacher.name == name, Teacher.kind == kind, Teacher.qualification == qualification))
        if any(number in (None, each.phone) for each in same):
            raise Invalid(_("这位老师已经登记过。同名的另一位请填写手机号以便区分。"), "name")
        teacher = Teacher(institution_id=row.id, name=name, kind=kind, qualification=qualification, phone=number, enabled=True)
        session.add(teacher)
        session.flush()
        audit.record(actor, "add_teacher", teacher, {"name": teacher.name})
    return teacher


def set_teacher_enabled(teacher: Teacher, enabled: bool, *, actor: Actor) -> None:
    """Take a teacher off the choice for new plans, or put back; what refers to them stays."""
    with transaction():
        teacher.enabled = enabled
        audit.record(actor, "enable_teacher" if enabled else "disable_teacher", teacher,
                     {"name": teacher.name, "changed": audit.changed(teacher)})
