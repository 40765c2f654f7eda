"""受理 and 审核 are two permissions: who may do one of them need not do the other."""

from __future__ import annotations

from typing import Any

from flask_appbuilder.security.sqla.models import Permission, PermissionView, Role, User, ViewMenu
from sqlalchemy import select

from app.extensions import db
from models import TrainingPlan


def only(username: str, view: str, *verbs: str) -> None:
    """Give this account one role of its own: these verbs of a view."""
    pairs = list(db.session.scalars(
        select(PermissionView).join(Permission, PermissionView.permission_id == Permission.id)
        .join(ViewMenu, PermissionView.view_menu_id == ViewMenu.id)
        .where(ViewMenu.name == view, Permission.name.in_([f"can_{verb}" for verb in verbs]))))
    user = db.session.scalars(select(User).where(User.username == username)).one()
    role = Role(name="测试角色")
    db.session.add(role)
    role.permissions = pairs
    user.roles = [role]
    db.session.commit()


def state(plan: TrainingPlan) -> str:
    return db.session.get_one(TrainingPlan, plan.id, populate_existing=True).review_state


def test_who_accepts_sees_and_may_press_accepting_only(login: Any, make: Any) -> None:
    waiting, accepted = make.plan(state="submitted"), make.plan(state="accepted")
    only("hangzhou", "PlanReviewView", "list", "show", "accept")
    client = login("hangzhou")
    desk = client.get("/reviews/plans/").text
    assert "受理所选" in desk
    assert "所选审核通过" not in desk
    assert "所选不通过" not in desk
    assert "审核通过</button>" not in client.get(f"/reviews/plans/{accepted.id}").text
    for address in (f"{accepted.id}/approve", f"{accepted.id}/reject", "bulk/approve", "bulk/reject"):
        assert client.post(f"/reviews/plans/{address}", data={"ids": [accepted.id], "remark": "课时不足"}).status_code == 403, address
    assert state(accepted) == "accepted"
    client.post(f"/reviews/plans/{waiting.id}/accept")
    assert state(waiting) == "accepted"


def test_who_decides_may_not_accept(login: Any, make: Any) -> None:
    waiting, accepted = make.plan(state="submitted"), make.plan(state="accepted")
    only("hangzhou", "PlanReviewView", "list", "show", "decide")
    client = login("hangzhou")
    assert "受理所选" not in client.get("/reviews/plans/").text
    for address in (f"{waiting.id}/accept", "bulk/accept"):
        assert client.post(f"/reviews/plans/{address}", data={"ids": [waiting.id]}).status_code == 403, address
    assert state(waiting) == "submitted"
    client.post("/reviews/plans/bulk/approve", data={"ids": [accepted.id]})
    assert state(accepted) == "approved"


def test_a_desk_offers_no_act_to_who_may_only_look(login: Any, make: Any) -> None:
    plan = make.plan(state="submitted")
    desk = login("admin").get("/reviews/plans/").text
    assert plan.name in desk
    assert "data-bulk" not in desk
    assert "data-tick" not in desk
    assert "办理" not in desk
