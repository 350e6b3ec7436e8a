"""Train the network of suites/tinygpt: `python suites/tinygpt/train.py TEXT.txt WEIGHTS.pt`.

Owns what is trained on, what is held out, and the seed. `TEXT.txt` is made by make_text.py. Writes `eval.txt`, cut from
the last twentieth of the text, of which nothing is trained on. Needs torch.
"""

import sys
from pathlib import Path

import torch
from network import Shape, TinyGpt, evaluate, train

HERE = Path(__file__).resolve().parent
SEED = 0
HELD_OUT = 0.05
EVALUATED = 16_384
"""Bytes of eval.txt."""


def main() -> None:
    source, weights = (Path(argument) for argument in sys.argv[1:])
    steps = 4000
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    data = source.read_bytes()
    cut = int(len(data) * (1 - HELD_OUT))
    held_out = data[cut + data[cut:].index(b"\n") + 1 :][:EVALUATED]
    (HERE / "eval.txt").write_bytes(held_out)
    network = TinyGpt(Shape())
    print(f"{sum(parameter.numel() for parameter in network.parameters())} weights")
    train(network, torch.tensor(list(data[:cut])), steps=steps, batch=12, rate=6e-3, seed=SEED)
    print(f"held out: {evaluate(network, held_out, 128):.4f} nats per byte")
    torch.save(network.state_dict(), weights)


if __name__ == "__main__":
    main()
