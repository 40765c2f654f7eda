"""Services tests need, found or started: a database of either kind, the whole product, a browser."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import requests
from flask import has_app_context
from redis import Redis
from sqlalchemy import Engine, create_engine, make_url, text

from app.extensions import db
from config import Settings
from workers.broker import embedded_broker, running_broker
from workers.supervisor import die_with_parent

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage")
POSTGRES = os.environ.get("DB", "sqlite") == "postgres"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def chromium() -> str:
    """The path of the system's Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    raise AssertionError("browser tests need Chromium: install it with  apt-get install -y chromium")


class Database:
    """A template and the copy tests work on."""

    template_url: str
    url: str
    server = ""  # where databases of their own can be made; "" where each is a file

    def refresh(self, engine: Engine) -> None:
        """Make the copy as the template is."""
        raise NotImplementedError

    def empty(self, purpose: str) -> str:
        """DATABASE_URL of a new, empty database for a product of its own; "" leaves it to the product's default."""
        return ""


class SqliteDatabase(Database):
    def __init__(self, folder: Path) -> None:
        self._template, self._copy = folder / "template.db", folder / "portal.db"
        self.template_url, self.url = f"sqlite:///{self._template}", f"sqlite:///{self._copy}"
        self._settled = False

    def refresh(self, engine: Engine) -> None:
        """A copy of the template file takes the place of whatever the last test left."""
        engine.dispose()
        if not self._settled:
            settle = create_engine(self.template_url)
            with settle.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            settle.dispose()
            self._settled = True
        # A new file each time: a connection that a failed test left open keeps the old one, and spoils nothing.
        fresh = self._copy.with_suffix(".new")
        shutil.copyfile(self._template, fresh)
        for suffix in ("-wal", "-shm"):
            Path(f"{self._copy}{suffix}").unlink(missing_ok=True)
        fresh.replace(self._copy)


