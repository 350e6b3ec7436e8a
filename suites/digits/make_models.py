"""Make every model and data file of suites/digits again: `python suites/digits/make_models.py`.

Owns the training, pruning, export and quantization of the small digits CNN. Running the suites never needs this
script or its packages (torch, onnx, onnxscript, onnxruntime, scikit-learn, litert-torch, ai-edge-quantizer): the files
it writes are committed, and ORIGIN.md says which versions wrote them. It must not know of boards or gates.

Layout of every model: input `image` float32 (batch, 1, 8, 8) in [0, 1], output `logits` float32 (batch, 10). The ONNX
files take any batch, the TFLite files take batch 1; with one channel NCHW and NHWC hold the same bytes.
"""

import hashlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

HERE = Path(__file__).resolve().parent
SEED = 0
HELD_OUT = 0.4  # of 1,797 images: 719, enough to bound an accuracy of 99 % to about 1 pp
SAMPLE = 32  # of the held-out images, where only the cost is asked for
WIDTHS = (32, 64, 64, 128)
PRUNED_WIDTHS = (14, 28, 28, 56)  # 80.5 % of the weights removed
WEIGHT_DECAY = 1e-2
IR_VERSION = 9  # ONNX Runtime 1.16, the last for glibc < 2.27, refuses newer ones


class Split(NamedTuple):
    """Images float32 (n, 1, 8, 8) in [0, 1] and labels int64 (n,)."""

    x: np.ndarray
    y: np.ndarray


class DigitsNet(nn.Module):
    """Three 3x3 convolutions and two dense layers; `widths` are the three channel counts and the hidden units."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        a, b, c, hidden = widths
        self.conv1, self.norm1 = nn.Conv2d(1, a, 3, padding=1), nn.BatchNorm2d(a)
        self.conv2, self.norm2 = nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b)
        self.conv3, self.norm3 = nn.Conv2d(b, c, 3, padding=1), nn.BatchNorm2d(c)
        self.dense1, self.dense2 = nn.Linear(c * 4, hidden), nn.Linear(hidden, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm1(self.conv1(image)))
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        x = F.max_pool2d(F.relu(self.norm3(self.conv3(x))), 2)
        return self.dense2(F.relu(self.dense1(x.flatten(1))))


def load_splits() -> tuple[Split, Split]:
    """Split scikit-learn's digits, stratified: (training, held out). Nothing is tuned on the second."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = (x / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=HELD_OUT, stratify=y, random_state=SEED)
    return Split(x_train, y_train.astype(np.int64)), Split(x_test, y_test.astype(np.int64))


def train(net: nn.Module, data: Split, *, epochs: int, rate: float, teacher: nn.Module | None = None) -> None:
    """Fit on one-pixel shifts; with a teacher half of the loss is the distance to the teacher's logits."""
    images, labels = torch.tensor(data.x), torch.tensor(data.y)
    generator = torch.Generator().manual_seed(SEED)
    steps = epochs * -(-len(images) // 64)
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    net.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=generator).split(64):
            dx, dy = torch.randint(-1, 2, (2,), generator=generator).tolist()
            image = torch.roll(images[batch], (dx, dy), (2, 3))
            logits = net(image)
            loss = F.cross_entropy(logits, labels[batch])
            if teacher is not None:
                with torch.no_grad():
                    wanted = teacher(image)
                loss = 0.5 * loss + 0.5 * F.mse_loss(logits, wanted) / 10
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    net.eval()


def prune(net: DigitsNet, widths: tuple[int, int, int, int]) -> DigitsNet:
    """Keep the channels and hidden units of the largest L1 norm, whole, so that file and work shrink with them."""
    small = DigitsNet(widths)
    inputs = torch.arange(1)
    for index, width in enumerate(widths[:3], start=1):
        conv, norm = getattr(net, f"conv{index}"), getattr(net, f"norm{index}")
        strength = conv.weight.abs().sum((1, 2, 3)) * (norm.weight / (norm.running_var + norm.eps).sqrt()).abs()
        kept = strength.topk(width).indices.sort().values
        copy_rows(getattr(small, f"conv{index}"), conv.weight[kept][:, inputs], conv.bias[kept])
        target = getattr(small, f"norm{index}")
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(target, name).data.copy_(getattr(norm, name)[kept])
        inputs = kept
    columns = (inputs[:, None] * 4 + torch.arange(4)).flatten()
    units = net.dense1.weight.abs().sum(1).topk(widths[3]).indices.sort().values
    copy_rows(small.dense1, net.dense1.weight[units][:, columns], net.dense1.bias[units])
    copy_rows(small.dense2, net.dense2.weight[:, units], net.dense2.bias)
    return small


