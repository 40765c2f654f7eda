"""Rosters: taking in a workbook of workers, all rows or none (E12, E13, C5).

The upload only keeps the file, the consent and a job; the job checks every row, and then writes either all drafts in one
transaction, or the list of faults with the person's own workbook marked. A faulty list is mended by another workbook, which
needs hold only the rows that were wrong: the good rows of those before are read again from them, so that no row is kept twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from flask_babel import force_locale, get_locale
from flask_babel import gettext as _
from sqlalchemy import delete, select

from app import audit, bulk, clock, files, jobs, workflow
from app.actors import Actor
from app.crypto import vault
from app.documents import roster
from app.documents.columns import FIELDS, bare
from app.documents.faults import DocumentFault
from app.documents.workbooks import Fault, mark_faults
from app.errors import Conflict, Forbidden, Invalid, InvalidFields
from app.extensions import db, transaction
from app.gateways.errors import GatewayError
from app.identifiers import mask_id_number, mask_phone
from app.operations.roster_doubles import live_elsewhere
from app.operations.roster_owed import Owed, left_over, wrong_rows
from app.operations.roster_rows import Choices, Mended, PersonRow, Roster, RowFault, choices_of, read
from models import (
    Education,
    Enrolment,
    Enterprise,
    ImportBatch,
    Job,
    Occupation,
    RosterHeading,
    RosterUpload,
    SkillLevel,
    Title,
    TrainingPlan,
)

__all__ = ["discard", "map_columns", "mend", "replace", "run_import", "start_import", "take_good_rows", "template"]

IMPORT_JOB = "import_roster"
MOST_BYTES = 20 * 1024 * 1024
# A page can show so many; the batch remembers some more, the marked workbook has them all.
SHOWN_FAULTS, SHOWN_MENDED = 500, 100
KEPT_FAULTS, KEPT_MENDED = 5000, 500
Report = Callable[[int, int], None]
_Given = tuple[bytes, dict[str, int], str]  # a workbook, which column is which as a person said it, its name
DRAFT_COLUMNS = ("batch_id", "plan_id", "enterprise_id", "institution_id", "authority_id", "state", "name", "id_number", "id_number_index",
                 "phone", "phone_index", "sex", "birth", "occupation_id", "level_id", "title_id", "education_id", "note", "created_at")
SEALED_COLUMNS = ("id_number", "id_number_index", "phone", "phone_index")
SEALED_AT_ONCE = 500


def template() -> bytes:
    """《报名人员信息表》 with the lists as they are now (E10, E13)."""
    def names(model: type[Occupation | SkillLevel | Title | Education]) -> list[str]:
        return list(db.session.scalars(select(model.name).where(model.enabled).order_by(model.position)))

    return roster.roster_template(names(Occupation), names(SkillLevel), names(Title), names(Education))


def consent_words() -> str:
    """What the enterprise confirms with each workbook; the words are kept with it."""
    return _("本单位已取得名单中每位人员本人同意，提供其身份证号、手机号和照片用于报名、考核和发证。")


def check_may_enrol(plan: TrainingPlan, *, actor: Actor) -> None:
    """E7, E11: the enterprise is approved and the plan is enrolling. Raises `Forbidden` or `Conflict`."""
    enterprise = db.session.get(Enterprise, actor.enterprise_id) if actor.enterprise_id else None
    if enterprise is None or not enterprise.may_enrol:
        raise Forbidden(_("贵单位的注册信息尚未通过主管部门审核，暂不能报名。请在“企业”页查看审核状态。"))
    if not plan.enrolling:
        raise Conflict(_("培训计划“%(name)s”不在报名时间内，不能报名。", name=plan.name))


def start_import(plan: TrainingPlan, name: str, data: bytes, consent: bool, *, actor: Actor) -> ImportBatch:
    """Keep an uploaded roster and ask for its import. Raises `Invalid` for a missing consent or a file too large."""
    check_may_enrol(plan, actor=actor)
    _check_upload(data, consent)
    with transaction() as session:
        stored = files.keep(data, kind="roster", name=name, content_type=files.XLSX, enterprise_id=actor.enterprise_id)
        batch = ImportBatch(plan_id=plan.id, enterprise_id=actor.enterprise_id, workbook_id=stored.id,
                            created_by_id=actor.user_id, created_at=clock.now())
        session.add(batch)
        session.flush()
        _upload(batch, stored.id, actor)
        jobs.schedule(IMPORT_JOB, batch.id, enterprise_id=actor.enterprise_id)
        audit.record(actor, "import_roster", batch, {"plan": plan.name, "file": name, "workers_consented": True,
                                                      "consent": consent_words()})
    return batch


def mend(batch: ImportBatch, name: str, data: bytes, consent: bool, *, actor: Actor) -> None:
    """Take another workbook for a faulty list: the rows that were wrong, or all of them again. Raises as `start_import` does,
    and `Conflict` when the list is no longer faulty."""
    check_may_enrol(batch.plan, actor=actor)
    _check_upload(data, consent)
    with transaction():
        stored = files.keep(data, kind="roster", name=name, content_type=files.XLSX, enterprise_id=batch.enterprise_id)
        _upload(batch, stored.id, actor)
        _wait_again(batch, workbook_id=stored.id)
        audit.record(actor, "mend_roster", batch, {"plan": batch.plan.name, "file": name, "workers_consented": True,
                                                   "consent": consent_words()})


def replace(batch: ImportBatch, name: str, data: bytes, consent: bool, *, actor: Actor) -> ImportBatch:
    """Take a new list in place of one that has too many people: nothing of the old one is kept. Raises as `start_import` and `discard`."""
    if batch.state != "faulty":  # people of a list that is in are not thrown away by a stale page
        raise Conflict(_("这份名单的状态已变化，请刷新页面查看。"))
    with transaction():
        fresh = start_import(batch.plan, name, data, consent, actor=actor)
        discard(batch, actor=actor)
    return fresh


def map_columns(batch: ImportBatch, chosen: dict[str, int], *, actor: Actor) -> None:
    """Say which column is which field, for this workbook and, by the headings, for the enterprise's next ones.

    Raises `InvalidFields`, by field, when a required one has no column or a column is given twice, `Conflict` when the list moved on.
    """
    headings = {column: text for column, text, _sample in batch.findings.get("columns", {}).get("headings", [])}
    fields = {name: column for name, column in chosen.items() if name in FIELDS and column in headings}
    if lacking := [name for name in roster.ROSTER_REQUIRED if name not in fields]:
        raise InvalidFields(dict.fromkeys(lacking, _("请选择一列。")), _("请为这些项选择一列：%(names)s。", names="、".join(lacking)))
    twice = Counter(fields.values())
    if again := [name for name, column in fields.items() if twice[column] > 1]:
        raise InvalidFields(dict.fromkeys(again, _("与另一项选了同一列。")), _("同一列不能用作两项，请核对。"))
    with transaction() as session:
        for name, column in fields.items():
            session.merge(RosterHeading(enterprise_id=batch.enterprise_id, heading=bare(headings[column])[:50], field=name))
        batch.uploads[-1].columns = fields
        _wait_again(batch)
        audit.record(actor, "map_roster", batch, {"columns": {name: headings[column] for name, column in fields.items()}})


def take_good_rows(batch: ImportBatch, *, actor: Actor) -> None:
    """Import the rows without a fault and leave the others. Raises `Conflict` when there are none or too many, or the list moved on."""
    check_may_enrol(batch.plan, actor=actor)
    if not batch.good:
        raise Conflict(_("这份名单没有可以导入的人员，请先修改。"))
    if batch.good > batch.plan.seats:
        raise Conflict(_("无误的 %(n)s 人超过本计划的总名额 %(seats)s 人，不能导入。请删去一部分人员后重新上传，或到其他计划报名。",
                         n=batch.good, seats=batch.plan.seats))
    with transaction():
        _wait_again(batch, take_good=True)
        audit.record(actor, "take_good_rows", batch, {"people": batch.good, "faulty_rows": batch.faulty_rows})


def _check_upload(data: bytes, consent: bool) -> None:
    if not consent:
        raise Invalid(_("请确认已取得本人同意，再上传名单。"), "consent")
    if len(data) > MOST_BYTES:
        raise Invalid(_("表格超过 20 MB，请删去多余的内容后再上传。"), "workbook")


def _upload(batch: ImportBatch, stored_id: int, actor: Actor) -> None:
    db.session.add(RosterUpload(batch_id=batch.id, workbook_id=stored_id, consent=consent_words(), language=str(get_locale()),
                                created_by_id=actor.user_id, created_by_name=actor.name[:100], created_at=clock.now()))
    db.session.flush()


def _wait_again(batch: ImportBatch, **values: object) -> None:
    if batch.state not in ("faulty", "unmapped") or not workflow.move(
            ImportBatch, [batch.id], "state", workflow.IMPORT_MOVES, batch.state, "waiting", **values):
        raise Conflict(_("这份名单的状态已变化，请刷新页面查看。"))
    jobs.schedule(IMPORT_JOB, batch.id, enterprise_id=batch.enterprise_id)


@dataclass
class _Found:
    """What the workbooks of a list come to: the people, and what the newest one says."""

    people: dict[str, PersonRow]
    newest: Roster
    faults: list[RowFault] = field(default_factory=list)
    mended: list[Mended] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # Rows of workbooks before that were wrong and have not come again.
    missing: list[Owed] = field(default_factory=list)
    # Workbooks of before that were marked, as long as rows of theirs are missing: [{"upload": 1, "file": 2, "name": "..."}].
    marked: list[dict[str, Any]] = field(default_factory=list)

    @property
    def faulty_rows(self) -> int:
        """Rows that are not taken as things are."""
        return len({fault.row for fault in self.faults if fault.row}) + len(self.missing)


def run_import(batch_id: int, report: Report) -> None:
    """The job: check every row, then write all drafts or all faults. A batch that is no longer waiting is done."""
    batch = db.session.get(ImportBatch, batch_id)
    if batch is None or batch.state != "waiting":
        return
    with force_locale(batch.uploads[-1].language):
        _import(batch, report)


def _import(batch: ImportBatch, report: Report) -> None:
    if batch.plan.cancelled_at is not None:
        _end_called_off(batch)
        return
    choices = choices_of(batch.plan)
    learnt = {row.heading: row.field for row in db.session.scalars(
        select(RosterHeading).where(RosterHeading.enterprise_id == batch.enterprise_id))}
    given = [(files.read(upload.workbook), upload.columns, upload.workbook.name) for upload in batch.uploads]
    seats, newest_id, marked = batch.plan.seats, batch.uploads[-1].id, batch.findings.get("marked", [])
    db.session.commit()  # no lock is held while the workbooks are read
    found = _read_all(given, choices, learnt, lambda: report(0, 3))
    report(1, 3)
    if found.missing or found.newest.unmapped:
        found.marked = [each for each in marked if each["upload"] != newest_id]
    if found.newest.unmapped and not batch.take_good:
        _write_unmapped(batch, found)
        return
    people, doubles = live_elsewhere(batch.plan_id, list(found.people.values()))
    found.faults += [fault for fault in doubles if fault.row]
    if gone := [fault.reason for fault in doubles if not fault.row]:  # of workbooks before: no row of theirs can be deleted any more
        found.notes.append(_("此前上传的表格中有 %(n)s 人已有报名，已从名单中去掉：%(why)s", n=len(gone), why="".join(gone[:10])))
    if len(people) > seats:
        found.faults.insert(0, RowFault(0, 0, "", _("名单有 %(n)s 人，超过本计划的总名额 %(seats)s 人。", n=len(people), seats=seats),
                                        _("请删去一部分人员，或分到其他计划报名。")))
    if found.faults and not (batch.take_good and 0 < len(people) <= seats):
        _write_faults(batch, given[-1][0], found, len(people), report)
    else:
        _write_people(batch, found, people)


def _read_all(given: list[_Given], choices: Choices, learnt: dict[str, str], alive: Callable[[], None]) -> _Found:
    """Read every workbook of a list. A later one replaces the people it names again; of the earlier ones only good rows count.
    `alive` renews the job's lease."""
    people: dict[str, PersonRow] = {}
    owed: list[Owed] = []
    for data, said, book in given[:-1]:
        before = read(data, choices, learnt=learnt, said=said, waiting=alive)
        alive()
        owed = [*left_over(owed, people, before, book), *wrong_rows(before, book)]
        people |= {person.id_number: person._replace(row=0) for person in before.people}  # a row of another workbook
    data, said, book = given[-1]
    newest = read(data, choices, learnt=learnt, said=said, waiting=alive)
    now = {person.id_number: person for person in newest.people}
    found = _Found(people | now, newest, list(newest.faults), newest.mended, list(newest.notes))
    if kept := len(people.keys() - now.keys()):  # not everybody again: only what was to be mended
        found.notes.insert(0, _("沿用之前检查无误的 %(n)s 人，这次改好送来 %(m)s 人。", n=kept, m=len(now)))
    found.missing = left_over(owed, people, newest, book)
    if found.missing:
        found.faults.append(RowFault(0, 0, "", _("此前有错的行中，还有 %(n)s 行没有送来。", n=len(found.missing)),
                                     _("请把其余的行也改好上传；不报名的，可选择只导入无误的人员。")))
    return found


