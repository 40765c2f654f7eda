"""The look: every page is drawn with our own files only, holds under a strict policy, and FAB's screens are part of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_appbuilder.security.sqla.models import Role, User
from sqlalchemy import select

import views
from app.extensions import db
from tests.factory import Factory

# FAB's own screens use what WTForms and SQLAlchemy have deprecated.
pytestmark = [pytest.mark.filterwarnings("ignore::sqlalchemy.exc.LegacyAPIWarning"),
              pytest.mark.filterwarnings("ignore:Yielding raw tuples:DeprecationWarning"),
              pytest.mark.filterwarnings("ignore:'DateTimeField' renders:DeprecationWarning")]

ENTERPRISE = "91330100MA2AAAA05G"
PAGES = {
    "": ("/login/", "/register/", "/forgotten/", "/c/", "/nowhere"),
    "hjp": ("/", "/plans/", "/plans/add", "/classes/", "/exams/", "/scores/", "/orders/", "/filing/", "/people/", "/password/", "/nowhere"),
    "hangzhou": ("/reviews/plans/", "/reviews/enterprises/", "/institutions/", "/certificates/"),
    ENTERPRISE: ("/enrol/", "/enrolled/", "/enterprise/"),
    "admin": ("/users/list/", "/users/add", "/users/show/1", "/users/edit/1", "/roles/list/", "/roles/edit/1", "/groups/list/",
              "/resetpassword/form?pk=1"),
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
    for username, path in (("hangzhou", "/reviews/plans/"), ("admin", "/roles/list/"), ("admin", "/users/edit/1"), ("hjp", "/plans/add")):
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
    assert "/users/list/" not in side
    assert "杭州建工职业培训中心" in text
    assert 'href="/password/"' in text


def test_the_sign_in_page_opens_on_the_tab_that_was_asked_for(client: FlaskClient) -> None:
    text = client.get("/login/?party=enterprise").text
    assert re.search(r'<input checked[^>]*value="enterprise"', text)
    assert not re.search(r'<input checked[^>]*value="institution"', text)


def test_users_are_found_by_a_part_of_their_name_and_never_deleted(login: Callable[[str], FlaskClient]) -> None:
    admin = login("admin")
    found = admin.get("/users/list/?_flt_2_username=ngzho").text
    rows = found[found.index("<tbody>"):]
    assert "hangzhou" in rows
    assert "ningbo" not in rows
    assert 'name="_flt_2_username"' in found  # contains, not begins with
    assert "/users/delete/" not in found
    assert "/users/delete/" not in admin.get("/users/show/1").text


def test_a_list_that_matches_nothing_says_so_and_offers_the_way_back(login: Callable[[str], FlaskClient]) -> None:
    text = login("admin").get("/users/list/?_flt_2_username=nobody-at-all").text
    assert "没有符合条件的记录" in text
    assert "清除条件" in text


def test_a_role_is_made_copied_and_deleted_on_the_screens(login: Callable[[str], FlaskClient]) -> None:
    admin = login("admin")
    assert admin.post("/roles/add", data={"name": "巡查员"}).status_code == 302
    role = db.session.scalars(select(Role).where(Role.name == "巡查员")).one()
    page = admin.get("/roles/list/").text
    assert f'name="rowid" value="{role.id}" form="bulk-RoleModelView"' in page
    assert 'name="action" value="copyrole"' in page
    admin.post("/roles/action_post", data={"action": "copyrole", "rowid": role.id})
    copy = db.session.scalars(select(Role).where(Role.name == "巡查员 copy")).one()
    assert f'action="/roles/delete/{copy.id}"' in admin.get("/roles/list/").text
    admin.post(f"/roles/delete/{copy.id}")
    db.session.expire_all()
    assert db.session.scalars(select(Role).where(Role.name == "巡查员 copy")).first() is None


def test_a_user_form_says_what_is_wrong_at_the_field_and_above_the_form(login: Callable[[str], FlaskClient]) -> None:
    before = len(db.session.scalars(select(User)).all())
    text = login("admin").post("/users/add", data={"username": "x"}).text
    summary = text[text.index('role="alert"'):text.index("</ul>", text.index('role="alert"'))]
    assert 'href="#email"' in summary
    assert re.search(r'id="email-help"><div class="error">', text)
    assert len(db.session.scalars(select(User)).all()) == before


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
