"""WHAT was seen: samples, sessions, cells, runs and verdicts, as frozen data with a schema version."""
