"""Revoking and replacing a certificate, by one person or by two; its history (B6).

A replacement is a certificate of its own with a number of its own, and names the one it replaces: a number that was handed out
says the same for ever. What was revoked or replaced stays findable as that, and the ministry is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import case, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import audit, clock, notices, parameters, workflow
from app.actors import Actor
from app.crypto import blind
from app.documents.fonts import codes, missing_glyphs
from app.errors import Conflict, Forbidden, Invalid
from app.extensions import db, transaction
from app.identifiers import IdentifierError, parse_id_number
from app.operations.numbering import parse_pattern, take_serials
from app.operations.push import happened
from models import Certificate, CertificateChange, CertificateEvent

CAUSES: dict[str, Any] = {"lost": _l("遗失补证"), "damaged": _l("损坏换证"), "corrected": _l("信息有误换证")}
KINDS: dict[str, Any] = {"revoke": _l("撤销"), "replace": _l("换发")}
MOST_REASON = 200


@dataclass(frozen=True)
class Wish:
    """What is asked for. `cause`, `name` and `id_number` are for a replacement; "" leaves name and number as they are."""

    kind: str
    reason: str
    cause: str = ""
    name: str = ""
    id_number: str = ""


def ask(certificate: Certificate, wish: Wish, *, actor: Actor) -> CertificateChange:
    """Ask to revoke or replace a certificate. Done at once, unless two people must act: then it waits for the second.

    Raises `Invalid` at the field that is wrong, `Forbidden` to another authority, `Conflict` where it has ended or a wish waits already.
    """
    _check_authority(certificate, actor)
    wish = _checked(certificate, wish)
    try:
        with transaction() as session:
            if certificate.state != "valid":
                raise _over(certificate)
            change = CertificateChange(
                certificate_id=certificate.id, kind=wish.kind, cause=wish.cause, reason=wish.reason, name=wish.name,
                id_number=wish.id_number or None, state="asked", asked_by_id=actor.user_id or 0, asked_by_name=actor.name,
                asked_at=clock.now())
            session.add(change)
            session.flush()
            audit.record(actor, f"ask_{wish.kind}_certificate", certificate, {"number": certificate.number, "reason": wish.reason})
            if not workflow.two_people():
                _carry_out(session, change, certificate, actor, "")
            else:
                happened([certificate.id], f"ask_{wish.kind}", wish.reason, actor.name)
    except IntegrityError:
        raise _waiting(certificate) from None
    return change


def check_open(certificate: Certificate, *, actor: Actor) -> None:
    """Whether a revocation or replacement may be asked for now. Raises `Forbidden` or `Conflict`, as `ask` would."""
    _check_authority(certificate, actor)
    if certificate.state != "valid":
        raise _over(certificate)
    if waiting_change(certificate) is not None:
        raise _waiting(certificate)


def decide(certificate: Certificate, agree: bool, remark: str, *, actor: Actor) -> CertificateChange:
    """The second person's word on what was asked for. Raises `Conflict` where nothing waits, or the person asked for it; `Invalid`
    without a remark for a refusal."""
    _check_authority(certificate, actor)
    remark = remark.strip()
    if not agree and not remark:
        raise Invalid(_("请填写退回的原因。"), "remark")
    if len(remark) > MOST_REASON:
        raise Invalid(_("最多 %(n)s 个字。", n=MOST_REASON), "remark")
    with transaction() as session:
        change = waiting_change(certificate)
        if change is None:
            raise Conflict(_("证书 %(number)s 没有待复核的申请。", number=certificate.number))
        if change.asked_by_id == actor.user_id and (agree or workflow.two_people()):
            raise Conflict(_("由您提出的申请须由另一人复核。"))
        if agree:
            _carry_out(session, change, certificate, actor, remark)
        else:
            _end(change, "refused", actor, remark)
            happened([certificate.id], "refuse", remark, actor.name)
            audit.record(actor, "refuse_certificate_change", certificate, {"number": certificate.number, "reason": remark})
    return change


def waiting_change(certificate: Certificate) -> CertificateChange | None:
    """What was asked for this certificate and not decided yet."""
    return db.session.scalars(select(CertificateChange).where(
        CertificateChange.certificate_id == certificate.id, CertificateChange.state == "asked")).first()


def _check_authority(certificate: Certificate, actor: Actor) -> None:
    if actor.authority_id != certificate.authority_id:
        raise Forbidden(_("只有发证的主管部门可以撤销或换发。"))


def _over(certificate: Certificate) -> Conflict:
    return Conflict(_("证书 %(number)s 已不是有效状态，不能再撤销或换发。", number=certificate.number))


def _waiting(certificate: Certificate) -> Conflict:
    return Conflict(_("证书 %(number)s 已有待复核的申请，请先处理。", number=certificate.number))


def _checked(certificate: Certificate, wish: Wish) -> Wish:
    """The wish, cleaned: name and number only where they differ."""
    reason, name, number = wish.reason.strip(), wish.name.strip(), wish.id_number.strip().upper()
    if not 2 <= len(reason) <= MOST_REASON:
        raise Invalid(_("请填写原因，2 到 %(n)s 个字。", n=MOST_REASON), "reason")
    if wish.kind == "revoke":
        return Wish("revoke", reason)
    if wish.cause not in CAUSES:
        raise Invalid(_("请选择换发的情形。"), "cause")
    name = "" if name == certificate.name else name
    number = "" if number == certificate.id_number else number
    if wish.cause != "corrected":
        return Wish("replace", reason, wish.cause)
    if not name and not number:
        raise Invalid(_("请填写更正后的姓名或身份证号。"), "name")
    if len(name) > 50 or any(sign.isdigit() or sign.isspace() for sign in name):
        raise Invalid(_("姓名不能含数字和空格，最多 50 个字。"), "name")
    if lacking := missing_glyphs(name):
        raise Invalid(_("字库里没有姓名中的 %(codes)s，证书打印不了。请联系系统管理员，安装含这个字的字体后再换发。",
                        codes=codes(lacking)), "name")
    if number:
        try:
            parse_id_number(number, clock.shanghai_day())
        except IdentifierError:
            raise Invalid(_("身份证号不正确，请核对 18 位号码。"), "id_number") from None
    return Wish("replace", reason, wish.cause, name, number)


def _end(change: CertificateChange, state: str, actor: Actor, remark: str) -> None:
    if not workflow.move(CertificateChange, [change.id], "state", workflow.CERTIFICATE_CHANGE_MOVES, "asked", state, ended_at=clock.now(),
                         ended_by_id=actor.user_id or 0, ended_by_name=actor.name, remark=remark):
        raise Conflict(_("这项申请刚刚已被处理，请刷新页面查看。"))


def _carry_out(session: Session, change: CertificateChange, certificate: Certificate, actor: Actor, remark: str) -> None:
    """End the certificate, and issue the one that takes its place."""
    _end(change, "done", actor, remark)
    target = "revoked" if change.kind == "revoke" else "replaced"
    if not workflow.move(Certificate, [certificate.id], "state", workflow.CERTIFICATE_MOVES, "valid", target, ended_at=clock.now(),
                         end_reason=change.reason):
        raise _over(certificate)
    tell_ministry(session, [certificate.id])
    facts = {"number": certificate.number, "reason": change.reason}
    if change.kind == "replace":
        fresh = _replacement(session, certificate, change)
        facts["value"] = fresh.number
        happened([fresh.id], "replaces", certificate.number, actor.name)
        happened([certificate.id], target, fresh.number, actor.name)
    else:
        happened([certificate.id], target, change.reason, actor.name)
    audit.record(actor, f"{change.kind}_certificate", certificate, facts)
    notices.tell(f"certificate_{target}", "certificate", ids=[certificate.id], name=certificate.number, remark=change.reason,
                 enterprise_id=certificate.enterprise_id, institution_id=certificate.institution_id)


def end_unearned(certificates: Sequence[Certificate], reason: str, *, actor: Actor) -> None:
    """Revoke the certificates of people whose corrected marks no longer pass, in the transaction of the approval. A wish that
    waits for one of them is answered. Those who pass after all are given another (`certificates.lacks_certificate`).

    Raises `Conflict` when one of them has ended meanwhile: what the reviewer saw is no longer so.
    """
    ids = [each.id for each in certificates]
    moved = workflow.move(Certificate, ids, "state", workflow.CERTIFICATE_MOVES, "valid", "revoked", ended_at=clock.now(),
                          end_reason=reason)
    if len(moved) != len(ids):
        raise Conflict(_("这次更正涉及的证书刚刚发生变化，请刷新页面后再审核。"))
    for certificate in certificates:
        change = waiting_change(certificate)
        if change is not None:
            _end(change, "refused", actor, reason)
            happened([certificate.id], "refuse", reason, actor.name)
        audit.record(actor, "revoke_certificate", certificate, {"number": certificate.number, "reason": reason})
    notices.tell_each("certificate_revoked", "certificate", certificates, name="number", remark=reason)
    happened(ids, "unearned", reason, actor.name)
    if ids:
        tell_ministry(db.session(), ids)


def tell_ministry(session: Session, ids: Sequence[int]) -> None:
    """Have what changed pushed again. One that is in a file waits for the word on that file; then it is seen that it has changed."""
    session.execute(
        update(Certificate).where(Certificate.id.in_(ids), Certificate.push_state != "exported")
        .values(push_due_at=clock.now(), push_attempts=0, push_error="",
                push_state=case((Certificate.push_state.in_(("pushed", "failed")), "waiting"), else_=Certificate.push_state))
        .execution_options(synchronize_session=False))


def _replacement(session: Session, old: Certificate, change: CertificateChange) -> Certificate:
    """The certificate that takes the place of another, under the next number of today's pattern."""
    pattern, today, number = parse_pattern(parameters.text("certificate_number")), clock.shanghai_day(), change.id_number or old.id_number
    prefix = pattern.prefix(prov=old.authority.region_code[:2], year=today.year, occ=old.occupation.code, level=old.level.code)
    sex = parse_id_number(number, today).sex if change.id_number else old.sex
    same = ("enrolment_id", "sitting_id", "institution_id", "enterprise_id", "authority_id", "occupation_id", "level_id",
            "occupation_name", "level_name", "institution_name")
    fresh = Certificate(
        **{name: getattr(old, name) for name in same}, number=pattern.number(prefix, take_serials(session, pattern, prefix, 1).start),
        name=change.name or old.name, id_number=number, id_number_index=blind(number, "id_number"), sex=sex, issued_on=today, state="valid",
        replaces_id=old.id, push_state="waiting", push_due_at=clock.now(), created_at=clock.now())
    session.add(fresh)
    session.flush()
    return fresh


