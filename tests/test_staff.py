"""帐号: people of the authorities and administrators, made and kept by an administrator (B9)."""

from __future__ import annotations

from typing import Any

import pytest
from flask_appbuilder.security.sqla.models import Role, User
from sqlalchemy import select

from app import clock
from app.extensions import db
from models import Account, AuditEvent, SecondFactor
from tests.staffing import role

NEW = {"party": "authority", "username": "li_ming", "name": "李明", "phone": "13900001111"}


def account(username: str) -> Account:
    db.session.expire_all()
    return db.session.scalars(select(Account).join(Account.user).where(User.username == username)).one()


def issued(page: Any) -> str:
    return str(page.text.split("<code>")[2].split("</code>")[0])


def opened(admin: Any, make: Any, *roles: Role, **changes: Any) -> Any:
    return admin.post("/staff/add", data={**NEW, "authority_id": make.authority().id, "role_ids": [each.id for each in roles], **changes})


def whole() -> Role:
    return db.session.scalars(select(Role).where(Role.name == "主管部门")).one()


def test_a_person_of_an_authority_is_given_a_way_in_and_their_roles(login: Any, make: Any, client: Any) -> None:
    made = role(make, "计划受理", "plans.accept")
    page = opened(login("admin"), make, made)
    password = issued(page)
    assert "只显示这一次" in page.text
    person = login("li_ming", password, party="authority")
    assert person.get("/reviews/plans/").location == "/password/"
    person.post("/password/", data={"current": password, "new": "Xinde-2027", "again": "Xinde-2027"})
    assert person.get("/reviews/plans/").status_code == 200
    assert person.get("/reviews/enterprises/").status_code == 403
    row = account("li_ming")
    assert (row.party, row.authority_id, row.phone) == ("authority", make.authority().id, "13900001111")
    facts = db.session.scalars(select(AuditEvent.facts).where(AuditEvent.verb == "create_account")).one()
    assert facts["roles"] == ["计划受理"]
    assert password not in str(facts)
    assert "13900001111" not in login("admin").get("/staff/").text


def test_a_new_administrator_has_the_whole_administration_and_no_authority(login: Any, make: Any) -> None:
    page = opened(login("admin"), make, whole(), party="administrator", username="second_admin")
    password = issued(page)
    person = login("second_admin", password, party="authority")
    person.post("/password/", data={"current": password, "new": "Xinde-2027", "again": "Xinde-2027"})
    assert person.get("/staff/").status_code == 200
    row = account("second_admin")
    assert row.authority_id is None
    assert [each.name for each in row.user.roles] == ["Admin"]


@pytest.mark.parametrize(("changes", "said"), [
    ({"username": "Li"}, "用户名为 3 至 30 位"), ({"username": "hangzhou"}, "这个用户名已被使用"), ({"phone": "123"}, "手机号应为 11 位"),
    ({"authority_id": ""}, "请选择所属主管部门"), ({"role_ids": []}, "请至少选择一个角色"), ({"name": " "}, "此项必填"),
    ({"party": "enterprise"}, 'role="alert"'),
])
def test_an_account_that_is_not_whole_is_not_made(login: Any, make: Any, changes: dict[str, Any], said: str) -> None:
    before = len(db.session.scalars(select(Account)).all())
    page = opened(login("admin"), make, whole(), **changes)
    assert said in page.text
    assert len(db.session.scalars(select(Account)).all()) == before


def test_only_roles_for_the_authority_can_be_given(login: Any, make: Any) -> None:
    admin = login("admin")
    for name in ("Admin", "企业", "培训机构", "Public"):
        other = db.session.scalars(select(Role).where(Role.name == name)).one()
        assert opened(admin, make, other).status_code == 200
        assert db.session.scalars(select(User).where(User.username == "li_ming")).first() is None, name