class PostgresDatabase(Database):
    def __init__(self, server: str, name: str) -> None:
        self.server, base = server, make_url(server)
        self._server = create_engine(base, isolation_level="AUTOCOMMIT")
        self._name = f"portal_{name}"
        self._made: set[str] = set()
        self.template_url = base.set(database=f"{self._name}_template").render_as_string(hide_password=False)
        self.url = base.set(database=self._name).render_as_string(hide_password=False)
        self._run(f'DROP DATABASE IF EXISTS "{self._name}_template" WITH (FORCE)',
                  f'CREATE DATABASE "{self._name}_template" TEMPLATE template0 ENCODING \'UTF8\'')

    def _run(self, *statements: str) -> None:
        with self._server.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def refresh(self, engine: Engine) -> None:
        engine.dispose()
        self._run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._name}_template'",
                  f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)',
                  f'CREATE DATABASE "{self._name}" TEMPLATE "{self._name}_template"')

    def empty(self, purpose: str) -> str:
        self._run(f'DROP DATABASE IF EXISTS "{self._name}_{purpose}" WITH (FORCE)',
                  f'CREATE DATABASE "{self._name}_{purpose}" TEMPLATE template0 ENCODING \'UTF8\'')
        self._made.add(f"{self._name}_{purpose}")
        return self._server.url.set(database=f"{self._name}_{purpose}").render_as_string(hide_password=False)

    def drop(self) -> None:
        names = (self._name, f"{self._name}_template", *self._made)
        self._run(*(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)' for name in names))
        self._server.dispose()


@contextlib.contextmanager
def database(folder: Path, name: str) -> Iterator[Database]:
    """The database of this test process, of the kind DB asks for."""
    if not POSTGRES:
        yield SqliteDatabase(folder)
        return
    with postgres() as server:
        found = PostgresDatabase(server, name)
        try:
            yield found
        finally:
            found.drop()


def _postgres_binaries() -> Path:
    for folder in (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/local/bin"), Path("/usr/bin")):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise AssertionError("DB=postgres needs PostgreSQL's server: install it with  apt-get install -y postgresql, "
                         "or set TEST_DATABASE_URL")


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: as root its processes become another user's."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def quick_folder() -> str | None:
    """A folder in memory where there is room for one: a database is then copied in 40 ms instead of 600. None: any other."""
    memory = Path("/dev/shm")
    return str(memory) if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**31 else None


@contextlib.contextmanager
def postgres(*, durable: bool = False) -> Iterator[str]:
    """The address of a server: TEST_DATABASE_URL, else a cluster of our own, gone afterwards; unless `durable` it syncs
    nothing to disk. One that is `durable` has room for the portal and for as many clients beside it as a measurement has."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    with cluster(("max_connections=200",) if durable else ("fsync=off", "synchronous_commit=off", "full_page_writes=off"),
                 None if durable else quick_folder()) as server:
        yield server.address


@dataclass
class Cluster:
    """A PostgreSQL server of our own, which may be stopped and started again."""

    command: list[str]
    quiet: dict[str, Any]
    address: str
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, preexec_fn=partial(die_with_parent, signal.SIGQUIT), **self.quiet)
        _wait_for_postgres(self.address)

    def stop(self, number: int = signal.SIGINT) -> None:
        """SIGINT ends every session and stops; SIGQUIT is a crash, mended from its log at the next start."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(20)


@contextlib.contextmanager
def cluster(settings: Sequence[str] = (), folder: str | None = None) -> Iterator[Cluster]:
    """A running server below `folder`, gone afterwards."""
    binaries, owner, port = _postgres_binaries(), _unprivileged(), free_port()
    data = Path(tempfile.mkdtemp(prefix="portal-pg-", dir=folder))
    if owner:
        os.chown(data, owner["user"], owner["group"])
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/", **owner}
    subprocess.run([binaries / "initdb", "-D", data / "db", "-U", "portal", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
                    "--no-sync"], check=True, **quiet)
    options = [word for each in ("listen_addresses=127.0.0.1", "max_connections=60", *settings) for word in ("-c", each)]
    server = Cluster([str(binaries / "postgres"), "-D", str(data / "db"), "-p", str(port), "-k", str(data), *options], quiet,
                     f"postgresql+psycopg://portal@127.0.0.1:{port}/postgres")
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(data, ignore_errors=True)


class Bell:
    """A broker of the test's own for a product with REDIS_URL: it may fall silent, go away, and come back knowing nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.broker = embedded_broker(folder)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        shutil.rmtree(self._folder / "broker" / "appendonlydir", ignore_errors=True)
        self._process = subprocess.Popen(self.broker.command, preexec_fn=die_with_parent)
        wait_for(self.broker.answers, 20, "the broker does not answer", every=0.05)

    def stop(self) -> None:
        self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(20)

    def send(self, number: int) -> None:
        """SIGSTOP: it takes connections and says nothing; SIGCONT: it goes on."""
        assert self._process is not None
        self._process.send_signal(number)


class SmallDisk:
    """A folder that can be full: a small file system of its own where this machine lets us mount one, else a folder whose
    place a file takes, so that the storage refuses as well."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._ballast = folder / "ballast"
        self.real = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "portal-test", str(folder)],
                                   capture_output=True, check=False).returncode == 0

    def fill(self, leave: int) -> None:
        """Leave so many bytes free; where nothing can be mounted, none."""
        if self.real:
            with self._ballast.open("wb") as out:
                out.write(b"\0" * max(0, shutil.disk_usage(self.folder).free - leave))
        else:
            self.folder.rename(self.folder.with_suffix(".away"))
            self.folder.write_bytes(b"")

    def free(self) -> None:
        if self.real:
            self._ballast.unlink(missing_ok=True)
        elif self.folder.is_file():
            self.folder.unlink()
            self.folder.with_suffix(".away").rename(self.folder)

    def remove(self) -> None:
        if self.real:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)


def _wait_for_postgres(address: str) -> None:
    engine, until = create_engine(address), time.monotonic() + 20
    while True:
        try:
            with engine.connect():
                break
        except Exception:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
    engine.dispose()


