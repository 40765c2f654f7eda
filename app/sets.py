"""Many ids in one statement: sent as one value, so that the statement stays short and is prepared once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import ARRAY, BigInteger, ColumnElement, any_, func, literal, select

from app.extensions import db


def among(column: Any, ids: Iterable[int]) -> ColumnElement[bool]:
    """`column` is one of `ids`, however many they are; no database's limit of parameters is met."""
    wanted = list(ids)
    if db.session.get_bind().dialect.name == "postgresql":
        return cast("ColumnElement[bool]", column == any_(literal(wanted, ARRAY(BigInteger))))
    listed = func.json_each(json.dumps(wanted)).table_valued("value")
    return cast("ColumnElement[bool]", column.in_(select(listed.c.value)))
