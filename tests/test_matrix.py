"""Every route, as every role, and as another organisation of the same role: who gets in, and whose rows they see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask_appbuilder.security.sqla.models import Permission, PermissionView, Role, ViewMenu
from sqlalchemy import select

from app import permissions
from app.extensions import db, transaction
from models import (
    AttendanceUnlock,
    BillDifference,
    Certificate,
    Enrolment,
    Enterprise,
    ExamPlan,
    ImportBatch,
    Institution,
    Invoice,
    Job,
    Merchant,
    Notice,
    Order,
    Payment,
    Reconciliation,
    Refund,
    ScoreReport,
    Sitting,
    StoredFile,
    Teacher,
    TrainingPlan,
    WaitlistEntry,
)

ACCOUNTS = {
    permissions.AUTHORITY: "hangzhou", permissions.INSTITUTION: "hjp", permissions.ENTERPRISE: "91330100MA2AAAA05G",
}
STRANGERS = {
    permissions.AUTHORITY: "ningbo", permissions.INSTITUTION: "nbp", permissions.ENTERPRISE: "91330212MA2AAAA052",
}
# Routes of FAB and the packages that are not of the portal's table: guarded by FAB's own Admin-only permissions or open.
OPEN = ("static", "appbuilder.static", "LoginView.login", "LoginView.logout", "LocaleView.index", "Home.index", "UtilView.back")


def portal_routes(app: Any) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """(rule, view, verb, methods) of every route whose view stands in the table."""
    for rule in app.url_map.iter_rules():
        view, _dot, method = rule.endpoint.partition(".")
        if view not in permissions.TABLE:
            continue
        instance = next(each for each in app.appbuilder.baseviews if type(each).__name__ == view)
        verb = getattr(getattr(instance, method), "_permission_name", "")
        yield rule.rule, view, verb, tuple(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}))


def test_the_table_names_exactly_what_the_views_have(app: Any) -> None:
    verbs: dict[str, set[str]] = {}
    for _rule, view, verb, _methods in portal_routes(app):
        verbs.setdefault(view, set()).add(verb)
    named = {view: set().union(*roles.values()) for view, roles in permissions.TABLE.items()}
    named.pop("Home")
    verbs.pop("Home", None)
    assert verbs == named


def test_every_view_of_the_portal_is_in_the_table_or_public(app: Any) -> None:
    """The console is the operator's, who has everything that is not in the table."""
    public = {"CaptchaView", "ConsoleView", "RegistrationView", "ResetView", "CertificateLookup", "CertificateVerify",
              "AlipayView", "LoginView",
              "HealthView", "CalendarFeedView"}
    ours = {type(each).__name__ for each in app.appbuilder.baseviews if type(each).__module__.startswith("views.")}
    assert ours - set(permissions.TABLE) - public == set()


def _fill(rule: str) -> str:
    """The rule with keys that belong to nobody: access is decided before a row is looked for."""
    text = re.sub(r"<int:[^>]+>", "999999", rule)
    text = re.sub(r"<any\(([^,)]+)[^>]*>", lambda match: match.group(1), text)
    return re.sub(r"<[^>]+>", "none", text)


@pytest.mark.parametrize("role", ACCOUNTS)
def test_a_role_opens_what_the_table_grants_and_nothing_else(app: Any, login: Any, role: str) -> None:
    client = login(ACCOUNTS[role])
    for rule, view, verb, methods in portal_routes(app):
        granted = verb in permissions.TABLE[view].get(role, ()) or view == "Home"
        for method in methods:
            status = client.open(_fill(rule), method=method).status_code
            assert status != 500, f"{method} {rule} as {role}"
            assert (status != 403) == granted, f"{method} {rule} as {role}: {status}"


def test_a_visitor_is_sent_to_sign_in_everywhere(app: Any, client: Any) -> None:
    for rule, _view, _verb, methods in portal_routes(app):
        for method in methods:
            answer = client.open(_fill(rule), method=method)
            assert answer.status_code in (302, 303), f"{method} {rule}: {answer.status_code}"
            assert "/login/" in answer.location, f"{method} {rule}"


@pytest.mark.parametrize("username", ["admin", "hangzhou"])
def test_the_frames_own_screens_of_roles_and_users_are_closed(app: Any, login: Any, username: str) -> None:
    """角色 and 帐号 are in their place: what FAB's screens write passes by operations and audit."""
    client = login(username)
    rules = [rule for rule in app.url_map.iter_rules()
             if rule.endpoint.partition(".")[0] in ("UserDBModelView", "RoleModelView", "UserGroupModelView", "ResetPasswordView")]
    assert rules
    for rule in rules:
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            assert client.open(_fill(rule.rule), method=method).status_code == 404, f"{method} {rule.rule}"
    assert "/users/list/" not in client.get("/").text


def test_the_administrator_acts_for_no_party(app: Any, login: Any) -> None:
    """What is one's own (a job, the safety of one's account, the address of one's calendar) is the administrator's too."""
    client = login("admin")
    for rule, view, _verb, methods in portal_routes(app):
        if "POST" in methods and "GET" not in methods and view not in ("JobView", "SafetyView", "CalendarView", "AuditView",
                                                                    "SigningKeyView"):
            assert client.post(_fill(rule)).status_code in (403, 404), rule


