"""Approved scores are locked; a correction is reviewed, counts from its approval on, and ends certificates no longer earned (I26)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app import workflow
from app.errors import Conflict
from app.extensions import db
from app.operations import certificates, push
from models import Certificate, CertificateChange, ExamPlan, ExamRoom, Parameter, ReviewEvent, ScoreCorrection, ScoreReport, Sitting
from tests.factory import Factory
from tests.test_score_intakes import fields


@pytest.fixture
def report(make: Any, clock: Any) -> ScoreReport:
    """An approved report of three who passed, certificates generated."""
    found: ScoreReport = make.report(people=3)
    certificates.run_issue(found.id, lambda _done, _total: None)
    clock.advance(days=2)
    return found


def people(report: ScoreReport) -> list[Sitting]:
    db.session.expire_all()
    return list(db.session.scalars(select(Sitting).where(Sitting.exam_plan_id == report.exam_plan_id).order_by(Sitting.seat)))


def written(client: Any, report: ScoreReport, reason: str = "登记错行", **marks: str) -> Any:
    """The correction form with these fields typed in, `theory_0="50"` for the first person."""
    address = f"/scores/corrections/{report.exam_plan_id}/edit"
    form = fields(client.get(address).text)
    seated = people(report)
    for key, text in marks.items():
        name, index = key.split("_")
        form[f"{name}-{seated[int(index)].id}"] = text
    return client.post(address, data={**form, "reason": reason})


def correction() -> ScoreCorrection:
    db.session.expire_all()
    return db.session.scalars(select(ScoreCorrection).order_by(ScoreCorrection.id.desc())).first()  # type: ignore[return-value]


def decided(login: Any, step: str) -> None:
    desk = login("hangzhou")
    desk.post(f"/reviews/corrections/{correction().id}/accept")
    desk.post(f"/reviews/corrections/{correction().id}/{step}", data={"remark": "证据不足"})


def test_a_correction_counts_when_it_is_approved_and_not_before(login: Any, report: ScoreReport) -> None:
    client = login("hjp")
    assert written(client, report, theory_0="59", practice_1="95").status_code == 303
    assert client.post(f"/scores/corrections/{report.exam_plan_id}/submit").status_code == 303
    assert [each.result for each in people(report)] == ["passed"] * 3
    page = login("hangzhou").get(f"/reviews/corrections/{correction().id}").text
    assert "登记错行" in page
    assert "理论 59" in page
    lost = db.session.scalars(select(Certificate.number).where(Certificate.sitting_id == people(report)[0].id)).one()
    assert lost in page, "the reviewer sees which certificate ends"
    decided(login, "approve")
    assert [(each.theory, each.practice, each.result) for each in people(report)] == [
        (590, 900, "failed"), (850, 950, "passed"), (850, 900, "passed")]
    states = {row.sitting_id: row.state for row in db.session.scalars(select(Certificate))}
    assert [states[each.id] for each in people(report)] == ["revoked", "valid", "valid"]
    assert db.session.get_one(ScoreReport, report.id).review_state == "approved", "the report itself stays approved"
    history = client.get(f"/scores/{report.exam_plan_id}/history").text
    assert "成绩更正" in history
    approver = db.session.scalars(select(ReviewEvent.actor_name).where(
        ReviewEvent.step == "approve", ReviewEvent.subject_kind == "score_correction")).one()
    assert f"· {approver}</span>" in history, "whoever approved it, not the system"
    client.get("/lang/en")
    for path in ("/exams/", f"/exams/{report.exam_plan_id}", f"/scores/{report.exam_plan_id}", "/scores/?stage=approved"):
        english = client.get(path).text
        assert ">Approved</" in english, path
        assert ">Approve</" not in english, "a state is no verb"


def test_who_passes_by_a_correction_can_be_given_a_certificate(login: Any, make: Any, clock: Any) -> None:
    report = make.report(people=2)
    failed = people(report)[0]
    failed.theory, failed.result = 400, "failed"
    db.session.commit()
    certificates.run_issue(report.id, lambda _done, _total: None)
    assert len(db.session.scalars(select(Certificate)).all()) == 1
    client = login("hjp")
    written(client, report, theory_0="70")
    client.post(f"/scores/corrections/{report.exam_plan_id}/submit")
    decided(login, "approve")
    certificates.run_issue(report.id, lambda _done, _total: None)
    assert len(db.session.scalars(select(Certificate)).all()) == 2


def test_a_rejected_correction_changes_nothing_and_can_be_written_anew(login: Any, report: ScoreReport) -> None:
    client = login("hjp")
    written(client, report, theory_0="59")
    client.post(f"/scores/corrections/{report.exam_plan_id}/submit")
    decided(login, "reject")
    assert [each.result for each in people(report)] == ["passed"] * 3
    assert "证据不足" in client.get(f"/scores/corrections/{report.exam_plan_id}").text
    assert written(client, report, theory_0="85", theory_1="50").status_code == 303
    assert [line.sitting_id for line in correction().lines] == [people(report)[1].id], "taking a line back takes it out"
    client.post(f"/scores/corrections/{report.exam_plan_id}/submit")
    assert correction().review_round == 2


def test_what_cannot_be_a_correction_is_said(login: Any, report: ScoreReport, make: Any) -> None:
    client = login("hjp")
    for reason, marks, said in (("", {"theory_0": "59"}, "请写明更正的原因"), ("错", {}, "没有与现有成绩不同"),
                                ("错", {"theory_0": "101"}, "成绩需要修改"), ("错", {"theory_0": ""}, "成绩不完整")):
        answer = written(client, report, reason, **marks)
        assert answer.status_code == 422
        assert said in answer.text
    assert correction() is None
    unreported = make.report("draft")
    client.get(f"/scores/corrections/{unreported.exam_plan_id}/edit")
    assert client.post(f"/scores/corrections/{unreported.exam_plan_id}/edit", data={"reason": "x"}).status_code == 303


def test_a_correction_under_review_is_locked_until_it_is_withdrawn(login: Any, report: ScoreReport) -> None:
    client = login("hjp")
    written(client, report, theory_0="59")
    place = f"/scores/corrections/{report.exam_plan_id}"
    client.post(f"{place}/submit")
    assert client.get(f"{place}/edit").status_code == 409
    client.post(f"{place}/discard")
    assert correction().review_state == "submitted"
    client.post(f"{place}/withdraw")
    client.post(f"{place}/discard")
    assert correction() is None


def test_two_corrections_of_one_exam_cannot_be_open(report: ScoreReport, make: Any) -> None:
    """The database itself refuses the second."""
    from sqlalchemy.exc import IntegrityError

    from app import clock

    for _twice in range(2):
        db.session.add(ScoreCorrection(exam_plan_id=report.exam_plan_id, institution_id=report.institution_id,
                                       authority_id=report.authority_id, reason="x", created_at=clock.now()))
    with pytest.raises(IntegrityError):
        db.session.flush()
    db.session.rollback()


def test_nobody_elses_correction_is_found(login: Any, report: ScoreReport) -> None:
    client = login("hjp")
    written(client, report, theory_0="59")
    client.post(f"/scores/corrections/{report.exam_plan_id}/submit")
    stranger, elsewhere = login("nbp"), login("ningbo")
    for method, place in (("get", ""), ("get", "/edit"), ("post", "/edit"), ("post", "/submit"), ("post", "/withdraw"),
                          ("post", "/discard")):
        assert getattr(stranger, method)(f"/scores/corrections/{report.exam_plan_id}{place}").status_code == 404, place
    for method, place in (("get", ""), ("post", "/accept"), ("post", "/approve")):
        assert getattr(elsewhere, method)(f"/reviews/corrections/{correction().id}{place}").status_code == 404, place
    assert correction().review_state == "submitted"


def test_approved_marks_cannot_be_reached_by_any_other_way(login: Any, report: ScoreReport, make: Any) -> None:
    from app.operations.score_intakes import take_in
    from app.operations.scores import Mark
    from models import ExamPlan

    exam = db.session.get_one(ExamPlan, report.exam_plan_id)
    with pytest.raises(Conflict, match="更正"):
        take_in(exam, [Mark(people(report)[0].ticket_number, 0, 0)], "pull", actor=make.actor("hjp"))
    assert [each.result for each in people(report)] == ["passed"] * 3


def test_marks_that_changed_under_a_correction_stop_it_whole(login: Any, report: ScoreReport, make: Any) -> None:
    client = login("hjp")
    written(client, report, theory_0="59", theory_1="58")
    client.post(f"/scores/corrections/{report.exam_plan_id}/submit")
    workflow.take_step(correction(), "accept", actor=make.actor("hangzhou"))
    people(report)[1].theory = 700  # no way of the portal does this
    db.session.commit()
    with pytest.raises(RuntimeError):
        workflow.take_step(correction(), "approve", actor=make.actor("hangzhou"))
    db.session.rollback()
    assert correction().review_state == "accepted"
    assert [each.theory for each in people(report)] == [850, 700, 850]


def corrected(login: Any, report: ScoreReport, reason: str, **marks: str) -> None:
    client = login("hjp")
    written(client, report, reason, **marks)
    client.post(f"/scores/corrections/{report.exam_plan_id}/submit")
    decided(login, "approve")


def numbered(sitting: Sitting) -> list[Certificate]:
    db.session.expire_all()
    return list(db.session.scalars(select(Certificate).where(Certificate.enrolment_id == sitting.enrolment_id).order_by(Certificate.id)))


def test_a_certificate_that_is_no_longer_earned_ends_as_one_that_is_revoked(login: Any, report: ScoreReport, standins: Any) -> None:
    push.run_push(0, lambda _done, _total: None)
    person = people(report)[0]
    [before] = numbered(person)
    db.session.get_one(Parameter, "two_person_review").value = "1"
    db.session.commit()
    login("hangzhou").post(f"/certificates/{before.id}/replace", data={"cause": "lost", "reason": "本人遗失"})
    db.session.get_one(Parameter, "two_person_review").value = "0"
    db.session.commit()
    corrected(login, report, "登记错行", theory_0="59")
    [row] = numbered(person)
    assert (row.state, row.push_state, row.end_reason) == ("revoked", "waiting", "成绩更正后不合格")
    assert db.session.scalars(select(CertificateChange.state)).one() == "refused", "a wish for it waits no more"
    assert "成绩更正，证书撤销" in login("hangzhou").get(f"/certificates/{row.id}").text
    assert "已被撤销：成绩更正后不合格" in login("hjp").get("/notices/").text
    assert "证书已撤销" in login("hjp").get(f"/people/{person.enrolment_id}").text
    push.run_push(0, lambda _done, _total: None)
    assert standins.control("ministry", "certificates.json")["certificates"][row.number]["status"] == "revoked"


def test_who_passes_after_all_is_given_a_new_certificate_that_names_the_ended_one(login: Any, client: Any, report: ScoreReport,
                                                                                 clock: Any) -> None:
    person = people(report)[0]
    corrected(login, report, "登记错行", theory_0="59")
    certificates.run_issue(report.id, lambda _done, _total: None)
    assert [row.state for row in numbered(person)] == ["revoked"], "who does not pass is given none"
    clock.advance(hours=1)
    corrected(login, report, "复核后更正", theory_0="75")
    desk = login("hangzhou")
    assert "合格 3 人，已生成证书 2 张" in desk.get(f"/certificates/issue/{report.id}").text
    desk.post("/certificates/issue/", data={"ids": report.id})
    certificates.run_issue(report.id, lambda _done, _total: None)
    certificates.run_issue(report.id, lambda _done, _total: None)
    old, new = numbered(person)
    assert (old.state, new.state, new.replaces_id) == ("revoked", "valid", old.id)
    assert new.number != old.number
    assert new.number in client.get(f"/c/{old.number}").text
    assert old.number in desk.get(f"/certificates/{new.id}").text
    assert "证书已生成未推送" in desk.get(f"/people/{person.enrolment_id}").text


def test_who_passes_a_later_exam_is_given_one_and_whom_the_authority_revoked_is_not(login: Any, report: ScoreReport) -> None:
    lost, cheat, _other = people(report)
    login("hangzhou").post(f"/certificates/{numbered(cheat)[0].id}/revoke", data={"remark": "替考"})
    corrected(login, report, "登记错行", theory_0="59")
    exam = report.exam_plan
    again = ExamPlan(number="K9", name="补考", plan_id=exam.plan_id, institution_id=exam.institution_id, authority_id=exam.authority_id,
                     place="考试中心", starts_at=exam.starts_at, ends_at=exam.ends_at, created_at=exam.created_at,
                     **Factory.review("approved"))
    db.session.add(again)
    db.session.flush()
    room = ExamRoom(exam_plan_id=again.id, number=1, place="1", occupation_id=exam.rooms[0].occupation_id)
    db.session.add(room)
    db.session.flush()
    db.session.add(Sitting(exam_plan_id=again.id, enrolment_id=lost.enrolment_id, room_id=room.id, seat=1, ticket_number="990000000001",
                           theory=800, practice=800, result="passed", scored_at=exam.created_at, score_source="pull"))
    resit = ScoreReport(exam_plan_id=again.id, institution_id=exam.institution_id, authority_id=exam.authority_id,
                        created_at=exam.created_at, **Factory.review("approved"))
    db.session.add(resit)
    db.session.commit()
    for each in (report, resit):
        certificates.run_issue(each.id, lambda _done, _total: None)
    assert [row.state for row in numbered(lost)] == ["revoked", "valid"]
    assert [row.state for row in numbered(cheat)] == ["revoked"]