@dataclass
class Portal:
    """The running product: where it answers, where it keeps its things, and its processes by part."""

    url: str
    var_dir: Path
    environ: dict[str, str]
    process: subprocess.Popen[str] = field(repr=False)
    log: Path

    def health(self) -> dict[str, Any]:
        answer: dict[str, Any] = requests.get(f"{self.url}/healthz", timeout=10).json()
        return answer

    def pids(self, part: str = "") -> list[int]:
        """The process ids of a part (web, worker, scheduler, broker, standins), its forks included, the part's own first;
        without a name those of everything below `python run.py`. Read from /proc."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                # A process that has ended and waits for its parent has no command line any more.
                if (command := (entry / "cmdline").read_bytes()) and self._runs(part, command, (entry / "environ").read_bytes()):
                    born = int((entry / "stat").read_text().rpartition(")")[2].split()[19])  # numbers begin anew at 32768
                    found.append((born, int(entry.name)))
        return [pid for _born, pid in sorted(found)]

    def _runs(self, part: str, command: bytes, environ: bytes) -> bool:
        if b"unixsocket:" in command:  # the broker writes its title over its environment
            return part in ("", "broker") and os.fsencode(self.var_dir / "broker") in command
        words = environ.split(b"\0")
        return os.fsencode(f"VAR_DIR={self.var_dir}") in words and any(
            word == f"PORTAL_PART={part}".encode() if part else word.startswith(b"PORTAL_PART=") for word in words)

    def kill(self, part: str) -> int:
        """`kill -9` the part's own process, and answer which one that was."""
        pid = self.pids(part)[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    def redis(self) -> Redis:
        """A connection to the portal's broker, to look at it or to empty it."""
        if given := self.environ.get("REDIS_URL"):
            return Redis.from_url(given)
        broker = running_broker(self.var_dir)
        assert broker is not None, "no broker answers"
        return Redis.from_url(broker.url)

    def said(self) -> str:
        """What it printed so far."""
        return self.log.read_text(encoding="utf-8")

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20) -> int:
        """Send the signal and wait for the end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)


@contextlib.contextmanager
def portal(var_dir: Path, *, healthy: bool = True, **environ: str) -> Iterator[Portal]:
    """Start `python run.py` as a user does, wait until it is healthy (unless told not to), and stop it afterwards."""
    values = {**user_environment(), "PORT": str(free_port()), "STANDINS_PORT": str(free_port()), "VAR_DIR": str(var_dir),
              **environ}
    log = var_dir / "portal.log"
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen([sys.executable, str(ROOT / "run.py")], cwd=ROOT, env=values, stdout=out,
                                   stderr=subprocess.STDOUT, text=True, start_new_session=True, preexec_fn=die_with_parent)
        running = Portal(f"http://127.0.0.1:{values['PORT']}", var_dir, values, process, log)
        try:
            if healthy:
                wait_until_healthy(running)
            yield running
        finally:
            try:
                running.stop()
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise


def user_environment() -> dict[str, str]:
    """The environment of a person who has set nothing of the portal's."""
    ours = {each.name.upper() for each in fields(Settings)} | {"PORTAL_PART"}
    # What measures coverage in this process must not follow into the product.
    return {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("COV_CORE")}


def answers(port: int, path: str = "/healthz") -> bool:
    """Whether this machine answers 200 there. /healthz asks for worker and scheduler as well, any page for the web part alone."""
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == 200
    return False


def wait_for(what: Callable[[], Any], seconds: float, why: str, *, every: float = 0.01) -> Any:
    """The first true answer of `what`, asked again and again; each look at the database is a fresh one. On SQLite a look outside a
    request takes the write lock for a moment: ask less often where much is written meanwhile."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := what():
            return found
        if has_app_context():
            db.session.rollback()
        time.sleep(every)
    raise AssertionError(why)


def wait_until_healthy(running: Portal, seconds: float = 60) -> None:
    """Until /healthz answers 200; otherwise the log says why not."""
    port = int(running.environ["PORT"])
    with contextlib.suppress(AssertionError):
        wait_for(lambda: running.process.poll() is not None or answers(port), seconds, "", every=0.1)
    if not answers(port):
        raise AssertionError("the portal did not become healthy:\n" + running.said()[-4000:])
