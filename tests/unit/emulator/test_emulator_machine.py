"""The command line of QEMU, its control channel, the first login: without starting QEMU."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from harness.emulator import start_board
from harness.emulator.image import Image
from harness.emulator.machine.login import Endpoint, ssh_command
from harness.emulator.machine.qemu import cpu_option, forwarded_port, parse_version, qemu_command
from harness.emulator.machine.qmp import Qmp, QmpClosed
from harness.emulator.snapshot import Snapshots
from harness.errors import ImageError
from harness.spec.model import Emulation

_IMAGE = Image("0123456789abcdef", "bookworm", Path("/images/x"), "6.1", "ssh-ed25519 A", "c0ffee")
_DETERMINISTIC = Emulation("cortex-a53", 1 << 30, icount=True)
_FUNCTIONAL = Emulation("cortex-a72", 512 << 20, icount=False)


def _quiet(_line: str) -> None:
    return None


def _value(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def test_deterministic_board_has_no_source_of_chance() -> None:
    """The whole command line of a counting board: whatever is added to it must be no source of chance."""
    command = qemu_command(_IMAGE, _DETERMINISTIC, channel=7, restore=False)

    assert [Path(command[0]).name, *command[1:]] == [
        "qemu-system-aarch64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-machine", "virt,dtb-randomness=off",              # no kaslr-seed and no rng-seed in the device tree
        "-cpu", "cortex-a53", "-smp", "1", "-m", "1024M",
        "-accel", "tcg,thread=single",
        "-icount", "shift=0,sleep=on",                      # one instruction is 1 ns; idle time passes as ours does
        "-rtc", "base=2025-01-01T00:00:00,clock=vm",        # the guest's date is a count, too
        "-kernel", str(_IMAGE.kernel), "-initrd", str(_IMAGE.initramfs),
        "-append", "console=ttyAMA0 quiet mitigations=off nokaslr norandmaps",
        "-drive", "if=none,id=disk,file=disk.qcow2,format=qcow2,cache=unsafe,werror=report",
        "-device", "virtio-blk-device,drive=disk",
        "-netdev", "user,id=net,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:0-:22",
        "-device", "virtio-net-device,netdev=net",
        "-device", "virtio-rng-device",
        "-serial", "file:console.log",
        "-chardev", "socket,id=control,fd=7", "-mon", "chardev=control,mode=control",
    ]  # fmt: skip


def test_a_board_may_count_fewer_instructions_per_second() -> None:
    """Four nanoseconds per instruction: a board of scripted power is no faster than it needs to be."""
    command = qemu_command(_IMAGE, _DETERMINISTIC, channel=7, restore=False, shift=2)

    assert _value(command, "-icount") == "shift=2,sleep=on"


def test_functional_board_counts_nothing() -> None:
    """A board without icount is plain emulation of the same shape."""
    command = qemu_command(_IMAGE, _FUNCTIONAL, channel=7, restore=False)

    assert "-icount" not in command
    assert (_value(command, "-cpu"), _value(command, "-m"), _value(command, "-smp")) == ("cortex-a72", "512M", "1")


def test_options_of_a_cpu_are_part_of_a_snapshots_name() -> None:
    """`max` computes pointer authentication in QEMU's own way, so that its kernel boots as fast as others."""
    assert cpu_option("max") == "max,pauth-impdef=on"
    assert cpu_option("cortex-a76") == "cortex-a76"


def test_board_listens_on_loopback_only_and_reaches_nothing() -> None:
    """The forward is bound to loopback with a port of the kernel's choice, and the guest is cut off."""
    network = _value(qemu_command(_IMAGE, _DETERMINISTIC, channel=7, restore=False), "-netdev")

    assert "hostfwd=tcp:127.0.0.1:0-:22" in network
    assert "restrict=on" in network


def test_restoring_changes_no_other_option() -> None:
    """A state restores only under the options it was saved with: restoring adds and changes nothing else."""
    booting = qemu_command(_IMAGE, _DETERMINISTIC, channel=7, restore=False)
    restoring = qemu_command(_IMAGE, _DETERMINISTIC, channel=7, restore=True)

    assert restoring == [*booting, "-incoming", "exec:cat state"]


