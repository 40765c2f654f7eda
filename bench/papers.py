"""`papers`: the admission tickets of an exam of 1,000 people, each with a portrait and a code of its own, as one PDF.

Ours: `operations.papers.admission_tickets` from the rows of the database to the bytes that are handed out: scope, audit row, opening ID
numbers, portraits out of the storage, the codes drawn, parts of at most 250 by two child processes at a time, put together.
Floor: the same typst document with the same 1,000 pages, portraits and codes prepared on disk beforehand, compiled once in one
process, without tags as ours; importing typst, reading the fonts and writing the bytes count, nothing else is done.
Counts: tickets, ms_per_ticket, mb of PDF. `peak_mb` is ours: of the portal's process or of its largest child, whichever held more
(two children draw at a time).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask

from bench.measure import Counts, Options, Pair, Subject, sample
from bench.place import released

TICKETS = 1_000
_COMPILE = ("import sys, time; began = time.perf_counter(); import typst\n"
            "fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[sys.argv[1] + '/fonts'])\n"
            "pdf = typst.compile(sys.argv[1] + '/main.typ', root=sys.argv[1], font_paths=fonts, format='pdf', pdf_tags=False)\n"
            "open(sys.argv[1] + '/out.pdf', 'wb').write(pdf)\n"
            "print(time.perf_counter() - began)")


def fill(people: int) -> int:
    """An approved exam of that many people in rooms of thirty; answers its id. Needs an application context."""
    from sqlalchemy import insert, select

    from app import files
    from app.crypto import blind
    from app.documents import samples
    from app.extensions import db, transaction
    from models import Enrolment, ExamRoom, Sitting
    from tests.factory import Factory, id_number

    make = Factory()
    exam = make.exam(people=1, seats=people + 10)
    first = db.session.scalars(select(Sitting)).one()
    with transaction() as session:
        likeness = session.execute(select(Enrolment.__table__).where(Enrolment.id == first.enrolment_id)).mappings().one()
        portraits = [files.keep(samples.portrait(n), kind="portrait", name="p.jpg", content_type=files.JPEG,
                                enterprise_id=likeness["enterprise_id"]).id for n in range(people)]
        session.execute(insert(Enrolment), [
            {**likeness, "id": 1_000_000 + n, "name": f"王建{chr(0x4E00 + n % 2000)}", "portrait_id": portraits[n],
             "id_number": (number := id_number(5_000 + n)), "id_number_index": blind(number, "id_number"),
             "id_front_id": None, "phone": "13900000000"} for n in range(people)])
        session.delete(first)
        rooms = [ExamRoom(exam_plan_id=exam.id, number=n + 2, place="", occupation_id=likeness["occupation_id"])
                 for n in range(-(-people // 30))]
        session.add_all(rooms)
        session.flush()
        session.execute(insert(Sitting), [
            {"exam_plan_id": exam.id, "enrolment_id": 1_000_000 + n, "room_id": rooms[n // 30].id, "seat": n % 30 + 1, "score_source": "",
             "ticket_number": f"2600001010{n:04d}"} for n in range(people)])
    return int(exam.id)


@contextmanager
def prepare(folder: Path, options: Options) -> Iterator[Pair]:
    """The exam, and the document of the floor with its data and pictures."""
    from app.extensions import db

    tickets = options.size or TICKETS
    with released(folder / "var", options) as app:
        def make() -> tuple[float, Counts]:
            with app.app_context():
                exam_id = fill(tickets)
                _write_floor(folder / "floor", exam_id)
                return 0.0, {"exam": exam_id, "database": db.engine.dialect.name}

        # In a process of its own: a fork may not go on with a storage that was used before it.
        made = sample(make).counts
        exam_id, dialect = int(made["exam"]), made["database"]
        yield Pair(lambda: _ours(app, exam_id, tickets), lambda: _floor(folder / "floor"), {"tickets": tickets, "database": dialect})


def _write_floor(folder: Path, exam_id: int) -> None:
    """The document as ours draws it, in one piece."""
    from app.documents import papers as drawing
    from app.documents.fonts import find_fonts
    from app.documents.qr import qr_png
    from app.extensions import db, gateways
    from app.operations import papers
    from models import ExamPlan

    exam = db.session.get_one(ExamPlan, exam_id)
    (folder / "files").mkdir(parents=True)
    (folder / "fonts").mkdir()
    tickets = []
    for sitting in exam.sittings:
        one = papers._ticket(sitting, exam)
        number = one["ticket_no"]
        (folder / "files" / f"p{number}.jpg").write_bytes(gateways().storage.get(one["photo"]))
        (folder / "files" / f"qr{number}.png").write_bytes(qr_png(one["qr"]))
        tickets.append({**one, "photo": f"p{number}.jpg", "qr": f"qr{number}.png"})
    data = {"title": exam.name, "subtitle": exam.name, "rules": papers.ticket_rules(), "issuer": exam.institution.name, "tickets": tickets}
    fonts = find_fonts()
    (folder / "data.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    (folder / "fonts.json").write_text(json.dumps({"sans": fonts.sans, "serif": fonts.serif}), encoding="utf-8")
    for font in fonts.files:
        (folder / "fonts" / font.name).symlink_to(font)
    (folder / "main.typ").write_text(drawing.built_in("admission_tickets"), encoding="utf-8")
    (folder / "lib.typ").write_text((Path(drawing.__file__).parent / "templates/lib.typ").read_text(encoding="utf-8"), encoding="utf-8")


def _ours(app: Flask, exam_id: int, tickets: int) -> tuple[float, Counts]:
    import io

    from pypdf import PdfReader

    from app.extensions import db
    from app.operations import papers
    from models import ExamPlan
    from tests.factory import Factory

    with app.test_request_context(method="POST"):
        actor = Factory().actor("hjp")
        exam = db.session.get_one(ExamPlan, exam_id)
        began = time.perf_counter()
        paper = papers.admission_tickets(exam, actor=actor)
        took = time.perf_counter() - began
    assert len(PdfReader(io.BytesIO(paper.data)).pages) == tickets
    return took, {"ms_per_ticket": round(took / tickets * 1000, 2), "mb": round(len(paper.data) / 2**20, 1)}


def _floor(folder: Path) -> tuple[float, Counts]:
    ran = subprocess.run([sys.executable, "-c", _COMPILE, str(folder)], capture_output=True, text=True, check=True)
    return float(ran.stdout), {}


SUBJECT = Subject("papers", prepare)
