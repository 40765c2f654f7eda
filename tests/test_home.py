"""首页: each party sees how much waits for it, and gets there by a click."""

from __future__ import annotations

from typing import Any

import pytest

from app.operations.waiting import waiting_for


def counts(make: Any, username: str) -> dict[str, int]:
    return {task.label: task.count for task in waiting_for(make.actor(username))}


def test_an_authority_sees_what_it_has_to_decide(make: Any) -> None:
    make.plan("submitted")
    make.plan("accepted")
    make.plan("approved")
    make.plan("submitted", institution="nbp")
    make.report("approved", people=1)
    assert counts(make, "hangzhou")["培训计划待办理"] == 2
    assert counts(make, "hangzhou")["待生成证书的考核"] == 1
    assert counts(make, "ningbo")["培训计划待办理"] == 1
    assert counts(make, "province")["培训计划待办理"] == 0


def test_an_enterprise_sees_open_plans_and_orders_to_pay(make: Any) -> None:
    plan = make.plan()
    make.batch(plan)
    make.paid(plan, 2)
    found = counts(make, "91330100MA2AAAA05G")
    assert (found["可报名的培训计划"], found["未生成订单的名单"], found["已报名人员"]) == (1, 1, 2)
    assert counts(make, "91330212MA2AAAA052")["已报名人员"] == 0


@pytest.mark.parametrize("username", ["hangzhou", "hjp", "91330100MA2AAAA05G", "admin"])
def test_every_count_leads_to_a_page(login: Any, make: Any, username: str) -> None:
    client = login(username)
    page = client.get("/").text
    for link in [part.split('"')[0] for part in page.split('class="stat" href="')[1:]]:
        assert client.get(link.replace("&amp;", "&")).status_code == 200, link
    assert "您好" in page


def test_a_visitor_is_sent_to_sign_in(client: Any) -> None:
    assert client.get("/").location.endswith("/login/")