def _write_people(batch: ImportBatch, found: _Found, people: dict[bytes, PersonRow]) -> None:
    """All drafts and the batch's state in one transaction: killed anywhere, nothing or everything is there."""
    plan = batch.plan
    same = (batch.id, plan.id, batch.enterprise_id, plan.institution_id, plan.authority_id, "draft")
    with transaction() as session:
        if _is_called_off(plan.id):
            _end_called_off(batch)
        elif workflow.move(ImportBatch, [batch.id], "state", workflow.IMPORT_MOVES, "waiting", "clean", people=len(people), good=0,
                           **_told(found)):
            bulk.load(session, Enrolment.__table__, DRAFT_COLUMNS, _drafts(same, people), ready=SEALED_COLUMNS)


def _drafts(same: tuple[Any, ...], people: dict[bytes, PersonRow]) -> Iterator[tuple[Any, ...]]:
    """The rows as `DRAFT_COLUMNS` says, sealed some at a time as they are asked for: the database is at work on those before."""
    at, seal, every = clock.now(), vault(), iter(people.items())
    while some := list(islice(every, SEALED_AT_ONCE)):
        numbers, phones = [person.id_number for _digest, person in some], [person.phone for _digest, person in some]
        for (digest, person), number, phone, phone_digest in zip(
                some, seal.seal_many(numbers, "id_number"), seal.seal_many(phones, "phone"), seal.index_many(phones, "phone"), strict=True):
            yield (*same, person.name, number, digest, phone, phone_digest, person.sex, person.birth, person.occupation_id,
                   person.level_id, person.title_id, person.education_id, person.note, at)


