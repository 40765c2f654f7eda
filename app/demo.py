"""The parties a demonstration starts with. Loaded once, into an empty portal, and never in production."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from flask import current_app
from flask_appbuilder.security.sqla.models import Role, User
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.security import generate_password_hash

from app import clock, files
from app.crypto import blind
from app.documents import samples
from app.extensions import transaction
from app.operations import filings, rounds
from app.permissions import PARTY_ROLES
from models import Account, Authority, Enterprise, Institution, ReviewEvent, Room, Teacher, TeacherPaper

PASSWORD = "Demo2026!"  # noqa: S105  # printed at every start of a demonstration


@dataclass(frozen=True)
class DemoAccount:
    """A way in: which tab, which name, and who that is."""

    username: str
    party: str
    organisation: str
    person: str


ACCOUNTS = (
    DemoAccount("province", "authority", "浙江省住房和城乡建设厅", "省厅经办"),
    DemoAccount("hangzhou", "authority", "杭州市城乡建设委员会", "杭州经办"),
    DemoAccount("ningbo", "authority", "宁波市住房和城乡建设局", "宁波经办"),
    DemoAccount("hjp", "institution", "杭州建工职业培训中心", "杭建培训"),
    DemoAccount("nbp", "institution", "宁波建设职业培训学校", "甬建培训"),
    DemoAccount("91330100MA2AAAA05G", "enterprise", "杭州第一建筑工程有限公司", "杭州一建"),
    DemoAccount("91330212MA2AAAA052", "enterprise", "宁波东海建设有限公司", "宁波东海"),
    DemoAccount("91330000MA2BBBB07Q", "enterprise", "浙江省建设集团有限公司", "省建集团"),
    DemoAccount("admin", "administrator", "系统管理", "管理员"),
)
_INSTITUTIONS = {"hjp": ("杭建", "91330100MA2CCCC01J", "hangzhou"), "nbp": ("甬建", "91330200MA2DDDD022", "ningbo")}
_ENTERPRISES = {
    "91330100MA2AAAA05G": ("330106", False, "hangzhou", "13800138001"),
    "91330212MA2AAAA052": ("330212", False, "ningbo", "13800138002"),
    "91330000MA2BBBB07Q": ("330000", True, "province", "13800138003"),
}
_REGIONS = {"province": "330000", "hangzhou": "330100", "ningbo": "330200"}
_TEACHERS = (("王卫东", "own", "高级技师", "330106197805120010", "13900139001"),
             ("李建国", "own", "高级工程师", "330106198109230034", "13900139002"),
             ("陈国华", "external", "一级建造师", "330203197506300050", "13900139003"))
_ROOMS = (("101 教室", "classroom", 60), ("201 机考室", "exam", 40), ("实训车间", "practice", 80))


def load_demo() -> None:
    """Load province, two cities, two institutions, three enterprises and an administrator; do nothing when any account
    is there already."""
    if current_app.extensions["settings"].production:
        raise RuntimeError("demonstration parties are refused in production")
    with transaction() as session:
        if session.scalars(select(Account.user_id).limit(1)).first() is not None:
            return
        hashed = generate_password_hash(PASSWORD, current_app.config["FAB_PASSWORD_HASH_METHOD"])
        authorities = _load_authorities(session)
        for entry in ACCOUNTS:
            account = Account(party=entry.party, user=_user(session, entry, hashed))
            if entry.party == "authority":
                account.authority = authorities[entry.username]
            elif entry.party == "institution":
                account.institution = _institution(session, entry, authorities)
            elif entry.party == "enterprise":
                account.enterprise = _enterprise(session, entry, authorities)
            session.add(account)


def _load_authorities(session: Session) -> dict[str, Authority]:
    found: dict[str, Authority] = {}
    for entry in ACCOUNTS:
        if entry.party == "authority":
            parent = found.get("province")
            found[entry.username] = Authority(name=entry.organisation, region_code=_REGIONS[entry.username],
                                              parent_id=parent.id if parent else None)
            session.add(found[entry.username])
            session.flush()
    return found


def _user(session: Session, entry: DemoAccount, hashed: str) -> User:
    role = session.scalars(select(Role).where(Role.name == PARTY_ROLES[entry.party])).one()
    user = User(username=entry.username, first_name=entry.person, last_name="", email=f"{entry.username}@demo.invalid",
                active=True, password=hashed, roles=[role])
    session.add(user)
    return user


def _approved(by: int) -> dict[str, object]:
    at = clock.now()
    return {"review_state": "approved", "submitted_at": at, "accepted_at": at, "accepted_by_id": by, "decided_at": at,
            "decided_by_id": by, "review_version": 3, "created_at": at}


def _record_review(session: Session, kind: str, row: Institution | Enterprise, names: tuple[str, str]) -> None:
    """The three steps that made it approved, so that its records page tells a whole story."""
    at = clock.now()
    moves = (("submit", "draft", "submitted", names[0]), ("accept", "submitted", "accepted", names[1]),
             ("approve", "accepted", "approved", names[1]))
    for sequence, (step, source, target, who) in enumerate(moves, 1):
        session.add(ReviewEvent(subject_kind=kind, subject_id=row.id, sequence=sequence, round=1, step=step,
                                from_state=source, to_state=target, actor_id=None, actor_name=who, organisation=who, at=at))


def _institution(session: Session, entry: DemoAccount, authorities: dict[str, Authority]) -> Institution:
    short_name, uscc, authority = _INSTITUTIONS[entry.username]
    row = Institution(name=entry.organisation, short_name=short_name, uscc=uscc, authority=authorities[authority],
                      address=f"{entry.organisation[:2]}市建设路 1 号", contact_name=entry.person, contact_phone="13900139000",
                      legal_representative="郑国强", licence_from=date(2019, 6, 1), approved_round=1,
                      **_approved(authorities[authority].id))
    session.add(row)
    session.flush()
    row.licence = files.keep(samples.paper(f"营业执照\n{row.name}\n{uscc}"), kind="licence", name="yyzz.jpg",
                             content_type=files.JPEG, institution_id=row.id)
    row.commitment = files.keep(samples.paper(f"承诺书\n{row.name}"), kind="commitment", name="cns.jpg",
                                content_type=files.JPEG, institution_id=row.id)
    for name, kind, qualification, number, phone in _TEACHERS:
        paper = files.keep(samples.paper(f"{qualification}证书\n{name}"), kind="qualification", name="证书.jpg",
                           content_type=files.JPEG, institution_id=row.id)
        session.add(Teacher(institution_id=row.id, name=name, kind=kind, qualification=qualification, id_number=number,
                            id_number_index=blind(number, "id_number"), phone=phone, teaches="安全生产与实操", enabled=True,
                            papers=[TeacherPaper(file_id=paper.id)]))
    for n, (name, kind, capacity) in enumerate(_ROOMS, 1):
        session.add(Room(institution_id=row.id, key=f"demo-{n}", name=name, kind=kind, capacity=capacity, address=row.address))
    session.flush()
    session.expire(row)
    session.add(filings.beginning(row))
    session.flush()
    rounds.write(row, filings.facts_of(row))
    _record_review(session, "institution", row, (entry.organisation, authorities[authority].name))
    return row


def _enterprise(session: Session, entry: DemoAccount, authorities: dict[str, Authority]) -> Enterprise:
    region, provincial, authority, phone = _ENTERPRISES[entry.username]
    papers = {
        kind: files.keep(samples.paper(f"{title}\n{entry.organisation}"), kind=kind, name=name, content_type=files.JPEG)
        for kind, title, name in (("licence", "营业执照", "yyzz.jpg"), ("commitment", "企业承诺书", "cns.jpg"),
                                  ("qualification", "资质证书", "zzzs.jpg"))
    }
    row = Enterprise(uscc=entry.username, name=entry.organisation, region_code=region, is_provincial=provincial,
                     authority=authorities[authority], address="建设路 8 号", legal_representative="张建设",
                     founded_on=date(2018, 3, 1), contact_name=entry.person, phone=phone, phone_index=blind(phone, "phone"),
                     licence=papers["licence"], commitment=papers["commitment"], qualification=papers["qualification"],
                     **_approved(authorities[authority].id))
    session.add(row)
    session.flush()
    for paper in papers.values():
        paper.enterprise_id = row.id
    _record_review(session, "enterprise", row, (entry.organisation, authorities[authority].name))
    return row
