"""The signed PDF: made once and kept, shown as untouched or not, by keys that can be changed; many of them in a zip (I27)."""

from __future__ import annotations

import io
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from app import clock, jobs
from app.documents import signing
from app.extensions import db
from app.operations import certificate_papers, certificates, layouts, signing_keys
from models import AuditEvent, Authority, Certificate, CertificateArchive, Enrolment, Job, SigningKey, StoredFile
from standins.timestamps import _authority
from workers.jobs import perform_here


@pytest.fixture
def certificate(make: Any, app: Any) -> Certificate:
    certificates.run_issue(make.report(people=1).id, lambda done, total: None)
    return db.session.scalars(select(Certificate)).one()


def pdf_of(client: Any, certificate: Certificate) -> bytes:
    answer = client.get(f"/certificates/{certificate.id}/certificate.pdf")
    assert answer.status_code == 200, answer.text
    return bytes(answer.data)


def verified(client: Any, pdf: bytes) -> dict[str, Any]:
    answer = client.post("/verify/", data={"file": (io.BytesIO(pdf), "证书.pdf")}, headers={"X-Requested-With": "fetch"})
    return dict(answer.json)


def test_what_is_handed_out_stays_the_same_and_is_shown_as_untouched(login: Any, client: Any, certificate: Certificate,
                                                                      run_jobs: Any) -> None:
    run_jobs()
    first = pdf_of(login("hjp"), certificate)
    assert first == pdf_of(login("hangzhou"), certificate)
    assert db.session.scalar(select(func.count()).where(StoredFile.kind == "certificate")) == 1
    found = verified(client, first)
    assert found["untouched"] is True
    assert (found["number"], found["state"]) == (certificate.number, "valid")
    page = client.post("/verify/", data={"file": (io.BytesIO(first), "x.pdf")}).text
    assert "没有被修改" in page
    assert certificate.name not in page
    assert certificate.id_number not in page


def test_the_file_of_a_replaced_one_is_untouched_and_names_the_one_in_force(login: Any, client: Any, certificate: Certificate) -> None:
    city = login("hangzhou")
    first = pdf_of(city, certificate)
    for _twice in range(2):
        latest = db.session.scalars(select(Certificate).order_by(Certificate.id.desc())).first()
        city.post(f"/certificates/{latest.id}/replace", data={"cause": "lost", "reason": "遗失补证"})
    in_force = db.session.scalars(select(Certificate).where(Certificate.state == "valid")).one()
    found = verified(client, first)
    assert (found["untouched"], found["state"], found["replaced_by"]) == (True, "replaced", in_force.number)
    page = client.post("/verify/", data={"file": (io.BytesIO(first), "x.pdf")}).text
    assert f'href="/c/{in_force.number}"' in page
    assert (certificate.name in page, certificate.id_number in page) == (False, False)
    city.post(f"/certificates/{in_force.id}/revoke", data={"remark": "成绩取消"})
    assert verified(client, first)["replaced_by"] == "", "no certificate is in force any more"


