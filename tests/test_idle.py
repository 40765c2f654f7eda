"""A session in which nobody does anything ends, calmly: the person comes back to where they were (X1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app import jobs
from app.extensions import transaction

DEMO = "Demo2026!"
FETCH = {"X-Requested-With": "fetch"}
LOST = "刚才填写的内容没有保存"


@pytest.fixture(autouse=True)
def half_an_hour(app: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.extensions, "settings", replace(app.extensions["settings"], idle_minutes=30))


def sign_in(client: Any, place: str, username: str = "hjp", party: str = "institution") -> Any:
    return client.post(place, data={"party": party, "username": username, "password": DEMO})


def test_thirty_idle_minutes_end_a_session_and_signing_in_leads_back(login: Any, clock: Any) -> None:
    client = login("hjp")
    clock.advance(minutes=29, seconds=59)
    assert client.get("/plans/").status_code == 200
    clock.advance(minutes=30)
    answer = client.get("/plans/?q=%E7%84%8A")
    assert answer.location == "/login/?party=institution&next=/plans/?q%3D%25E7%2584%258A"
    assert "您已超过 30 分钟没有操作，系统已自动退出登录。登录后会回到刚才的页面。" in client.get(answer.location).text
    assert client.get("/plans/").status_code == 302
    back = sign_in(client, answer.location)
    assert (back.status_code, back.location) == (303, "/plans/?q=%E7%84%8A")
    assert client.get(back.location).status_code == 200


def test_every_click_counts_as_doing(login: Any, clock: Any) -> None:
    client = login("hjp")
    for _each in range(4):
        clock.advance(minutes=20)
        assert client.get("/filing/").status_code == 200


def test_what_a_page_asks_by_itself_does_not_count(login: Any, clock: Any, make: Any) -> None:
    with transaction():
        job_id = jobs.schedule("send_reset_code", 0, institution_id=make.institution().id).id
    client = login("hjp")
    for _each in range(3):
        clock.advance(minutes=9)
        answer = client.get(f"/jobs/{job_id}", headers=FETCH)
        assert (answer.status_code, answer.headers.get("Set-Cookie")) == (200, None), "a late answer must not bring back an older cookie"
        assert client.get(f"/jobs/{job_id}").status_code == 200
    clock.advance(minutes=3)
    answer = client.get(f"/jobs/{job_id}", headers=FETCH)
    assert answer.status_code == 401
    assert "没有操作" in answer.json["message"]
    assert client.get("/filing/").status_code == 302


def test_a_form_sent_too_late_is_not_saved_and_the_person_is_told(login: Any, clock: Any, make: Any) -> None:
    client = login("hjp")
    clock.advance(minutes=31)
    answer = client.post("/filing/edit", data={"address": "文三路 9 号"}, headers={"Referer": "http://localhost/filing/?x=1"})
    assert (answer.status_code, answer.location) == (302, "/login/?party=institution&next=/filing/?x%3D1")
    page = client.get(answer.location).text
    assert LOST in page
    assert "您已超过 30 分钟没有操作" in page
    assert sign_in(client, answer.location).location == "/filing/?x=1"
    assert make.institution().address != "文三路 9 号"


def test_a_form_sent_without_any_session_says_so_too(client: Any) -> None:
    answer = client.post("/filing/edit", data={"address": "x"}, headers={"Referer": "https://evil.example/filing/"})
    assert answer.location == "/login/"
    assert LOST in client.get("/login/").text


def test_with_its_token_gone_a_form_is_led_to_sign_in_as_well(app: Any, client: Any, login: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    person = login("hjp")
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    answer = client.post("/filing/edit", data={"address": "x"}, headers={"Referer": "http://localhost/filing/"})
    assert (answer.status_code, answer.location) == (302, "/login/?next=/filing/")
    assert LOST in client.get(answer.location).text
    answer = client.post("/login/?next=/filing/", data={"party": "institution", "username": "hjp", "password": DEMO})
    assert answer.location == "/login/?next=/filing/"
    assert person.post("/filing/edit", data={"address": "x"}).status_code == 400, "a forged form of somebody signed in stays refused"


def test_a_session_that_was_ended_elsewhere_says_so(login: Any) -> None:
    here, there = login("hjp"), login("hjp")
    here.post("/password/", data={"current": DEMO, "new": "Xinde-2027", "again": "Xinde-2027"})
    answer = there.get("/filing/")
    assert answer.status_code == 302
    assert "您的登录已失效" in there.get(answer.location).text


@pytest.mark.parametrize("place", [
    "https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "http:evil.example",
    "///evil.example", "/\t/evil.example", "http://localhost@evil.example/", "http://localhost.evil.example/", "", "plans/",
])
def test_one_is_led_nowhere_but_to_this_site(client: Any, place: str) -> None:
    answer = client.post("/login/", query_string={"next": place}, data={"party": "institution", "username": "hjp", "password": DEMO})
    assert (answer.status_code, answer.location) == (303, "/")


def test_signing_out_is_not_what_one_comes_back_to(client: Any) -> None:
    assert sign_in(client, "/login/?next=/logout/").location == "/"


def test_pages_for_everyone_stay_open_when_a_session_has_ended(login: Any, clock: Any) -> None:
    client = login("hjp")
    clock.advance(minutes=40)
    for place in ("/c/", "/register/", "/forgotten/", "/login/"):
        assert client.get(place).status_code == 200, place


def test_the_console_asks_for_a_fresh_sign_in_too(login: Any, clock: Any) -> None:
    admin = login("admin")
    assert admin.get("/console/").status_code == 200
    clock.advance(minutes=31)
    assert admin.get("/console/").location == "/login/?party=authority&next=/console/"


def test_the_pictures_of_a_page_leave_the_session_alone(login: Any, make: Any, clock: Any) -> None:
    """They come late, with a cookie of before: what the next page was to say must not go with them."""
    client = login("91330100MA2AAAA05G")
    key = make.enterprise().licence_id
    clock.advance(minutes=5)
    answer = client.get(f"/files/{key}")
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert "Set-Cookie" in client.get("/enterprise/").headers
