"""The only ways to a row: what this person may see, said once for each table.

`visible` is for lists, `fetch` for one row by its id; a row of another organisation is not found, exactly as one that
does not exist. Permissions say which verbs a role has; this module says on which rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, Select, and_, false, or_, select, true

from app.actors import Actor, Regions
from app.errors import NotFound
from app.extensions import db
from models import (
    Account,
    AttendanceUnlock,
    AuditEvent,
    Authority,
    BillDifference,
    BulkRun,
    Certificate,
    CertificateArchive,
    Education,
    Enrolment,
    Enterprise,
    ExamPlan,
    FormerPhoto,
    ImportBatch,
    Institution,
    Invoice,
    Job,
    Merchant,
    Notice,
    Occupation,
    Order,
    Parameter,
    Payment,
    PhotoUpload,
    PlanChange,
    PlanEnterprise,
    PushBatch,
    Reconciliation,
    Refund,
    Region,
    Remark,
    ScoreCorrection,
    ScoreReport,
    SignIn,
    Sitting,
    SkillLevel,
    StoredFile,
    Teacher,
    TicketPrint,
    Title,
    TrainingPlan,
    WaitlistEntry,
    Withdrawal,
)

Clause = ColumnElement[bool]
Row = TypeVar("Row")


def in_regions(column: Any, regions: Regions) -> Clause:
    """The code in `column` is one of these regions or below one of them: GB/T 2260 tells it by the code itself."""
    if regions is None:
        return true()
    return or_(false(), *(column.startswith(_stem(code)) for code in sorted(regions)))


def _stem(code: str) -> str:
    return code[:2] if code.endswith("0000") else code[:4] if code.endswith("00") else code


def _own_authorities(actor: Actor, regions: Regions) -> Any:
    """The ids of this authority and of those below it, of them those in `regions`."""
    below = select(Authority.id).where(Authority.parent_id == actor.authority_id)
    return select(Authority.id).where(in_regions(Authority.region_code, regions), or_(
        Authority.id == actor.authority_id, Authority.parent_id == actor.authority_id, Authority.parent_id.in_(below)))


def authorities(actor: Actor) -> Clause:
    """The authorities whose subjects this person looks after: every one for who sees all, none for the other parties."""
    if actor.sees_all:
        return true()
    return Authority.id.in_(_own_authorities(actor, actor.regions)) if actor.is_authority else false()


def _by_authority(model: Any, actor: Actor) -> Clause:
    regions = actor.regions_of(model.__tablename__)
    if actor.provincial and regions is None:
        return true()
    return model.authority_id.in_(_own_authorities(actor, regions))


def _reviewed(model: Any, actor: Actor) -> Clause:
    """An authority sees its own, and what is below it. What was never submitted is the owner's alone."""
    return and_(_by_authority(model, actor), model.submitted_at.is_not(None))


def _enterprise(actor: Actor) -> Clause:
    if actor.is_authority:  # an enterprise is where it is: its authority is the whole city's, or the province's
        regions = actor.regions_of(Enterprise.__tablename__)
        return and_(_by_authority(Enterprise, replace(actor, regions=None, reach=None)), in_regions(Enterprise.region_code, regions))
    return Enterprise.id == actor.enterprise_id if actor.is_enterprise else false()


def _institution(actor: Actor) -> Clause:
    if actor.is_authority:
        return _by_authority(Institution, actor)
    return Institution.id == actor.institution_id if actor.is_institution else false()


def _teacher(actor: Actor) -> Clause:
    return Teacher.institution_id.in_(select(Institution.id).where(_institution(actor)))


def _training_plan(actor: Actor) -> Clause:
    if actor.is_authority:
        return _reviewed(TrainingPlan, actor)
    if actor.is_institution:
        return TrainingPlan.institution_id == actor.institution_id
    designated = select(PlanEnterprise.plan_id).where(PlanEnterprise.enterprise_id == actor.enterprise_id)
    return and_(TrainingPlan.review_state == "approved",
                or_(TrainingPlan.enrolment_form == "open", TrainingPlan.id.in_(designated)))


