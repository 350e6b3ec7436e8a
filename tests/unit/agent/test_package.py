"""The zipapp: the same bytes everywhere, runnable by an old Python without anything else of the harness."""

from __future__ import annotations

import ast
import io
import sys
import zipfile

import pytest

from harness.agent import bootstrap
from harness.agent.package import build_zipapp

SUBSCRIPTED = {"list", "dict", "tuple", "set", "frozenset", "type", "Callable", "Sequence", "Mapping", "Iterator"}
"""Names that Python 3.8 cannot subscript outside of an annotation."""


def sources() -> dict[str, str]:
    """Return the modules of the zipapp by name."""
    with zipfile.ZipFile(io.BytesIO(build_zipapp()[0])) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def annotations_of(tree: ast.AST) -> set[int]:
    """Return the ids of all nodes that are never evaluated: annotations, and bodies of `if TYPE_CHECKING`."""
    silent: list[ast.AST | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.arg):
            silent.append(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            silent.append(node.returns)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            silent += node.body
    return {id(inner) for outer in silent if outer for inner in ast.walk(outer)}


def test_bytes_are_the_same_twice() -> None:
    """Building again gives the same digest, whatever the time."""
    first = build_zipapp()
    build_zipapp.cache_clear()

    assert build_zipapp() == first


def test_only_the_agent_is_inside() -> None:
    """Nothing but harness/agent and an empty harness package travels to a board."""
    found = sources()

    assert found["harness/__init__.py"] == ""
    assert all(name.startswith("harness/agent/") or name in {"__main__.py", "harness/__init__.py"} for name in found)
    assert "harness/agent/package.py" not in found


@pytest.mark.parametrize("name", sorted(sources()))
def test_module_is_python_3_8(name: str) -> None:
    """Each module parses as Python 3.8 and subscripts no builtin type where it is evaluated."""
    tree = ast.parse(sources()[name], feature_version=(3, 8))

    silent = annotations_of(tree)
    evaluated = [
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and id(node) not in silent
    ]
    assert not SUBSCRIPTED & set(evaluated)


@pytest.mark.parametrize("name", sorted(sources()))
def test_module_imports_nothing_foreign(name: str) -> None:
    """Modules import the standard library, the agent, numpy and runtimes only."""
    allowed = set(sys.stdlib_module_names) | {"numpy", "onnxruntime", "executorch_numpy_runtime"}
    for node in ast.walk(ast.parse(sources()[name])):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            continue
        for module in modules:
            assert module.startswith("harness.agent") or module.split(".")[0] in allowed, module


def test_bootstrap_is_small_and_old() -> None:
    """The text on the command line stays below 2 KB and parses as Python 3.8."""
    ast.parse(bootstrap.SOURCE, feature_version=(3, 8))

    assert len(bootstrap.SOURCE) < 2048
