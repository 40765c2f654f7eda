"""What is documented is what there is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from config import Settings
from workers.jobs import JOBS
from workers.timetable import TIMETABLE

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_every_setting_is_documented() -> None:
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert [field.name.upper() for field in dataclasses.fields(Settings) if f"`{field.name.upper()}`" not in text] == []


def test_every_job_is_documented() -> None:
    text = (DOCS / "jobs.md").read_text(encoding="utf-8")
    assert [name for name in {*JOBS, *TIMETABLE} if f"`{name}`" not in text] == []


def test_every_recurring_task_is_a_job() -> None:
    assert set(TIMETABLE) <= set(JOBS)


def test_the_example_environment_names_every_setting_of_production() -> None:
    lines = (DOCS.parent / "deploy" / "portal.env.example").read_text(encoding="utf-8").splitlines()
    named = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    assert named == {field.name.upper() for field in dataclasses.fields(Settings)} - {"STANDINS_PORT"}
