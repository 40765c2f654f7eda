"""Many ids in one statement: sent as one value, so that the statement stays short and is prepared once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import ARRAY, BigInteger, ColumnElement, LargeBinary, String, Text, any_, func, literal, select, text

from app.extensions import db


def among(column: Any, ids: Iterable[int] | Iterable[str]) -> ColumnElement[bool]:
    """`column` is one of `ids` (or numbers that are text), however many they are; no database's limit of parameters is met."""
    wanted = list(ids)
    if db.session.get_bind().dialect.name == "postgresql":
        return cast("ColumnElement[bool]", column == any_(literal(wanted, ARRAY(Text if isinstance(column.type, String) else BigInteger))))
    listed = func.json_each(json.dumps(wanted)).table_valued("value")
    return cast("ColumnElement[bool]", column.in_(select(listed.c.value)))


# SQLite takes one blob apart: 16 bytes each, so that an index on the column answers every one of them.
_DIGESTS = """WITH RECURSIVE part(at) AS (SELECT 0 WHERE length(:digests) > 0
 UNION ALL SELECT at + 1 FROM part WHERE (at + 2) * 16 <= length(:digests)) SELECT substr(:digests, at * 16 + 1, 16) AS digest FROM part"""


def among_digests(column: Any, digests: Iterable[bytes]) -> ColumnElement[bool]:
    """`column` is one of these blind indexes of 16 bytes, however many they are: one value again, looked up by the column's index."""
    wanted = list(digests)
    if db.session.get_bind().dialect.name == "postgresql":
        return cast("ColumnElement[bool]", column == any_(literal(wanted, ARRAY(LargeBinary))))
    listed = text(_DIGESTS).bindparams(digests=b"".join(wanted)).columns(digest=LargeBinary).subquery()
    return cast("ColumnElement[bool]", column.in_(select(listed.c.digest)))
