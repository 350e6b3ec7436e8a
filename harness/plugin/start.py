"""Wiring: which parts of the plugin live in which process."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import pytest

from harness.plugin.deciding import Deciding
from harness.plugin.link import Controller, WorkerLink
from harness.plugin.measuring import Measuring
from harness.plugin.options import Options, is_distributing, is_worker, keep_farm, read_farm


def activate(config: pytest.Config) -> None:
    """Register what this process needs.

    One process does everything without xdist. With it the controller decides and workers measure.

    Raises:
        pytest.UsageError: the farm is not as it must be, or options contradict each other.
    """
    manager = config.pluginmanager
    manager.register(Termination(), "fleetgate-termination")
    options = Options.of(config)
    if is_worker(config):
        link = WorkerLink.of(config)
        keep_farm(config, link.farm)
        _register_measuring(config, Measuring(config, options, link))
        return
    farm = read_farm(config)
    options.check()
    deciding = Deciding(config, options, farm)
    manager.register(deciding, "fleetgate-deciding")
    if is_distributing(config):
        from harness.plugin.scheduler import Distribution

        manager.register(Distribution(config, deciding, Controller(farm)), "fleetgate-distribution")
    else:
        _register_measuring(config, Measuring(config, options, deciding))


def _register_measuring(config: pytest.Config, measuring: Measuring) -> None:
    from harness.plugin import collect, fixtures

    config.stash[collect.MEASURING_KEY] = measuring
    for name, part in (("measuring", measuring), ("collect", collect), ("fixtures", fixtures)):
        config.pluginmanager.register(part, f"fleetgate-{name}")


class Termination:
    """SIGTERM, which CI sends, is taken as Ctrl-C: once, so that the boards are then released in peace."""

    def __init__(self) -> None:
        self._is_ours = threading.current_thread() is threading.main_thread()
        self._before = signal.signal(signal.SIGTERM, self._interrupt) if self._is_ours else None

    def pytest_unconfigure(self) -> None:
        """Give the signal back."""
        if self._is_ours:
            signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt
