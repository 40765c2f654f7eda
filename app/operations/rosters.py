"""Rosters: taking in a workbook of workers, all rows or none (E12, E13, C5).

The upload only keeps the file and asks for a job; the job checks every row, and then writes either all drafts in one
transaction, or the list of faults with the person's own workbook marked.
"""

from __future__ import annotations

from collections.abc import Callable

from flask_babel import gettext as _
from sqlalchemy import delete, insert, select

from app import audit, clock, files, jobs, workflow
from app.actors import Actor
from app.crypto import vault
from app.documents import roster
from app.documents.faults import DocumentFault
from app.documents.workbooks import Fault, mark_faults
from app.errors import Conflict, Forbidden, Invalid
from app.extensions import db, transaction
from app.operations.roster_rows import PersonRow, Roster, RowFault, choices_of, read
from models import Education, Enrolment, Enterprise, ImportBatch, Job, Occupation, SkillLevel, Title, TrainingPlan

__all__ = ["discard", "run_import", "start_import", "template"]

IMPORT_JOB = "import_roster"
MOST_BYTES = 20 * 1024 * 1024
# A page can show so many faults; the marked workbook has them all.
SHOWN_FAULTS = 500
Report = Callable[[int, int], None]


def template() -> bytes:
    """《报名人员信息表》 with the lists as they are now (E10, E13)."""
    def names(model: type[Occupation | SkillLevel | Title | Education]) -> list[str]:
        return list(db.session.scalars(select(model.name).where(model.enabled).order_by(model.position)))

    return roster.roster_template(names(Occupation), names(SkillLevel), names(Title), names(Education))


def check_may_enrol(plan: TrainingPlan, *, actor: Actor) -> None:
    """E7, E11: the enterprise is approved and the plan is enrolling. Raises `Forbidden` or `Conflict`."""
    enterprise = db.session.get(Enterprise, actor.enterprise_id) if actor.enterprise_id else None
    if enterprise is None or not enterprise.may_enrol:
        raise Forbidden(_("贵单位的注册信息尚未通过主管部门审核，暂不能报名。请在“企业”页查看审核状态。"))
    if plan.cancelled_at is not None:
        raise Conflict(_("培训计划“%(name)s”已取消，不能报名。", name=plan.name))
    if not plan.enrolling:
        raise Conflict(_("培训计划“%(name)s”不在报名时间内，不能报名。", name=plan.name))


def start_import(plan: TrainingPlan, name: str, data: bytes, consent: bool, *, actor: Actor) -> ImportBatch:
    """Keep an uploaded roster and ask for its import. Raises `Invalid` for a missing consent or a file too large."""
    check_may_enrol(plan, actor=actor)
    if not consent:
        raise Invalid(_("请确认已取得本人同意，再上传名单。"), "consent")
    if len(data) > MOST_BYTES:
        raise Invalid(_("表格超过 20 MB，请删去多余的内容后再上传。"), "workbook")
    with transaction() as session:
        stored = files.keep(data, kind="roster", name=name, content_type=files.XLSX, enterprise_id=actor.enterprise_id)
        batch = ImportBatch(plan_id=plan.id, enterprise_id=actor.enterprise_id, workbook_id=stored.id,
                            created_by_id=actor.user_id, created_at=clock.now())
        session.add(batch)
        session.flush()
        jobs.schedule(IMPORT_JOB, batch.id, enterprise_id=actor.enterprise_id)
        audit.record(actor, "import_roster", batch, {"plan": plan.name, "file": name, "workers_consented": True})
    return batch


def run_import(batch_id: int, report: Report) -> None:
    """The job: check every row, then write all drafts or all faults. A batch that is no longer waiting is done."""
    batch = db.session.get(ImportBatch, batch_id)
    if batch is None or batch.state != "waiting":
        return
    data = files.read(batch.workbook)
    choices = choices_of(batch.plan)
    db.session.commit()  # no lock is held while the workbook is read
    found = read(data, choices, report)
    if not found.faults and len(found.people) > batch.plan.seats:
        found.faults.append(RowFault(0, 0, "", _("名单有 %(n)s 人，超过本计划的总名额 %(seats)s 人。", n=len(found.people),
                                                 seats=batch.plan.seats)))
    if not found.faults:
        found.faults = _live_elsewhere(batch, found.people)
    if found.faults:
        _write_faults(batch, data, found)
    else:
        _write_people(batch, found.people)


