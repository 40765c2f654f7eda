"""Work on files from outside happens in a child process: a parser that hangs, aborts or eats memory then costs one
request, not the server."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

_SCRIPTS = Path(__file__).parent / "children"
# So often the caller may do something while it waits for a child, in seconds.
PULSE = 10.0
Waiting = Callable[[], None]


def nothing() -> None:
    """Nothing is done while waiting."""


class ChildFailed(Exception):
    """The child gave no answer. `reason`: timeout, or crashed (memory limit included); `detail` is the end of its
    stderr."""

    def __init__(self, reason: Literal["timeout", "crashed"], detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Child:
    """A child that is starting, used as a context: it loads its parser while the caller still looks at the file, and is gone at
    the end of the block whatever has happened."""

    def __init__(self, script: str, arguments: list[str], *, timeout: float, memory_mb: int) -> None:
        self._timeout = timeout
        command = [sys.executable, "-I", str(_SCRIPTS / f"{script}.py"), str(memory_mb), str(int(timeout) + 1), *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                         env={"LANG": "C.UTF-8"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def answer(self, payload: bytes, waiting: Waiting = nothing) -> bytes:
        """Give it its stdin and wait for its stdout; `waiting` is called every `PULSE` seconds. Raises `ChildFailed`."""
        until, given = time.monotonic() + self._timeout, payload or None
        while True:
            try:
                answer, said = self._process.communicate(given, min(PULSE, max(0.0, until - time.monotonic())))
                break
            except subprocess.TimeoutExpired:
                given = None  # it remembers what it was given
                if time.monotonic() >= until:
                    raise ChildFailed("timeout", f"{self._timeout:g} s") from None
                waiting()
        if self._process.returncode != 0:
            raise ChildFailed("crashed", f"exit {self._process.returncode}: " + said[-2000:].decode("utf-8", "replace"))
        return answer


def run_child(script: str, arguments: list[str], payload: bytes, *, timeout: float, memory_mb: int,
              waiting: Waiting = nothing) -> bytes:
    """Run `children/<script>.py` on `payload` (its stdin) and return its stdout.

    `timeout` in seconds of wall clock; `memory_mb` bounds the address space (the child sets it on itself: a preexec
    hook is not safe under threads). The child gets an empty environment, so that no secret of the portal is in its
    reach, and `-I`, so that neither the working directory nor PYTHONPATH adds modules. Raises `ChildFailed`.
    """
    with Child(script, arguments, timeout=timeout, memory_mb=memory_mb) as child:
        return child.answer(payload, waiting)
