"""`photos`: a zip of 1,000 portraits of 200 kB each, from the upload's job to people who have their photo.

Ours: the worker's own call (`workers.jobs.perform_here`): the zip read from its parts, each name matched to a person by blind index, every
picture checked (pixels, proportion, one face), re-encoded upright without anything but the picture, stored so that it is on disk, its
row and the person's written in groups, the job's end, the upload's parts forgotten. As many threads as processors.
Floor: Pillow alone re-encodes the same images from the same zip, one after the other, to the same size and quality, and keeps none.
Counts: images, their size, images a second of both sides, database. `peak_mb` is the worker's process, application included.
"""

from __future__ import annotations

import io
import random
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from PIL import Image, ImageDraw

from bench.measure import Counts, Options, Pair, Subject
from bench.place import released

IMAGES = 1000
WHO = "91330100MA2AAAA05G"
# As cameras and phone shops hand them out: about 200 kB.
SIDES, QUALITY, DIFFERENT = (1000, 1400), 86, 20


def portrait(seed: int) -> bytes:
    """A drawn figure with a camera's noise, so that it weighs what a photograph of its size weighs."""
    from app.documents import samples

    with Image.open(io.BytesIO(samples.portrait(seed))) as small:
        image = small.resize(SIDES, Image.Resampling.BICUBIC)
    noise = random.Random(seed)
    draw = ImageDraw.Draw(image)
    for _dot in range(9000):
        x, y = noise.randrange(SIDES[0]), noise.randrange(SIDES[1])
        draw.rectangle((x, y, x + 3, y + 3), fill=image.getpixel((x, y)) if noise.random() < 0.5 else (noise.randrange(256),) * 3)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


@contextmanager
def prepare(folder: Path, options: Options) -> Iterator[Pair]:
    """A roster whose people lack their portraits, and the zip."""
    from app.extensions import db
    from tests.factory import Factory, id_number

    images = options.size or IMAGES
    with released(folder / "var", options) as app:
        with app.app_context():
            plan_id = Factory().plan(seats=images).id
            different = [portrait(seed) for seed in range(min(DIFFERENT, images))]
            path = folder / "portraits.zip"
            with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
                for n in range(images):  # the numbers that a new factory gives its people
                    archive.writestr(f"{id_number(n + 1)}.jpg", different[n % len(different)])
            dialect = db.engine.dialect.name
            db.session.remove()
            db.engine.dispose()
        kb = round(sum(map(len, different)) / len(different) / 1000)
        yield Pair(lambda: _ours(app, plan_id, path, images), lambda: _floor(path, images),
                   {"images": images, "kb": kb, "database": dialect})


def _ours(app: Flask, plan_id: int, path: Path, images: int) -> tuple[float, Counts]:
    """The roster is made and the zip brought here, before the clock starts: what is forked must not have used the storage."""
    from sqlalchemy import func, select

    from app import jobs
    from app.extensions import db
    from app.operations import photos
    from models import Enrolment, PhotoUpload, TrainingPlan
    from tests.factory import Factory
    from workers.jobs import perform_here

    with app.app_context():
        make = Factory()
        batch = make.batch(db.session.get_one(TrainingPlan, plan_id), images, photos=False)
        upload = photos.open_upload(batch, "portrait", "zip", path.name, 1, actor=make.actor(WHO))
        parts = 0
        with path.open("rb") as file:
            while piece := file.read(8 * 1024 * 1024):
                photos.add_part(upload, parts, [(path.name, piece)])
                parts += 1
        photos.finish(upload, parts)
        job = jobs.latest(photos.PHOTO_JOB, upload.id)
        assert job is not None
        job_id, upload_id, batch_id = job.id, upload.id, batch.id
        db.session.commit()
        db.session.remove()
        began = time.perf_counter()
        perform_here(job_id)
        took = time.perf_counter() - began
        db.session.expire_all()
        have = db.session.scalar(select(func.count(Enrolment.id)).where(Enrolment.batch_id == batch_id, Enrolment.portrait_id.is_not(None)))
        upload = db.session.get_one(PhotoUpload, upload_id)
        assert (upload.state, have) == ("done", images), (upload.state, upload.result)
    return took, {"images_a_second": round(images / took, 1)}


def _floor(path: Path, images: int) -> tuple[float, Counts]:
    from app.operations.photo_matching import SIZES

    longest = SIZES["portrait"][1]
    began = time.perf_counter()
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with Image.open(io.BytesIO(archive.read(name))) as image:
                picture = image.convert("RGB")
            picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
            picture.save(io.BytesIO(), "JPEG", quality=88, optimize=True)
    took = time.perf_counter() - began
    return took, {"images_a_second": round(images / took, 1)}


SUBJECT = Subject("photos", prepare)
