"""Workers for tests, and the files an enterprise would bring for them: a filled-in roster, zips of photos."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from openpyxl import load_workbook

from app.documents import samples
from tests.factory import id_number, phone_number

NAMES = [
    "王伟", "李强", "张磊", "刘洋", "陈勇", "杨军", "黄涛", "赵鹏", "周斌", "吴刚",
    "徐超", "孙浩", "胡明", "朱辉", "高峰", "林波", "何平", "郭建", "马龙", "罗成",
]


@dataclass(frozen=True)
class Person:
    """One line of a roster."""

    name: str
    id_number: str
    phone: str
    occupation: str
    level: str = "初级工/五级"


def people_of(groups: list[tuple[str, int]], start: int = 5000) -> list[Person]:
    """So many people of each occupation, e.g. ``[("钢筋工", 50), ("混凝土工", 6)]``, all different."""
    people: list[Person] = []
    for occupation, count in groups:
        for _each in range(count):
            n = start + len(people)
            people.append(Person(NAMES[n % len(NAMES)], id_number(n), phone_number(n), occupation))
    return people


def filled_roster(template: bytes, people: list[Person]) -> bytes:
    """The downloaded template with these people written into it, as a clerk would."""
    workbook = load_workbook(io.BytesIO(template))
    sheet = workbook["人员信息"]
    for row, person in enumerate(people, 3):
        for column, value in enumerate((person.name, person.id_number, person.phone, person.occupation, person.level, "无", "高中"), 1):
            sheet.cell(row, column, value)
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def photo_zip(people: list[Person], kind: str) -> bytes:
    """A zip of `<ID number>.jpg` for each person; `kind` is portrait or id_front."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for n, person in enumerate(people):
            data = samples.portrait(n) if kind == "portrait" else samples.id_front(person.name, person.id_number)
            archive.writestr(f"{person.id_number}.jpg", data)
    return out.getvalue()


def padded(archive: bytes) -> bytes:
    """The zip with a film in it, so that it is sent in parts."""
    out = io.BytesIO(archive)
    with zipfile.ZipFile(out, "a") as zipped:
        zipped.writestr("开工.mp4", os.urandom(9 << 20))
    return out.getvalue()


@contextmanager
def front_folder(people: list[Person]) -> Iterator[Path]:
    """A folder on the desktop with the ID fronts of people, some in a folder of their own, a stranger's, and what else lies in folders."""
    with tempfile.TemporaryDirectory() as desktop:
        folder = Path(desktop) / "证件照"
        (folder / "二组").mkdir(parents=True)
        for n, person in enumerate(people):
            (folder / ("二组" if n % 2 else "") / f"{person.id_number}.jpg").write_bytes(samples.id_front(person.name, person.id_number))
        (folder / "330106199001010018.jpg").write_bytes(samples.portrait())
        for litter in (".DS_Store", "Thumbs.db", "说明.docx"):
            (folder / litter).write_bytes(b"x")
        yield folder
