"""The emulated board with scripted sensors, and energy sessions on it as on a board of the farm.

Debian's generic kernel on a board of counted instructions: its clocks do not depend on how busy this computer is. It is
reached by SSH like hardware. Owns the machine, its chips and the player; what a session says is the measuring code's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shlex
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from harness.campaign.arm import Arm
from harness.campaign.session import PlannedSession
from harness.device.opening import open_device
from harness.device.session import OpenDevice
from harness.emulator import ImageRecipe, Machine, build_image
from harness.emulator.image.modules import build_modules
from harness.emulator.machine.process import Source
from harness.errors import ImageError
from harness.records.cell import ArrayRef, CellRecord, Role, SessionKind, SessionRecord
from harness.records.plan import FileIdentity
from harness.records.verdict import Estimate
from harness.spec.model import Device, Emulation, MeterSpec, Origin, Ssh, Tier
from harness.stats import Evidence, Missing, estimate
from harness.stats.sensor import between_readings_j
from harness.stats.trace import PowerTrace
from harness.testing.evidence import Scene
from harness.testing.power.script import Script

_CPU, _MEMORY_BYTES = "cortex-a72", 2**30
_FAMILY, _BUILD = "onnxruntime", "onnxruntime==1.32.0"
_SHIFT = 2
"""Four nanoseconds per instruction: with one, a session takes a busy computer four times as long."""
_BOOT_S = 180.0
_AGENT = "SSH_AUTH_SOCK"
_OF_KERNEL = ("crc16", "mbcache", "jbd2", "crc32c_generic", "ext4")
"""What the generic kernel has as modules and the cloud kernel built in."""
_OF_SENSORS = ("i2c-dev", "industrialio", "kfifo_buf", "ina2xx-adc")
_SOURCES = (
    "drivers/i2c/i2c-stub.c",
    "drivers/hwmon/ina2xx.c",
    "drivers/hwmon/ina3221.c",
    "drivers/hwmon/ltc2947-core.c",
    "drivers/hwmon/ltc2947-i2c.c",
    "drivers/hwmon/ltc2947.h",
    "drivers/power/supply/test_power.c",
)
_FOLDER = "/run/power"
_LOG, _PLAYER_LOG = f"{_FOLDER}/loads.jsonl", f"{_FOLDER}/player.log"
_READY = f"{_FOLDER}/ready"
_START = f"""cd {_FOLDER}
[ ! -e pid ] || kill $(cat pid)
rm -f {_LOG} {_READY}
cat >told.json
setsid python3 player.py <told.json >{_PLAYER_LOG} 2>&1 &
echo $! >pid
while [ ! -e {_READY} ]; do kill -0 $! || {{ cat {_PLAYER_LOG} >&2; exit 1; }}; sleep 0.1; done"""
# Both drivers of an INA226 answer to its name: the second chip is left to the one that the kernel has, IIO's.
_SET_UP = f"""set -e
cd {_FOLDER}
/bin/busybox insmod i2c-stub.ko chip_addr=0x40,0x41,0x42,0x5c
for name in ina2xx ina3221 ltc2947-core ltc2947-i2c test_power; do /bin/busybox insmod $name.ko; done
bus=/sys/bus/i2c/devices/i2c-0
[ "$(cat $bus/name)" = "SMBus stub driver" ]
echo ina226 0x40 >$bus/new_device
echo ina226 0x41 >$bus/new_device
echo ina3221 0x42 >$bus/new_device
echo ltc2947 0x5c >$bus/new_device
echo 0-0040 >$bus/0-0040/driver/unbind
echo 0-0040 >/sys/bus/i2c/drivers/ina2xx/bind
echo 2 >$(echo $bus/0-0040/hwmon/hwmon*)/update_interval
echo 1 >$(echo $bus/0-0041/iio:device*)/in_oversampling_ratio
for other in 2 3; do echo 0 >$(echo $bus/0-0042/hwmon/hwmon*)/in${{other}}_enable; done"""


@dataclass(frozen=True, slots=True)
class Chip:
    """A sensor of the board: what the player writes to, and how a farm.yaml names it."""

    sink: str
    meter: str
    rail: str
    address: int = 0
    tick_s: float = 0.0
    """How often its reading is renewed by itself."""
    first: int = 0
    """Where its counter begins, in its own steps."""


HWMON = Chip("ina226", "hwmon", "ina226", 0x40)
IIO = Chip("ina226", "iio", "ina226", 0x41)
RAIL = Chip("ina3221", "hwmon", "ina3221/curr1", 0x42)
SUPPLY = Chip("battery", "supply", "test_battery")
COUNTER = Chip("ltc2947", "counter", "ltc2947/energy1", 0x5C, tick_s=0.005)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a session said of a script."""

    answer: Estimate | Missing
    joules: float
    """Of the window, as the figure says; 0 where there is none."""
    scripted_j: float
    """Of the same window, as the script says."""
    record: SessionRecord
    late_s: float
    """The player's longest delay of a step."""
    unseen: float
    """What may lie between the readings, relative; 0 of a counter, which misses nothing."""

    @property
    def error(self) -> float:
        """How far the figure is from the script, relative."""
        return self.joules / self.scripted_j - 1.0