@dataclass(frozen=True)
class Past:
    """One thing that happened to a certificate."""

    at: datetime
    kind: str
    by: str
    detail: str


EVENT_WORDS: dict[str, tuple[Any, str]] = {
    "issued": (_l("证书已生成"), "ok"), "pushed": (_l("已推送到部里"), "ok"), "failed": (_l("推送失败"), "bad"),
    "again": (_l("重新推送"), ""),
    "exported": (_l("已导出，待上传部里"), ""), "discarded": (_l("导出批次作废，重新等待推送"), ""), "ask_revoke": (_l("申请撤销"), ""),
    "ask_replace": (_l("申请换发"), ""), "refuse": (_l("申请退回"), ""), "revoked": (_l("已撤销"), "bad"),
    "replaced": (_l("已换发"), "bad"),
    "replaces": (_l("换发自"), "ok"), "unearned": (_l("成绩更正，证书撤销"), "bad"),
    "follows": (_l("此前的证书已撤销，重新合格后生成"), "ok"), "followed": (_l("重新合格，已另发证书"), ""),
}
STATUS_WORDS: dict[str, Any] = {"valid": _l("有效"), "revoked": _l("已撤销"), "replaced": _l("已换发")}


def history(certificate: Certificate, *, asked: bool = True) -> list[Past]:
    """Everything that happened to a certificate, oldest first; without `asked` not what was only asked for, which is between the
    people of its authority. What its own row tells is not written twice."""
    rows = db.session.scalars(select(CertificateEvent).where(CertificateEvent.certificate_id == certificate.id)
                              .order_by(CertificateEvent.id))
    return [Past(certificate.created_at, "issued", "", certificate.number),
            *(Past(row.at, row.kind, row.actor_name, str(STATUS_WORDS.get(row.detail, row.detail))) for row in rows
              if asked or row.kind not in ("ask_revoke", "ask_replace", "refuse"))]
