"""The migrations make exactly the tables of the code, and bring what an older database holds along, forth and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask_migrate import downgrade, upgrade
from sqlalchemy import CheckConstraint, text

from app import create_app
from app.extensions import db, within
from config import load
from tests import old_rows, services

FIRST = "0002"


def test_a_migrated_database_has_nothing_left_to_migrate(app: Any) -> None:
    with db.engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": False}), db.metadata)
        rules = old_rows.rules(connection)
    # Of FAB's own tables only what the portal relies on is compared: their constraints differ between back ends.
    ours = [change for change in found if "ab_" not in str(change)]
    assert ours == []
    # What autogenerate does not look at, and a table that SQLite made anew may have lost.
    wanted = {name: {str(each.name) for each in table.constraints if isinstance(each, CheckConstraint) and each.name}
              for name, table in db.metadata.tables.items()}
    assert {name: rules[name] for name in wanted} == wanted
    assert {name.split("_no_")[0] for name in rules["triggers"]} == {"audit_event", "audit_seal", "review_event"}


@pytest.fixture
def old(_database: services.Database, tmp_path: Path) -> Any:
    """A database of the first version with rows in every table, in a context of an application of its own."""
    url = _database.empty("old") or f"sqlite:///{tmp_path}/old.db"
    app = create_app(load({"MODE": "demo", "VAR_DIR": str(tmp_path), "DATABASE_URL": url}))
    with within(app):
        upgrade(revision=FIRST)
        with db.engine.begin() as connection:
            old_rows.write(connection)
        yield


def look(act: Any) -> Any:
    with db.engine.connect() as connection:
        return act(connection)


def test_rows_of_every_table_of_the_first_version_come_through_all_migrations_and_back(old: Any) -> None:
    before, rules = look(old_rows.read), look(old_rows.rules)
    assert [name for name, rows in before.items() if not rows] == []
    upgrade()
    after = look(old_rows.read)
    assert {name: len(after[name]) for name in before} == {name: len(rows) for name, rows in before.items()} | {"certificate_counter": 0}
    _brought_along(after)
    assert look(old_rows.behind) == []

    while look(lambda connection: MigrationContext.configure(connection).get_current_revision()) != FIRST:
        downgrade(revision="-1")
    back = look(old_rows.read)
    # Gone for good, and of no use to who goes back: a counter begins anew by itself, the last import is told by the scores.
    before["certificate_counter"], before["score_report"][0]["last_import"] = [], {}
    assert back == before
    assert look(old_rows.rules) == rules
    assert look(old_rows.behind) == []

    upgrade()
    again = look(old_rows.read)
    assert again == after


def _brought_along(rows: dict[str, list[dict[str, Any]]]) -> None:
    """What the migrations made of the old rows where they did not leave them alone."""
    def column(table: str, *names: str) -> dict[int, Any]:
        return {row["id"]: tuple(row[name] for name in names) for row in rows[table]}

    assert column("refund", "request_no", "state", "amount_fen") == {2: ("R2", "due", 83000), 3: ("R3", "done", 83000)}
    assert column("payment", "refund_fen") == {1: (0,), 2: (83000,), 3: (83000,), 4: (0,), 6: (0,), 7: (0,)}
    assert {str(row["paid_on"]) for row in rows["payment"]} == {"2026-03-02"}  # Shanghai's day, not UTC's
    assert {row["id"] for row in rows["order_"] if row["ended_at"]} == {2}
    assert column("invoice", "kind", "state", "amount_fen", "order_no") == {
        1: ("blue", "issued", 83000, "260302003000000001"), 2: ("blue", "requested", 83000, "260302003000000002-2"),
        3: ("blue", "failed", 83000, None), 4: ("blue", "waiting", 83000, None)}
    assert column("photo_part", "upload_id", "number") == {n: (n, 0) for n in (1, 2, 3)}
    assert {row["batch_id"] for row in rows["roster_upload"]} == set(range(1, 8))
    assert column("import_batch", "fault_count")[5] == (2,)
    assert column("enrolment", "attendance", "attendance_mark")[1] == (None, "absent")  # marked, not confirmed yet
    assert column("enrolment", "attendance", "attendance_mark")[4] == ("full", None)
    assert {row["id"]: bool(row["ended_at"]) for row in rows["certificate"]} == {1: False, 2: True}


def test_orders_that_ended_with_their_plan_or_class_are_told_apart_from_those_that_ran_out_of_time(old: Any) -> None:
    upgrade(revision="0160")
    downgrade(revision="-1")
    at = {name: f"2026-03-02 {name}:00:00.000000" + ("+00:00" if db.engine.dialect.name == "postgresql" else "")
          for name in ("01", "02", "03", "04")}
    rows = {1: (1, "02", "04", "02"), 2: (1, "02", "04", "04"), 3: (1, "01", "01", "01"),  # their plan was cancelled at two
            4: (2, "03", "04", "02"), 5: (2, "01", "01", "02")}  # their class opened at two
    with db.engine.begin() as connection:
        connection.execute(text(f"UPDATE training_plan SET cancelled_at = '{at['02']}' WHERE id = 1"))
        connection.execute(text(f"UPDATE training_plan SET class_opened_at = '{at['02']}' WHERE id = 2"))
        for key, (plan, expires, release, ended) in rows.items():
            connection.execute(text(
                f"UPDATE order_ SET state = 'expired', plan_id = {plan}, expires_at = '{at[expires]}', release_at = '{at[release]}', "
                f"ended_at = '{at[ended]}' WHERE id = {key}"))
    upgrade(revision="0160")
    with db.engine.connect() as connection:
        found = dict(connection.execute(text("SELECT id, state FROM order_ ORDER BY id")).all())
    assert found == {1: "cancelled", 2: "cancelled", 3: "expired", 4: "closed", 5: "expired"}


def test_red_letters_that_failed_for_a_hand_uploaded_invoice_wait_for_their_upload(old: Any) -> None:
    upgrade(revision="0161")
    downgrade(revision="-1")
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE invoice SET provider = 'hand', uploaded_at = issued_at, uploaded_by = 'x' WHERE id = 1"))
        for key, blue in ((3, 1), (4, 2)):  # of the uploaded invoice, and of one that a platform issues
            connection.execute(text(f"UPDATE invoice SET kind = 'red', red_of_id = {blue}, refund_no = 'R{key}', state = 'failed', "
                                    f"reason = 'x' WHERE id = {key}"))
    upgrade(revision="0161")
    with db.engine.connect() as connection:
        found = {row[0]: (row[1], row[2]) for row in connection.execute(text("SELECT id, state, reason FROM invoice WHERE kind = 'red'"))}
    assert found == {3: ("to_upload", ""), 4: ("failed", "x")}
