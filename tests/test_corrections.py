"""核对与更正 (I18, B10): the institution marks, the enterprise corrects until the class opens, every version is kept, nobody is swapped."""

from __future__ import annotations

import io
from typing import Any

import pytest
from sqlalchemy import func, select

from app.crypto import blind
from app.documents import samples
from app.extensions import db, transaction
from models import AuditEvent, CheckEvent, Enrolment, FormerPhoto, Notice, Order, PersonCheck, PhotoReading, TrainingPlan
from tests.factory import id_number
from tests.shop import Shop, at_once

ENTERPRISE, OTHER = "91330100MA2AAAA05G", "91330212MA2AAAA052"
FETCH = {"X-Requested-With": "fetch"}


@pytest.fixture
def person(make: Any) -> Enrolment:
    """One who is paid, in a class that is not open."""
    return db.session.get_one(Order, make.paid(make.plan(), 2).id).enrolments[0]


def marked(login: Any, person: Enrolment, **data: Any) -> Any:
    answer = login("hjp").post(f"/checks/{person.id}/reject", data={"reasons": ["name"], "remark": "应为王健", **data}, headers=FETCH)
    assert answer.status_code == 200, answer.text
    return answer.json


def correct(client: Any, person: Enrolment, **data: Any) -> Any:
    return client.post(f"/corrections/{person.id}", data=data)


def now(person: Enrolment) -> Enrolment:
    db.session.expire_all()
    return db.session.get_one(Enrolment, person.id)


def state(person: Enrolment) -> str | None:
    return db.session.scalar(select(PersonCheck.state).where(PersonCheck.enrolment_id == person.id))


def test_marked_told_corrected_looked_at_again_and_every_version_kept(login: Any, person: Enrolment) -> None:
    institution, enterprise = login("hjp"), login(ENTERPRISE)
    assert "待核对的人员" in institution.get("/").text
    assert person.name in institution.get("/checks/").text
    told = marked(login, person)
    assert (told["state"], told["decided"]) == ("不相符", True)
    assert person.name not in institution.get("/checks/").text
    notices = enterprise.get("/notices/").text
    assert f"{person.name}" in notices
    assert "应为王健" in notices
    assert "待更正的人员" in enterprise.get("/").text
    assert "姓名与身份证不符；应为王健" in enterprise.get("/corrections/").text
    before, number = person.portrait_id, id_number(777)
    answer = correct(enterprise, person, name="王健", id_number=number, phone="13900001111",
                     portrait=(io.BytesIO(samples.portrait(2)), "x.jpg"))
    assert answer.status_code == 303, answer.text
    after = now(person)
    assert (after.name, after.id_number, after.phone, after.state) == ("王健", number, "13900001111", "enrolled")
    assert bytes(after.id_number_index) == blind(number, "id_number")
    assert after.portrait_id != before
    assert state(person) == "corrected"
    page = institution.get(f"/checks/{person.id}").text
    assert "身份证号已更改，请确认仍是同一人" in page
    assert number not in page
    assert f"/files/{before}/thumb" in page, "the photo before is there to compare"
    assert institution.get(f"/files/{before}").status_code == 200
    assert db.session.scalar(select(FormerPhoto.file_id).where(FormerPhoto.enrolment_id == person.id)) == before
    assert institution.post(f"/checks/{person.id}/approve", data={"seen": 2}).status_code == 303
    assert state(person) == "ok"
    assert [event.step for event in db.session.scalars(select(CheckEvent).order_by(CheckEvent.id))] == ["mismatch", "correct", "ok"]
    kept = db.session.scalars(select(CheckEvent).where(CheckEvent.step == "correct")).one()
    assert kept.changes["name"][1] == "王健"
    assert number not in str(kept.changes)
    assert number not in str(db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "correct_person")).one().facts)


