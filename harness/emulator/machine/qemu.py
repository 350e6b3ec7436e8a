"""The QEMU command line of a board, and QEMU's version. Pure but for asking the version; starts no board."""

from __future__ import annotations

import functools
import re
import subprocess

from harness.emulator.image import Image
from harness.emulator.image.requirement import program, require_to_run
from harness.errors import ImageError
from harness.spec.model import Emulation

CONSOLE = "console.log"
DISK = "disk.qcow2"
STATE = "state"
"""File names in the folder of a machine, which is QEMU's working folder."""

COMMAND_VERSION = 2
"""Raise it when the command line changes: a machine state restores only under the options that it was saved with."""

_CPU_OPTIONS = {"max": "max,pauth-impdef=on"}
"""Pointer authentication by a hash of QEMU, which the architecture allows: a kernel that signs its return addresses
boots in 7 s instead of 25 s, and the features are the same."""

_OLDEST = (7, 2)
_DATE = "2025-01-01T00:00:00"
_FORWARD = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(?P<port>\d+)")
_VERSION = re.compile(r"version (?P<version>(?P<major>\d+)\.(?P<minor>\d+)\S*)(?: \((?P<package>[^)]*)\))?")


def qemu_command(image: Image, emulation: Emulation, *, channel: int, restore: bool, shift: int = 0) -> list[str]:
    """Compose the call that runs a board in the current folder.

    With `icount` one instruction is one nanosecond of virtual time, and nothing the guest can see varies from start to
    start: no random seed in the device tree, no address space randomisation, a clock that starts on a fixed date and
    counts virtual time. `sleep` stays on: off, idle virtual time races ahead and sshd ends logins at once.

    Port 0 of the forward lets the kernel pick a free port and QEMU bind it in one step: no race. `restrict` keeps the
    board from reaching anything. The disk is thrown away, or saved after QEMU has ended, so that flushes to the host's
    disk would only cost time (`cache=unsafe`). A full disk of the host is an error of the board's disk (`werror`): by
    default QEMU would stop the board without a word.

    Args:
        image: the kernel and initramfs to boot.
        emulation: CPU, memory, kind.
        channel: descriptor of the control channel, inherited by QEMU.
        restore: continue from the file STATE instead of booting.
        shift: with `icount`, an instruction lasts 2^shift ns. A slower board counts fewer instructions per second of
            its own time, and this computer gets through that second sooner.
    """
    machine, clock, kernel_options = "virt", "base=utc,clock=host", "console=ttyAMA0 quiet mitigations=off"
    accelerator = ["-accel", "tcg,thread=single"]
    if emulation.icount:
        machine += ",dtb-randomness=off"
        clock = f"base={_DATE},clock=vm"
        kernel_options += " nokaslr norandmaps"
        accelerator += ["-icount", f"shift={shift},sleep=on"]
    return [
        program("qemu-system-aarch64") or "qemu-system-aarch64",
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", machine, "-cpu", cpu_option(emulation.cpu), "-smp", "1"),
        *("-m", f"{-(-emulation.memory_bytes // 2**20)}M"),
        *accelerator,
        *("-rtc", clock),
        *("-kernel", str(image.kernel), "-initrd", str(image.initramfs), "-append", kernel_options),
        *("-drive", f"if=none,id=disk,file={DISK},format=qcow2,cache=unsafe,werror=report"),
        *("-device", "virtio-blk-device,drive=disk"),
        *("-netdev", "user,id=net,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:0-:22"),
        *("-device", "virtio-net-device,netdev=net"),
        *("-device", "virtio-rng-device"),
        *("-serial", f"file:{CONSOLE}"),
        *("-chardev", f"socket,id=control,fd={channel}", "-mon", "chardev=control,mode=control"),
        *(("-incoming", f"exec:cat {STATE}") if restore else ()),
    ]


def cpu_option(cpu: str) -> str:
    """Give what QEMU is told of a CPU: its name, and options that only its speed hangs on."""
    return _CPU_OPTIONS.get(cpu, cpu)


def forwarded_port(usernet: str) -> int:
    """Read the loopback port that reaches the board's sshd from the answer to `info usernet`.

    Raises:
        ImageError: there is no such line.
    """
    if (match := _FORWARD.search(usernet)) is None:
        raise ImageError(f"QEMU forwards no port: {usernet.strip()!r}")
    return int(match["port"])


@functools.cache
def qemu_version() -> str:
    """Give the version with the distribution's package version, `7.2.22 Debian 1:7.2+dfsg-…`.

    Raises:
        ImageError: QEMU is missing, too old, or says nothing readable.
    """
    require_to_run()
    command = [program("qemu-system-aarch64") or "qemu-system-aarch64", "--version"]
    said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
    return parse_version(said)


def parse_version(said: str) -> str:
    """Read what `--version` printed; see `qemu_version`."""
    if (match := _VERSION.search(said)) is None:
        raise ImageError(f"qemu-system-aarch64 --version says nothing readable: {said.strip()[:200]!r}")
    if (int(match["major"]), int(match["minor"])) < _OLDEST:
        raise ImageError(f"QEMU {match['version']} is too old, emulated boards need {_OLDEST[0]}.{_OLDEST[1]} or newer")
    return f"{match['version']} {match['package'] or ''}".strip()
