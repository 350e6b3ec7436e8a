"""Run folders and committed baselines on disk; SQL history comes later."""

from harness.store.baseline import promote, recorded_figures
from harness.store.read import StoredRun, load_run, replay
from harness.store.run_folder import RunFolder

__all__ = ["RunFolder", "StoredRun", "load_run", "promote", "recorded_figures", "replay"]
