"""What recurs, and how often. Each entry schedules the job of that name when its timer is due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from app.audit import chain
from app.operations import certificate_papers

TIMETABLE: dict[str, timedelta] = {
    "check_orders": timedelta(minutes=2),
    "push_certificates": timedelta(minutes=1),
    "plan_notice_texts": timedelta(minutes=1),
    "forget_drafts": timedelta(hours=24),
    "forget_form_drafts": timedelta(hours=24),
    "make_good_certificates": timedelta(hours=1),
    "forget_archives": timedelta(hours=1),
    "forget_ticket_prints": timedelta(hours=1),
    "forget_captchas": timedelta(hours=1),
    "tidy_photos": timedelta(hours=6),
    "plan_reconciliations": timedelta(hours=1),
    "reconcile_seats": timedelta(hours=24),
    "forget_sign_ins": timedelta(hours=24),
    "seal_audit": timedelta(seconds=5),
}

# Asked before the job is written: what is due every few seconds would leave thousands of rows a day that did nothing.
NEEDED: dict[str, Callable[[], bool]] = {"seal_audit": chain.waiting, "make_good_certificates": certificate_papers.can_make_good}
