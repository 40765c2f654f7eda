"""The page of open plans says what is true for this enterprise at this second (E10, E11, J4)."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from models import Enterprise
from tests.shop import FIRST, SECOND, Shop


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    return Shop(app, make, login, standins)


def text(page: str) -> str:
    """What a person reads, without markup and blanks."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def listed(shop: Shop, who: str = SECOND) -> str:
    return text(shop.login(who).get("/enrol/").text)


def test_what_opens_soon_stands_below_what_is_open_and_says_when(shop: Shop) -> None:
    shop.plan(name="杭建培20260301", window=(timedelta(days=3), timedelta(days=4)))
    shop.plan(name="杭建培20260302")
    shop.plan(name="杭建培20260303", window=(timedelta(days=-9), timedelta(days=-1)))
    page = listed(shop)
    assert page.index("杭建培20260302") < page.index("杭建培20260301")
    assert "3 天后开放" in page
    assert "开放报名" in page
    assert "杭建培20260303" not in page


def test_why_not_is_said_on_the_row(shop: Shop) -> None:
    plan = shop.plan(seats=2)
    shop.order(plan, 2)
    page = listed(shop)
    assert "名额已满 可以候补" in page
    shop.login(SECOND).post(f"/waitlist/plans/{plan}/join", data={"people": "1", "least": "1"})
    assert "候补中，排在第一位" in listed(shop)
    assert "名额已满 可以候补，已有 1 家" in listed(shop, FIRST)
    with shop.tables():
        key = shop.make.enterprise(SECOND).id
    shop.change(Enterprise, key, review_state="submitted")
    assert "贵单位的注册信息尚未通过审核" in listed(shop)


def test_a_hold_past_its_time_does_not_count_as_taken(shop: Shop, clock: Any) -> None:
    plan = shop.plan(seats=5)
    order = shop.order(plan, 5)
    assert "已满 5 人" in listed(shop)
    clock.set(order.release_at)
    assert "还剩 5 / 5" in listed(shop)
    assert "剩余 5 / 5 个名额" in text(shop.login(SECOND).get(f"/enrol/plans/{plan}").text)
    assert shop.look(order.id).state == "pending", "looking at a page changes nothing"


def test_what_the_line_will_get_is_not_shown_as_free_to_others(shop: Shop, clock: Any) -> None:
    plan = shop.plan(seats=5)
    order = shop.order(plan, 5)
    shop.login(SECOND).post(f"/waitlist/plans/{plan}/join", data={"people": "3", "least": "1"})
    clock.set(order.release_at)
    assert "还剩 2 / 5" in listed(shop, FIRST)


def test_the_page_of_a_plan_counts_down_an_offer_by_the_servers_clock(shop: Shop, clock: Any) -> None:
    plan = shop.plan(seats=2)
    order = shop.order(plan, 2)
    client = shop.login(SECOND)
    client.post(f"/waitlist/plans/{plan}/join", data={"people": "2", "least": "1"})
    shop.login(FIRST).post(f"/orders/{order.id}/cancel")
    assert "为贵单位保留 2 个名额" in text(client.get("/enrol/").text)
    page = client.get(f"/enrol/plans/{plan}").text
    assert f'data-now="{clock.moment.isoformat()}"' in page
    told = client.get(f"/enrol/plans/{plan}/standing").json
    assert told["state"] == "kept"
    clock.advance(seconds=told["seconds"])
    assert client.get(f"/enrol/plans/{plan}/standing").json == {"state": "over", "seconds": 0.0}
    assert "为贵单位保留" not in text(client.get("/enrol/").text)


def test_the_rules_stand_below_with_pictures_of_our_own(shop: Shop) -> None:
    client = shop.login(SECOND)
    page = client.get("/enrol/").text
    pictures = re.findall(r'<img src="(/static/img/samples/[^"]+)"', page)
    assert len(pictures) == 8
    for picture in pictures:
        answer = client.get(picture)
        assert answer.status_code == 200
        assert b"<script" not in answer.data
        answer.close()
    assert "错误：" in text(page)


def test_the_page_of_an_order_tells_its_clock_how_it_stands(shop: Shop, clock: Any) -> None:
    order = shop.order(shop.plan())
    client = shop.login(FIRST)
    clock.advance(minutes=59, seconds=30)
    assert client.get(f"/orders/{order.id}/state").json == {"state": "pending", "seconds": 30.0}
    clock.advance(seconds=30)
    assert client.get(f"/orders/{order.id}/state").json == {"state": "pending", "seconds": 0.0}
    assert "正在向支付平台核实" in client.get(f"/orders/{order.id}").text
    assert shop.login(SECOND).get(f"/orders/{order.id}/state").status_code == 404


def test_the_page_of_an_order_tells_its_story(shop: Shop) -> None:
    order = shop.order(shop.plan(), 2)
    client = shop.login(FIRST)
    client.post(f"/orders/{order.id}/cancel")
    page = text(client.get(f"/orders/{order.id}").text)
    assert "锁定 2 个名额，应付 ¥1,660.00" in page
    assert page.index("取消订单") < page.index("锁定 2 个名额")
