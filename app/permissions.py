"""THE table: view x role -> verbs. Menus follow from it.

`flask --app run sync-roles` (part of the release step) writes it to FAB's role tables as exact pairs, for the roles the
portal owns and for no other: a role that an administrator makes on FAB's screens is theirs and survives every deployment.
"""

from __future__ import annotations

from typing import Any

from flask_appbuilder import AppBuilder
from flask_appbuilder.security.sqla.models import Permission, PermissionView, Role, ViewMenu
from sqlalchemy import select

from app.extensions import db, transaction

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
    # 报名: open plans, workbook, photos
    "EnrolView": {ENTERPRISE: ("list", "show", "import", "photos", "download")},
    # 已报名列表 with admission tickets
    "EnrolledView": {ENTERPRISE: ("list", "download")},
    # 订单
    "OrderView": {ADMIN: ("list", "show"), ENTERPRISE: ("list", "show", "add", "pay", "cancel", "download"), INSTITUTION: ("list", "show")},
    # 开班与考勤
    "ClassView": {INSTITUTION: ("list", "show", "open", "attendance", "download")},
    # 考核计划
    "ExamView": {INSTITUTION: ("list", "show", "add", "edit", "submit", "confirm", "download")},
    "ExamReviewView": {ADMIN: ("list", "show"), AUTHORITY: ("list", "show", "accept", "decide", "download")},
    # 成绩报审
    "ScoreView": {INSTITUTION: ("list", "show", "pull", "import", "submit", "download")},
    "ScoreReviewView": {ADMIN: ("list", "show"), AUTHORITY: ("list", "show", "accept", "decide", "download")},
    # 证书
    "CertificateIssueView": {AUTHORITY: ("list", "show", "issue")},
    "CertificateView": {ADMIN: ("list", "show"), AUTHORITY: ("list", "show", "download", "push"), INSTITUTION: ("list", "show", "download"),
                        ENTERPRISE: ("list", "show", "download")},
    # 审计日志
    "AuditView": {ADMIN: ("list", "show", "download")},
    # 报名人员查询
    "PeopleView": {ADMIN: ("list", "show"), AUTHORITY: ("list", "show", "reveal", "download"),
                   INSTITUTION: ("list", "show", "reveal", "download"),
                   ENTERPRISE: ("list", "show", "reveal", "download")},
}


def granted_pairs(role: str, appbuilder: AppBuilder) -> set[tuple[str, str]]:
    """The exact (permission, view) pairs of one owned role, its menu entries and their groups included."""
    pairs = {(f"can_{verb}", view) for view, roles in TABLE.items() for verb in roles.get(role, ())}
    for item in appbuilder.menu.get_list():
        entries = item.childs or [item]
        shown = [entry for entry in entries if _opens(entry, role)]
        pairs |= {("menu_access", entry.name) for entry in shown}
        if shown and item.childs:
            pairs.add(("menu_access", item.name))
    return pairs


def _opens(entry: Any, role: str) -> bool:
    """A menu entry shows where the role may open the page it leads to."""
    if entry.baseview is None:
        return False
    view = type(entry.baseview).__name__
    opening = getattr(entry.baseview, entry.baseview.default_view)
    return getattr(opening, "_permission_name", "") in TABLE.get(view, {}).get(role, ())


def add_roles() -> None:
    """The roles themselves, before FAB hangs its permissions on them."""
    with transaction() as session:
        there = set(session.scalars(select(Role.name)))
        session.add_all(Role(name=name) for name in (*OWNED, ADMIN, "Public") if name not in there)


def sync_roles(appbuilder: AppBuilder) -> None:
    """Write the table to FAB's role tables: exactly these pairs for the owned roles, other roles untouched."""
    with transaction() as session:
        known = {(permission, view): row for row, permission, view in session.execute(
            select(PermissionView, Permission.name, ViewMenu.name)
            .join(Permission, PermissionView.permission_id == Permission.id)
            .join(ViewMenu, PermissionView.view_menu_id == ViewMenu.id))}
        for name in OWNED:
            role = session.scalars(select(Role).where(Role.name == name)).one()
            wanted = granted_pairs(name, appbuilder)
            role.permissions = [known[pair] for pair in sorted(wanted & set(known))]
        # Besides its column of the table the administrator has everything that is FAB's or the operator's.
        admin = session.scalars(select(Role).where(Role.name == ADMIN)).one()
        theirs = {f"menu:{view}" for view in TABLE}
        other = {pair for pair in known if pair[1] not in TABLE and pair[1] not in theirs}
        admin.permissions = [known[pair] for pair in sorted(other | granted_pairs(ADMIN, appbuilder) & set(known))]
    db.session.expire_all()

