"""Stand-in of the online exam system (docs/exam-protocol.md): sessions come in, marks go out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, abort, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from standins.faults import Faults
from standins.state import State
from standins.tokens import envelope, has_token

CANDIDATE = ("ticket_no", "name", "id_number", "occupation", "level")


def plausible(exam_no: str, ticket_no: str) -> dict[str, Any]:
    """A score that looks real and is always the same for the same ticket: most pass, some fail, a few are absent."""
    noise = hashlib.sha256(f"{exam_no}/{ticket_no}".encode()).digest()
    if noise[0] < 8:
        return {"ticket_no": ticket_no, "theory": None, "practice": None, "absent": True, "cheating": False}
    weak = noise[1] < 26
    theory = 420 + noise[2] * 170 // 255 if weak else 620 + noise[2] * 360 // 255
    practice = 640 + noise[3] * 330 // 255
    return {"ticket_no": ticket_no, "theory": theory // 5 * 5, "practice": practice // 5 * 5, "absent": False,
            "cheating": False}


def problem(body: Any) -> str:
    """What is wrong with a session, or ""."""
    if not isinstance(body, dict) or not isinstance(body.get("candidates"), list) or not body.get("title"):
        return "缺少 title 或 candidates"
    try:
        if datetime.fromisoformat(body["starts_at"]) >= datetime.fromisoformat(body["ends_at"]):
            return "结束时间必须晚于开始时间"
    except (KeyError, TypeError, ValueError):
        return "starts_at、ends_at 不是时间"
    for candidate in body["candidates"]:
        if not isinstance(candidate, dict) or any(not isinstance(candidate.get(name), str) for name in CANDIDATE):
            return "考生信息不完整"
        if not candidate["ticket_no"]:
            return "准考证号为空"
    tickets = [candidate["ticket_no"] for candidate in body["candidates"]]
    return "准考证号重复" if len(set(tickets)) != len(tickets) else ""


def put_session(state: State, exam_no: str) -> Response:
    body: Any = request.get_json(silent=True)
    wrong = problem(body)
    if wrong:
        return envelope(422, 1001, wrong)
    content = {name: body[name] for name in ("title", "starts_at", "ends_at", "candidates")}
    with state.lock:
        known = state.get("session", exam_no)
        if known is not None and known["content"] == content:
            return envelope(200, 0, "ok")
        if known is not None and known["scores"]:
            return envelope(409, 1002, "已评分，不能更改考试")
        state.put("session", exam_no, {"exam_no": exam_no, "content": content, "scores": {}})
    return envelope(200 if known else 201, 0, "ok")


def get_scores(state: State, exam_no: str) -> Response:
    session = state.get("session", exam_no)
    if session is None:
        return envelope(404, 1003, "没有这场考试")
    limit, after = request.args.get("limit", "500"), request.args.get("after", "")
    if not limit.isdigit() or not 1 <= int(limit) <= 1000:
        return envelope(422, 1004, "limit 应为 1 到 1000")
    scores = [{"ticket_no": ticket, **marks} for ticket, marks in sorted(session["scores"].items())]
    done = "marked" if len(scores) == len(session["content"]["candidates"]) else "open"
    behind = [score for score in scores if score["ticket_no"] > after]
    page = behind[:int(limit)]
    following = page[-1]["ticket_no"] if len(behind) > len(page) else None
    return envelope(200, 0, "ok", exam_no=exam_no, state=done, scores=page, next=following)


def grade(state: State, exam_no: str, wishes: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Mark the session: as wished, and everyone not mentioned plausibly where no score is there yet."""
    with state.lock:
        session = state.get("session", exam_no)
        if session is None:
            abort(404)
        for candidate in session["content"]["candidates"]:
            ticket = candidate["ticket_no"]
            if ticket in wishes:
                wish = wishes[ticket]
                marks = {"theory": wish.get("theory"), "practice": wish.get("practice"), "absent": bool(wish.get("absent")),
                         "cheating": bool(wish.get("cheating"))}
                session["scores"][ticket] = marks
            elif ticket not in session["scores"]:
                marks = plausible(exam_no, ticket)
                del marks["ticket_no"]
                session["scores"][ticket] = marks
        state.put("session", exam_no, session)
        return session


def make_blueprint(state: State, values: Mapping[str, str]) -> Blueprint:
    """The routes below /exam."""
    pages = Blueprint("exam", __name__, url_prefix="/exam")
    faults = Faults("exam", state)

    def guarded(work: Any) -> Response:
        def checked(fault: str) -> Response:
            if not has_token(values["exam_token"]):
                return envelope(401, 1000, "令牌无效")
            return envelope(200, 2000, "系统繁忙") if fault == "error" else work()

        return faults.around(checked)

    @pages.put("/sessions/<exam_no>")
    def session(exam_no: str) -> Response:
        return guarded(lambda: put_session(state, exam_no))

    @pages.get("/sessions/<exam_no>/scores")
    def scores(exam_no: str) -> Response:
        return guarded(lambda: get_scores(state, exam_no))

    @pages.get("/")
    def sessions() -> str:
        return render_template("exam_sessions.html", sessions=state.all("session", newest=200))

    @pages.post("/mark/<exam_no>")
    def mark(exam_no: str) -> BaseResponse:
        grade(state, exam_no, {})
        return redirect("/exam/", 303)

    @pages.post("/_control/<exam_no>/grade")
    def control_grade(exam_no: str) -> Response:
        """{ticket: {theory, practice, absent, cheating}}, marks in tenths; whom it leaves out gets a plausible score."""
        return jsonify(grade(state, exam_no, request.get_json(silent=True) or {}))

    @pages.get("/_control/sessions.json")
    def control_sessions() -> Response:
        return jsonify(state.all("session"))

    return pages
