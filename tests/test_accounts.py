"""Signing in under the right party, one's own password, and the forgotten one (X1, X3, E8, I1)."""

from __future__ import annotations

from typing import Any

import pytest

from models import Account, Job, PhoneCode
from tests.parties import PASSWORD, PHONE, USCC, Parties

NEW = "Xinde-2027"
SAME_WORDS = "用户名或密码不正确，或与所选身份不符"
DEMO = "Demo2026!"
FETCH = {"X-Requested-With": "fetch"}


@pytest.fixture
def parties(app: Any, clock: Any, login: Any, standins: Any) -> Parties:
    return Parties(app, login, standins)


def sign_in(parties: Parties, username: str, password: str, party: str) -> Any:
    return parties.visitor().post("/login/", data={"party": party, "username": username, "password": password})


@pytest.mark.parametrize("username, party", [
    ("hjp", "institution"), ("91330100MA2AAAA05G", "enterprise"), ("hangzhou", "authority"), ("admin", "authority"),
])
def test_each_party_signs_in_under_its_own_tab_and_no_other(parties: Parties, username: str, party: str) -> None:
    for tab in ("institution", "enterprise", "authority"):
        answer = sign_in(parties, username, DEMO, tab)
        assert answer.status_code == (303 if tab == party else 200), tab
        if tab != party:
            assert SAME_WORDS in answer.text


@pytest.mark.parametrize("username, password, party", [
    ("hjp", "wrong", "institution"), ("hjp", DEMO, "enterprise"), ("nobody", DEMO, "institution"), ("hjp", DEMO, "pirate"),
    ("' OR 1=1 --", DEMO, "authority"), ("hjp", "", "institution"), ("", "", ""),
])
def test_every_refusal_leaves_the_visitor_outside(parties: Parties, username: str, password: str, party: str) -> None:
    client = parties.visitor()
    answer = client.post("/login/", data={"party": party, "username": username, "password": password})
    assert answer.status_code == 200
    assert client.get("/password/").status_code == 302
    if username and password and party != "pirate":
        assert SAME_WORDS in answer.text


def test_a_wrong_tab_and_a_wrong_password_and_an_unknown_name_read_the_same(parties: Parties) -> None:
    def words(username: str, password: str, party: str) -> str:
        page = sign_in(parties, username, password, party).text
        return str(page[page.index("notice-bad"):].split("</div></div>", 1)[0])

    assert words("hjp", DEMO, "enterprise") == words("hjp", "wrong", "enterprise") == words("nobody", DEMO, "enterprise")


def test_signing_in_never_leads_to_another_site(parties: Parties) -> None:
    for place in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        answer = parties.visitor().post(f"/login/?next={place}",
                                        data={"party": "institution", "username": "hjp", "password": DEMO})
        assert answer.status_code == 303
        assert "evil" not in answer.location
        assert "javascript" not in answer.location


def test_a_session_of_before_is_not_taken_over(parties: Parties) -> None:
    client = parties.visitor()
    with client.session_transaction() as session:
        session["planted"] = "1"
    client.post("/login/", data={"party": "institution", "username": "hjp", "password": DEMO})
    with client.session_transaction() as session:
        assert "planted" not in session


def test_the_password_page_is_behind_the_button_at_the_top_right(parties: Parties) -> None:
    page = parties.enter("hjp", DEMO, "institution").get("/").text
    assert 'href="/password/"' in page


def change(client: Any, current: str = DEMO, new: str = NEW, again: str | None = None) -> Any:
    return client.post("/password/", data={"current": current, "new": new, "again": new if again is None else again})


def test_a_changed_password_ends_the_other_sessions_and_not_this_one(parties: Parties) -> None:
    here, elsewhere = (parties.enter("hjp", DEMO, "institution") for _each in range(2))
    assert change(here).status_code == 303
    assert here.get("/filing/").status_code == 200
    assert elsewhere.get("/filing/").status_code == 302
    assert sign_in(parties, "hjp", DEMO, "institution").status_code == 200
    assert sign_in(parties, "hjp", NEW, "institution").status_code == 303
    assert parties.audits("change_password") == 1


