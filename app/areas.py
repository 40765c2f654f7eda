"""What an authority's staff may be given, in the words they think in: areas, and in each what one may do.

Each entry stands for exact (view, verb) pairs of `app.permissions.TABLE`, and every pair of the authority's column is in exactly
one entry or among `BASICS`, which every role has. The first entry of an area is looking; whoever may do something may look.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l

Pair = tuple[str, str]


@dataclass(frozen=True)
class Entry:
    """One tick: its key, what it says, and the pairs it grants."""

    key: str
    label: Any
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Area:
    key: str
    label: Any
    entries: tuple[Entry, ...]


def _entry(key: str, label: Any, view: str, *verbs: str) -> Entry:
    return Entry(key, label, tuple((view, verb) for verb in verbs))


def _desk(key: str, label: Any, view: str, *more: Entry) -> Area:
    """An area of the review: look, accept, decide."""
    return Area(key, label, (
        _entry(f"{key}.look", _l("查看"), view, "list", "show"), _entry(f"{key}.accept", _l("受理"), view, "accept"),
        _entry(f"{key}.decide", _l("审核"), view, "decide"), *more))


AREAS: tuple[Area, ...] = (
    _desk("enterprises", _l("企业审核"), "EnterpriseReviewView"),
    _desk("institutions", _l("培训机构"), "InstitutionView",
          _entry("institutions.add", _l("开通机构"), "InstitutionView", "add"),
          _entry("institutions.accounts", _l("重置密码、停用帐号"), "InstitutionView", "reset"),
          _entry("institutions.reveal", _l("查看老师完整身份证号"), "InstitutionView", "reveal")),
    _desk("plans", _l("培训计划"), "PlanReviewView",
          _entry("plans.changes", _l("查看名额调整和取消"), "PlanChangeReviewView", "list", "show"),
          _entry("plans.decide_changes", _l("审批名额调整和取消"), "PlanChangeReviewView", "decide")),
    _desk("exams", _l("考核计划"), "ExamReviewView", _entry("exams.download", _l("下载汇总表"), "ExamReviewView", "download")),
    _desk("scores", _l("成绩报审"), "ScoreReviewView", _entry("scores.download", _l("导出成绩"), "ScoreReviewView", "download")),
    Area("unlocks", _l("考勤解锁"), (
        _entry("unlocks.look", _l("查看"), "AttendanceUnlockView", "list", "show"),
        _entry("unlocks.decide", _l("办理"), "AttendanceUnlockView", "decide"))),
    _desk("corrections", _l("成绩更正"), "ScoreCorrectionReviewView"),
    Area("issue", _l("生成证书"), (
        _entry("issue.look", _l("查看"), "CertificateIssueView", "list", "show"),
        Entry("issue.issue", _l("生成"), (("CertificateIssueView", "issue"), ("JobView", "again"))))),
    Area("certificates", _l("证书"), (
        _entry("certificates.look", _l("查看"), "CertificateView", "list", "show"),
        _entry("certificates.download", _l("下载、打印"), "CertificateView", "download"),
        _entry("certificates.change", _l("撤销、换发"), "CertificateView", "change"),
        _entry("certificates.keys", _l("查看签章密钥"), "SigningKeyView", "list"))),
    Area("push", _l("证书推送"), (
        _entry("push.look", _l("查看"), "PushView", "list"),
        _entry("push.push", _l("重新推送"), "PushView", "push"),
        _entry("push.export", _l("导出推送批次"), "PushView", "export"),
        _entry("push.confirm", _l("确认推送结果"), "PushView", "confirm"))),
    Area("people", _l("报名人员查询"), (
        _entry("people.look", _l("查看"), "PeopleView", "list", "show"),
        _entry("people.download", _l("导出"), "PeopleView", "download"),
        _entry("people.reveal", _l("查看完整身份证号"), "PeopleView", "reveal"))),
    Area("finance", _l("财务"), (
        Entry("finance.look", _l("查看"), tuple((view, verb) for view in ("FinanceView", "BillView") for verb in ("list", "show"))),
        _entry("finance.download", _l("导出"), "FinanceView", "download"),
        _entry("finance.propose", _l("提出退款"), "FinanceView", "propose"),
        _entry("finance.approve", _l("批准退款"), "FinanceView", "approve"),
        _entry("finance.reconcile", _l("处理对账差异"), "BillView", "resolve", "again"))),
    Area("staff", _l("本单位人员"), (_entry("staff.look", _l("查看"), "ColleagueView", "list"),)),
)

# What every role of the authority has: one's own account, and pages that show of each thing what the person may see of it.
BASICS: tuple[Pair, ...] = (
    ("Home", "show"), ("PasswordView", "edit"), ("SafetyView", "show"), ("SafetyView", "end"), ("SafetyView", "edit"),
    ("FileView", "show"), ("JobView", "show"), ("RecordView", "show"),
    ("NoticeView", "list"), ("NoticeView", "read"), ("NoticeView", "edit"), ("CalendarView", "show"), ("CalendarView", "subscribe"),
)

ENTRIES: dict[str, Entry] = {entry.key: entry for area in AREAS for entry in area.entries}
# The views whose rows a role's region narrows.
REGIONAL = frozenset(view for entry in ENTRIES.values() for view, _verb in entry.pairs) - {view for view, _verb in BASICS}

# The reviewer's steps, and the permission each asks for: who accepts need not be who decides.
VERB_OF = {"accept": "accept", "approve": "decide", "reject": "decide"}

# On the pages of `BASICS` a table's rows are those that looking at one of these views would show. The first
# is the desk of what is reviewed.
OPENED_BY: dict[str, tuple[str, ...]] = {
    "enterprise": ("EnterpriseReviewView",), "institution": ("InstitutionView",), "training_plan": ("PlanReviewView",),
    "exam_plan": ("ExamReviewView",), "score_report": ("ScoreReviewView", "CertificateIssueView"),
    "score_correction": ("ScoreCorrectionReviewView",),
    "payment": ("FinanceView",), "refund": ("FinanceView",), "merchant": ("BillView",), "reconciliation": ("BillView",),
    "attendance_unlock": ("AttendanceUnlockView",), "certificate": ("CertificateView",), "push_batch": ("PushView",),
    "certificate_archive": ("CertificateView",), "enrolment": ("PeopleView", "CertificateView"),
}


def with_looking(keys: Iterable[str]) -> list[str]:
    """The entries of these keys in the order of the page, each area's looking with them. Unknown keys are left out."""
    wanted = set(keys)
    return [entry.key for area in AREAS if any(each.key in wanted for each in area.entries)
            for entry in area.entries if entry.key in wanted or entry is area.entries[0]]


def pairs_of(keys: Iterable[str]) -> set[Pair]:
    """What these entries grant, with what every role has."""
    return {pair for key in with_looking(keys) for pair in ENTRIES[key].pairs} | set(BASICS)


def held(pairs: Iterable[Pair]) -> list[str]:
    """The entries that these pairs hold in full."""
    given = set(pairs)
    return [entry.key for entry in ENTRIES.values() if given.issuperset(entry.pairs)]


def in_words(keys: Iterable[str]) -> list[tuple[Any, list[Any]]]:
    """Each area with what may be done in it, of these entries."""
    wanted = set(keys)
    said = [(area.label, [entry.label for entry in area.entries if entry.key in wanted]) for area in AREAS]
    return [(label, what) for label, what in said if what]


def word(key: str) -> str:
    """One entry with its area; an entry of an older release as it is."""
    return next((f"{area.label}：{entry.label}" for area in AREAS for entry in area.entries if entry.key == key), key)
