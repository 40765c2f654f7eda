"""Draws the pictures of the README: `make screenshots`. Starts a portal of its own, fills it a little, and looks at it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from sqlalchemy import select

from app import create_app
from app.demo import ACCOUNTS, PASSWORD
from app.extensions import db, within
from config import load
from models import Enrolment, Order, TrainingPlan
from tests import services
from tests.factory import Factory

HERE = Path(__file__).resolve().parent / "screenshots"
ENTERPRISE = "91330100MA2AAAA05G"
SIZES = {1440: 900, 390: 844}


def fill(running: services.Portal) -> dict[str, str]:
    """Some plans in every state, a roster, an order and its people; answers the pages to look at by name."""
    with within(create_app(load(running.environ))):
        make = Factory()
        for state in ("draft", "submitted", "accepted", "rejected"):
            make.plan(state, occupations=("020", "040"))
        waiting = make.plan("submitted", occupations=("030",))
        plan = make.plan(seats=60, occupations=("020", "040", "030"))
        make.paid(plan, 12)
        batch = make.batch(plan, 8)
        order = db.session.scalars(select(Order).where(Order.plan_id == plan.id)).first()
        report = make.report(people=6)
        person = db.session.scalars(select(Enrolment).where(Enrolment.plan_id == report.exam_plan.plan_id)).first()
        registered = make.enterprise().id
        assert order is not None
        assert person is not None
        pages = {
            "login": "- /login/", "home": "hangzhou /", "plan": f"hjp /plans/{plan.id}", "plans": "hjp /plans/",
            "plan-form": "hjp /plans/add",
            "review": f"hangzhou /reviews/plans/{waiting.id}", "desk": "hangzhou /reviews/plans/", "enrol": f"{ENTERPRISE} /enrol/",
            "batch": f"{ENTERPRISE} /enrol/batches/{batch.id}", "order": f"{ENTERPRISE} /orders/{order.id}",
            "class": f"hjp /classes/{plan.id}", "exam": f"hjp /exams/{report.exam_plan_id}", "scores": f"hjp /scores/{report.exam_plan_id}",
            "certificates": "hangzhou /certificates/issue/", "people": "hjp /people/", "person": f"hjp /people/{person.id}",
            "console": "admin /console/", "register": "- /register/", "filing": "hjp /filing/", "safety": "hangzhou /safety/",
            "calendar": "hjp /calendar/", "notices": "hjp /notices/", "audit": "admin /audit/", "roles": "admin /staff/roles/",
            "staff": "admin /staff/", "enterprise-review": f"hangzhou /reviews/enterprises/{registered}",
            "dictionaries": "admin /console/occupations/",
        }
        assert db.session.get(TrainingPlan, plan.id) is not None
        db.session.rollback()
    return pages


@contextmanager
def signed_in(browser: Any, running: services.Portal, username: str, width: int) -> Iterator[Any]:
    """A page of that width, signed in as that account; a visitor's for ``-``."""
    context = browser.new_context(locale="zh-CN", viewport={"width": width, "height": SIZES[width]}, timezone_id="Asia/Shanghai")
    page = context.new_page()
    if username != "-":
        party = next(entry.party for entry in ACCOUNTS if entry.username == username).replace("administrator", "authority")
        page.goto(f"{running.url}/login/?party={party}")
        page.fill("#username", username)
        page.fill("#password", PASSWORD)
        page.press("#password", "Enter")
        page.wait_for_load_state()
    yield page
    context.close()


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        with services.portal(folder) as running, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=services.chromium(), args=list(services.CHROMIUM_FLAGS))
            for name, where in fill(running).items():
                username, path = where.split(" ", 1)
                for width in SIZES:
                    with signed_in(browser, running, username, width) as page:
                        page.goto(running.url + path)
                        page.screenshot(path=HERE / f"{name}-{width}.png")
                        print(name, width)
            browser.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
