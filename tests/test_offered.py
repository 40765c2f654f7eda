"""A page offers a person nothing that would be refused: each link and button belongs to a permission of their roles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.exceptions import HTTPException

from app import areas
from app.extensions import db
from models import ExamPlan
from tests.factory import Factory
from tests.staffing import give, role

LOOKING = [area.entries[0].key for area in areas.AREAS]
ONE_BY_ONE = [key for key in areas.ENTRIES if key not in LOOKING]


def offered(app: Any, text: str) -> Iterator[tuple[str, str, str, str]]:
    """(address, view, verb, method) of every link and button of a page that needs a permission."""
    adapter = app.url_map.bind("portal.test")
    found = [(address, "GET") for address in re.findall(r'<a [^>]*href="(/[^"#]*)', text)]
    found += [(address, "POST") for address in re.findall(r'<form [^>]*method="post" action="(/[^"#]*)', text)]
    found += [(address, "POST") for address in re.findall(r'formaction="(/[^"#]*)', text)]
    for address, method in found:
        try:
            endpoint, _values = adapter.match(address.partition("?")[0].replace("&amp;", "&"), method=method)
        except HTTPException:
            continue
        verb = getattr(app.view_functions[endpoint], "_permission_name", "")
        if verb:
            yield address, endpoint.partition(".")[0], verb, method


@pytest.fixture
def pages(make: Factory) -> list[str]:
    """Every list of the authority, and one row of each."""
    report = make.report()
    waiting, accepted = make.plan(state="submitted"), make.plan(state="accepted")
    exam = db.session.get_one(ExamPlan, report.exam_plan_id)
    person = exam.sittings[0].enrolment_id
    return ["/", "/reviews/enterprises/?state=all", f"/reviews/enterprises/{make.enterprise().id}", "/reviews/plans/?state=all",
            f"/reviews/plans/{waiting.id}", f"/reviews/plans/{accepted.id}", "/reviews/exams/?state=all", f"/reviews/exams/{exam.id}",
            "/reviews/scores/?state=all", f"/reviews/scores/{report.id}", "/institutions/", f"/institutions/{exam.institution_id}",
            "/people/", f"/people/{person}", "/certificates/", "/certificates/issue/", f"/certificates/issue/{report.id}", "/calendar/",
            f"/records/score_report/{report.id}", "/notices/", "/safety/", "/colleagues/", "/reviews/corrections/?state=all",
            "/reviews/attendance/", "/reviews/plan-changes/", "/push/", "/finance/", "/finance/days",
            "/bills/", "/merchants/", "/signing/keys/"]


@pytest.mark.parametrize("entries", [LOOKING, *([key] for key in ONE_BY_ONE)], ids=lambda keys: "looking" if len(keys) > 1 else keys[0])
def test_nothing_is_offered_that_would_be_refused(app: Any, login: Any, make: Factory, pages: list[str], entries: list[str]) -> None:
    give("hangzhou", role(make, "测试", *entries))
    city, may = login("hangzhou"), areas.pairs_of(entries)
    drawn = 0
    for path in pages:
        answer = city.get(path)
        if answer.status_code in (403, 404):  # no such permission, or a record of what one may not look at
            continue
        assert answer.status_code == 200, path
        drawn += 1
        wrong = {(address, view, verb) for address, view, verb, _method in offered(app, answer.text) if (view, verb) not in may}
        assert not wrong, path
    assert drawn >= 5
