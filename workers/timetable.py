"""What recurs, and how often. Each entry schedules the job of that name when its timer is due."""

from __future__ import annotations

from datetime import timedelta

TIMETABLE: dict[str, timedelta] = {
    "check_orders": timedelta(minutes=2),
    "push_certificates": timedelta(minutes=1),
    "plan_notice_texts": timedelta(minutes=1),
    "forget_drafts": timedelta(hours=24),
    "forget_form_drafts": timedelta(hours=24),
    "forget_captchas": timedelta(hours=1),
    "reconcile_seats": timedelta(hours=24),
    "forget_sign_ins": timedelta(hours=24),
}
