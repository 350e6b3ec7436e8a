"""The condition of a board before and after a session, and its fingerprint."""

from __future__ import annotations

import dataclasses

import pytest

from harness.device.condition import compare
from harness.device.cpu import name_cores
from harness.device.facts import parse_facts
from harness.errors import DeviceError
from harness.records.fingerprint import fingerprint
from harness.records.run import Facts

FACTS = Facts("aarch64", "Cortex-A72", 4, ("asimd",), 1 << 30, "6.1", "glibc 2.36", "3.11.2", "cp311", boot_id="one")


def flags(before: dict[str, object], after: dict[str, object]) -> tuple[str, ...]:
    """Compare two readings that differ from FACTS in some fields."""
    first, second = dataclasses.replace(FACTS, **before), dataclasses.replace(FACTS, **after)  # type: ignore[arg-type]
    return compare(first, second, where="pi")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, ()),
        ({"throttled": "0x0"}, {"throttled": "0x0"}, ()),
        ({"throttled": "0x50000"}, {"throttled": "0x50000"}, ()),
        ({"throttled": "0x0"}, {"throttled": "0x50000"}, ("throttled",)),
        ({"throttled": "0x50000"}, {"throttled": "0x50005"}, ("throttled",)),
        ({"throttled": ""}, {"throttled": ""}, ()),
        ({"governor": "performance"}, {"governor": "ondemand"}, ("governor-changed",)),
        (
            {"governor": "performance", "frequencies_hz": (1.8e9,)},
            {"governor": "performance", "frequencies_hz": (1.5e9,)},
            ("frequency-changed",),
        ),
        (
            {"governor": "ondemand", "frequencies_hz": (1.8e9,)},
            {"governor": "ondemand", "frequencies_hz": (0.6e9,)},
            (),
        ),
        ({"load_1min": 9.0}, {}, ()),
    ],
)
def test_flags(before: dict[str, object], after: dict[str, object], expected: tuple[str, ...]) -> None:
    """A flag is raised by what happened during the session, not by what the board has carried since boot."""
    assert flags(before, after) == expected


def test_restart_is_the_boards_fault() -> None:
    """Another boot id after the session means that nothing between is evidence."""
    with pytest.raises(DeviceError, match="started anew"):
        flags({}, {"boot_id": "two"})


def test_fingerprint_ignores_what_moves_and_sees_what_lasts() -> None:
    """Temperature, load and boot do not change a fingerprint; kernel, runtime and emulator do."""
    moved = dataclasses.replace(FACTS, load_1min=3.0, temperatures_c={"cpu": 50.0}, boot_id="two", free_bytes=5)
    updated = dataclasses.replace(FACTS, kernel="6.2")
    reference = fingerprint(FACTS, ["a", "b"], "")

    assert fingerprint(moved, ["b", "a"], "") == reference
    assert len({reference, fingerprint(updated, ["a", "b"], ""), fingerprint(FACTS, ["a"], "")}) == 3
    assert fingerprint(FACTS, ["a", "b"], "qemu 7.2") != reference


def core(number: int, part: str, implementer: str = "0x41") -> str:
    """Write one block of /proc/cpuinfo."""
    return f"processor\t: {number}\nCPU implementer\t: {implementer}\nCPU part\t: {part}\n\n"


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("", ""),
        (core(0, "0xd05") + core(1, "0xd05"), "Cortex-A55"),
        (core(0, "0xd03") + core(1, "0xd03") + core(2, "0xd08"), "2x Cortex-A53 + 1x Cortex-A72"),
        (core(0, "0x999"), "CPU 0x41/0x999"),
        (core(0, "nonsense"), ""),
        (core(0, "0x051", "0x00"), "QEMU max"),
        ("processor\t: 0\nmodel name\t: Some   CPU @ 2GHz\n", "Some CPU @ 2GHz"),
    ],
)
def test_core_names(cpuinfo: str, expected: str) -> None:
    """Cores are named from their part numbers, unlike ones counted, unknown ones shown as numbers."""
    assert name_cores(cpuinfo) == expected


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"files": [], "globs": 3, "python": None, "disk": "x", "commands": []},
        {"files": {"/proc/cpuinfo": 5}, "globs": {"a": {"b": None}}, "python": {"version": 3, "affinity": "x"}},
        {"globs": {"g": {"/sys/class/thermal/thermal_zone0/temp": "hot", "/x/cpu0/cpufreq/scaling_cur_freq": "fast"}}},
        {"python": {"version": "3.11\x1b[2J", "libc": "x" * 5000}},
    ],
)
def test_nonsense_gives_empty_facts(raw: dict[str, object]) -> None:
    """Whatever a board says, parsing ends, and unreadable means unknown."""
    facts = parse_facts(raw)

    assert facts.python == ""
    assert facts.temperatures_c == {}
    assert facts.frequencies_hz == ()
    assert len(facts.libc) <= 200