def _is_called_off(plan_id: int) -> bool:
    """Whether the plan has been cancelled; whoever cancels it now waits for the end of this transaction."""
    return db.session.scalar(select(TrainingPlan.cancelled_at).where(TrainingPlan.id == plan_id)
                             .with_for_update(read=True, key_share=True)) is not None


def _end_called_off(batch: ImportBatch) -> None:
    """The plan was cancelled before its list was in: nobody is written, and the list says why."""
    told = [RowFault(0, 0, "", _("该培训计划已取消，名单没有导入。"), _("请到“报名”选择其他计划，再上传名单。"))]
    with transaction():
        workflow.move(ImportBatch, [batch.id], "state", workflow.IMPORT_MOVES, "waiting", "faulty", faults=_listed(told), fault_count=1,
                      faulty_rows=0, good=0, take_good=False, marked_id=None, findings={"notes": []})


def _write_unmapped(batch: ImportBatch, found: _Found) -> None:
    with transaction():
        workflow.move(ImportBatch, [batch.id], "state", workflow.IMPORT_MOVES, "waiting", "unmapped", **_told(found))


def _write_faults(batch: ImportBatch, data: bytes, found: _Found, good: int, report: Report) -> None:
    """The faults for the page, and the person's own workbook with the cells marked."""
    columns, marked = found.newest.columns, None
    marks = [Fault(fault.row, fault.column or (columns.fields.get(fault.heading, 0) if columns else 0), fault.reason, fault.advice)
             for fault in found.faults if fault.row]
    if marks and columns and columns.heading_row:
        try:
            marked = mark_faults(data, marks, sheet=columns.sheet.name, heading_row=columns.heading_row, sheets=found.newest.sheets,
                                 waiting=lambda: report(1, 3))
        except DocumentFault:
            marked = None  # the list on the page is complete without it
    report(2, 3)
    values: dict[str, Any] = {"good": good, "take_good": False, **_told(found)}
    try:
        _move_faulty(batch, values, marked)
    except GatewayError:
        # The store has no room, say. What is wrong is told all the same; only the workbook is not there.
        values["findings"]["notes"].append(_("标注了错误的表格没有保存成功，请按错误清单修改，或稍后重新上传。"))
        _move_faulty(batch, values, None)


