"""What people see. `MENU` is the left menu: group, entry, icon, view; which entries a role sees follows from
`app.permissions`. `PLAIN` are the views without an entry of their own."""

from __future__ import annotations

from typing import Any

from flask_appbuilder import AppBuilder
from flask_babel import lazy_gettext as _l

from views import (
    accounts,
    attendance,
    audit,
    bills,
    calendar,
    captcha,
    carry_overs,
    certificates,
    checks,
    classes,
    console,
    corrections,
    enrol,
    enterprises,
    exam_door,
    exam_rooms,
    exams,
    files,
    filing,
    finance,
    health,
    institutions,
    invoice_sellers,
    invoices,
    jobs,
    layouts,
    lookup,
    merchants,
    notices,
    orders,
    payments,
    people,
    photos,
    plan_changes,
    plan_typing,
    plans,
    pushing,
    records,
    registration,
    roles,
    rosters,
    safety,
    score_corrections,
    score_desk,
    score_typing,
    scores,
    signing,
    staff,
    teachers,
    unlocks,
    verify,
    waitlist,
    withdrawals,
)

# (name of the group, its label, icon, entries); an entry is (view class, label, icon).
MENU: tuple[tuple[str, Any, str, tuple[tuple[Any, Any, str], ...]], ...] = (
    ("Organisation", _l("单位信息"), "building", (
        (enterprises.EnterpriseView, _l("企业"), "building"),
        (filing.FilingView, _l("机构备案"), "building"),
    )),
    ("Training", _l("培训"), "book", (
        (plans.PlanView, _l("培训计划"), "book"),
        (plan_changes.PlanChangeView, _l("名额调整与取消"), "edit"),
        (classes.ClassView, _l("开班与考勤"), "class"),
        (exams.ExamView, _l("考核计划"), "exam"),
        (scores.ScoreView, _l("成绩报审"), "score"),
        (calendar.CalendarView, _l("日程"), "calendar"),
    )),
    ("Orders", _l("报名与订单"), "cart", (
        (enrol.EnrolView, _l("报名"), "people"),
        (checks.CheckView, _l("报名人员核对"), "review"),
        (orders.OrderView, _l("订单"), "cart"),
        (invoices.InvoiceView, _l("电子发票"), "file"),
        (withdrawals.WithdrawalView, _l("退班"), "out"),
        (exams.EnrolledView, _l("已报名列表"), "list"),
        (corrections.CorrectionView, _l("信息更正"), "edit"),
    )),
    ("Finance", _l("财务"), "wallet", (
        (finance.FinanceView, _l("付款与退款"), "wallet"),
        (bills.BillView, _l("对账"), "list"),
        (merchants.MerchantView, _l("收款商户"), "building"),
    )),
    ("Review", _l("审核"), "check", (
        (enterprises.EnterpriseReviewView, _l("企业审核"), "building"),
        (plans.PlanReviewView, _l("培训计划审核"), "book"),
        (plan_changes.PlanChangeReviewView, _l("名额调整与取消"), "edit"),
        (exams.ExamReviewView, _l("考核计划审核"), "exam"),
        (score_desk.ScoreReviewView, _l("成绩审核"), "score"),
        (score_corrections.ScoreCorrectionReviewView, _l("成绩更正审核"), "score"),
        (certificates.CertificateIssueView, _l("生成证书"), "medal"),
        (unlocks.AttendanceUnlockView, _l("考勤解锁"), "lock"),
        (institutions.InstitutionView, _l("培训机构管理"), "building"),
    )),
    ("People", _l("查询"), "search", (
        (people.PeopleView, _l("报名人员查询"), "people"),
        (certificates.CertificateView, _l("证书"), "medal"),
        (pushing.PushView, _l("证书推送"), "send"),
    )),
    ("Operation", _l("系统"), "gear", (
        (staff.StaffView, _l("帐号"), "user"),
        (roles.RoleView, _l("角色"), "lock"),
        (staff.ColleagueView, _l("人员"), "people"),
        (signing.SigningKeyView, _l("签章密钥"), "lock"),
        (layouts.LayoutView, _l("版式"), "file"),
        (audit.AuditView, _l("审计日志"), "shield"),
        (console.ConsoleView, _l("控制台"), "gear"),
    )),
)

PLAIN: tuple[Any, ...] = (
    accounts.PasswordView, safety.SafetyView, files.FileView, jobs.JobView, records.RecordView, registration.RegistrationView,
    registration.ResetView, payments.AlipayView, health.HealthView, lookup.CertificateLookup, verify.CertificateVerify,
    calendar.CalendarFeedView, captcha.CaptchaView, invoice_sellers.InvoiceSellerView, plan_typing.PlanTypingView, notices.NoticeView,
    teachers.TeacherView,
    waitlist.WaitlistView, attendance.AttendanceView, carry_overs.CarryOverView,
    rosters.RosterView, photos.PhotoView, exam_rooms.ExamRoomView, exam_door.ExamDoorView,
    score_typing.ScoreTypingView, score_corrections.ScoreCorrectionView,
)


def register(appbuilder: AppBuilder) -> None:
    """Add every view to FAB, in the order of the menu."""
    for group, group_label, group_icon, entries in MENU:
        for view, label, icon in entries:
            # A name of its own: FAB keeps menu entries and views in one table and would take one for the other.
            appbuilder.add_view(view, f"menu:{view.__name__}", icon=icon, label=label, category=group,
                                category_icon=group_icon, category_label=group_label)
    for view in PLAIN:
        appbuilder.add_view_no_menu(view)