@pytest.mark.parametrize("current, new, again, words", [
    ("wrong", NEW, NEW, "当前密码不正确"), (DEMO, "short", "short", "密码至少 8 位"),
    (DEMO, NEW, NEW + "x", "两次输入的新密码不一致"),
    (DEMO, DEMO, DEMO, "新密码不能与当前密码相同"), ("", NEW, NEW, "请填写当前密码"),
    (DEMO, "alllowercase1", "alllowercase1", "三种"),
])
def test_a_password_that_will_not_do_changes_nothing(parties: Parties, current: str, new: str, again: str, words: str) -> None:
    client, other = (parties.enter("hjp", DEMO, "institution") for _each in range(2))
    answer = change(client, current, new, again)
    assert answer.status_code == 200
    assert words in answer.text
    assert other.get("/filing/").status_code == 200
    assert sign_in(parties, "hjp", DEMO, "institution").status_code == 303


def test_a_visitor_has_no_password_to_change(parties: Parties) -> None:
    assert parties.visitor().get("/password/").status_code == 302
    assert change(parties.visitor()).status_code == 302


# 忘记密码


def ask(parties: Parties, uscc: str = USCC, phone: str = PHONE) -> Any:
    return parties.visitor().post("/forgotten/code", data={"uscc": uscc, "phone": phone} | parties.captcha(), headers=FETCH)


def reset(parties: Parties, code: str, uscc: str = USCC, phone: str = PHONE, new: str = NEW, again: str | None = None) -> Any:
    return parties.visitor().post("/forgotten/", data={
        "uscc": uscc, "phone": phone, "code": code, "new": new, "again": new if again is None else again})


@pytest.fixture
def forgotten(parties: Parties, clock: Any, run_jobs: Any) -> Any:
    """An enterprise that has registered a while ago, and how it gets a reset code."""
    parties.registered()
    clock.advance(minutes=10)

    def code() -> str:
        assert ask(parties).status_code == 200
        run_jobs()
        return parties.standins.last_code(PHONE)

    return code


def test_a_forgotten_password_is_set_anew_by_phone_code(parties: Parties, forgotten: Any) -> None:
    signed_in = parties.enter()
    answer = reset(parties, forgotten())
    assert (answer.status_code, answer.location) == (303, "/login/?party=enterprise")
    assert signed_in.get("/enterprise/").status_code == 302
    assert sign_in(parties, USCC, PASSWORD, "enterprise").status_code == 200
    assert sign_in(parties, USCC, NEW, "enterprise").status_code == 303
    assert parties.audits("reset_password") == 1


def test_asking_says_the_same_for_an_unknown_company_and_for_another_phone(
        parties: Parties, forgotten: Any, run_jobs: Any) -> None:
    sent = len(parties.standins.control("sms", "outbox.json"))
    answers = [ask(parties, "91350100M000100Y43", "13911117777"), ask(parties, USCC, "13911118888"), ask(parties)]
    assert {(each.status_code, each.text) for each in answers} == {(200, answers[0].text)}
    assert "如果代码与手机号相符，验证码已发送" in answers[0].json["message"]
    run_jobs()
    assert len(parties.standins.control("sms", "outbox.json")) == sent + 1
    assert parties.count(Job, name="send_reset_code") == 1


def test_asking_twice_says_the_same_for_an_unknown_company(parties: Parties, forgotten: Any) -> None:
    known = [ask(parties).json["message"] for _each in range(2)]
    unknown = [ask(parties, "91350100M000100Y43", "13911117777").json["message"] for _each in range(2)]
    assert known == unknown
    assert "请等 1 分钟后再试" in known[1]


def test_resetting_says_the_same_for_an_unknown_company_and_for_a_wrong_code(parties: Parties, forgotten: Any) -> None:
    code = forgotten()
    wrong = "000000" if code != "000000" else "111111"
    words = "验证码不正确或已过期，请核对或重新获取"
    for answer in (reset(parties, wrong), reset(parties, code, uscc="91350100M000100Y43"),
                   reset(parties, code, phone="13911117777"), reset(parties, code, uscc="91330100MA2AAAA05G")):
        assert answer.status_code == 200
        assert words in answer.text
    assert sign_in(parties, USCC, PASSWORD, "enterprise").status_code == 303


def test_a_code_for_registering_resets_nothing(parties: Parties, forgotten: Any, clock: Any) -> None:
    code = parties.code()
    assert "验证码不正确或已过期" in reset(parties, code).text
    assert sign_in(parties, USCC, PASSWORD, "enterprise").status_code == 303


