"""The process in which a suite's checker and regular expressions judge texts: started by `harness.campaign.checker`.

Reads its work as JSON from its input and writes one score per text, null where the checker failed, and its first error.
Whatever the checker prints goes to the errors.
Imports nothing of this package: it runs in isolated mode, as a script.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path


def main() -> None:
    """Judge every text of the work on standard input."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    work = json.load(sys.stdin)
    scores: list[float | None] = []
    error = ""
    for number, item in enumerate(work["texts"]):
        try:
            scores.append(_judge(item, work["checker"]))
        except Exception as failure:  # noqa: BLE001  a checker may raise anything
            scores.append(None)
            error = error or f"text {number}: {type(failure).__name__}: {failure}"[:500]
    with answer:
        json.dump({"scores": scores, "error": error}, answer)


def _judge(item: dict[str, str], checker: str) -> float:
    if item["kind"] == "exact":
        return float(item["text"] == item["expected"])
    if item["regex"]:
        return float(re.search(item["regex"], item["text"]) is not None)
    found = _load(checker)(item["prompt"], item["text"])
    score = float(found) if isinstance(found, bool | int | float) else -1.0
    if not 0.0 <= score <= 1.0:
        raise ValueError(f"the checker returned {found!r}, not a bool or a score from 0 to 1")
    return score


@functools.cache
def _load(checker: str) -> Callable[[str, str], object]:
    file, _, function = checker.rpartition(":")
    sys.path.insert(0, str(Path(file).parent))
    spec = importlib.util.spec_from_file_location("suite_checker", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[str, str], object] = getattr(module, function)
    return found


if __name__ == "__main__":
    main()
