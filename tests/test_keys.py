"""The key that ID numbers and phones are sealed with changes while the portal runs; nothing is lost, forged or forgotten."""

from __future__ import annotations

import base64
import secrets
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.crypto import Sealed, Vault, fingerprint
from app.extensions import db
from app.operations import keys
from config import SettingsError, load
from models import Enterprise


def key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def another(*known: str) -> str:
    """A key whose fingerprint none of these has."""
    while fingerprint(base64.b64decode(fresh := key())) in {fingerprint(base64.b64decode(each)) for each in known}:
        pass
    return fresh


@pytest.fixture
def old_vault(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """The portal has a new data key; what is there is sealed with the old one, which still opens."""
    settings = app.extensions["settings"]
    old: Vault = app.extensions["vault"]
    monkeypatch.setitem(app.extensions, "vault", Vault(another(settings.data_key), settings.index_key, [settings.data_key]))
    return old


def stored(column: str = "phone", table: str = "enterprise") -> list[bytes]:
    rows = db.session.execute(text(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY id")).scalars().all()
    db.session.rollback()
    return [bytes(each) for each in rows]


def rotate(app: Flask, *arguments: str) -> Any:
    return app.test_cli_runner().invoke(args=["rotate-keys", *arguments])


def test_every_sealed_column_is_known_without_a_list() -> None:
    names = {str(each) for each in keys.sealed_columns()}
    assert {"enterprise.phone", "enrolment.id_number", "enrolment.phone", "certificate.id_number", "teacher.phone"} <= names
    assert all(isinstance(each.column.type, Sealed) and each.purpose for each in keys.sealed_columns())


def test_everything_is_sealed_anew_and_reads_the_same(app: Flask, make: Any, old_vault: Vault) -> None:
    make.paid(make.plan(seats=20), 12)
    before = {row.id: row.phone for row in db.session.query(Enterprise)}
    db.session.rollback()
    told = rotate(app, "--check")
    assert told.exit_code == 1
    assert "under an older key" in told.output
    was = stored()
    done = rotate(app)
    assert done.exit_code == 0, done.output
    assert "Every value is under DATA_KEY" in done.output
    assert sum(keys.remaining().values()) == 0
    assert not set(was) & set(stored())
    db.session.expire_all()
    assert {row.id: row.phone for row in db.session.query(Enterprise)} == before
    with pytest.raises(ValueError, match="not given"):
        old_vault.open(stored()[0], "phone")


def test_done_twice_it_changes_nothing(app: Flask, old_vault: Vault) -> None:
    rotate(app)
    was = stored()
    assert keys.rotate(lambda _column, _done: None) == 0
    assert stored() == was


def test_while_it_is_not_done_old_and_new_are_found_and_read(app: Flask, login: Any, make: Any, old_vault: Vault) -> None:
    own = make.enterprise()
    phone = own.phone
    assert phone[-4:] in login("hangzhou").get(f"/reviews/enterprises/{own.id}").text
    own.address = "新的地址"
    own.phone = "13900001111"
    db.session.commit()
    db.session.expire_all()
    assert make.enterprise().phone == "13900001111"


def test_a_change_made_meanwhile_is_not_undone(app: Flask, make: Any, old_vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading a part and writing it, somebody writes another number: it stays."""
    new = app.extensions["vault"]
    open_once = new.open

    def opened(value: bytes, purpose: str) -> str:
        found: str = open_once(value, purpose)
        if purpose == "phone":
            fresh = new.seal("13999998888", "phone")
            db.session.execute(text("UPDATE enterprise SET phone = :phone WHERE phone = :was"), {"phone": fresh, "was": value})
        return found

    monkeypatch.setattr(new, "open", opened)
    keys.rotate(lambda _column, _done: None)
    monkeypatch.undo()
    assert {new.open(each, "phone") for each in stored()} == {"13999998888"}


def test_a_value_that_was_tampered_with_stops_it_and_stays(app: Flask, old_vault: Vault) -> None:
    broken = bytearray(stored()[0])
    broken[-1] ^= 1
    db.session.execute(text("UPDATE enterprise SET phone = :phone WHERE id = (SELECT min(id) FROM enterprise)"), {"phone": bytes(broken)})
    db.session.commit()
    with pytest.raises(InvalidTag):
        keys.rotate(lambda _column, _done: None)
    db.session.rollback()
    assert bytes(broken) in stored()


def test_without_the_old_key_the_command_says_which_is_missing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = app.extensions["settings"]
    monkeypatch.setitem(app.extensions, "vault", Vault(another(settings.data_key), settings.index_key))
    with pytest.raises(ValueError, match="DATA_KEYS_OLD"):
        keys.rotate(lambda _column, _done: None)


def test_bytes_of_one_kind_do_not_open_as_another() -> None:
    vault = Vault(key(), key())
    with pytest.raises(InvalidTag):
        vault.open(vault.seal("13800138000", "phone"), "id_number")


@given(st.text(max_size=80), st.integers(0, 200))
def test_any_text_comes_back_and_any_changed_bit_is_noticed(words: str, place: int) -> None:
    vault = Vault(base64.b64encode(b"k" * 32).decode(), base64.b64encode(b"i" * 32).decode())
    sealed = vault.seal(words, "draft")
    assert vault.open(sealed, "draft") == words
    broken = bytearray(sealed)
    broken[place % len(broken)] ^= 1 << (place % 8)
    with pytest.raises((InvalidTag, ValueError)):
        vault.open(bytes(broken), "draft")


def test_two_keys_that_cannot_be_told_apart_are_refused() -> None:
    first = key()
    twin = key()
    while fingerprint(base64.b64decode(twin)) != fingerprint(base64.b64decode(first)):
        twin = key()
    with pytest.raises(ValueError, match="fingerprint"):
        Vault(first, key(), [twin])


@pytest.mark.parametrize("old", ["abc", "c2hvcnQ=", f"{base64.b64encode(b'x' * 32).decode()},zzz"])
def test_an_old_key_that_is_none_stops_the_start(old: str, tmp_path: Any) -> None:
    with pytest.raises(SettingsError, match="DATA_KEYS_OLD"):
        load({"MODE": "demo", "VAR_DIR": str(tmp_path), "DATA_KEYS_OLD": old})