def _move_faulty(batch: ImportBatch, values: dict[str, Any], marked: bytes | None) -> None:
    with transaction():
        stored = files.keep(marked, kind="marked_roster", name=_marked_name(batch.workbook.name), content_type=files.XLSX,
                            enterprise_id=batch.enterprise_id) if marked else None
        if stored:
            upload = batch.uploads[-1]
            findings = values["findings"]
            values["findings"] = findings | {"marked": [*findings["marked"], {"upload": upload.id, "file": stored.id,
                                                                              "name": upload.workbook.name}]}
        workflow.move(ImportBatch, [batch.id], "state", workflow.IMPORT_MOVES, "waiting", "faulty",
                      marked_id=stored.id if stored else None, **values)


def _marked_name(name: str) -> str:
    """标注-名单.xlsx, whatever was brought: what goes out is an .xlsx."""
    stem = name.removeprefix("标注-").rpartition(".")[0] or name
    return f"标注-{stem[:170]}.xlsx"


def _told(found: _Found) -> dict[str, Any]:
    """What a batch keeps of what was found, whatever becomes of it."""
    return {"faults": _listed(found.faults), "fault_count": len(found.faults), "faulty_rows": found.faulty_rows,
            "findings": _findings(found)}


def _listed(faults: list[RowFault]) -> list[dict[str, object]]:
    return [{"row": fault.row, "column": fault.heading, "reason": fault.reason, "advice": fault.advice} for fault in faults[:KEPT_FAULTS]]


