"""Pinned clocks on a sysfs of our own: what is changed, what is refused, and that all of it comes back."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from harness.agent import condition
from harness.agent.condition import Keeper, Setting, plan_pinned, recover
from harness.agent.lease import read_boot_id
from harness.agent.refusal import Refusal

SHIPPED = {"scaling_governor": "schedutil", "scaling_min_freq": "600000", "scaling_max_freq": "1800000"}
HELD = {"scaling_governor": "performance", "scaling_min_freq": "1800000", "scaling_max_freq": "1800000"}


def board(root: Path, clusters: tuple[str, ...] = ("0 1 2 3",), governors: str = "schedutil performance") -> Path:
    """Make the cpufreq tree of a board."""
    for number, cores in enumerate(clusters):
        policy = root / "devices" / "system" / "cpu" / "cpufreq" / f"policy{number}"
        policy.mkdir(parents=True)
        for name, text in {**SHIPPED, "related_cpus": cores, "scaling_available_governors": governors}.items():
            (policy / name).write_text(text + "\n")
    return root


def read(root: Path, number: int = 0) -> dict[str, str]:
    """Return what the settings of a policy say."""
    policy = root / "devices" / "system" / "cpu" / "cpufreq" / f"policy{number}"
    return {name: (policy / name).read_text().strip() for name in SHIPPED}


def wait_for(root: Path, expected: dict[str, str]) -> dict[str, str]:
    """Wait until the settings are as expected, at most some seconds."""
    give_up = time.monotonic() + 10
    while read(root) != expected and time.monotonic() < give_up:
        time.sleep(0.02)
    return read(root)


def test_settings_are_held_and_put_back(tmp_path: Path) -> None:
    """The governor and the lowest frequency change, and come back; the journal goes with them."""
    sysfs = board(tmp_path / "sys")
    keeper = Keeper(str(tmp_path))

    keeper.apply(plan_pinned(str(sysfs), []))
    held, journal = read(sysfs), (tmp_path / "condition.json").exists()
    keeper.restore()

    assert held == HELD
    assert journal
    assert read(sysfs) == SHIPPED
    assert not (tmp_path / "condition.json").exists()


def test_only_the_cluster_of_the_sessions_is_touched(tmp_path: Path) -> None:
    """Cores 4 to 7 are a cluster of their own: the little one stays as it is."""
    sysfs = board(tmp_path / "sys", ("0 1 2 3", "4 5 6 7"))
    keeper = Keeper(str(tmp_path))

    keeper.apply(plan_pinned(str(sysfs), [5, 6]))
    seen = read(sysfs, 0), read(sysfs, 1)
    keeper.restore()

    assert seen == (SHIPPED, HELD)


@pytest.mark.parametrize(
    ("clusters", "governors", "cores", "words"),
    [
        ((), "performance", [], "no cpufreq"),
        (("0 1", "2 3"), "performance", [1, 2], "do not stand in one cluster"),
        (("0 1",), "performance", [7], "do not stand in one cluster"),
        (("0 1",), "powersave", [], "has no governor 'performance', only powersave"),
    ],
    ids=["no cpufreq", "two clusters", "unknown core", "no governor"],
)
def test_what_cannot_be_pinned_is_refused(
    clusters: tuple[str, ...], governors: str, cores: list[int], words: str, tmp_path: Path
) -> None:
    """Unknown is not pinned: the refusal says what is missing, and nothing was changed."""
    sysfs = board(tmp_path / "sys", clusters, governors)

    with pytest.raises(Refusal, match=words) as refused:
        plan_pinned(str(sysfs), cores)

    assert refused.value.code == "condition"


def test_a_setting_that_is_not_taken_undoes_the_others(tmp_path: Path) -> None:
    """All or none: the second file is not writable as it should be, so the first is put back."""
    sysfs = board(tmp_path / "sys")
    settings = plan_pinned(str(sysfs), [])
    gone = settings[1]._replace(path=str(tmp_path / "nowhere" / "scaling_min_freq"))

    with pytest.raises(Refusal, match="No such file"):
        Keeper(str(tmp_path)).apply([settings[0], gone])

    assert read(sysfs) == SHIPPED
    assert not (tmp_path / "condition.json").exists()


def test_a_killed_agent_leaves_nothing_changed(tmp_path: Path) -> None:
    """The process that asked dies by SIGKILL: its keeper sees the pipe end and restores."""
    sysfs = board(tmp_path / "sys")
    settings = plan_pinned(str(sysfs), [])
    pid = os.fork()
    if pid == 0:
        Keeper(str(tmp_path)).apply(settings)
        signal.pause()
    held = wait_for(sysfs, HELD)

    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    assert held == HELD
    assert wait_for(sysfs, SHIPPED) == SHIPPED


def test_an_agent_that_dies_while_it_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left to hear that the settings were written: they are put back all the same."""
    sysfs = board(tmp_path / "sys")
    settings = plan_pinned(str(sysfs), [])
    write = condition._apply

    def write_late(settings: list[Setting]) -> str:
        time.sleep(0.3)
        return write(settings)

    def die(fd: int) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return str(fd)

    monkeypatch.setattr(condition, "_apply", write_late)
    monkeypatch.setattr(condition, "_read_line", die)
    pid = os.fork()
    if pid == 0:
        Keeper(str(tmp_path)).apply(settings)
    os.waitpid(pid, 0)
    time.sleep(0.5)

    assert wait_for(sysfs, SHIPPED) == SHIPPED
    give_up = time.monotonic() + 5
    while (tmp_path / "condition.json").exists() and time.monotonic() < give_up:
        time.sleep(0.02)
    assert not (tmp_path / "condition.json").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_keeper_is_not_moved_by_signals_of_a_session(number: int, tmp_path: Path) -> None:
    """What ends a login session does not end the keeper before it has done its work."""
    sysfs = board(tmp_path / "sys")
    keeper = Keeper(str(tmp_path))
    keeper.apply(plan_pinned(str(sysfs), []))
    pid = json.loads((tmp_path / "condition.json").read_text())["pid"]

    os.kill(pid, number)
    time.sleep(0.05)
    held = read(sysfs)
    keeper.restore()

    assert held == HELD
    assert read(sysfs) == SHIPPED


