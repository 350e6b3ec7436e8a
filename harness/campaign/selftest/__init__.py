"""A self-test of the gate: known faults planted on the real path, each with the answers that it must get."""
