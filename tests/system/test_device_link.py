"""One open board over a real sshd: deploy, resume, lease, and every way in which the link can be lost."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.agent.message import SessionRequest
from harness.device import deploy as deploy_module
from harness.device.client import AgentClient
from harness.device.connection import Reach
from harness.device.deploy import deploy
from harness.device.opening import open_device, open_local
from harness.device.start import Start, start_agent
from harness.errors import DeviceError, InfraError, LeaseBusy, LinkLost
from harness.spec.model import Device, Origin, Tier
from harness.testing.sshd import LocalSshd
from harness.transport.ssh import SshTransport

pytestmark = pytest.mark.system


def quiet(line: str) -> None:
    """Drop progress lines."""


def make_spec(root: Path) -> Device:
    """Describe this machine as a board with its own sshd."""
    return Device(
        "host", "host", ("host",), Tier.HARDWARE, Origin("farm.yaml", 1, 1), own_sshd=True, root=str(root / "board")
    )


@pytest.fixture(scope="module")
def sshd() -> Iterator[LocalSshd]:
    """Run one private sshd for the module."""
    with LocalSshd() as running:
        yield running


@contextlib.contextmanager
def connect(sshd: LocalSshd, root: Path, holder: str = "anna@ci pid 1 (run r1)") -> Iterator[AgentClient]:
    """Start an agent over SSH and hold its lease."""
    with SshTransport(sshd.endpoint("pi")) as transport:
        client, _ = start_agent(transport, Start("python3", str(root / "board"), holder))
        with client:
            yield client


def test_host_profile_needs_no_setup(tmp_path: Path) -> None:
    """A device without ssh gets its own sshd; its facts are this machine's, and nothing is left after it."""
    with open_device(make_spec(tmp_path), progress=quiet) as device:
        facts, record = device.facts, device.record

    assert facts.architecture == os.uname().machine
    assert facts.kernel == os.uname().release
    assert facts.python_abi.startswith("cp3")
    assert record.fingerprint
    assert _processes_below(tmp_path) == []


def test_file_is_sent_once(sshd: LocalSshd, tmp_path: Path) -> None:
    """A file arrives under its hash, whole; a second deploy sends nothing."""
    file = tmp_path / "model.onnx"
    file.write_bytes(os.urandom(3_000_000))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()

    with connect(sshd, tmp_path) as client:
        sent: list[str] = []
        request = client.request

        def spy(op: str, *arguments: object, **options: object) -> object:
            sent.append(op)
            return request(op, *arguments, **options)  # type: ignore[arg-type]

        client.request = spy  # type: ignore[method-assign, assignment]
        assert deploy(client, [file, file], progress=quiet) == (digest, digest)
        first = sent.count("put")
        assert deploy(client, [file], progress=quiet) == (digest,)

    assert first >= 2
    assert sent.count("put") == first
    stored = tmp_path / "board" / "store" / "sha256" / digest[:2] / digest
    assert stored.read_bytes() == file.read_bytes()


def test_interrupted_upload_goes_on_where_it_ended(sshd: LocalSshd, tmp_path: Path) -> None:
    """After a cut the rest is sent, not the whole, and the whole is verified."""
    file = tmp_path / "model.onnx"
    file.write_bytes(os.urandom(1_000_000))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with connect(sshd, tmp_path) as client:
        fields = {"digest": digest, "size": 1_000_000, "offset": 0}
        client.request("put", fields, file.read_bytes()[:600_000], deadline_s=30)

    with connect(sshd, tmp_path) as client:
        has = client.request("has", {"digests": [digest]}, deadline_s=30).header
        deploy(client, [file], progress=quiet)

    assert has["partial"] == {digest: 600_000}
    stored = tmp_path / "board" / "store" / "sha256" / digest[:2] / digest
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == digest


def test_damaged_partial_is_sent_again(sshd: LocalSshd, tmp_path: Path) -> None:
    """A partial file whose bytes are wrong is found by the board's hash and replaced."""
    file = tmp_path / "model.onnx"
    file.write_bytes(os.urandom(500_000))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    incoming = tmp_path / "board" / "incoming"
    incoming.mkdir(parents=True)
    (incoming / f"{digest}.part").write_bytes(bytes(300_000))

    with connect(sshd, tmp_path) as client:
        deploy(client, [file], progress=quiet)

    stored = tmp_path / "board" / "store" / "sha256" / digest[:2] / digest
    assert stored.read_bytes() == file.read_bytes()


def test_file_that_keeps_arriving_damaged_is_infrastructure(
    sshd: LocalSshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two damaged arrivals are an integrity error; nothing gets the file's name on the board."""
    file = tmp_path / "model.onnx"
    file.write_bytes(b"x" * 1000)
    monkeypatch.setattr(deploy_module, "hash_file", lambda path: "ab" * 32)

    with connect(sshd, tmp_path) as client, pytest.raises(InfraError, match=r"model\.onnx") as caught:
        deploy(client, [file], progress=quiet)

    assert caught.value.code == "integrity"
    assert not (tmp_path / "board" / "store" / "sha256" / "ab" / ("ab" * 32)).exists()


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small disk needs root")
def test_full_disk_is_the_boards_fault(sshd: LocalSshd, tmp_path: Path) -> None:
    """A file that does not fit is refused as the device's trouble, never as the model's."""
    file = tmp_path / "model.onnx"
    file.write_bytes(os.urandom(30_000_000))
    (tmp_path / "board").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "small", str(tmp_path / "board")], check=True)

    try:
        with (
            LocalSshd() as fresh,
            connect(fresh, tmp_path) as client,
            pytest.raises(DeviceError, match="room") as caught,
        ):
            deploy(client, [file], progress=quiet)
    finally:
        subprocess.run(["umount", "-l", str(tmp_path / "board")], check=True)

    assert caught.value.code == "disk"


