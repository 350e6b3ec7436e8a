"""What a board is: which files and commands to read there, and pure parsers of what they say.

An empty or zero field means that the board does not expose it, never "ok". Golden files: tests/golden/facts/<board>/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.device.cpu import name_cores
from harness.records.run import Facts

FILES = (
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/loadavg",
    "/proc/sys/kernel/random/boot_id",
    "/proc/device-tree/model",
    "/sys/class/dmi/id/product_name",
)
GLOBS = (
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor",
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq",
    "/sys/class/thermal/thermal_zone*/type",
    "/sys/class/thermal/thermal_zone*/temp",
    "/sys/class/thermal/cooling_device*/type",
    "/sys/class/thermal/cooling_device*/cur_state",
    "/sys/class/hwmon/hwmon*/oc*_event_cnt",
    "/sys/class/hwmon/hwmon*/curr*_crit_alarm",
    "/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count",
)
COMMANDS = (("vcgencmd", "get_throttled"),)
REQUEST: dict[str, Any] = {"files": list(FILES), "globs": list(GLOBS), "commands": [list(argv) for argv in COMMANDS]}


def parse_facts(raw: Mapping[str, Any]) -> Facts:
    """Parse the reply of the `facts` operation.

    Args:
        raw: `files` {path: text or null}, `globs` {pattern: {path: text}}, `commands`, `python`, `disk`; anything may
            be missing or nonsense.
    """
    files = {str(path): text for path, text in _mapping(raw, "files").items() if isinstance(text, str)}
    globs = {str(pattern): _texts(found) for pattern, found in _mapping(raw, "globs").items()}
    python, disk = _mapping(raw, "python"), _mapping(raw, "disk")
    cpuinfo = files.get("/proc/cpuinfo", "")
    machine = _first_text(files, "/proc/device-tree/model", "/sys/class/dmi/id/product_name")
    governors = sorted(set(_numbered(globs, "scaling_governor")))
    return Facts(
        architecture=_architecture(python),
        cpu=name_cores(cpuinfo),
        cores=len(_list(python, "affinity")) or len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE)),
        features=_features(cpuinfo),
        memory_bytes=_memory_bytes(files.get("/proc/meminfo", "")),
        kernel=_word(python, "kernel"),
        libc=_word(python, "libc"),
        python=_word(python, "version"),
        python_abi=_word(python, "abi"),
        governor=",".join(governors),
        frequencies_hz=tuple(1000.0 * int(text) for text in _numbered(globs, "scaling_cur_freq") if text.isdigit()),
        temperatures_c=_temperatures(globs),
        load_1min=_load(files.get("/proc/loadavg", "")),
        boot_id=files.get("/proc/sys/kernel/random/boot_id", "").strip()[:64],
        machine=machine,
        free_bytes=_count(disk, "free_bytes"),
        throttled=_throttled(_mapping(raw, "commands")),
        throttle_signs=_throttle_signs(globs),
    )


def _architecture(python: Mapping[str, Any]) -> str:
    """Return the machine that wheels must be for: a 32-bit system may run on a 64-bit kernel (Raspberry Pi OS)."""
    machine = _word(python, "architecture")
    return "armv7l" if python.get("bits") == 32 and machine in {"aarch64", "armv8l"} else machine


def _mapping(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = raw.get(name)
    return found if isinstance(found, dict) else {}


def _texts(found: object) -> dict[str, str]:
    if not isinstance(found, dict):
        return {}
    return {str(path): text.strip() for path, text in found.items() if isinstance(text, str)}


def _word(raw: Mapping[str, Any], name: str) -> str:
    found = raw.get(name)
    return found[:200] if isinstance(found, str) and found.isprintable() else ""


def _list(raw: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = raw.get(name)
    return found if isinstance(found, list) else []


def _count(raw: Mapping[str, Any], name: str) -> int:
    found = raw.get(name)
    return found if isinstance(found, int) and found > 0 else 0


def _first_text(files: Mapping[str, str], *paths: str) -> str:
    """Return the first text that is there; device-tree strings end with a NUL."""
    for path in paths:
        text = files.get(path, "").strip("\0 \n\t")
        if text:
            return "".join(char for char in text if char.isprintable())[:200]
    return ""


def _numbered(globs: Mapping[str, Mapping[str, str]], leaf: str) -> list[str]:
    """Return the texts of the files named `leaf`, in the order of the first number in their paths."""
    found = [item for texts in globs.values() for item in texts.items() if item[0].rpartition("/")[2] == leaf]
    return [text for _, text in sorted(found, key=lambda item: int((re.search(r"\d+", item[0]) or ["0"])[0]))]


def _features(cpuinfo: str) -> tuple[str, ...]:
    """Return what all cores have: a session may run on any of them."""
    sets = [set(line.split()) for line in re.findall(r"^(?:Features|flags)\s*:(.*)$", cpuinfo, re.MULTILINE)]
    return tuple(sorted(set.intersection(*sets))) if sets else ()


def _memory_bytes(meminfo: str) -> int:
    found = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _load(loadavg: str) -> float:
    found = re.match(r"(\d+\.\d+) ", loadavg)
    return float(found[1]) if found else 0.0


def _temperatures(globs: Mapping[str, Mapping[str, str]]) -> dict[str, float]:
    """Return °C per thermal zone; zones that share a type are told apart by their number."""
    types, values = {}, {}
    for texts in globs.values():
        for path, text in texts.items():
            zone, _, leaf = path.rpartition("/")
            if leaf == "type":
                types[zone] = text[:64]
            elif leaf == "temp" and re.fullmatch(r"-?\d{1,7}", text):
                values[zone] = int(text) / 1000.0
    names = [types.get(zone, "") for zone in values]
    found = {}
    for zone, value in values.items():
        name, number = types.get(zone, ""), zone.rpartition("thermal_zone")[2]
        found[name if name and names.count(name) == 1 else f"{name or 'zone'}-{number}"] = value
    return found


def _throttle_signs(globs: Mapping[str, Mapping[str, str]]) -> dict[str, float]:
    """Return what tells throttling: over-current events and alarms (Jetson), states of CPU cooling, x86's counts."""
    files = {path: text for texts in globs.values() for path, text in texts.items()}
    found = {}
    for path, text in files.items():
        folder, _, leaf = path.rpartition("/")
        is_sign = leaf.endswith(("_event_cnt", "_crit_alarm", "_throttle_count"))
        # A fan is a cooling device too: only one that lowers the clock is a sign.
        is_sign = is_sign or (leaf == "cur_state" and "cpufreq" in files.get(folder + "/type", ""))
        if is_sign and re.fullmatch(r"\d{1,15}", text):
            found["/".join(path.split("/")[-3:])] = float(text)
    return found


def _throttled(commands: Mapping[str, Any]) -> str:
    """Return the word of `vcgencmd get_throttled` (`0x50000`), empty where there is no such command.

    Source: Raspberry Pi documentation, vcgencmd get_throttled (bits 0-3: now, 16-19: since boot).
    """
    done = _mapping(commands, "vcgencmd get_throttled")
    found = re.fullmatch(r"throttled=(0x[0-9a-f]+)", str(done.get("stdout", "")).strip())
    return found[1] if found and done.get("status") == 0 else ""
