"""Stored files: the same behaviour in a directory and in an S3-compatible store (moto, on the loopback)."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.gateways.errors import GatewayError, MissingObject
from app.gateways.storage import Storage


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    ).create_bucket(Bucket="portal")
    yield f"s3://key:secret@portal/files?endpoint={endpoint}"
    server.stop()


@pytest.fixture(params=["directory", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    url = f"file://{tmp_path}/not there yet" if request.param == "directory" else request.getfixturevalue("s3_url")
    return Storage(url)


def test_what_is_put_comes_back_byte_for_byte(storage: Storage) -> None:
    data = bytes(range(256)) * 5000
    storage.put("photos/ab12", data)
    assert storage.get("photos/ab12") == data
    storage.put("photos/ab12", b"")
    assert storage.get("photos/ab12") == b""


def test_a_deleted_object_is_gone_and_deleting_it_again_is_no_error(storage: Storage) -> None:
    storage.put("a.jpg", b"x")
    assert storage.exists("a.jpg")
    storage.delete("a.jpg")
    storage.delete("a.jpg")
    assert not storage.exists("a.jpg")
    with pytest.raises(MissingObject):
        storage.get("a.jpg")


@pytest.mark.parametrize("key", [
    "../x", "a/../../x", "..", "/etc/passwd", "a//b", "", ".hidden", "a/.b", "a\\b", "a\x00b", "张.jpg", "a\n",
])
def test_a_key_that_could_leave_the_store_is_refused(storage: Storage, key: str) -> None:
    for act in (storage.get, storage.delete, storage.exists, lambda k: storage.put(k, b"x")):
        with pytest.raises(ValueError, match="not a storage key"):
            act(key)


def test_writers_of_one_key_never_mix_their_bytes(storage: Storage) -> None:
    contents = [bytes([n]) * 200_000 for n in range(8)]
    threads = [threading.Thread(target=storage.put, args=("one", data)) for data in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.get("one") in contents


def test_a_directory_holds_finished_files_only(tmp_path: Path) -> None:
    Storage(f"file://{tmp_path}/files").put("a/b", b"x")
    assert [p.name for p in (tmp_path / "files").rglob("*") if p.is_file()] == ["b"]


def test_the_keys_of_an_s3_store_may_come_from_the_environment(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    storage = Storage(s3_url.replace("key:secret@", ""))
    storage.put("by-environment", b"x")
    assert storage.get("by-environment") == b"x"


def test_two_prefixes_of_one_bucket_do_not_see_each_other(s3_url: str) -> None:
    Storage(s3_url).put("mine", b"x")
    assert not Storage(s3_url.replace("/files", "/other")).exists("mine")


def test_trouble_with_the_store_is_passing(tmp_path: Path) -> None:
    (tmp_path / "files").write_bytes(b"a file where the directory should be")
    with pytest.raises(GatewayError) as caught:
        Storage(f"file://{tmp_path}/files").put("a", b"x")
    assert caught.value.permanent is False


@pytest.mark.parametrize("url", ["", "/var/files", "http://x/y", "file://host/x", "s3://", "file:relative"])
def test_an_address_of_no_store_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="storage address"):
        Storage(url)


FORK = """
import os, sys
from app.gateways.storage import Storage
storage = Storage(sys.argv[1])
if sys.argv[2] == "used":
    storage.put("before", b"x")
if os.fork() == 0:
    try:
        storage.put("after", b"y")
        print("stored", flush=True)
    except Exception as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
"""


@pytest.mark.parametrize(("before", "says"), [("used", "forked"), ("unused", "stored")])
def test_a_forked_child_is_told_instead_of_waiting_for_ever(tmp_path: Path, before: str, says: str) -> None:
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", FORK, f"file://{tmp_path}/files", before], cwd=root, capture_output=True, text=True,
        timeout=20, check=True,
    )
    assert says in done.stdout


AT_ONCE = """
import sys, threading, time
from app.gateways.storage import Storage
half = threading.Event()
class Slowly(list):  # the names the library takes over from its own middle, once one can already reach that
    def __getitem__(self, n):
        half.set()
        time.sleep(0.002)
        return super().__getitem__(n)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "obstore.store":
            middle = sys.modules["obstore._obstore"]
            middle.__all__ = Slowly(getattr(middle, "__all__", dir(middle)))
sys.meta_path.insert(0, Finder())
storage, found = Storage(sys.argv[1]), []
def look():
    try:
        found.append(storage.exists("a"))
    except Exception as error:
        found.append(error)
first, second = threading.Thread(target=look), threading.Thread(target=look)
first.start()
half.wait()
second.start()
first.join()
second.join()
print(found)
"""


def test_a_thread_that_comes_while_the_library_is_loaded_waits_until_it_is_whole(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", AT_ONCE, f"file://{tmp_path}/files"], cwd=Path(__file__).parent.parent,
                          capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[False, False]"
