"""THE table: view x role -> verbs. Menus follow from it.

`flask --app run sync-roles` (part of the release step) writes it to FAB's role tables as exact pairs, for the roles the
portal owns. A role that an administrator makes (`app.areas`, 角色) keeps its ticks in every deployment.
"""

from __future__ import annotations

from typing import Any

from flask_appbuilder import AppBuilder
from flask_appbuilder.security.sqla.models import Permission, PermissionView, Role, ViewMenu
from sqlalchemy import select

from app.areas import BASICS
from app.extensions import db, transaction
from models import RoleRegion

AUTHORITY = "主管部门"
INSTITUTION = "培训机构"
ENTERPRISE = "企业"
ADMIN = "Admin"
OWNED = (AUTHORITY, INSTITUTION, ENTERPRISE)
PARTY_ROLES = {"authority": AUTHORITY, "institution": INSTITUTION, "enterprise": ENTERPRISE, "administrator": ADMIN}

Verbs = tuple[str, ...]

# What each role may do on each view. The verbs are those of the view's routes (`views.base.page`).
TABLE: dict[str, dict[str, Verbs]] = {
    "Home": {ADMIN: ("show",), AUTHORITY: ("show",), INSTITUTION: ("show",), ENTERPRISE: ("show",)},
    "PasswordView": {ADMIN: ("edit",), AUTHORITY: ("edit",), INSTITUTION: ("edit",), ENTERPRISE: ("edit",)},
    # 安全设置: one's own sign-ins; `edit` is the second factor
    "SafetyView": {ADMIN: ("show", "end", "edit"), AUTHORITY: ("show", "end", "edit"),
                   INSTITUTION: ("show", "end"), ENTERPRISE: ("show", "end")},
    "FileView": {ADMIN: ("show",), AUTHORITY: ("show",), INSTITUTION: ("show",), ENTERPRISE: ("show",)},
    "JobView": {ADMIN: ("show", "again"), AUTHORITY: ("show", "again"), INSTITUTION: ("show", "again"), ENTERPRISE: ("show", "again")},
    # 消息, with what is wanted by SMS
    "NoticeView": {AUTHORITY: ("list", "read", "edit"), INSTITUTION: ("list", "read", "edit"), ENTERPRISE: ("list", "read", "edit")},
    # 企业基本信息, for the enterprise itself
    "EnterpriseView": {ENTERPRISE: ("show", "edit", "submit")},
    # 企业审核, for its authority
    "EnterpriseReviewView": {ADMIN: ("list", "show"), AUTHORITY: ("list", "show", "accept", "decide")},
    # 机构备案, for the institution itself: unit data, rooms, teachers
    "FilingView": {INSTITUTION: ("show", "edit", "submit")},
    "TeacherView": {INSTITUTION: ("edit",)},
    # 培训机构管理, for the authority: accounts and filings
    "InstitutionView": {ADMIN: ("list", "show"), AUTHORITY: ("list", "show", "add", "reset", "reveal", "accept", "decide")},
    # 培训计划, for the institution
    "PlanTypingView": {INSTITUTION: ("edit",)},
    "PlanView": {INSTITUTION: ("list", "show", "add", "edit", "submit")},
    # 培训计划审核, for the authority
    "PlanReviewView": {ADMIN: ("list", "show"), AUTHORITY: ("list", "show", "accept", "decide")},
    # 日程, with the person's own private address of it
    "CalendarView": {ADMIN: ("show", "subscribe"), AUTHORITY: ("show", "subscribe"), INSTITUTION: ("show", "subscribe"),
                     ENTERPRISE: ("show", "subscribe")},
    # 审核记录 of any subject that the person may see
    "RecordView": {ADMIN: ("show",), AUTHORITY: ("show",), INSTITUTION: ("show",), ENTERPRISE: ("show",)},
    # 报名: open plans; the workbook of a list; its photos
    "EnrolView": {ENTERPRISE: ("list", "show", "download")},
    "RosterView": {ENTERPRISE: ("show", "import", "download")},
    "PhotoView": {ENTERPRISE: ("show", "upload")},
    # 报名人员核对 by the institution, 信息更正 by the enterprise
    "CheckView": {INSTITUTION: ("list", "show", "decide")},
    "CorrectionView": {ENTERPRISE: ("list", "show", "edit")},
    # 候补 for a full plan
    "WaitlistView": {ENTERPRISE: ("edit",)},
    # 已报名列表 with admission tickets
    "EnrolledView": {ENTERPRISE: ("list", "download")},
    # 订单
    "OrderView": {ADMIN: ("list", "show"), ENTERPRISE: ("list", "show", "add", "pay", "cancel"), INSTITUTION: ("list", "show")},
    # 电子发票; `upload` is for who issues, `edit` for whose details they are
    "InvoiceView": {ADMIN: ("list", "show"), INSTITUTION: ("list", "show", "download", "upload", "again"),
                    ENTERPRISE: ("list", "show", "download", "edit", "again")},
    # 销售方: which institutions issue in their own name
    "InvoiceSellerView": {ADMIN: ("list", "edit")},
    # 财务, 对账 and 收款商户: an institution reads its own; a refund is proposed by one and approved by another
    "FinanceView": {ADMIN: ("list", "show"), AUTHORITY: ("list", "show", "download", "propose", "approve"),
                    INSTITUTION: ("list", "show", "download")},
    "BillView": {ADMIN: ("list", "show"), AUTHORITY: ("list", "show", "resolve", "again"), INSTITUTION: ("list", "show")},
    "MerchantView": {ADMIN: ("list", "add", "edit")},
    # 开班与考勤
    "ClassView": {INSTITUTION: ("list", "show", "open", "attendance", "download")},
    # 名额调整 and 计划取消, and their approval
    "PlanChangeView": {ADMIN: ("list", "show"), INSTITUTION: ("list", "show", "resize", "cancel")},
    "PlanChangeReviewView": {AUTHORITY: ("list", "show", "decide")},
    # 退班
    "WithdrawalView": {ADMIN: ("list",), ENTERPRISE: ("list", "ask"), INSTITUTION: ("list", "decide")},
    # 缺勤转入
    "CarryOverView": {INSTITUTION: ("show", "add", "undo")},
    # 考勤, session by session, with its slips and sheets
    "AttendanceView": {INSTITUTION: ("show", "mark", "download", "ask")},
    # 考勤解锁, for the authority
    "AttendanceUnlockView": {ADMIN: ("list", "show"), AUTHORITY: ("list", "show", "decide")},
    # 考核计划
    "ExamView": {INSTITUTION: ("list", "show", "add", "edit", "submit", "confirm", "download")},
    # its rooms and who sits where
    "ExamRoomView": {INSTITUTION: ("edit",)},
    # 核验准考证 at the door
    "ExamDoorView": {INSTITUTION: ("show", "check")},
    # 版式 of the papers
    "LayoutView": {ADMIN: ("list", "show", "edit")},
    "ExamReviewView": {ADMIN: ("list", "show"), AUTHORITY: ("list", "show", "accept", "decide", "download")},
    # 成绩报审
    "ScoreView": {INSTITUTION: ("list", "show", "pull", "import", "submit", "download")},
    # 逐人录入, and 成绩更正 of approved scores
    "ScoreTypingView": {INSTITUTION: ("edit",)},
    "ScoreCorrectionView": {INSTITUTION: ("show", "edit", "submit")},
    "ScoreCorrectionReviewView": {ADMIN: ("list", "show"), AUTHORITY: ("list", "show", "accept", "decide")},
    "ScoreReviewView": {ADMIN: ("list", "show"), AUTHORITY: ("list", "show", "accept", "decide", "download")},
    # 证书
    "CertificateIssueView": {AUTHORITY: ("list", "show", "issue")},
    "PushView": {ADMIN: ("list",), AUTHORITY: ("list", "push", "export", "confirm")},
    # 签章密钥: looked after by the administrator
    "SigningKeyView": {ADMIN: ("list", "add", "retire"), AUTHORITY: ("list",)},
    "CertificateView": {ADMIN: ("list", "show"), AUTHORITY: ("list", "show", "download", "change"),
                        INSTITUTION: ("list", "show", "download"),
                        ENTERPRISE: ("list", "show", "download")},
    # 审计日志
    "AuditView": {ADMIN: ("list", "show", "download")},
    # 角色 and 帐号, for the administrator; 人员 of one's own authority
    "RoleView": {ADMIN: ("list", "add", "edit", "delete")},
    "StaffView": {ADMIN: ("list", "show", "add", "edit", "reset", "switch")},
    "ColleagueView": {AUTHORITY: ("list",)},
    # 报名人员查询
    "PeopleView": {ADMIN: ("list", "show"), AUTHORITY: ("list", "show", "reveal", "download"),
                   INSTITUTION: ("list", "show", "reveal", "download"),
                   ENTERPRISE: ("list", "show", "reveal", "download")},
}