def _import_batch(actor: Actor) -> Clause:
    return ImportBatch.enterprise_id == actor.enterprise_id if actor.is_enterprise else false()


def _photo_upload(actor: Actor) -> Clause:
    return PhotoUpload.batch_id.in_(select(ImportBatch.id).where(_import_batch(actor)))


def _enrolment(actor: Actor) -> Clause:
    """Drafts are the enterprise's alone; the others see who is enrolled."""
    if actor.is_enterprise:
        return Enrolment.enterprise_id == actor.enterprise_id
    enrolled = Enrolment.state == "enrolled"
    if actor.is_institution:
        return and_(enrolled, Enrolment.institution_id == actor.institution_id)
    return and_(enrolled, _by_authority(Enrolment, actor))


def _order(actor: Actor) -> Clause:
    if actor.is_enterprise:
        return Order.enterprise_id == actor.enterprise_id
    if actor.is_institution:
        return Order.institution_id == actor.institution_id
    return Order.plan_id.in_(select(TrainingPlan.id).where(_by_authority(TrainingPlan, actor)))


def _waitlist_entry(actor: Actor) -> Clause:
    """Who waits is the enterprise's own matter, and of the institution whose plan is waited for."""
    if actor.is_enterprise:
        return WaitlistEntry.enterprise_id == actor.enterprise_id
    return WaitlistEntry.institution_id == actor.institution_id if actor.is_institution else false()


def _looking_at(actor: Actor, model: Any) -> Actor:
    """The person in the regions where they may look at this table, also for what its rows belong to."""
    return replace(actor, regions=actor.regions_of(model.__tablename__), reach=None)


def _payment(actor: Actor) -> Clause:
    """Those of the orders one may see; money of no order of ours is the province's to look after."""
    actor = _looking_at(actor, Payment)
    theirs = Payment.order_id.in_(select(Order.id).where(_order(actor)))
    everywhere = actor.is_authority and actor.provincial and actor.regions_of(Payment.__tablename__) is None
    return or_(theirs, Payment.order_id.is_(None)) if everywhere else theirs


def _merchant(actor: Actor) -> Clause:
    """The merchants of the institutions one may see; the common one is the province's to look after."""
    actor = _looking_at(actor, Merchant)
    if actor.is_authority and actor.provincial and actor.regions_of(Merchant.__tablename__) is None:
        return true()
    return Merchant.institution_id.in_(select(Institution.id).where(_institution(actor)))


def _reconciliation(actor: Actor) -> Clause:
    return Reconciliation.merchant_id.in_(select(Merchant.id).where(_merchant(actor)))


def _bill_difference(actor: Actor) -> Clause:
    return BillDifference.reconciliation_id.in_(select(Reconciliation.id).where(_reconciliation(actor)))


def _refund(actor: Actor) -> Clause:
    return Refund.payment_id.in_(select(Payment.id).where(_payment(actor)))


def _invoice(actor: Actor) -> Clause:
    if actor.is_enterprise:
        return Invoice.enterprise_id == actor.enterprise_id
    if actor.is_institution:
        return Invoice.institution_id == actor.institution_id
    return Invoice.order_id.in_(select(Order.id).where(_order(actor)))


def _attendance_unlock(actor: Actor) -> Clause:
    if actor.is_authority:
        return _by_authority(AttendanceUnlock, actor)
    return AttendanceUnlock.institution_id == actor.institution_id if actor.is_institution else false()


def _exam_plan(actor: Actor) -> Clause:
    if actor.is_authority:
        return _reviewed(ExamPlan, actor)
    if actor.is_institution:
        return ExamPlan.institution_id == actor.institution_id
    theirs = select(Sitting.exam_plan_id).join(Enrolment, Sitting.enrolment_id == Enrolment.id).where(
        Enrolment.enterprise_id == actor.enterprise_id)
    return and_(ExamPlan.review_state == "approved", ExamPlan.id.in_(theirs))


