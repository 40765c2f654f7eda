"""扫码签到: slips that cannot be forged, scans that may come twice or late, and nobody silently away (I20)."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import select

from app.extensions import db, within
from app.operations.scanning import short_code, token
from models import AttendanceMark, AuditEvent, Enrolment, SessionRoll, TrainingPlan
from tests.classes import confirmed, days, held, marks, people

FETCH = {"X-Requested-With": "fetch"}


def scan(client: Any, plan: TrainingPlan, code: str, session: int = 2, **more: Any) -> Any:
    return client.post(f"/classes/{plan.id}/attendance/scan", headers=FETCH, data={"session": days(plan)[session], "code": code, **more})


def slip(plan: TrainingPlan, person: int) -> str:
    return token(plan.id, people(plan)[person].id)


def test_a_slip_is_answered_with_name_and_trade_and_counts_once(login: Any, make: Any) -> None:
    plan, client = held(make), login("hjp")
    first = scan(client, plan, slip(plan, 1)).json
    assert (first["name"], first["occupation"], first["again"]) == (people(plan)[1].name, "钢筋工", False)
    assert (first["scanned"], first["people"]) == (1, 4)
    again = scan(client, plan, slip(plan, 1)).json
    assert (again["again"], again["scanned"]) == (True, 1)
    assert marks(plan) == {(1, 2): "present"}
    typed = short_code(plan.id, people(plan)[2].id)
    for written in (typed, typed.lower(), typed.replace("-", ""), f" {typed} "):
        assert scan(client, plan, written).json["name"] == people(plan)[2].name, written
    assert marks(plan) == {(1, 2): "present", (2, 2): "present"}
    assert len(db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "begin_scanning")).all()) == 1


def test_the_portrait_comes_with_the_answer(login: Any, make: Any) -> None:
    plan = held(make)
    make.paid(plan, 1)
    client = login("hjp")
    answer = scan(client, plan, slip(plan, 4)).json
    assert client.get(answer["portrait"]).content_type == "image/jpeg"


def test_what_is_forged_or_anothers_is_refused_in_clear_words(login: Any, make: Any) -> None:
    plan, other, foreign = held(make), held(make), held(make, institution="nbp")
    client = login("hjp")
    good = slip(plan, 0)
    forged = good[:-1] + ("0" if good[-1] != "0" else "1")
    another_person = re.sub(r":\d+:(?=[0-9A-F]{20}$)", f":{people(plan)[1].id}:", good)
    for code, words in ((forged, "不是本平台生成的，或已被改动"), (another_person, "不是本平台生成的，或已被改动"),
                        (slip(other, 0), f"这是“{other.name}”的听课证，不是本班的"), (slip(foreign, 0), "这不是本机构的听课证"),
                        ("https://example.com", "没有认出听课证"), ("", "没有认出听课证"), ("ZZZ-ZZZ", "本班没有编号为 ZZZ-ZZZ"),
                        (short_code(other.id, people(other)[0].id), "本班没有编号"), ("缺" * 400, "没有认出")):
        answer = scan(client, plan, code)
        assert answer.status_code == 422, code
        assert answer.json["refused"] is True
        assert words in answer.json["message"], code
        assert people(foreign)[0].name not in answer.json["message"]
    assert marks(plan) == {}
    assert db.session.scalars(select(SessionRoll)).all() == []
    assert scan(login("nbp"), plan, good).status_code == 404


def test_who_left_the_class_a_session_to_come_and_a_closed_class_are_refused(login: Any, make: Any) -> None:
    plan, client = held(make, sessions=((-1, "all"), (0, "all"), (1, "all"))), login("hjp")
    gone = people(plan)[0]
    code = slip(plan, 0)
    gone.state, gone.order_id = "draft", None
    db.session.commit()
    assert f"{gone.name}已不在本班名单中" in scan(client, plan, code, 1).json["message"]
    assert "还没有到" in scan(client, plan, slip(plan, 1), 2).json["message"]
    answer = client.post(f"/classes/{plan.id}/attendance/scan", headers=FETCH, data={"session": "999999", "code": slip(plan, 1)})
    assert answer.status_code == 422
    waiting = held(make, opened=False)
    assert "请先开班" in scan(client, waiting, slip(waiting, 0)).json["message"]
    assert marks(plan) == marks(waiting) == {}


def test_a_scan_that_comes_late_keeps_its_time_and_mends_a_mark(login: Any, make: Any, clock: Any) -> None:
    plan, client = held(make), login("hjp")
    client.post(f"/classes/{plan.id}/attendance/marks", data={"away": [f"{people(plan)[0].id}-{days(plan)[2]}"]})
    answer = scan(client, plan, slip(plan, 0), waited="90").json
    assert "原来标为缺课，现改为到课" in answer["message"]
    mark = db.session.scalars(select(AttendanceMark)).one()
    assert (mark.state, clock.now() - mark.scanned_at) == ("present", timedelta(seconds=90))
    for wrong in ("-5", "abc", "99999999999999999999"):
        assert scan(client, plan, slip(plan, 1), waited=wrong).status_code == 200
    client.post(f"/classes/{plan.id}/attendance/marks", data={"away": [f"{people(plan)[0].id}-{days(plan)[2]}"]})
    assert marks(plan)[0, 2] == "absent", "a person's word comes after the scan"


def test_who_is_away_as_a_whole_and_signs_in_is_told_and_asked_about(login: Any, make: Any) -> None:
    plan, client = held(make), login("hjp")
    name = people(plan)[0].name
    client.post(f"/classes/{plan.id}/attendance/marks", data={"away": [f"{people(plan)[0].id}-0"]})
    assert "却有扫码签到记录" not in client.get(f"/classes/{plan.id}/attendance").text
    answer = scan(client, plan, slip(plan, 0)).json
    assert f"{name}签到成功。注意：{name}标为整体缺勤" in answer["message"]
    assert answer["tone"] == "warn"
    assert "整体缺勤" in scan(client, plan, slip(plan, 0)).json["message"], "a second time too"
    other = scan(client, plan, slip(plan, 1)).json
    assert "整体缺勤" not in other["message"]
    assert not other["tone"]
    client.post(f"/classes/{plan.id}/attendance/sessions/{days(plan)[2]}/settle")
    for page in (f"/classes/{plan.id}/attendance", f"/classes/{plan.id}"):
        assert f"{name}标为整体缺勤，却有扫码签到记录，请核对。缺勤 1 人" in client.get(page).text, page
    typed = client.post(f"/classes/{plan.id}/attendance/scan", data={"session": days(plan)[1], "code": slip(plan, 0)},
                        follow_redirects=True)
    assert "标为整体缺勤" in typed.text
    client.get("/lang/en")
    assert "marked absent from the whole training" in scan(client, plan, slip(plan, 0)).json["message"]


def test_who_did_not_scan_is_proposed_and_a_person_decides(login: Any, make: Any) -> None:
    plan, client = held(make), login("hjp")
    scan(client, plan, slip(plan, 0))
    page = client.get(f"/classes/{plan.id}/attendance").text
    assert page.count('class="unscanned"') == 3
    assert "已扫码签到，请先核对未扫码的人员" in client.post(f"/classes/{plan.id}/confirm", follow_redirects=True).text
    assert not confirmed(plan)
    session = f"/classes/{plan.id}/attendance/sessions/{days(plan)[2]}"
    page = client.get(session).text
    assert "以下 3 人没有扫码" in page
    assert page.count('name="ids"') == 3
    scan(client, plan, slip(plan, 1))  # comes in while the page is open
    ids = [str(each.id) for each in people(plan)[1:3]]
    for _twice in range(2):
        client.post(f"{session}/settle", data={"ids": ids})
    assert marks(plan) == {(0, 2): "present", (1, 2): "present", (2, 2): "absent"}
    scan(client, plan, slip(plan, 2))  # late, but there
    client.post(f"/classes/{plan.id}/confirm")
    assert confirmed(plan)
    assert [person.attendance for person in people(plan)] == ["full"] * 4
    assert "不能再修改" in scan(client, plan, slip(plan, 3)).json["message"]


def test_a_session_that_nobody_scanned_has_nothing_to_settle(login: Any, make: Any) -> None:
    plan, client = held(make), login("hjp")
    client.post(f"/classes/{plan.id}/attendance/sessions/{days(plan)[0]}/settle", data={"ids": [str(people(plan)[0].id)]})
    assert marks(plan) == {}
    other = held(make)
    assert client.post(f"/classes/{plan.id}/attendance/sessions/{days(other)[0]}/settle").status_code == 404
    assert login("nbp").get(f"/classes/{plan.id}/attendance/sessions/{days(plan)[0]}").status_code == 404


def test_without_scripts_a_typed_code_is_taken_too(login: Any, make: Any) -> None:
    plan, client = held(make), login("hjp")
    assert "打开摄像头" in client.get(f"/classes/{plan.id}/attendance/scan").text
    for code, words in ((short_code(plan.id, people(plan)[0].id), "签到成功"), ("222-222", "本班没有编号")):
        answer = client.post(f"/classes/{plan.id}/attendance/scan", data={"session": days(plan)[2], "code": code}, follow_redirects=True)
        assert words in answer.text


def test_slips_hold_name_trade_and_code_and_no_number(login: Any, make: Any) -> None:
    plan = held(make, 12)
    data = login("hjp").post(f"/classes/{plan.id}/attendance/slips").data
    text = _text(data)
    for person in people(plan):
        assert person.name in text
        assert short_code(plan.id, person.id) in text
        assert person.id_number not in text
        assert person.id_number not in token(plan.id, person.id)
    assert "钢筋工" in text
    assert db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "download_slips")).one().facts == {"people": 12}


def _text(pdf: bytes) -> str:
    from pypdf import PdfReader

    return "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def camera_film(path: Any, *codes: str) -> None:
    """What a camera sees: each slip's code in turn, a little turned, on grey paper. Motion JPEG, as Chromium's fake camera takes it."""
    from app.documents.qr import qr_png

    with path.open("wb") as film:
        for number, code in enumerate(codes):
            drawn = Image.open(io.BytesIO(qr_png(code))).convert("RGB")
            frame = Image.new("RGB", (640, 480), (205, 200, 190))
            turned = drawn.rotate(6 + 5 * number, expand=True, fillcolor=(205, 200, 190), resample=Image.Resampling.BICUBIC)
            frame.paste(turned, ((640 - turned.width) // 2, (480 - turned.height) // 2))
            out = io.BytesIO()
            frame.save(out, "JPEG", quality=80)
            film.write(out.getvalue() * 20)


@pytest.fixture
def running_class(portal: Any) -> Any:
    """A class of three in the running product; (plan id, session id, tokens, codes, names)."""
    from app import create_app
    from config import load
    from tests.factory import Factory

    with within(create_app(load(portal.environ))):
        make = Factory()
        make.serial = 7100
        plan = held(make, 3, sessions=((0, "all"),), name="杭建培20261277")
        persons = people(plan)
        found = (plan.id, days(plan)[0], [token(plan.id, each.id) for each in persons],
                 [short_code(plan.id, each.id) for each in persons], [each.name for each in persons])
        db.session.rollback()
    return found


def test_a_phone_scans_with_the_reader_we_bring_and_survives_a_line_that_is_down(
        portal: Any, running_class: Any, tmp_path: Any) -> None:
    from playwright.sync_api import sync_playwright

    from tests import services
    from tests.walker import Walker

    plan_id, session_id, tokens, codes, names = running_class
    camera_film(tmp_path / "slips.mjpeg", tokens[0], tokens[1])
    flags = [*services.CHROMIUM_FLAGS, "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
             f"--use-file-for-fake-video-capture={tmp_path / 'slips.mjpeg'}"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=services.chromium(), args=flags)
        context = running.new_context(locale="zh-CN", viewport={"width": 390, "height": 844})
        page = context.new_page()
        fetched: list[str] = []
        page.on("request", lambda request: fetched.append(request.url))
        walker = Walker(page, portal)
        walker.sign_in("培训机构", "hjp")
        walker.go(f"/classes/{plan_id}/attendance/scan?session={session_id}")
        page.evaluate("delete window.BarcodeDetector")  # what a phone without one has
        page.get_by_role("button", name="打开摄像头").click()
        walker.look("2 / 3")
        assert any(url.split("?")[0].endswith("/static/vendor/qr/qr.min.js") for url in fetched)
        assert page.locator("[data-answer] b").inner_text() in names[:2]
        session = context.new_page()
        session.goto(f"{portal.url}/classes/{plan_id}/attendance/sessions/{session_id}")
        session.get_by_role("button", name="确认：1 人缺课，0 人到课").wait_for()
        session.get_by_role("button", name="全部到课").click()
        session.get_by_role("button", name="确认：0 人缺课，1 人到课").wait_for()
        session.close()
        context.set_offline(True)
        page.get_by_label("扫不出来").fill(codes[2])
        page.get_by_role("button", name="签到", exact=True).click()
        walker.look("网络不通，已记下")
        assert page.locator("[data-counter]").inner_text() == "2 / 3"
        context.set_offline(False)
        walker.look("3 / 3", f"{names[2]}签到成功")
        assert page.locator("[data-queue]").is_hidden()
        running.close()
    _in_the_tables(portal, plan_id)


def _in_the_tables(portal: Any, plan_id: int) -> None:
    from app import create_app
    from config import load

    with within(create_app(load(portal.environ))):
        rows = db.session.execute(select(Enrolment.name, AttendanceMark.state, AttendanceMark.source).join(
            Enrolment, AttendanceMark.enrolment_id == Enrolment.id).where(AttendanceMark.plan_id == plan_id)).all()
        db.session.rollback()
    assert [(row.state, row.source) for row in rows] == [("present", "scan")] * 3
