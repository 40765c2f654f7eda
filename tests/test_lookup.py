"""The public look-up: two things must be known, little is told, and numbers cannot be tried out (P1, C17)."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from app import clock, workflow
from app.extensions import db
from app.operations import captchas, certificates
from app.operations.maintenance import FILE
from models import Certificate, SpentCaptcha


@pytest.fixture
def certificate(make: Any, app: Any) -> Certificate:
    report = make.report(people=1)
    certificates.run_issue(report.id, lambda done, total: None)
    return db.session.scalars(select(Certificate)).one()


def asked(client: Any, place: str = "/c/", **typed: str) -> Any:
    """The form as a person sends it, the captcha read from its picture."""
    page = client.get("/c/").text
    token = re.search(r'name="captcha_token"[^>]*value="([^"]+)"', page)
    csrf = re.search(r'name="csrf_token" value="([^"]*)"', page)
    assert token is not None
    assert csrf is not None
    sent = {"captcha_token": token[1], "captcha": captchas.answer_of(token[1]), "csrf_token": csrf[1], **typed}
    return client.post(place, data=sent)


def test_anyone_who_knows_name_and_one_number_finds_it(client: Any, certificate: Certificate) -> None:
    for query in ({"name": certificate.name, "number": certificate.number}, {"name": certificate.name, "id_number": certificate.id_number},
                  {"name": f" {certificate.name} ", "id_number": certificate.id_number.lower()}):
        page = asked(client, **query).text
        assert certificate.institution_name in page, query
        assert "有效" in page
        assert certificate.id_number[:6] + "********" in page
        assert certificate.name not in page.split('class="login"')[1].split("<form")[0], "the name that is told is masked"


def test_without_the_right_captcha_nothing_is_told_and_what_was_typed_stays(client: Any, certificate: Certificate) -> None:
    typed = {"name": certificate.name, "number": certificate.number}
    for captcha in ("", "XXXX", "wrong and too long"):
        answer = asked(client, **typed, captcha=captcha)
        assert answer.status_code == 422
        assert certificate.institution_name not in answer.text
        assert f'value="{certificate.number}"' in answer.text


def test_a_captcha_serves_one_question(client: Any, certificate: Certificate) -> None:
    token = captchas.new()
    sent = {"captcha_token": token, "captcha": captchas.answer_of(token), "name": certificate.name, "number": certificate.number}
    assert certificate.institution_name in client.post("/c/", data=sent).text
    again = client.post("/c/", data=sent)
    assert again.status_code == 422
    assert certificate.institution_name not in again.text


def test_an_id_number_never_stands_in_an_address(client: Any, certificate: Certificate) -> None:
    page = client.get("/c/", query_string={"name": certificate.name, "id_number": certificate.id_number})
    assert certificate.institution_name not in page.text
    assert certificate.id_number not in page.text
    assert 'method="post" action="/c/"' in page.text


@pytest.mark.parametrize("query", [
    {"name": "王"}, {"number": "N"}, {"id_number": "I"}, {"name": "别人", "number": "N"}, {"name": "王", "id_number": "330106199001010018"},
    {"name": "王", "number": "N", "id_number": "330106199001010018"}, {"name": "%", "number": "%"}, {"name": "王'--", "number": "' OR 1=1"},
    {"name": "王", "id_number": "*" * 500}, {"name": "\x00", "number": "\x00"},
])
def test_who_knows_too_little_is_told_nothing(client: Any, certificate: Certificate, query: dict[str, str]) -> None:
    real = {"N": certificate.number, "王": certificate.name, "I": certificate.id_number}
    answer = asked(client, **{key: real.get(value, value) for key, value in query.items()})
    assert answer.status_code in (200, 400, 422)
    assert certificate.institution_name not in answer.text


def test_the_qr_leads_to_the_same_page_and_tells_neither_name_nor_number_of_the_holder(client: Any, certificate: Certificate) -> None:
    page = client.get(f"/c/{certificate.number}")
    assert page.status_code == 200
    assert certificate.institution_name in page.text
    assert certificate.name not in page.text
    assert certificate.id_number[-4:] not in page.text.replace(certificate.number, "")
    assert f'value="{certificate.number}"' in page.text, "the number stands in the form, the name is still to be typed"
    assert client.get("/c/3399999999999999").status_code == 404
    assert client.get("/c/" + "9" * 500).status_code == 404


def test_a_revoked_certificate_says_so(client: Any, certificate: Certificate) -> None:
    workflow.move(Certificate, [certificate.id], "state", workflow.CERTIFICATE_MOVES, "valid", "revoked", ended_at=clock.now())
    pages = client.get(f"/c/{certificate.number}").text, asked(client, name=certificate.name, number=certificate.number).text
    for page in pages:
        assert "这张证书已撤销，不再有效" in page
        assert ">有效<" not in page


def test_the_look_up_stands_beside_the_sign_in(client: Any) -> None:
    page = client.get("/login/").text
    assert "证书查验" in page
    assert 'action="/c/"' in page


def test_who_has_a_pdf_in_hand_finds_its_check_where_certificates_are_looked_up(client: Any) -> None:
    for place in ("/login/", "/c/"):
        assert client.get(place).text.count('href="/verify/"') == 1, place
    assert 'href="/c/"' in client.get("/verify/").text


def test_no_cache_keeps_and_no_search_engine_lists_an_answer(client: Any, certificate: Certificate) -> None:
    for url in ("/c/", f"/c/{certificate.number}"):
        answer = client.get(url)
        assert "no-store" in answer.headers["Cache-Control"]
        assert "noindex" in answer.headers["X-Robots-Tag"]


def test_numbers_cannot_be_tried_out_one_after_another(certificate: Certificate, limited: Any) -> None:
    db.session.commit()
    for n in range(20):
        assert limited.get(f"/c/{n}").status_code == 404
    for n in range(5):
        assert limited.post("/c/check", json={"name": "王", "number": str(n)}).status_code == 404
        assert asked(limited, name="王", number=str(n)).status_code == 200
    known = {"name": certificate.name, "number": certificate.number}
    plain = limited.post("/c/check", json=known)
    assert (plain.status_code, plain.mimetype) == (429, "application/json"), "who sends JSON is answered in JSON, without an Accept header"
    for answer in (limited.get(f"/c/{certificate.number}"), asked(limited, **known), limited.post("/c/check", json=known)):
        assert answer.status_code == 429
        assert "操作太频繁" in (answer.json["message"] if answer.is_json else answer.text)
        wait = int(answer.headers["Retry-After"])
        assert 1 <= wait <= 61
        assert (answer.json["retry_after"] == wait) if answer.is_json else "再试" in answer.text
        assert certificate.institution_name not in answer.text
    assert limited.get("/c/").status_code == 200, "the empty form is free"
    elsewhere = limited.get(f"/c/{certificate.number}", environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert elsewhere.status_code == 200, "who tries numbers out locks nobody else out"


def test_whoever_asks_too_often_is_told_when_to_come_again(limited: Any) -> None:
    """Any limited page: the moment on the page, the seconds in the header and to a script."""
    answers = [limited.get("/verify/"), *(limited.get("/captcha/new") for _each in range(61))]
    assert [answer.status_code for answer in answers] == [200] * 61 + [429]
    minute = answers[-1]
    wait = int(minute.headers["Retry-After"])
    assert 1 <= wait <= 61
    assert re.search(rf"请在 ({wait} 秒|1 分钟|2 分钟)后（\d\d:\d\d 起）再试", minute.text)
    assert "no-store" in minute.headers["Cache-Control"]
    told = limited.get("/captcha/new", headers={"X-Requested-With": "fetch"})
    assert (told.status_code, told.json["retry_after"]) == (429, int(told.headers["Retry-After"]))
    assert "再试" in told.json["message"]
    token = re.search(r'name="csrf_token"[^>]*value="([^"]*)"', limited.get("/register/").text)
    assert token is not None
    hour = [limited.post("/register/", data={"csrf_token": token[1]}) for _each in range(61)][-1]
    assert hour.status_code == 429
    assert 3500 < int(hour.headers["Retry-After"]) <= 3601
    assert re.search(r"请在 (59|60) 分钟|1 小时|2 小时", hour.text)


def test_a_machine_is_told_the_same_as_a_person(client: Any, certificate: Certificate) -> None:
    known = client.post("/c/check", json={"name": certificate.name, "number": certificate.number})
    assert known.status_code == 200
    told = known.json["certificate"]
    assert (told["state"], told["number"], told["issued_on"]) == ("valid", certificate.number, certificate.issued_on.isoformat())
    assert told["id_number"] == certificate.masked_id_number
    assert certificate.name not in known.get_data(as_text=True)
    by_code = client.get(f"/c/{certificate.number}", headers={"Accept": "application/json"}).json["certificate"]
    assert by_code == {**told, "id_number": ""}, "who names nobody is told nothing of the ID number"


@pytest.mark.parametrize("body", [None, [], "text", {"name": "王"}, {"number": "1"}, {"name": " ", "number": "1"},
                                  {"name": None, "number": None}, {"name": {"a": 1}}])
def test_a_machine_that_asks_wrongly_is_told_what_is_missing(client: Any, body: Any) -> None:
    answer = client.post("/c/check", data=json.dumps(body), content_type="application/json")
    assert answer.status_code == 422
    assert "name" in answer.json["message"]


def test_a_machine_is_told_nothing_by_an_id_number(client: Any, certificate: Certificate) -> None:
    """No captcha stands there, so ID numbers could be tried."""
    for field in ("id_number", "number"):
        answer = client.post("/c/check", json={"name": certificate.name, field: certificate.id_number})
        assert answer.status_code in (404, 422)
        assert certificate.number not in answer.get_data(as_text=True)


@pytest.fixture
def closed(app: Any) -> Iterator[Any]:
    """The portal while it is being serviced, until 6 o'clock of some morning."""
    run = app.test_cli_runner().invoke
    assert run(args=["maintenance", "on", "--until", "2099-01-02 06:00"]).exit_code == 0
    yield run
    run(args=["maintenance", "off"])


