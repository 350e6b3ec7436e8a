"""A self-test of the gate on fake boards, in this process: for tests of the checks that faults are planted against."""

from __future__ import annotations

import types
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness.campaign.plan import Campaign, build, seal
from harness.campaign.run import CampaignRun
from harness.campaign.selftest.planner import SelfTestPlanner
from harness.farm.boards import Boards
from harness.gate import judge
from harness.records.plan import PlannedCell
from harness.records.run import SCHEMA_VERSION, Environment, RunRecord
from harness.records.verdict import Judgement
from harness.spec import load_farm, load_suite
from harness.testing.device import FakeBoards
from harness.testing.record import MemorySamples
from harness.testing.rehearsal import Rehearsal

FARM = """\
farm: rehearsal
devices:
  - {name: a53, profile: qemu-cortex-a53}
  - {name: a72, profile: qemu-cortex-a72}
  - {name: here, profile: host, power: {meter: hwmon}}
"""
SUITE = """\
suite: digits
workload: {task: classification, data: eval.npz, repeat: 40}
reference: fp32.onnx
artifacts:
  int8: {file: int8.onnx, runtime: onnxruntime, baseline: old.onnx}
gates:
  all:
    accuracy.top1: {min: 90 %, drop: 5 pp, regress: 5 %}
    parity.top1_agreement: {min: 90 %}
    parity.snr_db: {min: 10 dB}
    conformance.max_abs: {max: 0.1}
    memory.peak: {max: 64 MiB, regress: 5 %}
    memory.model: {max: 32 MiB}
    storage.size: {max: 128 KiB, regress: 5 %}
  qemu-cortex-a53:
    work.instructions: {max: 1.2 M, regress: 5 %}
    work.load: {max: 50 M, regress: 5 %}
    work.first: {max: 50 M}
    energy.per_inference: {max: 5 mJ, accept: modelled}
  host:
    latency.p50: {max: 4 ms, regress: 5 %}
    latency.first: {max: 40 ms}
    load.time: {max: 1 s, regress: 50 %}
    throughput: {min: 10 /s}
    thermal.max: {max: 80 °C}
    power.mean: {max: 10 W}
    power.idle: {max: 5 W}
    energy.per_inference: {max: 10 mJ}
"""
"""A gate of every family, so that every fault but those of real model files has one to meet."""


def selftest_rehearsal(folder: Path) -> Rehearsal:
    """Write the farm and the suite on which all faults can be tried."""
    return Rehearsal(folder, suite=SUITE, farm=FARM)


def plan_selftest(rehearsal: Rehearsal, changed: Path) -> Campaign:
    """Plan the whole self-test of a rehearsal; the process must be in its folder."""
    farm = load_farm(Path("farm.yaml"))
    campaign = build(farm, [load_suite(rehearsal.suite_folder.relative_to(rehearsal.folder) / "digits.suite.yaml")])
    changed.mkdir(exist_ok=True)
    return SelfTestPlanner(changed).plan(campaign)


def only(campaign: Campaign, faults: Collection[str]) -> Campaign:
    """Keep the trials of some faults, on the first board that has them, with their controls."""
    chosen: dict[str, PlannedCell] = {}
    for cell in campaign.plan.cells:
        if cell.trial is not None and cell.trial.fault in faults:
            chosen.setdefault(cell.trial.fault, cell)
    controls = {cell.trial.control for cell in chosen.values() if cell.trial is not None}
    cells = tuple(cell for cell in campaign.plan.cells if cell in chosen.values() or cell.key in controls)
    boards = {cell.device for cell in cells}
    devices = tuple(device for device in campaign.plan.devices if device.name in boards)
    return replace(campaign, plan=seal(replace(campaign.plan, cells=cells, devices=devices)))


def try_gates(campaign: Campaign, boards: Boards | None = None) -> Judgement:
    """Run a self-test and judge it; without `boards` on sound fake ones."""
    run = CampaignRun(campaign, boards or FakeBoards(), holder="a test", keep=lambda _key, _arrays: "")
    run.start(list(campaign.devices()), more=(), progress=lambda _: None)
    run.close()
    results = {cell.key: run.result(cell.key, cell.device) for cell in campaign.plan.cells}
    arrays = {key: dict(result.arrays) for key, result in results.items()}
    met = {result.device.name: result.device for result in results.values()}
    record = RunRecord(
        SCHEMA_VERSION, "selftest", "2026-11-24T08:00:00+00:00", "2026-11-24T08:01:00+00:00",
        Environment("", "", "", ()), campaign.plan, tuple(met.values()),
        tuple(result.record for result in results.values()),
    )  # fmt: skip
    return judge(record, MemorySamples(arrays))


@contextmanager
def without_check(module: types.ModuleType, check: str, instead: str) -> Iterator[None]:
    """Take one check out of a module's source while the context lasts, for everyone who has imported from it.

    Raises:
        LookupError: the check does not stand in the source exactly once.
    """
    path = Path(str(module.__file__))
    source = path.read_text(encoding="utf-8")
    if source.count(check) != 1:
        raise LookupError(f"{path.name} has {check!r} {source.count(check)} times: say here what the check is now")
    scratch = dict(vars(module))
    exec(compile(source.replace(check, instead), str(path), "exec"), scratch)  # noqa: S102  our own source
    theirs = _functions(scratch, module.__name__)
    changed = [
        (function, function.__code__, theirs[name].__code__)
        for name, function in _functions(vars(module), module.__name__).items()
    ]
    for function, _, code in changed:
        function.__code__ = code
    try:
        yield
    finally:
        for function, code, _ in changed:
            function.__code__ = code


def _functions(names: Mapping[str, object], module: str) -> dict[str, types.FunctionType]:
    """Find the functions and methods of a module, by their qualified names."""
    own = [item for item in names.values() if getattr(item, "__module__", "") == module]
    methods = [item for kind in own if isinstance(kind, type) for item in vars(kind).values()]
    return {item.__qualname__: item for item in (*own, *methods) if isinstance(item, types.FunctionType)}
