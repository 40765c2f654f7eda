"""Certificates: once each, numbered without gaps, printed, listed for the parties (I27, A5)."""

from __future__ import annotations

import html
import io
import threading
from typing import Any

import pytest
from openpyxl import load_workbook
from pypdf import PdfReader
from sqlalchemy import delete, func, select, update

from app import clock, parameters, workflow
from app.errors import Invalid
from app.extensions import db
from app.operations import certificates, numbering
from app.operations.numbering import parse_pattern
from models import AuditEvent, Certificate, CertificateCounter, ExamPlan, Job, Parameter, ScoreReport, Sitting


def issued() -> list[Certificate]:
    return list(db.session.scalars(select(Certificate).order_by(Certificate.number)))


def issue(client: Any, run_jobs: Any, *reports: ScoreReport) -> None:
    client.post("/certificates/issue/", data={"ids": [str(report.id) for report in reports]})
    run_jobs()


def test_everyone_who_passed_gets_one_and_nobody_else(login: Any, make: Any, run_jobs: Any) -> None:
    report = make.report(people=3)
    failed = db.session.scalars(select(Sitting).where(Sitting.exam_plan_id == report.exam_plan_id)).first()
    failed.theory, failed.result = 100, "failed"
    db.session.commit()
    city = login("hangzhou")
    assert report.exam_plan.name in city.get("/certificates/issue/").text
    issue(city, run_jobs, report)
    assert len(issued()) == 2
    assert failed.enrolment_id not in {row.enrolment_id for row in issued()}
    assert all(row.push_state == "waiting" for row in issued())
    assert report.exam_plan.name not in city.get("/certificates/issue/").text


def test_pressing_twice_makes_no_second_one(login: Any, make: Any, run_jobs: Any) -> None:
    report = make.report(people=3)
    city = login("hangzhou")
    for _twice in range(2):
        issue(city, run_jobs, report)
    assert len(issued()) == 3


def test_two_exams_at_once_that_begin_a_counter_share_it(app: Any, make: Any) -> None:
    """The counter's row is not there yet: both make it, one waits, neither fails."""
    reports = [make.report(people=3).id for _each in range(2)]
    db.session.commit()
    barrier = threading.Barrier(2)
    trouble: list[Exception] = []

    def run(report_id: int) -> None:
        with app.app_context():
            barrier.wait()
            try:
                certificates.run_issue(report_id, lambda done, total: None)
            except Exception as error:
                trouble.append(error)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run, args=(report_id,)) for report_id in reports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db.session.rollback()
    assert trouble == []
    assert [int(row.number[-6:]) for row in issued()] == [1, 2, 3, 4, 5, 6]


def test_a_number_that_is_taken_already_is_told_and_nothing_is_written(login: Any, make: Any, run_jobs: Any, monkeypatch: Any) -> None:
    """What the unique number is for, should the search for the highest ever be wrong."""
    first, second = make.report(people=1), make.report(people=2)
    city = login("hangzhou")
    issue(city, run_jobs, first)
    db.session.execute(update(CertificateCounter).values(last=0))
    db.session.commit()
    monkeypatch.setattr(numbering, "highest", lambda *_given: 0)
    issue(city, run_jobs, second)
    assert len(issued()) == 1
    assert "证书编号与已有证书重复" in city.get(f"/certificates/issue/{second.id}").text


def test_a_counter_that_was_lost_goes_on_behind_the_highest_number(login: Any, make: Any, run_jobs: Any) -> None:
    first, second = make.report(people=2), make.report(people=2)
    city = login("hangzhou")
    issue(city, run_jobs, first)
    db.session.execute(delete(CertificateCounter))
    db.session.commit()
    issue(city, run_jobs, second)
    assert [row.number[-6:] for row in issued()] == ["000001", "000002", "000003", "000004"]


