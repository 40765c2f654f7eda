"""Papers of an exam: 准考证, 签到表, 桌签, 汇总表 (I25, E18). Only of an approved exam whose people are seated (C10).

Each reads its rows and writes its audit row in one short transaction, then draws outside it. An identity number is in
full only on the person's own ticket; lists have it masked.
"""

from __future__ import annotations

import io
import logging
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import Select, func, select
from sqlalchemy.orm import joinedload

from app import audit, clock, files, scope
from app.actors import Actor
from app.crypto import vault
from app.documents import papers
from app.documents.faults import PaperFault
from app.documents.fonts import codes, missing_glyphs
from app.documents.qr import qr_png
from app.documents.tables import Value, write_summary
from app.errors import Conflict, NotFound, PortalError
from app.extensions import db, gateways, let_go, transaction
from app.gateways.errors import GatewayError, MissingObject
from app.gateways.storage import Storage
from app.identifiers import mask_id_number
from app.operations import layouts
from models import Enrolment, ExamPlan, ExamRoom, Sitting

ZIP = "application/zip"
log = logging.getLogger("portal.papers")
_READERS = 8
# Who has left the plan since has no paper any more.
_STAYED = select(Enrolment.id).where(Enrolment.state == "enrolled")
SEATED = (
    joinedload(Sitting.room).joinedload(ExamRoom.occupation),
    joinedload(Sitting.enrolment).joinedload(Enrolment.occupation),
    joinedload(Sitting.enrolment).joinedload(Enrolment.level),
    joinedload(Sitting.enrolment).joinedload(Enrolment.enterprise),
    joinedload(Sitting.enrolment).joinedload(Enrolment.portrait),
)


@dataclass(frozen=True)
class Paper:
    """A file to hand out."""

    name: str
    data: bytes
    content_type: str


def ready(exam: ExamPlan) -> bool:
    """Papers are there once the authority has approved; the rooms were needed for the submission (C10)."""
    return exam.review_state == "approved"


def period(starts_at: datetime, ends_at: datetime) -> str:
    """2026年11月25日 09:00–11:00 in Shanghai; both days where the exam spans more than one."""
    first, last = starts_at.astimezone(clock.SHANGHAI), ends_at.astimezone(clock.SHANGHAI)
    day = "{0.year}年{0.month}月{0.day}日 {0:%H:%M}"
    end = f"{last:%H:%M}" if first.date() == last.date() else day.format(last)
    return f"{day.format(first)}–{end}"


def room_name(room: ExamRoom) -> str:
    """第 3 考场（教学楼 301）."""
    return f"第 {room.number} 考场（{room.place}）" if room.place else f"第 {room.number} 考场"


def those_seen(exam: ExamPlan, actor: Actor) -> Select[Any]:
    """The sittings of an exam that this person may see."""
    return scope.visible(actor, Sitting).where(Sitting.exam_plan_id == exam.id)


def counted(exam: ExamPlan, wanted: Select[Any]) -> int:
    """How many of these sittings have papers. Raises `Conflict` too early, `NotFound` where nobody has."""
    if not ready(exam):
        raise Conflict(_("考核计划审核通过后才能下载准考证、签到表、桌签和汇总表。"))
    people = db.session.scalar(
        select(func.count()).select_from(wanted.where(Sitting.enrolment_id.in_(_STAYED)).with_only_columns(Sitting.id).subquery())) or 0
    if not people:
        raise NotFound(_("该考核计划没有可下载的考生。"))
    return people


def _seated(exam: ExamPlan, wanted: Select[Any]) -> list[Sitting]:
    """These sittings, by ticket, with all a paper names. Raises as `counted`."""
    counted(exam, wanted)
    return list(db.session.scalars(
        wanted.where(Sitting.enrolment_id.in_(_STAYED)).order_by(Sitting.ticket_number).options(*SEATED)))


def _by_seat(rows: Iterable[Sitting]) -> list[Sitting]:
    """Room after room, as whoever walks through them meets the seats: seats may be moved by hand, ticket numbers stay."""
    return sorted(rows, key=lambda each: (each.room.number, each.seat))


