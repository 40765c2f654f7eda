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


# One blob is taken apart, 16 bytes each, so that an index on the column answers every one of them. On PostgreSQL not an array: each
# element is written out and read again, and an array of thousands has the whole table read instead of its index.
_SLICES = "SELECT substr(CAST(:digests AS bytea), at * 16 + 1, 16) AS digest FROM generate_series(0, length(:digests) / 16 - 1) AS at"
_DIGESTS = """WITH RECURSIVE part(at) AS (SELECT 0 WHERE length(:digests) > 0
 UNION ALL SELECT at + 1 FROM part WHERE (at + 2) * 16 <= length(:digests)) SELECT substr(:digests, at * 16 + 1, 16) AS digest FROM part"""


def among_digests(column: Any, digests: Iterable[bytes]) -> ColumnElement[bool]:
    """`column` is one of these blind indexes of 16 bytes, however many they are: one value again, looked up by the column's index."""
    postgres = db.session.get_bind().dialect.name == "postgresql"
    listed = text(_SLICES if postgres else _DIGESTS).bindparams(digests=b"".join(digests)).columns(digest=LargeBinary).subquery()
    wanted = select(listed.c.digest)
    return cast("ColumnElement[bool]", column == any_(func.array(wanted.scalar_subquery())) if postgres else column.in_(wanted))
