"""The documentation keeps up: metrics, keys, options and commands stand in it, its examples are read by the program."""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.campaign import calibrate_arguments, isa_arguments
from harness.spec import load_farm, load_suite, schema
from harness.spec.metric import METRICS

ROOT = Path(__file__).parents[1]
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_in_the_reference(metric: str) -> None:
    """A metric of the catalogue has its row."""
    assert f"| `{metric}` |" in REFERENCE


def _keys() -> Iterator[str]:
    for kind in ("farm", "profile", "suite"):
        made = schema(kind)
        for form in (made, *made["$defs"].values()):
            yield from (f"{kind}:{key}" for key in form.get("properties", {}))


@pytest.mark.parametrize("key", sorted(set(_keys())))
def test_every_key_is_in_the_reference(key: str) -> None:
    """A key of a YAML file has its row in the table of that file."""
    kind, name = key.split(":")
    title = {"farm": "## farm.yaml", "profile": "## device_profiles", "suite": "## *.suite.yaml"}[kind]
    section = REFERENCE.split(title)[1].split("\n## ")[0]

    assert f"| `{name}` |" in section


def test_every_pytest_option_is_in_the_reference() -> None:
    """An option of the plugin has its row."""
    source = (ROOT / "harness" / "plugin" / "__init__.py").read_text(encoding="utf-8")
    options = set(re.findall(r'"(--[a-z-]+)"', source))

    assert options
    assert [option for option in sorted(options) if f"`{option}" not in REFERENCE] == []


def test_every_option_of_isa_is_in_the_reference() -> None:
    """An option of `fleetgate isa` has its row."""
    parser = argparse.ArgumentParser(add_help=False)
    isa_arguments.add(parser)
    section = REFERENCE.split("## fleetgate isa")[1].split("\n## ")[0]

    options = [name for action in parser._actions for name in action.option_strings]
    assert options
    assert [option for option in options if f"`{option}" not in section] == []


def test_every_option_of_calibrate_is_in_the_reference() -> None:
    """An option of `fleetgate calibrate` has its row."""
    parser = argparse.ArgumentParser(add_help=False)
    calibrate_arguments.add(parser)
    section = REFERENCE.split("## fleetgate calibrate")[1].split("\n## ")[0]

    options = [name for action in parser._actions for name in action.option_strings]
    assert options
    assert [option for option in options if f"`{option} " not in section] == []


def test_readme_has_two_screens_and_the_two_commands() -> None:
    """README.md stays short and names what a newcomer types."""
    assert README.count("\n") <= 110
    assert "make demo" in README
    assert "make test" in README


def test_the_farm_and_the_suite_of_the_readme_are_valid(tmp_path: Path) -> None:
    """The YAML that the README shows is accepted as it stands."""
    farm, suite = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    pinned = farm.replace("SHA256:…", "SHA256:" + "A" * 43)
    (tmp_path / "farm.yaml").write_text(pinned, encoding="utf-8")
    (tmp_path / "mine.suite.yaml").write_text(suite, encoding="utf-8")
    digits = ROOT / "suites" / "digits"
    for name in ("model_fp32.onnx", "model_int8.onnx", "last_release.onnx"):
        (tmp_path / name).write_bytes((digits / "digits_fp32.onnx").read_bytes() + name.encode())
    (tmp_path / "model_int8.tflite").write_bytes((digits / "digits_int8.tflite").read_bytes())
    shutil.copy(digits / "digits_eval.npz", tmp_path / "eval.npz")

    assert [device.name for device in load_farm(tmp_path / "farm.yaml").devices] == ["a53", "here", "pi-lab-3"]
    assert len(load_suite(tmp_path / "mine.suite.yaml").artifacts) == 2


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    """A relative link names a file that exists."""
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)\)", text)

    assert [target for target in targets if not ((ROOT / page).parent / target).exists()] == []
