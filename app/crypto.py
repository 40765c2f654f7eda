"""Secrets at rest: AES-GCM columns for ID numbers and phones, and the keyed blind index that finds them again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from flask import current_app
from sqlalchemy import LargeBinary
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_NONCE = 12


def fingerprint(key: bytes) -> bytes:
    """One byte that names a key in what it sealed."""
    return hashlib.sha256(b"key:" + key).digest()[:1]


class Vault:
    """Encrypts short texts with one key and indexes them with another.

    A stored value is the key's fingerprint (1 byte), a 12-byte nonce, ciphertext with tag. The purpose is bound in as associated
    data, so a phone's bytes moved into an ID number's column do not open. `older` keys only open: `flask rotate-keys` seals their
    values anew. Keys are 32 bytes in base64; two keys of one fingerprint cannot be told apart and raise `ValueError`.
    """

    def __init__(self, data_key: str, index_key: str, older: Sequence[str] = ()) -> None:
        keys = [base64.b64decode(key) for key in (data_key, *older)]
        self.mark = fingerprint(keys[0])
        self._ciphers = {fingerprint(key): AESGCM(key) for key in keys}
        if len(self._ciphers) < len(set(keys)):
            raise ValueError("two of the data keys have the same fingerprint: draw another one")
        self._index_key = base64.b64decode(index_key)
        self._witness_keys: dict[str, bytes] = {}

    def seal(self, text: str, purpose: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return self.mark + nonce + self._ciphers[self.mark].encrypt(nonce, text.encode(), purpose.encode())

    def seal_many(self, texts: Sequence[str], purpose: str) -> list[bytes]:
        """`seal` of each text: the nonces drawn at once, the key looked up once."""
        drawn, mark, bound = os.urandom(_NONCE * len(texts)), self.mark, purpose.encode()
        encrypt, answer = self._ciphers[mark].encrypt, []
        for at, text in enumerate(texts):
            nonce = drawn[at * _NONCE:(at + 1) * _NONCE]
            answer.append(mark + nonce + encrypt(nonce, text.encode(), bound))
        return answer

    def open(self, stored: bytes, purpose: str) -> str:
        """The text of a sealed value. Raises `ValueError` when its key is not among ours, `InvalidTag` when a bit of it was changed."""
        cipher = self._ciphers.get(stored[:1])
        if cipher is None:
            raise ValueError(f"sealed with a key that is not given (fingerprint {stored[:1].hex()}): see DATA_KEYS_OLD")
        return cipher.decrypt(stored[1:1 + _NONCE], stored[1 + _NONCE:], purpose.encode()).decode()

    def index(self, text: str, purpose: str) -> bytes:
        """A 16-byte keyed digest: equal texts have equal digests, and nothing is learnt without the key."""
        return hmac.digest(self._index_key, f"{purpose}\0{text}".encode(), hashlib.sha256)[:16]

    def index_many(self, texts: Sequence[str], purpose: str) -> list[bytes]:
        """`index` of each text."""
        key, head, digest = self._index_key, f"{purpose}\0".encode(), hmac.digest
        return [digest(key, head + text.encode(), "sha256")[:16] for text in texts]

    def witness(self, text: str, purpose: str) -> str:
        """A keyed digest of 64 hexadecimal signs that only who has the key can make. Its key is derived from the index key,
        the one secret of the portal that is never changed: what it has witnessed must be provable for ever."""
        key = self._witness_keys.get(purpose)
        if key is None:
            key = self._witness_keys[purpose] = hmac.digest(self._index_key, f"witness\0{purpose}".encode(), hashlib.sha256)
        return hmac.digest(key, text.encode(), hashlib.sha256).hex()


def vault() -> Vault:
    """The vault of the running application."""
    found: Vault = current_app.extensions["vault"]
    return found


class Sealed(TypeDecorator[str]):
    """A text column that is encrypted at rest. Compare through its blind index, never through this column."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, purpose: str) -> None:
        super().__init__()
        self.purpose = purpose

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else vault().seal(value, self.purpose)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else vault().open(bytes(value), self.purpose)


def blind(text: str | None, purpose: str) -> bytes | None:
    """The blind index of a text under a purpose (``id_number`` or ``phone``)."""
    return None if text is None else vault().index(text, purpose)
