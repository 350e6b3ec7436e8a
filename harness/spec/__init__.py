"""WHAT was asked: farm, device profile, artifact, workload, gate, suite; YAML with positions."""
