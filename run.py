"""The one entry of the portal.

`python run.py` prepares what is missing and runs everything: broker, stand-ins (demo), web, worker, scheduler.
`python run.py web|worker|scheduler|standins|release` runs one part, for many machines; `fingerprint` tells the release's.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent
# What a release is made of: while none of it changes, a start may skip the release step.
RELEASED = ("migrations/versions/*.py", "app/permissions.py", "app/release.py", "app/demo.py", "app/dictionaries.py",
            "app/data/*", "app/parameters.py", "views/*.py")


def say(text: str) -> None:
    print(f"[portal] {text}", flush=True)


def fingerprint(database_url: str) -> str:
    """A digest of everything a release writes, and of the database it is for."""
    digest = hashlib.sha256(database_url.encode())
    for pattern in RELEASED:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def run_release() -> None:
    """Migrate, permissions, roles, dictionaries, demo parties."""
    from app.release import release
    from config import load

    settings = load()
    release(settings)
    settings.var_dir.mkdir(parents=True, exist_ok=True)
    (settings.var_dir / "released").write_text(fingerprint(settings.database_url), encoding="ascii")


def run_standins() -> None:
    import standins
    from config import load
    from workers.supervisor import watch_parent

    watch_parent()
    standins.serve(load())


def run_web() -> None:
    from workers import web

    web.main()


def run_worker() -> None:
    from workers import worker
    from workers.supervisor import watch_parent

    watch_parent()
    worker.main()


def run_scheduler() -> None:
    from workers import scheduler
    from workers.supervisor import watch_parent

    watch_parent()
    scheduler.main()


PARTS: dict[str, Callable[[], None]] = {
    "web": run_web, "worker": run_worker, "scheduler": run_scheduler, "standins": run_standins, "release": run_release,
}


def _port_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _only_one(var_dir: Path) -> IO[str]:
    """Hold VAR_DIR for this process: two portals on one folder would fight over database and broker."""
    var_dir.mkdir(parents=True, exist_ok=True)
    handle = (var_dir / "lock").open("w", encoding="ascii")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"a portal is already running on {var_dir}: stop it, or set another VAR_DIR") from None
    return handle


def run_all() -> None:
    """Everything on one machine, until a signal comes."""
    import subprocess

    from config import load
    from workers.broker import NoBroker, embedded_broker
    from workers.supervisor import Part, Supervisor

    settings = load()
    held = _only_one(settings.var_dir)
    for port, name in ((settings.port, "PORT"), *(((settings.standins_port, "STANDINS_PORT"),) if not settings.production else ())):
        if _port_taken(port):
            raise SystemExit(f"port {port} is in use: set {name} to another one, e.g.  {name}={port + 10} make run")
    environ = {**os.environ, "VAR_DIR": str(settings.var_dir)}
    released = settings.var_dir / "released"
    if not released.exists() or released.read_text(encoding="ascii") != fingerprint(settings.database_url):
        say("preparing the database ...")
        subprocess.run([sys.executable, str(ROOT / "run.py"), "release"], check=True, env=environ)
    parts: list[Part] = []
    if not settings.redis_url:
        try:
            broker = embedded_broker(settings.var_dir)
        except NoBroker as error:
            raise SystemExit(str(error)) from None
        environ["REDIS_URL"] = broker.url
        parts.append(Part("broker", broker.command, environ))
    names = ["web", "worker", "scheduler"] if settings.production else ["standins", "web", "worker", "scheduler"]
    parts += [Part(name, [sys.executable, str(ROOT / "run.py"), name], environ) for name in names]
    health = f"http://127.0.0.1:{settings.port}/healthz"
    Supervisor(parts, say).run(lambda: _healthy(health), lambda: greet(settings.public_url, demo=not settings.production))
    held.close()
    say("stopped")


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  # our own address on this machine
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def greet(url: str, *, demo: bool) -> None:
    """Where the portal is, and how to enter the demonstration."""
    lines = ["", f"  建设工人培训管理平台  {url}", "  Ctrl-C 停止 / Ctrl-C stops it"]
    if demo:
        from app.demo import ACCOUNTS, PASSWORD

        tabs = {"authority": "主管部门", "institution": "培训机构", "enterprise": "企业", "administrator": "主管部门"}
        lines += ["", f"  演示帐号 / demo accounts (密码 / password: {PASSWORD})"]
        lines += [f"    {tabs[entry.party]:<5}  {entry.username:<20}  {entry.organisation}" for entry in ACCOUNTS]
    print("\n".join([*lines, ""]), flush=True)


def main(arguments: list[str]) -> None:
    from config import SettingsError

    try:
        if not arguments:
            run_all()
        elif len(arguments) == 1 and arguments[0] in PARTS:
            PARTS[arguments[0]]()
        else:
            raise SystemExit(f"usage: python run.py [{'|'.join(PARTS)}]")
    except SettingsError as error:
        raise SystemExit(f"the settings cannot be used:\n{error}") from None


if __name__ == "__main__":
    main(sys.argv[1:])
