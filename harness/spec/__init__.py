"""WHAT was asked: farm, device profile, artifact, workload, gate, suite; YAML with positions."""

from harness.spec.farm import check_scopes, load_farm
from harness.spec.json_schema import schema
from harness.spec.limits import effective_limits
from harness.spec.profile import ProfileShelf
from harness.spec.suite import load_suite

__all__ = ["ProfileShelf", "check_scopes", "effective_limits", "load_farm", "load_suite", "schema"]
