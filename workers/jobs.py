"""The jobs by name. Each takes the id it is about and a way to report, calls one operation, and may run twice."""

from __future__ import annotations

import logging
from collections.abc import Callable

from app import jobs
from app.audit import chain
from app.errors import PortalError
from app.extensions import DATABASE_AWAY, db
from app.gateways.errors import GatewayError
from app.operations import (
    audit_exports,
    bulk_steps,
    cancellations,
    captchas,
    certificate_archives,
    certificate_papers,
    certificates,
    drafts,
    form_drafts,
    id_readings,
    invoices,
    notice_texts,
    offers,
    orders,
    passwords,
    photo_matching,
    photo_tidy,
    push,
    readings,
    reconciliations,
    refunds,
    rosters,
    score_intakes,
    sign_ins,
    ticket_prints,
)

Report = Callable[[int, int], None]
log = logging.getLogger("portal.jobs")

JOBS: dict[str, Callable[[int, Report], None]] = {
    "send_reset_code": passwords.run_send_code,
    bulk_steps.JOB: bulk_steps.run_steps,
    "forget_drafts": drafts.run_tidy,
    "forget_form_drafts": form_drafts.run_tidy,
    "forget_captchas": captchas.run_tidy,
    "import_roster": rosters.run_import,
    photo_matching.PHOTO_JOB: photo_matching.run_photo_upload,
    photo_matching.READ_JOB: id_readings.run_readings,
    photo_tidy.JOB: photo_tidy.run_tidy,
    "expire_order": orders.run_expiry,
    offers.OFFER_JOB: offers.run_end,
    cancellations.JOB: cancellations.run_cancellation,
    "check_orders": orders.run_check,
    refunds.JOB: refunds.run_refund,
    "plan_reconciliations": reconciliations.run_plan,
    reconciliations.JOB: reconciliations.run_reconciliation,
    "reconcile_seats": orders.run_seat_reconciliation,
    "issue_invoice": invoices.run_issue,
    "pull_scores": score_intakes.run_pull,
    "issue_certificates": certificates.run_issue,
    push.JOB: push.run_push,
    certificate_archives.JOB: certificate_archives.run_pack,
    certificate_archives.TIDY: certificate_archives.run_tidy,
    certificates.RENDER_JOB: certificate_papers.run_render,
    certificate_papers.MAKE_GOOD_JOB: certificate_papers.run_make_good,
    ticket_prints.JOB: ticket_prints.run_draw,
    ticket_prints.TIDY: ticket_prints.run_tidy,
    "forget_sign_ins": sign_ins.run_forgetting,
    "plan_notice_texts": notice_texts.run_plan,
    "send_notice_text": notice_texts.run_send,
    "read_licence": readings.read_licence,
    "seal_audit": chain.run_seal,
    "export_audit": audit_exports.run_export,
}


def perform(job_id: int) -> None:
    """Entry of the queue: lease the job, run its operation, and write down how it ended. Never raises, so that the queue
    keeps no failed copies: the row has the truth. One that could not even be written down stays leased, and comes again."""
    from workers.runtime import application

    with application().app_context():
        try:
            perform_here(job_id)
        except DATABASE_AWAY as error:
            log.warning("job %s waits for the database: %s", job_id, error)


def perform_here(job_id: int) -> bool:
    """Run a due job in the current application context; False when there was nothing to do."""
    job = jobs.take(job_id)
    if job is None:
        return False
    try:
        JOBS[job.name](job.subject_id, _reporter(job_id))
    except jobs.MoreToDo:
        jobs.go_on(job)
    except GatewayError as error:
        db.session.rollback()
        log.warning("%s %s: %s", job.name, job.subject_id, error)
        jobs.fail(job_id, str(error)) if error.permanent else jobs.put_off(job, str(error))
    except PortalError as error:
        db.session.rollback()
        jobs.fail(job_id, str(error))
    except Exception as error:
        db.session.rollback()
        log.exception("%s %s", job.name, job.subject_id)
        jobs.put_off(job, f"{type(error).__name__}: {error}")
    else:
        jobs.finish(job_id)
    return True


def _reporter(job_id: int) -> Report:
    def report(done: int, total: int) -> None:
        jobs.report(job_id, done, total)

    return report


def run_due(limit: int = 100) -> int:
    """Run what is due, here and now, and say how many ran. For tests and for a machine without a queue."""
    return sum(perform_here(job_id) for job_id in jobs.due(limit))