def test_what_says_who_a_person_is_changes_only_while_it_is_marked(login: Any, person: Enrolment) -> None:
    enterprise = login(ENTERPRISE)
    for wanted in ({"name": "别人"}, {"id_number": id_number(778)}, {"portrait": (io.BytesIO(samples.portrait(2)), "x.jpg")}):
        correct(enterprise, person, **wanted)
    assert (now(person).name, now(person).id_number) == (person.name, person.id_number)
    assert "须由培训机构标记" in enterprise.get(f"/corrections/{person.id}").text
    assert correct(enterprise, person, phone="13900002222").status_code == 303
    assert now(person).phone == "13900002222"
    assert state(person) is None
    marked(login, person)
    login("hjp").post(f"/checks/{person.id}/approve", data={"seen": 1})
    correct(enterprise, person, id_number=id_number(779))
    assert now(person).id_number == person.id_number, "once it is confirmed the door is closed again"


def test_a_corrected_number_keeps_seats_and_duplicates_right(login: Any, make: Any, person: Enrolment) -> None:
    plan = db.session.get_one(TrainingPlan, person.plan_id)
    colleague = db.session.scalars(select(Enrolment).where(Enrolment.plan_id == plan.id, Enrolment.id != person.id)).one()
    elsewhere = make.paid(make.plan(), 1, enterprise=OTHER).enrolments[0]
    seats, client = plan.seats_taken, login(ENTERPRISE)
    marked(login, person)
    for taken in (colleague.id_number, elsewhere.id_number):
        answer = correct(client, person, id_number=taken)
        assert (answer.status_code, "不能重复报名" in answer.text) == (400, True)
    bad = correct(client, person, id_number="330106199001010019", phone="123")
    assert "身份证号校验不通过" in bad.text
    assert "手机号应为 11 位" in bad.text
    assert now(person).id_number == person.id_number
    assert correct(client, person, id_number=id_number(880)).status_code == 303
    assert db.session.get_one(TrainingPlan, plan.id, populate_existing=True).seats_taken == seats
    batch = make.batch(plan, 1)
    batch.enrolments[0].id_number, batch.enrolments[0].id_number_index = id_number(880), blind(id_number(880), "id_number")
    db.session.commit()
    answer = client.post(f"/orders/add/{batch.id}", headers=FETCH)
    assert (answer.status_code, "不能重复报名" in answer.json["message"]) == (409, True)


def test_a_changed_number_keeps_the_class_from_opening_until_it_is_looked_at(login: Any, person: Enrolment) -> None:
    institution = login("hjp")
    marked(login, person)
    correct(login(ENTERPRISE), person, id_number=id_number(881))
    institution.post(f"/classes/{person.plan_id}/open", data={"early": "1"})
    assert db.session.get_one(TrainingPlan, person.plan_id, populate_existing=True).class_opened_at is None
    assert "更正了身份证号" in institution.get(f"/classes/{person.plan_id}").text
    institution.post(f"/checks/{person.id}/approve", data={"seen": 2})
    institution.post(f"/classes/{person.plan_id}/open", data={"early": "1"})
    assert db.session.get_one(TrainingPlan, person.plan_id, populate_existing=True).class_opened_at is not None
    correct(login(ENTERPRISE), person, phone="13900003333")
    assert now(person).phone == person.phone, "an open class is not corrected any more"
    assert institution.post(f"/checks/{person.id}/reject", data={"reasons": ["name"]}, headers=FETCH).status_code == 409


def test_nobody_decides_on_what_they_have_not_seen_and_a_reason_is_asked_for(login: Any, person: Enrolment) -> None:
    institution = login("hjp")
    for data in ({}, {"reasons": ["other"]}):
        assert institution.post(f"/checks/{person.id}/reject", data=data, headers=FETCH).status_code == 400
    marked(login, person, seen=0)
    correct(login(ENTERPRISE), person, name="王健")
    stale = institution.post(f"/checks/{person.id}/approve", data={"seen": 1}, headers=FETCH)
    assert (stale.status_code, "刚刚有变化" in stale.json["message"]) == (409, True)
    assert state(person) == "corrected"
    marked(login, person, seen=2)
    assert db.session.scalar(select(func.count(Notice.id)).where(Notice.event == "person_mismatch")) == 1, "nobody has read the first"


