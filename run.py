"""The one entry of the portal.

`python run.py` prepares what is missing and runs everything: broker, stand-ins (demo), web, worker, scheduler, ocr.
`python run.py web|worker|ocr|scheduler|standins|release` runs one part, for many machines.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import http.client
import logging
import os
import socket
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from config import Settings, SettingsError, load

if TYPE_CHECKING:
    from flask import Flask

ROOT = Path(__file__).resolve().parent


def create_app() -> Flask:
    """For `flask --app run`: db, sync-roles, prove-audit."""
    from app import create_app

    return create_app(load())


def say(text: str) -> None:
    print(f"[portal] {text}", flush=True)


def run_release() -> None:
    """Migrate, permissions, roles, dictionaries, demo parties; then remember that it was done."""
    from alembic.util import CommandError
    from sqlalchemy.exc import OperationalError

    from app.release import DemoAccountsLeft, release
    from workers import stamp

    settings = load()
    try:
        release(settings)
    except OperationalError as error:
        raise SystemExit(f"the database cannot be used (DATABASE_URL): {error.orig}") from None
    except CommandError as error:
        raise SystemExit(f"the database cannot be migrated (was it used by a newer version?): {error}") from None
    except DemoAccountsLeft as error:
        raise SystemExit(str(error)) from None
    accounts: list[dict[str, str]] = []
    if not settings.production:
        from app.demo import ACCOUNTS, PASSWORD

        accounts = [{"party": entry.party, "username": entry.username, "organisation": entry.organisation, "password": PASSWORD}
                    for entry in ACCOUNTS]
    stamp.write(settings, accounts)


def run_web() -> None:
    from workers import web

    web.main()


def run_worker() -> None:
    from workers import worker

    worker.main()


def run_ocr() -> None:
    from workers import reader

    reader.main()


def run_scheduler() -> None:
    from workers import scheduler

    scheduler.main()


def run_standins() -> None:
    import standins

    standins.serve(load())


PARTS: dict[str, Callable[[], None]] = {
    "web": run_web, "worker": run_worker, "ocr": run_ocr, "scheduler": run_scheduler, "standins": run_standins,
    "release": run_release,
}


def run_part(name: str) -> None:
    """One part alone. Beside a portal that runs on the same VAR_DIR it uses that portal's broker."""
    from workers.broker import running_broker
    from workers.supervisor import watch_parent

    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s [{name}] %(levelname)s %(name)s: %(message)s")
    watch_parent()
    settings = load()
    if name in ("web", "worker", "ocr", "scheduler") and not settings.redis_url:
        if broker := running_broker(settings.var_dir):
            os.environ["REDIS_URL"] = broker.url
        elif name != "web":
            raise SystemExit(f"{name} needs the broker: set REDIS_URL, or start everything with  python run.py")
    if name in ("web", "standins"):
        _refuse_taken(settings, web=name == "web", standins=name == "standins")
    PARTS[name]()


def _refuse_taken(settings: Settings, *, web: bool, standins: bool) -> None:
    """One clear line where a port is somebody else's."""
    wanted = [("PORT", settings.port)] * web + [("STANDINS_PORT", settings.standins_port)] * standins
    if web and standins and settings.port == settings.standins_port:
        raise SystemExit(f"PORT and STANDINS_PORT are both {settings.port}: set them to different ones")
    for name, port in wanted:
        host = settings.bind if name == "PORT" else "127.0.0.1"
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except (OSError, OverflowError) as error:
                why = error.strerror if isinstance(error, OSError) else "there is no such port"
                if getattr(error, "errno", None) == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
                    raise SystemExit(f"BIND={host} is no address of this machine ({why})") from None
                raise SystemExit(f"port {port} cannot be used ({why}): set {name} to another one, "
                                 f"e.g.  {name}={8080 if port > 60000 else port + 10} make run") from None


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
    from workers import stamp
    from workers.broker import NoBroker, embedded_broker
    from workers.supervisor import Part, Stopped, Supervisor

    settings = load()
    supervisor = Supervisor(say)
    environ = {**os.environ, "VAR_DIR": str(settings.var_dir)}

    def ours(name: str) -> Part:
        return Part(name, [sys.executable, str(ROOT / "run.py"), name], environ)

    with _only_one(settings.var_dir):
        _refuse_taken(settings, web=True, standins=not settings.production)
        parts: list[Part] = []
        try:
            if stamp.read(settings) is None:
                say("preparing the database ...")
                if code := supervisor.once(ours("release")):
                    raise SystemExit(f"the database could not be prepared (exit code {code}); nothing was started")
            if not settings.redis_url:
                broker = embedded_broker(settings.var_dir)
                environ["REDIS_URL"] = broker.url
                parts.append(Part("broker", broker.command, environ, broker.answers_afresh, foundation=True))
        except (NoBroker, Stopped) as error:
            raise SystemExit(str(error) or None) from None
        parts += [ours(name) for name in ("web", "worker", "scheduler")]
        if settings.ocr == "on":
            parts.append(ours("ocr"))
        if not settings.production:
            parts.append(ours("standins"))
        supervisor.run(parts, lambda: _healthy(settings), lambda: greet(settings, stamp.read(settings) or {}))
    say("stopped")


def _healthy(settings: Settings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.bind, settings.bind)  # noqa: S104
    line = http.client.HTTPConnection(host, settings.port, timeout=2)  # no proxy between us and ourselves
    try:
        line.request("GET", "/healthz")
        return line.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        line.close()


def _padded(text: str, width: int) -> str:
    """Chinese characters are two columns wide in a terminal."""
    return text + " " * (width - sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text))


def greet(settings: Settings, released: dict[str, Any]) -> None:
    """Where the portal is, and how to enter the demonstration."""
    lines = ["", f"  建设工人培训管理平台 / training portal   {settings.public_url}", "  Ctrl-C 停止 / Ctrl-C stops it"]
    accounts = [] if settings.production else released.get("accounts", [])
    if accounts:
        tabs = {"authority": "主管部门", "institution": "培训机构", "enterprise": "企业", "administrator": "主管部门"}
        lines += ["", f"  演示帐号，密码均为 {accounts[0]['password']} / demo accounts, all with this password",
                  f"    {_padded('登录页签 / tab', 16)}{_padded('帐号 / account', 22)}单位 / organisation"]
        for each in accounts:
            lines.append(f"    {_padded(tabs[each['party']], 16)}{_padded(each['username'], 22)}{each['organisation']}")
    print("\n".join([*lines, ""]), flush=True)


def main(arguments: list[str]) -> None:
    try:
        if not arguments:
            run_all()
        elif len(arguments) == 1 and arguments[0] in PARTS:
            run_part(arguments[0])
        else:
            raise SystemExit(f"usage: python run.py [{'|'.join(PARTS)}]")
    except SettingsError as error:
        raise SystemExit(f"the settings cannot be used:\n{error}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def leave(code: int) -> NoReturn:
    """End this process without tearing the interpreter down, which takes a second of work that nobody needs."""
    atexit._run_exitfuncs()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        leave(1 if isinstance(end.code, str) else end.code or 0)
    leave(0)
