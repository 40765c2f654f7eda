"""What runs below a process of the product, as /proc tells."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from tests import services


def children_of(pid: int) -> Iterator[int]:
    """All below a process, from /proc."""
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            for child in map(int, (task / "children").read_text().split()):
                yield child
                yield from children_of(child)


def stopped(worker: int, script: str) -> int:
    """The child process in which the worker reads or marks a workbook, stopped where it is; 0 while there is none."""
    for child in children_of(worker):
        with contextlib.suppress(OSError):
            if f"{script}.py".encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGSTOP)
                return child
    return 0


def kill_around(worker: int, child: int) -> None:
    """`kill -9` a worker, and its stopped child once nobody is left to see the child die and draw conclusions."""
    others = [worker, *(pid for pid in children_of(worker) if pid != child)]
    os.kill(worker, signal.SIGKILL)
    services.wait_for(lambda: all(map(gone, others)), 20, "the worker outlived its kill")
    os.kill(child, signal.SIGKILL)


def gone(pid: int) -> bool:
    """Whether a process has ended; one whose parent has not asked after it yet has no command line any more."""
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True
