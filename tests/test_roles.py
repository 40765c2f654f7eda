"""角色: what an administrator ticks is what a person may do, and it stays so through every release (B9)."""

from __future__ import annotations

from typing import Any

import pytest
from flask_appbuilder.security.sqla.models import Role
from sqlalchemy import select

from app import areas, permissions
from app.extensions import db
from models import AuditEvent, RoleRegion
from tests.staffing import give, role


def named(name: str) -> Role:
    return db.session.scalars(select(Role).where(Role.name == name)).one()


def pairs(of: Role) -> set[str]:
    db.session.expire_all()
    return {str(each) for each in of.permissions}


def test_every_permission_of_the_authority_is_in_one_entry_or_everybodys() -> None:
    column = {(view, verb) for view, roles in permissions.TABLE.items() for verb in roles.get(permissions.AUTHORITY, ())}
    offered = [pair for entry in areas.ENTRIES.values() for pair in entry.pairs]
    assert sorted([*offered, *areas.BASICS]) == sorted(column)


def test_a_role_is_made_by_ticks_and_grants_exactly_them(login: Any, make: Any) -> None:
    admin = login("admin")
    plan, other = make.plan(state="submitted"), make.plan(state="accepted")
    page = admin.get("/staff/roles/add").text
    assert "企业审核" in page
    assert "受理" in page
    answer = admin.post("/staff/roles/add", data={"name": "计划受理", "region_code": "", "entries": ["plans.accept"]})
    assert answer.status_code == 303
    give("hangzhou", named("计划受理"))
    city = login("hangzhou")
    home = city.get("/").text
    assert "/reviews/plans/" in home
    assert "/reviews/enterprises/" not in home
    assert "受理所选" in city.get("/reviews/plans/").text  # whoever may accept may look
    city.post(f"/reviews/plans/{plan.id}/accept")
    assert db.session.get_one(type(plan), plan.id).review_state == "accepted"
    assert city.post(f"/reviews/plans/{other.id}/approve").status_code == 403
    for closed in ("/reviews/enterprises/", "/people/", "/certificates/", "/institutions/add", "/staff/", "/colleagues/"):
        assert city.get(closed).status_code == 403, closed
    for basic in ("/password/", "/safety/", "/calendar/", "/notices/"):
        assert city.get(basic).status_code == 200, basic
    assert db.session.scalars(select(AuditEvent.verb).where(AuditEvent.verb == "make_role")).all() == ["make_role"]


def test_a_list_of_roles_says_in_words_what_each_may_do(login: Any, make: Any) -> None:
    role(make, "杭州企业受理", "enterprises.accept", region="330100")
    page = login("admin").get("/staff/roles/").text
    assert "杭州市" in page
    assert "查看、受理" in page


def test_two_roles_add_up(login: Any, make: Any) -> None:
    give("hangzhou", role(make, "甲", "plans.accept"), role(make, "乙", "people.look"))
    city = login("hangzhou")
    assert city.get("/reviews/plans/").status_code == 200
    assert city.get("/people/").status_code == 200
    assert city.get("/people/people.xlsx").status_code == 403


def test_what_was_ticked_survives_a_release_and_the_menu_follows_it(app: Any, login: Any, make: Any) -> None:
    made = role(make, "证书查询", "certificates.download", region="330100")
    before = pairs(made)
    assert "menu access on menu:CertificateView" in before
    # As an older release left it: without the menu, with a page that is no more.
    known = permissions.known_pairs()
    made.permissions = [known["can_list", "CertificateView"], known["can_show", "CertificateView"],
                        known["can_download", "CertificateView"], known["can_show", "ConsoleView"]]
    db.session.commit()
    permissions.sync_roles(app.appbuilder)
    assert pairs(made) == before
    permissions.sync_roles(app.appbuilder)
    assert pairs(made) == before
    assert db.session.get_one(RoleRegion, made.id).region_code == "330100"
    give("hangzhou", made)
    assert "/certificates/" in login("hangzhou").get("/").text


def test_a_role_is_changed_and_takes_effect_with_the_next_page(login: Any, make: Any) -> None:
    made = role(make, "成绩", "scores.look")
    give("hangzhou", made)
    city, admin = login("hangzhou"), login("admin")
    assert city.get("/reviews/scores/").status_code == 200
    page = admin.get(f"/staff/roles/{made.id}").text
    assert 'value="scores.look" checked' in page
    admin.post(f"/staff/roles/{made.id}", data={"name": "成绩与人员", "region_code": "330200", "entries": ["people.reveal"]})
    assert city.get("/reviews/scores/").status_code == 403
    assert city.get("/people/").status_code == 200
    assert db.session.get_one(RoleRegion, made.id).region_code == "330200"
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "change_role")).one()
    page = admin.get(f"/audit/{event.id}").text
    assert "报名人员查询：查看完整身份证号" in page
    assert "成绩报审：查看" in page


@pytest.mark.parametrize(("given", "said"), [
    ({"name": "", "entries": ["plans.look"]}, "此项必填"), ({"name": "主管部门", "entries": ["plans.look"]}, "已被使用"),
    ({"name": "新角色"}, "请至少勾选一项"), ({"name": "新角色", "entries": ["everything"]}, 'role="alert"'),
    ({"name": "新角色", "entries": ["plans.look"], "region_code": "999999"}, 'role="alert"'),
])
def test_a_role_that_is_not_whole_is_not_made(login: Any, given: dict[str, Any], said: str) -> None:
    page = login("admin").post("/staff/roles/add", data={"region_code": "", **given})
    assert page.status_code == 200
    assert said in page.text
    assert db.session.scalars(select(RoleRegion)).all() == []


def test_the_portals_own_roles_are_not_changed_or_deleted_here(login: Any, make: Any) -> None:
    admin = login("admin")
    for own in db.session.scalars(select(Role)).all():
        key, before = own.id, pairs(own)
        assert admin.get(f"/staff/roles/{key}").status_code == 404
        assert admin.post(f"/staff/roles/{key}", data={"name": "x", "entries": ["plans.look"]}).status_code == 404
        assert admin.post(f"/staff/roles/{key}/delete").status_code == 404
        assert pairs(db.session.get_one(Role, key)) == before
    assert {*permissions.OWNED, permissions.ADMIN, "Public"} <= set(db.session.scalars(select(Role.name)))


def test_a_role_in_use_is_not_deleted_and_one_that_is_free_is(login: Any, make: Any) -> None:
    admin, made = login("admin"), role(make, "巡查", "plans.look")
    key = made.id
    give("hangzhou", made)
    assert "还有人使用：杭州经办" in admin.post(f"/staff/roles/{key}/delete", follow_redirects=True).text
    give("hangzhou", named(permissions.AUTHORITY))
    admin.post(f"/staff/roles/{key}/delete")
    assert db.session.get(Role, key) is None
    assert db.session.get(RoleRegion, key) is None


def test_roles_are_the_administrators_alone(login: Any, make: Any) -> None:
    made = role(make, "巡查", "plans.look")
    for username in ("province", "hangzhou", "hjp", "91330100MA2AAAA05G"):
        client = login(username)
        for path in ("", "add", f"{made.id}"):
            assert client.get(f"/staff/roles/{path}").status_code == 403, (username, path)
        assert client.post(f"/staff/roles/{made.id}/delete").status_code == 403
