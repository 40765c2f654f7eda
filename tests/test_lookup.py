"""The public look-up: two things must be known, little is told, and numbers cannot be tried out (P1, C17)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from app import create_app, workflow
from app.extensions import db, limiter
from app.operations import certificates
from models import Certificate


@pytest.fixture
def certificate(make: Any, app: Any) -> Certificate:
    report = make.report(people=1)
    certificates.run_issue(report.id, lambda done, total: None)
    return db.session.scalars(select(Certificate)).one()


@pytest.fixture
def limited(app: Any) -> Iterator[Any]:
    """A visitor of the real product, with the limits that tests otherwise do without."""
    product = create_app(replace(app.extensions["settings"], mode="demo"))
    limiter.reset()
    yield product.test_client()
    limiter.reset()
    limiter.enabled = False


def test_anyone_who_knows_name_and_one_number_finds_it(client: Any, certificate: Certificate) -> None:
    for query in ({"name": certificate.name, "number": certificate.number}, {"name": certificate.name, "id_number": certificate.id_number},
                  {"name": f" {certificate.name} ", "id_number": certificate.id_number.lower()}):
        page = client.get("/c/", query_string=query).text
        assert certificate.institution_name in page, query
        assert "有效" in page
        assert certificate.id_number[:6] + "********" in page
        assert certificate.name not in page.split('class="login"')[1].split("<form")[0], "the name that is told is masked"


@pytest.mark.parametrize("query", [
    {"name": "王"}, {"number": "N"}, {"id_number": "I"}, {"name": "别人", "number": "N"}, {"name": "王", "id_number": "330106199001010018"},
    {"name": "王", "number": "N", "id_number": "330106199001010018"}, {"name": "%", "number": "%"}, {"name": "王'--", "number": "' OR 1=1"},
    {"name": "王", "id_number": "*" * 500}, {"name": "\x00", "number": "\x00"},
])
def test_who_knows_too_little_is_told_nothing(client: Any, certificate: Certificate, query: dict[str, str]) -> None:
    real = {"N": certificate.number, "王": certificate.name, "I": certificate.id_number}
    answer = client.get("/c/", query_string={key: real.get(value, value) for key, value in query.items()})
    assert answer.status_code in (200, 400)
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
    workflow.move(Certificate, [certificate.id], "state", workflow.CERTIFICATE_MOVES, "valid", "revoked")
    for url in (f"/c/{certificate.number}", f"/c/?name={certificate.name}&number={certificate.number}"):
        page = client.get(url).text
        assert "已撤销" in page
        assert ">有效<" not in page


def test_the_look_up_stands_beside_the_sign_in(client: Any) -> None:
    page = client.get("/login/").text
    assert "证书查验" in page
    assert 'action="/c/"' in page


def test_no_cache_keeps_and_no_search_engine_lists_an_answer(client: Any, certificate: Certificate) -> None:
    for url in ("/c/", f"/c/{certificate.number}"):
        answer = client.get(url)
        assert "no-store" in answer.headers["Cache-Control"]
        assert "noindex" in answer.headers["X-Robots-Tag"]


def test_numbers_cannot_be_tried_out_one_after_another(certificate: Certificate, limited: Any) -> None:
    db.session.commit()
    for n in range(20):
        assert limited.get(f"/c/{n}").status_code == 404
    for n in range(10):
        assert limited.get("/c/", query_string={"name": "王", "number": str(n)}).status_code == 200
    for url in (f"/c/{certificate.number}", f"/c/?name={certificate.name}&number={certificate.number}"):
        answer = limited.get(url)
        assert answer.status_code == 429
        assert "操作太频繁" in answer.text
        assert certificate.institution_name not in answer.text
    assert limited.get("/c/").status_code == 200, "the empty form is free"
    elsewhere = limited.get(f"/c/{certificate.number}", environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert elsewhere.status_code == 200, "who tries numbers out locks nobody else out"
