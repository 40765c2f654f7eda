"""Forms saved by themselves while a person types: theirs alone, gone once the form itself is saved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from app import clock
from app.actors import Actor
from app.errors import Invalid
from app.extensions import db, transaction
from models import FormDraft

LIFE = timedelta(days=30)
MOST_VALUES = 1000
MOST_CHARACTERS = 200


def keep(form: str, values: list[tuple[str, str]], *, actor: Actor) -> None:
    """Keep what this person has typed into the form so far, in place of what was kept before. Raises `Invalid` for more
    than any form of ours has."""
    if len(values) > MOST_VALUES:
        raise Invalid("")
    kept = [[name[:60], text[:MOST_CHARACTERS]] for name, text in values]
    try:
        with transaction() as session:
            row = session.get(FormDraft, (actor.user_id, form), with_for_update=True)
            if row is None:
                row = FormDraft(user_id=actor.user_id, form=form)
                session.add(row)
            row.values, row.updated_at = kept, clock.now()
    except IntegrityError:
        pass  # the other window of this person was a moment earlier; its next key saves again


def kept(form: str, *, actor: Actor) -> FormDraft | None:
    """What this person had typed into the form and not saved; None where there is nothing."""
    return db.session.get(FormDraft, (actor.user_id, form))


def drop(form: str, *, actor: Actor) -> None:
    """Forget it: the form was saved, or the person wants to begin again."""
    with transaction() as session:
        session.execute(delete(FormDraft).where(FormDraft.user_id == actor.user_id, FormDraft.form == form))


def run_tidy(_subject: int, _report: Callable[[int, int], None]) -> None:
    """Job: forget what was typed a month ago and never saved."""
    with transaction() as session:
        session.execute(delete(FormDraft).where(FormDraft.updated_at < clock.now() - LIFE))
