"""Names of processor cores from /proc/cpuinfo. Pure.

Source: MIDR_EL1 part numbers as in the Linux kernel (arch/arm64/include/asm/cputype.h) and util-linux (lscpu-arm.c).
"""

from __future__ import annotations

import re

_ARM = {
    0xB76: "ARM1176",
    0xC05: "Cortex-A5",
    0xC07: "Cortex-A7",
    0xC08: "Cortex-A8",
    0xC09: "Cortex-A9",
    0xC0E: "Cortex-A17",
    0xC0F: "Cortex-A15",
    0xD01: "Cortex-A32",
    0xD02: "Cortex-A34",
    0xD03: "Cortex-A53",
    0xD04: "Cortex-A35",
    0xD05: "Cortex-A55",
    0xD06: "Cortex-A65",
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse-N1",
    0xD0D: "Cortex-A77",
    0xD0E: "Cortex-A76AE",
    0xD40: "Neoverse-V1",
    0xD41: "Cortex-A78",
    0xD42: "Cortex-A78AE",
    0xD44: "Cortex-X1",
    0xD46: "Cortex-A510",
    0xD47: "Cortex-A710",
    0xD48: "Cortex-X2",
    0xD49: "Neoverse-N2",
    0xD4A: "Neoverse-E1",
    0xD4B: "Cortex-A78C",
    0xD4D: "Cortex-A715",
    0xD4F: "Neoverse-V2",
    0xD80: "Cortex-A520",
    0xD81: "Cortex-A720",
}
_PARTS = {
    0x41: _ARM,
    0x46: {0x001: "A64FX"},
    0x4E: {0x003: "Denver 2", 0x004: "Carmel"},
    0x51: {0x802: "Kryo 3xx Gold", 0x803: "Kryo 3xx Silver", 0x804: "Kryo 4xx Gold", 0x805: "Kryo 4xx Silver"},
    0x61: {0x022: "Apple Icestorm", 0x023: "Apple Firestorm"},
    0xC0: {0xAC3: "Ampere-1"},
}
# QEMU's `-cpu max` gives the architecture in the place of a part number.
_GENERIC = {(0x00, 0x051): "QEMU max", (0x41, 0xD0F): "Foundation model"}


def name_cores(cpuinfo: str) -> str:
    """Name the cores in /proc/cpuinfo: `Cortex-A76`, `4x Cortex-A53 + 2x Cortex-A73`, or x86's model name."""
    names: dict[str, int] = {}
    for block in re.split(r"\n\s*\n", cpuinfo):
        if re.search(r"^processor\s*:", block, re.MULTILINE):
            name = _name_core(block)
            names[name] = names.get(name, 0) + 1
    names.pop("", None)
    if len(names) == 1:
        return next(iter(names))
    return " + ".join(f"{count}x {name}" for name, count in sorted(names.items()))


def _name_core(block: str) -> str:
    fields = dict(re.findall(r"^([^:\n]+?)\s*:[ \t]*(.*?)\s*$", block, re.MULTILINE))
    try:
        implementer, part = int(fields["CPU implementer"], 16), int(fields["CPU part"], 16)
    except (KeyError, ValueError):
        return re.sub(r"\s+", " ", fields.get("model name", ""))[:100]
    known = _GENERIC.get((implementer, part)) or _PARTS.get(implementer, {}).get(part)
    return known or f"CPU {implementer:#04x}/{part:#05x}"
