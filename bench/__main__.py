"""`python -m bench` prints a table of all rows; `python -m bench NAME --json` one row as one JSON line on stdout."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from bench import certifying, checking, desk, importing, listing, papers, portraits, pushing, reading, reviewing, seats, starting
from bench.measure import Options, apart, measure
from bench.place import make_ready

SUBJECTS = {subject.name: subject for subject in (
    starting.SUBJECT, importing.SUBJECT, listing.SUBJECT, reviewing.SUBJECT, desk.SUBJECT, reading.SUBJECT, portraits.SUBJECT,
    checking.SUBJECT, seats.SUBJECT, certifying.SUBJECT, pushing.SUBJECT, papers.SUBJECT)}
MAIN = ("name", "ours_s", "floor_s", "ratio", "peak_mb")


def table_line(row: dict[str, Any]) -> str:
    """A row of the table, the counts at its end."""
    counts = ", ".join(f"{name} {value}" for name, value in row.items() if name not in MAIN)
    return f"{row['name']:<12}{row['ours_s']:>10.3f}{row['floor_s']:>10.3f}{row['ratio']:>8.2f}{row['peak_mb']:>9.1f}  {counts}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Ours and a stated floor, measured in turn.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(SUBJECTS)}; all without a name")
    parser.add_argument("--json", action="store_true", help="one JSON line a row")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each side (5)")
    parser.add_argument("--size", type=int, default=0, help="rows to measure on, instead of the subject's own number")
    given = parser.parse_args()
    if unknown := set(given.names) - set(SUBJECTS):
        parser.error(f"no row {', '.join(sorted(unknown))}: there are {', '.join(SUBJECTS)}")
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    options = Options(given.rounds, given.size, os.environ.get("DB", "") == "postgres")
    if not given.json:
        print(f"{'name':<12}{'ours s':>10}{'floor s':>10}{'ratio':>8}{'peak MB':>9}  counts", flush=True)
    make_ready(options)
    for name in given.names or SUBJECTS:
        with tempfile.TemporaryDirectory(prefix="portal-bench-") as folder:
            # Apart: what a row does before its samples (use the storage, say) must not be met by the next row's.
            row, _peak = apart(partial(measure, SUBJECTS[name], Path(folder), options))
        print(json.dumps(row, ensure_ascii=False) if given.json else table_line(row), flush=True)


if __name__ == "__main__":
    main()
