"""JSON Schemas of the file formats, for editors and for `fleetgate schema`.

Generated from the forms, so that what an editor completes is what the loader accepts; the files beside this module are
what `write_schemas` last wrote, and a test holds them to the forms.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harness.spec.farm import FarmForm
from harness.spec.policy import PolicyForm
from harness.spec.profile import ProfileForm
from harness.spec.suite import SuiteForm

FORMS: dict[str, type[BaseModel]] = {
    "farm": FarmForm,
    "profile": ProfileForm,
    "suite": SuiteForm,
    "policy": PolicyForm,
}


def schema(kind: str) -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of a file format.

    Args:
        kind: farm, profile, suite or policy.

    Raises:
        ValueError: kind is none of these.
    """
    if kind not in FORMS:
        raise ValueError(f"no schema {kind!r}: there are {', '.join(FORMS)}")
    made = _tidy(FORMS[kind].model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": f"Fleetgate {kind} file"}


def write_schemas(folder: Path | None = None) -> list[Path]:
    """Write the schemas as `<kind>.schema.json`.

    Args:
        folder: where to; without: the package's own folder of schemas.

    Returns:
        The files written.
    """
    target = folder or Path(__file__).parent / "schema"
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in FORMS:
        path = target / f"{kind}.schema.json"
        path.write_text(json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(path)
    return written


def _tidy(node: Any) -> Any:  # noqa: ANN401  JSON
    """Drop what only pydantic needs: titles of keys, and null, which no format accepts."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidy(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    if tidy.get("default", ...) in (None, "", [], {}, 0, 0.0):
        tidy.pop("default")
    choices = [choice for choice in tidy.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del tidy["anyOf"]
        tidy = {**choices[0], **tidy}
    elif choices:
        tidy["anyOf"] = choices
    return tidy