def test_another_pattern_begins_its_own_sequence_and_never_makes_a_number_twice(login: Any, make: Any, run_jobs: Any) -> None:
    """The third pattern writes the shape of the first in another way; the first, taken up again, goes on where it was."""
    city, year = login("hangzhou"), clock.shanghai_day().year
    for pattern in ("{prov:2}{yyyy}{occ:3}{level:1}{seq:6}", "ZJ-{yyyy}-{seq:4}", f"33{year}02050{{seq:5}}",
                    "{prov:2}{yyyy}{occ:3}{level:1}{seq:6}"):
        db.session.get(Parameter, "certificate_number").value = pattern
        db.session.commit()
        issue(city, run_jobs, make.report(people=2))
    assert [row.number for row in sorted(issued(), key=lambda row: row.id)] == [
        f"33{year}0205000001", f"33{year}0205000002", f"ZJ-{year}-0001", f"ZJ-{year}-0002", f"33{year}0205000003", f"33{year}0205000004",
        f"33{year}0205000005", f"33{year}0205000006"]


def test_a_second_press_while_the_first_is_under_way_starts_nothing(login: Any, make: Any, run_jobs: Any) -> None:
    report = make.report(people=1)
    city = login("hangzhou")
    for _twice in range(2):
        city.post("/certificates/issue/", data={"ids": [str(report.id)]})
    assert db.session.scalar(select(func.count(Job.id)).where(Job.name == "issue_certificates")) == 1
    run_jobs()
    city.post("/certificates/issue/", data={"ids": [str(report.id)]})
    assert "都已有证书" in city.get("/certificates/issue/").text
    assert db.session.scalar(select(func.count(Job.id)).where(Job.name == "issue_certificates")) == 1


def test_all_that_match_are_issued_with_one_press(login: Any, make: Any, run_jobs: Any) -> None:
    for _each in range(3):
        make.report(people=1)
    city = login("hangzhou")
    city.post("/certificates/issue/", data={"all": "1", "issue": "waiting"})
    run_jobs()
    assert len(issued()) == 3


def test_numbers_follow_the_pattern_and_go_on_without_gaps(login: Any, make: Any, run_jobs: Any, clock: Any) -> None:
    first, second = make.report(people=2), make.report(people=2, occupations=("040",))
    third = make.report(people=1)
    issue(login("hangzhou"), run_jobs, first, second, third)
    year = clock.moment.astimezone().year
    assert [row.number for row in issued()] == [
        f"33{year}0205000001", f"33{year}0205000002", f"33{year}0205000003", f"33{year}0405000001", f"33{year}0405000002"]


