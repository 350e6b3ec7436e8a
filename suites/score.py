"""Score model files on this machine, for the tables of ORIGIN.md: `python suites/score.py DATA.npz REFERENCE FILE...`.

Prints per file its top-1 (where the data has labels) and its parity with REFERENCE. It uses whichever runtime of ONNX
Runtime, ai-edge-litert and tflite-runtime this Python has, so each TFLite build is scored from its own environment.
It knows no board and decides nothing.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np


def run_onnx(path: Path, x: np.ndarray) -> np.ndarray:
    """All outputs side by side, float32 (n, k), one sample at a time."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.stack([join(session.run(None, {name: x[i : i + 1]})) for i in range(len(x))])


def run_tflite(path: Path, x: np.ndarray) -> np.ndarray:
    """All outputs side by side in the order of the file, float32 (n, k)."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tflite_runtime.interpreter import Interpreter
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    rows = []
    for i in range(len(x)):
        interpreter.set_tensor(source, x[i : i + 1])
        interpreter.invoke()
        rows.append(join([interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]))
    return np.stack(rows)


def join(outputs: list[np.ndarray]) -> np.ndarray:
    """Flatten the outputs of one inference into one row."""
    return np.concatenate([np.asarray(output, np.float32).ravel() for output in outputs])


def run(path: Path, x: np.ndarray) -> np.ndarray:
    """Run a model by what its name ends in."""
    return run_onnx(path, x) if path.suffix == ".onnx" else run_tflite(path, x)


def describe(outputs: np.ndarray, reference: np.ndarray, labels: np.ndarray | None) -> str:
    """One line of figures; SNR is infinite where both are equal."""
    noise = float(np.sum((outputs - reference) ** 2, dtype=np.float64))
    signal = float(np.sum(reference**2, dtype=np.float64))
    snr = np.inf if noise == 0 else 10 * np.log10(signal / noise)
    scale = np.linalg.norm(outputs, axis=1) * np.linalg.norm(reference, axis=1)
    cosine = np.sum(outputs * reference, axis=1, dtype=np.float64) / np.maximum(scale, 1e-30)
    text = f"max_abs {np.abs(outputs - reference).max():.4g} cosine_min {cosine.min():.6f} snr {snr:.2f} dB"
    if labels is None:
        return text
    flips = int((outputs.argmax(1) != reference.argmax(1)).sum())
    wrong = int((outputs.argmax(1) != labels).sum())
    return f"top1 {1 - wrong / len(labels):.4f} ({wrong} wrong, {flips} flips) {text}"


def main(arguments: list[str]) -> int:
    """Score each file in a process of its own: a model that does not load, or crashes, is one line of the table."""
    if arguments[0] != "--one":
        data, *files = arguments
        commands = [[sys.executable, __file__, "--one", data, files[0], file] for file in files]
        return max(subprocess.run(command, check=False).returncode for command in commands)
    evaluation, reference, path = (Path(text) for text in arguments[1:])
    with np.load(evaluation) as archive:
        x, labels = archive["x"], archive.get("y")
    try:
        outputs = run(path, x)
    except Exception as error:  # noqa: BLE001 - any refusal of the runtime is the finding
        print(f"{path.name:32s} {path.stat().st_size:8d} B refused: {type(error).__name__}: {str(error)[:90]}")
        return 0
    print(f"{path.name:32s} {path.stat().st_size:8d} B {describe(outputs, run(reference, x), labels)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