def _heading(exam: ExamPlan) -> dict[str, Any]:
    return {"title": exam.name, "institution": exam.institution.name, "authority": exam.authority.name,
            "place": exam.place, "time": period(exam.starts_at, exam.ends_at)}


def admission_tickets(exam: ExamPlan, *, actor: Actor) -> Paper:
    """准考证 of everyone of this exam whom this person may see, in one PDF: to an enterprise, its own people (E18)."""
    with transaction():
        tickets = [_ticket(each, exam) for each in _seated(exam, those_seen(exam, actor))]
        heading = _heading(exam)
        audit.record(actor, "download_tickets", exam, {"people": len(tickets)})
    with _readable():
        return Paper(f"{heading['title']}准考证.pdf", _drawn(tickets, heading), files.PDF)


def drawn_tickets(exam: ExamPlan, wanted: Select[Any], told: Callable[[int, int], None]) -> bytes:
    """The same of these sittings of one exam, for a job: `told` how many are drawn, of how many. Raises `GatewayError` where
    a portrait cannot be read now."""
    tickets = [_ticket(each, exam) for each in _seated(exam, wanted)]
    return _drawn(tickets, _heading(exam), told)


def admission_ticket(sitting: Sitting, *, actor: Actor) -> Paper:
    """准考证 of one person the caller has fetched through scope (I25, E18)."""
    with transaction():
        exam = sitting.exam_plan
        row = _seated(exam, those_seen(exam, actor).where(Sitting.id == sitting.id))[0]
        tickets, heading = [_ticket(row, exam)], _heading(exam)
        audit.record(actor, "download_ticket", row, {"exam": exam.name, "ticket": row.ticket_number})
    with _readable():
        return Paper(f"准考证-{tickets[0]['name']}-{tickets[0]['ticket_no']}.pdf", _drawn(tickets, heading), files.PDF)


def _ticket(row: Sitting, exam: ExamPlan) -> dict[str, str]:
    """One ticket as its template takes it; `photo` is the storage key and `qr` the code's text until they are drawn."""
    person = row.enrolment
    return {"ticket_no": row.ticket_number, "name": person.name, "sex": person.sex, "id_number": person.id_number,
            "occupation": person.occupation.name, "level": person.level.name, "enterprise": person.enterprise.name,
            "room": room_name(row.room), "seat": f"{row.seat:02d}", "time": period(exam.starts_at, exam.ends_at),
            "place": exam.place, "photo": person.portrait.key if person.portrait else "", "qr": token(row),
            "note": lacking_signs(person.name)}


def token(sitting: Sitting) -> str:
    """What the QR of a ticket says: the ticket's number, signed together with whose it is."""
    signed = vault().witness(f"{sitting.ticket_number}:{sitting.enrolment_id}", "ticket")[:20].upper()
    return f"PXKS:{sitting.ticket_number}:{signed}"


def lacking_signs(name: str) -> str:
    """What a paper and the page say of a name that cannot be printed in full; "" where it can."""
    signs = missing_glyphs(name)
    if not signs:
        return ""
    return str(_("姓名中有字库没有的字（%(codes)s），请监考人员用笔补写。", codes=codes(signs)))


def ticket_rules() -> list[str]:
    """考生须知, printed on every ticket."""
    return [_("请携带本准考证和身份证原件，提前 30 分钟到达考场，核对身份后入场。"),
            _("开考 15 分钟后不得入场。对号入座，身份证和准考证放在桌面左上角。"),
            _("手机等通讯工具须关机并交监考人员统一保管，不得带入座位。"),
            _("遵守考场纪律，服从监考人员安排；违纪、作弊的，本次成绩无效。"),
            _("实操考核须穿戴工作服、安全帽等劳动防护用品，服从现场安全管理。")]


@contextmanager
def _readable() -> Iterator[None]:
    """Say in words that the portraits cannot be read now."""
    try:
        yield
    except GatewayError as error:
        log.error("portraits cannot be read: %s", error)
        raise PortalError(_("照片暂时读不出来，准考证没有生成。请稍后再试。")) from None


