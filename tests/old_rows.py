"""Rows as an older database holds them: one at least in every table, and in those that later migrations change, one in each state
that they treat apart. Written by what the tables themselves say, for the models are newer than they are."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Date, DateTime, Integer, LargeBinary, MetaData, Table, inspect, text
from sqlalchemy.engine import Connection

Row = dict[str, Any]
NIGHT = datetime(2026, 3, 1, 16, 30, tzinfo=UTC)  # half past midnight of the second of March in Shanghai
LATER = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
APPROVED: Row = {"review_state": "approved", "submitted_at": NIGHT, "accepted_at": NIGHT, "accepted_by_id": 1, "decided_at": NIGHT,
                 "decided_by_id": 1}


def _order(key: int, state: str, **more: Any) -> Row:
    paid = {"paid_at": NIGHT, "trade_no": f"trade{key}"} if state == "paid" else {}
    return {"id": key, "number": f"26030200300000000{key}", "batch_id": key, "people": 1, "unit_fee_fen": 83000, "amount_fen": 83000,
            "state": state, "release_at": LATER} | paid | more


def _payment(key: int, state: str, **more: Any) -> Row:
    return {"id": key, "trade_no": f"trade{key}", "order_id": key, "order_number": f"26030200300000000{key}", "amount_fen": 83000,
            "paid_at": NIGHT, "state": state} | more


WORDS = {"reason": "", "review_remark": "", "error": "", "review_state": "draft"}

# What the tables cannot tell by themselves. A table that is not here gets one plain row.
ROWS: dict[str, list[Row]] = {
    "region": [{"code": "330000"}, {"code": "330100", "parent_code": "330000"}],
    "authority": [{"id": 1, "region_code": "330100"}],
    "account": [{"party": "institution", "institution_id": 1}],
    "notice": [{"institution_id": 1}],
    "enterprise": [APPROVED], "institution": [APPROVED],
    "occupation_level": [{"occupation_id": 1, "level_id": 1}],
    "licence_reading": [{"state": "read"}], "notice_text": [{"state": "sent"}], "job": [{"name": "refund_payment", "state": "waiting"}],
    "room": [{"kind": "classroom"}], "teacher": [{"kind": "own"}], "plan_day": [{"session": "all"}],
    "training_plan": [{"id": 1, "name": "甲培20260301", "seats": 60, "seats_taken": 3, "enrolment_form": "open"} | APPROVED,
                      {"id": 2, "name": "甲培20260302", "seats": 60, "seats_taken": 1, "enrolment_form": "open", "class_opened_at": NIGHT,
                       "attendance_confirmed_at": LATER} | APPROVED],
    "exam_plan": [{"plan_id": 2, "ends_at": LATER} | APPROVED],
    "import_batch": [{"id": 1, "state": "clean", "people": 1}, {"id": 2, "state": "clean", "people": 1},
                     {"id": 3, "state": "clean", "people": 1}, {"id": 4, "state": "clean", "people": 1},
                     {"id": 5, "state": "faulty", "faults": [{"row": 3, "reason": "身份证号码不正确"}, {"row": 4, "reason": "重复"}]},
                     {"id": 6, "state": "waiting"}, {"id": 7, "state": "discarded"}],
    "photo_upload": [{"id": n, "kind": "portrait", "state": state} for n, state in enumerate(("waiting", "done", "failed"), 1)],
    "order_": [_order(1, "paid"), _order(2, "expired"), _order(3, "cancelled"), _order(4, "paid", plan_id=2),
               _order(5, "pending", batch_id=2)],
    "enrolment": [{"id": 1, "batch_id": 1, "order_id": 1, "state": "enrolled", "attendance": "absent"},
                  {"id": 2, "batch_id": 2, "order_id": 5, "state": "held", "id_number_index": b"2"},
                  {"id": 3, "batch_id": 3, "state": "draft"}, {"id": 4, "batch_id": 4, "plan_id": 2, "order_id": 4, "state": "enrolled",
                                                             "attendance": "full"}, {"id": 5, "batch_id": 7, "state": "discarded"}],
    "payment": [_payment(1, "applied"), _payment(2, "refunding", refund_number="R2", reason="名额已满"),
                _payment(3, "refunded", refund_number="R3", refunded_at=LATER), _payment(4, "reseated", reason="恢复报名"),
                _payment(6, "unmatched", order_id=None), _payment(7, "received", order_id=5)],
    "invoice": [{"id": 1, "order_id": 1, "state": "issued", "serial": "s1", "number": "n1", "file_id": 1, "issued_at": LATER},
                {"id": 2, "order_id": 2, "state": "requested", "serial": "s2", "attempt": 2},
                {"id": 3, "order_id": 3, "state": "failed", "reason": "税号有误"}, {"id": 4, "order_id": 4, "state": "waiting"}],
    "exam_room": [{"number": 1}],
    "sitting": [{"id": 1, "enrolment_id": 4, "seat": 1, "theory": 850, "practice": 900, "result": "passed", "score_source": "pull"},
                {"id": 2, "enrolment_id": 1, "seat": 2, "result": "absent"}],
    "score_report": [{"last_import": {"rows": 2}} | APPROVED],
    "certificate": [{"id": 1, "enrolment_id": 4, "sitting_id": 1, "state": "valid", "push_state": "pushed", "pushed_at": LATER},
                    {"id": 2, "enrolment_id": 1, "sitting_id": 2, "state": "revoked", "push_state": "waiting"}],
}


def write(connection: Connection) -> None:
    """One row at least in every table of this database."""
    known = MetaData()
    known.reflect(connection)
    for table in known.sorted_tables:
        if table.name == "alembic_version":
            continue
        for number, given in enumerate(ROWS.get(table.name, [{}]), 1):
            connection.execute(table.insert().values(_plain(table, number) | given))
    if connection.dialect.name == "postgresql":
        for table, column, sequence in _sequences(connection):
            connection.execute(text(f"SELECT setval('{sequence}', (SELECT max({column}) FROM {table}))"))


def _plain(table: Table, number: int) -> Row:
    """What a row must have, as its columns ask for it."""
    keys = list(table.primary_key.columns)
    values: Row = {}
    for column in table.columns:
        if column.foreign_keys:
            if not column.nullable:
                values[column.name] = "330100" if "code" in column.name else 1
        elif keys == [column] and isinstance(column.type, Integer):
            values[column.name] = number
        elif not column.nullable:
            values[column.name] = _value(column, number)
    return values


def _value(column: Any, number: int) -> Any:
    kind: Any = column.type
    if isinstance(kind, DateTime):
        return NIGHT if kind.timezone else NIGHT.replace(tzinfo=None)
    for each, value in ((Boolean, True), (Date, date(2026, 3, 2)), (JSON, []), (Integer, 1), (LargeBinary, f"{number}".encode())):
        if isinstance(kind, each):
            return value
    return WORDS.get(column.name, f"{number}{column.name}"[:kind.length])


def _sequences(connection: Connection) -> list[tuple[str, str, str]]:
    """Table, column and sequence of every key that PostgreSQL counts."""
    return [(table, column, sequence) for table, column, sequence in connection.execute(text(
        "SELECT table_name, column_name, pg_get_serial_sequence(quote_ident(table_name), column_name) AS sequence "
        "FROM information_schema.columns WHERE table_schema = 'public'")) if sequence]


def behind(connection: Connection) -> list[str]:
    """Tables whose next key would be one that is there: the next row would be refused."""
    if connection.dialect.name != "postgresql":
        return []
    return [table for table, column, sequence in _sequences(connection) if connection.scalar(text(
        f"SELECT COALESCE((SELECT max({column}) FROM {table}), 0) >= last_value + is_called::int FROM {sequence}"))]


def read(connection: Connection) -> dict[str, list[Row]]:
    """All rows of all tables, as the database has them."""
    known = MetaData()
    known.reflect(connection)
    found: dict[str, list[Row]] = defaultdict(list)
    for table in known.sorted_tables:
        rows = connection.execute(table.select()).mappings()
        found[table.name] = sorted((dict(row) for row in rows), key=repr)
    return found


def rules(connection: Connection) -> dict[str, set[str]]:
    """The names of the CHECKs of every table, and the triggers: what a table that was made anew may have lost."""
    there = inspect(connection)
    found = {name: {str(each["name"]) for each in there.get_check_constraints(name) if each["name"]} for name in there.get_table_names()}
    catalogue = ("SELECT name FROM sqlite_master WHERE type = 'trigger'" if connection.dialect.name == "sqlite"
                 else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
    return found | {"triggers": {str(name) for name in connection.scalars(text(catalogue))}}
