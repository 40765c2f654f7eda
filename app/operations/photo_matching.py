"""The job that gives people their photos: match by name, check, clean, keep (E14, C12).

Pictures are cleaned and stored by as many threads as there are processors, a few at a time, outside any transaction; their rows follow
in groups, each in one short transaction. Killed anywhere, whole groups are there and the rest is done again; what was stored for
nobody is swept up (`photo_tidy`).
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import insert, select, update
from sqlalchemy.orm import joinedload

from app import clock, files, jobs, parameters, workflow
from app.crypto import vault
from app.documents.archives import Skipped, photos_in
from app.documents.faces import count_faces
from app.documents.faults import ArchiveFault, PictureFault
from app.documents.pictures import clean_jpeg
from app.documents.zips import Archive, OnDisk
from app.extensions import db, gateways, let_go, transaction
from app.gateways.errors import GatewayError, MissingObject
from app.gateways.storage import Storage
from app.identifiers import mask_id_number, mask_phone
from app.operations.photo_words import archive_reason
from models import Enrolment, ImportBatch, PhotoPart, PhotoReading, PhotoUpload, StoredFile

PHOTO_JOB, READ_JOB = "match_photos", "read_id_fronts"
# Shorter side in pixels, and the longest side kept: 35 mm at 600 dots an inch; an ID front as its reading wants it.
SIZES = {"portrait": (200, 826), "id_front": (300, 1600)}
WIDE, HIGH = 25, 35
AT_ONCE = 50
NO_FACE = "no_face"
Report = Callable[[int, int], None]
# What computers add to the name of a copy: " (1)", "（1）", " - 副本", " - 副本 (2)".
_COPY = re.compile(r"(?:\s*(?:[(（][0-9]{1,3}[)）]|[-–—]?\s*(?:副本|Copy)))+\s*$", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9](?: ?[0-9]){13,16} ?[0-9Xx]")
_PHONE = re.compile(r"(?<![0-9])1[3-9][0-9]{9}(?![0-9])")


@dataclass(frozen=True)
class Rules:
    """What a kind of photo must keep: `tolerance` of the proportion in percent, 0 for none; whether faces are looked for."""

    kind: str
    tolerance: int = 0
    faces: bool = False


@dataclass(frozen=True)
class Kept:
    """A picture that lies in the store, and is nobody's yet."""

    key: str
    size: int
    faces: int | None = None
    looked: bool = False

    @property
    def faceless(self) -> bool:
        """Not exactly one face, as far as a machine can tell: a warning, no more."""
        return self.faces is not None and self.faces != 1


def rules_of(kind: str) -> Rules:
    """The rules as the parameters set them now."""
    if kind != "portrait":
        return Rules(kind)
    tolerance = parameters.number("portrait_tolerance")
    return Rules(kind, 0 if tolerance >= 100 else tolerance, parameters.number("portrait_faces") > 0)


def cleaned(rules: Rules, data: bytes) -> bytes:
    """The re-encoded picture. Raises `PictureFault`; besides its own codes proportion(width, height)."""
    shortest, longest = SIZES[rules.kind]
    picture = clean_jpeg(data, min_side=shortest, max_side=longest)
    if rules.tolerance:
        off = picture.width * HIGH / (picture.height * WIDE)
        if not 100 - rules.tolerance <= off * 100 <= 100 + rules.tolerance:
            raise PictureFault("proportion", width=picture.sent[0], height=picture.sent[1])
    return picture.data


def prepared(storage: Storage, rules: Rules, data: bytes) -> Kept:
    """Clean a picture and store it. Needs no application: threads call it. Raises `PictureFault`, `GatewayError`."""
    picture = cleaned(rules, data)
    faces = count_faces(picture) if rules.faces else None
    key = f"{rules.kind}/{secrets.token_hex(20)}"
    storage.put(key, picture)
    return Kept(key, len(picture), faces, rules.faces)


@contextmanager
def kept_or_gone(storage: Storage, kept: Sequence[Kept]) -> Iterator[None]:
    """Where what follows fails, the bytes go again."""
    try:
        yield
    except BaseException:
        for each in kept:
            with suppress(GatewayError):
                storage.delete(each.key)
        raise


def storage_trouble() -> str:
    """Said when the store has no room or cannot be reached."""
    return _("照片存储空间不足或暂时不可用，未完成的照片没有保存。系统会自动重试；如一直不成功，请联系管理员，再点“重新运行”。")


def not_zip_reason(kind: str) -> str:
    return archive_reason("not_zip", {"kind": kind})


