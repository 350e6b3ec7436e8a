"""Does the harness measure what a plain loop measures? p50 on this machine, both ways, in turns, as a ratio.

Peer: an onnxruntime loop of ten lines in a process of its own. Ours: a timing session on the `host` profile, through
its own sshd, agent and fork. Same file, same wheels, same options, same core. Limit: the median ratio is within 3 %.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT = 0.03
TURNS, REPEAT = 10, 2000
MODEL = ROOT / "suites" / "digits" / "digits_fp32.onnx"
DATA = ROOT / "suites" / "digits" / "digits_eval.npz"

PLAIN = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[4])})
import numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
feed = {session.get_inputs()[0].name: np.load(sys.argv[2])["x"][:1]}
for _ in range(50):
    session.run(None, feed)
times = []
for _ in range(int(sys.argv[3])):
    start = time.perf_counter_ns(); session.run(None, feed); times.append(time.perf_counter_ns() - start)
print(sorted(times)[len(times) // 2] / 1e9)
"""


def plain_p50_s(env: Path, core: int) -> float:
    """Time the plain loop with the wheels that the board has too."""
    command = [sys.executable, "-c", PLAIN, str(MODEL), str(DATA), str(REPEAT), str(core)]
    environment = {**os.environ, "PYTHONPATH": str(env)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> int:
    """Print both medians and their ratio; exit 1 when it is off by more than the limit."""
    from harness.agent.message import SessionRequest
    from harness.device import open_device
    from harness.spec import load_farm

    core = max(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        farm = Path(folder) / "farm.yaml"
        farm.write_text(f"farm: bench\ndevices:\n  - {{name: here, profile: host, root: {folder}/board}}\n")
        (spec,) = load_farm(farm).devices
        with open_device(
            spec, builds=[("onnxruntime", "onnxruntime==1.32.0")], holder="bench", progress=print
        ) as board:
            env = board.ensure_runtime("onnxruntime", "onnxruntime==1.32.0")
            request = SessionRequest(
                "", "timing", env.id, "onnxruntime", board.deploy(MODEL), ".onnx", board.deploy(DATA),
                cores=[core], warmup=50, repeat=REPEAT, count_work=False,
            )  # fmt: skip
            pairs = []
            for _ in range(TURNS):
                plain = plain_p50_s(Path(folder) / "board" / "env" / env.id, core)
                ours = statistics.median(board.measure(request).arrays["latency_s"].tolist())
                pairs.append((plain, ours))
    ratios = [ours / plain for plain, ours in pairs]
    ratio = statistics.median(ratios)
    print(json.dumps({
        "plain_p50_us": round(statistics.median(plain for plain, _ in pairs) * 1e6, 2),
        "fleetgate_p50_us": round(statistics.median(ours for _, ours in pairs) * 1e6, 2),
        "ratio": round(ratio, 4), "ratio_min": round(min(ratios), 4), "ratio_max": round(max(ratios), 4),
        "limit": [1 - LIMIT, 1 + LIMIT],
    }))  # fmt: skip
    return int(abs(ratio - 1) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
