"""Who may import whom (docs/architecture.md, Layers), read from the code itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("app", "models", "views", "workers", "standins", "config", "bench", "tests")

# Room -> what of ours it may import. A prefix covers all below it; "room itself" is always allowed.
ALLOWED: dict[str, tuple[str, ...]] = {
    "app/gateways": (),
    "app/documents": (),
    "app/identifiers.py": (),
    "app/clock.py": (),
    "app/errors.py": (),
    "app/actors.py": (),
    "app/areas.py": (),
    "app/crypto.py": (),
    "standins": (),
    "config.py": ("standins.keys",),
    "models": ("app.extensions", "app.crypto", "app.clock", "app.identifiers"),
    "app/extensions.py": ("app.gateways",),
    "app/notices.py": ("models", "app.clock", "app.extensions", "app.sets"),
    "app/workflow.py": ("models", "app.notices", "app.parameters", "app.clock", "app.actors", "app.errors", "app.extensions", "app.sets"),
    "app/scope.py": ("models", "app.clock", "app.actors", "app.errors", "app.extensions"),
    "app/audit": ("models", "app.areas", "app.clock", "app.actors", "app.crypto", "app.extensions", "app.identifiers"),
    "app/jobs.py": ("models", "app.clock", "app.extensions", "app.workflow"),
    "app/operations": (
        "models", "app.workflow", "app.scope", "app.audit", "app.notices", "app.jobs", "app.files", "app.parameters", "app.gateways",
        "app.documents", "app.identifiers", "app.clock", "app.actors", "app.errors", "app.extensions", "app.crypto",
        "app.permissions", "app.areas", "app.bulk", "app.sets", "app.security", "app.presentation",
    ),
    "views": ("app", "models", "config.VERSION"),
    "workers": ("app", "models", "config", "standins"),
}


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return {name for name in found if name.split(".")[0] in OURS}


def _within(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_the_layers_allow(room: str) -> None:
    place = ROOT / room
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    assert files, f"{room} has no code: the table is out of date"
    own = room.removesuffix(".py").replace("/", ".")
    allowed = (*ALLOWED[room], own)
    wrong = {f"{path.relative_to(ROOT)}: {name}" for path in files for name in _imports(path)
             if not _within(name, allowed) and not (name.startswith("app.") and _within(name.rsplit(".", 1)[0], allowed))}
    # `from app import clock` names a module of app; `from app.x import name` names something in it.
    assert not wrong, "\n".join(sorted(wrong))


def test_the_layers_would_notice_a_wrong_import(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text("from views.base import page\nfrom app import scope\n", encoding="utf-8")
    assert {name for name in _imports(sample) if not _within(name, ALLOWED["models"])} == {"views.base.page", "app.scope"}


def test_views_reach_rows_only_through_scope() -> None:
    """A view never asks the session for a row of an organisation by its id."""
    import re

    guarded = "Enterprise|TrainingPlan|ImportBatch|Enrolment|Order|Payment|Invoice|ExamPlan|Sitting|ScoreReport|Certificate|StoredFile"
    wrong = [f"{path.name}:{number}" for path in sorted((ROOT / "views").glob("*.py"))
             for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
             if re.search(rf"session\.(get|get_one)\(({guarded})\b", line)]
    assert not wrong


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    long = {f"{path.relative_to(ROOT)}: {lines}" for room in ("app", "models", "views", "workers", "standins", "tests", "bench")
            for path in (ROOT / room).rglob("*.py") if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400}
    assert not long
