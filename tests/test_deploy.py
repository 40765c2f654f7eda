"""What deploy/ hands out is true: the environment names every setting, and starts once its gaps are filled."""

from __future__ import annotations

import base64
import os
from dataclasses import fields
from pathlib import Path

import pytest

from config import Settings, SettingsError, load

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"


def example() -> dict[str, str]:
    lines = (DEPLOY / "portal.env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_example_names_every_setting_of_production() -> None:
    assert set(example()) == {each.name.upper() for each in fields(Settings)} - {"STANDINS_PORT"}


def test_the_example_as_it_is_does_not_start_and_names_every_gap() -> None:
    with pytest.raises(SettingsError) as refused:
        load(example())
    assert set(str(refused.value).splitlines()) == {f"{name} is not set" for name, value in example().items() if not value}


def test_the_example_holds_no_secret_that_could_be_left_in() -> None:
    assert not any(value for name, value in example().items() if name.endswith(("KEY", "SECRET", "TOKEN")))


def test_the_example_filled_in_starts() -> None:
    drawn = base64.b64encode(os.urandom(32)).decode()
    filled = {name: value or (f"https://{name.lower()}.example" if name.endswith(("URL", "ENDPOINT")) else drawn)
              for name, value in example().items()}
    assert load(filled).production


@pytest.mark.parametrize("part", ["web", "worker", "ocr", "scheduler"])
def test_each_part_has_a_unit_that_runs_it(part: str) -> None:
    unit = (DEPLOY / f"portal-{part}.service").read_text(encoding="utf-8")
    assert f"ExecStart=/opt/portal/.venv/bin/python run.py {part}\n" in unit
    assert "KillMode=mixed" in unit, "a worker's job may end before it is killed"


def test_the_web_server_listens_on_this_machine_alone_until_told_otherwise() -> None:
    from workers.web import Web

    drawn = base64.b64encode(os.urandom(32)).decode()
    filled = {name: value or (f"https://{name.lower()}.example" if name.endswith(("URL", "ENDPOINT")) else drawn)
              for name, value in example().items() if name != "BIND"}
    for given, address in (({}, ("127.0.0.1", 8080)), ({"BIND": "0.0.0.0"}, ("0.0.0.0", 8080)), ({"BIND": "::"}, ("::", 8080))):
        assert Web(load(filled | given)).cfg.address == [address]


@pytest.mark.parametrize("name, value", [
    ("IDLE_MINUTES", "0"), ("SIGN_IN_FAILURES", "0"), ("SIGN_IN_ADDRESS_FAILURES", "0"), ("SECOND_FACTOR", "perhaps"),
])
def test_a_setting_that_would_let_nobody_in_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load(example() | {name: value})


@pytest.mark.parametrize("given", ["approve", "approve=110", "approve=SMS_1,=SMS_2", "none,approve=SMS_1"])
def test_templates_of_notices_that_are_none_are_refused(given: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SMS_NOTICE_TEMPLATES"):
        load({"MODE": "test", "VAR_DIR": str(tmp_path), "SMS_NOTICE_TEMPLATES": given})


def test_a_portal_may_do_without_notices_by_sms(tmp_path: Path) -> None:
    assert load({"MODE": "test", "VAR_DIR": str(tmp_path), "SMS_NOTICE_TEMPLATES": "none"}).sms_notice_templates == "none"
