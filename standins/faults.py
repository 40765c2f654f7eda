"""Misbehaviour on demand, the same for every stand-in.

Control settings: `latency_s`; `failure_share` (0 to 1, answers 500); `next_answers`, a list consumed one a call, of
500, 502, 503, 429, timeout, half, garbage, error, ok, and what a single stand-in adds. An answer named "late-..." is given
after the work was done (late-500: stored, yet answered with 500), the others instead of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from flask import Response

from standins.state import State

TIMEOUT_S = 60.0


class Faults:
    """The misbehaviour of one stand-in."""

    def __init__(self, system: str, state: State) -> None:
        self.system = system
        self._state = state
        self._random = random.Random(20260101)

    def around(self, work: Callable[[str], Response]) -> Response:
        """Answer one call: with the fault, or with the work's result. `work` gets the names of faults only it can do."""
        fault = self._next()
        name = fault.removeprefix("late-")
        if not fault.startswith("late-") and name != "half":
            return self._instead(name) or work(name)
        done = work("ok")
        return self._half(done) if name == "half" else self._instead(name) or done

    def _next(self) -> str:
        with self._state.lock:
            settings = self._state.settings(self.system)
            planned = [str(name) for name in settings.get("next_answers") or []]
            if planned:
                self._state.put("settings", self.system, settings | {"next_answers": planned[1:]})
        self._state.sleep(float(settings.get("latency_s", 0)))
        if planned:
            return planned[0]
        return "500" if self._random.random() < float(settings.get("failure_share", 0)) else "ok"

    def _instead(self, name: str) -> Response | None:
        if name.isdigit() and name not in ("200", "201"):
            return Response(f"stand-in told to answer {name}", int(name), mimetype="text/plain")
        if name == "timeout":
            self._state.sleep(float(self._state.settings(self.system).get("timeout_s", TIMEOUT_S)))
            return Response("too late", 504, mimetype="text/plain")
        if name == "garbage":
            return Response("<html>Bad Gateway</html>", 200, mimetype="text/html")
        return None

    @staticmethod
    def _half(done: Response) -> Response:
        """The first half of the body, under the length of the whole."""
        body = done.get_data()
        half = Response(iter([body[: len(body) // 2]]), done.status_code, mimetype=done.mimetype)
        half.headers["Content-Length"] = str(len(body))
        return half
