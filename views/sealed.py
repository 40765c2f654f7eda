"""What a list is searched by and may stand in no address or log: ID numbers and phones (C17, PIPL).

Such a search is posted. The answer leads to the list's address with what was typed sealed in one argument, so that its pages, its
export and the way back work as those of any other list. A seal opens only for the account that typed it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from cryptography.exceptions import InvalidTag
from flask import request
from flask_login import current_user

from app.crypto import vault
from views.listing import Filter, Search

ARGUMENT = "sealed"


def _purpose() -> str:
    return f"search:{getattr(current_user, 'id', 0)}"


def seal(values: Mapping[str, str]) -> str:
    """Texts as one argument of an address; "" for none."""
    if not values:
        return ""
    return base64.urlsafe_b64encode(vault().seal(json.dumps(values, ensure_ascii=False), _purpose())).decode().rstrip("=")


def opened(text: str) -> dict[str, str]:
    """The texts of a seal; none where it was changed, is another account's, or its key is gone."""
    try:
        found = json.loads(vault().open(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), _purpose())) if text else {}
    except (ValueError, InvalidTag):
        return {}
    return {str(name): str(value) for name, value in found.items()}


def given(searches: Sequence[Search]) -> dict[str, str]:
    """The arguments of the request, those that are secret out of their seal and from nowhere else."""
    secret = {search.name for search in searches if search.secret}
    plain = {name: value for name, value in request.args.items() if name not in secret}
    return {**plain, **{name: value for name, value in opened(request.args.get(ARGUMENT, "")).items() if name in secret}}


def bare(searches: Sequence[Search]) -> bool:
    """Whether an address carries openly what should be sealed: an old bookmark, or one put together by hand."""
    return any(search.secret and search.name in request.args for search in searches)


def address(searches: Sequence[Search], filters: Sequence[Filter] = ()) -> str:
    """The address of the list that the posted search asks for; what was left empty is not in it."""
    names = [search.name for search in searches] + [each.name for each in filters]
    typed = {name: text for name in names if (text := request.form.get(name, "").strip()[:100])}
    secret = {search.name: typed.pop(search.name) for search in searches if search.secret and search.name in typed}
    arguments: dict[str, Any] = {**typed, **({ARGUMENT: seal(secret)} if secret else {})}
    return f"{request.path}?{urlencode(arguments)}" if arguments else request.path