def _live_elsewhere(batch: ImportBatch, people: list[PersonRow]) -> list[RowFault]:
    """C15: who already has a seat in this plan, or for the same occupation and level in another that is not over."""
    seal = vault()
    rows = {seal.index(person.id_number, "id_number"): person for person in people}
    live = db.session.execute(
        select(Enrolment.id_number_index, Enrolment.plan_id, Enrolment.occupation_id, Enrolment.level_id, TrainingPlan.name)
        .join(TrainingPlan, Enrolment.plan_id == TrainingPlan.id)
        .where(Enrolment.state.in_(("held", "enrolled")), TrainingPlan.attendance_confirmed_at.is_(None),
               TrainingPlan.cancelled_at.is_(None)))
    faults = []
    for index, plan_id, occupation_id, level_id, plan_name in live:
        person = rows.get(bytes(index))
        if person and (plan_id == batch.plan_id or (occupation_id, level_id) == (person.occupation_id, person.level_id)):
            faults.append(RowFault(person.row, 0, roster.ID_NUMBER, _(
                "%(name)s已报名“%(plan)s”，不能重复报名，请删去这一行。", name=person.name, plan=plan_name)))
    db.session.commit()
    return faults


def _write_people(batch: ImportBatch, people: list[PersonRow]) -> None:
    """All drafts and the batch's state in one transaction: killed anywhere, nothing or everything is there."""
    plan, at, seal = batch.plan, clock.now(), vault()
    rows = [{
        "batch_id": batch.id, "plan_id": plan.id, "enterprise_id": batch.enterprise_id, "institution_id": plan.institution_id,
        "authority_id": plan.authority_id, "state": "draft", "name": person.name, "id_number": person.id_number,
        "id_number_index": seal.index(person.id_number, "id_number"), "phone": person.phone,
        "phone_index": seal.index(person.phone, "phone"), "sex": person.sex, "birth": person.birth,
        "occupation_id": person.occupation_id, "level_id": person.level_id, "title_id": person.title_id,
        "education_id": person.education_id, "note": person.note, "created_at": at,
    } for person in people]
    with transaction() as session:
        if workflow.move(ImportBatch, [batch.id], "state", workflow.IMPORT_MOVES, "waiting", "clean", people=len(rows)):
            session.execute(insert(Enrolment), rows)


def _write_faults(batch: ImportBatch, data: bytes, found: Roster) -> None:
    """The faults for the page, and the person's own workbook with the cells marked."""
    marks = [Fault(fault.row, fault.column, fault.reason) for fault in found.faults if fault.row]
    marked = None
    if marks:
        try:
            marked = mark_faults(data, marks, sheet=roster.ROSTER_SHEET, heading_row=found.heading_row)
        except DocumentFault:
            marked = None  # the list on the page is complete without it
    listed = [{"row": fault.row, "column": fault.heading, "reason": fault.reason} for fault in found.faults]
    with transaction():
        stored = files.keep(marked, kind="marked_roster", name=f"标注-{batch.workbook.name}"[:180], content_type=files.XLSX,
                            enterprise_id=batch.enterprise_id) if marked else None
        workflow.move(ImportBatch, [batch.id], "state", workflow.IMPORT_MOVES, "waiting", "faulty", faults=listed,
                      marked_id=stored.id if stored else None)


def discard(batch: ImportBatch, *, actor: Actor) -> None:
    """Throw a list away: its drafts go, its record stays. Raises `Conflict` when it is ordered or still being read."""
    with transaction() as session:
        # The batch moves first: an order that is being made locks it, and then finds it gone or has already held its people.
        moved = workflow.move(ImportBatch, [batch.id], "state", workflow.IMPORT_MOVES, batch.state, "discarded") \
            if batch.state in ("clean", "faulty") else []
        ordered = session.scalars(select(Enrolment.id).where(
            Enrolment.batch_id == batch.id, Enrolment.state.in_(("held", "enrolled"))).limit(1)).first()
        if not moved or ordered is not None:
            raise Conflict(_("这份名单已生成订单或正在处理，不能删除。"))
        session.execute(delete(Enrolment).where(Enrolment.batch_id == batch.id, Enrolment.state == "draft")
                        .execution_options(synchronize_session=False))
        audit.record(actor, "discard_roster", batch)


def import_job(batch: ImportBatch) -> Job | None:
    """The job of a batch that is still being read."""
    return jobs.latest(IMPORT_JOB, batch.id)