def _sitting(actor: Actor) -> Clause:
    exams = Sitting.exam_plan_id.in_(select(ExamPlan.id).where(_exam_plan(actor)))
    if not actor.is_enterprise:
        return exams
    return and_(exams, Sitting.enrolment_id.in_(select(Enrolment.id).where(_enrolment(actor))))


def _score_report(actor: Actor) -> Clause:
    if actor.is_authority:
        return _reviewed(ScoreReport, actor)
    return ScoreReport.institution_id == actor.institution_id if actor.is_institution else false()


def _score_correction(actor: Actor) -> Clause:
    if actor.is_authority:
        return _reviewed(ScoreCorrection, actor)
    return ScoreCorrection.institution_id == actor.institution_id if actor.is_institution else false()


def _certificate(actor: Actor) -> Clause:
    if actor.is_enterprise:
        return Certificate.enterprise_id == actor.enterprise_id
    if actor.is_institution:
        return Certificate.institution_id == actor.institution_id
    return _by_authority(Certificate, actor)


def _push_batch(actor: Actor) -> Clause:
    return _by_authority(PushBatch, actor) if actor.is_authority else false()


def _certificate_archive(actor: Actor) -> Clause:
    return CertificateArchive.user_id == actor.user_id


def _ticket_print(actor: Actor) -> Clause:
    return TicketPrint.user_id == actor.user_id


def _stored_file(actor: Actor) -> Clause:
    """A party's own files; the photos of people it may see; to an authority also the papers of those it reviews."""
    people = _enrolment(actor)
    photos = or_(StoredFile.id.in_(select(Enrolment.portrait_id).where(people, Enrolment.portrait_id.is_not(None))),
                 StoredFile.id.in_(select(Enrolment.id_front_id).where(people, Enrolment.id_front_id.is_not(None))),
                 StoredFile.id.in_(select(FormerPhoto.file_id).where(
                     FormerPhoto.enrolment_id.in_(select(Enrolment.id).where(people)))))
    if actor.is_enterprise:
        return StoredFile.enterprise_id == actor.enterprise_id
    if actor.is_institution:
        return or_(StoredFile.institution_id == actor.institution_id, photos)
    papers = ("licence", "commitment", "qualification")
    of_enterprises = and_(StoredFile.kind.in_(papers),
                          StoredFile.enterprise_id.in_(select(Enterprise.id).where(_enterprise(actor))))
    of_institutions = and_(StoredFile.kind.in_(papers),
                           StoredFile.institution_id.in_(select(Institution.id).where(_institution(actor))))
    return or_(StoredFile.authority_id == actor.authority_id, of_enterprises, of_institutions, photos)


def _job(actor: Actor) -> Clause:
    if actor.is_enterprise:
        return Job.enterprise_id == actor.enterprise_id
    if actor.is_institution:
        return Job.institution_id == actor.institution_id
    return Job.authority_id == actor.authority_id


# What a notice is about that only people who may look at the table of that name are told of, among those of an authority.
TOLD_TO_WHO_LOOKS = ("refund", "reconciliation")


def _notice(actor: Actor) -> Clause:
    """What this very organisation was told: an authority's notices are not those of the authority above it."""
    if actor.is_enterprise:
        return Notice.enterprise_id == actor.enterprise_id
    if actor.is_institution:
        return Notice.institution_id == actor.institution_id
    told = Notice.authority_id == actor.authority_id
    kept = [kind for kind in TOLD_TO_WHO_LOOKS if actor.regions_of(kind) == frozenset()]
    return and_(told, Notice.subject_kind.not_in(kept)) if kept else told


def _account(actor: Actor) -> Clause:
    own = Account.user_id == actor.user_id
    if not actor.is_authority:
        return own
    theirs = select(Institution.id).where(_institution(actor))
    return or_(own, Account.authority_id == actor.authority_id, Account.institution_id.in_(theirs))