@dataclass
class _Matching:
    """The people of a batch by blind index, and what has been found so far."""

    people: dict[bytes, int]
    seen: set[int] = field(default_factory=set)
    matched: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)

    def fault(self, name: str, code: str, of: str = "", **args: Any) -> None:
        self.faults.append({"name": _masked(name), "code": code} | ({"of": of, "args": args} if of else {}))

    def person_of(self, name: str) -> int | None:
        """The person a file's name says, or None with the reason noted (C12: <ID number>.jpg, X in either case; the
        name of a copy says the same one)."""
        stem, _dot, ending = name.rpartition(".")
        person = self.people.get(vault().index(_COPY.sub("", stem).strip().upper(), "id_number"))
        if ending.lower() not in ("jpg", "jpeg"):
            self.fault(name, "not_named_jpg")
        elif person is None:
            self.fault(name, "unknown")
        elif person in self.seen:
            self.fault(name, "twice")
        else:
            self.seen.add(person)
            return person
        return None


def run_photo_upload(upload_id: int, report: Report) -> None:
    """The job: match each picture to a person by its name, check, clean and keep it. Unmatched, damaged and duplicate files are
    named. Run twice it ends the same: pictures replace each other, the upload is done once. Raises `GatewayError` with words for the
    person when the store fails: the job is tried again."""
    upload = db.session.get(PhotoUpload, upload_id)
    if upload is None or upload.state != "waiting":
        return
    batch, form, kind, name = upload.batch, upload.form, upload.kind, upload.name
    keys = list(db.session.scalars(select(StoredFile.key).join(PhotoPart, PhotoPart.file_id == StoredFile.id)
                                   .where(PhotoPart.upload_id == upload_id).order_by(PhotoPart.number)))
    people = db.session.execute(select(Enrolment.id_number_index, Enrolment.id).where(
        Enrolment.batch_id == batch.id, Enrolment.state == "draft"))
    matching, rules = _Matching({bytes(index): key for index, key in people}), rules_of(kind)
    let_go()
    skipped: list[Skipped] = []
    try:
        for archive in _archives(form, keys):
            try:
                _match_all(batch, rules, photos_in(archive, skipped=skipped), matching, report)
            except ArchiveFault as fault:
                matching.fault(name or _("上传的照片"), fault.code, "archive", **fault.message_args)
    except MissingObject as error:
        raise GatewayError(_("上传的文件已不在，请重新上传。"), permanent=True) from error
    except GatewayError as error:
        raise GatewayError(storage_trouble(), permanent=False) from error
    for each in skipped:
        matching.fault(each.name, each.code)
    _end(upload_id, batch, kind, matching)


def _archives(form: str, keys: list[str]) -> Iterator[Archive]:
    """The zips of an upload: its slices put together on disk, or each part, which is a zip of its own."""
    storage = gateways().storage
    if form == "files" or len(keys) == 1:
        for key in keys:
            yield storage.get(key)
        return
    with tempfile.TemporaryFile() as whole:
        for key in keys:
            whole.write(storage.get(key))
        yield OnDisk(whole)


def _end(upload_id: int, batch: ImportBatch, kind: str, matching: _Matching) -> None:
    """What came of it, and its parts go: they are people's photos that nobody needs twice."""
    with transaction() as session:
        moved = workflow.move(PhotoUpload, [upload_id], "state", workflow.PHOTO_MOVES, "waiting", "done", result={
            "matched": matching.matched, "faults": matching.faults, "warnings": matching.warnings})
        if not moved:
            return
        for part in session.scalars(select(PhotoPart).where(PhotoPart.upload_id == upload_id).options(joinedload(PhotoPart.file))):
            stored = part.file
            session.delete(part)
            session.flush()
            files.forget(stored)
        ask_readings(batch, kind)