def test_a_failed_issue_gives_its_serials_back(app: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    report = make.report(people=2)

    def broken(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(certificates.audit, "record", broken)
    with pytest.raises(RuntimeError):
        certificates.run_issue(report.id, lambda done, total: None)
    assert issued() == []
    monkeypatch.undo()
    certificates.run_issue(report.id, lambda done, total: None)
    assert [row.number[-6:] for row in issued()] == ["000001", "000002"]


@pytest.mark.parametrize("state", ["draft", "submitted", "accepted", "rejected"])
def test_only_an_approved_report_has_certificates(login: Any, make: Any, run_jobs: Any, state: str) -> None:
    issue(login("hangzhou"), run_jobs, make.report(state))
    assert issued() == []


def test_another_authority_generates_nothing(login: Any, make: Any, run_jobs: Any) -> None:
    report = make.report()
    for username in ("ningbo", "province"):
        issue(login(username), run_jobs, report)
    assert issued() == []


@pytest.mark.parametrize("pattern", [
    "", "{seq:6}{yyyy}", "{who}{seq:6}", "{seq:6", "ZJ", "{seq:6}{seq:6}", "{yyyy.x}{seq:6}", "{seq}", "{seq:0}", "{seq:-6}", "{seq:+6}",
    "{seq!r:6}", "{seq:06}", "{seq:99}", "{yyyy:2}{seq:6}", "{prov:3}{seq:6}", "ZJ/{seq:6}", "证{seq:6}", "ZJ {seq:6}", "{{ZJ}}{seq:6}",
    "A" * 40 + "{seq:6}", "{seq:6}\n",
])
def test_a_pattern_that_cannot_work_is_refused(app: Any, pattern: str) -> None:
    with pytest.raises(Invalid):
        parse_pattern(pattern)


def test_the_default_pattern_reads_as_documented(app: Any) -> None:
    pattern = parse_pattern(parameters.DEFAULTS["certificate_number"][0])
    assert pattern.number(pattern.prefix(prov="33", year=2026, occ="010", level="5"), 1) == "3320260105000001"
    with pytest.raises(Invalid, match="序号已用完"):
        pattern.number("33", 1_000_000)
    for wide in ({"occ": "0100"}, {"level": "10"}, {"prov": ""}):
        with pytest.raises(Invalid, match="放不进"):
            pattern.prefix(**{"prov": "33", "year": 2026, "occ": "010", "level": "5", **wide})


def test_the_console_refuses_a_pattern_and_keeps_the_old_one(login: Any) -> None:
    admin = login("admin")
    answer = admin.post("/console/parameters/edit/?id=certificate_number", data={"value": "{seq}{yyyy}"})
    assert answer.status_code == 200
    assert db.session.get(Parameter, "certificate_number").value == parameters.DEFAULTS["certificate_number"][0]
    admin.post("/console/parameters/edit/?id=certificate_number", data={"value": "ZJ{yyyy}{seq:5}"})
    assert db.session.get(Parameter, "certificate_number").value == "ZJ{yyyy}{seq:5}"


def test_the_console_shows_the_next_number_of_a_pattern_while_it_is_typed(login: Any, make: Any, run_jobs: Any) -> None:
    admin, year = login("admin"), clock.shanghai_day().year
    issue(login("hangzhou"), run_jobs, make.report(people=2))
    assert "data-number-preview" in admin.get("/console/parameters/edit/?id=certificate_number").text

    def shown(pattern: str) -> Any:
        return admin.get("/console/parameters/preview", query_string={"value": pattern}).json

    found = shown("{prov:2}{yyyy}{occ:3}{level:1}{seq:6}")
    assert (found["error"], found["rows"][0][2]) == ("", f"33{year}0205000003")
    assert shown("ZJ{yyyy}{seq:5}")["rows"][0][2] == f"ZJ{year}00001"
    assert "放不进" in shown("{occ:1}{seq:6}")["error"]
    assert login("hangzhou").get("/console/parameters/preview").status_code == 403
    issue(login("hangzhou"), run_jobs, make.report(people=1))
    assert issued()[-1].number == f"33{year}0205000003", "what was shown took nothing"


@pytest.mark.parametrize(("pattern", "why"), [
    ("{seq}", "序号要写明位数"), ("", "要以序号结尾"), ("{seq:6}{yyyy}", "要以序号结尾"), ("ZJ{yyyy}", "要以序号结尾"),
    ("{yyyy}{yyyy}{seq:6}", "“{yyyy}”用了两次"), ("{yyyy:2}{seq:6}", "“{yyyy}”只能是 4 位"), ("{occ:20}{seq:6}", "“{occ}”最多 12 位"),
    ("{year}{seq:6}", "不认识“{year}”"), ("{prov:2}{seq:6", "“{seq:6”缺少右括号"),
    ("浙{seq:6}", "不能使用“浙”"), ("ZJ {seq:6}", "不能使用“空格”"),
    ("A" * 40 + "{seq:6}", "编号长 46 位，最多 40 位"), ("A" * 94 + "{seq:6}" + "B" * 9, "要以序号结尾"), ("{occ:1}{seq:6}", "放不进"),
])
def test_a_pattern_that_cannot_work_is_refused_with_what_is_wrong_and_shows_no_number(login: Any, pattern: str, why: str) -> None:
    admin = login("admin")
    shown = admin.get("/console/parameters/preview", query_string={"value": pattern}).json
    assert why in shown["error"]
    assert shown["rows"] == []
    before = parameters.text("certificate_number")
    answer = admin.post("/console/parameters/edit/?id=certificate_number", data={"value": pattern})
    db.session.expire_all()
    assert parameters.text("certificate_number") == before
    assert html.unescape(shown["error"]) in html.unescape(answer.text) or not pattern, "the refusal says the same"


@pytest.fixture
def certificate(make: Any, app: Any) -> Certificate:
    report = make.report(people=1)
    certificates.run_issue(report.id, lambda done, total: None)
    return issued()[0]


def test_the_pdf_says_what_the_record_says(login: Any, certificate: Certificate) -> None:
    answer = login("hjp").get(f"/certificates/{certificate.id}/certificate.pdf")
    assert answer.mimetype == "application/pdf"
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.data)).pages)
    for part in (certificate.number, certificate.name, certificate.occupation_name, certificate.institution_name):
        assert part in text.replace("\n", "")
    assert db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "print_certificate")).one().actor_name


