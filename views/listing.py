"""Lists: search, filters, pages and bulk selection, from one SELECT that scope has made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask import request
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import aliased

from app.extensions import db

Clause = ColumnElement[bool]
PAGE_SIZE = 25
BULK_LIMIT = 200_000


@dataclass(frozen=True)
class Filter:
    """A choice above a list: `name` is the query argument, `choices` are (value, label), `clause` narrows by a value.
    `default` is the choice of a list that was opened without one."""

    name: str
    label: Any
    choices: Sequence[tuple[str, Any]]
    clause: Callable[[str], Clause]
    default: str = ""


@dataclass(frozen=True)
class Search:
    """A text field above a list: `clause` narrows by what was typed. `kind` is the type of its <input>. What is typed into a
    `secret` one stands in no address: the list's page takes the search by POST (`views.sealed`)."""

    name: str
    label: Any
    clause: Callable[[str], Clause]
    kind: str = "search"
    secret: bool = False


@dataclass
class Listing:
    """One page of a list, with all a template needs to draw its search, filters, pages and bulk bar."""

    rows: Sequence[Any]
    total: int
    page: int
    pages: int
    searches: Sequence[Search]
    filters: Sequence[Filter]
    values: dict[str, str] = field(default_factory=dict)

    @property
    def narrowed(self) -> bool:
        """Whether the person has searched or filtered; an empty list then says something else."""
        usual = {each.name: each.default for each in self.filters}
        return any(value != usual.get(name, "") for name, value in self.values.items())

    @property
    def secret(self) -> bool:
        """Whether it is searched by what may stand in no address."""
        return any(search.secret for search in self.searches)

    def arguments(self) -> dict[str, Any]:
        """The search and filters as arguments of an address; what is secret stays in the seal it came in."""
        hidden = {search.name for search in self.searches if search.secret}
        found = {name: value for name, value in self.values.items() if name not in hidden}
        sealed = request.args.get("sealed", "") if hidden & set(self.values) else ""
        return {**found, **({"sealed": sealed} if sealed else {})}

    def url(self, page: int) -> str:
        """This list with the same search, at another page."""
        return f"{request.path}?{urlencode({**self.arguments(), 'page': page})}"


def narrowed(statement: Select[Any], searches: Sequence[Search], filters: Sequence[Filter],
             given: Any) -> tuple[Select[Any], dict[str, str]]:
    """`statement` under the search and filters of a request's arguments, and the values that counted."""
    values: dict[str, str] = {}
    for search in searches:
        text = given.get(search.name, "").strip()[:100]
        if text:
            values[search.name] = text
            statement = statement.where(search.clause(text))
    for each in filters:
        value = given.get(each.name, "") or each.default
        # A value that is no choice is ignored: a bookmarked link of another day still opens.
        if value and value in {choice for choice, _label in each.choices}:
            values[each.name] = value
            statement = statement.where(each.clause(value))
    return statement, values


def listing(statement: Select[Any], *, order: Sequence[Any], searches: Sequence[Search] = (),
            filters: Sequence[Filter] = (), options: Sequence[Any] = (), size: int = PAGE_SIZE, given: Any = None) -> Listing:
    """One page of `statement`, narrowed by the request's arguments, or by those `given`. Three statements, whatever the size of the
    table, besides those of `options` (eager loads)."""
    statement, values = narrowed(statement, searches, filters, request.args if given is None else given)
    entity = statement.column_descriptions[0]["entity"]
    primary = next(iter(entity.__table__.primary_key))
    wanted = request.args.get("page", "1")
    number = max(int(wanted), 1) if wanted.isdigit() and len(wanted) < 9 else 1
    searched = any(search.name in values for search in searches)
    keys, total = _keys(statement.with_only_columns(primary), order, number, size, searched)
    pages = max(1, -(-total // size))
    if number > pages:
        number = pages
        keys, total = _keys(statement.with_only_columns(primary), order, number, size, searched)
    found = db.session.scalars(select(entity).where(primary.in_(keys)).options(*options)).unique().all() if keys else []
    place = {key: n for n, key in enumerate(keys)}
    rows = sorted(found, key=lambda row: place[getattr(row, primary.key)])
    return Listing(rows, total, number, pages, searches, filters, values)


def _keys(statement: Select[Any], order: Sequence[Any], page: int, size: int, searched: bool) -> tuple[list[Any], int]:
    """The keys of one page and how many there are in all. The keys alone are sorted and skipped, which an index can do; the rows
    follow by key. What a search finds is looked for once, and counted on the way."""
    wanted = statement.order_by(*order).limit(size).offset((page - 1) * size)
    if searched:
        rows = db.session.execute(wanted.add_columns(func.count().over())).all()
        if rows or page == 1:
            return [row[0] for row in rows], rows[0][1] if rows else 0
    total = db.session.scalar(select(func.count()).select_from(statement.order_by(None).subquery())) or 0
    return list(db.session.scalars(wanted)), total


def chosen_ids(statement: Select[Any], *, searches: Sequence[Search] = (), filters: Sequence[Filter] = ()) -> list[int]:
    """The ids a bulk form chose: those ticked (``ids``), or with ``all=1`` every row that matches the form's copy of the
    search and filters. Ids outside `statement` (another organisation's) are dropped by the query itself."""
    entity = statement.column_descriptions[0]["entity"]
    primary = next(iter(entity.__table__.primary_key))
    if request.form.get("all") == "1":
        statement, _values = narrowed(statement, searches, filters, request.form)
    else:
        ticked = [int(text) for text in request.form.getlist("ids") if text.isdigit() and len(text) < 19]
        statement = statement.where(primary.in_(ticked))
    return list(db.session.scalars(statement.with_only_columns(primary).order_by(primary).limit(BULK_LIMIT)))


def like(column: Any, text: str) -> Clause:
    """`column` contains the text, whatever signs are in it."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    clause: Clause = column.like(f"%{escaped}%", escape="\\")
    return clause


def holding(column: Any, text: str) -> Clause:
    """Like `like`, for an indexed column of a large table: the texts are read from the index alone, and only the rows found are
    looked at. PostgreSQL plans that better by itself."""
    if db.session.get_bind().dialect.name == "postgresql":
        return like(column, text)
    alias = aliased(column.class_)
    primary = next(iter(column.class_.__table__.primary_key)).key
    found = select(getattr(alias, primary)).where(like(getattr(alias, column.key), text))
    clause: Clause = getattr(column.class_, primary).in_(found)
    return clause