def granted_pairs(role: str, appbuilder: AppBuilder) -> set[tuple[str, str]]:
    """The exact (permission, view) pairs of one owned role, its menu entries and their groups included."""
    return with_menu({(view, verb) for view, roles in TABLE.items() for verb in roles.get(role, ())}, appbuilder)


def with_menu(pairs: set[tuple[str, str]], appbuilder: AppBuilder) -> set[tuple[str, str]]:
    """(permission, view) of these (view, verb) pairs, with the menu entries they open and the groups those are in."""
    granted = {(f"can_{verb}", view) for view, verb in pairs}
    for item in appbuilder.menu.get_list():
        entries = item.childs or [item]
        shown = [entry for entry in entries if _opens(entry, pairs)]
        granted |= {("menu_access", entry.name) for entry in shown}
        if shown and item.childs:
            granted.add(("menu_access", item.name))
    return granted


def _opens(entry: Any, pairs: set[tuple[str, str]]) -> bool:
    """A menu entry shows where the role may open the page it leads to."""
    if entry.baseview is None:
        return False
    opening = getattr(entry.baseview, entry.baseview.default_view)
    return (type(entry.baseview).__name__, getattr(opening, "_permission_name", "")) in pairs


def verbs_of(role: Role) -> set[tuple[str, str]]:
    """The (view, verb) pairs of the table that a role has."""
    return {(pair.view_menu.name, pair.permission.name.removeprefix("can_")) for pair in role.permissions
            if pair.permission.name.startswith("can_")
            and pair.permission.name.removeprefix("can_") in _VERBS.get(pair.view_menu.name, ())}