def test_a_revoked_certificate_is_not_printed_again(login: Any, certificate: Certificate) -> None:
    workflow.move(Certificate, [certificate.id], "state", workflow.CERTIFICATE_MOVES, "valid", "revoked", ended_at=clock.now())
    client = login("hjp")
    answer = client.get(f"/certificates/{certificate.id}/certificate.pdf")
    assert answer.status_code == 409
    assert "已撤销" in answer.text
    assert "下载证书" not in client.get(f"/certificates/{certificate.id}").text
    exam_id = certificate.sitting.exam_plan_id
    assert client.get(f"/certificates/exams/{exam_id}/cards.xlsx").status_code == 409


def test_the_institution_downloads_the_data_for_cards(login: Any, certificate: Certificate) -> None:
    exam_id = certificate.sitting.exam_plan_id
    sheet = load_workbook(io.BytesIO(login("hjp").get(f"/certificates/exams/{exam_id}/cards.xlsx").data)).worksheets[0]
    cells = [str(cell.value) for row in sheet.iter_rows() for cell in row]
    assert certificate.number in cells
    assert certificate.id_number in cells
    assert login("nbp").get(f"/certificates/exams/{exam_id}/cards.xlsx").status_code == 404
    kept = db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "download_card_data")).one()
    assert (kept.subject_id, kept.facts) == (exam_id, {"count": 1})


def test_there_is_no_card_data_before_there_are_certificates(login: Any, make: Any) -> None:
    exam_id = make.report(people=1).exam_plan_id
    client = login("hjp")
    answer = client.get(f"/certificates/exams/{exam_id}/cards.xlsx")
    assert answer.status_code == 409
    assert "还没有生成证书" in answer.text
    page = client.get(f"/scores/{exam_id}").text
    assert "cards.xlsx" not in page
    assert "等待主管部门生成证书" in page


def test_each_party_finds_its_own_certificates(login: Any, certificate: Certificate) -> None:
    for username, sees in (("hjp", True), ("nbp", False), ("hangzhou", True), ("ningbo", False), ("province", True),
                           ("91330100MA2AAAA05G", True), ("91330212MA2AAAA052", False)):
        client = login(username)
        assert (certificate.number in client.get("/certificates/").text) == sees, username
        assert client.get(f"/certificates/{certificate.id}").status_code == (200 if sees else 404), username


def test_an_exam_without_a_pass_waits_for_nothing(login: Any, make: Any) -> None:
    report = make.report(people=1)
    sitting = db.session.scalars(select(Sitting).where(Sitting.exam_plan_id == report.exam_plan_id)).one()
    sitting.result = "absent"
    db.session.commit()
    assert db.session.get(ExamPlan, report.exam_plan_id).name not in login("hangzhou").get("/certificates/issue/").text