def test_the_look_up_goes_on_while_the_rest_is_being_serviced(client: Any, certificate: Certificate, closed: Any) -> None:
    assert certificate.institution_name in client.get(f"/c/{certificate.number}").text
    assert certificate.institution_name in asked(client, name=certificate.name, number=certificate.number).text
    assert db.session.query(SpentCaptcha).count() == 0, "the database is left alone"
    assert "无法核验" in client.post("/verify/", data={"file": (io.BytesIO(b"%PDF-1.7"), "x.pdf")}).text, "files are checked too"
    for method, place in (("get", "/login/"), ("get", "/"), ("post", "/login/"), ("get", "/register/"), ("post", "/pay/alipay/notify"),
                          ("get", "/nowhere"), ("get", "/console/")):
        answer = getattr(client, method)(place)
        assert answer.status_code == 503, place
        assert "系统维护中" in answer.text
        assert "2099-01-02 06:00" in answer.text
        assert int(answer.headers["Retry-After"]) > 0
    sheet = client.get("/static/css/portal.css")
    assert sheet.status_code == 200
    sheet.close()
    assert client.get("/healthz").status_code in (200, 503)
    assert "系统维护中" not in client.get("/healthz").text


def test_who_is_signed_in_sees_that_it_is_closed_and_goes_on_afterwards(login: Any, closed: Any) -> None:
    closed(args=["maintenance", "off"])
    person = login("hjp")
    closed(args=["maintenance", "on", "--words", "数据库升级"])
    page = person.get("/plans/")
    assert page.status_code == 503
    assert "数据库升级" in page.text
    assert person.get("/plans/", headers={"X-Requested-With": "fetch"}).json == {"message": "数据库升级"}
    closed(args=["maintenance", "off"])
    assert person.get("/plans/").status_code == 200


def test_an_announced_end_lies_ahead_and_a_broken_announcement_still_closes(client: Any, app: Any, closed: Any) -> None:
    assert closed(args=["maintenance", "on", "--until", "2020-01-01 06:00"]).exit_code == 2
    assert "2099" in client.get("/login/").text, "the earlier announcement stands"
    (app.extensions["settings"].var_dir / FILE).write_text("{", encoding="utf-8")
    assert client.get("/login/").status_code == 503
    assert closed(args=["maintenance", "off"]).output.strip() == "The portal is open again."
    assert closed(args=["maintenance", "off"]).output.strip() == "The portal was open."
    assert client.get("/login/").status_code == 200