class PowerBoard:
    """A running board; made by `power_board`."""

    def __init__(self, machine: Machine, device: OpenDevice, model: Path, data: Path) -> None:
        self.machine = machine
        self.device = device
        self._script = Script(0.0, ((0.0, 0.0),))
        self._env = device.ensure_runtime(_FAMILY, _BUILD).id
        self._model = FileIdentity(model.name, hashlib.sha256(model.read_bytes()).hexdigest(), model.stat().st_size)
        self._files = device.deploy(model), device.deploy(data)

    def play(self, script: Script, chip: Chip) -> None:
        """Let a chip show a script when the board computes after a rest, in place of what was played before.

        Raises:
            ImageError: the player did not start; with what it said.
        """
        self._script = script
        told = {**dataclasses.asdict(script), **dataclasses.asdict(chip), "bus": 0, "log": _LOG, "ready": _READY}
        self.machine.run(_START, given=json.dumps(told).encode())

    def measure(self, chip: Chip, meter: MeterSpec) -> Seen:
        """Run one energy session, as a campaign does, and set the script that was played against it.

        Args:
            chip: whose rail the meter reads.
            meter: its rate and window; kind and rail are the chip's.
        """
        device = dataclasses.replace(
            self.device.spec, power=dataclasses.replace(meter, kind=chip.meter, rail=chip.rail)
        )
        self.device.spec = device
        planned = dataclasses.replace(
            Scene(power=device.power, device=device.name).evidence().planned, model=self._model
        )
        session = PlannedSession(SessionKind.ENERGY, Role.CANDIDATE)
        arm = Arm(self._files[0], ".onnx", _FAMILY, _BUILD, self._env)
        result = self.device.measure(arm.request(session, planned, device, data=self._files[1]))
        assert result.reply.error is None, result.reply.error
        refs = {name: ArrayRef(f"0/{name}", each.shape, str(each.dtype)) for name, each in result.arrays.items()}
        record = arm.record(session, result.reply, 0, refs)
        arrays = {f"0/{name}": each for name, each in result.arrays.items()}
        return self._compare(Evidence(planned, device, CellRecord(planned.key, (record,)), arrays), record)

    def _compare(self, evidence: Evidence, record: SessionRecord) -> Seen:
        answer = estimate(evidence, "energy.per_inference")
        window = record.scalars["window_start_s"], record.scalars["window_end_s"]
        load = self._load_around(window)
        start_s, end_s = (moment - load["start_s"] for moment in window)
        calls = record.scalars["inference_count"]
        joules = answer.value * calls if isinstance(answer, Estimate) else 0.0
        unseen = _unseen(evidence, record, window)
        return Seen(answer, joules, self._script.joules(start_s, end_s), record, load["late_s"], unseen)

    def _load_around(self, window: tuple[float, float]) -> dict[str, float]:
        """Return what the player noted of the load that holds the window."""
        lines = self.machine.run(f"touch {_LOG}; cat {_LOG}").splitlines()
        loads: list[dict[str, float]] = [json.loads(line) for line in lines]
        for load in loads:
            if load["start_s"] < window[0] < window[1] < load["end_s"]:
                return load
        said = self.machine.run(f"cat {_PLAYER_LOG}")
        raise ImageError(f"the player saw no load around {window} but {loads}; it said: {said}")


