"""What a pinned run changes on the board, and who puts it back: a keeper process that outlives the agent.

The keeper writes the settings, then waits on a pipe. It restores them when it is told to, and also when the pipe ends:
the agent was killed, the link was lost, the controller died. Should the keeper itself be killed, a journal is left, and
the next agent on this board restores from it. A reboot resets sysfs, which the journal knows by the boot's id.
"""

from __future__ import annotations

import glob
import json
import os
import select
import signal
import time
from typing import NamedTuple, NoReturn

from harness.agent import process
from harness.agent.lease import read_boot_id
from harness.agent.refusal import Refusal

_JOURNAL = "condition.json"
_GOVERNOR, _LOW, _HIGH = "scaling_governor", "scaling_min_freq", "scaling_max_freq"
_PINNED = "performance"
_PATIENCE_S = 10.0


class Setting(NamedTuple):
    """One sysfs file: what it said, and what it is to say."""

    path: str
    before: str
    after: str


def plan_pinned(sysfs: str, cores: list[int], frequency_hz: float = 0.0) -> list[Setting]:
    """Plan the settings that hold the clocks of the cores that sessions run on (none named: of all cores).

    The governor becomes `performance`, lowest and highest frequency the one that is asked for (one that the board can
    hold without throttling), or the lowest the highest one that is allowed at the moment.

    Raises:
        Refusal: `condition` when the board has no cpufreq, no such governor or frequency, or the cores stand in several
            clusters.
    """
    policies = sorted(glob.glob(os.path.join(sysfs, "devices", "system", "cpu", "cpufreq", "policy*")))
    if not policies:
        raise Refusal("condition", "no cpufreq: whether the clock is steady is unknown, and it cannot be pinned")
    if cores:
        policies = [policy for policy in policies if set(cores) & _read_cores(policy)]
        if len(policies) != 1 or not set(cores) <= _read_cores(policies[0]):
            raise Refusal("condition", f"cores {cores} do not stand in one cluster: name cores of one (`cores`)")
    return [setting for policy in policies for setting in _plan_policy(policy, round(frequency_hz / 1000))]


def _plan_policy(policy: str, khz: int) -> list[Setting]:
    governors = _read(os.path.join(policy, "scaling_available_governors")).split()
    if _PINNED not in governors:
        raise Refusal("condition", f"{policy} has no governor {_PINNED!r}, only {', '.join(governors) or 'none'}")
    high = _read(os.path.join(policy, _HIGH))
    wanted = [(_GOVERNOR, _PINNED), (_LOW, high)]
    if khz:
        _check_frequency(policy, khz)
        # Neither end may pass the other on the way.
        ends = (_LOW, _HIGH) if khz <= int(_read(os.path.join(policy, _LOW))) else (_HIGH, _LOW)
        wanted = [(_GOVERNOR, _PINNED), *((end, str(khz)) for end in ends)]
    return [
        Setting(path, _read(path), after)
        for path, after in ((os.path.join(policy, name), after) for name, after in wanted)
    ]


def _check_frequency(policy: str, khz: int) -> None:
    """Refuse what the clock cannot be: else the kernel takes a neighbour, and the run says what it did not do."""
    steps_path = os.path.join(policy, "scaling_available_frequencies")
    steps = [int(word) for word in _read(steps_path).split()] if os.path.exists(steps_path) else []
    lowest, highest = (int(_read(os.path.join(policy, f"cpuinfo_{end}_freq"))) for end in ("min", "max"))
    if not lowest <= khz <= highest or (steps and khz not in steps):
        able = ", ".join(f"{step / 1e6:g}" for step in sorted(steps)) or f"{lowest / 1e6:g} to {highest / 1e6:g}"
        raise Refusal("condition", f"{policy} has no frequency {khz / 1e6:g} GHz, only {able} GHz")


def _read_cores(policy: str) -> set[int]:
    return {int(word) for word in _read(os.path.join(policy, "related_cpus")).split() if word.isdigit()}


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(4096).strip()
    except OSError as error:
        raise Refusal("condition", f"{path}: {error.strerror}") from error


