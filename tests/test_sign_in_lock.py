"""Five failures lock signing in, for a name and for an address, and nothing tells the names apart (X1)."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from flask_appbuilder.security.sqla.models import User
from sqlalchemy import select, update

from app.extensions import db
from models import SignIn
from tests.parties import PHONE, USCC, Parties
from tests.shop import at_once

DEMO = "Demo2026!"
LOCKED = "登录失败次数过多，已暂停登录。请在 15 分钟后再试。"
REFUSED = "用户名或密码不正确，或与所选身份不符"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


@pytest.fixture
def parties(app: Any, clock: Any, login: Any, standins: Any) -> Parties:
    return Parties(app, login, standins)


@pytest.fixture
def settings(app: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    def change(**values: Any) -> None:
        monkeypatch.setitem(app.extensions, "settings", replace(app.extensions["settings"], **values))

    return change


def post(parties: Parties, username: str = "hjp", password: str = "wrong", party: str = "institution", address: str = "10.0.0.1") -> Any:
    return parties.visitor().post("/login/", data={"party": party, "username": username, "password": password},
                                  environ_overrides={"REMOTE_ADDR": address}, headers={"User-Agent": CHROME})


def outcomes(**values: Any) -> list[str]:
    db.session.commit()
    return list(db.session.scalars(select(SignIn.outcome).filter_by(**values).order_by(SignIn.id)))


def ask_for_code(parties: Parties) -> None:
    asked = {"uscc": USCC, "phone": PHONE} | parties.captcha()
    assert parties.visitor().post("/forgotten/code", data=asked, headers={"X-Requested-With": "fetch"}).status_code == 200


def said(answer: Any) -> str:
    """The words of a refusal."""
    return str(answer.text[answer.text.index("notice-bad"):].split("</div></div>", 1)[0])


def test_five_failures_lock_an_account_for_fifteen_minutes_also_for_the_right_password(parties: Parties, clock: Any) -> None:
    for each in range(5):
        answer = post(parties, address=f"10.0.{each}.1")
        assert (LOCKED if each == 4 else REFUSED) in answer.text
    assert LOCKED in post(parties, password=DEMO, address="10.0.9.1").text
    clock.advance(minutes=14, seconds=59)
    assert LOCKED in post(parties, password=DEMO, address="10.0.9.1").text
    clock.advance(seconds=1)
    assert post(parties, password=DEMO, address="10.0.9.1").status_code == 303
    assert outcomes() == ["wrong"] * 5 + ["locked"] * 2 + ["ok"]


def test_a_lock_does_not_grow_by_what_is_tried_meanwhile(parties: Parties, clock: Any) -> None:
    for _each in range(5):
        post(parties)
    clock.advance(minutes=10)
    for _each in range(6):
        post(parties)
    clock.advance(minutes=5)
    assert REFUSED in post(parties).text
    assert post(parties, password=DEMO).status_code == 303


def test_failures_further_apart_than_fifteen_minutes_lock_nothing(parties: Parties, clock: Any) -> None:
    for _each in range(8):
        assert REFUSED in post(parties).text
        clock.advance(minutes=4)
    assert post(parties, password=DEMO).status_code == 303


def test_getting_in_begins_the_count_anew(parties: Parties) -> None:
    for _each in range(3):
        for _failure in range(4):
            assert REFUSED in post(parties).text
        assert post(parties, password=DEMO).status_code == 303


@pytest.mark.parametrize("username, password, party", [
    ("nobody", "wrong", "institution"), ("hjp", DEMO, "enterprise"), ("admin", "wrong", "authority"), ("nbp", DEMO, "institution"),
])
def test_every_kind_of_failure_is_answered_and_locked_alike(parties: Parties, username: str, password: str, party: str) -> None:
    """An unknown name, a wrong tab, a wrong password, a disabled account."""
    db.session.execute(update(User).where(User.username == "nbp").values(active=False))
    expected = [said(post(parties, "hangzhou", "wrong", "authority", f"10.1.{each}.1")) for each in range(6)]
    assert [said(post(parties, username, password, party, f"10.2.{each}.1")) for each in range(6)] == expected
    assert LOCKED in expected[4]
    assert LOCKED in expected[5]


def test_an_unknown_name_takes_as_long_as_a_known_one(app: Any, parties: Parties, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from werkzeug.security import generate_password_hash

    slow = "pbkdf2:sha256:400000"
    monkeypatch.setitem(app.config, "FAB_PASSWORD_HASH_METHOD", slow)
    db.session.execute(update(User).where(User.username == "hjp").values(password=generate_password_hash(DEMO, slow)))
    settings(sign_in_failures=100, sign_in_address_failures=100)
    post(parties, "warm up")

    def seconds(username: str) -> float:
        spent = []
        for _each in range(3):
            begun = time.process_time()
            post(parties, username)
            spent.append(time.process_time() - begun)
        return min(spent)

    known, unknown = seconds("hjp"), seconds("nobody")
    assert 0.6 < unknown / known < 1.6


def test_an_address_is_locked_for_every_name_and_another_is_not(parties: Parties) -> None:
    for name in ("a", "b", "c", "d", "hangzhou"):
        post(parties, name, party="authority")
    assert LOCKED in post(parties, password=DEMO).text
    assert post(parties, password=DEMO, address="10.0.0.2").status_code == 303


def test_an_ipv6_address_is_counted_with_its_whole_network(parties: Parties) -> None:
    for each in range(5):
        post(parties, f"name{each}", address=f"2001:db8:1:2::{each + 1}")
    assert LOCKED in post(parties, password=DEMO, address="2001:db8:1:2:ffff::9").text
    assert post(parties, password=DEMO, address="2001:db8:1:3::9").status_code == 303


def test_an_office_behind_one_address_can_have_a_higher_limit(parties: Parties, settings: Any) -> None:
    settings(sign_in_address_failures=12)
    for each in range(11):
        assert REFUSED in post(parties, f"name{each}").text
    assert post(parties, password=DEMO).status_code == 303
    assert REFUSED not in post(parties, "name11").text


def test_who_mistypes_and_then_gets_in_does_not_lock_the_office(parties: Parties) -> None:
    for username, party in (("hjp", "institution"), ("hangzhou", "authority"), ("nbp", "institution")):
        for _each in range(4):
            assert REFUSED in post(parties, username, party=party).text
        assert post(parties, username, DEMO, party).status_code == 303
    assert REFUSED in post(parties, "hjp").text


def test_who_has_an_account_cannot_clear_the_count_of_what_they_guess(parties: Parties) -> None:
    """Signing in to one's own account between guesses forgives one's own failures only."""
    for each in range(4):
        post(parties, f"victim{each}")
        assert post(parties, "nbp", DEMO).status_code == 303
    assert LOCKED in post(parties, "victim9").text


def test_spellings_of_one_name_are_one_name(parties: Parties) -> None:
    for each, name in enumerate(("hjp", "HJP", " hjp", "Hjp ", "hJP")):
        post(parties, name, address=f"10.3.{each}.1")
    assert LOCKED in post(parties, password=DEMO).text
    for each, name in enumerate(("nobody", "NOBODY", " nobody", "Nobody ", "nObody")):
        post(parties, name, address=f"10.4.{each}.1")
    assert LOCKED in post(parties, "nobody").text


def test_a_storm_ends_locked_and_lets_nobody_in(parties: Parties, settings: Any) -> None:
    """Fifty at once, every tenth with the right password; at the most five of the wrong ones are looked at."""
    for _each in range(5):
        post(parties)
    db.session.commit()
    answers = at_once(parties, *[lambda right=each % 10 == 0: post(parties, password=DEMO if right else "wrong") for each in range(50)])
    assert {each.status_code for each in answers} == {200}
    assert all(LOCKED in each.text for each in answers)
    assert outcomes() == ["wrong"] * 5 + ["locked"] * 50


def test_a_storm_of_guesses_has_no_more_than_five_looked_at(parties: Parties) -> None:
    db.session.commit()
    answers = at_once(parties, *[lambda: post(parties) for _each in range(50)])
    assert {each.status_code for each in answers} == {200}
    assert outcomes() == ["wrong"] * 5 + ["locked"] * 45
    assert LOCKED in post(parties, password=DEMO).text


def test_the_right_password_under_the_wrong_tab_is_no_login_in_the_statistics(parties: Parties) -> None:
    post(parties, "hjp", DEMO, "enterprise")
    db.session.commit()
    user = db.session.scalars(select(User).where(User.username == "hjp")).one()
    assert (user.login_count or 0, user.last_login, user.fail_login_count) == (0, None, 1)
    post(parties, "hjp", DEMO)
    db.session.refresh(user)
    assert (user.login_count, user.fail_login_count) == (1, 0)
    assert user.last_login is not None


def test_an_unknown_name_is_not_kept_in_full(parties: Parties) -> None:
    """People type passwords into the field above."""
    post(parties, "MyPassword-2026", "x")
    db.session.commit()
    row = db.session.scalars(select(SignIn)).one()
    assert (row.account_id, row.username, row.outcome, row.party) == (None, "My…", "wrong", "institution")
    assert (row.address, row.browser) == ("10.0.0.1", "Chrome（Windows）")


def test_a_reset_password_lifts_the_lock(parties: Parties, clock: Any, run_jobs: Any) -> None:
    parties.registered()
    clock.advance(minutes=10)
    for _each in range(5):
        post(parties, USCC, party="enterprise")
    new = {"new": "Xinde-2027", "again": "Xinde-2027"}
    ask_for_code(parties)
    run_jobs()
    code = parties.standins.last_code(PHONE)
    given = {"uscc": USCC, "phone": PHONE, "code": code}
    assert LOCKED in post(parties, USCC, "Xinde-2027", "enterprise").text
    assert parties.visitor().post("/forgotten/", data=given | new, environ_overrides={"REMOTE_ADDR": "10.0.0.1"}).status_code == 303
    assert post(parties, USCC, "Xinde-2027", "enterprise").status_code == 303


def test_a_reset_to_the_same_password_is_refused_and_does_not_spend_the_code(parties: Parties, clock: Any, run_jobs: Any) -> None:
    parties.registered()
    clock.advance(minutes=10)
    ask_for_code(parties)
    run_jobs()
    given = {"uscc": USCC, "phone": PHONE, "code": parties.standins.last_code(PHONE)}
    same = {"new": "Anquan2026!", "again": "Anquan2026!"}
    assert "验证码不正确" in parties.visitor().post("/forgotten/", data=given | same | {"code": "000000"}).text
    assert "新密码不能与当前密码相同" in parties.visitor().post("/forgotten/", data=given | same).text
    assert parties.visitor().post("/forgotten/", data=given | {"new": "Xinde-2027", "again": "Xinde-2027"}).status_code == 303


def test_a_password_issued_by_the_authority_lifts_the_lock(parties: Parties, make: Any) -> None:
    for _each in range(5):
        post(parties)
    institution, account = make.institution().id, make.actor("hjp").user_id
    page = parties.enter("hangzhou", DEMO, "authority").post(f"/institutions/{institution}/accounts/{account}/reset",
                                                             data={"remark": "帐号被锁定"}).text
    issued = page.split("<code>")[2].split("</code>")[0]
    assert post(parties, password=issued, address="10.0.0.7").status_code == 303


def test_a_password_issued_by_the_administrator_lifts_the_lock_and_must_be_changed(parties: Parties, make: Any) -> None:
    for _each in range(5):
        post(parties)
    page = parties.enter("admin", DEMO, "authority").post(f"/staff/{make.actor('hjp').user_id}/reset").text
    issued = page.split("<code>")[2].split("</code>")[0]
    client = parties.enter("hjp", issued, "institution")
    assert client.get("/filing/").location == "/password/"


def test_the_history_is_kept_for_a_year(parties: Parties, clock: Any) -> None:
    from workers.jobs import JOBS

    post(parties)
    clock.advance(days=364)
    post(parties)
    JOBS["forget_sign_ins"](0, lambda _done, _total: None)
    assert len(outcomes()) == 2
    clock.advance(days=2)
    JOBS["forget_sign_ins"](0, lambda _done, _total: None)
    assert len(outcomes()) == 1


def test_guessing_the_password_on_an_open_screen_is_counted_too(parties: Parties) -> None:
    client = parties.enter("hjp", DEMO, "institution")
    for _each in range(5):
        client.post("/password/", data={"current": "wrong", "new": "Xinde-2027", "again": "Xinde-2027"})
    answer = client.post("/password/", data={"current": DEMO, "new": "Xinde-2027", "again": "Xinde-2027"})
    assert answer.status_code == 200
    assert LOCKED in post(parties, password=DEMO).text


def test_after_signing_in_one_reads_of_the_last_time_and_of_failures_since(parties: Parties, clock: Any) -> None:
    client = parties.visitor()
    client.post("/login/", data={"party": "institution", "username": "hjp", "password": DEMO}, headers={"User-Agent": CHROME})
    assert "上次登录" not in client.get("/").text
    clock.advance(hours=2)
    post(parties)
    post(parties)
    client = parties.enter("hjp", DEMO, "institution")
    page = client.get("/").text
    assert "Chrome（Windows） · 127.0.0.1" in page
    assert "此后有 2 次登录失败" in page
    assert "上次登录" not in client.get("/").text
