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
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# How long a part may take to end by itself, and how long it must have lived for its past failures to be forgotten, in seconds.
GRACE = 8.0
SETTLED = 30.0


class Stopped(Exception):
    """A signal asked to stop before everything was started."""


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Have the kernel send `number` to this process when its parent ends, however that happens. Linux only; elsewhere
    `watch_parent` does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))


def watch_parent(number: int = signal.SIGTERM) -> None:
    """Where the kernel cannot do it: a thread that ends this process once its parent is gone."""
    if sys.platform == "linux" or "PORTAL_PART" not in os.environ:
        return
    import threading

    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), number)

    threading.Thread(target=watch, daemon=True).start()


def _descendants(session: int) -> list[int]:
    """Processes of a session, its leader included. A worker's jobs have process groups of their own, but not sessions."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # pid (name) state ppid pgrp session ...; the name may hold spaces and brackets.
            if int((entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[3]) == session:
                found.append(int(entry.name))
    return found


@dataclass
class Part:
    """One child: what runs, and how often it had to be started again.

    `answers` tells whether others may start to use it; a `foundation` is started before and stopped after all others.
    """

    name: str
    command: list[str]
    environ: dict[str, str]
    answers: Callable[[], bool] | None = None
    foundation: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    started: float = 0.0
    failures: int = 0
    again_at: float = 0.0

    def start(self) -> None:
        ours = os.getpid()

        def tie() -> None:
            die_with_parent()
            if os.getppid() != ours:  # it ended in between: no signal will come any more
                os._exit(1)

        self.started = time.monotonic()
        self.process = subprocess.Popen(self.command, env={**self.environ, "PORTAL_PART": self.name},
                                        start_new_session=True, preexec_fn=tie)

    def died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def ask_to_end(self) -> None:
        """SIGTERM to the child and its process group."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGTERM)

    def sweep(self) -> None:
        """SIGKILL to the child and to everything it started."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for pid in _descendants(self.process.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


class Supervisor:
    """Runs parts until it is told to stop. Make it first: from then on a signal stops in order."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._signals = 0
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's wish is respected
                signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: object) -> None:
        self._signals += 1

    def once(self, part: Part) -> int:
        """Run a part to its end and return its exit code. Raises `Stopped` when a signal came first."""
        part.start()
        try:
            while not part.died():
                if self._signals:
                    self._end([part])
                    raise Stopped
                time.sleep(0.05)
            assert part.process is not None
            return part.process.returncode
        finally:
            part.sweep()

    def run(self, parts: list[Part], ready: Callable[[], bool], greet: Callable[[], None]) -> None:
        """Start every part in order, call `greet` once `ready` says so, and watch until a signal comes."""
        greeted, pending = False, list(parts)
        try:
            while not self._signals:
                running = [part for part in parts if part not in pending]
                for part in running:
                    self._watch(part)
                if pending and all(part.answers is None or part.answers() for part in running):
                    pending.pop(0).start()
                    continue
                if not greeted and not pending and ready():
                    greet()
                    greeted = True
                time.sleep(0.2 if greeted else 0.05)
        finally:
            self._end([part for part in parts if not part.foundation])
            self._end([part for part in parts if part.foundation])

    def _watch(self, part: Part) -> None:
        """Restart a part that died: at once, then after 1, 2, 4 ... at most 30 seconds if it keeps dying."""
        now = time.monotonic()
        if part.process is None:
            if now >= part.again_at:
                part.start()
            return
        if not part.died():
            if part.failures and now - part.started > SETTLED:
                part.failures = 0
            return
        code = part.process.returncode
        part.sweep()
        part.process = None
        delay = 0.0 if part.failures == 0 else min(2.0 ** (part.failures - 1), 30.0)
        part.failures += 1
        part.again_at = now + delay
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._say(f"{part.name} died ({how}); starting it again" + (f" in {delay:.0f} s" if delay else ""))

    def _end(self, parts: list[Part]) -> None:
        """SIGTERM to all, some seconds of grace (none after a second signal), then SIGKILL to whatever is left."""
        for part in parts:
            part.ask_to_end()
        until = time.monotonic() + GRACE
        while time.monotonic() < until and self._signals < 2 and not all(part.process is None or part.died() for part in parts):
            time.sleep(0.05)
        for part in parts:
            part.sweep()