class Keeper:
    """Holds settings until it is told to restore them, or nobody is left who could.

    Args:
        root: the agent's folder, for the journal.
    """

    def __init__(self, root: str) -> None:
        self._journal = os.path.join(root, _JOURNAL)
        self._pid = 0
        self._control = -1

    @property
    def is_holding(self) -> bool:
        """Whether settings are held for this agent just now."""
        return self._pid != 0

    def apply(self, settings: list[Setting]) -> None:
        """Write the settings, all or none.

        Raises:
            Refusal: `condition` when the board does not allow it.
        """
        self.restore()
        control, self._control = os.pipe()
        told, report = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _keep(settings, self._journal, control, report)
        os.close(control)
        os.close(report)
        try:
            words = _read_line(told)
        finally:
            os.close(told)
        if words != "ok":
            self.restore()
            raise Refusal("condition", words or "the process that holds the settings ended")

    def restore(self) -> None:
        """Have everything put back, and wait for it."""
        if not self._pid:
            return
        os.close(self._control)
        give_up = time.monotonic() + _PATIENCE_S
        while os.waitpid(self._pid, os.WNOHANG)[0] == 0 and time.monotonic() < give_up:
            time.sleep(0.01)
        self._pid, self._control = 0, -1


def recover(root: str) -> bool:
    """Restore what a killed keeper left; tell whether there was something."""
    path = os.path.join(root, _JOURNAL)
    try:
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
        settings = [Setting(*(str(word) for word in words)) for words in told["settings"]]
        pid, start, boot_id = int(told["pid"]), int(told["start"]), str(told["boot_id"])
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):
        os.unlink(path)
        return False
    give_up = time.monotonic() + _PATIENCE_S
    # Its agent is gone, or this one had not got the lease: it is about to restore, and must not be raced.
    while process.read_stat(pid).get("start") == start and time.monotonic() < give_up:
        time.sleep(0.05)
    if not os.path.exists(path):
        return True
    if boot_id == read_boot_id():
        _restore(settings)
    os.unlink(path)
    return True


def _read_line(fd: int) -> str:
    ready = select.select([fd], [], [], _PATIENCE_S)[0]
    return os.read(fd, 4096).decode(errors="replace") if ready else "the settings were not written in time"


def _keep(settings: list[Setting], journal: str, control: int, report: int) -> NoReturn:
    try:
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        _close_all_but({control, report})
        _write_journal(journal, settings)
        try:
            words = _apply(settings)
            os.write(report, (words or "ok").encode()[:4096])  # fails where the agent has just been killed
            os.close(report)
            if not words:
                os.read(control, 1)  # ends when the agent closes it, or ends
        finally:
            _restore(settings)
            os.unlink(journal)
    finally:
        os._exit(0)


def _close_all_but(kept: set[int]) -> None:
    """Let go of the channel, so that the link ends with the agent, and of the lease."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                continue  # the listing's own


def _write_journal(path: str, settings: list[Setting]) -> None:
    pid = os.getpid()
    told = {"pid": pid, "start": process.read_stat(pid)["start"], "boot_id": read_boot_id(), "settings": settings}
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(told, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def _apply(settings: list[Setting]) -> str:
    """Write all; return why one could not be written, or is not what was written."""
    for setting in settings:
        try:
            with open(setting.path, "w", encoding="ascii") as file:
                file.write(setting.after)
            if _read(setting.path) != setting.after:
                return f"{setting.path} did not take {setting.after!r}"
        except OSError as error:
            return f"{setting.path}: {error.strerror} (pinning takes root on the board)"
        except Refusal as refusal:
            return str(refusal)
    return ""


def _restore(settings: list[Setting]) -> None:
    """Write back in reverse, twice: a lowest frequency above the highest one is refused until the other is back."""
    for setting in [*settings[::-1], *settings[::-1]]:
        try:
            with open(setting.path, "w", encoding="ascii") as file:
                file.write(setting.before)
        except OSError:
            continue  # a core that was taken offline has no such file any more