def test_forwarded_port_is_read() -> None:
    """The chosen port stands in QEMU's table of connections."""
    table = (
        "Hub -1 (net):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n"
        "  TCP[HOST_FORWARD]   3       127.0.0.1 38079       10.0.2.15    22     0     0\r\n"
    )

    assert forwarded_port(table) == 38079
    with pytest.raises(ImageError, match="forwards no port"):
        forwarded_port("Hub -1 (net):\r\n")


def test_version_is_read_with_the_package() -> None:
    """The distribution's version is part of it, because its patches may change what is emulated."""
    said = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright (c) 2003-2022\n"

    assert parse_version(said) == "7.2.22 Debian 1:7.2+dfsg-7+deb12u18+b3"
    assert parse_version("QEMU emulator version 10.0.2\n") == "10.0.2"


@pytest.mark.parametrize(("said", "why"), [("QEMU emulator version 6.2.0", "too old"), ("", "nothing readable")])
def test_unusable_version_is_an_error(said: str, why: str) -> None:
    """An old or unreadable QEMU is refused by name."""
    with pytest.raises(ImageError, match=why):
        parse_version(said)


def _fake_qemu(channel: socket.socket, answers: list[dict[str, object]]) -> threading.Thread:
    def serve() -> None:
        with channel, channel.makefile("rwb") as stream:
            stream.write(b'{"QMP": {"version": {}}}\n')
            stream.flush()
            stream.readline()
            stream.write(b'{"return": {}}\n')
            stream.flush()
            for answer in answers:
                stream.readline()
                stream.write(b'{"event": "RESUME"}\n' + json.dumps(answer).encode() + b"\n")
                stream.flush()

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_qmp_returns_refuses_and_ends() -> None:
    """Events are skipped, a refusal is an error that quotes QEMU, the end of QEMU is told apart."""
    ours, theirs = socket.socketpair()
    thread = _fake_qemu(theirs, [{"return": {"status": "running"}}, {"error": {"desc": "no such thing"}}])
    qmp = Qmp(ours, timeout_s=5)

    assert qmp.call("query-status") == {"status": "running"}
    with pytest.raises(ImageError, match="no such thing"):
        qmp.call("x")
    with pytest.raises(QmpClosed):
        qmp.call("query-status")
    thread.join()
    ours.close()


def test_silent_qemu_is_an_error() -> None:
    """A QEMU that does not answer is given up after the time named."""
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(ImageError, match="did not answer"):
        Qmp(ours, timeout_s=0.05)


def test_login_trusts_the_pinned_key_alone() -> None:
    """No configuration or known host of the user takes part, and an unknown key is never accepted."""
    endpoint = Endpoint("127.0.0.1", 2222, "root", Path("/k"), "ssh-ed25519 A")

    command = ssh_command(endpoint, Path("/kh"), "true", connect_timeout_s=5)

    assert {"StrictHostKeyChecking=yes", "UserKnownHostsFile=/kh", "GlobalKnownHostsFile=/dev/null"} <= set(command)
    assert command[1:3] == ["-F", "none"]


def test_snapshots_are_told_apart() -> None:
    """CPU, memory, kind, key and QEMU build each make another snapshot."""
    snapshots = Snapshots(_IMAGE, _quiet, qemu="7.2.22")
    kinds = [
        (snapshots, _DETERMINISTIC, ""),
        (snapshots, _DETERMINISTIC, "k"),
        (snapshots, Emulation("cortex-a72", 1 << 30, icount=True), ""),
        (snapshots, Emulation("cortex-a53", 2 << 30, icount=True), ""),
        (snapshots, Emulation("cortex-a53", 1 << 30, icount=False), ""),
        (Snapshots(_IMAGE, _quiet, qemu="8.2.0"), _DETERMINISTIC, ""),
    ]

    folders = {each.folder(emulation, key) for each, emulation, key in kinds}

    assert len(folders) == len(kinds)


def test_unprepared_key_is_an_error() -> None:
    """Starting from a snapshot that nobody made is refused with its key."""
    with pytest.raises(ImageError, match="'nothing'"):
        Snapshots(_IMAGE, _quiet, qemu="7.2.22").start(_DETERMINISTIC, "nothing")


def test_key_and_prepare_belong_together() -> None:
    """A key without the work that it names would silently give the wrong board."""
    with pytest.raises(ValueError, match="belong together"):
        start_board(_DETERMINISTIC, progress=_quiet, key="k")
