"""THE table of notices: what happens, who is told, in which words, and where the words lead.

One line in `NOTICES` makes a notice: the portal lists it, the settings offer it by SMS (where a template is set), and the hook is
`workflow.take_steps` for a step of the review, or one call of `tell` in the operation (docs/notices.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import case, delete, exists, func, insert, literal, select, update
from sqlalchemy.orm import Session

from app import clock
from app.extensions import db
from app.sets import among
from models import Account, ExamPlan, Notice, NoticeRead, NoticeReader, ScoreCorrection, ScoreReport

# How many are named where a notice is about several.
NAMED = 3


@dataclass(frozen=True)
class Line:
    """One kind of event. `to` are the parties told: for a step of the review its "owner" or its "reviewer", else those of
    `tell`. `words` are filled with `what` it is about and the `remark` told along, or the same
    as a sentence (`ended`); `label` names it among the settings."""

    to: tuple[str, ...]
    label: Any
    words: Any
    tone: str = "info"
    # Where it is only for who may look at rows of this table, among the people of an authority (`scope.TOLD_TO_WHO_LOOKS`).
    table: str = ""
    # Told of one after another, and yet one notice of all, until somebody has read it (`gather`).
    gathers: bool = False


NOTICES: dict[str, Line] = {
    "submit": Line(("reviewer",), _l("有新的申报待受理"), _l("%(what)s已提交，等待受理。")),
    "reopen": Line(("reviewer",), _l("企业信息变更后重新报审"), _l("%(what)s有变更，已重新报审，等待受理。")),
    "change": Line(("reviewer",), _l("机构申请变更备案"), _l("%(what)s正在变更，提交后再受理；原备案继续有效。"), "neutral"),
    "withdraw": Line(("reviewer",), _l("申报被撤回"), _l("%(what)s已由申报单位撤回。"), "neutral"),
    "accept": Line(("owner",), _l("申报已受理"), _l("%(what)s已受理，正在审核。")),
    "approve": Line(("owner",), _l("已审核通过"), _l("%(what)s已审核通过。"), "ok"),
    "reject": Line(("owner",), _l("审核未通过"), _l("%(what)s未通过审核，请修改后重新提交。"), "bad"),
    "order_paid": Line(("enterprise", "institution"), _l("订单已支付"), _l("%(what)s已支付，人员已报名。"), "ok"),
    "order_expired": Line(("enterprise",), _l("订单已过期"), _l("%(what)s未在时限内支付，已过期，名额已释放。"), "warn"),
    "order_closed": Line(("enterprise",), _l("订单因开班截止"), _l("%(what)s未支付，培训班已开班，报名截止，订单已关闭。"), "warn"),
    "refunded": Line(("enterprise",), _l("退款完成"), _l("%(what)s的付款 %(remark)s 已原路退回。"), "warn"),
    "refund_failed": Line(("authority",), _l("退款未成功"), _l("%(what)s的退款 %(remark)s 未成功，支付平台没有受理，请到财务办理。"), "bad",
                          "refund"),
    "bill_differs": Line(("authority",), _l("对账有差异"), _l("%(what)s有新的差异 %(remark)s 项，请核对。"), "bad", "reconciliation"),
    "resize_asked": Line(("authority",), _l("名额调整待审批"), _l("%(what)s申请调整名额，等待审批。")),
    "cancel_asked": Line(("authority",), _l("计划取消待审批"), _l("%(what)s申请取消，等待审批。"), "warn"),
    "plan_resized": Line(("authority",), _l("机构自行调整名额"), _l("%(what)s的名额已由培训机构调整：%(remark)s。"), "neutral"),
    "resize_granted": Line(("institution",), _l("名额调整已同意"), _l("%(what)s的名额调整已同意并生效。"), "ok"),
    "resize_refused": Line(("institution",), _l("名额调整未同意"), _l("%(what)s的名额调整未获同意：%(remark)s"), "bad"),
    "cancel_granted": Line(("institution",), _l("计划取消已同意"), _l("%(what)s的取消已同意并生效。"), "ok"),
    "cancel_refused": Line(("institution",), _l("计划取消未同意"), _l("%(what)s的取消未获同意：%(remark)s"), "bad"),
    "plan_cancelled": Line(("enterprise",), _l("培训计划已取消"), _l("%(what)s已取消：%(ended)s 已支付的款项原路退回。"), "bad"),
    "plan_cancelled_unpaid": Line(("enterprise",), _l("培训计划已取消（未付款）"),
                                  _l("%(what)s已取消，报名和订单随之取消：%(remark)s"), "bad"),
    "withdrawal_asked": Line(("institution",), _l("退班申请待办理"), _l("%(what)s申请从“%(remark)s”退班，等待办理。")),
    "withdrawal_granted": Line(("enterprise", "institution"), _l("退班已办理"), _l("%(what)s已从“%(remark)s”退班，名额已释放。"), "warn"),
    "withdrawal_refused": Line(("enterprise",), _l("退班申请未同意"), _l("%(what)s从“%(remark)s”退班的申请未获同意。"), "bad"),
    "carried_over": Line(
        ("enterprise",), _l("缺勤人员转入新计划"), _l("%(what)s此前缺勤，已由培训机构转入“%(remark)s”继续培训，无需再次缴费。"), "ok"),
    "carry_over_undone": Line(
        ("enterprise",), _l("缺勤转入已撤销"), _l("%(what)s转入“%(remark)s”已撤销，恢复为缺勤，可以再次转入。"), "warn"),
    "invoice_issued": Line(("enterprise",), _l("发票已开具"), _l("%(what)s的发票已开具，可以下载。"), "ok"),
    "unlock_asked": Line(("authority",), _l("申请解锁考勤"), _l("%(what)s申请解锁，请办理。")),
    "unlock_granted": Line(("institution",), _l("考勤已解锁"), _l("%(what)s已由主管部门解锁，请修改后重新确认。"), "ok"),
    "unlock_refused": Line(("institution",), _l("不同意解锁考勤"), _l("%(what)s的解锁申请未获同意：%(remark)s"), "bad"),
    "person_mismatch": Line(("enterprise",), _l("报名信息与照片不相符"), _l("%(what)s与照片不相符，请在开班前更正：%(remark)s"), "bad",
                            gathers=True),
    "person_corrected": Line(("institution",), _l("报名信息已更正"), _l("%(what)s已由企业更正，请复核。"), gathers=True),
    "certificate_revoked": Line(("enterprise", "institution"), _l("证书被撤销"), _l("%(what)s已被撤销：%(remark)s"), "bad"),
    "certificate_replaced": Line(("enterprise", "institution"), _l("证书已换发"), _l("%(what)s已换发，原证书不再有效：%(remark)s"), "warn"),
    "certificates_issued": Line(("enterprise", "institution"), _l("证书已生成"), _l("%(what)s已生成。"), "ok"),
    "seats_offered": Line(("enterprise",), _l("候补到名额"),
                          _l("%(what)s有名额为贵单位保留，请在 %(remark)s 前生成订单，逾期让给下一家。"), "ok"),
    "offer_lapsed": Line(("enterprise",), _l("候补名额逾期"),
                         _l("%(what)s为贵单位保留的名额逾期未用，已释放。如仍需要：尚有名额的可直接报名，没有的可重新候补。"), "warn"),
    "waitlist_closed": Line(("enterprise",), _l("候补结束"), _l("%(what)s的报名已结束，候补随之结束。"), "neutral"),
    "invoice_failed": Line(("enterprise", "institution"), _l("发票开具失败"), _l("%(what)s的发票开具失败：%(remark)s"), "bad"),
    "red_letter_due": Line(("institution",), _l("红字发票待上传"),
                           _l("%(what)s的退款 %(remark)s 需要红字发票：原发票是手工上传的，请在原开票系统开具后上传。"), "warn"),
    "invoice_reversed": Line(("enterprise",), _l("红字发票已开具"), _l("%(what)s的退款 %(remark)s 已开具红字发票，可以下载。"), "warn"),
}


@dataclass(frozen=True)
class Thing:
    """What a notice may be about: one by name, several by number, and for each party the page of one (endpoint, argument,
    attribute that fills it; no argument for a party's own page) and of the list."""

    one: Any
    many: Any
    pages: Mapping[str, tuple[str, str, str]]
    lists: Mapping[str, tuple[str, Mapping[str, str]]]
    # Several are told with the first of their names: people, whom one would look for.
    named: bool = False


_ALL = {"state": "all"}
THINGS: dict[str, Thing] = {
    "enterprise": Thing(
        _l("企业“%(name)s”的注册"), _l("%(n)s 家企业的注册"),
        {"authority": ("EnterpriseReviewView.show", "subject_id", "id"), "enterprise": ("EnterpriseView.show", "", "")},
        {"authority": ("EnterpriseReviewView.list", _ALL)}),
    "institution": Thing(
        _l("机构“%(name)s”的备案"), _l("%(n)s 家机构的备案"),
        {"authority": ("InstitutionView.show", "subject_id", "id"), "institution": ("FilingView.show", "", "")},
        {"authority": ("InstitutionView.list", _ALL)}),
    "training_plan": Thing(
        _l("培训计划“%(name)s”"), _l("%(n)s 个培训计划"),
        {"authority": ("PlanReviewView.show", "subject_id", "id"), "institution": ("PlanView.show", "plan_id", "id"),
         "enterprise": ("EnrolView.plan", "plan_id", "id")},
        {"authority": ("PlanReviewView.list", _ALL), "institution": ("PlanView.list", {}), "enterprise": ("EnrolView.list", {})}),
    "exam_plan": Thing(
        _l("考核计划“%(name)s”"), _l("%(n)s 个考核计划"),
        {"authority": ("ExamReviewView.show", "subject_id", "id"), "institution": ("ExamView.show", "exam_id", "id")},
        {"authority": ("ExamReviewView.list", _ALL), "institution": ("ExamView.list", {})}),
    "score_report": Thing(
        _l("“%(name)s”的成绩"), _l("%(n)s 份成绩"),
        {"authority": ("ScoreReviewView.show", "subject_id", "id"), "institution": ("ScoreView.show", "exam_id", "exam_plan_id")},
        {"authority": ("ScoreReviewView.list", _ALL), "institution": ("ScoreView.list", {})}),
    "score_correction": Thing(
        _l("“%(name)s”的成绩更正"), _l("%(n)s 份成绩更正"),
        {"authority": ("ScoreCorrectionReviewView.show", "subject_id", "id"),
         "institution": ("ScoreCorrectionView.show", "exam_id", "exam_plan_id")},
        {"authority": ("ScoreCorrectionReviewView.list", _ALL), "institution": ("ScoreView.list", {})}),
    "order": Thing(
        _l("订单“%(name)s”"), _l("%(n)s 个订单"),
        {"enterprise": ("OrderView.show", "order_id", "id"), "institution": ("OrderView.show", "order_id", "id")},
        {"enterprise": ("OrderView.list", {}), "institution": ("OrderView.list", {})}),
    "invoice": Thing(
        _l("订单“%(name)s”"), _l("%(n)s 个订单"), {"institution": ("InvoiceView.show", "invoice_id", "id")},
        {"institution": ("InvoiceView.list", {"state": "to_upload"})}),
    "plan_change": Thing(
        _l("培训计划“%(name)s”"), _l("%(n)s 个培训计划"),
        {"authority": ("PlanChangeReviewView.show", "change_id", "id"), "institution": ("PlanChangeView.show", "change_id", "id")},
        {"authority": ("PlanChangeReviewView.list", {}), "institution": ("PlanChangeView.list", {})}),
    "refund": Thing(
        _l("订单“%(name)s”"), _l("%(n)s 笔退款"), {"authority": ("FinanceView.show", "payment_id", "payment_id")},
        {"authority": ("FinanceView.refunds", {"state": "failed"})}),
    "reconciliation": Thing(
        _l("“%(name)s”的对账"), _l("%(n)s 天的对账"), {"authority": ("BillView.show", "reconciliation_id", "id")},
        {"authority": ("BillView.list", {"state": "open"})}),
    "withdrawal": Thing(
        _l("人员“%(name)s”"), _l("%(n)s 名人员"),
        {"enterprise": ("WithdrawalView.list", "", ""), "institution": ("WithdrawalView.list", "", "")},
        {"enterprise": ("WithdrawalView.list", {}), "institution": ("WithdrawalView.list", {})}),
    "enrolment": Thing(
        _l("人员“%(name)s”"), _l("%(n)s 名人员"),
        {"enterprise": ("PeopleView.show", "enrolment_id", "id"), "institution": ("PeopleView.show", "enrolment_id", "id")},
        {"enterprise": ("PeopleView.list", {}), "institution": ("PeopleView.list", {})}, named=True),
    "attendance_unlock": Thing(
        _l("“%(name)s”的考勤"), _l("%(n)s 个班的考勤"),
        {"authority": ("AttendanceUnlockView.show", "unlock_id", "id"), "institution": ("AttendanceView.show", "plan_id", "plan_id")}, {}),
    "person": Thing(
        _l("“%(name)s”的报名信息"), _l("%(n)s 人的报名信息"),
        {"enterprise": ("CorrectionView.show", "enrolment_id", "id"), "institution": ("CheckView.show", "enrolment_id", "id")},
        {"enterprise": ("CorrectionView.list", {}), "institution": ("CheckView.list", {})}, named=True),
    "certificate": Thing(
        _l("证书“%(name)s”"), _l("%(n)s 张证书"),
        {"enterprise": ("CertificateView.show", "certificate_id", "id"), "institution": ("CertificateView.show", "certificate_id", "id")},
        {"enterprise": ("CertificateView.list", {}), "institution": ("CertificateView.list", {})}),
}


def offered_to(party: str) -> list[str]:
    """The events that people of a party may be told of."""
    owner = ("owner" if party != "authority" else "reviewer", party)
    return [event for event, line in NOTICES.items() if set(owner) & set(line.to)]


def what(kind: str, count: int, name: str) -> str:
    """What a notice is about: by its name, or how many; several of different kinds are counted as matters."""
    if kind not in THINGS:
        return _("%(n)s 项", n=f"{count:,}")
    return str(THINGS[kind].one) % {"name": name} if count == 1 else str(THINGS[kind].many) % {"n": f"{count:,}"}


def ended(text: str) -> str:
    """What a person wrote, as a sentence that another may follow."""
    return text if not text or text[-1] in "。！？；…．.!?;" else text + ("." if text[-1].isascii() else "。")


def sentence(notice: Notice) -> str:
    """The notice in the reader's language."""
    about = what(notice.subject_kind, notice.count, notice.name)
    if notice.count > 1 and notice.name and THINGS[notice.subject_kind].named:
        about = _("%(several)s（%(names)s）", several=about, names=notice.name)
    return str(NOTICES[notice.event].words) % {"what": about, "remark": notice.remark, "ended": ended(notice.remark)}


def party_of(notice: Notice) -> str:
    """The kind of organisation a notice was told to."""
    if notice.authority_id is not None:
        return "authority"
    return "institution" if notice.institution_id is not None else "enterprise"


def tell(event: str, kind: str, *, ids: Sequence[int], name: str = "", remark: str = "",
         **organisations: int | None) -> None:
    """Tell an event in the current transaction. `ids` are the rows it is about, all of one `kind`; `organisations` are given
    as the columns of those of the line's parties (`enterprise_id=...`)."""
    rows = [_row(event, kind, f"{party}_id", organisation, ids, name if len(ids) == 1 else "", remark)
            for party in NOTICES[event].to if (organisation := organisations.get(f"{party}_id")) is not None and ids]
    if rows:
        db.session.execute(insert(Notice), rows)


def tell_each(event: str, kind: str, rows: Sequence[Any], *, name: str, remark: str = "") -> None:
    """Tell one event of many rows: each organisation once, with how many of them are its own and the first of their names.
    `name` is the attribute by which a row is called."""
    for party in NOTICES[event].to:
        theirs: dict[int, list[Any]] = {}
        for row in rows:
            theirs.setdefault(getattr(row, f"{party}_id"), []).append(row)
        values = [_row(event, kind, f"{party}_id", organisation, [each.id for each in own], names_of([getattr(each, name) for each in own]),
                       remark) for organisation, own in theirs.items()]
        if values:
            db.session.execute(insert(Notice), values)


def gather(event: str, kind: str, those: Callable[[datetime], Sequence[tuple[int, str, str]]], *, at: datetime,
           **organisation: int) -> None:
    """Tell an event that comes in one by one, such as a hundred people found wrong in an afternoon, as one notice to one
    organisation: as long as nobody there has read it, it grows. `at` is the moment the row of this event was given; `those`
    answers (id, name, remark) of every row of which the event is still true and that was given a later moment than the one asked for.
    """
    (column, key), = organisation.items()
    told = getattr(Notice, column) == key
    marks = select(func.max(NoticeReader.read_through)).join(Account, Account.user_id == NoticeReader.user_id).where(
        getattr(Account, column) == key).scalar_subquery()
    read = (Notice.id <= func.coalesce(marks, 0)) | exists().where(NoticeRead.notice_id == Notice.id)
    since = db.session.scalar(select(func.max(Notice.at)).where(told, Notice.event == event, read)) or datetime.min.replace(tzinfo=UTC)
    # Locked before anyone is counted: of two that come at once the second counts the first.
    unread = list(db.session.scalars(select(Notice.id).where(told, Notice.event == event, ~read, Notice.at > since)
                                     .order_by(Notice.id).with_for_update()))
    found = those(since)
    remark = "；".join(dict.fromkeys(part for _id, _name, remark in found for part in remark.split("；")))
    values = _row(event, kind, column, key, [row_id for row_id, _name, _remark in found], names_of([name for _id, name, _remark in found]),
                  remark if len(remark) <= 200 else f"{remark[:199]}…")
    values["at"] = at
    if unread:
        db.session.execute(update(Notice).where(Notice.id == unread.pop()).values(**values).execution_options(synchronize_session=False))
    else:
        db.session.execute(insert(Notice), [values])
    if unread:
        db.session.execute(delete(Notice).where(Notice.id.in_(unread)).execution_options(synchronize_session=False))


def names_of(names: Sequence[str]) -> str:
    """One name, or the first of several: 王一、王二、王三等."""
    few = "、".join(names[:NAMED])
    return _("%(names)s等", names=few) if len(names) > NAMED else few


def tell_steps(session: Session, kind: str, model: type[Any], step: str, ids: list[int], owner: str, remark: str) -> None:
    """Tell a step of the review: one notice for each organisation concerned, by name where one subject of it moved, else by
    number; one statement, however many moved."""
    line = NOTICES.get(step)
    if line is None or not ids:
        return
    column = "authority_id" if "reviewer" in line.to else f"{owner}_id"
    organisation = getattr(model, column, model.id)
    # A score report is called by its exam, and so is a correction.
    of_exam = model in (ScoreReport, ScoreCorrection)
    name = ExamPlan.name if of_exam else model.name
    alone = func.count() == 1
    values = {"event": literal(step), "subject_kind": literal(kind), "subject_id": case((alone, func.min(model.id))),
              "count": func.count(), "name": case((alone, func.min(name)), else_=""), "remark": literal(remark),
              "at": literal(clock.now(), Notice.at.type), "texted": literal(False), column: organisation}
    rows = select(*values.values()).where(among(model.id, ids)).group_by(organisation)
    if of_exam:
        rows = rows.join(ExamPlan, model.exam_plan_id == ExamPlan.id)
    session.execute(insert(Notice).from_select(list(values), rows, include_defaults=False))


def _row(event: str, kind: str, column: str, organisation: int, ids: Sequence[int], name: str, remark: str) -> dict[str, Any]:
    single = len(ids) == 1
    return {"authority_id": None, "institution_id": None, "enterprise_id": None, column: organisation, "event": event,
            "subject_kind": kind, "subject_id": ids[0] if single else None, "count": len(ids), "name": name[:200],
            "remark": remark, "at": clock.now(), "texted": False}
