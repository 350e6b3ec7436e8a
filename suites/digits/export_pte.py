"""Make the ExecuTorch files of suites/digits again: `python suites/digits/export_pte.py`.

Owns the way from digits_fp32.onnx, whose weights it takes, to digits_fp32.pte and digits_int8.pte (batch 1, lowered to
XNNPACK whole). Running the suites never needs this script or its packages (executorch 1.3.1, which brings torch and
torchao; onnx): a runtime reads only files of its own ExecuTorch version. It must not know of boards or gates.
"""

import hashlib
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
from executorch.exir import to_edge_transform_and_lower
from onnx import numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

HERE = Path(__file__).resolve().parent
SEED, HELD_OUT, CALIBRATION = 0, 0.4, 256  # the split of make_models.py


class Digits(nn.Module):
    """The network of digits_fp32.onnx, batch normalisation folded: float32 (1, 1, 8, 8) -> logits (1, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (nn.Conv2d(i, o, 3, padding=1) for i, o in ((1, 32), (32, 64), (64, 64)))
        self.dense1, self.dense2 = nn.Linear(256, 128), nn.Linear(128, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv1(image))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2, 2)
        x = F.max_pool2d(F.relu(self.conv3(x)), 2, 2)
        return self.dense2(F.relu(self.dense1(x.flatten(1))))


def load_network() -> Digits:
    """Take the weights out of the ONNX file."""
    held = {item.name: numpy_helper.to_array(item) for item in onnx.load(HERE / "digits_fp32.onnx").graph.initializer}
    network = Digits()
    network.load_state_dict({name: torch.tensor(held[name]) for name in network.state_dict()})
    return network.eval()


def calibration_images() -> list[torch.Tensor]:
    """Take the first training images, none of which is among the 719 that suites judge by."""
    x, y = load_digits(return_X_y=True)
    images = (x / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    train, *_ = train_test_split(images, y, test_size=HELD_OUT, stratify=y, random_state=SEED)
    return [torch.tensor(train[at : at + 1]) for at in range(CALIBRATION)]


def quantize(network: nn.Module, images: list[torch.Tensor]) -> nn.Module:
    """Quantize weights per channel and activations per tensor, both int8 and static."""
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(torch.export.export(network, (images[0],)).module(), quantizer)
    for image in images:
        prepared(image)
    return convert_pt2e(prepared)


def write(network: nn.Module, image: torch.Tensor, name: str) -> None:
    """Lower the network to XNNPACK and write it."""
    lowered = to_edge_transform_and_lower(torch.export.export(network, (image,)), partitioner=[XnnpackPartitioner()])
    data = lowered.to_executorch().buffer
    (HERE / name).write_bytes(data)
    print(f"{hashlib.sha256(data).hexdigest()[:12]}  {len(data):7}  {name}")


def main() -> None:
    """Write both files."""
    warnings.simplefilter("ignore")
    torch.manual_seed(SEED)
    network, images = load_network(), calibration_images()
    with torch.no_grad():
        write(network, images[0], "digits_fp32.pte")
        write(quantize(network, images), images[0], "digits_int8.pte")


if __name__ == "__main__":
    main()
