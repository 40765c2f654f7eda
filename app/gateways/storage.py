"""Stored files, in a directory or an S3-compatible store, through obstore.

`file:///var/lib/portal/files` or `s3://bucket/prefix?endpoint=https://s3.example.cn&region=...`; the keys of an S3 store come
from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from the address (`s3://KEY:SECRET@bucket`).
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from app.gateways.errors import GatewayError, MissingObject

if TYPE_CHECKING:
    from obstore.store import LocalStore, S3Config, S3Store

KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
TIMEOUT = timedelta(seconds=30)

# obstore runs its work on threads of its own, which a fork does not copy: a child of a process that had used it would
# wait for ever. Such a child gets an error instead; who forks must not touch the storage before.
_used_in: int | None = None
# Its modules import each other: of two threads that begin at different ends, one would be handed a half made module.
_loading = threading.Lock()


def _load() -> None:
    """Load obstore, one thread at a time."""
    with _loading:
        import obstore.exceptions
        import obstore.store  # noqa: F401


class Storage:
    """Objects by key. Content types and owners are kept in the database, not here. Safe to share between threads."""

    def __init__(self, url: str) -> None:
        """Raises ValueError if `url` is neither a file: nor an s3: address."""
        self._url = url
        self._lock = threading.Lock()
        self._made: LocalStore | S3Store | None = None
        parts = urlsplit(url)
        if parts.scheme == "file" and parts.netloc == "" and parts.path.startswith("/"):
            self._root: Path | None = Path(unquote(parts.path))
        elif parts.scheme == "s3" and parts.hostname:
            self._root = None
        else:
            raise ValueError("a storage address is file:///directory or s3://bucket/prefix?endpoint=...")

    def put(self, key: str, data: bytes) -> None:
        """Store the bytes whole or not at all; on return they are on disk. Overwrites. Raises `GatewayError`."""
        self._act("put", key, data)
        if self._root is not None:
            self._settle(self._root / key)

    def get(self, key: str) -> bytes:
        """The bytes. Raises `MissingObject`, or `GatewayError` for other trouble."""
        return bytes(self._act("get", key).bytes())

    def delete(self, key: str) -> None:
        """Remove the object; one that is not there is no error. Raises `GatewayError`."""
        with suppress(MissingObject):
            self._act("delete", key)

    def exists(self, key: str) -> bool:
        """Whether there is such an object. Raises `GatewayError` when the store cannot say."""
        try:
            self._act("head", key)
        except MissingObject:
            return False
        return True

    def keys(self, folder: str, before: datetime) -> Iterator[str]:
        """The keys in a folder of what was last written before a moment. Raises `GatewayError`."""
        _load()
        from obstore.exceptions import BaseError

        if KEY.fullmatch(folder) is None:
            raise ValueError(f"not a storage key: {folder[:80]!r}")
        try:
            for group in self._store().list(folder):
                yield from (each["path"] for each in group if each["last_modified"] < before)
        except (BaseError, OSError) as error:
            raise GatewayError(f"storage: list {folder}: {error}"[:500], permanent=False) from error

    def _act(self, verb: str, key: str, *values: bytes) -> Any:
        if KEY.fullmatch(key) is None or len(key) > 500:
            raise ValueError(f"not a storage key: {key[:80]!r}")
        _load()
        from obstore.exceptions import BaseError, NotFoundError

        try:
            return getattr(self._store(), verb)(key, *values)
        except (NotFoundError, FileNotFoundError) as error:
            raise MissingObject(key) from error
        except (BaseError, OSError) as error:
            raise GatewayError(f"storage: {verb} {key}: {error}"[:500], permanent=False) from error

    def _store(self) -> LocalStore | S3Store:
        global _used_in
        if _used_in is None:
            _used_in = os.getpid()
        elif _used_in != os.getpid():
            raise GatewayError("storage: this process was forked from one that had already used the storage", permanent=False)
        with self._lock:
            if self._made is None:
                self._made = self._local(self._root) if self._root is not None else self._s3()
            return self._made

    @staticmethod
    def _local(root: Path) -> LocalStore:
        from obstore.store import LocalStore

        return LocalStore(root, mkdir=True)

    def _s3(self) -> S3Store:
        from obstore.store import S3Store

        parts = urlsplit(self._url)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        config: S3Config = {"region": options.get("region", "us-east-1")}
        if "endpoint" in options:
            config["endpoint"] = options["endpoint"]
        if parts.username and parts.password:
            config["access_key_id"], config["secret_access_key"] = unquote(parts.username), unquote(parts.password)
        return S3Store(
            parts.hostname, prefix=parts.path.strip("/") or None, config=config,
            client_options={"allow_http": options.get("endpoint", "").startswith("http://"), "timeout": TIMEOUT},
            retry_config={"max_retries": 2, "retry_timeout": TIMEOUT},
        )

    @staticmethod
    def _settle(path: Path) -> None:
        """The store renames a finished file into place but does not wait for the disk; a row must not point at nothing."""
        for place in (path, path.parent):
            handle = os.open(place, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
