"""The licence read by machine in the registration and on the reviewer's page (E4, A3): it proposes, the person confirms."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.extensions import db
from models import Enterprise, LicenceReading
from tests.parties import PHONE, USCC, Parties, photo, typed
from tests.test_drafts import FETCH, give, give_all, visitor_of

FIELDS = {"uscc": {"value": USCC, "confidence": 0.991, "suspect": False},
          "name": {"value": "杭州新城建设有限公司", "confidence": 0.97, "suspect": False},
          "established_on": {"value": "2018-05-06", "confidence": 0.95, "suspect": False},
          "address": {"value": "文三路1号", "confidence": 0.62, "suspect": False}}


@pytest.fixture
def parties(app: Any, clock: Any, login: Any, standins: Any) -> Parties:
    return Parties(app, login, standins)


def told(parties: Parties, state: str = "read", fields: Any = None) -> None:
    """The reading of the newest licence has ended so."""
    with parties.tables():
        reading = db.session.query(LicenceReading).order_by(LicenceReading.id.desc()).first()
        assert reading is not None
        db.session.execute(LicenceReading.__table__.update().where(LicenceReading.id == reading.id).values(
            state=state, fields=FIELDS if fields is None else fields))
        db.session.commit()


def ask(visitor: FlaskClient) -> Any:
    return visitor.get("/register/reading", headers=FETCH)


def test_a_licence_is_read_as_soon_as_it_is_uploaded(parties: Parties) -> None:
    visitor = visitor_of(parties)
    assert ask(visitor).status_code == 404
    give(visitor, "qualification", "zzzs.jpg")
    assert parties.count(LicenceReading) == 0
    give(visitor)
    told(parties, "waiting", {})
    assert ask(visitor).json["ended"] is False
    told(parties)
    answer = ask(visitor)
    assert answer.json["ended"] is True
    assert answer.json["fields"]["uscc"]["value"] == USCC
    assert answer.json["fields"]["founded_on"]["value"] == "2018-05-06"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert ask(visitor_of(parties)).status_code == 404


def test_without_scripts_what_was_read_stands_in_the_empty_fields(parties: Parties) -> None:
    visitor = visitor_of(parties)
    visitor.post("/register/save", data={"name": "我自己填的公司"}, headers=FETCH)
    give(visitor)
    told(parties)
    page = visitor.get("/register/").text
    assert f'value="{USCC}"' in page
    assert 'value="2018-05-06"' in page
    assert 'value="我自己填的公司"' in page
    assert 'value="杭州新城建设有限公司"' not in page


def test_what_was_read_must_be_confirmed_by_the_person(parties: Parties) -> None:
    visitor = visitor_of(parties)
    give_all(visitor)
    told(parties)
    code = parties.code()
    page = visitor.post("/register/", data=typed(code=code)).text
    assert "请对照营业执照逐项核对，并勾选确认" in page
    assert parties.count(Enterprise, uscc=USCC) == 0
    assert visitor.post("/register/", data=typed(code=code, confirmed="y")).status_code == 303


@pytest.mark.parametrize(("state", "words"), [("failed", "没有识别成功，请手工填写"), ("waiting", "可以先手工填写"),
                                              ("unavailable", "识别组件未安装，请手工填写")])
def test_a_reading_that_did_not_work_blocks_nobody(parties: Parties, state: str, words: str) -> None:
    visitor = visitor_of(parties)
    give_all(visitor)
    told(parties, state, {})
    assert words in ask(visitor).json["message"]
    assert visitor.post("/register/", data=typed(code=parties.code())).status_code == 303


def test_a_code_that_cannot_be_right_is_never_put_in(parties: Parties) -> None:
    visitor = visitor_of(parties)
    give(visitor)
    told(parties, fields={"uscc": {"value": "91330100MA2AAAA05H", "confidence": 0.9, "suspect": True}})
    assert 'value="91330100MA2AAAA05H"' not in visitor.get("/register/").text
    assert ask(visitor).json["fields"]["uscc"]["suspect"] is True


def test_the_reviewer_sees_both_and_what_differs(parties: Parties) -> None:
    visitor = visitor_of(parties)
    give_all(visitor)
    told(parties)
    answer = visitor.post("/register/", data=typed(code=parties.code(), confirmed="y", name="杭州新城建筑有限公司",
                                                   founded_on="2018-05-06"))
    assert answer.status_code == 303
    with parties.tables():
        enterprise = db.session.query(Enterprise).filter_by(uscc=USCC).one().id
    page = parties.login("hangzhou").get(f"/reviews/enterprises/{enterprise}").text
    assert "杭州新城建筑有限公司" in page
    assert "杭州新城建设有限公司" in page
    assert page.count("不一致") == 1  # blanks in the address make no difference
    assert "97%" in page
    assert PHONE not in page


def test_a_resubmission_says_what_changed(parties: Parties) -> None:
    enterprise = parties.registered()
    hangzhou = parties.login("hangzhou")
    hangzhou.post(f"/reviews/enterprises/{enterprise}/accept")
    hangzhou.post(f"/reviews/enterprises/{enterprise}/reject", data={"remark": "名称不符"})
    owner = parties.enter()
    fresh = {"name": "杭州新城集团有限公司", "legal_representative": "周新", "region_code": "330106", "address": "文三路 1 号",
             "contact_name": "沈经理", "phone": PHONE, "licence": (io.BytesIO(photo("新的执照")), "yyzz.jpg")}
    assert owner.post("/enterprise/edit", data=fresh, content_type="multipart/form-data").status_code == 303
    owner.post("/enterprise/submit")
    page = hangzhou.get(f"/reviews/enterprises/{enterprise}").text
    assert "与上次上报相比的变化" in page
    assert "杭州新城建设有限公司" in page
    assert "杭州新城集团有限公司" in page
    assert "资质证书" not in page[page.index('id="changes"'):page.index("</section>", page.index('id="changes"'))]