def _findings(found: _Found) -> dict[str, Any]:
    """What else is to be told, for the page."""
    columns = found.newest.columns
    answer: dict[str, Any] = {"mended": [mend._asdict() for mend in found.mended[:KEPT_MENDED]],
                                 "mended_count": len(found.mended), "notes": found.notes, "marked": found.marked,
                                 "missing": [owed.told() for owed in found.missing[:KEPT_MENDED]], "missing_count": len(found.missing)}
    if columns and columns.heading_row:
        rows = columns.sheet.rows[columns.heading_row:columns.heading_row + 1]
        sample = {column: str(value) for row in rows for column, value in enumerate(row, 1) if value is not None}
        answer["columns"] = {"fields": columns.fields, "headings": [
            [column, text[:50], _masked(sample.get(column, ""))] for column, text in columns.headings[:100]]}
    return answer


def _masked(text: str) -> str:
    """A value beside its heading: enough to know the column by, not the person."""
    text = text.strip()[:20]
    digits = sum(map(str.isdigit, text))
    return mask_id_number(text) if digits > 13 else mask_phone(text) if digits >= 8 else text


def discard(batch: ImportBatch, *, actor: Actor) -> None:
    """Throw a list away: its drafts go, its record stays. Raises `Conflict` when it is ordered or still being read."""
    with transaction() as session:
        # The batch moves first: an order that is being made locks it, and then finds it gone or has already held its people.
        moved = workflow.move(ImportBatch, [batch.id], "state", workflow.IMPORT_MOVES, batch.state, "discarded") \
            if batch.state in ("clean", "faulty", "unmapped") else []
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
