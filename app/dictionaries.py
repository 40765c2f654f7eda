"""The dictionaries a new portal starts with. Rows that are there already, changed by an administrator or not, stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlalchemy import select

from app.extensions import transaction
from app.parameters import DEFAULTS
from models import Education, Occupation, Parameter, Region, Remark, SkillLevel, Title

DATA = Path(__file__).parent / "data"
LISTS: dict[str, type[Any]] = {
    "occupations": Occupation, "skill_levels": SkillLevel, "titles": Title, "education": Education,
    "remarks": Remark,
}


def _read(name: str) -> Any:
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def _parent_of(code: str, known: set[str]) -> str | None:
    if code.endswith("0000"):
        return None
    city = code[:4] + "00"
    return city if city != code and city in known else code[:2] + "0000"


def load_dictionaries() -> None:
    """Add what is missing: regions (GB/T 2260), occupations, levels, titles, education, parameters."""
    with transaction() as session:
        regions = _read("regions.json")
        present = set(session.scalars(select(Region.code)))
        # Provinces before cities before counties: a parent must stand before its children refer to it.
        for code in sorted(set(regions) - present, key=lambda c: (not c.endswith("0000"), not c.endswith("00"), c)):
            session.add(Region(code=code, name=regions[code], parent_code=_parent_of(code, set(regions)), enabled=True))
            session.flush()
        for name, entries in _read("dictionaries.json").items():
            model = LISTS[name]
            known = set(session.scalars(select(model.code)))
            for position, entry in enumerate(entries):
                if entry["code"] not in known:
                    session.add(model(**{"position": position, **entry}))
        keys = set(session.scalars(select(Parameter.key)))
        for key, (value, note) in DEFAULTS.items():
            if key not in keys:
                session.add(Parameter(key=key, value=value, note=str(note)))
