"""寸照 and 身份证正面照: by zip, many at once, one by one; what does not fit is named (E14, C12)."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import func, select

from app.documents import samples
from app.extensions import db
from app.operations.photo_words import fault_reason
from models import Enrolment, ImportBatch, PhotoPart, PhotoUpload, StoredFile

ENTERPRISE, OTHER = "91330100MA2AAAA05G", "91330212MA2AAAA052"


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def people(batch: ImportBatch) -> list[Enrolment]:
    return list(db.session.scalars(select(Enrolment).where(Enrolment.batch_id == batch.id).order_by(Enrolment.id)))


def bring(client: Any, batch: ImportBatch, kind: str, *files: tuple[str, bytes]) -> Any:
    return client.post(f"/enrol/batches/{batch.id}/photos/{kind}",
                       data={"photos": [(io.BytesIO(data), name) for name, data in files]})


def faults() -> str:
    upload = db.session.scalars(select(PhotoUpload).order_by(PhotoUpload.id.desc())).first()
    assert upload is not None
    return " ".join(f"{fault['name']} {fault_reason(fault)}" for fault in upload.result["faults"])


def test_a_zip_is_matched_by_id_number(login: Any, make: Any, run_jobs: Any) -> None:
    batch = make.batch(make.plan(), 3, photos=False)
    client = login(ENTERPRISE)
    names = [person.id_number for person in people(batch)]
    bring(client, batch, "portrait", ("p.zip", zipped({f"照片/{name.lower()}.JPG": samples.portrait() for name in names})))
    run_jobs()
    assert all(person.portrait_id and not person.id_front_id for person in people(batch))
    for page in ("", "/photos"):
        assert "还有 3 人缺照片" in client.get(f"/enrol/batches/{batch.id}{page}").text
    bring(client, batch, "id_front", *[(f"{name}.jpg", samples.id_front("某", name)) for name in names])
    run_jobs()
    assert all(person.photos_complete for person in people(batch))
    assert "可以生成订单" in client.get(f"/enrol/batches/{batch.id}").text


def test_unmatched_damaged_and_duplicate_files_are_named(login: Any, make: Any, run_jobs: Any) -> None:
    batch = make.batch(make.plan(), 2, photos=False)
    first, second = (person.id_number for person in people(batch))
    client = login(ENTERPRISE)
    bring(client, batch, "portrait", ("p.zip", zipped({
        f"{first}.jpg": samples.portrait(), f"again/{first}.jpg": samples.portrait(1), f"{second}.jpg": b"not a picture",
        "330106199001010018.jpg": samples.portrait(), "readme.txt": b"hello"})))
    run_jobs()
    told = faults()
    assert "多张照片" in told
    assert "名单中没有这个身份证号" in told
    assert "readme.txt" in told
    assert "不是 JPG" in told or "损坏" in told
    assert first not in told
    assert first[:6] + "********" in told
    assert [bool(person.portrait_id) for person in people(batch)] == [True, False]


@pytest.mark.parametrize("name", ["p.zip", "照片.rar"])
def test_a_rar_is_refused_by_name_before_anything_is_kept(login: Any, make: Any, name: str) -> None:
    batch = make.batch(make.plan(), 1, photos=False)
    client = login(ENTERPRISE)
    bring(client, batch, "portrait", (name, b"Rar!\x1a\x07\x01\x00" + b"0" * 100))
    text = client.get(f"/enrol/batches/{batch.id}/photos").text
    assert "RAR" in text
    assert "请改用 zip 格式" in text
    assert db.session.scalar(select(func.count(PhotoUpload.id))) == 0


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
def test_a_zip_of_windows_or_macos_is_matched_and_its_litter_passed_over(login: Any, make: Any, run_jobs: Any, encoding: str) -> None:
    batch = make.batch(make.plan(), 1, photos=False)
    number = people(batch)[0].id_number
    folder = "x" * len("一期照片".encode(encoding))
    data = zipped({f"{folder}/{number}.jpg": samples.portrait(), f"__MACOSX/{folder}/._{number}.jpg": b"\0", f"{folder}/.DS_Store": b"x",
                   f"../../{folder}/Thumbs.db": b"x"}).replace(folder.encode(), "一期照片".encode(encoding))
    bring(login(ENTERPRISE), batch, "portrait", ("照片.zip", data))
    run_jobs()
    assert faults() == ""
    assert people(batch)[0].portrait_id


def test_a_portrait_of_wrong_proportion_is_refused_and_one_without_a_face_only_pointed_out(
        login: Any, make: Any, run_jobs: Any) -> None:
    batch = make.batch(make.plan(), 3, photos=False)
    wide, blank, good = (person.id_number for person in people(batch))

    def drawn(width: int, height: int) -> bytes:
        out = io.BytesIO()
        Image.new("RGB", (width, height), "white").save(out, "JPEG")
        return out.getvalue()

    client = login(ENTERPRISE)
    bring(client, batch, "portrait", ("p.zip", zipped({
        f"{wide}.jpg": drawn(600, 400), f"{blank}.jpg": drawn(250, 350), f"{good}.jpg": samples.portrait()})))
    run_jobs()
    assert "宽高比例不对（600×400）" in faults()
    assert [bool(person.portrait_id) for person in people(batch)] == [False, True, True]
    upload = db.session.scalars(select(PhotoUpload)).one()
    assert [warning["name"] for warning in upload.result["warnings"]] == [f"{blank[:6]}********{blank[-4:]}.jpg"]
    text = client.get(f"/enrol/batches/{batch.id}/photos").text
    assert text.count("未见人脸") == 1
    assert "5:7" in text


def test_a_copy_is_of_the_same_person_and_what_is_told_of_a_file_is_masked_and_of_the_picture_that_came(
        login: Any, make: Any, run_jobs: Any) -> None:
    batch = make.batch(make.plan(), 4, photos=False)
    first, second, third, fourth = (person.id_number for person in people(batch))
    wide = io.BytesIO()
    Image.new("RGB", (900, 400), "white").save(wide, "JPEG")
    stranger = "330106199001010018"
    bring(login(ENTERPRISE), batch, "portrait", ("p.zip", zipped({
        f"{first} (1).jpg": samples.portrait(), f"{first}.jpg": samples.portrait(1), f"{second}（1）.jpg": samples.portrait(),
        f"{third} - 副本.jpg": samples.portrait(), f"{fourth} - 副本 (2).jpg": wide.getvalue(), f"{stranger} (1).jpg": samples.portrait(),
        "王伟13900000030.jpg": samples.portrait()})))
    run_jobs()
    assert [bool(person.portrait_id) for person in people(batch)] == [True, True, True, False]
    told = faults()
    assert "（900×400）" in told
    assert told.count("多张照片") == 1
    assert told.count("名单中没有这个身份证号") == 2
    assert "330106********0018 (1).jpg" in told
    assert "王伟139****0030.jpg" in told
    assert not any(number in told for number in (first, fourth, stranger))


def test_a_page_sends_many_files_in_parts_and_a_lost_answer_does_no_harm(login: Any, make: Any, run_jobs: Any) -> None:
    batch = make.batch(make.plan(), 3, photos=False)
    client = login(ENTERPRISE)
    whole = zipped({f"{person.id_number}.jpg": samples.portrait() for person in people(batch)})
    begun = client.post(f"/enrol/batches/{batch.id}/photos/portrait/begin", data={"form": "zip", "name": "全部.zip", "count": 1}).json
    slices = [whole[at:at + 9000] for at in range(0, len(whole), 9000)]
    assert len(slices) > 2
    for number, piece in [*enumerate(slices), (1, slices[1])]:  # the second comes twice
        answer = client.post(f"{begun['part']}/{number}", data={"photos": [(io.BytesIO(piece), "全部.zip")]})
        assert answer.status_code == 200
    early = client.post(begun["finish"], data={"parts": len(slices) + 1}, headers={"X-Requested-With": "fetch"})
    assert (early.status_code, "没有上传成功" in early.json["message"]) == (409, True)
    for _twice in range(2):
        assert client.post(begun["finish"], data={"parts": len(slices)}).json["location"] == f"/enrol/batches/{batch.id}/photos"
    assert run_jobs() == 1
    assert all(person.portrait_id for person in people(batch))
    assert db.session.scalar(select(func.count(PhotoPart.id))) == 0, "the parts go once they are used"
    late = client.post(f"{begun['part']}/9", data={"photos": [(io.BytesIO(b"x"), "x.zip")]}, headers={"X-Requested-With": "fetch"})
    assert late.status_code == 409


def test_another_enterprises_upload_is_not_found(login: Any, make: Any) -> None:
    batch = make.batch(make.plan(), 1, photos=False)
    begun = login(ENTERPRISE).post(f"/enrol/batches/{batch.id}/photos/portrait/begin", data={"form": "files", "count": 1}).json
    other = login(OTHER)
    for url in (f"/enrol/batches/{batch.id}/photos/portrait/begin", f"{begun['part']}/0", begun["finish"]):
        assert other.post(url, data={"form": "files"}).status_code == 404, url
    assert other.get(f"/enrol/batches/{batch.id}/photos").status_code == 404


def test_only_who_lacks_a_photo_is_listed_when_asked(login: Any, make: Any) -> None:
    batch = make.batch(make.plan(), 2)
    done, lacking = people(batch)
    lacking.portrait_id = None
    db.session.commit()
    text = login(ENTERPRISE).get(f"/enrol/batches/{batch.id}/photos?lacking=any").text
    assert f'id="person-{lacking.id}"' in text
    assert f'id="person-{done.id}"' not in text


def test_a_thumbnail_is_small_kept_by_the_browser_alone_and_as_guarded_as_the_photo(login: Any, make: Any) -> None:
    person = people(make.batch(make.plan(), 1))[0]
    url = f"/files/{person.portrait_id}/thumb"
    client = login(ENTERPRISE)
    answer = client.get(url)
    with Image.open(io.BytesIO(answer.data)) as image:
        assert max(image.size) <= 240
    assert answer.headers["Cache-Control"] == "private, max-age=86400"
    assert client.get(url, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert login(OTHER).get(url).status_code == 404
    assert login(OTHER).get(url, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 404


def test_one_by_one_the_name_of_the_file_does_not_matter(login: Any, make: Any) -> None:
    batch = make.batch(make.plan(), 1, photos=False)
    person = people(batch)[0]
    client = login(ENTERPRISE)
    client.post(f"/enrol/people/{person.id}/photos/portrait", data={"photo": (io.BytesIO(samples.portrait()), "IMG_1.jpg")})
    assert people(batch)[0].portrait_id
    client.post(f"/enrol/people/{person.id}/photos/id_front", data={"photo": (io.BytesIO(b"GIF89a"), "x.jpg")})
    assert people(batch)[0].id_front_id is None
    assert "不是 JPG" in client.get(f"/enrol/batches/{batch.id}/photos").text


def test_a_stored_photo_carries_nothing_but_the_picture(login: Any, make: Any) -> None:
    batch = make.batch(make.plan(), 1, photos=False)
    person = people(batch)[0]
    image, out = Image.new("RGB", (300, 420), "white"), io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    image.save(out, "JPEG", exif=exif, comment=b"<script>")
    client = login(ENTERPRISE)
    client.post(f"/enrol/people/{person.id}/photos/portrait", data={"photo": (io.BytesIO(out.getvalue()), "a.jpg")})
    kept = client.get(f"/files/{people(batch)[0].portrait_id}")
    assert kept.mimetype == "image/jpeg"
    assert b"secret place" not in kept.data
    assert b"<script>" not in kept.data
    stored = db.session.get(StoredFile, people(batch)[0].portrait_id)
    assert person.id_number not in stored.key + stored.name


def test_photos_of_an_ordered_list_do_not_change(login: Any, make: Any, run_jobs: Any) -> None:
    order = make.paid(make.plan(), 1)
    person = order.enrolments[0]
    before = person.portrait_id
    client = login(ENTERPRISE)
    client.post(f"/enrol/people/{person.id}/photos/portrait", data={"photo": (io.BytesIO(samples.portrait(2)), "a.jpg")})
    batch = db.session.get(ImportBatch, order.batch_id)
    bring(client, batch, "portrait", ("p.zip", zipped({f"{person.id_number}.jpg": samples.portrait(3)})))
    run_jobs()
    assert db.session.get(Enrolment, person.id).portrait_id == before


def test_photos_are_seen_by_those_the_person_concerns_and_nobody_else(login: Any, make: Any) -> None:
    draft = people(make.batch(make.plan(), 1))[0]
    enrolled = make.paid(make.plan(), 1).enrolments[0]
    for username, sees_draft, sees_enrolled in (
            (ENTERPRISE, 200, 200), (OTHER, 404, 404), ("hjp", 404, 200), ("nbp", 404, 404), ("hangzhou", 404, 200),
            ("ningbo", 404, 404), ("province", 404, 200)):
        client = login(username)
        assert client.get(f"/files/{draft.portrait_id}").status_code == sees_draft, username
        assert client.get(f"/files/{enrolled.portrait_id}").status_code == sees_enrolled, username


def test_a_visitor_sees_no_photo(client: Any, make: Any) -> None:
    draft = people(make.batch(make.plan(), 1))[0]
    assert client.get(f"/files/{draft.portrait_id}").status_code == 302
