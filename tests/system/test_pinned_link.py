"""Pinned clocks over a real sshd: everything is back after goodbye, kill -9 at either end, a lost link, and silence."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.device.opening import open_device
from harness.errors import DeviceError
from harness.spec.model import PINNED, Device, Origin, Tier
from harness.testing.agent import LocalAgent
from harness.testing.sshd import LocalSshd

pytestmark = pytest.mark.system
SHIPPED = {"scaling_governor": "ondemand", "scaling_min_freq": "600000", "scaling_max_freq": "1500000"}
HELD = {"scaling_governor": "performance", "scaling_min_freq": "1500000", "scaling_max_freq": "1500000"}


@pytest.fixture(scope="module")
def sshd() -> Iterator[LocalSshd]:
    """Run one private sshd for the module."""
    with LocalSshd() as running:
        yield running


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """Make the cpufreq tree of a board with one cluster."""
    folder = tmp_path / "sys" / "devices" / "system" / "cpu" / "cpufreq" / "policy0"
    folder.mkdir(parents=True)
    for name, text in {**SHIPPED, "related_cpus": "0 1", "scaling_available_governors": "ondemand performance"}.items():
        (folder / name).write_text(text + "\n")
    return folder


def read(policy: Path) -> dict[str, str]:
    """Return what the settings say."""
    return {name: (policy / name).read_text().strip() for name in SHIPPED}


@contextmanager
def pinned(sshd: LocalSshd, policy: Path, tmp_path: Path, *, ttl_s: float = 30.0) -> Iterator[LocalAgent]:
    """Start an agent over SSH and have it hold the clocks."""
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
    options = [f"UserKnownHostsFile={known_hosts}", "BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes"]
    shell = ["ssh", "-F", "none", "-i", sshd.identity_file, "-p", str(sshd.port)]
    shell += [word for option in options for word in ("-o", option)] + [f"{sshd.user}@127.0.0.1"]
    with LocalAgent(tmp_path / "board", python="python3", shell=tuple(shell)) as agent:
        agent.hello(ttl_s=ttl_s)
        reply = agent.ask("condition", sysfs=str(policy.parents[4]), cores=[1])
        assert reply.header["ok"], reply.header
        assert read(policy) == HELD
        yield agent


def _goodbye(agent: LocalAgent, _: int) -> None:
    agent.ask("bye")


def _kill_controller(agent: LocalAgent, _: int) -> None:
    os.kill(agent.process.pid, signal.SIGKILL)


def _kill_agent(_: LocalAgent, agent_pid: int) -> None:
    os.kill(agent_pid, signal.SIGKILL)


ENDS: dict[str, Callable[[LocalAgent, int], None]] = {
    "goodbye": _goodbye,
    "kill -9 of the controller": _kill_controller,
    "kill -9 of the agent": _kill_agent,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_everything_is_back_however_a_run_ends(
    end: Callable[[LocalAgent, int], None], sshd: LocalSshd, policy: Path, tmp_path: Path
) -> None:
    """Governor and lowest frequency are what they were, and no journal is left."""
    with pinned(sshd, policy, tmp_path) as agent:
        agent_pid = int(agent.hello()["pid"])
        assert read(policy) == HELD, "saying hello again is no reason to let go"
        end(agent, agent_pid)
        _wait(policy)

    assert read(policy) == SHIPPED
    assert not (tmp_path / "board" / "condition.json").exists()


def test_a_lost_link_puts_everything_back(sshd: LocalSshd, policy: Path, tmp_path: Path) -> None:
    """The sshd process of the connection dies, as when a cable is pulled and TCP gives up."""
    with pinned(sshd, policy, tmp_path):
        for pid in sshd.session_pids():
            os.kill(pid, signal.SIGKILL)
        _wait(policy)

    assert read(policy) == SHIPPED


def test_a_silent_controller_loses_its_hold(sshd: LocalSshd, policy: Path, tmp_path: Path) -> None:
    """A link that is up but says nothing for longer than the lease lives is over."""
    with pinned(sshd, policy, tmp_path, ttl_s=1.0):
        _wait(policy)

    assert read(policy) == SHIPPED


def test_a_board_that_cannot_be_pinned_is_not_measured(tmp_path: Path) -> None:
    """This machine has no cpufreq or does not let it be written: the board is unfit, and says why."""
    if list(Path("/sys/devices/system/cpu/cpufreq").glob("policy*")):
        pytest.skip("this machine's clocks are left alone")
    spec = Device(
        "host", "host", ("host",), Tier.HARDWARE, Origin("farm.yaml", 1, 1), own_sshd=True,
        root=str(tmp_path / "board"), condition=PINNED,
    )  # fmt: skip

    with (
        pytest.raises(DeviceError, match="cannot be pinned: no cpufreq") as refused,
        open_device(spec, progress=lambda _: None),
    ):
        pass

    assert refused.value.code == "condition"


def _wait(policy: Path, *, seconds: float = 20.0) -> None:
    """Wait until all is back; a setting that is just being written reads empty from a plain file."""
    end = time.monotonic() + seconds
    journal = policy.parents[5] / "board" / "condition.json"
    while (read(policy) != SHIPPED or journal.exists()) and time.monotonic() < end:
        time.sleep(0.05)
