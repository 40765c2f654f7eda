"""A registration saved as it is filled in (E1), and the captcha before a code is sent (E5)."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.extensions import db, gateways
from app.operations import captchas
from models import Enterprise, RegistrationDraft, SpentCaptcha, StoredFile
from tests.parties import PHONE, USCC, Parties, photo, picture, typed
from tests.shop import at_once

FETCH = {"X-Requested-With": "fetch"}


def visitor_of(parties: Parties) -> FlaskClient:
    """A visitor who has opened the page."""
    visitor = parties.visitor()
    assert visitor.get("/register/").status_code == 200
    return visitor


@pytest.fixture
def parties(app: Any, clock: Any, login: Any, standins: Any) -> Parties:
    return Parties(app, login, standins)


def give(visitor: FlaskClient, kind: str = "licence", name: str = "yyzz.jpg", data: bytes = b"") -> Any:
    return visitor.post(f"/register/papers/{kind}", data={"file": (io.BytesIO(data or photo()), name)},
                        content_type="multipart/form-data", headers=FETCH)


def give_all(visitor: FlaskClient) -> None:
    for kind, name in (("licence", "yyzz.jpg"), ("qualification", "zzzs.jpg"), ("commitment", "cns.jpg")):
        assert give(visitor, kind, name).status_code == 200


def save(visitor: FlaskClient, **values: str) -> Any:
    return visitor.post("/register/save", data=values, headers=FETCH)


def test_what_was_typed_is_there_again_after_the_page_was_closed(parties: Parties) -> None:
    visitor = visitor_of(parties)
    assert save(visitor, name="杭州新城建设有限公司", phone=PHONE, region_code="330106", is_provincial="y").status_code == 200
    save(visitor, founded_on="2020-01-02")
    assert save(visitor, address="文三路 1 号").json == {"message": "已保存"}
    page = visitor.get("/register/").text
    for value in ("杭州新城建设有限公司", PHONE, "文三路 1 号", "2020-01-02", "已恢复上次填写的内容"):
        assert value in page
    assert 'selected value="330106"' in page
    assert parties.visitor().get("/register/").text.count(PHONE) == 0


def test_secrets_are_never_kept_in_a_draft(parties: Parties) -> None:
    visitor = visitor_of(parties)
    save(visitor, name="甲公司", password="Anquan2026!", again="Anquan2026!", code="123456", review_state="approved")
    with parties.tables():
        assert db.session.query(RegistrationDraft).one().typed == '{"name": "甲公司"}'
        kept = db.session.execute(db.text("SELECT typed FROM registration_draft")).scalar_one()
        assert "甲公司".encode() not in bytes(kept)


def test_a_photo_is_kept_at_once_and_shown_to_this_browser_only(parties: Parties) -> None:
    visitor = visitor_of(parties)
    assert give(visitor).json == {"message": "已上传，照片符合要求。"}
    shown = visitor.get("/register/papers/licence")
    assert (shown.status_code, shown.mimetype, shown.headers["Cache-Control"]) == (200, "image/jpeg", "private, no-store")
    assert parties.visitor().get("/register/papers/licence").status_code == 404
    assert visitor.get("/register/papers/qualification").status_code == 404
    assert "已上传 yyzz.jpg" in visitor.get("/register/").text


def test_photos_chosen_in_quick_succession_are_all_kept(parties: Parties) -> None:
    cookie = visitor_of(parties).get_cookie("registration", path="/register")
    assert cookie is not None

    def send(kind: str, name: str) -> Any:
        browser = parties.visitor()
        browser.set_cookie("registration", cookie.value, path="/register")
        return give(browser, kind, name)

    names = (("licence", "yyzz.jpg"), ("qualification", "zzzs.jpg"), ("commitment", "cns.jpg"))
    answers = at_once(parties, *[lambda each=each: send(*each) for each in names])
    assert [each.status_code for each in answers] == [200, 200, 200]
    with parties.tables():
        draft = db.session.query(RegistrationDraft).one()
        assert None not in (draft.licence_id, draft.qualification_id, draft.commitment_id)


def test_a_browser_without_a_token_is_asked_to_open_the_page(parties: Parties) -> None:
    refused = give(parties.visitor())
    assert (refused.status_code, refused.json["message"]) == (400, "请刷新页面后再试。")
    assert parties.count(RegistrationDraft) == 0


def test_the_token_is_out_of_reach_of_scripts(parties: Parties) -> None:
    cookie = give(visitor_of(parties)).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/register" in cookie


@pytest.mark.parametrize("name, data, words", [
    ("zzzs.jpg", photo(), "文件名应为 yyzz.jpg"), ("yyzz.jpg", picture("PNG", (800, 600)), "不是 JPG 图片"),
    ("yyzz.jpg", picture("JPEG", (1, 50000)), "尺寸太小"), ("yyzz.jpg", photo()[:4000], "图片已损坏"),
    ("yyzz.jpg", b"<html><script>alert(1)</script></html>", "不是 JPG 图片"), ("yyzz.jpg", photo() + b"\0" * 2_202_009, "超过 2 MB")])
def test_a_photo_that_will_not_do_is_refused_at_once(parties: Parties, name: str, data: bytes, words: str) -> None:
    visitor = visitor_of(parties)
    give(visitor)
    before = parties.count(StoredFile)
    refused = give(visitor, name=name, data=data)
    assert refused.status_code == 400
    assert refused.json["field"] == "licence"
    assert words in refused.json["message"]
    assert visitor.get("/register/papers/licence").status_code == 200
    assert parties.count(StoredFile) == before


def test_a_second_photo_replaces_the_first_and_its_bytes_go(parties: Parties) -> None:
    visitor = visitor_of(parties)
    give(visitor)
    with parties.tables():
        key = db.session.query(RegistrationDraft).one().licence.key
    give(visitor)
    with parties.tables():
        assert db.session.query(StoredFile).filter_by(key=key).count() == 0
        assert not gateways().storage.exists(key)


def test_the_photos_of_the_draft_are_those_of_the_registration(parties: Parties) -> None:
    visitor = visitor_of(parties)
    give_all(visitor)
    answer = visitor.post("/register/", data=typed(code=parties.code(), founded_on="2019-05-06"))
    assert answer.status_code == 303, answer.text
    with parties.tables():
        row = db.session.query(Enterprise).filter_by(uscc=USCC).one()
        assert row.founded_on.isoformat() == "2019-05-06"
        assert {each.enterprise_id for each in (row.licence, row.qualification, row.commitment)} == {row.id}
    assert parties.count(RegistrationDraft) == 0
    assert visitor.get("/register/papers/licence").status_code == 404


def test_a_photo_that_is_missing_is_named_and_the_others_stay(parties: Parties) -> None:
    visitor = visitor_of(parties)
    give(visitor)
    give(visitor, "qualification", "zzzs.jpg")
    page = visitor.post("/register/", data=typed(code=parties.code())).text
    assert "请上传企业承诺书照片（cns.jpg）" in page
    assert "请上传营业执照照片" not in page
    assert parties.count(Enterprise, uscc=USCC) == 0


@pytest.mark.parametrize("changes, words", [({"founded_on": "2999-01-01"}, "成立日期不能晚于今天"),
                                            ({"licence_until": "2020-01-01"}, "营业执照已过期"),
                                            ({"founded_on": "2020-02-31"}, "请填写有效的日期")])
def test_dates_of_the_licence_must_make_sense(parties: Parties, changes: dict[str, str], words: str) -> None:
    visitor = visitor_of(parties)
    give_all(visitor)
    assert words in visitor.post("/register/", data=typed(code="123456", **changes)).text
    assert parties.count(Enterprise, uscc=USCC) == 0


def test_a_draft_is_cleared_at_a_wish(parties: Parties) -> None:
    visitor = visitor_of(parties)
    save(visitor, name="甲公司")
    give(visitor)
    assert visitor.post("/register/clear").status_code == 303
    assert parties.count(RegistrationDraft) == 0
    assert "甲公司" not in visitor.get("/register/").text


def test_a_draft_goes_after_a_week_with_its_files(parties: Parties, clock: Any, run_jobs: Any) -> None:
    from app import jobs
    from app.extensions import transaction

    visitor = visitor_of(parties)
    before = parties.count(StoredFile)
    give_all(visitor)
    clock.advance(days=6)
    save(visitor, name="甲公司")
    clock.advance(days=6)
    assert "甲公司" in visitor.get("/register/").text
    clock.advance(days=2)
    assert "甲公司" not in visitor.get("/register/").text
    with transaction():
        jobs.schedule("forget_drafts", 0)
    run_jobs()
    assert parties.count(RegistrationDraft) == 0
    assert parties.count(StoredFile) == before


def test_the_letter_comes_as_a_word_file_too(parties: Parties) -> None:
    from docx import Document

    answer = parties.visitor().get("/register/commitment-letter.docx")
    words = "".join(each.text for each in Document(io.BytesIO(answer.data)).paragraphs)
    assert "郑重承诺" in words
    assert "企业名称（盖章）" in words
    assert 'href="/register/commitment-letter.docx"' in parties.visitor().get("/register/").text


def test_no_code_is_sent_without_the_captcha(parties: Parties) -> None:
    refused = parties.visitor().post("/register/code", data={"phone": PHONE}, headers=FETCH)
    assert (refused.status_code, refused.json["field"]) == (400, "captcha")
    assert "图形验证码不正确" in parties.ask_for_code(captcha="AAAAA").json["message"]
    assert "图形验证码不正确" in parties.ask_for_code(captcha_token="bm9uc2Vuc2U=").json["message"]
    assert parties.standins.control("sms", "outbox.json") == []


def test_a_captcha_is_answered_once_right_or_wrong(parties: Parties) -> None:
    right = parties.captcha()
    assert "不正确" in parties.ask_for_code(**right | {"captcha": "WRONG"}).json["message"]
    assert "不正确" in parties.ask_for_code(**right).json["message"]
    good = parties.captcha()
    assert parties.ask_for_code(**good).status_code == 200
    assert "不正确" in parties.ask_for_code("13911113333", **good).json["message"]


def test_letters_of_a_captcha_may_be_small_and_its_time_is_ten_minutes(parties: Parties, clock: Any) -> None:
    small = parties.captcha()
    assert parties.ask_for_code(**small | {"captcha": f" {small['captcha'].lower()} "}).status_code == 200
    late = parties.captcha()
    clock.advance(minutes=11)
    assert "不正确" in parties.ask_for_code("13911113333", **late).json["message"]


def test_a_wrong_number_does_not_spend_the_captcha(parties: Parties) -> None:
    captcha = parties.captcha()
    assert parties.ask_for_code("138", **captcha).json["field"] == "phone"
    assert parties.ask_for_code(**captcha).status_code == 200


def test_the_picture_shows_the_signs_and_says_them_nowhere(parties: Parties) -> None:
    captcha = parties.captcha()
    shown = parties.visitor().get(f"/captcha/{captcha['captcha_token']}.png")
    assert shown.data.startswith(b"\x89PNG")
    assert captcha["captcha"].encode() not in shown.data
    assert parties.visitor().get("/captcha/bm9uc2Vuc2U=.png").status_code == 404
    assert len({captchas.answer_of(captchas.new()) for _each in range(20)}) > 10


def test_spent_captchas_are_forgotten_in_time(parties: Parties, clock: Any) -> None:
    parties.ask_for_code()
    assert parties.count(SpentCaptcha) == 1
    clock.advance(minutes=11)
    captchas.run_tidy(0, lambda _done, _total: None)
    assert parties.count(SpentCaptcha) == 0
