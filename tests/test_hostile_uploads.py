"""Hostile workbooks and zips brought through the page: nothing is written, and the person is told what to do."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from sqlalchemy import func, select

from app.documents import samples
from app.extensions import db
from models import Enrolment, ImportBatch, PhotoUpload, StoredFile, TrainingPlan
from tests.test_documents_workbooks import _MAIN, _with_part, _with_sheet, _workbook
from tests.test_photo_faults import _bomb, _many_entries, zipped
from tests.test_rosters import ENTERPRISE, bring

SPARSE = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'


def workbooks() -> dict[str, tuple[bytes, str]]:
    """What is brought, by its name, and what must be said of it."""
    bomb = b"<sst><si><t>" + b"a" * 120_000_000 + b"</t></si></sst>"
    entities = f'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><worksheet xmlns="{_MAIN}"><sheetData/></worksheet>'
    rows = "".join(f'<row r="{n}"><c r="A{n}"><v>1</v></c></row>' for n in range(256, 1_048_577, 256))
    return {
        "炸弹.xlsx": (_with_part(_workbook([["x"]]), "xl/sharedStrings.xml", bomb), "表格内容过于庞大"),
        "稀疏.xlsx": (_with_sheet(SPARSE), "表格行数超过 20000 行"),
        "实体.xlsx": (_with_part(_workbook([["x"]]), "xl/worksheets/sheet1.xml", entities.encode()), "表格内含不允许的内容"),
        "百万行.xlsx": (_with_sheet(rows), "表格行数超过 20000 行"),
        "其实是 PDF.xlsx": (b"%PDF-1.7\n1 0 obj <<>> endobj", "这不是 Excel 表格"),
        "<script>alert(1)</script>.xlsx": (b"PK\x03\x04", "表格已损坏"),
    }


def test_hostile_workbooks_write_nothing_and_each_is_told_on_its_page(login: Any, make: Any, run_jobs: Any) -> None:
    plan: TrainingPlan = make.plan(occupations=("020",), seats=50)
    client = login(ENTERPRISE)
    for name, (data, told) in workbooks().items():
        location = bring(client, plan, data, name=name).location
        assert run_jobs() == 1, name
        page = client.get(location).text
        assert told in page, name
        assert "改好后上传" in page, name
        assert "<script>alert" not in page
        assert client.get(f"{location}/marked.xlsx").status_code == 404
        client.post(f"{location}/good")
        assert run_jobs() == 0, "there is nobody to take"
    assert set(db.session.scalars(select(ImportBatch.state))) == {"faulty"}
    assert db.session.scalar(select(func.count(Enrolment.id))) == 0


def ten_gigabytes() -> bytes:
    """A zip of 200 bytes that declares one picture of 10 GB (zip64)."""
    name, size = b"330106199001010018.jpg", struct.pack("<HHQ", 1, 8, 10 << 30)
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 45, 0, 8, 0, 0, 0, 1, 0xFFFFFFFF, len(name), len(size)) + name + size + b"x"
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 45, 45, 0, 8, 0, 0, 0, 1, 0xFFFFFFFF, len(name), len(size), *[0] * 5) + name + size
    return local + entry + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(local), 0)


@pytest.mark.parametrize("way", ["plain", "in parts"])
def test_hostile_zips_give_nobody_a_photo_and_each_is_told_on_the_page(login: Any, make: Any, run_jobs: Any, way: str) -> None:
    batch = make.batch(make.plan(), 1, photos=False)
    number, path = batch.enrolments[0].id_number, f"/enrol/batches/{batch.id}/photos"
    client = login(ENTERPRISE)
    before = db.session.scalar(select(func.count(StoredFile.id)))
    for data, told in ((_many_entries(), "压缩包里文件太多"), (ten_gigabytes(), "压缩包解开后太大"), (_bomb(number), "像素过大"),
                       (zipped({"../../../etc/passwd": b"x", "..\\..\\run.py": b"x"}), "不是 .jpg 照片"),
                       (zipped({f"{number}.jpg": zipped({"a.jpg": samples.portrait()})}), "压缩包里还有压缩包"),
                       (b"PK\x03\x04" + b"0" * 60, "压缩包已损坏")):
        if way == "plain":
            client.post(f"{path}/portrait", data={"photos": [(io.BytesIO(data), "照片.zip")]})
        else:
            begun = client.post(f"{path}/portrait/begin", data={"form": "zip", "name": "照片.zip", "count": 1}).json
            half = len(data) // 2
            for at, piece in enumerate((data[:half], data[half:])):
                assert client.post(f"{begun['part']}/{at}", data={"photos": [(io.BytesIO(piece), "照片.zip")]}).status_code == 200
            client.post(begun["finish"], data={"parts": 2})
        assert run_jobs() == 1, told
        assert told in client.get(path).text
    assert set(db.session.scalars(select(PhotoUpload.state))) == {"done"}
    assert db.session.scalars(select(Enrolment.portrait_id)).all() == [None]
    assert db.session.scalar(select(func.count(StoredFile.id))) == before, "what was brought is not kept"
    climbing = zipped({f"../../{number}.jpg": samples.portrait()})
    client.post(f"{path}/portrait", data={"photos": [(io.BytesIO(climbing), "照片.zip")]})
    run_jobs()
    assert db.session.scalars(select(Enrolment.portrait_id)).one(), "a file that climbs is one like any other"


def test_a_workbook_or_zip_too_large_for_the_form_is_refused_in_words(login: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.operations import photos, rosters

    monkeypatch.setattr(rosters, "MOST_BYTES", 1000)
    monkeypatch.setattr(photos, "MOST_PART", 1000)
    plan, batch = make.plan(), make.batch(make.plan(), 1, photos=False)
    client = login(ENTERPRISE)
    bring(client, plan, b"PK\x03\x04" + b"0" * 1001)
    assert "表格超过 20 MB" in client.get(f"/enrol/plans/{plan.id}").text
    begun = client.post(f"/enrol/batches/{batch.id}/photos/portrait/begin", data={"form": "zip", "name": "a.zip", "count": 1}).json
    answer = client.post(f"{begun['part']}/0", data={"photos": [(io.BytesIO(b"PK\x03\x04" + b"0" * 1001), "a.zip")]},
                         headers={"X-Requested-With": "fetch"})
    assert (answer.status_code, "过大" in answer.json["message"]) == (400, True)


def test_a_zip_that_is_no_zip_is_refused_at_its_first_part(login: Any, make: Any) -> None:
    batch = make.batch(make.plan(), 1, photos=False)
    client = login(ENTERPRISE)
    for data, told in ((b"Rar!\x1a\x07\x01\x00" + b"0" * 99, "RAR 格式，请改用 zip"), (b"%PDF-1.7", "不是 zip 压缩包")):
        begun = client.post(f"/enrol/batches/{batch.id}/photos/portrait/begin", data={"form": "zip", "name": "a.zip", "count": 1}).json
        answer = client.post(f"{begun['part']}/0", data={"photos": [(io.BytesIO(data), "a.zip")]}, headers={"X-Requested-With": "fetch"})
        assert told in answer.json["message"]
