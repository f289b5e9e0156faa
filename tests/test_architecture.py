"""The rooms of the house: who may import whom, and what an installed package contains."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {"stylize_core": 0, "data": 1, "training": 2, "melgan": 3, "travelgan": 3, "stylize": 4, "scripts": 5}
TRAINING_SIDE = {
    *("melgan.experiment", "melgan.training_config", "melgan.discriminator"),
    *(
        f"travelgan.{name}"
        for name in ("experiment", "training_config", "discriminator", "losses", "methods", "realism", "validation")
    ),
}
"""Modules of the GANs' rooms that only a training imports."""
CHECKOUT_ONLY = ("data", "training", "scripts", "studies", "tests")


def sources() -> Iterator[tuple[str, Path]]:
    for room in FLOORS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


MODULES = dict(sources())


def imports(path: Path, *, only_at_import: bool = False) -> set[str]:
    """Modules of the project that a file imports."""
    found = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        is_typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if not (only_at_import and (is_typing or is_function)):
            pending += ast.iter_child_nodes(node)
    return found & set(MODULES)


@pytest.mark.parametrize("room", FLOORS)
def test_imports_go_down_only(room: str) -> None:
    upward = [
        f"{name} imports {target}"
        for name, path in MODULES.items()
        if name.split(".")[0] == room
        for target in imports(path)
        if target.split(".")[0] != room and FLOORS[target.split(".")[0]] >= FLOORS[room]
    ]
    assert not upward


def test_there_are_no_import_cycles() -> None:
    graph = {name: imports(path, only_at_import=True) - {name} for name, path in MODULES.items()}
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    TopologicalSorter({name: targets - packages for name, targets in graph.items()}).prepare()


def test_installed_rooms_do_not_need_a_checkout() -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"][
        "find"
    ]
    left_out = tuple(pattern.removesuffix("*").rstrip(".") for pattern in setup["exclude"])
    included = {pattern.rstrip("*") for pattern in setup["include"]}
    assert included.isdisjoint(CHECKOUT_ONLY)
    wrong = [
        f"{name} imports {target}"
        for name, path in MODULES.items()
        if name.split(".")[0] in included and not name.startswith(left_out) and name not in TRAINING_SIDE
        for target in imports(path, only_at_import=True)
        if target.startswith(CHECKOUT_ONLY + left_out) or target in TRAINING_SIDE
    ]
    assert not wrong


def test_requirements_are_those_of_all_extras() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: set(requirements) for name, requirements in project["optional-dependencies"].items()}
    assert _requirements("requirements-dev.txt") == extras.pop("dev")
    assert _requirements("requirements.txt") == set(project["dependencies"]).union(*extras.values())


def _requirements(name: str) -> set[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {line for line in lines if not line.startswith("#")}
