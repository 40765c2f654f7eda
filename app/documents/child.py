"""Work on files from outside happens in a child process: a parser that hangs, aborts or eats memory then costs one
request, not the server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

_SCRIPTS = Path(__file__).parent / "children"


class ChildFailed(Exception):
    """The child gave no answer. `reason`: timeout, or crashed (memory limit included); `detail` is the end of its
    stderr."""

    def __init__(self, reason: Literal["timeout", "crashed"], detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def run_child(script: str, arguments: list[str], payload: bytes, *, timeout: float, memory_mb: int) -> bytes:
    """Run `children/<script>.py` on `payload` (its stdin) and return its stdout.

    `timeout` in seconds of wall clock; `memory_mb` bounds the address space (the child sets it on itself: a preexec
    hook is not safe under threads). The child gets an empty environment, so that no secret of the portal is in its
    reach, and `-I`, so that neither the working directory nor PYTHONPATH adds modules. Raises `ChildFailed`.
    """
    command = [sys.executable, "-I", str(_SCRIPTS / f"{script}.py"), str(memory_mb), str(int(timeout) + 1), *arguments]
    try:
        done = subprocess.run(
            command, input=payload, capture_output=True, timeout=timeout, check=False, env={"LANG": "C.UTF-8"}
        )
    except subprocess.TimeoutExpired:
        raise ChildFailed("timeout", f"{timeout:g} s") from None
    if done.returncode != 0:
        raise ChildFailed("crashed", f"exit {done.returncode}: " + done.stderr[-2000:].decode("utf-8", "replace"))
    return done.stdout