def test_one_byte_and_an_appended_update_are_found(login: Any, client: Any, certificate: Certificate) -> None:
    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    signed = pdf_of(login("hjp"), certificate)
    for at in (len(signed) // 4, len(signed) // 2, len(signed) - 2000):
        changed = bytearray(signed)
        changed[at] ^= 1
        assert verified(client, bytes(changed))["untouched"] is False
    writer, out = IncrementalPdfFileWriter(io.BytesIO(signed)), io.BytesIO()
    writer.root["/Lang"] = generic.pdf_string("zh")
    writer.update_root()
    writer.write(out)
    assert "修改过" in verified(client, out.getvalue())["sentence"]
    assert verified(client, signed + b"\n%more")["untouched"] is False


def test_a_strangers_signature_and_no_signature_are_none_of_ours(login: Any, client: Any, certificate: Certificate) -> None:
    private, own = signing.draw_key("某某单位", days=10, at=clock.now())
    plain = certificate_papers._drawn(certificate_papers._load([certificate.id], []), layouts.current("certificate"))[0][1]
    forged = signing.Signer(private, own).sign(plain, number=certificate.number, name="杭州市建设局")
    assert "不是由本平台" in verified(client, forged)["sentence"]
    assert verified(client, forged)["number"] == ""
    assert "没有电子签名" in verified(client, plain)["sentence"]
    assert "无法核验" in verified(client, b"%PDF-1.7\nrubbish")["sentence"]
    for hostile, status in ((b"MZ", 422), (b"", 422), (b"%PDF-" + b"0" * (5 * 1024 * 1024), 422)):
        assert client.post("/verify/", data={"file": (io.BytesIO(hostile), "x.pdf")}).status_code == status


def test_threads_that_sign_at_once_share_no_object_of_asn1_and_the_first_signs_alone(monkeypatch: Any, make: Any) -> None:
    from asn1crypto import tsp
    from pyhanko.sign import signers
    from pyhanko.sign.timestamps.api import TimeStamper

    certificates.run_issue(make.report(people=1).id, lambda done, total: None)
    key = db.session.scalars(select(Certificate.id)).one()
    plain = certificate_papers._drawn(certificate_papers._load([key], []), layouts.current("certificate"))[0][1]
    used: list[Any] = []
    counts, at_work, both = [], [0], threading.Barrier(2)
    sign_pdf = signers.sign_pdf

    def watched(writer: Any, meta: Any, signer: Any, timestamper: Any, **values: Any) -> Any:
        at_work[0] += 1
        counts.append(at_work[0])
        if signing._signed_once.is_set():
            both.wait(10)
        used.extend((signer, signer.signing_cert, signer.cert_registry, timestamper))
        done = sign_pdf(writer, meta, signer, timestamper=timestamper, **values)
        at_work[0] -= 1
        return done

    asked: list[bytes] = []
    lock = threading.Lock()
    authority = _authority(clock.now().replace(hour=0, minute=0, second=0, microsecond=0), "TIME_STAMPING")

    def stamp(digest: bytes) -> bytes:
        asked.append(digest)
        imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest}
        with lock:
            answer = authority.request_tsa_response(tsp.TimeStampReq({"version": "v1", "cert_req": True, "message_imprint": imprint}))
            return bytes(answer["time_stamp_token"].dump())

    monkeypatch.setattr(signers, "sign_pdf", watched)
    monkeypatch.setattr(signing, "_signed_once", threading.Event())
    signer = signing.Signer(*signing.draw_key("某某单位", days=10, at=clock.now()), stamp)
    with ThreadPoolExecutor(3) as pool:
        signed = list(pool.map(lambda n: signer.sign(plain, number=f"N{n}", name="甲"), range(3)))
    assert counts[0] == 1
    assert max(counts) == 2, "the first alone, then side by side"
    assert isinstance(used[3], TimeStamper)
    assert len(set(map(id, used))) == 3 * 4
    assert len(asked) == 4, "one to measure, and one for each"
    assert {signing.examine(pdf).state for pdf in signed} == {"untouched"}


