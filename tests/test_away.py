"""What a person is told while the database or the storage is away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from app.extensions import db, gateways
from app.gateways.errors import GatewayError
from models import PhotoUpload, StoredFile
from tests.shop import FIRST, Shop


@pytest.fixture
def shop(app: Any, make: Any, login: Any, standins: Any) -> Shop:
    return Shop(app, make, login, standins)


@pytest.fixture
def no_database(app: Any) -> Iterator[Any]:
    """Call it, and no statement is answered any more."""
    engine = db.engine

    def gone(*_args: Any) -> None:
        raise OperationalError("SELECT", None, Exception("server closed the connection unexpectedly"))

    yield lambda: event.listen(engine, "before_cursor_execute", gone)
    if event.contains(engine, "before_cursor_execute", gone):
        event.remove(engine, "before_cursor_execute", gone)


def test_while_the_database_is_away_everyone_gets_a_calm_page(shop: Shop, login: Any, client: Any, no_database: Any) -> None:
    order = shop.order(shop.plan())
    clerk = login(FIRST)
    no_database()
    for answer in (clerk.get("/"), clerk.get(f"/orders/{order.id}"), clerk.post(f"/orders/{order.id}/cancel"), client.get("/plans/")):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "系统正在恢复" in answer.text
        assert "刚才的操作可能没有完成" in answer.text
        assert "OperationalError" not in answer.text
    script = clerk.get(f"/orders/{order.id}", headers={"X-Requested-With": "fetch"})
    assert script.status_code == 503
    assert "系统正在恢复" in script.json["message"]
    assert client.post("/pay/alipay/notify", data={"sign": "x", "trade_status": "TRADE_SUCCESS"}).text != "success"


def test_a_page_that_was_read_is_answered_although_the_database_goes_away_at_its_end(
        shop: Shop, login: Any, monkeypatch: Any) -> None:
    order = shop.order(shop.plan())
    clerk = login(FIRST)
    ends: list[str] = []

    def gone(_dialect: Any, _connection: Any) -> None:
        ends.append("lost")
        raise OperationalError("ROLLBACK", None, Exception("server closed the connection unexpectedly"))

    with monkeypatch.context() as patch:
        patch.setattr(type(db.engine.dialect), "do_rollback", gone)
        answer = clerk.get(f"/orders/{order.id}")
    assert ends, "nothing was ended: the test proves nothing"
    assert answer.status_code == 200
    assert order.number in answer.text
    assert clerk.get(f"/orders/{order.id}").status_code == 200


def test_a_storage_without_room_is_said_and_nothing_is_half_there(shop: Shop, login: Any, monkeypatch: Any) -> None:
    batch = shop.batch(shop.plan(), 1, photos=False)
    clerk, before = login(FIRST), shop.count(StoredFile)

    def full(key: str, data: bytes) -> None:
        raise GatewayError("storage: put: No space left on device (os error 28)", permanent=False)

    monkeypatch.setattr(gateways().storage, "put", full)
    with open(__file__, "rb") as some:  # whatever it holds, it is to be kept first
        answer = clerk.post(f"/enrol/batches/{batch}/photos/portrait", data={"photos": (some, "1.jpg")}, follow_redirects=True)
    assert "暂时不可用，刚才的操作没有完成" in answer.text
    assert "os error" not in answer.text
    assert (shop.count(StoredFile), shop.count(PhotoUpload)) == (before, 0)
