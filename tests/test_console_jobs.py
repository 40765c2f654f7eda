"""The job queue in the console: an operator reads what a job does, how it stands and when, and runs failed ones again."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from typing import Any

from app import jobs
from app.extensions import db, transaction
from models import Job
from views.console_jobs import TITLES
from workers.jobs import JOBS


def written(name: str, state: str, **values: Any) -> Job:
    moment = datetime(2026, 11, 26, 16, 30, 5, 123456, tzinfo=UTC)
    with transaction() as session:
        row = jobs.schedule(name, 7, due_at=moment)
        row.state = state
        for key, value in values.items():
            setattr(row, key, value)
        session.flush()
    return row


def rows_of(page: str) -> list[str]:
    return [" ".join(re.sub(r"<[^>]+>", " ", html.unescape(row)).split()) for row in re.findall(r"<tr[ >].*?</tr>", page, re.S)]


def test_every_job_has_a_title() -> None:
    assert set(TITLES) == set(JOBS)
    assert len({str(title) for title in TITLES.values()}) == len(TITLES)


def test_a_job_is_told_by_its_title_its_state_and_the_time_in_shanghai(login: Any) -> None:
    written("pack_certificates", "failed", error="存储已满", attempts=2, finished_at=datetime(2026, 11, 26, 16, 31, 9, tzinfo=UTC))
    written("issue_invoice", "waiting", error="平台忙", attempts=1)
    running = written("render_certificates", "running", done_units=250, total_units=1000)
    admin = login("admin")
    page = admin.get("/console/jobs/").text
    found = "\n".join(rows_of(page))
    for words in ("打包证书文件 pack_certificates 7 失败", "2026-11-27 00:30:05 2026-11-27 00:31:09 2 存储已满",
                  "开具发票 issue_invoice 7 等待重试", "制作证书文件 render_certificates 7 运行中 250 / 1,000"):
        assert words in found, found
    for raw in ("16:30:05", ".123456", "+00:00", "waiting<", ">failed<"):
        assert raw not in page
    whole = admin.get(f"/console/jobs/details/?id={running.id}").text
    assert "制作证书文件" in whole
    assert "2026-11-27 00:30:05" in whole
    admin.get("/lang/en")
    assert "Pack certificate files" in admin.get("/console/jobs/").text


def test_the_failed_ones_are_a_click_from_the_overview_and_run_again(login: Any) -> None:
    failed, done = written("pull_scores", "failed", error="x"), written("reconcile_seats", "done")
    admin = login("admin")
    link = re.search(r'href="(/console/jobs/\?[^"]+)"', admin.get("/console/").text)
    assert link is not None
    page = admin.get(html.unescape(link[1])).text
    assert "pull_scores" in page
    assert "<small class='text-muted text-nowrap'>reconcile_seats</small>" not in page
    admin.post("/console/jobs/action/", data={"action": "again", "rowid": [str(failed.id), str(done.id)]})
    db.session.expire_all()
    assert (db.session.get_one(Job, failed.id).state, db.session.get_one(Job, done.id).state) == ("waiting", "done")


def test_what_was_stored_and_recorded_shows_the_same_clock(login: Any) -> None:
    admin = login("admin")
    page = admin.get("/console/audit/").text
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\s*<", page)
    assert "+00:00" not in page
