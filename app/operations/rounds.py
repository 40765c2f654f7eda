"""What a submission held, round by round, and what the next one changes: for whoever reviews it, and for its owner.

Whoever submits something for review writes down its facts in the transaction of the step:

    facts = Facts()
    facts.say("address", _l("单位地址"), row.address)
    facts.say("phone", _l("联系电话"), mask_phone(row.phone), secret=blind(row.phone, "phone"))
    facts.file("licence", _l("营业执照"), row.licence_id)
    teacher = facts.part(f"teacher-{each.id}", _l("老师"), each.name)
    teacher.say("title", _l("职称"), each.title)
    with transaction():
        workflow.take_step(row, "submit", actor=actor)
        rounds.write(row, facts)

Then `changes_since_last_round(row)` says what this round changes against the one before, and `portal/changes.html` shows it.
Facts are what a person reads, with ID numbers and phones masked: they are kept for good. A masked value is compared by its
blind index (`secret`), so that a change of the hidden digits is told too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from flask_babel import force_locale
from flask_babel import gettext as _
from sqlalchemy import delete, select

from app import clock
from app.extensions import db, transaction
from app.presentation import KEPT_IN, retold
from models import SubmissionSnapshot
from models.reviews import Reviewed


class Facts:
    """The facts of one submission in the order they are read: plain ones, files, and parts (a teacher, a room, a day) with
    facts of their own. A key names the same thing in every round; labels are lazy."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def say(self, key: str, label: Any, value: object, *, secret: bytes | None = None) -> None:
        """A fact in words; None is an empty one. `secret` is the blind index of a value that is given masked."""
        with force_locale(KEPT_IN):
            row = {"key": key, "label": str(label), "value": "" if value is None else str(value)}
        self.rows.append(row | ({"mark": secret.hex()} if secret else {}))

    def file(self, key: str, label: Any, file_id: int | None) -> None:
        """A stored file. One that was replaced must not be forgotten while a submission shows it."""
        self.say(key, label, "")
        self.rows[-1] |= {"file": file_id, "mark": str(file_id or "")}

    def part(self, key: str, label: Any, name: str) -> Facts:
        """A part with its own facts, by the name people know it by. Parts that were not there before are told as added."""
        inner = Facts()
        with force_locale(KEPT_IN):
            self.rows.append({"key": key, "label": str(label), "value": name, "part": inner.rows})
        return inner


@dataclass(frozen=True)
class Change:
    """One difference between two rounds. `kind` is changed, added or removed; the files are ids of stored files."""

    label: str
    before: str
    after: str
    kind: str = "changed"
    before_file: int | None = None
    after_file: int | None = None

    @property
    def is_file(self) -> bool:
        return self.before_file is not None or self.after_file is not None


@dataclass
class Told:
    """Facts as a page shows them, in the reader's language: (label, words), (label, file id), and parts of the same form."""

    plain: list[tuple[str, str]]
    files: list[tuple[str, int]]
    parts: list[Told]
    key: str = ""
    label: str = ""
    name: str = ""

    def of(self, prefix: str) -> list[Told]:
        """The parts of one kind, e.g. ``teacher-``."""
        return [part for part in self.parts if part.key.startswith(prefix)]


def told(rows: list[dict[str, Any]], key: str = "", label: str = "", name: str = "") -> Told:
    """Kept facts, or those of the moment (`Facts.rows`), for a page."""
    made = Told([], [], [], key, label, name)
    for row in rows:
        heading = retold(row["label"])
        if "part" in row:
            made.parts.append(told(row["part"], row["key"], heading, row["value"]))
        elif "file" in row:
            made.files += [(heading, row["file"])] if row["file"] else []
        else:
            made.plain.append((heading, _words(row)))
    return made


