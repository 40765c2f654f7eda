"""How a row is measured: ours and its floor in turn, each sample in a process of its own, medians, peak memory."""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Counts = dict[str, float | int | str]
# Answers the seconds that count, and what else the row tells.
Act = Callable[[], tuple[float, Counts]]


@dataclass(frozen=True)
class Options:
    """What a run was asked for. `size` is the number of rows the subject is measured on, 0 for its own default."""

    rounds: int = 5
    size: int = 0
    postgres: bool = False


@dataclass(frozen=True)
class Pair:
    """The two that are compared, and what is the same for both."""

    ours: Act
    floor: Act
    counts: Counts = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """One row: its name, and how its two sides are set up below a folder."""

    name: str
    prepare: Callable[[Path, Options], AbstractContextManager[Pair]]


@dataclass(frozen=True)
class Sample:
    seconds: float
    peak_mb: float
    counts: Counts


def apart(act: Callable[[], Any]) -> tuple[Any, float]:
    """What `act` answers, run in a fork of this process, and the megabytes that fork (or its largest child) held at most as the
    kernel counted them. The answer must be JSON's."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    gc.freeze()  # as the product's processes do with what they have loaded
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            answer = act()
            with os.fdopen(writing, "w", encoding="utf-8") as out:
                json.dump(answer, out)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as told:
        text = told.read()
    _pid, status, usage = os.wait4(pid, 0)
    if status or not text:
        raise SystemExit(f"a measurement failed (status {status}); its trace is above")
    # Kilobytes on Linux, bytes on macOS.
    return json.loads(text), usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)


def sample(act: Act) -> Sample:
    """Run `act` once in a process of its own. Its peak is the kernel's, unless the act tells `peak_mb` itself."""
    (seconds, counts), kernel = apart(act)
    return Sample(seconds, float(counts.pop("peak_mb", kernel)), counts)


def measure(subject: Subject, folder: Path, options: Options) -> dict[str, Any]:
    """The row: medians of `rounds` samples, ours and floor in turn, so that a slow moment of the machine meets both.

    Keys: name, ours_s, floor_s, ratio, peak_mb (of ours, the highest), spread (slowest of ours by fastest), and what the
    row counts.
    """
    with subject.prepare(folder, options) as pair:
        ours, floor = [], []
        for turn in range(options.rounds):
            for act, samples in ((pair.ours, ours), (pair.floor, floor)) if turn % 2 == 0 else (
                    (pair.floor, floor), (pair.ours, ours)):
                samples.append(sample(act))
    ours_s, floor_s = (statistics.median(each.seconds for each in side) for side in (ours, floor))
    counts: Counts = dict(pair.counts)
    for name, value in ours[0].counts.items():
        values = [each.counts[name] for each in ours]
        counts[name] = round(statistics.median(values), 4) if isinstance(value, float) else value  # type: ignore[type-var]
    # Parts that both sides have timed: how much the worst of them is slower.
    parts = [name for name in floor[0].counts if name.endswith("_s") and name in counts]
    if parts:
        counts["worst"] = round(max(float(counts[name]) / statistics.median(float(each.counts[name]) for each in floor)
                                    for name in parts), 2)
    return {"name": subject.name, "ours_s": round(ours_s, 4), "floor_s": round(floor_s, 4), "ratio": round(ours_s / floor_s, 2),
            "peak_mb": round(max(each.peak_mb for each in ours), 1),
            "spread": round(max(each.seconds for each in ours) / min(each.seconds for each in ours), 2), **counts}