def test_two_that_make_it_at_once_keep_one(app: Any, certificate: Certificate) -> None:
    db.session.commit()
    gate, key = threading.Barrier(2), certificate.id

    def make() -> None:
        with app.app_context():
            gate.wait(10)
            certificate_papers.make([key])
            db.session.remove()

    threads = [threading.Thread(target=make) for _each in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db.session.rollback()
    assert db.session.scalar(select(func.count()).where(StoredFile.kind == "certificate")) == 1


def test_a_worker_killed_while_drawing_goes_on_where_it_stopped(make: Any, app: Any, monkeypatch: Any) -> None:
    report = make.report(people=3)
    certificates.run_issue(report.id, lambda done, total: None)
    monkeypatch.setattr(certificate_papers, "CHUNK", 1)
    keep, calls = certificate_papers._sign_and_keep, []

    def killed(drawn: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise SystemExit("killed")
        keep(drawn)

    monkeypatch.setattr(certificate_papers, "_sign_and_keep", killed)
    with pytest.raises(SystemExit):
        certificate_papers.run_render(report.id, lambda done, total: None)
    db.session.rollback()
    first = db.session.scalars(select(Certificate.file_id).where(Certificate.file_id.is_not(None))).all()
    certificate_papers.run_render(report.id, lambda done, total: None)
    files = db.session.scalars(select(Certificate.file_id)).all()
    assert len(first) == 1
    assert set(first) < set(files)
    assert None not in files


def test_a_long_signing_gives_way_to_other_jobs_and_goes_on_as_the_same_job(make: Any, run_jobs: Any, standins: Any,
                                                                           monkeypatch: Any) -> None:
    monkeypatch.setattr(certificate_papers, "PART", 2)
    report = make.report(people=5)
    certificates.run_issue(report.id, lambda done, total: None)
    odd = db.session.scalars(select(Certificate).order_by(Certificate.number)).first()
    odd.name = "王\ue000"
    job = db.session.scalars(select(Job).where(Job.name == certificates.RENDER_JOB)).one()
    push = jobs.schedule("push_certificates", 0)
    db.session.commit()
    assert jobs.due() == [job.id, push.id]
    perform_here(job.id)
    db.session.expire_all()
    assert (job.state, job.percent, jobs.due()) == ("waiting", 60, [push.id, job.id]), "the push comes next"
    assert len(db.session.scalars(select(StoredFile.id).where(StoredFile.kind == "certificate")).all()) == 2
    run_jobs()
    assert (job.state, job.error) == ("done", ""), "the one that waits for a font is no failure of the others"
    assert db.session.scalar(select(func.count(Certificate.file_id))) == 4
    assert db.session.scalar(select(func.count()).where(Job.name == certificates.RENDER_JOB)) == 1


def test_a_zip_of_certificates_that_were_never_drawn_gives_way_too(make: Any, login: Any, run_jobs: Any, standins: Any,
                                                                    monkeypatch: Any) -> None:
    monkeypatch.setattr(certificate_papers, "PART", 2)
    certificates.run_issue(make.report(people=5).id, lambda done, total: None)
    odd = db.session.scalars(select(Certificate).order_by(Certificate.number)).first()
    odd.name = "王\ue000"
    db.session.execute(delete(Job))
    db.session.commit()
    hjp = login("hjp")
    where = hjp.post("/certificates/archives", data={"all": "1"}).location
    job = db.session.scalars(select(Job)).one()
    push = jobs.schedule("push_certificates", 0)
    db.session.commit()
    perform_here(job.id)
    db.session.expire_all()
    assert (job.state, job.percent, jobs.due()) == ("waiting", 60, [push.id, job.id]), "the push comes next"
    assert hjp.get(f"{where}/certificates.zip").status_code == 409, "no half of it is handed out"
    run_jobs()
    assert (job.state, job.percent) == ("done", 100)
    assert len(zipfile.ZipFile(io.BytesIO(hjp.get(f"{where}/certificates.zip").data)).namelist()) == 4
    assert "字库里没有" in hjp.get(where).text, "the one that cannot be printed is named"


def test_a_name_that_no_font_can_print_waits_for_one_and_is_made_when_it_came(make: Any, login: Any, run_jobs: Any, clock: Any,
                                                                              monkeypatch: Any) -> None:
    report = make.report(people=3)
    odd, rare, _third = db.session.scalars(select(Enrolment).order_by(Enrolment.id)).all()
    odd.name, rare.name = "王\U0003fffe", "王㛃䶮"
    db.session.commit()
    city, admin = login("hangzhou"), login("admin")
    before = city.get(f"/certificates/issue/{report.id}").text
    assert "王\U0003fffe（U+3FFFE）。生成后编号有效" in before, "said before they are given"
    assert "㛃" not in before
    assert "U+3FFFE" in city.get("/certificates/issue/").text
    city.post("/certificates/issue/", data={"ids": report.id})
    run_jobs()
    made = {row.name: row for row in db.session.scalars(select(Certificate))}
    waiting = made[odd.name]
    assert {row.name for row in made.values() if row.file_id is None} == {odd.name}
    job = jobs.latest(certificates.RENDER_JOB, report.id)
    assert job is not None
    assert (job.state, job.error) == ("done", ""), "nothing stays red"
    hjp, where = login("hjp"), f"/certificates/{waiting.id}"
    page = hjp.get(where).text
    assert "中的 U+3FFFE" in page
    assert "请联系系统管理员" in page
    assert f"{where}/certificate.pdf" not in page, "no button that ends on a refusal"
    assert f"/certificates/{made[rare.name].id}/certificate.pdf" in hjp.get(f"/certificates/{made[rare.name].id}").text
    refused = hjp.get(f"{where}/certificate.pdf")
    assert (refused.status_code, "U+3FFFE" in refused.text) == (409, True)
    assert "U+3FFFE" in city.get(f"/certificates/issue/{report.id}").text
    hjp.get("/lang/en")
    english = hjp.get(where).text
    assert "U+3FFFE" in english
    assert "font" in english
    assert "system administrator" in english
    clock.advance(hours=2)
    assert not certificate_papers.can_make_good(), "no font has come: no job is written in vain"
    monkeypatch.setattr(certificate_papers, "missing_glyphs", lambda _text: [])
    assert certificate_papers.can_make_good()
    jobs.schedule(certificate_papers.MAKE_GOOD_JOB, 0)
    run_jobs()
    db.session.refresh(waiting)
    assert waiting.file_id is not None
    assert f"{where}/certificate.pdf" in hjp.get(where).text
    assert not certificate_papers.can_make_good()
    assert "重新运行" not in admin.get(f"/certificates/issue/{report.id}").text


def test_an_authority_signs_with_its_own_key_and_old_signatures_stay_known(login: Any, client: Any, make: Any,
                                                                        certificate: Certificate) -> None:
    hangzhou = db.session.get_one(Authority, certificate.authority_id)
    city, admin = login("hangzhou"), login("admin")
    before = pdf_of(city, certificate)
    assert city.post("/signing/draw", data={"authority_id": hangzhou.id}).status_code == 403
    admin.post("/signing/draw", data={"authority_id": hangzhou.id})
    certificates.run_issue(make.report(people=1).id, lambda done, total: None)
    second = db.session.scalars(select(Certificate).order_by(Certificate.id.desc())).first()
    assert verified(client, pdf_of(city, second))["signer"] == hangzhou.name
    assert verified(client, before)["signer"] == "建设工人培训管理（演示）"
    key = db.session.scalars(select(SigningKey)).one()
    assert "-----BEGIN" in key.private_key
    admin.post(f"/signing/{key.id}/retire")
    assert verified(client, pdf_of(city, second))["signer"] == hangzhou.name
    assert "已停用" in city.get("/signing/").text


def test_a_key_file_is_taken_with_its_password_and_refused_in_words_without(login: Any, app: Any) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import pkcs12
    from cryptography.x509 import load_pem_x509_certificate

    private, own = signing.draw_key("浙江省住建厅", days=30, at=clock.now())
    packed = pkcs12.serialize_key_and_certificates(
        b"x", serialization.load_pem_private_key(private.encode(), None), load_pem_x509_certificate(own.encode()), None,
        serialization.BestAvailableEncryption(b"secret"))
    _other, another = signing.draw_key("别人", days=30, at=clock.now())
    old = signing.draw_key("过期", days=1, at=clock.now() - timedelta(days=9))
    admin = login("admin")
    for data, password, said in ((packed, "wrong", "密码不对"), (b"rubbish", "", "密码不对"), 
                                 ((private + another).encode(), "", "不是一对"),
                                 (private.encode(), "", "没有证书"), ("".join(old).encode(), "", "有效期")):
        admin.post("/signing/add", data={"file": (io.BytesIO(data), "k.p12"), "password": password})
        assert said in admin.get("/signing/").text
    admin.post("/signing/add", data={"file": (io.BytesIO(packed), "k.p12"), "password": "secret"})
    page = admin.get("/signing/").text
    assert "浙江省住建厅" in page
    assert "即将到期" in page


def test_without_a_key_that_is_valid_nothing_is_signed(login: Any, certificate: Certificate, monkeypatch: Any) -> None:
    client = login("hjp")
    monkeypatch.setattr(signing_keys, "_of_settings", lambda: None)
    answer = client.get(f"/certificates/{certificate.id}/certificate.pdf")
    assert answer.status_code == 409
    assert "签章密钥" in answer.text


def test_the_institution_has_its_pdfs_in_one_zip_for_a_day(login: Any, make: Any, run_jobs: Any, clock: Any) -> None:
    certificates.run_issue(make.report(people=3).id, lambda done, total: None)
    hjp = login("hjp")
    where = hjp.post("/certificates/archives", data={"all": "1"}).location
    assert hjp.get(f"{where}/certificates.zip").status_code == 409
    run_jobs()
    db.session.execute(update(CertificateArchive).values(created_at=datetime(2026, 3, 1, 17, 0, tzinfo=UTC)))
    db.session.commit()
    handed = hjp.get(f"{where}/certificates.zip")
    assert "2026-03-02.zip" in handed.headers["Content-Disposition"], "the day in Shanghai"
    archive = zipfile.ZipFile(io.BytesIO(handed.data))
    assert len(archive.namelist()) == 3
    assert all(archive.read(name).startswith(b"%PDF") for name in archive.namelist())
    assert db.session.scalar(select(func.count()).where(AuditEvent.verb == "pack_certificates")) == 1
    for username in ("nbp", "hangzhou"):
        assert login(username).get(f"{where}/certificates.zip").status_code == 404
    clock.advance(hours=25)
    from app.operations.certificate_archives import run_tidy
    run_tidy(0, lambda done, total: None)
    assert db.session.scalar(select(func.count()).select_from(CertificateArchive)) == 0
    assert db.session.scalar(select(func.count()).where(StoredFile.kind == "certificate_zip")) == 0
