"""Certificates that end: revoked or replaced, by one person or two, findable as that, told to the ministry (B6)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from app.extensions import db
from app.operations import certificates, push
from models import AuditEvent, Certificate, CertificateChange, Parameter
from tests.factory import id_number


@pytest.fixture
def certificate(make: Any, clock: Any) -> Certificate:
    certificates.run_issue(make.report(people=1).id, lambda done, total: None)
    return db.session.scalars(select(Certificate)).one()


def every() -> list[Certificate]:
    db.session.expire_all()
    return list(db.session.scalars(select(Certificate).order_by(Certificate.id)))


def run() -> None:
    push.run_push(0, lambda done, total: None)


def register(standins: Any) -> dict[str, Any]:
    return dict(standins.control("ministry", "certificates.json")["certificates"])


def test_a_revocation_has_a_reason_and_reaches_everyone(login: Any, client: Any, standins: Any, certificate: Certificate,
                                                      clock: Any) -> None:
    run()
    city = login("hangzhou")
    page = city.get(f"/certificates/{certificate.id}").text
    assert 'name="remark" rows="4" minlength="2"' in page, "said in the dialog, before it closes"
    assert "至少 2 个字" in page
    for short in (" ", "错"):
        city.post(f"/certificates/{certificate.id}/revoke", data={"remark": short})
    assert every()[0].state == "valid"
    city.post(f"/certificates/{certificate.id}/revoke", data={"remark": "考核作弊，成绩取消"})
    row = every()[0]
    assert (row.state, row.end_reason, row.push_state) == ("revoked", "考核作弊，成绩取消", "waiting")
    assert row.push_word == "pushed", "the ministry knows it; a change of it waits"
    page = city.get(f"/certificates/{row.id}").text
    assert "考核作弊" in page
    assert "变更待推送" in page
    assert "已撤销" in client.get(f"/c/{row.number}").text
    run()
    assert register(standins)[row.number]["status"] == "revoked"
    assert every()[0].push_state == "pushed"
    city.post(f"/certificates/{row.id}/revoke", data={"remark": "再撤销一次"})
    assert "已不是有效状态" in city.get("/certificates/").text
    assert "已被撤销：考核作弊" in login("hjp").get("/notices/").text
    assert db.session.scalar(select(func.count()).where(AuditEvent.verb == "revoke_certificate")) == 1


def test_a_corrected_certificate_has_a_new_number_and_names_the_old_one(login: Any, client: Any, standins: Any, certificate: Certificate,
                                                                        clock: Any) -> None:
    run()
    number = id_number(9999)
    city = login("hangzhou")
    assert "换发后原证书失效" in city.get(f"/certificates/{certificate.id}/replace").text, "what cannot be taken back is asked about"
    wrong = city.post(f"/certificates/{certificate.id}/replace", data={
        "cause": "corrected", "name": certificate.name, "id_number": "330106199001010019", "reason": "身份证号录入有误"})
    assert "身份证号不正确" in wrong.text
    answer = city.post(f"/certificates/{certificate.id}/replace", data={
        "cause": "corrected", "name": "王㛃", "id_number": number, "reason": "身份证号录入有误"})
    old, new = every()
    assert answer.location.endswith(f"/certificates/{new.id}")
    assert (old.state, new.state, new.replaces_id) == ("replaced", "valid", old.id)
    assert (new.name, new.id_number, int(new.number) - int(old.number)) == ("王㛃", number, 1)
    assert old.name != new.name
    run()
    told = register(standins)
    assert f'href="/c/{new.number}"' in client.get(f"/c/{old.number}").text, "whoever scans the old one is led to the one that counts"
    assert (told[old.number]["status"], told[new.number]["status"], told[new.number]["replaces"]) == ("replaced", "valid", old.number)
    page = client.get(f"/c/{old.number}").text
    assert "已换发" in page
    assert new.number in page
    assert city.get(f"/certificates/{old.id}/certificate.pdf").status_code == 409
    assert city.get(f"/certificates/{old.id}/replace").status_code == 409, "no form for what has ended"
    assert login("province").get(f"/certificates/{new.id}/replace").status_code == 403, "nor for another authority's"
    assert city.get(f"/certificates/{new.id}/certificate.pdf").status_code == 200
    # Nobody is issued another one because of it.
    city.post("/certificates/issue/", data={"all": "1", "issue": "all"})
    assert len(every()) == 2


def test_where_two_people_must_act_the_second_decides(login: Any, certificate: Certificate, app: Any) -> None:
    db.session.get(Parameter, "two_person_review").value = "1"
    db.session.commit()
    first, second = login("hangzhou"), colleague(app)
    first.post(f"/certificates/{certificate.id}/revoke", data={"remark": "考核作弊"})
    assert every()[0].state == "valid"
    first.post(f"/certificates/{certificate.id}/revoke", data={"remark": "又一次"})
    assert "已有待复核的申请" in first.get("/certificates/").text
    first.post(f"/certificates/{certificate.id}/decide", data={"agree": "1"})
    assert every()[0].state == "valid", "nobody agrees to what they asked for"
    assert certificate.number in second.get("/certificates/?change=asked").text
    page = login("hjp").get(f"/certificates/{certificate.id}").text
    assert "考核作弊" not in page, "what is only asked for is not told to others"
    assert "待复核" not in login("hjp").get("/certificates/").text
    second.post(f"/certificates/{certificate.id}/decide", data={"remark": "证据不足"})
    assert every()[0].state == "valid"
    first.post(f"/certificates/{certificate.id}/revoke", data={"remark": "补充证据后再申请"})
    second.post(f"/certificates/{certificate.id}/decide", data={"agree": "1"})
    assert every()[0].state == "revoked"
    assert [row.state for row in db.session.scalars(select(CertificateChange).order_by(CertificateChange.id))] == ["refused", "done"]
    page = first.get(f"/certificates/{certificate.id}").text
    assert "证据不足" in page


def colleague(app: Any) -> Any:
    """Another person of the same authority."""
    from flask_appbuilder.security.sqla.models import Role, User
    from werkzeug.security import generate_password_hash

    from models import Account

    role = db.session.scalars(select(Role).where(Role.name == "主管部门")).one()
    account = db.session.scalars(select(Account).join(Account.user).where(User.username == "hangzhou")).one()
    user = User(username="hangzhou2", first_name="王", last_name="复核", email="second@example.com", active=True,
                password=generate_password_hash("Demo2026!", "pbkdf2:sha256:1000"), roles=[role])
    db.session.add(user)
    db.session.flush()
    db.session.add(Account(user_id=user.id, party="authority", authority_id=account.authority_id))
    db.session.commit()
    client = app.test_client()
    assert client.post("/login/", data={"party": "authority", "username": "hangzhou2", "password": "Demo2026!"}).status_code == 303
    return client


@pytest.mark.parametrize(("username", "status"), [("ningbo", 404), ("province", 303), ("hjp", 403), ("91330100MA2AAAA05G", 403)])
def test_only_the_authority_that_issued_it_ends_it(login: Any, certificate: Certificate, username: str, status: int) -> None:
    client = login(username)
    assert client.post(f"/certificates/{certificate.id}/revoke", data={"remark": "不该撤销"}).status_code == status
    assert every()[0].state == "valid"


def test_one_that_is_revoked_while_it_is_pushed_is_pushed_again_as_revoked(login: Any, standins: Any, certificate: Certificate,
                                                                          monkeypatch: Any, clock: Any) -> None:
    city, send = login("hangzhou"), push.MinistryGateway.push

    def slow(self: Any, record: Any) -> None:
        send(self, record)
        db.session.remove()

    write = push._write

    def revoked_meanwhile(outcomes: Any) -> None:
        monkeypatch.setattr(push, "_write", write)
        city.post(f"/certificates/{certificate.id}/revoke", data={"remark": "推送途中撤销"})
        write(outcomes)

    monkeypatch.setattr(push, "_write", revoked_meanwhile)
    run()
    run()
    assert register(standins)[certificate.number]["status"] == "revoked"
    assert every()[0].push_state == "pushed"
