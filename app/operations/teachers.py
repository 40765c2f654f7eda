"""Teachers of an institution, own and external (I7): who they are, their certificates, whether they may be planned with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload, selectinload

from app import audit, clock, files
from app.actors import Actor
from app.crypto import blind
from app.errors import Conflict, Invalid, InvalidFields
from app.extensions import db, let_go, transaction
from app.identifiers import IdentifierError, parse_id_number
from app.operations.checks import Findings, checked_photo
from app.operations.phone_codes import checked_phone
from app.operations.roster_words import number_fault
from models import Institution, Occupation, PlanDay, StoredFile, Teacher, TeacherPaper

KINDS = {"own": _l("本单位"), "external": _l("外聘")}
MOST_PAPERS = 10
MOST_TEACHERS = 300
WITH_PAPERS = (selectinload(Institution.teachers).selectinload(Teacher.papers).joinedload(TeacherPaper.file),
               selectinload(Institution.teachers).selectinload(Teacher.occupations))


@dataclass(frozen=True)
class Entry:
    """A teacher as typed. A blank ID number keeps the one on file, which no page shows in full."""

    name: str
    kind: str
    id_number: str = ""
    phone: str = ""
    qualification: str = ""
    subject: str = ""
    occupation_ids: list[int] = field(default_factory=list)


def teachers_of(institution: Institution) -> list[Teacher]:
    """Who may be chosen for a plan: not switched off, and on the last approved filing. Before a first approval all of them,
    since until then plans are only drafted."""
    reviewed = institution.review_state == "approved" or institution.approved_round is None
    known = [] if reviewed else [Teacher.since_round <= institution.approved_round]
    return list(db.session.scalars(select(Teacher).where(
        Teacher.institution_id == institution.id, Teacher.enabled, *known).order_by(Teacher.id)))


def is_filed(teacher: Teacher) -> bool:
    """Whether an approved filing names this teacher."""
    row = teacher.institution
    return row.filed and teacher.since_round <= (row.approved_round or row.review_round)


def in_use(teacher: Teacher) -> bool:
    """Whether a plan names this teacher."""
    return bool(db.session.scalar(select(exists().where(PlanDay.teacher_id == teacher.id))))


def lacks_of(teacher: Teacher) -> list[str]:
    """What a teacher still needs before the filing may be submitted, in a few words each."""
    wanted = ((teacher.id_number, _("身份证号")), (teacher.phone, _("手机号")), (teacher.qualification, _("职称或资格")),
              (teacher.teaches or teacher.occupations, _("任教科目或工种")), (teacher.papers, _("资格证书照片")))
    return [name for value, name in wanted if not value]


def hold(row: Institution) -> None:
    """Lock the institution's row and see that its filing may be edited: nothing changes under who reviews it."""
    db.session.refresh(row, with_for_update={"of": Institution})
    if not row.editable:
        raise Conflict(_("备案已通过审核。如需修改，请先申请变更。") if row.review_state == "approved" else
                       _("备案已提交审核，不能修改。受理之前可以撤回。"))


def _checked_number(text: str) -> str:
    try:
        return parse_id_number(text.strip(), clock.shanghai_day()).number
    except IdentifierError as error:
        raise Invalid(number_fault(error.code), "id_number") from None


def _check(row: Institution, teacher: Teacher | None, entry: Entry) -> tuple[str | None, str | None]:
    """The ID number and phone of an entry, None where they are blank. Raises `InvalidFields`."""
    found = Findings()
    name, number, phone = entry.name.strip(), None, None
    if not name:
        found.add("name", _("请填写姓名。"))
    if entry.kind not in KINDS:
        found.add("kind", _("请选择本单位或外聘。"))
    if entry.id_number.strip():
        number = found.tried(lambda: _checked_number(entry.id_number))
    if entry.phone.strip():
        phone = found.tried(lambda: checked_phone(entry.phone))
    if teacher is not None and is_filed(teacher):
        if name != teacher.name:
            found.add("name", _("已备案老师的姓名不能修改。换人请停用这位老师，另行登记。"))
        if number and teacher.id_number and number != teacher.id_number:
            found.add("id_number", _("已备案老师的身份证号不能修改。换人请停用这位老师，另行登记。"))
    if number and (same := _same(row, number)) is not None and same is not teacher:
        found.add("id_number", _("这位老师已经登记过：%(name)s。", name=same.name) if same.enabled else
                  _("这位老师已经登记过并已停用：%(name)s。请在列表中启用。", name=same.name))
    found.settle()
    return number, phone


def _same(row: Institution, number: str) -> Teacher | None:
    return db.session.scalars(select(Teacher).where(
        Teacher.institution_id == row.id, Teacher.id_number_index == blind(number, "id_number"))).first()


