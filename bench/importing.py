"""`import`: one workbook of 10,000 rows and 14 columns, from the upload to 10,000 committed drafts; and the same with 3,000 faults.

Ours: `rosters.start_import` as the page calls it (file and consent kept, job asked for), then the worker's own call
(`workers.jobs.perform_here`): lease, guard, reading in a child process, every rule, blind indexes, the question who has a seat
already (of a table of 100,000 enrolments), encryption, one transaction into the table with all its indexes and keys, the job's end.
Floor: python-calamine reads the same file in this process, the same rules are asked of every row (each list, the taught pair, name,
number, age, phone, sex and birth against the number, doubles within the file, and who is among 100,000 numbers of an indexed
table), and the rows go as plain text into a bare table by COPY (PostgreSQL) or executemany (SQLite), one commit. No upload, job,
guard, child, encryption, index or key.
Counts: rows, database, seconds per 1,000 rows; `faulty_s`: ours for the workbook with faults in 3,000 rows, from the upload to the
stored, annotated workbook; `faulty_ratio`: that by the clean run of the same sample. Peak memory is that of either run.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from openpyxl import Workbook
from sqlalchemy import delete, func, select, text

from bench.measure import Counts, Options, Pair, Subject, sample
from bench.place import released

ROWS, PLANS = 10_000, 40
# People with seats for each row that comes.
FILLED = 10
WHO = "91330100MA2AAAA05G"
TRADES = ("020", "010")
HEADINGS = ("序号", "姓名", "性别", "出生日期", "民族", "身份证号", "手机号", "职业（工种）名称", "职业等级", "职称", "文化程度",
            "所属班组", "住址", "备注")
COLUMNS = "batch_id, plan_id, name, id_number, phone, sex, birth, occupation_id, level_id, title_id, education_id, note, created_at"


def workbook(rows: int, *, faulty: bool = False) -> bytes:
    """A list as an office sends it, of people who break no rule; `faulty`: of ten rows three have a fault, each of another
    kind. Needs an application context."""
    from app.extensions import db
    from models import Education, Title
    from tests.factory import Factory, id_number, phone_number

    make = Factory()
    trades, level = [make.occupation(code).name for code in TRADES], make.level().name
    title, schooling = (db.session.scalars(select(model).order_by(model.id)).first() for model in (Title, Education))
    book = Workbook(write_only=True)
    sheet = book.create_sheet("人员信息")
    sheet.append(HEADINGS)
    for n in range(rows):
        number, phone, trade = id_number(n), phone_number(n), trades[n % len(trades)]
        born, sex = f"{number[6:10]}-{number[10:12]}-{number[12:14]}", "男" if int(number[16]) % 2 else "女"
        if faulty and n % 10 == 0:
            number = number[:17] + ("0" if number[17] != "0" else "1")
        elif faulty and n % 10 == 3:
            phone = phone[:9]
        elif faulty and n % 10 == 6:
            trade = f"{trade[:2]}{chr(0x4E00 + n % 3000)}"
        sheet.append((n + 1, f"王{chr(0x4E00 + n % 5000)}{chr(0x5200 + n // 50)}", sex, born, "汉族", number, phone, trade, level,
                      title.name, schooling.name, f"第 {n % 37 + 1} 班组", f"杭州市西湖区文三路 {n % 900 + 1} 号", ""))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def fill(make: Any, people: int) -> None:
    """So many people of other enterprises with seats, half of them in plans that are not over, and the floor's copy of them."""
    from app import bulk, clock
    from app.crypto import vault
    from app.extensions import db, transaction
    from app.operations.rosters import DRAFT_COLUMNS, SEALED_COLUMNS
    from models import Enrolment, TrainingPlan
    from tests.factory import id_number

    order, seal = make.paid(make.plan(), 1), vault()
    one = order.enrolments[0]
    plans = [make.plan(seats=people, occupations=TRADES) for _each in range(PLANS)]
    at = clock.now()
    numbers = [id_number(n) for n in range(100_000, 100_000 + people)]
    with transaction() as session:
        for plan in plans[::2]:
            row = session.get_one(TrainingPlan, plan.id)
            row.class_opened_at = row.attendance_confirmed_at = at
        rows = ((one.batch_id, plans[n % PLANS].id, one.enterprise_id, one.institution_id, one.authority_id, "enrolled", one.name,
                 sealed, seal.index(number, "id_number"), sealed, sealed[:16], one.sex, one.birth, one.occupation_id, one.level_id,
                 one.title_id, one.education_id, "", at, order.id)
                for n, (number, sealed) in enumerate(zip(numbers, seal.seal_many(numbers, "id_number"), strict=True)))
        # One batch holds a person once; these are of many.
        bulk.load(session, Enrolment.__table__, (*DRAFT_COLUMNS, "order_id"), rows, ready=SEALED_COLUMNS)
        session.execute(text("CREATE TABLE floor_taken (id_number varchar(18))"))
        session.execute(text("INSERT INTO floor_taken VALUES (:number)"), [{"number": number} for number in numbers])
        session.execute(text("CREATE INDEX floor_taken_number ON floor_taken (id_number)"))
    with db.engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE")