def _drawn(tickets: Sequence[dict[str, str]], heading: dict[str, Any], told: Callable[[int, int], None] = lambda *_counts: None) -> bytes:
    """One PDF of these tickets, drawn in parts: pictures are read for one part while others are drawn."""
    data = {"title": f"{heading['title']}准考证", "subtitle": heading["title"], "rules": ticket_rules(),
            "issuer": _("考核组织单位：%(institution)s", institution=heading["institution"])}
    source = layouts.current("admission_tickets")
    let_go()
    storage = gateways().storage
    # Two processes draw: two equal parts where one would do, and never more than a part may have.
    count = max(-(-len(tickets) // papers.CHUNK), min(2, -(-len(tickets) // 50)))
    size = -(-len(tickets) // count)

    def parts() -> Iterator[tuple[dict[str, Any], dict[str, bytes]]]:
        with ThreadPoolExecutor(_READERS) as pool:
            for begin in range(0, len(tickets), size):
                part = tickets[begin:begin + size]
                portraits = list(pool.map(lambda each: _portrait(each, storage), part))
                pictures = {f"p{each['ticket_no']}.jpg": photo for each, photo in zip(part, portraits, strict=True) if photo}
                pictures |= {f"qr{each['ticket_no']}.png": qr_png(each["qr"]) for each in part}
                yield {**data, "tickets": [
                    {**each, "photo": f"p{each['ticket_no']}.jpg" if photo else "", "qr": f"qr{each['ticket_no']}.png"}
                    for each, photo in zip(part, portraits, strict=True)]}, pictures

    def drawn() -> Iterator[bytes]:
        for number, part in enumerate(papers.render_in_turn("admission_tickets", parts(), source=source), 1):
            told(min(number * size, len(tickets)), len(tickets))
            yield part

    with telling("admission_tickets", source):
        return papers.merged(drawn())


def _portrait(ticket: dict[str, str], storage: Storage) -> bytes:
    """A portrait's bytes. A lost one leaves the frame in which one is glued. Runs in a thread that touches no database."""
    if not ticket["photo"]:
        return b""
    try:
        return storage.get(ticket["photo"])
    except MissingObject:
        log.error("the portrait for ticket %s is not in the storage", ticket["ticket_no"])
        return b""


def zipped(name: str, parts: Iterator[bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for number, part in enumerate(parts, 1):
            archive.writestr(f"{name}-{number:02d}.pdf", part)
    return out.getvalue()


def sign_in_sheets(exam: ExamPlan, room_id: int | None = None, *, actor: Actor) -> Paper:
    """签到表, a sheet a room: of all rooms, or of one. Raises `NotFound` for a room of another exam."""
    with transaction():
        rows = _by_seat(_seated(exam, those_seen(exam, actor)))
        if room_id is not None:
            rows = [each for each in rows if each.room_id == room_id]
            if not rows:
                raise NotFound(_("没有找到这个考场，或您无权查看。"))
        heading = _heading(exam)
        rooms: dict[int, dict[str, Any]] = {}
        for each in rows:
            room = rooms.setdefault(each.room_id, {
                "room": room_name(each.room), "occupation": each.room.occupation.name, "people": []})
            room["people"].append({"ticket_no": each.ticket_number, "name": each.enrolment.name,
                                   "id_number": mask_id_number(each.enrolment.id_number), "seat": f"{each.seat:02d}"})
        one = f"第{rows[0].room.number}考场" if room_id is not None else ""
        audit.record(actor, "download_sign_in_sheets", exam, {"rooms": len(rooms), "people": len(rows)})
    data = {"title": _("考生签到表"), "subtitle": heading["title"], "institution": heading["institution"],
            "place": heading["place"], "time": heading["time"], "rooms": list(rooms.values())}
    return Paper(f"{heading['title']}{one}签到表.pdf", rendered("sign_in_sheet", data, {}), files.PDF)


def desk_labels(exam: ExamPlan, *, actor: Actor) -> Paper:
    """桌签: a label a seat, to be cut out and put on the desks, room after room."""
    with transaction():
        rows = _seated(exam, those_seen(exam, actor))
        heading = _heading(exam)
        labels = [{"room": room_name(each.room), "number": str(each.room.number), "seat": f"{each.seat:02d}",
                   "name": each.enrolment.name, "ticket_no": each.ticket_number, "occupation": each.room.occupation.name}
                  for each in _by_seat(rows)]
        audit.record(actor, "download_desk_labels", exam, {"people": len(labels)})
    data = {"title": f"{heading['title']}桌签", "subtitle": heading["title"], "time": heading["time"], "labels": labels}
    return Paper(f"{heading['title']}桌签.pdf", rendered("desk_labels", data, {}), files.PDF)


def summary(exam: ExamPlan, *, printed: bool = False, actor: Actor) -> Paper:
    """汇总表, one line a person, room after room: a workbook, or `printed` a PDF to sign."""
    with transaction():
        rows = _seated(exam, those_seen(exam, actor))
        heading = _heading(exam)
        people = [{"ticket_no": each.ticket_number, "name": each.enrolment.name, "sex": each.enrolment.sex,
                   "id_number": mask_id_number(each.enrolment.id_number), "occupation": each.enrolment.occupation.name,
                   "level": each.enrolment.level.name, "enterprise": each.enrolment.enterprise.name, "room": room_name(each.room),
                   "number": str(each.room.number), "seat": f"{each.seat:02d}"}
                  for each in _by_seat(rows)]
        audit.record(actor, "download_summary", exam, {"people": len(rows)})
    by_occupation = Counter(each["occupation"] for each in people)
    counted = [(_("考场"), len({each["number"] for each in people})), (_("考生"), len(people)), *by_occupation.items()]
    title = _("%(name)s考生汇总表", name=heading["title"])
    facts = [(_("培训机构"), heading["institution"]), (_("主管部门"), heading["authority"]),
             (_("考核时间"), heading["time"]), (_("考核地点"), heading["place"])]
    if printed:
        data = {"title": title, "facts": facts, "totals": [(label, str(number)) for label, number in counted], "people": people}
        return Paper(f"{heading['title']}汇总表.pdf", rendered("exam_summary", data, {}), files.PDF)
    headings = [_("序号"), _("准考证号"), _("姓名"), _("性别"), _("身份证号"), _("职业工种"), _("技能等级"), _("企业"),
                _("考场"), _("座位"), _("备注")]
    lines: list[list[Value]] = [
        [number, *(each[name] for name in ("ticket_no", "name", "sex", "id_number", "occupation", "level", "enterprise", "room")),
         int(each["seat"]), None] for number, each in enumerate(people, 1)]
    workbook = write_summary(title, facts, headings, lines, totals=counted, signatures=[_("制表人"), _("审核人"), _("日期")])
    return Paper(f"{heading['title']}汇总表.xlsx", workbook, files.XLSX)


def rendered(template: papers.Template, data: dict[str, Any], pictures: dict[str, bytes]) -> bytes:
    """Draw in the layout that holds, outside any transaction: nobody waits for a lock meanwhile."""
    source = layouts.current(template)
    let_go()
    with telling(template, source):
        return papers.render(template, data, pictures, source=source)


@contextmanager
def telling(template: papers.Template, source: str | None) -> Iterator[None]:
    """Say in words what could not be drawn; of an administrator's layout, where it stopped."""
    try:
        yield
    except PaperFault as fault:
        log.error("%s could not be drawn: %s", template, fault)
        if source is not None:
            raise PortalError(_("文件没有生成：现用的版式不适合这些数据（%(where)s）。请联系系统管理员修改版式，或恢复内置版式。",
                                where=layouts.words_of(fault))) from None
        raise PortalError(_("文件没有生成成功，已记录下来。请稍后再试；若一直如此，请联系系统管理员。")) from None
