"""The house keeps its order: imports run one way, every package is shipped, nothing names a place it must not."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("schemas", "ledger", "registry", "api")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def modules(floor: str) -> list[Path]:
    return sorted((ROOT / floor).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every inbond module that a file imports, also inside functions and for type checking."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(f"a relative import in {path}")
    return {name for name in found if name.startswith(("inbond.", "a relative"))}


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_run_one_way(floor: str) -> None:
    allowed = FLOORS[: FLOORS.index(floor) + 1]
    for path in modules(floor):
        wrong = {name for name in imported(path) if name.split(".")[1] not in (*allowed, "__version__")}
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}: expected {' or '.join(allowed)} only"


def test_the_lone_verifier_imports_nothing_of_inbond() -> None:
    assert not imported(ROOT / "ledger" / "verify.py")


def test_every_package_is_shipped() -> None:
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    there = {
        ".".join(("inbond", *path.parent.relative_to(ROOT).parts))
        for floor in FLOORS
        for path in (ROOT / floor).rglob("__init__.py")
    }
    assert listed == there | {"inbond"}


def test_the_lock_holds_what_the_project_names() -> None:
    locked = {
        line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line and line[0] != " "
    }
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    assert {re.split("[>=[]", text)[0] for text in wanted} <= locked
    assert "torch" not in locked
    assert all(">=" in text and ",<" in text for text in wanted)
