"""企业注册: who may, with which papers, and what an authority then has before it (E1–E7, E21, C1)."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import text

from app.extensions import db
from models import Account, Authority, Enterprise, StoredFile
from tests.parties import HANGZHOU, NAMES, PHONE, USCC, WENZHOU, Parties, papers, photo, picture, typed
from tests.shop import at_once


@pytest.fixture
def parties(app: Any, clock: Any, login: Any, standins: Any) -> Parties:
    return Parties(app, login, standins)


def faults(answer: Any) -> str:
    """A form that came back: nothing was written, the person sees the form again."""
    assert answer.status_code == 200
    assert "提交注册" in answer.text
    return str(answer.text)


def test_the_page_says_the_rules_before_anyone_types(parties: Parties) -> None:
    page = parties.visitor().get("/register/").text
    for words in ("yyzz.jpg", "zzzs.jpg", "cns.jpg", "不超过 2 MB", "加盖公章", "至少 8 位", "省属单位", "杭州市 / 西湖区"):
        assert words in page
    assert 'href="/register/commitment-letter.pdf"' in page


def test_the_commitment_letter_can_be_downloaded_by_anyone(parties: Parties) -> None:
    answer = parties.visitor().get("/register/commitment-letter.pdf")
    assert answer.status_code == 200
    assert answer.mimetype == "application/pdf"
    assert answer.data.startswith(b"%PDF-")
    assert "attachment" in answer.headers["Content-Disposition"]


def test_an_enterprise_registers_and_is_submitted_to_its_city(parties: Parties) -> None:
    enterprise = parties.registered()
    look = parties.enterprise(enterprise)
    assert (look["state"], look["authority"], look["may_enrol"]) == ("submitted", "杭州市城乡建设委员会", False)
    assert parties.steps("enterprise", enterprise) == ["submit"]
    assert parties.audits("register") == 1
    page = parties.enter().get("/enterprise/").text
    assert "等待杭州市城乡建设委员会受理" in page
    assert "杭州新城建设有限公司" in page
    assert "139****2222" in page
    assert PHONE not in page


def test_after_registering_one_is_led_to_sign_in(parties: Parties) -> None:
    answer = parties.register()
    assert answer.status_code == 303
    assert answer.location == "/login/?party=enterprise"


def test_the_account_is_the_code_in_either_case(parties: Parties) -> None:
    parties.registered(uscc=USCC.lower())
    assert parties.enter(USCC.lower()).get("/enterprise/").status_code == 200


def test_the_phone_and_the_files_are_kept_as_they_should_be(parties: Parties) -> None:
    enterprise = parties.registered()
    with parties.tables():
        kept = db.session.execute(text("SELECT phone FROM enterprise WHERE id = :id"), {"id": enterprise}).scalar_one()
        assert PHONE.encode() not in bytes(kept)
        stored = db.session.query(StoredFile).filter_by(enterprise_id=enterprise)
        assert {each.kind: each.name for each in stored} == NAMES


def test_where_a_photo_was_taken_is_not_kept(parties: Parties) -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    Image.new("RGB", (800, 600), "#ccc").save(out, "JPEG", exif=exif)
    enterprise = parties.registered(files=papers(licence=(out.getvalue(), "yyzz.jpg")))
    stored = parties.enterprise(enterprise)["licence"]
    answer = parties.enter().get(f"/files/{stored}")
    assert answer.status_code == 200
    assert b"SecretCamera" not in answer.data


def test_a_county_leads_to_the_authority_of_its_city(parties: Parties) -> None:
    assert parties.enterprise(parties.registered(region_code="330122"))["authority"] == "杭州市城乡建设委员会"


def test_a_city_itself_can_be_chosen(parties: Parties) -> None:
    assert parties.enterprise(parties.registered(region_code=HANGZHOU))["authority"] == "杭州市城乡建设委员会"


def test_a_provincial_enterprise_is_the_provinces(parties: Parties) -> None:
    assert parties.enterprise(parties.registered(is_provincial="y"))["authority"] == "浙江省住房和城乡建设厅"


def test_a_provincial_enterprise_of_a_city_without_authority_registers_all_the_same(parties: Parties) -> None:
    assert parties.enterprise(parties.registered(is_provincial="y", region_code=WENZHOU))["authority"] == "浙江省住房和城乡建设厅"


def test_a_city_without_an_authority_says_so(parties: Parties) -> None:
    assert "所选地区的主管部门尚未开通" in faults(parties.register(region_code=WENZHOU))
    assert parties.count(Enterprise, uscc=USCC) == 0


@pytest.mark.parametrize("region", ["", "330000", "999999", "330106' OR 1=1", "33"])
def test_a_region_that_is_none_is_asked_for_again(parties: Parties, region: str) -> None:
    faults(parties.register(region_code=region))
    assert parties.count(Enterprise, uscc=USCC) == 0


@pytest.mark.parametrize("uscc, words", [
    ("91330100MA2IAAA05G", "把 1 写成 I"), ("9133O100MA2AAAA05G", "0 写成 O"), ("９１３３０１００ＭＡ２ＡＡＡＡ０５Ｇ", "半角"),
    ("91330100MA2AAAA05H", "逐位核对"), ("91330100MA2AAAA05", "应为 18 位"), ("9133 0100MA2AAAA05G", "夹有空格"),
    ("<script>alert(1)</script>", "应为 18 位"), ("   ", "此项必填"),
])
def test_a_wrong_credit_code_is_refused_in_plain_words(parties: Parties, uscc: str, words: str) -> None:
    page = faults(parties.register(uscc=uscc))
    assert words in page
    assert "<script>alert" not in page


def test_a_registered_enterprise_cannot_register_again(parties: Parties) -> None:
    parties.registered()
    page = faults(parties.register(phone="13911113333", code="000000", name="冒名公司"))
    assert "该企业已注册，不能重复注册" in page
    assert parties.count(Enterprise, uscc=USCC) == 1
    assert parties.count(Enterprise, name="冒名公司") == 0


def test_of_three_registrations_at_the_same_moment_one_wins(parties: Parties) -> None:
    phones = ("13911110001", "13911110002", "13911110003")
    forms = [typed(phone=phone, code=parties.code(phone), name=f"{phone}公司") for phone in phones]
    db.session.commit()
    answers = at_once(parties, *[lambda form=form: parties.visitor().post(
        "/register/", data=form | papers(), content_type="multipart/form-data") for form in forms])
    assert sorted(each.status_code for each in answers) == [200, 200, 303]
    assert all("该企业已注册" in each.text for each in answers if each.status_code == 200)
    assert parties.count(Enterprise, uscc=USCC) == 1
    with parties.tables():
        winner = db.session.query(Enterprise).filter_by(uscc=USCC).one()
        assert db.session.query(Account).filter_by(enterprise_id=winner.id).count() == 1
        assert db.session.query(StoredFile).filter(StoredFile.enterprise_id == winner.id).count() == 3


BAD_PHOTOS = [
    ("a photo with another name", (photo(), "执照.jpg"), "文件名应为 yyzz.jpg，您选择的是 执照.jpg"),
    ("a doubled ending", (photo(), "yyzz.jpg.jpg"), "文件名应为 yyzz.jpg"),
    ("a path as name", (photo(), "../../yyzz.jpg/x"), "文件名应为 yyzz.jpg"),
    ("a PNG", (picture("PNG", (800, 600)), "yyzz.jpg"), "不是 JPG 图片"),
    ("a web page", (b"<html><script>alert(1)</script></html>", "yyzz.jpg"), "不是 JPG 图片"),
    ("2.1 MB", (photo() + b"\0" * int(2.1 * 1024 * 1024), "yyzz.jpg"), "超过 2 MB"),
    ("a torn photo", (photo()[:4000], "yyzz.jpg"), "图片已损坏"),
    ("a thread of pixels", (picture("JPEG", (1, 50000)), "yyzz.jpg"), "尺寸太小"),
    ("a stamp", (picture("JPEG", (120, 90)), "yyzz.jpg"), "尺寸太小"),
    ("an empty file", (b"", "yyzz.jpg"), "空文件"),
    ("no file", None, "请上传营业执照照片（yyzz.jpg）"),
]


@pytest.mark.parametrize("given, words", [pytest.param(given, words, id=name) for name, given, words in BAD_PHOTOS])
def test_a_photo_that_will_not_do_is_named_with_what_to_do(parties: Parties, given: Any, words: str) -> None:
    before = parties.count(StoredFile)
    page = faults(parties.register(files=papers(licence=given)))
    assert words in page
    assert "<script>alert" not in page
    assert parties.count(Enterprise, uscc=USCC) == 0
    assert parties.count(StoredFile) == before


def test_every_fault_is_told_at_once(parties: Parties) -> None:
    page = faults(parties.register(uscc="91330100MA2AAAA05H", phone="138", code="123456", password="short", again="other",
                                   region_code=WENZHOU, files=papers(commitment=(photo(), "x.jpg"), qualification=None)))
    for words in ("逐位核对", "手机号应为 11 位数字", "密码至少 8 位", "两次输入的密码不一致", "尚未开通", "文件名应为 cns.jpg",
                  "请上传资质证书照片"):
        assert words in page
    assert "有几处需要修改，见标红的栏目" in page


def test_a_fault_elsewhere_does_not_spend_the_code(parties: Parties) -> None:
    code = parties.code()
    faults(parties.register(code=code, files=papers(licence=None)))
    assert parties.register(code=code).status_code == 303


@pytest.mark.parametrize("phone", ["138 0013 8000", "12345678901", "+8613800138000", "１３８００１３８０００", "1380013800"])
def test_a_number_that_is_none_gets_no_code(parties: Parties, phone: str) -> None:
    answer = parties.ask_for_code(phone)
    assert answer.status_code == 400
    assert answer.json == {"message": "手机号应为 11 位数字，如 13800138000。", "field": "phone"}
    assert parties.standins.control("sms", "outbox.json") == []


def test_blanks_around_a_number_do_no_harm(parties: Parties) -> None:
    code = parties.code()
    assert parties.enterprise(parties.registered(phone=f" {PHONE} ", code=code))["phone"] == PHONE


def test_a_code_is_six_digits_in_a_real_message(parties: Parties) -> None:
    code = parties.code()
    assert len(code) == 6
    assert code.isdigit()


def test_without_scripts_the_code_is_sent_and_what_was_typed_stays(parties: Parties) -> None:
    answer = parties.visitor().post("/register/code", data=typed(name="打字辛苦有限公司") | parties.captcha())
    assert answer.status_code == 200
    assert "验证码已发送，5 分钟内有效" in answer.text
    assert 'value="打字辛苦有限公司"' in answer.text
    assert parties.standins.last_code(PHONE)


def test_a_second_code_within_a_minute_is_refused(parties: Parties, clock: Any) -> None:
    parties.code()
    send = lambda: parties.ask_for_code()  # noqa: E731
    refused = send()
    assert refused.status_code == 400
    assert "请等 1 分钟后再试" in refused.json["message"]
    clock.advance(seconds=61)
    assert send().status_code == 200


def test_ten_codes_a_day_are_enough(parties: Parties, clock: Any) -> None:
    for _each in range(10):
        parties.code()
        clock.advance(minutes=2)
    refused = parties.ask_for_code()
    assert refused.status_code == 400
    assert "请明天再试" in refused.json["message"]
    clock.advance(days=1)
    assert parties.code()


def test_a_message_that_could_not_be_sent_can_be_asked_for_again_at_once(parties: Parties) -> None:
    parties.standins.control("sms", "settings", {"next_answers": ["error"]})
    failed = parties.ask_for_code()
    assert (failed.status_code, failed.json["message"]) == (400, "短信暂时发不出去，请稍后再试。")
    assert parties.register().status_code == 303


def test_five_wrong_tries_end_a_code(parties: Parties) -> None:
    code = parties.code()
    wrong = "000000" if code != "000000" else "111111"
    for _each in range(5):
        assert "验证码不正确或已过期" in faults(parties.register(code=wrong))
    assert "验证码不正确或已过期" in faults(parties.register(code=code))
    assert parties.count(Enterprise, uscc=USCC) == 0


def test_four_wrong_tries_leave_one(parties: Parties) -> None:
    code = parties.code()
    wrong = "000000" if code != "000000" else "111111"
    for _each in range(4):
        faults(parties.register(code=wrong))
    assert parties.register(code=code).status_code == 303


def test_a_code_ends_after_five_minutes(parties: Parties, clock: Any) -> None:
    code = parties.code()
    clock.advance(minutes=5)
    assert "验证码不正确或已过期" in faults(parties.register(code=code))


def test_the_code_of_another_number_proves_nothing(parties: Parties) -> None:
    parties.code()
    assert "验证码不正确或已过期" in faults(parties.register(code=parties.code("13911119999")))
    assert parties.count(Enterprise, uscc=USCC) == 0


def test_a_code_is_used_once(parties: Parties) -> None:
    code = parties.code()
    assert parties.register(code=code).status_code == 303
    assert "验证码不正确或已过期" in faults(parties.register(uscc="91350100M000100Y43", code=code))


def test_only_the_newest_code_counts(parties: Parties, clock: Any) -> None:
    first = parties.code()
    clock.advance(seconds=61)
    second = parties.code()
    if first != second:
        faults(parties.register(code=first))
    assert parties.register(code=second).status_code == 303


@pytest.mark.parametrize("password", ["short1!", "alllowercase1", "12345678", "ABCDEFGH1", "x" * 129])
def test_a_weak_password_is_refused_with_the_rule(parties: Parties, password: str) -> None:
    page = faults(parties.register(password=password, again=password))
    assert "密码至少 8 位" in page or "不能超过 128" in page
    assert password not in page.replace('maxlength="128"', "") or len(password) > 128


def test_signs_that_no_keyboard_makes_are_refused_at_the_field(parties: Parties) -> None:
    assert "含有不能识别的字符" in faults(parties.register(name="杭州\x07建设"))
    assert parties.register(name="杭州\x00建设", code="123456").status_code in (200, 400)
    assert parties.count(Enterprise, uscc=USCC) == 0


def test_a_name_is_shown_as_text(parties: Parties) -> None:
    parties.registered(name="<b>粗体</b>&公司")
    page = parties.enter().get("/enterprise/").text
    assert "&lt;b&gt;粗体&lt;/b&gt;&amp;公司" in page


def test_no_authority_is_lost_when_a_city_gets_one_later(parties: Parties) -> None:
    faults(parties.register(region_code=WENZHOU))
    with parties.tables():
        db.session.add(Authority(name="温州市住房和城乡建设局", region_code=WENZHOU, parent_id=1))
        db.session.commit()
    enterprise = parties.registered(region_code="330302", phone="13911114444")
    assert parties.enterprise(enterprise)["authority"] == "温州市住房和城乡建设局"
