"""Photos under fire: a full disk, hostile zips, a killed worker, two at once, an order in between, and what is left over."""

from __future__ import annotations

import io
import struct
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app import clock as moments
from app import files, jobs
from app.documents import samples
from app.extensions import db, gateways, transaction
from app.gateways.errors import GatewayError
from app.gateways.storage import Storage
from app.operations import photo_matching, photo_tidy, photos
from app.operations.photo_words import fault_reason
from models import Enrolment, ImportBatch, Job, PhotoUpload, StoredFile
from tests.shop import Shop, at_once
from workers.jobs import perform_here

ENTERPRISE = "91330100MA2AAAA05G"


def zipped(names: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    return out.getvalue()


def of(batch_id: int) -> list[Enrolment]:
    db.session.expire_all()
    return list(db.session.scalars(select(Enrolment).where(Enrolment.batch_id == batch_id).order_by(Enrolment.id)))


def given(make: Any, count: int) -> tuple[int, PhotoUpload, Job]:
    """A batch of so many people, and an upload of a portrait for each that waits."""
    batch = make.batch(make.plan(), count, photos=False)
    data = zipped({f"{person.id_number}.jpg": samples.portrait() for person in batch.enrolments})
    upload, = photos.start_upload(batch, "portrait", [("p.zip", data)], actor=make.actor(ENTERPRISE))
    job = jobs.latest(photos.PHOTO_JOB, upload.id)
    assert job is not None
    return batch.id, upload, job


def stored(kind: str = "portrait") -> int:
    return db.session.scalar(select(func.count(StoredFile.id)).where(StoredFile.kind == kind)) or 0


def objects(app: Any, kind: str = "portrait") -> int:
    """How many lie in the store itself."""
    folder = Path(app.extensions["settings"].storage_url.removeprefix("file://")) / kind
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_a_full_disk_leaves_nothing_half_attached_says_what_to_do_and_is_made_good(
        app: Any, make: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_matching, "AT_ONCE", 4)
    batch_id, upload, job = given(make, 10)
    before, real, room = objects(app), Storage.put, [7]

    def put(self: Storage, key: str, data: bytes) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise GatewayError("storage: put: No space left on device", permanent=False)
        real(self, key, data)

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "put", put)
        assert perform_here(job.id)
    people = of(batch_id)
    whole = sum(person.portrait_id is not None for person in people)
    assert whole == 4, "the first group is there, the second is not"
    assert stored() == whole
    assert objects(app) == before + whole, "what was stored for nobody is gone again"
    assert (upload.state, job.state) == ("waiting", "waiting")
    assert "存储空间不足" in job.error
    assert "自动重试" in job.error
    clock.advance(minutes=1)
    assert perform_here(job.id)
    assert all(person.portrait_id for person in of(batch_id))
    assert (upload.state, upload.result["matched"], upload.result["faults"]) == ("done", 10, [])


def test_a_worker_killed_in_the_middle_leaves_whole_groups_and_the_rest_follows(
        make: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_matching, "AT_ONCE", 3)
    batch_id, upload, job = given(make, 8)
    real, groups = photo_matching.attach, []

    def attach(*args: Any) -> set[int]:
        groups.append(1)
        if len(groups) == 2:
            raise KeyboardInterrupt  # what no handler catches, as a kill
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(photo_matching, "attach", attach)
        with pytest.raises(KeyboardInterrupt):
            perform_here(job.id)
    db.session.rollback()
    assert [bool(person.portrait_id) for person in of(batch_id)] == [True] * 3 + [False] * 5
    assert not perform_here(job.id), "its lease is still held"
    clock.advance(seconds=31)
    assert perform_here(job.id)
    assert all(person.portrait_id for person in of(batch_id))
    assert (upload.state, upload.result["matched"]) == ("done", 8)


def test_the_same_upload_run_twice_ends_the_same(make: Any) -> None:
    batch_id, upload, job = given(make, 2)
    perform_here(job.id)
    first = [person.portrait_id for person in of(batch_id)]
    photo_matching.run_photo_upload(upload.id, lambda _done, _total: None)
    assert [person.portrait_id for person in of(batch_id)] == first
    assert stored() == 2


