"""The supervisor: starts the parts of the portal, restarts one that dies and says so, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_PR_SET_PDEATHSIG = 1
GRACE = 8.0


def die_with_parent() -> None:
    """Have the kernel end this process when its parent ends, however that happens. Linux only; elsewhere `watch_parent`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def watch_parent() -> None:
    """Where the kernel cannot do it: a thread that ends this process once its parent is gone."""
    if sys.platform == "linux" or "PORTAL_PART" not in os.environ:
        return
    import threading

    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@dataclass
class Part:
    """One child: what runs, and how often it had to be started again."""

    name: str
    command: list[str]
    environ: dict[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    started: float = 0.0
    failures: int = 0
    again_at: float = 0.0

    def start(self) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(self.command, env={**self.environ, "PORTAL_PART": self.name},
                                        start_new_session=True, preexec_fn=die_with_parent)

    def died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def end(self, number: int) -> None:
        """Signal the child and whatever it started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)


class Supervisor:
    """Runs parts until it is told to stop."""

    def __init__(self, parts: list[Part], say: Callable[[str], None]) -> None:
        self.parts = parts
        self._say = say
        self._stopping = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def run(self, ready: Callable[[], bool], greet: Callable[[], None]) -> None:
        """Start every part in order, call `greet` once `ready` says so, and watch until a signal comes."""
        greeted = False
        try:
            for part in self.parts:
                part.start()
            while not self._stopping:
                for part in self.parts:
                    self._watch(part)
                if not greeted and ready():
                    greet()
                    greeted = True
                time.sleep(0.2)
        finally:
            self._end_all()

    def _watch(self, part: Part) -> None:
        """Restart a part that died: at once, then after 1, 2, 4 ... at most 30 seconds if it keeps dying."""
        now = time.monotonic()
        if part.process is None:
            if now >= part.again_at:
                part.start()
            return
        if not part.died():
            if part.failures and now - part.started > 30:
                part.failures = 0
            return
        code = part.process.returncode
        part.end(signal.SIGKILL)
        part.process = None
        delay = 0.0 if part.failures == 0 else min(2.0 ** (part.failures - 1), 30.0)
        part.failures += 1
        part.again_at = now + delay
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._say(f"{part.name} died ({how}); starting it again" + (f" in {delay:.0f} s" if delay else ""))

    def _end_all(self) -> None:
        """SIGTERM in reverse order, a few seconds of grace, then SIGKILL to what is left of each process group."""
        for part in reversed(self.parts):
            part.end(signal.SIGTERM)
        until = time.monotonic() + GRACE
        for part in self.parts:
            if part.process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    part.process.wait(max(0.1, until - time.monotonic()))
        for part in self.parts:
            part.end(signal.SIGKILL)
            if part.process is not None:
                part.process.wait()
