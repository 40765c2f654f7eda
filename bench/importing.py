"""`import`: one workbook of 10,000 clean rows, from the waiting job to 10,000 drafts.

Ours: the worker's own call (`workers.jobs.perform_here`): lease, guard, reading in a child process, every rule, encryption
and blind indexes, one transaction, the job's end.
Floor: python-calamine reads the same file in this process, the same rules are asked of every row, and the rows go as plain
text into a bare table by COPY (PostgreSQL) or executemany (SQLite), one commit. No guard, no child, no encryption, no index.
Counts: rows, database, seconds per 1,000 rows.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from openpyxl import load_workbook
from sqlalchemy import delete, func, select

from bench.measure import Counts, Options, Pair, Subject
from bench.place import released

ROWS = 10_000
WHO = "91330100MA2AAAA05G"
TRADES = ("020", "010")
COLUMNS = "batch_id, plan_id, name, id_number, phone, sex, birth, occupation_id, level_id, title_id, education_id, note, created_at"


def workbook(rows: int) -> bytes:
    """《报名人员信息表》 as handed out, filled with people who break no rule. Needs an application context."""
    from app.operations.rosters import template
    from tests.factory import Factory, id_number, phone_number

    make = Factory()
    book = load_workbook(io.BytesIO(template()))
    sheet, options = book.worksheets[0], book.worksheets[1]
    titles, education = (options.cell(2, column).value for column in _option_columns(options))
    names = [make.occupation(code).name for code in TRADES]
    level = make.level().name
    for n in range(rows):
        values = (f"王{chr(0x4E00 + n % 5000)}{chr(0x5200 + n // 50)}", id_number(n), phone_number(n), names[n % len(names)], level,
                  titles, education, "")
        for column, value in enumerate(values, 1):
            sheet.cell(n + 3, column, value)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _option_columns(options: Any) -> list[int]:
    from app.documents.roster import EDUCATION, TITLE

    headings = {options.cell(1, column).value: column for column in range(1, options.max_column + 1)}
    return [headings[TITLE], headings[EDUCATION]]


@contextmanager
def prepare(folder: Path, options: Options) -> Iterator[Pair]:
    """A plan with room for everyone, and the file."""
    from app.extensions import db
    from tests.factory import Factory

    rows = options.size or ROWS
    with released(folder / "var", options) as app:
        with app.app_context():
            plan_id = Factory().plan(seats=rows, occupations=TRADES).id
            data = workbook(rows)
            dialect = db.engine.dialect.name
            db.session.remove()
            db.engine.dispose()
        yield Pair(lambda: _ours(app, plan_id, data, rows), lambda: _floor(app, plan_id, data, rows), {"rows": rows, "database": dialect})


def _ours(app: Flask, plan_id: int, data: bytes, rows: int) -> tuple[float, Counts]:
    from app.extensions import db, transaction
    from app.operations import rosters
    from models import Enrolment, ImportBatch, TrainingPlan
    from tests.factory import Factory
    from workers.jobs import perform_here

    with app.app_context():
        batch = rosters.start_import(db.session.get_one(TrainingPlan, plan_id), "roster.xlsx", data, True, actor=Factory().actor(WHO))
        job = rosters.import_job(batch)
        assert job is not None
        db.session.commit()
        began = time.perf_counter()
        perform_here(job.id)
        took = time.perf_counter() - began
        db.session.expire_all()
        written = db.session.scalar(select(func.count()).select_from(Enrolment).where(Enrolment.batch_id == batch.id))
        assert (db.session.get_one(ImportBatch, batch.id).state, written) == ("clean", rows)
        with transaction() as session:  # the next sample begins as this one did
            session.execute(delete(Enrolment))
    return took, {"s_per_1000": took / rows * 1000}


def _floor(app: Flask, plan_id: int, data: bytes, rows: int) -> tuple[float, Counts]:
    from app.extensions import db
    from app.operations.roster_rows import choices_of
    from models import TrainingPlan

    with app.app_context():
        choices = choices_of(db.session.get_one(TrainingPlan, plan_id))
        db.session.rollback()
        bare = db.engine.raw_connection().driver_connection
        assert bare is not None
        bare.execute(f"CREATE TABLE floor_enrolment ({COLUMNS.replace(',', ' text,')} text)")
        bare.commit()
        began = time.perf_counter()
        people = [(1, plan_id, *person) for person in _checked(data, choices)]
        if db.engine.dialect.name == "postgresql":
            with bare.cursor() as cursor, cursor.copy(f"COPY floor_enrolment ({COLUMNS}) FROM STDIN") as copy:
                for each in people:
                    copy.write_row(each)
        else:
            bare.execute("BEGIN IMMEDIATE")
            bare.executemany(f"INSERT INTO floor_enrolment VALUES ({','.join('?' * len(people[0]))})", people)
        bare.commit()
        took = time.perf_counter() - began
        assert bare.execute("SELECT count(*) FROM floor_enrolment").fetchone()[0] == rows
        bare.execute("DROP TABLE floor_enrolment")
        bare.commit()
    return took, {}


def _checked(data: bytes, choices: Any) -> Iterator[tuple[Any, ...]]:
    """Every row that keeps the rules, as plain values; one that breaks any ends the measurement."""
    from python_calamine import CalamineWorkbook

    from app import clock
    from app.identifiers import parse_id_number, parse_phone

    at, today, seen = clock.now().isoformat(), clock.shanghai_day(), set()
    for row in CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python()[2:]:
        name, number, phone, occupation, level, title, education, note = (str(cell).strip() for cell in row[:8])
        if not name:
            continue
        found, phone = parse_id_number(number, today), parse_phone(phone)
        ids = (choices.occupations[occupation], choices.levels[level], choices.titles[title], choices.education[education])
        if found.number in seen or len(name) > 50 or any(map(str.isdigit, name)) or ids[:2] not in choices.taught:
            raise ValueError(f"a row is not clean: {row}")
        seen.add(found.number)
        yield (name, found.number, phone, found.sex, found.birth.isoformat(), *ids, note, at)


SUBJECT = Subject("import", prepare)
