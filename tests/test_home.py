"""首页: each party sees how much waits for it, and gets there by a click."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app.extensions import db
from app.operations import plan_changes, score_corrections, unlocking, waitlist, withdrawals
from app.operations.scores import Mark
from app.operations.waiting import waiting_for
from models import Parameter, Withdrawal


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


def test_a_waiting_change_of_a_plan_is_counted_for_its_own_authority_only(make: Any) -> None:
    plan = make.plan(seats=60)
    plan_changes.resize(plan, 300, "报名人数多", actor=make.actor("hjp"))
    assert counts(make, "hangzhou")["待审批的名额调整与取消"] == 1
    assert counts(make, "ningbo")["待审批的名额调整与取消"] == 0


def test_a_waiting_withdrawal_and_a_waiting_line_are_counted_for_the_institution(make: Any) -> None:
    enterprise = "91330100MA2AAAA05G"
    plan = make.plan(seats=2, fee_fen=0)
    order = make.paid(plan, 2, enterprise=enterprise)
    db.session.merge(Parameter(key="withdraw_consent", value="1", note=""))
    db.session.commit()
    withdrawals.ask(plan, [order.enrolments[0].id], "离职", actor=make.actor(enterprise))
    waitlist.join(plan, 2, 1, actor=make.actor("91330212MA2AAAA052"))
    found = counts(make, "hjp")
    assert (found["待办理的退班"], found["有企业候补的计划"]) == (1, 1)
    assert counts(make, "nbp")["待办理的退班"] == 0
    assert counts(make, "91330212MA2AAAA052")["保留了名额、待下单的候补"] == 0
    withdrawals.decide([db.session.scalars(select(Withdrawal.id)).one()], True, actor=make.actor("hjp"))
    assert counts(make, "91330212MA2AAAA052")["保留了名额、待下单的候补"] == 1


def test_what_is_asked_about_attendance_and_left_of_corrections_is_counted(make: Any) -> None:
    plan = make.attended(1)
    unlocking.ask(plan, "漏登记一人", actor=make.actor("hjp"))
    exam = make.report("approved", people=1).exam_plan
    score_corrections.save(exam, [Mark(exam.sittings[0].ticket_number, 400, 900)], "登记错行", actor=make.actor("hjp"))
    assert (counts(make, "hangzhou")["待办理的考勤解锁"], counts(make, "ningbo")["待办理的考勤解锁"]) == (1, 0)
    assert counts(make, "hjp")["未提交的成绩更正"] == 1