def _sign_in(actor: Actor) -> Clause:
    return SignIn.account_id == actor.user_id


def _bulk_run(actor: Actor) -> Clause:
    return BulkRun.authority_id == actor.authority_id if actor.is_authority else false()


def _plan_change(actor: Actor) -> Clause:
    if actor.is_authority:
        return PlanChange.plan_id.in_(select(TrainingPlan.id).where(_training_plan(actor)))
    return PlanChange.institution_id == actor.institution_id if actor.is_institution else false()


def _withdrawal(actor: Actor) -> Clause:
    if actor.is_enterprise:
        return Withdrawal.enterprise_id == actor.enterprise_id
    return Withdrawal.institution_id == actor.institution_id if actor.is_institution else false()


def _everyone(_actor: Actor) -> Clause:
    return true()


def _nobody(_actor: Actor) -> Clause:
    return false()


RULES: dict[type[Any], Callable[[Actor], Clause]] = {
    Enterprise: _enterprise, Institution: _institution, Teacher: _teacher, TrainingPlan: _training_plan,
    ImportBatch: _import_batch, PhotoUpload: _photo_upload, Enrolment: _enrolment, Order: _order,
    WaitlistEntry: _waitlist_entry, Payment: _payment, Refund: _refund, Merchant: _merchant,
    Reconciliation: _reconciliation, BillDifference: _bill_difference, Invoice: _invoice,
    AttendanceUnlock: _attendance_unlock, ExamPlan: _exam_plan, Sitting: _sitting, ScoreReport: _score_report,
    ScoreCorrection: _score_correction, Certificate: _certificate,
    PlanChange: _plan_change, Withdrawal: _withdrawal,
    PushBatch: _push_batch, CertificateArchive: _certificate_archive, TicketPrint: _ticket_print,
    StoredFile: _stored_file, Job: _job, BulkRun: _bulk_run, Notice: _notice, Account: _account, SignIn: _sign_in, AuditEvent: _nobody,
    Authority: _everyone, Region: _everyone, Occupation: _everyone, SkillLevel: _everyone, Title: _everyone,
    Education: _everyone, Parameter: _everyone, Remark: _everyone,
}


def visible_clause(actor: Actor, model: type[Any]) -> Clause:
    """The condition under which a row of `model` may be seen. A table without a rule is seen by nobody."""
    if actor.sees_all:
        return true()
    if actor.party not in ("authority", "institution", "enterprise"):
        return false()
    return RULES.get(model, _nobody)(actor)


def orders_of_money(actor: Actor) -> Clause:
    """The orders whose money a person may look at, paid or not: where they look at payments, however far they see plans."""
    return visible_clause(actor if actor.sees_all else _looking_at(actor, Payment), Order)


def visible(actor: Actor, model: type[Row]) -> Select[Row]:
    """A SELECT of the rows this person may see; refine it with where, order_by and options."""
    return select(model).where(visible_clause(actor, model))


def sees(actor: Actor, row: Any) -> bool:
    """Whether a row that is there already is this person's to see."""
    model = type(row)
    return db.session.scalar(select(model.id).where(visible_clause(actor, model), model.id == row.id)) is not None


def fetch(actor: Actor, model: type[Row], key: Any, *options: Any) -> Row:
    """One row by its primary key, or `NotFound` when it does not exist or is not this person's to see."""
    primary = next(iter(model.__table__.primary_key))  # type: ignore[attr-defined]
    row = db.session.scalars(visible(actor, model).where(primary == key).options(*options)).unique().one_or_none()
    if row is None:
        raise NotFound(_("没有找到这条记录，或您无权查看。"))
    return row


def fetch_many(actor: Actor, model: type[Row], keys: Iterable[Any], *options: Any) -> list[Row]:
    """The rows of these keys that this person may see, in no particular order. The others are silently not there."""
    primary = next(iter(model.__table__.primary_key))  # type: ignore[attr-defined]
    return list(db.session.scalars(visible(actor, model).where(primary.in_(list(keys))).options(*options)).unique())
