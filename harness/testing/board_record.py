"""The three boards of the sample run: what was asked of them and how they were met.

One for each tier that a gate knows; invented, but as such boards tell it.
"""

from __future__ import annotations

import hashlib

from harness.records.run import DeviceRecord, Facts
from harness.spec.model import Device, Emulation, MeterSpec, Origin, Ssh, Tier


def digest(text: str) -> str:
    """Make a SHA-256 for something that does not exist."""
    return hashlib.sha256(text.encode()).hexdigest()


def devices() -> tuple[Device, ...]:
    """Give an emulated deterministic, an emulated functional and a physical board, as farm.yaml would."""

    def emulated(name: str, cpu: str, tier: Tier, line: int) -> Device:
        profile = f"qemu-{cpu}"
        return Device(
            name, profile, (profile, "qemu", "arm64"), tier, Origin("farm.yaml", line, 5),
            emulation=Emulation(cpu, 2**30, icount=tier is Tier.DETERMINISTIC),
            runtimes={"onnxruntime": "onnxruntime==1.23.2", "tflite": "tflite-runtime==2.14.0"},
            power=MeterSpec("modelled", idle_w=1.6, joule_per_instruction=2.1e-10),
        )  # fmt: skip

    board = Device(
        "pi-lab-3", "rpi5", ("rpi5", "arm64"), Tier.HARDWARE, Origin("farm.yaml", 7, 5), ssh=Ssh("pi-lab-3"),
        runtimes={"onnxruntime": "onnxruntime==1.23.2", "tflite": "ai-edge-litert==2.1.0"},
        power=MeterSpec("hwmon", rail="vdd_in"), tags=("lab-a", "camera"),
    )  # fmt: skip
    return (
        emulated("a53", "cortex-a53", Tier.DETERMINISTIC, 3),
        emulated("a72", "cortex-a72", Tier.FUNCTIONAL, 5),
        board,
    )


def device_record(device: Device) -> DeviceRecord:
    """Tell how one of them was met in a run."""
    hardware = device.tier is Tier.HARDWARE
    cpu = device.emulation.cpu if device.emulation else "Cortex-A76"
    features = ("fp", "asimd", "aes", "sha2", "crc32", *(("asimddp",) if hardware else ()))
    facts = Facts(
        architecture="aarch64", cpu=cpu, cores=4 if hardware else 1, features=features,
        memory_bytes=8 * 2**30 if hardware else 2**30, kernel="6.12.25+rpt-rpi-2712" if hardware else "6.1.0-40-arm64",
        libc="glibc 2.36", python="3.11.2", python_abi="cp311", governor="performance" if hardware else "",
        frequencies_hz=(2.4e9,) if hardware else (), temperatures_c={"cpu-thermal": 51.2} if hardware else {},
        load_1min=0.07, boot_id=digest(device.name)[:12], free_bytes=9 * 2**30,
        machine="Raspberry Pi 5 Model B Rev 1.0" if hardware else "linux,dummy-virt",
        throttled="0x0" if hardware else "",
    )  # fmt: skip
    emulator = "" if hardware else f"QEMU 7.2.19, image {digest('image')[:12]}, snapshot {digest(device.name)[:12]}"
    print_, state = digest(f"print {device.name}")[:16], "" if hardware else digest(f"state {device.name}")
    return DeviceRecord(device.name, device.profile, device.tier, facts, print_, emulator, snapshot=state)
