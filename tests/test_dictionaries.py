"""The dictionaries in the operator's room: changed there at once, versioned, never breaking what is there (B7)."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openpyxl import load_workbook
from sqlalchemy import select

from app import parameters
from app.extensions import db
from app.operations import certificates, orders
from app.operations.rosters import template
from app.release import release
from models import AuditEvent, Certificate, Education, Occupation, Order, Parameter, SkillLevel, TrainingPlan
from tests.test_plans import form as plan_form


@pytest.fixture
def admin(login: Any) -> FlaskClient:
    client: FlaskClient = login("admin")
    return client


def edit(client: FlaskClient, page: str, key: Any, **values: Any) -> Any:
    """Open the form of a row, change some of it, save."""
    address = f"/console/{page}/edit/?id={key}"
    assert client.get(address).status_code == 200
    return client.post(address, data=values)


def occupation(code: str = "020") -> Occupation:
    db.session.rollback()
    return db.session.scalars(select(Occupation).where(Occupation.code == code)).one()


def test_a_new_name_is_offered_at_once_and_on_record(admin: FlaskClient, login: Any) -> None:
    row = occupation()
    assert edit(admin, "occupations", row.id, name="钢筋工甲", position=str(row.position), enabled="y").status_code == 302
    assert "020 钢筋工甲" in login("hjp").get("/plans/add").text
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "change_entry").order_by(AuditEvent.id.desc())).first()
    assert event is not None
    assert event.facts == {"key": "020", "changed": {"name": ["钢筋工", "钢筋工甲"]}}


def test_the_roster_template_follows(admin: FlaskClient, login: Any, app: Flask) -> None:


    row = db.session.scalars(select(Education)).first()
    assert row is not None
    edit(admin, "education", row.id, name="小学（含以下）", position="0", enabled="y")
    sheet = load_workbook(io.BytesIO(template())).worksheets[1]
    assert "小学（含以下）" in {cell.value for line in sheet.iter_rows() for cell in line}


def test_a_code_never_changes(admin: FlaskClient) -> None:
    row = occupation()
    edit(admin, "occupations", row.id, code="999", name=row.name, position="1", enabled="y")
    assert occupation().code == "020"


def test_nothing_is_deleted(admin: FlaskClient) -> None:
    row = occupation()
    assert admin.post("/console/occupations/delete/", data={"id": str(row.id)}).status_code in (302, 400, 403, 404, 405)
    assert occupation().id == row.id


def test_what_is_switched_off_is_offered_no_more_and_still_read(admin: FlaskClient, login: Any, make: Any) -> None:
    plan = make.plan(occupations=("020",))
    row = occupation()
    edit(admin, "occupations", row.id, name=row.name, position="1")
    institution = login("hjp")
    assert "020 钢筋工" not in institution.get("/plans/add").text
    assert "钢筋工" in institution.get(f"/plans/{plan.id}").text
    assert institution.post("/plans/add", data=plan_form(make)).status_code == 200
    assert db.session.scalars(select(TrainingPlan.id)).all() == [plan.id]


def test_a_certificate_keeps_the_name_it_was_issued_with(admin: FlaskClient, login: Any, make: Any) -> None:
    certificates.run_issue(make.report(people=1).id, lambda _done, _total: None)
    certificate = db.session.scalars(select(Certificate)).one()
    row = db.session.get_one(Occupation, certificate.occupation_id)
    was, key = certificate.occupation_name, certificate.id
    edit(admin, "occupations", row.id, name="改了名的工种", position="1", enabled="y")
    db.session.rollback()
    assert db.session.get_one(Certificate, key, populate_existing=True).occupation_name == was
    page = login("hangzhou").get(f"/certificates/{key}").text
    assert was in page
    assert "改了名的工种" not in page


def test_the_levels_of_an_occupation_hold(admin: FlaskClient, login: Any, make: Any) -> None:
    row = occupation()
    fourth = db.session.scalars(select(SkillLevel).where(SkillLevel.code == "4")).one()
    assert edit(admin, "occupations", row.id, name=row.name, position="1", enabled="y", levels=str(fourth.id)).status_code == 302
    institution = login("hjp")
    refused = institution.post("/plans/add", data=plan_form(make))
    assert f"钢筋工只设：{fourth.name}" in refused.text
    allowed = plan_form(make, **{"occupations-0-level_id": str(fourth.id)})
    assert institution.post("/plans/add", data=allowed).status_code == 303
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "change_entry").order_by(AuditEvent.id.desc())).first()
    assert event is not None
    assert event.facts["changed"]["levels"] == [[], [fourth.name]]


@pytest.mark.parametrize(("key", "value"), [
    ("pass_theory", "101"), ("pass_theory", "-1"), ("room_size", "0"), ("room_size", "201"), ("order_minutes", "1"), ("resit", "2"),
    ("order_minutes", "60.5"), ("order_minutes", "６０"), ("order_minutes", ""), ("certificate_number", "{nonsense}")])
def test_a_value_the_portal_cannot_use_is_refused_in_words(admin: FlaskClient, key: str, value: str) -> None:
    was = parameters.text(key)
    db.session.rollback()
    edit(admin, "parameters", key, value=value)
    db.session.rollback()
    db.session.expire_all()
    assert parameters.text(key) == was


def test_zero_is_a_choice_where_it_means_no(admin: FlaskClient) -> None:
    assert edit(admin, "parameters", "resit", value="0").status_code == 302
    db.session.rollback()
    db.session.expire_all()
    assert parameters.number("resit") == 0


def test_an_order_keeps_its_deadline_when_the_minutes_change(admin: FlaskClient, make: Any) -> None:
    order = orders.create(make.batch(make.plan(seats=20), 2), actor=make.actor("91330100MA2AAAA05G"))
    key, deadline = order.id, order.expires_at
    edit(admin, "parameters", "order_minutes", value="10")
    db.session.rollback()
    assert db.session.get_one(Order, key, populate_existing=True).expires_at == deadline


def test_versions_are_listed_and_brought_back_as_a_new_change(admin: FlaskClient) -> None:
    row = occupation()
    edit(admin, "occupations", row.id, name="第一次改名", position="7", enabled="y")
    edit(admin, "occupations", row.id, name="第二次改名", position="7", enabled="y")
    page = admin.get(f"/console/occupations/history?id={row.id}").text
    assert page.index("第二次改名") < page.index("钢筋工")
    first = db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "change_entry").order_by(AuditEvent.id)).first()
    assert first is not None
    answer = admin.post("/console/occupations/restore", data={"id": str(row.id), "event": str(first.id)}, follow_redirects=True)
    assert answer.status_code == 200
    assert occupation().name == "钢筋工"
    assert len(db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "change_entry")).all()) == 3


def test_a_version_of_another_row_brings_nothing_back(admin: FlaskClient) -> None:
    row, other = occupation(), occupation("010")
    edit(admin, "occupations", row.id, name="改过", position="7", enabled="y")
    event = db.session.scalars(select(AuditEvent.id).where(AuditEvent.verb == "change_entry")).first()
    admin.post("/console/occupations/restore", data={"id": str(other.id), "event": str(event)})
    assert occupation("010").name == other.name
    assert admin.post("/console/occupations/restore", data={"id": "x", "event": "1"}).status_code == 404


def test_a_release_leaves_what_the_administrator_has_changed(admin: FlaskClient, app: Flask) -> None:
    row = occupation()
    edit(admin, "occupations", row.id, name="本省叫法", position="7")
    edit(admin, "parameters", "room_size", value="25")
    db.session.delete(db.session.scalars(select(Parameter).where(Parameter.key == "review_days")).one())
    db.session.commit()
    release(app.extensions["settings"])
    db.session.rollback()
    db.session.expire_all()
    assert (occupation().name, occupation().enabled, parameters.number("room_size")) == ("本省叫法", False, 25)
    assert db.session.get(Parameter, "review_days") is not None


@pytest.mark.parametrize("who", ["hangzhou", "hjp", "91330100MA2AAAA05G"])
def test_only_administrators_enter(login: Any, who: str) -> None:
    client = login(who)
    assert client.get("/console/occupations/").status_code == 403
    assert client.get("/console/occupations/history?id=1").status_code == 403
    assert client.post("/console/occupations/restore", data={"id": "1", "event": "1"}).status_code == 403
