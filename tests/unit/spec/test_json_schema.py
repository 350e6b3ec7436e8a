"""The JSON Schemas that editors use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import harness
from harness.spec import json_schema, schema
from harness.spec.json_schema import FORMS, write_schemas
from harness.spec.metric import METRICS

SHIPPED = Path(harness.__file__).parent / "spec" / "schema"


@pytest.mark.parametrize("kind", FORMS)
def test_shipped_schemas_are_current(kind: str, tmp_path: Path) -> None:
    """The schema files are what the forms give; else run `write_schemas()`."""
    written = {path.name: path.read_text(encoding="utf-8") for path in write_schemas(tmp_path)}

    assert (SHIPPED / f"{kind}.schema.json").read_text(encoding="utf-8") == written[f"{kind}.schema.json"]


@pytest.mark.parametrize("kind", FORMS)
def test_every_key_is_explained(kind: str) -> None:
    """Every key of every form has a description, and nothing but known keys is allowed."""
    made = schema(kind)

    for part in [made, *made["$defs"].values()]:
        assert part["additionalProperties"] is False
        assert all(key.get("description") for key in part["properties"].values()), part
    assert "null" not in json.dumps(made)


def test_metrics_are_completed() -> None:
    """An editor can complete the metrics within a gate."""
    scope = schema("suite")["properties"]["gates"]["additionalProperties"]

    assert scope["propertyNames"]["enum"] == list(METRICS)


def test_unknown_kind() -> None:
    """There are three kinds of files."""
    with pytest.raises(ValueError, match="farm, profile, suite"):
        json_schema.schema("device")
