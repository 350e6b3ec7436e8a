"""A release rule that YAML cannot say: pruning must pay. Its limit comes from another measurement on the board."""

from harness.plugin.python_suite import ArtifactMaker, BoardHandle, Gate, Measurer
from harness.spec.model import Tier

WORK_LEFT = 0.75  # of the unpruned file's; less saved is not worth a release


def test_pruned_file_saves_work(device: BoardHandle, artifact: ArtifactMaker, measure: Measurer, gate: Gate) -> None:
    """The pruned network needs no more memory than allowed and, where the board can count, a quarter less work."""
    counts = device.tier is Tier.DETERMINISTIC
    metrics = ("memory.peak", "work.instructions") if counts else ("memory.peak",)
    pruned = measure(artifact("digits_pruned.onnx"), data="digits_sample.npz", metrics=metrics, repeat=24)
    gate.check(pruned, "memory.peak", max="96 MiB")
    if counts:
        whole = measure(artifact("digits_fp32.onnx"), data="digits_sample.npz", metrics=metrics, repeat=24)
        gate.check(pruned, "work.instructions", max=WORK_LEFT * whole.value("work.instructions"))
