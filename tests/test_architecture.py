"""The promises that no single part can keep alone: light imports, few public names, contained size."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"numpy", "scipy", "pandas", "jinja2", "pydantic", "yaml", "fabric", "paramiko", "onnxruntime"}


def test_an_ordinary_pytest_run_pays_nothing_for_the_plugin(tmp_path: Path) -> None:
    """Without --devices the plugin brings none of its dependencies and none of its own layers into the process."""
    (tmp_path / "test_x.py").write_text(
        "import sys\n"
        f"def test_x():\n    loaded = {{name.split('.')[0] for name in sys.modules}} & {HEAVY!r}\n"
        "    ours = {name for name in sys.modules if name.startswith('harness')}\n"
        "    assert not loaded and ours <= {'harness', 'harness.plugin', 'harness.plugin.hookspec'}, (loaded, ours)\n"
    )

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:anyio", str(tmp_path)],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout
    assert "fleetgate" not in done.stdout


def test_public_names_are_few() -> None:
    """`harness` gives at most 25 names."""
    import harness

    assert 0 < len(harness.__all__) <= 25
    assert all(hasattr(harness, name) for name in harness.__all__)


def _functions() -> list[tuple[str, int]]:
    found = []
    for path in sorted((ROOT / "harness").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                if body:
                    lines = (body[-1].end_lineno or 0) - body[0].lineno + 1
                    found.append((f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", lines))
    return found


def test_nine_of_ten_functions_are_short() -> None:
    """The 90th percentile of function bodies is at most 22 lines, and none is longer than 50."""
    sizes = sorted(lines for _, lines in _functions())

    assert sizes[len(sizes) * 9 // 10] <= 22
    assert [name for name, lines in _functions() if lines > 50] == []


@pytest.mark.parametrize("word", ["unittest.mock", "AutoAddPolicy", "StrictHostKeyChecking=no"])
def test_what_the_house_refuses_is_not_in_the_product(word: str) -> None:
    """Some words never stand in product code."""
    found = [
        str(path)
        for path in (ROOT / "harness").rglob("*.py")
        if any(word in line and "never" not in line for line in path.read_text(encoding="utf-8").splitlines())
    ]

    assert found == []