_VERBS = {view: {verb for verbs in roles.values() for verb in verbs} for view, roles in TABLE.items()}


def known_pairs() -> dict[tuple[str, str], PermissionView]:
    """Every (permission, view) that FAB has a row for."""
    return {(permission, view): row for row, permission, view in db.session.execute(
        select(PermissionView, Permission.name, ViewMenu.name)
        .join(Permission, PermissionView.permission_id == Permission.id)
        .join(ViewMenu, PermissionView.view_menu_id == ViewMenu.id))}


def write_role(role: Role, pairs: set[tuple[str, str]], known: dict[tuple[str, str], PermissionView], appbuilder: AppBuilder) -> None:
    """Give a role exactly these (view, verb) pairs, and the menu that follows from them."""
    role.permissions = [known[pair] for pair in sorted(with_menu(pairs, appbuilder) & set(known))]


def add_roles() -> None:
    """The roles themselves, before FAB hangs its permissions on them."""
    with transaction() as session:
        there = set(session.scalars(select(Role.name)))
        session.add_all(Role(name=name) for name in (*OWNED, ADMIN, "Public") if name not in there)


def sync_roles(appbuilder: AppBuilder) -> None:
    """Write the table to FAB's role tables: exactly these pairs for the owned roles. A role that an administrator made keeps what
    was ticked for it; what every role has and the menu follow the release."""
    with transaction() as session:
        known = known_pairs()
        for name in OWNED:
            role = session.scalars(select(Role).where(Role.name == name)).one()
            write_role(role, {(view, verb) for view, roles in TABLE.items() for verb in roles.get(name, ())}, known, appbuilder)
        for role in session.scalars(select(Role).join(RoleRegion, RoleRegion.role_id == Role.id)):
            write_role(role, verbs_of(role) | set(BASICS), known, appbuilder)
        # Besides its column of the table the administrator has everything that is FAB's or the operator's.
        admin = session.scalars(select(Role).where(Role.name == ADMIN)).one()
        theirs = {f"menu:{view}" for view in TABLE}
        other = {pair for pair in known if pair[1] not in TABLE and pair[1] not in theirs}
        admin.permissions = [known[pair] for pair in sorted(other | granted_pairs(ADMIN, appbuilder) & set(known))]
    db.session.expire_all()

