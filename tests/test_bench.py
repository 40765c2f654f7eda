"""The measurements run, and answer what they promise; their figures are not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests import services

PROMISED = {
    "certificates": {"rows", "database", "signed_per_s"},
    "push": {"rows", "calls", "duplicates", "missing"},
    "import": {"rows", "database", "s_per_1000"},
    "lists": {"plans", "database", "statements", "floor_statements", "last_page_s", "kb"},
    "seats": {"seats", "clients", "database", "orders", "orders_per_s", "oversold", "lost", "p95_ms", "statements"},
    "start": {"processes", "stop_s"},
    "photos": {"images", "kb", "database", "images_a_second"},
    "ocr": {"pictures", "s_per_picture", "first_s", "uscc_right", "name_right", "address_right", "uscc_undetected"},
    "papers": {"tickets", "database", "ms_per_ticket", "mb"},
    "lookup": {"certificates", "requests", "database", "requests_per_s"},
}
if services.POSTGRES:
    del PROMISED["start"], PROMISED["ocr"]  # which know one database only, and none

pytestmark = pytest.mark.own_database


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "bench", *arguments], cwd=services.ROOT, env=services.user_environment(),
                          capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def rows() -> dict[str, dict[str, Any]]:
    """All rows of one run, as `make bench` has them, on twenty of each; pictures take their time, so two of them."""
    some = [bench(*(name for name in PROMISED if name != "ocr"), "--json", "--rounds", "1", "--size", "20")]
    if "ocr" in PROMISED:
        some.append(bench("ocr", "--json", "--rounds", "1", "--size", "2"))
    for ran in some:
        assert ran.returncode == 0, ran.stderr
    lines = [line for ran in some for line in ran.stdout.splitlines()]
    assert len(lines) == len(PROMISED), "one line each"
    return {row["name"]: row for row in map(json.loads, lines)}


@pytest.mark.parametrize("name", PROMISED)
def test_a_row_is_one_line_of_json(rows: dict[str, dict[str, Any]], name: str) -> None:
    row = rows[name]
    assert set(row) >= {"name", "ours_s", "floor_s", "ratio", "peak_mb"} | PROMISED[name]
    assert row["ours_s"] > 0
    assert row["floor_s"] > 0
    assert 20 < row["peak_mb"] < 2000
    assert row.get("statements", 0) <= 20
    assert (row.get("oversold", 0), row.get("lost", 0)) == (0, 0)


def test_an_unknown_row_is_answered_with_the_rows_there_are() -> None:
    ran = bench("speed")
    assert ran.returncode == 2
    assert ("no row speed: there are start, import, lists, review-bulk, desk, ocr, photos, lookup, seats, certificates, push, papers"
            in ran.stderr)
