"""Codes of an authenticator app for authorities and administrators, and 安全设置 for everyone."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pyotp
import pytest
from sqlalchemy import select, text, update

from app.errors import Conflict, Forbidden
from app.extensions import db
from app.operations.second_factors import reset_second_factor
from models import Account, AuditEvent, RecoveryCode, SecondFactor, SignIn
from tests.factory import Factory

DEMO = "Demo2026!"
LOCKED = "已暂停登录。请在 15 分钟后再试。"
WRONG = "验证码不正确，或已经用过"


class Phone:
    """A person with an authenticator app."""

    def __init__(self, app: Any, login: Any, clock: Any, username: str = "hangzhou") -> None:
        self.app, self.clock, self.username = app, clock, username
        self.client = login(username)
        self.secret = ""
        self.recovery: list[str] = []

    def begin(self) -> None:
        assert self.client.post("/safety/factor/begin").status_code == 303
        shown = re.search(r'pairing-key">([A-Z2-7 ]+)<', self.client.get("/safety/").text)
        assert shown is not None
        self.secret = shown.group(1).replace(" ", "")

    def code(self, seconds: int = 0) -> str:
        return str(pyotp.TOTP(self.secret).at(self.clock.now().timestamp() + seconds))

    def switch_on(self) -> None:
        self.begin()
        page = self.client.post("/safety/factor/confirm", data={"code": self.code()})
        assert page.status_code == 200
        self.recovery = re.findall(r"<code>([A-Z0-9]{5}-[A-Z0-9]{5})</code>", page.text)
        self.clock.advance(seconds=90)

    def password(self, place: str = "/login/") -> Any:
        """A fresh browser, as far as the second page."""
        client = self.app.test_client()
        answer = client.post(place, data={"party": "authority", "username": self.username, "password": DEMO})
        assert (answer.status_code, answer.location) == (303, "/login/code")
        return client

    def try_code(self, code: str, client: Any = None) -> Any:
        return (client or self.password()).post("/login/code", data={"code": code})


@pytest.fixture
def phone(app: Any, login: Any, clock: Any) -> Phone:
    return Phone(app, login, clock)


def settings(app: Any, monkeypatch: pytest.MonkeyPatch, **values: Any) -> None:
    monkeypatch.setitem(app.extensions, "settings", replace(app.extensions["settings"], **values))


@pytest.mark.parametrize("username", ["hangzhou", "admin"])
def test_switched_on_the_second_page_asks_for_the_code(app: Any, login: Any, clock: Any, username: str) -> None:
    phone = Phone(app, login, clock, username)
    phone.switch_on()
    assert len(set(phone.recovery)) == 8
    client = phone.password("/login/?next=/reviews/plans/")
    for place in ("/", "/safety/", "/password/"):
        assert "/login/" in client.get(place).location, "half in is not in"
    answer = phone.try_code(phone.code(), client)
    assert (answer.status_code, answer.location) == (303, "/reviews/plans/")
    assert client.get("/safety/").status_code == 200


def test_switching_on_ends_sessions_that_showed_no_code(phone: Phone, login: Any) -> None:
    elsewhere = login("hangzhou")
    phone.switch_on()
    assert elsewhere.get("/safety/").status_code == 302
    assert phone.client.get("/safety/").status_code == 200


def test_a_secret_that_was_not_confirmed_asks_nobody_for_a_code(phone: Phone, login: Any) -> None:
    phone.begin()
    answer = phone.client.post("/safety/factor/confirm", data={"code": "000000"})
    assert "验证码不正确" in answer.text
    assert phone.client.get("/safety/factor/picture").data.startswith(b"\x89PNG")
    assert login("hangzhou").get("/safety/").status_code == 200


def test_what_is_stored_can_be_read_by_nobody(phone: Phone) -> None:
    phone.switch_on()
    db.session.commit()
    stored = db.session.execute(text("select secret from second_factor")).scalar_one()
    assert phone.secret.encode() not in bytes(stored)
    digests = db.session.scalars(select(RecoveryCode.digest)).all()
    assert len(digests) == 8
    assert all(len(each) == 16 for each in digests)
    page = phone.client.get("/safety/").text
    assert phone.secret not in page.replace(" ", "")
    assert phone.recovery[0] not in page
    assert phone.client.get("/safety/factor/picture").status_code == 404


def test_a_code_is_good_once(phone: Phone) -> None:
    phone.switch_on()
    code = phone.code()
    assert phone.try_code(code).status_code == 303
    assert WRONG in phone.try_code(code).text
    assert WRONG in phone.try_code(phone.code(-30)).text, "an older one neither"
    phone.clock.advance(seconds=30)
    assert phone.try_code(phone.code()).status_code == 303


@pytest.mark.parametrize("seconds, accepted", [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_clock_may_be_half_a_minute_off(phone: Phone, seconds: int, accepted: bool) -> None:
    phone.switch_on()
    phone.clock.advance(seconds=90)
    assert (phone.try_code(phone.code(seconds)).status_code == 303) == accepted


@pytest.mark.parametrize("code", ["", "12345", "abcdef", "１２３４５６", "000000", "' OR 1", "AAAAA-AAAAA"])
def test_what_is_no_code_lets_nobody_in(phone: Phone, code: str) -> None:
    phone.switch_on()
    client = phone.password()
    assert phone.try_code(code, client).status_code == 200
    assert "/login/" in client.get("/safety/").location


def test_five_wrong_codes_lock_the_sign_in(phone: Phone) -> None:
    phone.switch_on()
    client = phone.password()
    for _each in range(4):
        assert WRONG in phone.try_code("000000", client).text
    assert phone.try_code("000000", client).location == "/login/"
    assert LOCKED in client.get("/login/").text
    page = client.post("/login/", data={"party": "authority", "username": "hangzhou", "password": DEMO})
    assert LOCKED in page.text
    phone.clock.advance(minutes=15)
    assert phone.try_code(phone.code()).status_code == 303
    db.session.commit()
    kinds = db.session.scalars(select(SignIn.outcome).order_by(SignIn.id)).all()
    assert kinds == ["ok"] + ["second_factor_wrong"] * 5 + ["locked", "ok"]


def test_a_right_code_is_refused_while_the_account_is_locked(phone: Phone) -> None:
    phone.switch_on()
    client = phone.password()
    for _each in range(5):
        client.application.test_client().post("/login/", data={"party": "authority", "username": "hangzhou", "password": "wrong"})
    assert phone.try_code(phone.code(), client).location == "/login/"
    assert LOCKED in client.get("/login/").text


def test_the_right_password_alone_forgives_no_wrong_code(phone: Phone) -> None:
    phone.switch_on()
    for each in range(5):
        answer = phone.try_code("000000")
        assert answer.status_code == (200 if each < 4 else 303)


def test_half_a_sign_in_is_forgotten_after_five_minutes_and_when_the_password_changes(phone: Phone, login: Any) -> None:
    phone.switch_on()
    late = phone.password()
    phone.clock.advance(minutes=6)
    assert phone.try_code(phone.code(), late).location == "/login/"
    changed = phone.password()
    phone.client.post("/password/", data={"current": DEMO, "new": "Xinde-2027", "again": "Xinde-2027"})
    assert phone.try_code(phone.code(), changed).location == "/login/"
    assert "登录没有完成" in changed.get("/login/").text


def test_the_second_page_is_nothing_without_the_first(client: Any) -> None:
    assert client.get("/login/code").location == "/login/"
    assert client.post("/login/code", data={"code": "123456"}).location == "/login/"


def test_a_recovery_code_stands_for_a_lost_phone_once(phone: Phone) -> None:
    phone.switch_on()
    assert phone.try_code(phone.recovery[0].lower().replace("-", " ")).status_code == 303
    assert WRONG in phone.try_code(phone.recovery[0]).text
    assert phone.try_code(phone.recovery[1]).status_code == 303
    assert "剩余恢复码 6 个" in phone.client.get("/safety/").text


@pytest.mark.parametrize("password, code, words", [("wrong", None, "当前密码不正确"), (DEMO, "000000", "验证码不正确")])
def test_switching_off_needs_password_and_code(phone: Phone, password: str, code: str | None, words: str) -> None:
    phone.switch_on()
    answer = phone.client.post("/safety/factor/off", data={"password": password, "code": code or phone.code()})
    assert words in answer.text
    assert phone.try_code(phone.code()).status_code == 303
    phone.clock.advance(seconds=60)
    assert phone.client.post("/safety/factor/off", data={"password": DEMO, "code": phone.code()}).status_code == 303
    assert phone.client.application.test_client().post(
        "/login/", data={"party": "authority", "username": "hangzhou", "password": DEMO}).location == "/"


def test_fresh_recovery_codes_make_the_old_ones_void(phone: Phone) -> None:
    phone.switch_on()
    page = phone.client.post("/safety/factor/codes", data={"password": DEMO, "code": phone.code()}).text
    fresh = re.findall(r"<code>([A-Z0-9]{5}-[A-Z0-9]{5})</code>", page)
    assert len(fresh) == 8
    assert WRONG in phone.try_code(phone.recovery[0]).text
    assert phone.try_code(fresh[0]).status_code == 303


def test_where_it_is_required_it_is_set_up_before_anything_else(app: Any, login: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(app, monkeypatch, second_factor="required")
    phone = Phone(app, login, clock)
    for place in ("/", "/reviews/plans/", "/certificates/"):
        assert phone.client.get(place).location == "/safety/"
    assert "请先完成设置" in phone.client.get("/safety/").text
    assert phone.client.get("/password/").status_code == 200
    phone.switch_on()
    assert phone.client.get("/").status_code == 200
    answer = phone.client.post("/safety/factor/off", data={"password": DEMO, "code": phone.code()})
    assert "不能关闭" in answer.text
    assert db.session.get(SecondFactor, Factory().actor("hangzhou").user_id) is not None
    assert login("hjp").get("/").status_code == 200, "institutions and enterprises have none"
    assert login("91330100MA2AAAA05G").get("/").status_code == 200


@pytest.mark.parametrize("username", ["hjp", "91330100MA2AAAA05G"])
def test_institutions_and_enterprises_see_their_sign_ins_and_no_second_factor(login: Any, username: str) -> None:
    client = login(username)
    page = client.get("/safety/").text
    assert "最近登录记录" in page
    assert "二次验证" not in page
    for place in ("begin", "confirm", "codes", "off"):
        assert client.post(f"/safety/factor/{place}").status_code == 403, place


def test_an_administrator_resets_it_and_nobody_else(phone: Phone, make: Any) -> None:
    phone.switch_on()
    account = db.session.get_one(Account, make.actor("hangzhou").user_id)
    for username in ("province", "hangzhou", "hjp"):
        with pytest.raises(Forbidden):
            reset_second_factor(account, actor=make.actor(username))
    reset_second_factor(account, actor=make.actor("admin"))
    with pytest.raises(Conflict):
        reset_second_factor(account, actor=make.actor("admin"))
    assert phone.client.get("/safety/").status_code == 302
    assert db.session.scalars(select(RecoveryCode)).all() == []
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "reset_second_factor")).one()
    assert event.facts == {"user_id": account.user_id}


def test_the_page_shows_ones_own_last_thirty_and_nobody_elses(app: Any, login: Any) -> None:
    post = app.test_client().post
    post("/login/", data={"party": "institution", "username": "nbp", "password": "wrong"}, environ_overrides={"REMOTE_ADDR": "10.9.9.9"})
    post("/login/", data={"party": "institution", "username": "hjp", "password": "wrong"}, environ_overrides={"REMOTE_ADDR": "10.8.8.8"},
         headers={"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605 Mobile/15E148 MicroMessenger/8.0"})
    client = login("hjp")
    page = client.get("/safety/").text
    assert "10.8.8.8" in page
    assert "微信（iPhone）" in page
    assert "密码或身份不正确" in page
    assert "10.9.9.9" not in page
    for _each in range(35):
        login("hjp")
    assert client.get("/safety/").text.count("<tr><td") == 30
    assert "10.9.9.9" not in login("admin").get("/safety/").text, "also an administrator reads here only what is theirs"


def test_one_button_signs_out_everywhere_else(login: Any) -> None:
    here, there = login("hjp"), login("hjp")
    assert here.post("/safety/elsewhere").status_code == 303
    assert "其他设备上的登录已全部退出" in here.get("/safety/").text
    assert there.get("/safety/").status_code == 302


def test_the_page_is_linked_at_the_top_of_every_page(login: Any) -> None:
    assert 'href="/safety/"' in login("91330100MA2AAAA05G").get("/").text


def test_a_name_that_is_also_the_organisations_stands_there_once(login: Any, make: Any) -> None:
    client = login("hjp")
    before = client.get("/password/").text.count("杭州建工职业培训中心</span>")
    assert before == 2
    user = db.session.get_one(Account, make.actor("hjp").user_id).user
    db.session.execute(update(type(user)).where(type(user).id == user.id).values(first_name="杭州建工职业培训中心"))
    page = client.get("/password/").text
    assert "杭州建工职业培训中心</span>" not in page
    assert page.count("<b>杭州建工职业培训中心</b>") == 2