def _unseen(evidence: Evidence, record: SessionRecord, window: tuple[float, float]) -> float:
    times_s, watts = evidence.array(record, "power_t_s"), evidence.array(record, "power_w")
    if times_s is None or watts is None:
        return 0.0
    is_number = np.isfinite(watts)
    loaded = PowerTrace(times_s[is_number], watts[is_number]).between(*window)
    return between_readings_j(loaded) / loaded.energy_j()


@contextlib.contextmanager
def power_board(model: Path, data: Path, *, progress: Callable[[str], None]) -> Iterator[PowerBoard]:
    """Boot the board, load its drivers and open it; first use builds image and drivers (network, two minutes).

    Args:
        model: what sessions run, an ONNX file.
        data: its samples.
        progress: gets a line for whatever takes longer than some seconds.

    Raises:
        ImageError: a system package is missing (named, with the command that installs it), or a step failed.
    """
    plain = ImageRecipe()
    recipe = ImageRecipe(kernel_package="linux-image-arm64", modules=(*plain.modules, *_OF_KERNEL, *_OF_SENSORS))
    image = build_image(recipe, progress=progress)
    modules = build_modules(image, _SOURCES, progress=progress)
    emulation = Emulation(_CPU, _MEMORY_BYTES, icount=True)
    with (
        Machine(image, emulation, Source(image.root_disk, "raw"), shift=_SHIFT) as machine,
        _key_held(image.identity_file),
    ):
        machine.wait_until_ready(timeout_s=_BOOT_S, progress=progress)
        machine.run(f"mkdir -p {_FOLDER} && tar -x -C {_FOLDER}", given=_pack(modules))
        machine.run(_SET_UP)
        with open_device(_describe(machine), progress=progress) as device:
            yield PowerBoard(machine, device, model, data)


def _describe(machine: Machine) -> Device:
    """Describe the board as a farm.yaml would: an SSH host, for all that the measuring code knows."""
    login = machine.endpoint
    ssh = Ssh(login.host, login.user, login.port, login.host_key)
    return Device("power-board", "arm64", ("arm64",), Tier.HARDWARE, Origin("farm.yaml", 1, 1), ssh=ssh)


def _pack(modules: Path) -> bytes:
    """Pack the drivers and the player."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for module in sorted(modules.glob("*.ko")):
            archive.add(module, module.name)
        player = resources.files(__package__).joinpath("player.py").read_bytes()
        member = tarfile.TarInfo("player.py")
        member.size = len(player)
        archive.addfile(member, io.BytesIO(player))
    return packed.getvalue()


@contextlib.contextmanager
def _key_held(key: Path) -> Iterator[None]:
    """Let an SSH agent hold the board's key, which stands in no configuration of this user.

    The agent ends when its command does, and that when this process does, whatever the reason.
    """
    before = os.environ.get(_AGENT)
    with tempfile.TemporaryDirectory(prefix="fleetgate-agent-") as folder:
        held = f"ssh-add -q {shlex.quote(str(key))} && echo && exec cat"
        command = ["ssh-agent", "-a", f"{folder}/agent", "sh", "-c", held]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as agent:
            assert agent.stdin is not None
            assert agent.stdout is not None
            if not agent.stdout.readline():
                raise ImageError("ssh-agent does not take the key of the board")
            os.environ[_AGENT] = f"{folder}/agent"
            try:
                yield
            finally:
                agent.stdin.close()
                os.environ.pop(_AGENT)
                if before is not None:
                    os.environ[_AGENT] = before