def test_busy_board_names_its_holder(sshd: LocalSshd, tmp_path: Path) -> None:
    """Whoever comes second is told who holds the board, and gets it when the first has left."""
    with (
        connect(sshd, tmp_path, holder="anna@ci pid 7 (run r42)"),
        pytest.raises(LeaseBusy, match=r"anna@ci pid 7 \(run r42\)"),
        connect(sshd, tmp_path),
    ):
        pass

    with connect(sshd, tmp_path, holder="second") as client:
        assert client.request("has", {"digests": []}, deadline_s=10).header["missing"] == []


def use(client: AgentClient, *, seconds: float) -> None:
    """Keep a board busy with short requests."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        client.request("facts", {"files": [], "globs": [], "commands": [["sleep", "1"]]}, deadline_s=60)


def lose(sshd: LocalSshd, root: Path, fault: Callable[[LocalSshd], None]) -> tuple[LinkLost, float]:
    """Open a board, let something happen, and measure how long it takes until that is known."""
    with SshTransport(sshd.endpoint("pi")) as transport:
        client, _ = start_agent(transport, Start("python3", str(root / "board"), "me"))
        fault(sshd)
        started = time.monotonic()
        with pytest.raises(LinkLost) as caught:
            use(client, seconds=60)
        took_s = time.monotonic() - started
        client.close()
    return caught.value, took_s


def test_killed_link_is_noticed_at_once(sshd: LocalSshd, tmp_path: Path) -> None:
    """The death of the board's sshd session ends the wait within a second or so, and frees the board."""

    def kill(sshd: LocalSshd) -> None:
        for pid in sshd.session_pids():
            os.kill(pid, signal.SIGKILL)

    error, took_s = lose(sshd, tmp_path, kill)

    assert error.code in {"closed", "link"}
    assert took_s < 5
    with connect(sshd, tmp_path):
        pass


def test_stopped_board_is_noticed_within_twenty_seconds(tmp_path: Path) -> None:
    """A board that keeps its TCP connection and says nothing is lost within 20 s."""
    with LocalSshd() as sshd:
        stopped: list[int] = []

        def stop(sshd: LocalSshd) -> None:
            stopped.extend(sshd.session_pids())
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)

        error, took_s = lose(sshd, tmp_path, stop)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)

    assert error.code == "silent"
    assert took_s < 20.5


def test_killed_agent_is_noticed_at_once(sshd: LocalSshd, tmp_path: Path) -> None:
    """The death of the agent alone (no memory left, say) is a lost link, not a result."""

    def kill(sshd: LocalSshd) -> None:
        for pid in _processes_below(tmp_path):
            os.kill(pid, signal.SIGKILL)

    _, took_s = lose(sshd, tmp_path, kill)

    assert took_s < 5


def test_cancel_drops_the_link_at_once(tmp_path: Path) -> None:
    """A cancelled run leaves a board within a second, whatever the board does, and nothing stays on it."""
    cancel = threading.Event()

    with open_device(make_spec(tmp_path), progress=quiet, cancel=cancel) as device:
        threading.Timer(0.5, cancel.set).start()
        started = time.monotonic()
        with pytest.raises(LinkLost, match="stopped"):
            use(device._client, seconds=30)

    assert time.monotonic() - started < 5


def test_board_without_python_is_told(sshd: LocalSshd, tmp_path: Path) -> None:
    """A missing interpreter is the board's fault, with what to do."""
    start = Start("python-that-is-not-there", str(tmp_path / "board"), "me")

    with SshTransport(sshd.endpoint("pi")) as transport, pytest.raises(DeviceError, match=r"Python 3\.8") as caught:
        start_agent(transport, start)

    assert caught.value.code == "python"


def test_unwritable_root_is_told(sshd: LocalSshd, tmp_path: Path) -> None:
    """A folder that cannot be made is the board's fault."""
    (tmp_path / "file").write_text("")
    start = Start("python3", str(tmp_path / "file" / "root"), "me")

    with SshTransport(sshd.endpoint("pi")) as transport, pytest.raises(DeviceError) as caught:
        start_agent(transport, start)

    assert caught.value.code == "agent"


def test_reference_runs_on_the_controller(tmp_path: Path) -> None:
    """The controller itself is a board without SSH; a model that is no model is an error of the reply."""
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    (tmp_path / "data.npz").write_bytes(b"no data")

    with open_local(tmp_path / "local", progress=quiet) as device:
        model, data = device.deploy(tmp_path / "broken.onnx"), device.deploy(tmp_path / "data.npz")
        env = device.ensure_runtime("onnxruntime", "system")
        request = SessionRequest("", "timing", env.id, "onnxruntime", model, ".onnx", data, deadline_s=30)
        result = device.measure(request)

    assert result.reply.error is not None
    assert result.reply.error["code"] in {"load", "input"}
    assert result.arrays == {}


def test_sshd_dies_with_its_starter(tmp_path: Path) -> None:
    """A controller that is killed outright leaves no sshd behind."""
    script = (
        "import sys, time\nfrom harness.testing.sshd import LocalSshd\n"
        "with LocalSshd() as sshd:\n    print(sshd.pid, sshd.folder, flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(["python3", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    pid, folder = process.stdout.readline().split()

    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()

    give_up = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
    subprocess.run(["rm", "-rf", folder], check=True)


def _processes_below(root: Path) -> list[int]:
    """List the processes whose command line names the board's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"{root}/board".encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def test_reach_needs_no_emulator() -> None:
    """A reach of hardware says nothing of an emulator."""
    assert Reach.__dataclass_fields__["emulator"].default == ""