def test_the_next_agent_restores_after_a_killed_keeper(tmp_path: Path) -> None:
    """Agent and keeper are both killed: the journal is enough."""
    sysfs = board(tmp_path / "sys")
    keeper = Keeper(str(tmp_path))
    keeper.apply(plan_pinned(str(sysfs), []))
    os.kill(json.loads((tmp_path / "condition.json").read_text())["pid"], signal.SIGKILL)
    keeper.restore()
    left = read(sysfs)

    found = recover(str(tmp_path))

    assert left == HELD
    assert found
    assert read(sysfs) == SHIPPED
    assert not recover(str(tmp_path))


def test_a_journal_of_another_boot_or_of_nonsense_is_dropped(tmp_path: Path) -> None:
    """A reboot has reset sysfs: what an older boot changed must not be written again."""
    sysfs = board(tmp_path / "sys")
    policy = sysfs / "devices" / "system" / "cpu" / "cpufreq" / "policy0"
    setting = [str(policy / "scaling_governor"), "powersave", "performance"]
    journal = {"pid": 1 << 22, "start": 1, "boot_id": "another" + read_boot_id(), "settings": [setting]}
    (tmp_path / "condition.json").write_text(json.dumps(journal))

    assert recover(str(tmp_path))
    (tmp_path / "condition.json").write_text("{torn")
    assert not recover(str(tmp_path))

    assert read(sysfs) == SHIPPED
    assert list(tmp_path.glob("condition.json*")) == []


def test_a_keeper_holds_neither_the_channel_nor_the_lease(tmp_path: Path) -> None:
    """Of all open files the keeper keeps one pipe: a link ends with its agent, and so does the lease."""
    sysfs = board(tmp_path / "sys")
    keeper = Keeper(str(tmp_path))
    reader, writer = os.pipe()
    keeper.apply(plan_pinned(str(sysfs), []))
    os.close(writer)

    ended = os.read(reader, 1)
    keeper.restore()

    assert ended == b""
    assert read(sysfs) == SHIPPED


@pytest.mark.parametrize(
    ("hertz", "order"),
    [
        (1.5e9, ["scaling_governor", "scaling_max_freq", "scaling_min_freq"]),
        (0.5e9, ["scaling_governor", "scaling_min_freq", "scaling_max_freq"]),
        (2.0e9, ["scaling_governor", "scaling_max_freq", "scaling_min_freq"]),
    ],
)
def test_a_frequency_by_number(tmp_path: Path, hertz: float, order: list[str]) -> None:
    """Both ends become it, in an order in which neither passes the other, and come back."""
    sysfs = board(tmp_path / "sys")
    policy = sysfs / "devices/system/cpu/cpufreq/policy0"
    (policy / "cpuinfo_min_freq").write_text("400000\n")
    (policy / "cpuinfo_max_freq").write_text("2000000\n")
    keeper = Keeper(str(tmp_path))

    settings = plan_pinned(str(sysfs), [], hertz)
    keeper.apply(settings)
    held = read(sysfs)
    keeper.restore()

    khz = str(round(hertz / 1000))
    assert [Path(setting.path).name for setting in settings] == order
    assert held == {"scaling_governor": "performance", "scaling_min_freq": khz, "scaling_max_freq": khz}
    assert read(sysfs) == SHIPPED


@pytest.mark.parametrize(("hertz", "said"), [(1.5e9, "only 0.6, 1.2, 1.8 GHz"), (2.4e9, "no frequency 2.4 GHz")])
def test_a_frequency_that_the_clock_cannot_be(tmp_path: Path, hertz: float, said: str) -> None:
    """One between the steps, or beyond the ends, is refused with those that there are."""
    sysfs = board(tmp_path / "sys")
    policy = sysfs / "devices/system/cpu/cpufreq/policy0"
    (policy / "cpuinfo_min_freq").write_text("600000\n")
    (policy / "cpuinfo_max_freq").write_text("1800000\n")
    (policy / "scaling_available_frequencies").write_text("600000 1200000 1800000\n")

    with pytest.raises(Refusal, match=said):
        plan_pinned(str(sysfs), [], hertz)
