"""The signed PDF: made once and kept, shown as untouched or not, by keys that can be changed; many of them in a zip (I27)."""

from __future__ import annotations

import io
import threading
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from app import clock, jobs
from app.documents import signing
from app.extensions import db
from app.operations import certificate_papers, certificates, layouts, signing_keys
from models import AuditEvent, Authority, Certificate, CertificateArchive, Job, SigningKey, StoredFile
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
    assert (job.state, "字库里没有" in job.error) == ("failed", True), "the one that cannot be printed is named at the end"
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


def test_a_name_that_no_font_can_print_is_said_and_holds_up_nobody(make: Any, login: Any, run_jobs: Any) -> None:
    report = make.report(people=3)
    certificates.run_issue(report.id, lambda done, total: None)
    odd, rare, _third = db.session.scalars(select(Certificate).order_by(Certificate.id)).all()
    odd.name, rare.name = "王\ue000", "王㛃䶮"
    db.session.commit()
    run_jobs()
    db.session.expire_all()
    assert [row.file_id is not None for row in (odd, rare, _third)] == [False, True, True]
    client = login("hjp")
    assert "字库里没有" in client.get(f"/certificates/{odd.id}").text
    assert client.get(f"/certificates/{odd.id}/certificate.pdf").status_code == 409


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
    archive = zipfile.ZipFile(io.BytesIO(hjp.get(f"{where}/certificates.zip").data))
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