def test_roles_are_given_and_taken_and_the_change_is_on_record(login: Any, make: Any) -> None:
    admin, city = login("admin"), login("hangzhou")
    made, key = role(make, "只看人员", "people.look"), account("hangzhou").user_id
    authority = str(make.authority().id)
    answer = admin.post(f"/staff/{key}/edit", data={"party": "authority", "name": "杭州经办", "phone": "", "authority_id": authority,
                                                     "role_ids": [made.id]})
    assert answer.status_code == 303
    assert city.get("/reviews/plans/").status_code == 403
    assert city.get("/people/").status_code == 200
    facts = db.session.scalars(select(AuditEvent.facts).where(AuditEvent.verb == "change_account")).one()
    assert facts["changed"] == {"roles": [["主管部门"], ["只看人员"]]}
    # Nobody becomes an administrator by a changed field of this form.
    admin.post(f"/staff/{key}/edit", data={"party": "administrator", "name": "杭州经办", "phone": ""})
    assert account("hangzhou").party == "authority"
    assert [each.name for each in account("hangzhou").user.roles] == ["只看人员"]


def test_a_disabled_person_is_out_at_once_and_comes_back_when_enabled(login: Any, make: Any, client: Any) -> None:
    admin, city = login("admin"), login("hangzhou")
    key = account("hangzhou").user_id
    admin.post(f"/staff/{key}/disable")
    assert city.get("/reviews/plans/").status_code in (302, 303)
    given = {"party": "authority", "username": "hangzhou", "password": "Demo2026!"}
    assert client.post("/login/", data=given).status_code == 200
    admin.post(f"/staff/{key}/enable")
    assert client.post("/login/", data=given).status_code == 303


def test_a_reset_password_ends_the_sessions_and_must_be_changed(login: Any, make: Any) -> None:
    admin, city = login("admin"), login("hangzhou")
    password = issued(admin.post(f"/staff/{account('hangzhou').user_id}/reset"))
    assert city.get("/reviews/plans/").status_code in (302, 303)
    assert login("hangzhou", password).get("/reviews/plans/").location == "/password/"


def test_a_lost_second_factor_is_removed_by_the_administrator(login: Any, make: Any) -> None:
    key = account("hangzhou").user_id
    admin = login("admin")
    assert "解除二次验证" not in admin.get(f"/staff/{key}").text
    assert "没有设置二次验证" in admin.post(f"/staff/{key}/factor", follow_redirects=True).text
    db.session.add(SecondFactor(account_id=key, secret="JBSWY3DPEHPK3PXP", confirmed_at=clock.now()))
    db.session.commit()
    assert "解除二次验证" in admin.get(f"/staff/{key}").text
    admin.post(f"/staff/{key}/factor")
    assert db.session.scalars(select(SecondFactor)).all() == []


def test_an_administrator_locks_out_neither_themselves_nor_the_last_one(login: Any, make: Any) -> None:
    admin, key = login("admin"), account("admin").user_id
    assert "不能停用自己的帐号" in admin.post(f"/staff/{key}/disable", follow_redirects=True).text
    assert "修改密码" in admin.post(f"/staff/{key}/reset", follow_redirects=True).text
    assert account("admin").user.active
    assert admin.get("/staff/").status_code == 200


def test_the_accounts_of_the_other_parties_are_looked_after_but_not_changed(login: Any, make: Any) -> None:
    admin, key = login("admin"), account("hjp").user_id
    assert "hjp" not in admin.get("/staff/").text
    assert "hjp" in admin.get("/staff/?party=institution").text
    assert admin.get(f"/staff/{key}").status_code == 200
    assert admin.get(f"/staff/{key}/edit").status_code == 404
    assert admin.post(f"/staff/{key}/edit", data={**NEW, "authority_id": 1, "role_ids": [1]}).status_code == 404
    assert account("hjp").party == "institution"


def test_accounts_are_the_administrators_alone_and_an_authority_sees_its_own_people(login: Any, make: Any) -> None:
    key = account("hangzhou").user_id
    for username in ("province", "hangzhou", "hjp", "91330100MA2AAAA05G"):
        client = login(username)
        assert {client.get(f"/staff/{path}").status_code for path in ("", "add", f"{key}", f"{key}/edit")} == {403}, username
        assert {client.post(f"/staff/{key}/{act}").status_code for act in ("reset", "disable", "enable")} == {403}, username
    page = login("hangzhou").get("/colleagues/").text
    assert "杭州经办" in page
    assert "宁波经办" not in page
    assert "省厅经办" not in page
    assert login("hjp").get("/colleagues/").status_code == 403