def write(subject: Reviewed, facts: Facts) -> None:
    """Keep what was submitted just now. Call it in the transaction of the step, after the step."""
    row = cast(Any, subject)
    of_round = (SubmissionSnapshot.subject_kind == subject.review_kind, SubmissionSnapshot.subject_id == row.id,
                SubmissionSnapshot.round == subject.review_round)
    with transaction() as session:
        session.execute(delete(SubmissionSnapshot).where(*of_round))
        session.add(SubmissionSnapshot(subject_kind=subject.review_kind, subject_id=row.id, round=subject.review_round,
                                       facts=facts.rows, taken_at=clock.now()))


def snapshots(subject: Reviewed, most: int = 2) -> list[SubmissionSnapshot]:
    """What was submitted in the last rounds, the newest first, of a subject that was fetched through scope."""
    return list(db.session.scalars(
        select(SubmissionSnapshot).where(SubmissionSnapshot.subject_kind == subject.review_kind,
                                         SubmissionSnapshot.subject_id == cast(Any, subject).id)
        .order_by(SubmissionSnapshot.round.desc()).limit(most)))


def changes_since_last_round(subject: Reviewed) -> list[Change]:
    """What the newest submission changed against the round before it; nothing for a first one."""
    found = snapshots(subject)
    return compared(found[1].facts, found[0].facts) if len(found) == 2 else []


def changes_not_submitted(subject: Reviewed, facts: Facts) -> list[Change]:
    """What its owner has changed since it was last submitted, while it may be edited again."""
    found = snapshots(subject, 1)
    return compared(found[0].facts, facts.rows) if found else []


def compared(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[Change]:
    """The differences of two lists of facts: what is there now in its order, then what is gone."""
    old = {row["key"]: row for row in before}
    changes: list[Change] = []
    for row in after:
        changes += _between(old.pop(row["key"], None), row)
    for row in old.values():
        changes += _between(row, None)
    return changes


def _between(old: dict[str, Any] | None, new: dict[str, Any] | None) -> list[Change]:
    some = cast("dict[str, Any]", new or old)
    label = retold(some["label"])
    if "part" in some:
        return _between_parts(label, old, new)
    if _mark(old) == _mark(new):
        return []
    before, after = _words(old), _words(new)
    files = (old or {}).get("file"), (new or {}).get("file")
    if before and before == after:
        after = _("%(words)s（隐藏的位数有变化）", words=after)
    kind = "added" if not _mark(old) else "changed" if _mark(new) else "removed"
    return [Change(label, before, after, kind, *files)]


def _between_parts(label: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> list[Change]:
    if old is None or new is None:
        return _whole_part(label, cast("dict[str, Any]", new or old), gone=new is None)
    named = [] if old["value"] == new["value"] else [Change(label, old["value"], new["value"])]
    return named + [Change(f"{label} {new['value']} · {each.label}", each.before, each.after, each.kind, each.before_file,
                           each.after_file) for each in compared(old["part"], new["part"])]


def _whole_part(label: str, row: dict[str, Any], *, gone: bool) -> list[Change]:
    """A part that is new or gone: its facts in a line, then each of its files."""
    words, kind, name = _summary(row["part"]), "removed" if gone else "added", f"{label} {row['value']}"
    pictures = [Change(f"{name} · {retold(each['label'])}", "", "", kind, *((each["file"], None) if gone else (None, each["file"])))
                for each in row["part"] if each.get("file")]
    return [Change(name, words if gone else "", "" if gone else words, kind), *pictures]


def _summary(rows: list[dict[str, Any]]) -> str:
    """The facts of a whole part in a line."""
    return "，".join(f"{retold(row['label'])} {words}" for row in rows if (words := _words(row)))


def _mark(row: dict[str, Any] | None) -> str:
    """What decides whether a fact is another: its blind index or file where it has one, else its words."""
    return "" if row is None else str(row.get("mark", row["value"]))


def _words(row: dict[str, Any] | None) -> str:
    return retold(row["value"]) if row is not None and row["value"] else ""
