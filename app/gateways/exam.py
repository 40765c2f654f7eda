"""The online exam system, over the protocol of docs/exam-protocol.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from app.gateways.errors import GatewayError
from app.gateways.web import TIMEOUT_S, Answer, bearer, call_json, encode


@dataclass(frozen=True)
class Candidate:
    """One person who sits the exam; `occupation` and `level` are names as printed on the ticket."""

    ticket_no: str
    name: str
    id_number: str
    occupation: str
    level: str


@dataclass(frozen=True)
class ScoreRow:
    """Marks in tenths of a point, 0 to 1000; None for a part that was not marked. `absent` (缺考) and `cheating` (违纪) have neither."""

    ticket_no: str
    theory: int | None
    practice: int | None
    absent: bool
    cheating: bool = False


@dataclass(frozen=True)
class ScorePage:
    """Some of the scores, in the order of the tickets; `after` is what the next page is asked for with, "" at the end."""

    rows: list[ScoreRow]
    after: str


class ExamGateway:
    """Opens sessions and fetches scores."""

    def __init__(self, url: str, token: str, *, timeout: float = TIMEOUT_S) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._timeout = timeout

    def open_session(
        self, exam_no: str, title: str, starts_at: datetime, ends_at: datetime, candidates: Sequence[Candidate]
    ) -> None:
        """Make the exam known (I24). Idempotent: the same session may be sent again, a changed one until it is marked.

        Raises `GatewayError`; permanent when the exam system refuses the content.
        """
        body = encode({
            "title": title,
            "starts_at": _text(starts_at),
            "ends_at": _text(ends_at),
            "candidates": [asdict(candidate) for candidate in candidates],
        })
        self._call("PUT", f"/sessions/{quote(exam_no, safe='')}", body)

    def fetch_scores(self, exam_no: str, after: str = "", limit: int = 500) -> ScorePage:
        """One page of the scores marked so far (I26), behind the ticket `after`; no rows before the first score. Raises `GatewayError`."""
        query = urlencode({"limit": limit, **({"after": after} if after else {})})
        answer = self._call("GET", f"/sessions/{quote(exam_no, safe='')}/scores?{query}", None)
        rows, following = answer.body.get("scores"), answer.body.get("next") or ""
        if not isinstance(rows, list) or not isinstance(following, str):
            raise GatewayError(f"exam {exam_no}: the answer has no scores", permanent=False)
        scores = [_score(row) for row in rows]
        if len({score.ticket_no for score in scores}) != len(scores):
            raise GatewayError(f"exam {exam_no}: a ticket number appears twice", permanent=True)
        if following and (following == after or not scores):
            raise GatewayError(f"exam {exam_no}: the pages of scores do not come to an end", permanent=True)
        return ScorePage(scores, following)

    def _call(self, method: str, path: str, body: bytes | None) -> Answer:
        answer = call_json(method, self._url + path, body=body, headers=bearer(self._token), timeout=self._timeout)
        if answer.status not in (200, 201) or answer.body.get("code") != 0:
            raise GatewayError(
                f"exam system: HTTP {answer.status}, code {answer.body.get('code')}: {answer.reason}",
                permanent=True, code=str(answer.body.get("code", answer.status)),
            )
        return answer


def _text(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("a naive time cannot be sent")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _score(row: Any) -> ScoreRow:
    if not isinstance(row, dict):
        raise GatewayError(f"exam system: not a score: {row!r}"[:200], permanent=True)
    ticket, absent, cheating = row.get("ticket_no"), row.get("absent", False), row.get("cheating", False)
    marks = (row.get("theory"), row.get("practice"))
    sound = isinstance(ticket, str) and ticket != "" and isinstance(absent, bool) and isinstance(cheating, bool)
    sound = sound and all(m is None or (type(m) is int and 0 <= m <= 1000) for m in marks)
    if not sound or (absent and cheating) or ((absent or cheating) and marks != (None, None)):
        raise GatewayError(f"exam system: not a score: {row!r}"[:200], permanent=True)
    return ScoreRow(str(ticket), marks[0], marks[1], bool(absent), bool(cheating))