@contextmanager
def prepare(folder: Path, options: Options) -> Iterator[Pair]:
    """A plan with room for everyone, a filled table, and the two files."""
    from app.extensions import db
    from tests.factory import Factory

    rows = options.size or ROWS
    with released(folder / "var", options) as app:
        with app.app_context():
            make = Factory()
            plan_id = make.plan(seats=rows, occupations=TRADES).id
            db.session.remove()
            db.engine.dispose()
            sample(lambda: (fill(make, rows * FILLED), (0.0, {}))[1])  # in a fork: a sample must not inherit a store that has been used
            data, wrong = workbook(rows), workbook(rows, faulty=True)
            dialect = db.engine.dialect.name
            db.session.remove()
            db.engine.dispose()
        yield Pair(lambda: _ours(app, plan_id, data, wrong, rows), lambda: _floor(app, plan_id, data, rows),
                   {"rows": rows, "database": dialect})


def _ours(app: Flask, plan_id: int, data: bytes, wrong: bytes, rows: int) -> tuple[float, Counts]:
    from app.extensions import db, transaction
    from models import Enrolment, ImportBatch

    with app.app_context():
        took, batch_id = _imported(plan_id, data)
        written = db.session.scalar(select(func.count()).select_from(Enrolment).where(Enrolment.batch_id == batch_id))
        assert (db.session.get_one(ImportBatch, batch_id).state, written) == ("clean", rows)
        with transaction() as session:  # the next sample begins as this one did
            session.execute(delete(Enrolment).where(Enrolment.batch_id == batch_id))
        faulty_took, batch_id = _imported(plan_id, wrong)
        batch = db.session.get_one(ImportBatch, batch_id)
        assert (batch.state, batch.faulty_rows, batch.marked is not None) == ("faulty", len(range(0, rows, 10)) * 3, True)
    return took, {"s_per_1000": took / rows * 1000, "faulty_s": faulty_took, "faulty_ratio": faulty_took / took}


def _imported(plan_id: int, data: bytes) -> tuple[float, int]:
    """Seconds from the upload to the end of its job, and the list."""
    from app.extensions import db
    from app.operations import rosters
    from models import TrainingPlan
    from tests.factory import Factory
    from workers.jobs import perform_here

    plan, actor = db.session.get_one(TrainingPlan, plan_id), Factory().actor(WHO)
    db.session.commit()
    began = time.perf_counter()
    batch = rosters.start_import(plan, "roster.xlsx", data, True, actor=actor)
    job = rosters.import_job(batch)
    assert job is not None
    db.session.commit()
    perform_here(job.id)
    took = time.perf_counter() - began
    db.session.expire_all()
    return took, batch.id


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
        postgres = db.engine.dialect.name == "postgresql"
        taken = ("SELECT count(*) FROM floor_taken WHERE id_number = ANY(%s)", ([person[3] for person in people],)) if postgres else (
            "SELECT count(*) FROM floor_taken WHERE id_number IN (SELECT value FROM json_each(?))",
            (json.dumps([person[3] for person in people]),))
        assert bare.execute(*taken).fetchone()[0] == 0
        if postgres:
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
    for row in CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python()[1:]:
        name, sex, birth, _people, number, phone, occupation, level, title, education, _gang, _address, note = (
            str(cell).strip() for cell in row[1:14])
        if not name:
            continue
        found, phone = parse_id_number(number, today), parse_phone(phone)
        ids = (choices.occupations[occupation], choices.levels[level], choices.titles[title], choices.education[education])
        if (found.number in seen or len(name) > 50 or any(map(str.isdigit, name)) or ids[:2] not in choices.taught
                or found.birth.year + 16 > today.year or (sex, birth) != (found.sex, found.birth.isoformat())):
            raise ValueError(f"a row is not clean: {row}")
        seen.add(found.number)
        yield (name, found.number, phone, found.sex, found.birth.isoformat(), *ids, note, at)


SUBJECT = Subject("import", prepare)
