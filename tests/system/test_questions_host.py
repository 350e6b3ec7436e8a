"""Questions to a real language model on this machine, through its own sshd: judged, evaluated in parts, recorded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system
TINYGPT = Path(__file__).parents[2] / "suites" / "tinygpt"
SUITE = """\
suite: asked
workload:
  task: generation
  data: eval.txt
  generation:
    prompts: ["And it came to pass "]
    new_tokens: 8
    context: 256
    stop: length
    tokens: 2048
    questions: questions.jsonl
    checker: "checks.py:{function}"
    budget: 5 min
reference: tinygpt_fp32.onnx
artifacts:
  int8: {{file: tinygpt_int8.onnx, runtime: onnxruntime}}
gates:
  all:
    llm.kl: {{max: 0.05}}
    llm.choice_accuracy: {{min: 50 %, drop: 50 pp}}
    llm.format_rate: {{min: 40 %}}
    llm.pass_rate: {{min: 30 %}}
"""
CHECKS = """\
def passes(prompt, text):
    return bool(text.strip()) and text != prompt
def breaks(prompt, text):
    raise RuntimeError("broken checker")
"""


def release(folder: Path, function: str) -> tuple[int, str, dict[str, object]]:
    """Measure the suite; return the exit code, what was said, and the settings of the accuracy session."""
    for name in ("eval.txt", "tinygpt_fp32.onnx", "tinygpt_int8.onnx"):
        shutil.copy(TINYGPT / name, folder)
    more = "".join(json.dumps({"prompt": f"And in the year {number} "}) + "\n" for number in range(12))
    (folder / "questions.jsonl").write_text((TINYGPT / "questions.jsonl").read_text() + more)
    (folder / "checks.py").write_text(CHECKS)
    (folder / "asked.suite.yaml").write_text(SUITE.format(function=function))
    (folder / "farm.yaml").write_text(f"farm: f\ndevices: [{{name: here, profile: host, root: {folder / 'root'}}}]\n")
    command = [sys.executable, "-m", "pytest", "asked.suite.yaml", "--devices=farm.yaml", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    (record,) = (folder / "reports" / "runs").glob("2*/run.json")
    sessions = json.loads(record.read_bytes())["cells"][0]["sessions"]
    (settings,) = (session["settings"] for session in sessions if session["kind"] == "accuracy")
    return done.returncode, done.stdout, settings


def test_answers_decide_a_release(tmp_path: Path) -> None:
    """Every kind of question passes on its bounds, and the record says how the evaluation went."""
    code, said, settings = release(tmp_path, "passes")

    assert code == 0, said
    assert "GO: all 6 gates pass" in said
    assert "ended: e" in str(settings["evaluation"])  # every gate is decided, or everything is scored


def test_a_broken_checker_takes_its_own_gate_away(tmp_path: Path) -> None:
    """The gate on the checker's rate is INCONCLUSIVE with the checker's words; the others stand."""
    code, said, _ = release(tmp_path, "breaks")

    assert code == 10, said
    assert "broken checker" in " ".join(said.split())
    assert "5 PASS" in said