def told(event: str) -> list[tuple[int, str]]:
    db.session.expire_all()
    return [(row.count, row.name) for row in db.session.scalars(select(Notice).where(Notice.event == event).order_by(Notice.id))]


def test_many_marked_one_after_another_are_one_notice_until_it_is_read(login: Any, make: Any) -> None:
    people = db.session.get_one(Order, make.paid(make.plan(), 6).id).enrolments
    institution, enterprise = login("hjp"), login(ENTERPRISE)

    def mark(person: Enrolment, *reasons: str) -> None:
        assert institution.post(f"/checks/{person.id}/reject", data={"reasons": list(reasons)}, headers=FETCH).status_code == 200

    for person in people[:4]:
        mark(person, "portrait", *(("name",) if person is people[3] else ()))
    named = "、".join(each.name for each in people[:3])
    assert told("person_mismatch") == [(4, f"{named}等")]
    page = enterprise.get("/notices/").text
    assert f"4 人的报名信息（{named}等）与照片不相符" in page
    assert "请在开班前更正：寸照不是本人或不合格；姓名与身份证不符<" in page, "each reason that was given, once"
    correct(enterprise, people[0], name="王健")
    mark(people[4], "portrait")
    assert told("person_mismatch") == [(4, f"{'、'.join(each.name for each in people[1:4])}等")], "who is corrected is not missed any more"
    notice = db.session.scalars(select(Notice).where(Notice.event == "person_mismatch")).one()
    assert enterprise.post(f"/notices/{notice.id}/open").headers["Location"].endswith("/corrections/")
    mark(people[5], "portrait")
    assert told("person_mismatch")[1:] == [(1, people[5].name)], "what was read is not told again"
    for person in people[1:3]:
        correct(enterprise, person, name="王建")
    assert told("person_corrected") == [(3, "王健、王建、王建")]
    assert "3 人的报名信息（王健、王建、王建）已由企业更正，请复核" in institution.get("/notices/").text


def test_of_a_mark_and_an_opening_at_once_the_people_are_right_after_either(
        app: Any, make: Any, login: Any, standins: Any, person: Enrolment) -> None:
    shop = Shop(app, make, login, standins)
    key, plan_id = person.id, person.plan_id
    institution, enterprise = login("hjp"), login(ENTERPRISE)
    marked(login, person)
    number = id_number(882)
    db.session.commit()
    at_once(shop, lambda: enterprise.post(f"/corrections/{key}", data={"id_number": number}).status_code,
            lambda: institution.post(f"/classes/{plan_id}/open", data={"early": "1"}).status_code)
    db.session.expire_all()
    opened = db.session.get_one(TrainingPlan, plan_id).class_opened_at is not None
    changed = db.session.get_one(Enrolment, key).id_number == number
    assert opened != changed, "a person changed unseen must not be in an open class"


def test_pages_are_only_for_those_they_concern(login: Any, person: Enrolment) -> None:
    assert login("nbp").get(f"/checks/{person.id}").status_code == 404
    assert login("nbp").post(f"/checks/{person.id}/reject", data={"reasons": ["name"]}).status_code == 404
    assert login(OTHER).get(f"/corrections/{person.id}").status_code == 404
    assert login(OTHER).post(f"/corrections/{person.id}", data={"phone": "13900003333"}).status_code == 404
    assert person.id_number not in login(ENTERPRISE).get(f"/corrections/{person.id}").text


def test_what_the_card_seems_to_say_is_a_hint_beside_the_person(login: Any, person: Enrolment) -> None:
    with transaction() as session:
        session.add(PhotoReading(file_id=person.id_front_id, batch_id=person.batch_id, state="read", name="王健康",
                                 created_at=person.created_at, id_number=person.id_number, id_number_index=person.id_number_index))
    client = login("hjp")
    assert person.name in client.get("/checks/?hint=differs").text
    page = client.get(f"/checks/{person.id}?pane").text
    assert "王健康" in page
    assert "仅供参考" in page
    assert client.post(f"/checks/{person.id}/approve", data={"seen": 0}).status_code == 303, "a hint keeps nobody from deciding"
