"""`certificates`: 5,000 people of one exam who passed are numbered and recorded; and how many PDFs are drawn and signed in a second.

Ours: `certificates.run_issue`, the job's own call: the pattern, the serials under their lock, one INSERT, the record, the notices,
one commit. Floor: the very same rows by the bare driver's executemany into the same table with its indexes, one commit, nothing else.
Counts: rows, database, `signed_per_s` (drawn, signed and kept, on all cores), `pdf_kb`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import delete, func, insert, select, update

from bench.measure import Counts, Options, Pair, Subject, sample
from bench.place import released

ROWS = 5_000
PDFS = 50


def fill(rows: int) -> int:
    """An exam of so many people who all passed; its approved report. Needs an application context."""
    from app.extensions import transaction
    from models import Enrolment, ScoreReport, Sitting
    from tests.factory import Factory

    report = Factory().report(people=2, seats=60)
    people, sittings = Enrolment.__table__, Sitting.__table__
    with transaction() as session:
        sitting = dict(session.execute(select(sittings).where(sittings.c.exam_plan_id == report.exam_plan_id).limit(1)).mappings().one())
        person = dict(session.execute(select(people).where(people.c.id == sitting["enrolment_id"])).mappings().one())
        for begin in range(0, rows - 2, 1_000):
            numbers = range(begin, min(begin + 1_000, rows - 2))
            session.execute(insert(people), [
                {**person, "id": 1_000_000 + n, "name": f"王{chr(0x4E00 + n % 5000)}", "id_number_index": n.to_bytes(16, "big")}
                for n in numbers])
            session.execute(insert(sittings), [
                {**sitting, "id": 1_000_000 + n, "enrolment_id": 1_000_000 + n, "seat": n + 10, "ticket_number": f"{n + 5_000_000:012d}"}
                for n in numbers])
        key: int = session.scalars(select(ScoreReport.id).where(ScoreReport.id == report.id)).one()
    return key


def filled(app: Flask, rows: int) -> tuple[int, str]:
    """The report, and the dialect. In a process of its own: a sample's fork may inherit nothing that has used the storage."""
    from app.extensions import db

    def act() -> tuple[float, Counts]:
        with app.app_context():
            return 0.0, {"report": fill(rows), "dialect": db.engine.dialect.name}

    counts = sample(act).counts
    return int(counts["report"]), str(counts["dialect"])


@contextmanager
def prepare(folder: Path, options: Options) -> Iterator[Pair]:
    """The exam, and what the floor writes: the rows that ours makes."""
    rows = options.size or ROWS
    with released(folder / "var", options) as app:
        report_id, dialect = filled(app, rows)
        yield Pair(lambda: _ours(app, report_id, rows), lambda: _floor(app, report_id, rows), {"rows": rows, "database": dialect})


def _forget() -> None:
    """The next sample begins as this one did."""
    from app.extensions import transaction
    from models import Certificate, CertificateCounter, Job

    with transaction() as session:
        for model in (Certificate, CertificateCounter, Job):
            session.execute(delete(model))


def _issued(report_id: int, rows: int) -> float:
    from app.extensions import db
    from app.operations import certificates
    from models import Certificate

    began = time.perf_counter()
    certificates.run_issue(report_id, lambda _done, _total: None)
    took = time.perf_counter() - began
    assert db.session.scalar(select(func.count(Certificate.id))) == rows
    return took


def _ours(app: Flask, report_id: int, rows: int) -> tuple[float, Counts]:
    from app.extensions import db, transaction
    from app.operations import certificate_papers
    from models import Certificate, StoredFile

    with app.app_context():
        took = _issued(report_id, rows)
        ids = list(db.session.scalars(select(Certificate.id).order_by(Certificate.id).limit(PDFS)))
        db.session.commit()
        certificate_papers.make(ids[:1])
        began = time.perf_counter()
        certificate_papers.make(ids[1:])
        signing = time.perf_counter() - began
        size = db.session.scalar(select(func.avg(StoredFile.size)).where(StoredFile.kind == certificate_papers.KIND)) or 0
        with transaction() as session:
            session.execute(update(Certificate).values(file_id=None))
            session.execute(delete(StoredFile).where(StoredFile.kind == certificate_papers.KIND))
        _forget()
    return took, {"signed_per_s": (len(ids) - 1) / signing, "pdf_kb": round(float(size) / 1024)}


def _floor(app: Flask, report_id: int, rows: int) -> tuple[float, Counts]:
    from app.extensions import db

    with app.app_context():
        _issued(report_id, rows)
        db.session.commit()
        bare: Any = db.engine.raw_connection().driver_connection
        postgres = db.engine.dialect.name == "postgresql"
        cursor = bare.execute("SELECT * FROM certificate ORDER BY id")
        columns, made = [each[0] for each in cursor.description], [tuple(row) for row in cursor.fetchall()]
        bare.commit()
        _forget()
        statement = (f"INSERT INTO certificate ({', '.join(columns)}) VALUES "
                     f"({', '.join(['%s' if postgres else '?'] * len(columns))})")
        began = time.perf_counter()
        if postgres:
            with bare.cursor() as writing:
                writing.executemany(statement, made)
        else:
            bare.execute("BEGIN IMMEDIATE")
            bare.executemany(statement, made)
        bare.commit()
        took = time.perf_counter() - began
        assert bare.execute("SELECT count(*) FROM certificate").fetchone()[0] == rows
        bare.commit()
        _forget()
    return took, {}


SUBJECT = Subject("certificates", prepare)