def save(row: Institution, teacher: Teacher | None, entry: Entry, *, actor: Actor) -> Teacher:
    """Write a teacher, new where `teacher` is None. Only the name is needed at first; `lacks_of` says what the filing will
    ask for. Raises `InvalidFields`, `Conflict` while the filing may not be edited."""
    number, phone = _check(row, teacher, entry)
    try:
        with transaction() as session:
            hold(row)
            verb = "add_teacher" if teacher is None else "save_teacher"
            if teacher is None:
                if len(row.teachers) >= MOST_TEACHERS:
                    raise Conflict(_("最多登记 %(n)s 名老师。", n=MOST_TEACHERS))
                teacher = Teacher(institution_id=row.id, since_round=row.review_round, enabled=True)
                session.add(teacher)
            teacher.name, teacher.kind = entry.name.strip(), entry.kind
            teacher.phone, teacher.teaches = phone, entry.subject.strip()
            teacher.qualification = entry.qualification.strip()
            if number:
                teacher.id_number, teacher.id_number_index = number, blind(number, "id_number")
            changes = audit.changed(teacher, without=("since_round",))
            teacher.occupations = list(session.scalars(select(Occupation).where(Occupation.id.in_(entry.occupation_ids))))
            session.flush()
            audit.record(actor, verb, teacher, {"name": teacher.name, "changed": changes})
            session.expire(row, ["teachers"])
    except IntegrityError:
        raise InvalidFields({"id_number": _("这位老师刚被同事登记，请查看列表。")}, _("未保存。")) from None
    return teacher


def set_enabled(teacher: Teacher, enabled: bool, *, actor: Actor) -> None:
    """Take a teacher off the choice for new plans, or put back; what refers to them stays. At any time: somebody who has left
    is not planned with until the next review."""
    with transaction():
        teacher.enabled = enabled
        audit.record(actor, "enable_teacher" if enabled else "disable_teacher", teacher,
                     {"name": teacher.name, "changed": audit.changed(teacher)})


def remove(teacher: Teacher, *, actor: Actor) -> None:
    """Strike off a teacher entered by mistake. Raises `Conflict` for one who was filed or stands in a plan: those are switched
    off."""
    with transaction() as session:
        hold(teacher.institution)
        if is_filed(teacher) or in_use(teacher):
            raise Conflict(_("%(name)s已备案或已安排在培训计划中，不能删除，可以停用。", name=teacher.name))
        row = teacher.institution
        pictures = [paper.file for paper in teacher.papers]
        audit.record(actor, "remove_teacher", teacher, {"name": teacher.name})
        session.delete(teacher)
        session.flush()
        for stored in pictures:
            let_go_of(row, stored)
        session.expire(row, ["teachers"])


def add_papers(teacher: Teacher, given: Sequence[tuple[str, bytes]], *, actor: Actor) -> int:
    """Keep photographed certificates, all of them or none. Raises `Invalid` naming the file that will not do."""
    let_go()
    if not given:
        raise Invalid(_("请先选择文件，再上传。"), "papers")
    found = Findings()
    pictures = []
    for name, data in given:
        problems = Findings()
        pictures.append(problems.tried(partial(checked_photo, name[:60], data, "papers")))
        if problems.messages:
            found.messages["papers"] = "；".join(filter(None, (str(found.messages.get("papers", "")), str(problems.messages["papers"]))))
    if "papers" in found:
        raise Invalid(found.messages["papers"], "papers")
    with transaction() as session:
        hold(teacher.institution)
        session.refresh(teacher, ["papers"])
        if len(teacher.papers) + len(pictures) > MOST_PAPERS:
            raise Invalid(_("每位老师最多保存 %(n)s 张证书照片。", n=MOST_PAPERS), "papers")
        for (name, _raw), picture in zip(given, pictures, strict=True):
            stored = files.keep(picture or b"", kind="qualification", name=name, content_type=files.JPEG,
                                institution_id=teacher.institution_id)
            teacher.papers.append(TeacherPaper(file_id=stored.id, file=stored))
        audit.record(actor, "add_teacher_papers", teacher, {"papers": len(pictures)})
    return len(pictures)


def drop_paper(teacher: Teacher, paper_id: int, *, actor: Actor) -> None:
    """Take a certificate away. Its picture stays while a submission shows it."""
    with transaction() as session:
        hold(teacher.institution)
        paper = next((each for each in teacher.papers if each.id == paper_id), None)
        if paper is None:
            raise Conflict(_("这张照片已被删除。"))
        stored = paper.file
        teacher.papers.remove(paper)
        session.flush()
        let_go_of(teacher.institution, stored)
        audit.record(actor, "drop_teacher_paper", teacher, {"file": stored.id})


def let_go_of(row: Institution, stored: StoredFile) -> None:
    """Forget a picture that was never submitted; one that was is what somebody has reviewed."""
    if row.submitted_at is None or stored.created_at > row.submitted_at:
        files.forget(stored)


def reveal(teacher: Teacher, *, actor: Actor) -> tuple[str, str]:
    """The ID number and phone in full, and an audit row that says who looked."""
    with transaction():
        audit.record(actor, "reveal_teacher", teacher)
    return teacher.id_number or "", teacher.phone or ""


ONE = (joinedload(Teacher.institution), selectinload(Teacher.papers).joinedload(TeacherPaper.file), selectinload(Teacher.occupations))
