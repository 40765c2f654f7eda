"""消息: who is told of what, and who is not; the bell, the list, and what is read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import select

from app import notices as table
from app import workflow
from app.extensions import db, transaction
from models import ExamPlan, Notice, TrainingPlan

FIRST, EAST = "91330100MA2AAAA05G", "91330212MA2AAAA052"
PEOPLE = ("province", "hangzhou", "ningbo", "hjp", "nbp", FIRST, EAST)
DESKS = {"enterprise": "/reviews/enterprises", "institution": "/institutions", "training_plan": "/reviews/plans",
         "exam_plan": "/reviews/exams", "score_report": "/reviews/scores"}
# Where the owner of each kind submits and withdraws.
OWNERS = {"enterprise": (FIRST, "/enterprise"), "institution": ("hjp", "/filing"), "training_plan": ("hjp", "/plans/{id}"),
          "exam_plan": ("hjp", "/exams/{id}"), "score_report": ("hjp", "/scores/{exam}")}


def bell(client: Any) -> int:
    """The figure on the bell of a page."""
    found = re.search(r'class="btn btn-quiet btn-small bell".*?</a>', client.get("/").text, re.S)
    assert found, "no bell"
    figure = re.search(r"<b>(\d+)", found.group())
    return int(figure.group(1)) if figure else 0


def texts(client: Any, query: str = "") -> str:
    return re.sub(r"\s+", " ", client.get(f"/notices/{query}").text)


def subject_in(make: Any, kind: str, state: str) -> Any:
    if kind in ("enterprise", "institution"):
        row = make.enterprise(FIRST) if kind == "enterprise" else make.institution("hjp")
        with transaction():
            for column, value in {**make.review(state), "review_version": 10}.items():
                setattr(row, column, value)
        return row
    return {"training_plan": make.plan, "exam_plan": make.exam, "score_report": make.report}[kind](state)


def take(login: Any, kind: str, row: Any, step: str) -> None:
    if step in ("accept", "approve", "reject"):
        answer = login("hangzhou").post(f"{DESKS[kind]}/{row.id}/{step}", data={"remark": "课时不足"})
    else:
        who, base = OWNERS[kind]
        answer = login(who).post(base.format(id=row.id, exam=getattr(row, "exam_plan_id", 0)) + "/" + step)
    assert answer.status_code == 303


@pytest.mark.parametrize("kind", DESKS)
@pytest.mark.parametrize(("step", "state", "words"), [
    ("withdraw", "submitted", "已由申报单位撤回"), ("accept", "submitted", "已受理，正在审核"), ("approve", "accepted", "已审核通过"),
    ("reject", "accepted", "未通过审核")])
def test_a_step_is_told_to_the_other_side_and_to_nobody_else(app: Any, make: Any, login: Any, kind: str, step: str, state: str,
                                                             words: str) -> None:
    row = subject_in(make, kind, state)
    name = str(row)
    take(login, kind, row, step)
    told = "hangzhou" if step == "withdraw" else OWNERS[kind][0]
    for who in PEOPLE:
        client = login(who)
        page = texts(client)
        assert bell(client) == (1 if who == told else 0), who
        assert (words in page and name in page) == (who == told), who
    if step == "reject":
        assert "原因：课时不足" in texts(login(told))


@pytest.mark.parametrize("kind", DESKS)
def test_a_submission_is_told_to_the_reviewing_authority_only(app: Any, make: Any, kind: str, login: Any) -> None:
    row = subject_in(make, kind, "rejected")
    workflow.take_step(row, "submit", actor=make.actor(OWNERS[kind][0]))
    for who in PEOPLE:
        assert bell(login(who)) == (1 if who == "hangzhou" else 0), who
    assert "已提交，等待受理" in texts(login("hangzhou"))


@pytest.mark.parametrize("kind", DESKS)
@pytest.mark.parametrize("side", ["owner", "reviewer"])
def test_opening_a_notice_leads_to_its_subject_and_marks_it_read(app: Any, make: Any, login: Any, kind: str, side: str) -> None:
    row = subject_in(make, kind, "submitted" if side == "reviewer" else "accepted")
    take(login, kind, row, "withdraw" if side == "reviewer" else "approve")
    if side == "reviewer":  # what was withdrawn is still the desk's to look up
        take_again = make.actor(OWNERS[kind][0])
        workflow.take_step(row, "submit", actor=take_again)
    client = login("hangzhou" if side == "reviewer" else OWNERS[kind][0])
    before = bell(client)
    newest = db.session.scalars(select(Notice.id).order_by(Notice.id.desc())).first()
    answer = client.post(f"/notices/{newest}/open")
    assert answer.status_code == 303
    page = client.get(answer.location)
    assert page.status_code == 200
    assert str(row) in page.text
    assert bell(client) == before - 1
    client.post(f"/notices/{newest}/open")
    assert bell(client) == before - 1


def test_many_plans_decided_at_once_are_one_notice_for_each_institution(app: Any, make: Any, login: Any) -> None:
    plans = [make.plan("accepted", name=f"杭建培{n:04d}") for n in range(40)]
    plans.append(make.plan("accepted", institution="nbp", name="甬建培0001"))
    with transaction() as session:
        session.get_one(TrainingPlan, plans[-1].id).authority_id = make.authority("hangzhou").id
    answer = login("hangzhou").post("/reviews/plans/bulk/approve", data={"ids": [plan.id for plan in plans]})
    assert answer.status_code == 303
    own, other = login("hjp"), login("nbp")
    assert (bell(own), bell(other)) == (1, 1)
    assert "40 个培训计划已审核通过" in texts(own)
    assert "培训计划“甬建培0001”已审核通过" in texts(other)
    assert "40 个" not in texts(other)
    notice = db.session.scalars(select(Notice).where(Notice.count == 40)).one()
    assert own.post(f"/notices/{notice.id}/open").location == "/plans/"


def test_a_step_that_moved_nothing_is_told_to_nobody(app: Any, make: Any, login: Any) -> None:
    plan = make.plan("approved")
    login("hangzhou").post("/reviews/plans/bulk/approve", data={"ids": [plan.id]})
    assert db.session.scalars(select(Notice)).all() == []


def test_another_organisations_notice_is_not_found(app: Any, make: Any, login: Any) -> None:
    row = make.plan("accepted")
    take(login, "training_plan", row, "approve")
    notice = db.session.scalars(select(Notice)).one()
    for who in ("nbp", "hangzhou", "province", FIRST):
        assert login(who).post(f"/notices/{notice.id}/open").status_code == 404, who
    assert bell(login("hjp")) == 1


def test_all_is_marked_read_up_to_what_was_seen(app: Any, make: Any, login: Any) -> None:
    client = login("hjp")
    for _each in range(3):
        take(login, "training_plan", make.plan("accepted"), "approve")
    page = texts(client)
    through = re.search(r'name="through" value="(\d+)"', page)
    assert through
    assert bell(client) == 3
    take(login, "training_plan", make.plan("accepted", name="后来的"), "approve")
    client.post("/notices/read", data={"through": through.group(1)})
    assert bell(client) == 1
    assert "后来的" in texts(client, "?unread=1")
    assert texts(client, "?unread=1").count("已审核通过") < texts(client).count("已审核通过")
    client.post("/notices/read", data={"through": "99999999"})
    assert bell(client) == 0
    assert "没有未读消息" in texts(client, "?unread=1")
    assert "全部标为已读" not in texts(client)


def test_a_mark_of_one_person_leaves_the_others_of_the_organisation_unread(app: Any, make: Any, login: Any) -> None:
    make.plan("submitted")
    workflow.take_step(make.plan("rejected"), "submit", actor=make.actor("hjp"))
    mine = login("hangzhou")
    mine.post("/notices/read", data={"through": "not a number"})
    assert bell(mine) == 1


def test_what_may_no_longer_be_seen_is_told_without_a_link(app: Any, make: Any, login: Any) -> None:
    plan = make.plan("rejected")
    workflow.take_step(plan, "submit", actor=make.actor("hjp"))
    with transaction() as session:
        session.get_one(TrainingPlan, plan.id).authority_id = make.authority("ningbo").id
    client = login("hangzhou")
    page = texts(client)
    assert "标为已读：" in page
    assert "查看：" not in page
    notice = db.session.scalars(select(Notice)).one()
    assert client.post(f"/notices/{notice.id}/open").location == "/notices/"
    assert bell(client) == 0


def test_the_bell_is_one_question_and_polls_ask_nothing(app: Any, make: Any, login: Any) -> None:
    from sqlalchemy import event

    client = login("hjp")
    asked: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "notice" in statement.lower():
            asked.append(statement)

    event.listen(db.engine, "before_cursor_execute", hear)
    try:
        client.get("/plans/")
        assert len(asked) == 1
        asked.clear()
        client.get("/jobs/1", headers={"X-Requested-With": "fetch"})
        assert asked == []
    finally:
        event.remove(db.engine, "before_cursor_execute", hear)


def test_the_administrator_has_no_bell(app: Any, login: Any) -> None:
    client = login("admin")
    assert 'bell"' not in client.get("/").text.replace("i-bell", "")
    assert client.get("/notices/").status_code in (302, 303, 403)


def test_every_event_of_the_table_can_be_said_and_every_step_of_the_review_is_in_it(app: Any) -> None:
    assert set(workflow.REVIEW) <= set(table.NOTICES)
    assert set(workflow.SUBJECTS) <= set(table.THINGS)
    with app.test_request_context():
        for event in table.NOTICES:
            for kind in table.THINGS:
                for count, name in ((1, "100%名"), (5000, "")):
                    notice = Notice(event=event, subject_kind=kind, count=count, name=name, remark="")
                    said = table.sentence(notice)
                    assert "%(" not in said
                    assert ("100%名" in said or "5,000" in said)
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    for thing in table.THINGS.values():
        assert {page[0] for page in (*thing.pages.values(), *thing.lists.values())} <= endpoints


def test_english_readers_are_told_in_english_words_of_the_same_notice(app: Any, make: Any, login: Any) -> None:
    exam = make.exam("accepted")
    take(login, "exam_plan", exam, "approve")
    client = login("hjp")
    client.get("/lang/en")
    page = client.get("/notices/")
    assert page.status_code == 200
    assert db.session.get_one(ExamPlan, exam.id).name in page.text