def _match_all(batch: ImportBatch, rules: Rules, pictures: Iterable[tuple[str, bytes]], matching: _Matching, report: Report) -> None:
    """Clean and keep pictures on all processors, no more than a few in memory, and give them to their people group by group."""
    storage, hands = gateways().storage, min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
    group: list[tuple[int, str, Kept]] = []
    pending: deque[tuple[int, str, Future[Kept]]] = deque()
    total = len(matching.people)

    def take() -> None:
        person, name, future = pending.popleft()
        try:
            group.append((person, name, future.result()))
        except PictureFault as fault:
            matching.fault(name, fault.code, "picture", **fault.message_args)
        if len(group) >= AT_ONCE:
            _keep(batch, rules.kind, group, matching)
            report(min(len(matching.seen), total), total)

    with ThreadPoolExecutor(hands, thread_name_prefix="photo") as pool:
        try:
            for name, data in pictures:
                if (person := matching.person_of(name)) is None:
                    continue
                pending.append((person, name, pool.submit(prepared, storage, rules, data)))
                while len(pending) >= 2 * hands:
                    take()
            while pending:
                take()
            _keep(batch, rules.kind, group, matching)
        except BaseException:
            done = [kept for *_who, kept in group]
            for *_who, future in pending:
                with suppress(Exception):
                    done.append(future.result())
            for each in done:
                with suppress(GatewayError):
                    storage.delete(each.key)
            raise


def _keep(batch: ImportBatch, kind: str, group: list[tuple[int, str, Kept]], matching: _Matching) -> None:
    if not group:
        return
    with transaction():
        won = attach(batch, kind, [(person, kept) for person, _name, kept in group])
    for person, name, kept in group:
        if person not in won:
            matching.fault(name, "ordered")
            with suppress(GatewayError):
                gateways().storage.delete(kept.key)
        elif kept.faceless:
            matching.warnings.append({"name": _masked(name), "code": NO_FACE})
    matching.matched += len(won)
    group.clear()


def attach(batch: ImportBatch, kind: str, given: Sequence[tuple[int, Kept]]) -> set[int]:
    """Give drafts their pictures, in the current transaction; who is ordered meanwhile keeps what they have. Answers who got one."""
    session, at = db.session, clock.now()
    ids = [person for person, _kept in given]
    drafts = set(session.scalars(select(Enrolment.id).where(
        Enrolment.id.in_(ids), Enrolment.batch_id == batch.id, Enrolment.state == "draft").order_by(Enrolment.id).with_for_update()))
    wanted = [(person, kept) for person, kept in given if person in drafts]
    if not wanted:
        return set()
    rows = store_rows(kind, [kept for _person, kept in wanted], batch.enterprise_id)
    column = f"{kind}_id"
    for (person, _kept), file_id in zip(wanted, rows, strict=True):
        session.execute(update(Enrolment).where(Enrolment.id == person).values({column: file_id})
                        .execution_options(synchronize_session=False))
    note_readings(batch.id, kind, [(file_id, kept) for (_person, kept), file_id in zip(wanted, rows, strict=True)], at)
    for row in list(session.identity_map.values()):
        if isinstance(row, Enrolment) and row.id in drafts:
            session.expire(row)
    return drafts


def store_rows(kind: str, kept: Sequence[Kept], enterprise_id: int) -> list[int]:
    """The rows of stored pictures, in the current transaction; their ids in the same order."""
    at = clock.now()
    ids: Any = db.session.execute(insert(StoredFile).returning(StoredFile.id, sort_by_parameter_order=True), [
        {"key": each.key, "kind": kind, "name": f"{kind}.jpg", "content_type": files.JPEG, "size": each.size, "created_at": at,
         "enterprise_id": enterprise_id, "institution_id": None, "authority_id": None} for each in kept]).scalars()
    return list(ids)


def note_readings(batch_id: int, kind: str, kept: Sequence[tuple[int, Kept]], at: Any) -> None:
    """What was seen on portraits, and which ID fronts wait to be read."""
    if kind == "portrait":
        rows = [{"file_id": file_id, "batch_id": batch_id, "state": "read", "faces": each.faces, "created_at": at, "finished_at": at}
                for file_id, each in kept if each.looked]
    else:
        rows = [{"file_id": file_id, "batch_id": batch_id, "state": "waiting", "created_at": at}
                for file_id, _each in kept] if gateways().reader.enabled else []
    if rows:
        db.session.execute(insert(PhotoReading), rows)


def ask_readings(batch: ImportBatch, kind: str) -> None:
    """Have the ID fronts of a batch read that nobody has read yet."""
    if kind == "id_front" and gateways().reader.enabled:
        jobs.schedule(READ_JOB, batch.id, enterprise_id=batch.enterprise_id)


def _masked(name: str) -> str:
    """A file's name as it may be shown: ID numbers and phones in it are masked, and all that is as long as an ID number."""
    stem, dot, ending = name.rpartition(".")
    if len(stem.strip()) == 18:
        return f"{mask_id_number(stem)}{dot}{ending}"
    return _PHONE.sub(lambda found: mask_phone(found[0]), _NUMBER.sub(lambda found: mask_id_number(found[0]), name))[:60]
