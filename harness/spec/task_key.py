"""A task that has a key of its own in the workload: neither stands without the other."""

from __future__ import annotations

from harness.errors import Problem
from harness.spec.tree import Document


def check_task_key(document: Document, task: str, *, is_there: bool, example: str) -> list[Problem]:
    """List what is wrong between `task:` and the key of the same name.

    Args:
        document: of a suite.
        task: the task, and its key.
        is_there: whether the key is.
        example: a value of the key.
    """
    is_asked = document.text(["workload", "task"]) == task
    if is_asked and not is_there:
        where = document.find(["workload", "task"])
        return [document.problem(where, f"a {task} suite needs the key {task!r}", f"{task}: {example}")]
    if is_there and not is_asked:
        where = document.find(["workload", task], key=True)
        return [document.problem(where, f"{task!r} goes with 'task: {task}' alone", "remove the key")]
    return []