def test_an_order_made_while_photos_are_matched_keeps_the_photos_it_was_made_with(
        app: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make.batch(make.plan(), 2)
    before = [person.portrait_id for person in of(batch.id)]
    data = zipped({f"{person.id_number}.jpg": samples.portrait(1) for person in batch.enrolments})
    upload, = photos.start_upload(batch, "portrait", [("p.zip", data)], actor=make.actor(ENTERPRISE))
    lying, real = objects(app), photo_matching._match_all

    def ordered_first(*args: Any) -> None:
        from app.operations import orders

        orders.create(db.session.get_one(ImportBatch, batch.id), actor=make.actor(ENTERPRISE))
        real(*args)

    monkeypatch.setattr(photo_matching, "_match_all", ordered_first)
    photo_matching.run_photo_upload(upload.id, lambda _done, _total: None)
    assert [person.portrait_id for person in of(batch.id)] == before
    assert objects(app) == lying
    db.session.refresh(upload)
    assert upload.result["matched"] == 0
    assert [fault_reason(fault) for fault in upload.result["faults"]] == ["已生成订单，照片没有更换。"] * 2


def test_two_uploads_at_once_for_one_batch_both_come_to_an_end(app: Any, make: Any, login: Any, standins: Any) -> None:
    shop = Shop(app, make, login, standins)
    batch_id, first, one = given(make, 6)
    batch = db.session.get_one(ImportBatch, batch_id)
    data = zipped({f"{person.id_number}.jpg": samples.portrait(1) for person in batch.enrolments})
    second, = photos.start_upload(batch, "portrait", [("q.zip", data)], actor=make.actor(ENTERPRISE))
    other = jobs.latest(photos.PHOTO_JOB, second.id)
    assert other is not None
    ids = (one.id, other.id)
    uploads = (first.id, second.id)
    db.session.commit()
    assert at_once(shop, *(lambda key=key: perform_here(key) for key in ids)) == [True, True]
    assert all(person.portrait_id for person in of(batch_id))
    assert [db.session.get_one(PhotoUpload, key).result["matched"] for key in uploads] == [6, 6]


def _many_entries() -> bytes:
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"a"
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    return local + entry * 100_000 + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 65_535, 65_535, len(entry) * 100_000, len(local), 0)


def _bomb(number: str) -> bytes:
    picture = bytearray(samples.portrait())
    at = picture.index(b"\xff\xc0")
    picture[at + 5:at + 9] = struct.pack(">HH", 65_000, 65_000)
    return zipped({f"{number}.jpg": bytes(picture)})


def test_what_nobody_has_any_more_goes_and_nothing_else(app: Any, make: Any, login: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make.batch(make.plan(), 2)
    kept = {person.portrait_id for person in batch.enrolments} | {person.id_front_id for person in batch.enrolments}
    person = batch.enrolments[0]
    login(ENTERPRISE).post(f"/enrol/people/{person.id}/photos/portrait", data={"photo": (io.BytesIO(samples.portrait(1)), "a.jpg")})
    replaced = kept - {each for one in of(batch.id) for each in (one.portrait_id, one.id_front_id)}
    assert len(replaced) == 1
    gateways().storage.put("portrait/nobodys", b"x")
    with transaction():
        paper = files.keep(b"x", kind="licence", name="a.jpg", content_type=files.JPEG)
    photos.open_upload(db.session.get_one(ImportBatch, batch.id), "portrait", "zip", "a.zip", 1, actor=make.actor(ENTERPRISE))
    photo_tidy.run_tidy(0, lambda _done, _total: None)
    assert stored() == 3, "what is young may be on its way to its row"
    later = moments.now() + timedelta(days=2)
    monkeypatch.setattr(moments, "now", lambda: later)
    photo_tidy.run_tidy(0, lambda _done, _total: None)
    db.session.expire_all()
    assert db.session.get(StoredFile, replaced.pop()) is None
    assert not gateways().storage.exists("portrait/nobodys")
    assert db.session.get(StoredFile, paper.id) is not None
    assert db.session.scalar(select(func.count(PhotoUpload.id))) == 0
    for one in of(batch.id):
        for file_id in (one.portrait_id, one.id_front_id):
            assert files.read(db.session.get_one(StoredFile, file_id))