# Which rows a parameter of a route names.
KEYS: dict[str, Any] = {
    "plan_id": TrainingPlan, "batch_id": ImportBatch, "order_id": Order, "exam_id": ExamPlan, "exam_plan_id": ExamPlan,
    "report_id": ScoreReport, "certificate_id": Certificate, "enrolment_id": Enrolment, "file_id": StoredFile, "job_id": Job,
    "teacher_id": Teacher, "sitting_id": Sitting, "invoice_id": Invoice, "payment_id": Payment, "notice_id": Notice,
    "entry_id": WaitlistEntry, "refund_id": Refund, "reconciliation_id": Reconciliation, "difference_id": BillDifference,
    "merchant_id": Merchant,
    "unlock_id": AttendanceUnlock,
}
SUBJECT_OF = {"EnterpriseReviewView": Enterprise, "PlanReviewView": TrainingPlan, "InstitutionView": Institution,
              "ExamReviewView": ExamPlan, "ScoreReviewView": ScoreReport}


@pytest.fixture
def world(make: Any) -> dict[Any, int]:
    """One row of every kind, all of Hangzhou's institution and enterprise."""
    report = make.report()
    exam = db.session.get_one(ExamPlan, report.exam_plan_id)
    order = db.session.scalars(select(Order).where(Order.plan_id == exam.plan_id)).one()
    rows: dict[Any, int] = {ScoreReport: report.id, ExamPlan: exam.id, Order: order.id, TrainingPlan: exam.plan_id,
                            ImportBatch: order.batch_id, Enterprise: order.enterprise_id, Institution: exam.institution_id}
    rows[Sitting] = db.session.scalars(select(Sitting.id).where(Sitting.exam_plan_id == exam.id)).first() or 0
    rows[Enrolment] = db.session.scalars(select(Enrolment.id).where(Enrolment.order_id == order.id)).first() or 0
    rows[StoredFile] = db.session.scalars(select(Enrolment.portrait_id).where(Enrolment.id == rows[Enrolment])).one() or 0
    with transaction() as session:
        notice = Notice(event="approve", subject_kind="exam_plan", subject_id=exam.id, count=1, institution_id=exam.institution_id,
                        name=exam.name, at=exam.created_at)
        session.add(notice)
        entry = WaitlistEntry(plan_id=exam.plan_id, enterprise_id=order.enterprise_id, institution_id=order.institution_id, people=1,
                              least=1, created_at=exam.created_at, created_by_id=1)
        session.add(entry)
        asked = AttendanceUnlock(plan_id=exam.plan_id, institution_id=exam.institution_id, authority_id=exam.authority_id, reason="漏登记",
                                 asked_at=exam.created_at, asked_by_name="杭建")
        session.add(asked)
    rows[Notice], rows[WaitlistEntry], rows[AttendanceUnlock] = notice.id, entry.id, asked.id
    rows[Teacher] = db.session.scalars(select(Teacher.id).where(Teacher.institution_id == exam.institution_id)).first() or 0
    return rows


@pytest.mark.parametrize("role", STRANGERS)
def test_another_organisations_row_is_not_found_on_any_route(app: Any, login: Any, world: dict[Any, int], role: str) -> None:
    if role == permissions.ENTERPRISE:
        # An open plan may be seen by every enterprise; the rest of this world may not.
        world.pop(TrainingPlan)
    client = login(STRANGERS[role])
    tried = 0
    for rule, view, verb, methods in portal_routes(app):
        model = next((KEYS[name] for name in re.findall(r"<int:(\w+)>", rule) if name in KEYS), None)
        if "<int:subject_id>" in rule:
            model = SUBJECT_OF.get(view, TrainingPlan if view == "RecordView" and world.get(TrainingPlan) else None)
        if model not in world or verb not in permissions.TABLE[view].get(role, ()):
            continue
        url = _fill(re.sub(r"<int:\w+>", str(world[model]), rule, count=1).replace("<string:kind>", "training_plan"))
        for method in methods:
            assert client.open(url, method=method).status_code == 404, f"{method} {url} as {STRANGERS[role]}"
            tried += 1
    assert tried >= 5


def test_a_role_that_is_neither_ours_nor_made_here_is_left_alone(app: Any, make: Any) -> None:
    own = Role(name="只受理")
    own.permissions = [db.session.scalars(
        select(PermissionView).join(Permission, PermissionView.permission_id == Permission.id)
        .join(ViewMenu, PermissionView.view_menu_id == ViewMenu.id)
        .where(Permission.name == "can_list", ViewMenu.name == "PlanReviewView")).one()]
    db.session.add(own)
    db.session.commit()
    permissions.sync_roles(app.appbuilder)
    kept = db.session.scalars(select(Role).where(Role.name == "只受理")).one()
    assert [str(each) for each in kept.permissions] == ["can list on PlanReviewView"]