def test_a_reset_code_of_another_number_is_refused(parties: Parties, forgotten: Any, run_jobs: Any) -> None:
    ask(parties, "91330100MA2AAAA05G", "13800138001")
    run_jobs()
    assert "验证码不正确或已过期" in reset(parties, parties.standins.last_code("13800138001")).text


def test_five_wrong_tries_end_a_reset_code(parties: Parties, forgotten: Any) -> None:
    code = forgotten()
    wrong = "000000" if code != "000000" else "111111"
    for _each in range(5):
        reset(parties, wrong)
    assert reset(parties, code).status_code == 200
    assert sign_in(parties, USCC, PASSWORD, "enterprise").status_code == 303


def test_a_reset_code_is_used_once(parties: Parties, forgotten: Any) -> None:
    code = forgotten()
    assert reset(parties, code).status_code == 303
    assert reset(parties, code, new="Another-2028").status_code == 200
    assert sign_in(parties, USCC, NEW, "enterprise").status_code == 303


def test_a_weak_or_mistyped_new_password_does_not_spend_the_code(parties: Parties, forgotten: Any) -> None:
    code = forgotten()
    assert "密码至少 8 位" in reset(parties, code, new="short").text
    assert "两次输入的新密码不一致" in reset(parties, code, again="Other-2027").text
    assert reset(parties, code).status_code == 303


def test_a_reset_code_sent_late_is_not_sent_at_all(parties: Parties, forgotten: Any, clock: Any, run_jobs: Any) -> None:
    sent = len(parties.standins.control("sms", "outbox.json"))
    ask(parties)
    clock.advance(minutes=6)
    run_jobs()
    assert len(parties.standins.control("sms", "outbox.json")) == sent


def test_a_reset_code_survives_a_moment_without_sms(parties: Parties, forgotten: Any, clock: Any, run_jobs: Any) -> None:
    parties.standins.control("sms", "settings", {"limits": "off", "next_answers": ["error"]})
    ask(parties)
    run_jobs()
    clock.advance(seconds=30)
    run_jobs()
    assert reset(parties, parties.standins.last_code(PHONE)).status_code == 303


@pytest.mark.parametrize("uscc, phone, words", [
    ("91330100MA2AAAA05H", PHONE, "逐位核对"), (USCC, "139 1111 2222", "手机号应为 11 位数字"), ("", "", "应为 18 位"),
])
def test_what_cannot_be_a_code_or_a_number_is_said_at_once(parties: Parties, uscc: str, phone: str, words: str) -> None:
    answer = ask(parties, uscc, phone)
    assert answer.status_code == 400
    assert words in answer.json["message"]
    assert parties.count(PhoneCode) == 0


def test_only_enterprises_reset_by_phone(parties: Parties) -> None:
    """An institution's password is its authority's to issue."""
    assert ask(parties, "91330100MA2CCCC01J", "13900139000").status_code == 200
    assert parties.count(Job, name="send_reset_code") == 0


def test_without_scripts_the_reset_code_is_asked_for_by_the_form(parties: Parties, forgotten: Any, run_jobs: Any) -> None:
    answer = parties.visitor().post("/forgotten/code", data={"uscc": USCC, "phone": PHONE, "new": NEW} | parties.captcha())
    assert answer.status_code == 200
    assert "如果代码与手机号相符" in answer.text
    assert f'value="{USCC}"' in answer.text
    assert NEW not in answer.text


def test_an_account_is_of_one_party(parties: Parties) -> None:
    parties.registered()
    assert parties.count(Account, party="enterprise") == 4


@pytest.mark.parametrize("place", ["/login/?next=%00", "/register/?x=%00", "/c/?name=%00&number=1"])
def test_text_that_no_table_can_hold_is_refused_calmly(parties: Parties, place: str) -> None:
    assert parties.visitor().get(place).status_code == 400
    for address, data in (("/login/", {"party": "institution", "username": "h\0jp", "password": DEMO}),
                          ("/forgotten/code", {"uscc": USCC, "phone": "139\0"}), ("/register/code", {"phone": "\0"})):
        assert parties.visitor().post(address, data=data).status_code == 400
    assert parties.enter("hangzhou", DEMO, "authority").get("/reviews/enterprises/?q=%00").status_code == 400


def test_the_way_to_another_password_is_called_so_on_every_page(login: Any) -> None:
    page = login("hjp").get("/").text
    assert 'aria-label="修改密码"' in page
    assert ">修改</a>" not in page
