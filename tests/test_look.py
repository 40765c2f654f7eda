"""The look: every page is drawn with our own files only, holds under a strict policy, and FAB's screens are part of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

import views
from tests.factory import Factory

ENTERPRISE = "91330100MA2AAAA05G"
PAGES = {
    "": ("/login/", "/register/", "/forgotten/", "/c/", "/nowhere"),
    "hjp": ("/", "/plans/", "/plans/add", "/classes/", "/exams/", "/scores/", "/orders/", "/filing/", "/people/", "/password/", "/nowhere"),
    "hangzhou": ("/reviews/plans/", "/reviews/enterprises/", "/institutions/", "/certificates/"),
    ENTERPRISE: ("/enrol/", "/enrolled/", "/enterprise/"),
    "admin": ("/", "/layouts/", "/layouts/desk_labels", "/staff/", "/staff/add", "/staff/roles/", "/staff/roles/add"),
}


class Parts(HTMLParser):
    """What of a page a strict policy would refuse, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.refused: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in given):
            self.refused.append(f"<{tag}>")
        self.refused += [f"<{tag} {name}>" for name in given if name == "style" or name.startswith("on")]
        if tag in ("script", "img", "link"):
            self.loaded.append(given.get("src") or given.get("href") or "")


@pytest.mark.parametrize("username", PAGES)
def test_a_page_holds_under_a_strict_policy_and_loads_nothing_from_outside(
        username: str, client: FlaskClient, login: Callable[[str], FlaskClient]) -> None:
    person = login(username) if username else client
    for path in PAGES[username]:
        answer = person.get(path)
        assert answer.status_code == (404 if path == "/nowhere" else 200), path
        parts = Parts(answer.text)
        assert parts.refused == [], path
        assert [url for url in parts.loaded if not url.startswith("/")] == [], path
        assert "bootstrap" not in answer.text, path
        assert "jquery" not in answer.text, path


def test_our_stylesheets_and_scripts_load_nothing_from_outside(here: Path) -> None:
    for path in [*(here / "app/static").rglob("*.css"), *(here / "app/static").rglob("*.js")]:
        assert not re.search(r"https?://|//[a-z0-9-]+\.[a-z]+/|@import|url\(['\"]?data:", path.read_text(encoding="utf-8")), path


def test_every_form_that_posts_carries_a_token(
        app: Any, login: Callable[[str], FlaskClient], make: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    make.plan("submitted")
    people = {username: login(username) for username in ("hangzhou", "admin", "hjp")}
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    for username, path in (("hangzhou", "/reviews/plans/"), ("admin", "/staff/roles/add"), ("admin", "/staff/add"), ("hjp", "/plans/add")):
        text = people[username].get(path).text
        forms = re.findall(r"<form[^>]*method=\"post\".*?</form>", text, re.S)
        assert forms, path
        assert [form[:120] for form in forms if "csrf_token" not in form] == [], path


def _sprite(here: Path) -> set[str]:
    return set(re.findall(r'"([a-z-]+)": "M', (here / "app/templates/portal/icons.html").read_text(encoding="utf-8")))


def test_every_icon_that_is_asked_for_is_in_the_sprite(here: Path) -> None:
    asked = {icon for _name, _label, icon, _entries in views.MENU} | {entry[2] for group in views.MENU for entry in group[3]}
    for path in (here / "app/templates").rglob("*.html"):
        for names in re.findall(r'icon\("([a-z-]+)"\)|icon_name="([a-z-]+)"|#i-([a-z-]+)"', path.read_text(encoding="utf-8")):
            asked |= {name for name in names if name}
    assert sorted(asked - _sprite(here)) == []


def test_every_component_is_documented(here: Path) -> None:
    macros = set(re.findall(r"{% macro ([a-z]\w*)\(", (here / "app/templates/portal/macros.html").read_text(encoding="utf-8")))
    text = (here / "docs/templates.md").read_text(encoding="utf-8")
    assert sorted(name for name in macros - {"language_switch"} if f"{name}(" not in text) == []


def test_the_menu_shows_what_a_role_may_open_and_where_one_is(login: Callable[[str], FlaskClient]) -> None:
    text = login("hjp").get("/plans/").text
    side = text[text.index('id="side"'):text.index("</nav>")]
    assert 'href="/plans/" title="培训计划" aria-current="page"' in side
    assert side.count("aria-current") == 1
    assert "/reviews/plans/" not in side
    assert "/staff/" not in side
    assert "杭州建工职业培训中心" in text
    assert 'href="/password/"' in text


def test_the_sign_in_page_opens_on_the_tab_that_was_asked_for(client: FlaskClient) -> None:
    text = client.get("/login/?party=enterprise").text
    assert re.search(r'<input checked[^>]*value="enterprise"', text)
    assert not re.search(r'<input checked[^>]*value="institution"', text)


def test_a_list_that_matches_nothing_says_so_and_offers_the_way_back(login: Callable[[str], FlaskClient]) -> None:
    text = login("admin").get("/staff/?q=nobody-at-all").text
    assert "没有符合条件的记录" in text
    assert "清除条件" in text


def test_a_strangers_error_page_has_no_menu(client: FlaskClient, login: Callable[[str], FlaskClient]) -> None:
    assert 'id="side"' not in client.get("/nowhere").text
    assert 'id="side"' in login("hjp").get("/nowhere").text


@pytest.mark.parametrize(("pages", "page", "shown"), [
    (1, 1, []), (3, 1, [1, 2, 3]), (20, 10, [1, 8, 9, 10, 11, 12, 20]), (20, 1, [1, 2, 3, 20]),
])
def test_the_pager_always_has_the_first_and_the_last_page(app: Any, pages: int, page: int, shown: list[int]) -> None:
    source = '{% import "portal/macros.html" as ui %}{% call(n) ui.pager(page, pages) %}/list?page={{ n }}{% endcall %}'
    with app.test_request_context():
        text = app.jinja_env.from_string(source).render(page=page, pages=pages)
    assert [int(number) for number in re.findall(r">(\d+)</a>", text)] == shown