def copy_rows(layer: nn.Conv2d | nn.Linear, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Give a layer these weights."""
    layer.weight.data.copy_(weight)
    layer.bias.data.copy_(bias)


def fold(net: DigitsNet) -> DigitsNet:
    """Fold each batch norm into its convolution, as every mobile exporter does."""
    for index in (1, 2, 3):
        conv, norm = getattr(net, f"conv{index}"), getattr(net, f"norm{index}")
        setattr(net, f"conv{index}", fuse_conv_bn_eval(conv, norm))
        setattr(net, f"norm{index}", nn.Identity())
    return net.eval()


def export_onnx(net: nn.Module, path: Path) -> None:
    """Export with a dynamic batch, without the exporter's notes (they hold paths of the machine that exported)."""
    example, batch = torch.zeros(2, 1, 8, 8), torch.export.Dim("batch", min=1, max=4096)
    program = torch.onnx.export(
        net,
        (example,),
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: batch},),
        opset_version=18,
        dynamo=True,
        verbose=False,
    )
    save_bare(program.model_proto, path)


def save_bare(model: onnx.ModelProto, path: Path) -> None:
    """Save without what no runtime reads: documentation, metadata, operator sets that no node uses."""
    holders: list[Any] = [model, model.graph, *model.graph.node, *model.graph.initializer]
    holders += [*model.graph.input, *model.graph.output, *model.graph.value_info]
    for holder in holders:
        holder.ClearField("metadata_props")
        holder.ClearField("doc_string")
    used = {node.domain for node in model.graph.node}
    opsets = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    onnx.save(model, path)


class TrainingImages(CalibrationDataReader):
    """Feeds the first `count` training images in batches of 32."""

    def __init__(self, data: Split, count: int) -> None:
        self._batches: Iterator[dict[str, np.ndarray]] = iter(
            [{"image": data.x[start : start + 32]} for start in range(0, count, 32)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


def quantize_onnx(source: Path, data: Split) -> None:
    """Write the static, the dynamic and the previous release's int8 files beside `source`."""
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            HERE / "digits_int8_qdq.onnx",
            TrainingImages(data, 512),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        # The previous release: one scale per tensor, 64 calibration images.
        quantize_static(
            prepared,
            HERE / "digits_int8_v1.onnx",
            TrainingImages(data, 64),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=False,
        )
        quantize_dynamic(prepared, HERE / "digits_int8_dynamic.onnx", weight_type=QuantType.QUInt8)
    for name in ("digits_int8_qdq", "digits_int8_v1", "digits_int8_dynamic"):
        path = HERE / f"{name}.onnx"
        save_bare(onnx.load(path), path)


def export_tflite(net: nn.Module, data: Split) -> None:
    """Write the float file and the static int8 file; the latter keeps float input and output, so one npz feeds both."""
    import litert_torch
    from ai_edge_quantizer import algorithm_manager, calibrator, qtyping, quantizer, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    source = HERE / "digits_fp32.tflite"
    litert_torch.convert(net, sample_kwargs={"image": torch.zeros(1, 1, 8, 8)}).export(str(source))
    rules = recipe_manager.RecipeManager()
    rules.add_static_config(".*", qtyping.TFLOperationName.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    for end in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        rules.add_quantization_config(".*", end, algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE)
    # The default, a moving average of the ranges, clipped one logit in ten; keep the whole range.
    ranges = calibrator.Calibrator(str(source), num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    ranges.calibrate({"serving_default": [{"image": data.x[i : i + 1]} for i in range(512)]}, rules)
    quantized = quantizer.Quantizer(str(source), rules.get_quantization_recipe()).quantize(ranges.get_model_qsvs())
    target = HERE / "digits_int8.tflite"
    quantized.export_model(str(target), overwrite=True)
    target.chmod(0o644)


def accuracy(net: nn.Module, data: Split) -> float:
    """Share of right answers."""
    with torch.no_grad():
        return float((net(torch.tensor(data.x)).argmax(1).numpy() == data.y).mean())


def main() -> None:
    """Make all files; prints the held-out accuracy of the two networks and the SHA-256 of each file."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    training, held_out = load_splits()
    net = DigitsNet(WIDTHS)
    train(net, training, epochs=40, rate=3e-3)
    pruned = prune(net, PRUNED_WIDTHS)
    train(pruned, training, epochs=60, rate=3e-3, teacher=net)
    net, pruned = fold(net), fold(pruned)
    print(f"held out: fp32 {accuracy(net, held_out):.4f}, pruned {accuracy(pruned, held_out):.4f}")
    export_onnx(net, HERE / "digits_fp32.onnx")
    export_onnx(pruned, HERE / "digits_pruned.onnx")
    quantize_onnx(HERE / "digits_fp32.onnx", training)
    export_tflite(net, training)
    np.savez_compressed(HERE / "digits_eval.npz", x=held_out.x, y=held_out.y)
    np.savez_compressed(HERE / "digits_sample.npz", x=held_out.x[:SAMPLE], y=held_out.y[:SAMPLE])
    for path in sorted(HERE.glob("digits_*.*")):
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, path.name)


if __name__ == "__main__":
    main()
