"""What only the running product shows, whose forms have tokens: the tests of single pages have them switched off."""

from __future__ import annotations

from typing import Any

import requests

from tests.services import Portal
from tests.walker import Walker, walking


def saved(walker: Walker, path: str, **fields: str) -> None:
    walker.go(path)
    for name, value in fields.items():
        walker.page.locator(f"[name={name}]").fill(value)
    walker.page.locator("input[type=submit]").first.click()
    walker.page.wait_for_load_state()


def test_an_administrator_changes_parameters_and_dictionaries_and_runs_jobs_again(portal: Portal, browser: Any) -> None:
    with walking(browser, portal) as walker:
        walker.sign_in("主管部门", "admin")
        saved(walker, "/console/parameters/edit/?id=order_minutes", value="45")
        assert walker.path().startswith("/console/parameters/?") or walker.path() == "/console/parameters/"
        walker.go("/console/parameters/edit/?id=order_minutes")
        assert walker.page.locator("[name=value]").input_value() == "45"
        saved(walker, "/console/parameters/edit/?id=order_minutes", value="60")
        saved(walker, "/console/titles/new/", code="77", name="特级技师", position="77")
        walker.go("/console/titles/")
        walker.look("特级技师")
        forged = requests.Session()
        forged.trust_env = False
        forged.cookies.update({each["name"]: each["value"] for each in walker.page.context.cookies()})
        forged.post(f"{portal.url}/console/parameters/edit/?id=order_minutes", data={"value": "5"}, timeout=20)
        walker.go("/console/parameters/edit/?id=order_minutes")
        assert walker.page.locator("[name=value]").input_value() == "60", "a form from elsewhere changes nothing"
        walker.go("/console/jobs/")
        assert walker.page.locator("#action_form [name=csrf_token]").count() == 1


def test_a_double_click_on_a_button_that_asks_leaves_its_question_open(portal: Portal, browser: Any) -> None:
    with walking(browser, portal) as walker:
        walker.sign_in("主管部门", "admin")
        walker.page.evaluate("""() => {
            const form = document.createElement("form");
            form.innerHTML = '<button data-confirm="确定吗？">试一试</button>';
            document.querySelector("main").append(form);
        }""")
        walker.page.get_by_role("button", name="试一试").dblclick()
        question = walker.page.locator("dialog[open]")
        assert question.count() == 1
        walker.page.mouse.click(5, 5)
        assert question.count() == 0, "one click beside it closes it"


def test_a_machine_asks_about_a_certificates_file_without_a_token(portal: Portal) -> None:
    machine = requests.Session()
    machine.trust_env = False
    answer = machine.post(f"{portal.url}/verify/", files={"file": ("证书.pdf", b"%PDF-1.7 nothing")}, timeout=60,
                          headers={"X-Requested-With": "fetch"})
    assert (answer.status_code, answer.json()["untouched"]) == (200, False), answer.text
