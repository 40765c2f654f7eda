"""A person in front of a browser, for the journey: signs in, fills forms by their labels, presses buttons by their names."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from flask_appbuilder import Model
from playwright.sync_api import Error
from sqlalchemy import Date, create_engine, select, update

import models
from app.crypto import Vault
from models.audit import APPEND_ONLY
from models.types import UtcDateTime
from tests.services import Portal

PASSWORD = "Demo2026!"
# Dates that are facts about people and not moments of the journey.
LASTING = {"birth", "founded_on"}


class Walker:
    """One person's browser. `look` raises when something the person should see is not there."""

    def __init__(self, page: Any, portal: Portal) -> None:
        self.page = page
        self.portal = portal

    def go(self, path: str) -> None:
        answer = self.page.goto(path if path.startswith("http") else self.portal.url + path)
        assert answer is None or answer.status < 400, f"{path}: {answer.status}"

    def sign_in(self, party: str, username: str, password: str = PASSWORD) -> None:
        self.go("/login/")
        self.page.get_by_role("radio", name=party).check(force=True)
        self.page.get_by_label("用户名").fill(username)
        self.page.get_by_label("密码").fill(password)
        self.press("登录")

    def press(self, name: str, exact: bool = True) -> None:
        """Press a button, or follow a link that looks like one."""
        # The menu has links of the same names: what is pressed stands in the page's own matter.
        place = self.page.get_by_role("main") if self.page.get_by_role("main").count() else self.page
        button = place.get_by_role("button", name=name, exact=exact).or_(place.get_by_role("link", name=name, exact=exact))
        button.first.click()
        sure = self.page.locator("[data-confirm-yes]")
        if sure.count():  # a question that comes up is answered with yes
            sure.click()
        self.page.wait_for_load_state()

    def captcha(self) -> str:
        """The signs of the page's captcha, opened with the running portal's own key: no eye here can read the picture."""
        drawn = json.loads((self.portal.var_dir / "secrets.json").read_text())
        token = self.page.locator("input[name=captcha_token]").input_value()
        sealed = base64.urlsafe_b64decode(token)
        return Vault(drawn["data_key"], drawn["index_key"]).open(sealed, "captcha").partition(":")[2]

    def menu(self, name: str) -> None:
        self.page.get_by_role("navigation", name="主菜单").get_by_role("link", name=name, exact=True).click()
        self.page.wait_for_load_state()

    def look(self, *texts: str, seconds: float = 20) -> None:
        """Every text is on the page, or comes within a while (jobs work in the background)."""
        for text in texts:
            self.page.get_by_text(text).first.wait_for(timeout=seconds * 1000)

    def reload_until(self, text: str, seconds: float = 40) -> None:
        """Look again and again, as a person waiting for a job would."""
        until = datetime.now() + timedelta(seconds=seconds)
        while self.page.get_by_text(text).count() == 0:
            assert datetime.now() < until, f"{text!r} did not come:\n{self.page.inner_text('body')[:2000]}"
            self.page.wait_for_timeout(500)
            with suppress(Error):  # the page reloads by itself when its job is done
                self.page.reload()

    def download(self, name: str) -> bytes:
        """Press what downloads a file, and answer the file."""
        with self.page.expect_download() as waiting:
            self.page.get_by_role("link", name=name).or_(self.page.get_by_role("button", name=name)).first.click()
        return Path(waiting.value.path()).read_bytes()

    def save(self, name: str) -> bytes:
        """Press a button whose answer is a file."""
        with self.page.expect_download() as waiting:
            self.page.get_by_role("button", name=name, exact=True).first.click()
        self.page.wait_for_timeout(200)
        return Path(waiting.value.path()).read_bytes()

    def give(self, label: str, *files: tuple[str, bytes]) -> None:
        """Choose files for an upload, by the name of its field."""
        chosen = [{"name": name, "mimeType": "application/octet-stream", "buffer": data} for name, data in files]
        self.page.locator(f'input[type="file"][name="{label}"]').set_input_files(chosen)

    def drop(self, selector: str, folder: Path) -> None:
        """Drag a folder from the desktop onto a place of the page."""
        place = self.page.locator(selector)
        place.scroll_into_view_if_needed()
        box = place.bounding_box()
        assert box is not None
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
        session = self.page.context.new_cdp_session(self.page)
        for step in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": step, **at, "data": data})
        session.detach()

    def path(self) -> str:
        """Where the person is."""
        return str(self.page.url).removeprefix(self.portal.url)


@contextmanager
def walking(browser: Any, portal: Portal) -> Iterator[Walker]:
    """A fresh browser profile: nobody is signed in."""
    context = browser.new_context(locale="zh-CN", timezone_id="Asia/Shanghai", viewport={"width": 1440, "height": 900})
    context.set_default_timeout(20_000)
    walker = Walker(context.new_page(), portal)
    try:
        yield walker
    except BaseException:
        print(f"--- {walker.path()}\n{walker.page.inner_text('body')[:3000]}\n--- the portal said\n{portal.said()[-3000:]}")
        raise
    finally:
        context.close()


def let_pass(portal: Portal, **delta: float) -> None:
    """Let time pass for the running product: every moment and day it has stored moves into the past by so much.

    The product's clock cannot be turned, but its memory can; nothing but dates is touched, and no append-only record.
    """
    assert models
    passed = timedelta(**delta)
    engine = create_engine(portal.environ.get("DATABASE_URL") or f"sqlite:///{portal.var_dir / 'portal.db'}")
    with engine.begin() as connection:
        for table in Model.metadata.sorted_tables:
            columns = [column for column in table.columns if isinstance(column.type, (UtcDateTime, Date)) and column.name not in LASTING]
            keys = list(table.primary_key)
            if not columns or table.name.startswith("ab_") or table.name in APPEND_ONLY:
                continue
            for row in connection.execute(select(*keys, *columns)).all():
                values = {column: _earlier(row._mapping[column], passed) for column in columns if row._mapping[column] is not None}
                if values:
                    connection.execute(update(table).where(*[key == row._mapping[key] for key in keys]).values(values))
    engine.dispose()


def _earlier(value: date | datetime, passed: timedelta) -> date | datetime:
    return value - passed if isinstance(value, datetime) else value - timedelta(days=passed.days)
