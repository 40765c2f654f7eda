"""报名人员查询: who finds whom, by what, with the manual's own words (I28, E20, X2, X4)."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy import event, select, update

from app.extensions import db
from app.operations import certificates
from models import AuditEvent, Certificate, Enrolment

ENTERPRISE, OTHER = "91330100MA2AAAA05G", "91330212MA2AAAA052"


@pytest.fixture
def person(make: Any) -> Enrolment:
    found: Enrolment = make.paid(make.plan(), 1).enrolments[0]
    return found


def search(client: Any, query: dict[str, str]) -> Any:
    """As the page does it: what is typed is posted, and the answer leads to the list."""
    return client.post("/people/", data=query, follow_redirects=True)


@pytest.mark.parametrize("username", [ENTERPRISE, "hjp", "hangzhou", "province"])
def test_a_person_is_found_by_name_and_by_whole_numbers(login: Any, person: Enrolment, username: str) -> None:
    client = login(username)
    for query in ({"q": person.name[1:]}, {"id_number": person.id_number}, {"id_number": person.id_number.lower()},
                  {"phone": person.phone}):
        page = search(client, query).text
        assert f"/people/{person.id}" in page, query
        rows = page.split("<tbody>")[1]
        assert person.id_number not in rows, query
        assert person.phone not in rows, query
    for query in ({"q": "没有此人"}, {"id_number": person.id_number[:17]}, {"phone": person.phone[:10]}, {"q": "%"}):
        assert f"/people/{person.id}" not in search(client, query).text, query


@pytest.mark.parametrize("username", [ENTERPRISE, "hjp", "hangzhou"])
def test_a_number_stands_in_no_address_and_no_link(login: Any, person: Enrolment, username: str) -> None:
    client = login(username)
    for query in ({"id_number": person.id_number}, {"phone": person.phone, "q": person.name}):
        answer = search(client, query)
        asked = answer.request.full_path
        links = "".join(re.findall(r'href="[^"]*"', answer.text))
        for number in (person.id_number, person.phone):
            assert number not in asked
            assert number not in links
        assert f"/people/{person.id}" in client.get(asked).text, "the address of a search can be opened again"
    form = answer.text.split('role="search"')[0].rsplit("<form", 1)[1]
    assert 'method="post"' in form


def test_a_search_is_sealed_for_the_account_that_typed_it(login: Any, person: Enrolment) -> None:
    asked = search(login("hjp"), {"id_number": person.id_number}).request.full_path
    other = login("hangzhou").get(asked)
    assert person.id_number not in other.text
    changed = asked[:-3] + ("AAA" if not asked.endswith("AAA") else "BBB")
    assert login("hjp").get(changed).status_code == 200


def test_an_old_bookmark_with_a_number_is_led_to_the_field(login: Any, person: Enrolment) -> None:
    client = login("hjp")
    answer = client.get("/people/", query_string={"id_number": person.id_number})
    assert (answer.status_code, answer.location) == (303, "/people/")
    assert "请在下面重新输入" in client.get("/people/").text


def test_a_sealed_search_keeps_its_pages_and_its_export(login: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make.paid(make.plan(), 60, photos=False)
    first, *others = db.session.scalars(select(Enrolment)).all()
    for each in others[:40]:
        each.phone_index, each.phone = first.phone_index, first.phone
    number, names = first.phone, {first.name, *(each.name for each in others[:40])}
    left = others[50].name
    db.session.commit()
    client = login("hjp")
    answer = search(client, {"phone": number})
    assert "共 41 条" in answer.text
    following = re.search(r'href="([^"]*page=2[^"]*)"', answer.text)
    assert following is not None
    assert number not in following[1]
    second = client.get(following[1].replace("&amp;", "&")).text
    assert second.split("<tbody>")[1].count("<tr>") == 16
    exported = re.search(r'href="(/people/people.xlsx[^"]*)"', answer.text)
    assert exported is not None
    sheet = load_workbook(io.BytesIO(client.get(exported[1].replace("&amp;", "&")).data)).worksheets[0]
    values = {cell.value for row in sheet.iter_rows() for cell in row}
    assert names <= values
    assert left not in values


def test_an_institution_finds_by_enterprise_plan_and_exam(login: Any, make: Any) -> None:
    exam = make.exam(people=1)
    found = db.session.scalars(select(Enrolment).where(Enrolment.plan_id == exam.plan_id)).one()
    client = login("hjp")
    for query in ({"enterprise": found.enterprise.name[:4]}, {"plan": exam.plan.name}, {"exam": exam.name}):
        assert f"/people/{found.id}" in client.get("/people/", query_string=query).text, query
    for query in ({"enterprise": "别的企业"}, {"plan": "甬建培20260101"}, {"exam": "没有这场"}):
        assert f"/people/{found.id}" not in client.get("/people/", query_string=query).text, query


def test_others_find_nobody(login: Any, person: Enrolment) -> None:
    for username in (OTHER, "nbp", "ningbo"):
        client = login(username)
        assert f"/people/{person.id}" not in client.get("/people/").text
        assert client.get(f"/people/{person.id}").status_code == 404
        assert client.post(f"/people/{person.id}/reveal").status_code == 404
        sheet = load_workbook(io.BytesIO(client.get("/people/people.xlsx").data)).worksheets[0]
        assert person.name not in [str(cell.value) for row in sheet.iter_rows() for cell in row]


def words(client: Any, person: Enrolment) -> list[str]:
    page = client.get(f"/people/{person.id}").text
    block = page.split('class="stats"')[1].split("</section>")[0]
    return [part.split("<")[0] for part in block.split('class="badge')[1:5] for part in [part.split(">", 1)[1]]]


def test_the_states_are_the_manuals_own_words(login: Any, make: Any, clock: Any) -> None:
    client = login("hjp")
    enrolling = make.paid(make.plan(), 1).enrolments[0]
    assert words(client, enrolling) == ["报名中", "未上报", "未上报", "证书未生成"]
    for state, exam_word in (("draft", "未上报"), ("submitted", "未审核"), ("accepted", "未审核"), ("approved", "已审核"),
                             ("rejected", "未通过")):
        exam = make.exam(state, people=1)
        assert words(client, _one(exam.plan_id)) == ["培训结束", exam_word, "未上报", "证书未生成"], state
    for state, score_word in (("submitted", "已上报"), ("accepted", "已受理"), ("rejected", "未通过"), ("approved", "已审核")):
        report = make.report(state, people=1)
        assert words(client, _one(report.exam_plan.plan_id)) == ["培训结束", "已审核", score_word, "证书未生成"], state
    certificates.run_issue(report.id, lambda done, total: None)
    found = _one(report.exam_plan.plan_id)
    assert words(client, found)[3] == "证书已生成未推送"
    db.session.execute(update(Certificate).values(push_state="pushed", pushed_at=clock.moment))
    db.session.commit()
    assert words(client, found)[3] == "证书已推送"


def _one(plan_id: int) -> Enrolment:
    return db.session.scalars(select(Enrolment).where(Enrolment.plan_id == plan_id)).one()


def test_the_detail_has_its_four_blocks(login: Any, make: Any) -> None:
    report = make.report(people=1)
    certificates.run_issue(report.id, lambda done, total: None)
    found = _one(report.exam_plan.plan_id)
    for username in (ENTERPRISE, "hjp", "hangzhou"):
        page = login(username).get(f"/people/{found.id}").text
        for block in ("申报信息", "培训信息", "考核信息", "证书信息", "展开培训明细", "展开考核明细"):
            assert block in page, f"{block} for {username}"
        assert found.id_number not in page


def test_marks_are_for_others_once_reported_and_approved(login: Any, make: Any) -> None:
    """The institution may still correct what it has not reported; the authority may still reject what it has."""
    for state, authority, enterprise in (("draft", False, False), ("submitted", True, False), ("rejected", True, False),
                                         ("approved", True, True)):
        found = _one(make.report(state, people=1).exam_plan.plan_id)
        for username, sees in (("hjp", True), ("hangzhou", authority), (ENTERPRISE, enterprise)):
            page = login(username).get(f"/people/{found.id}").text
            block = page.split("考核信息")[1].split("证书信息")[0]
            assert ("合格" in block and "85" in block) == sees, f"{username} while {state}"
            assert ("审核通过后公布" in block) != sees, f"{username} while {state}"


def test_showing_a_number_in_full_is_on_record(login: Any, person: Enrolment) -> None:
    client = login("hjp")
    assert person.id_number in client.post(f"/people/{person.id}/reveal").text
    seen = db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "reveal_person")).one()
    assert (seen.subject_id, seen.organisation) == (person.id, "杭州建工职业培训中心")
    assert person.id_number not in str(seen.facts)
    assert person.id_number not in client.get(f"/people/{person.id}").text


def test_the_export_has_what_the_search_found_masked(login: Any, make: Any) -> None:
    plan = make.plan()
    first, second = make.paid(plan, 2).enrolments
    second.name = "=cmd|' /C calc'!A0"
    db.session.commit()
    client = login("hjp")
    whole = load_workbook(io.BytesIO(client.get("/people/people.xlsx").data)).worksheets[0]
    cells = [cell for row in whole.iter_rows() for cell in row]
    assert {first.name, second.name} <= {cell.value for cell in cells}
    assert all(cell.data_type != "f" for cell in cells)
    assert first.id_number not in {cell.value for cell in cells}
    asked = search(client, {"id_number": first.id_number}).request.query_string.decode()
    some = load_workbook(io.BytesIO(client.get(f"/people/people.xlsx?{asked}").data)).worksheets[0]
    values = {cell.value for row in some.iter_rows() for cell in row}
    assert first.name in values
    assert second.name not in values
    kept = db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "export_people").order_by(AuditEvent.id)).all()
    assert [event.facts for event in kept] == [{"count": 2, "by": []}, {"count": 1, "by": ["id_number"]}]


def test_a_page_of_people_costs_the_same_however_many_they_are(login: Any, make: Any) -> None:
    client = login("hjp")
    engine = db.engine

    def count() -> int:
        statements = []
        event.listen(engine, "before_cursor_execute", listener := lambda *args: statements.append(args[2]))
        client.get("/people/")
        event.remove(engine, "before_cursor_execute", listener)
        return len(statements)

    make.paid(make.plan(), 2, photos=False)
    few = count()
    make.paid(make.plan(), 20, photos=False)
    assert count() == few
    assert few <= 14
