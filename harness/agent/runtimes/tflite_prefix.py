"""A TFLite model taken apart: the file is cut after an operator and loaded as any other, delegates included.

The Python packages of TFLite show no profiler (tflite-runtime 2.14 has none; that of ai-edge-litert 2.3 belongs to its
other API, which computes otherwise), and a delegate would hide what it took over. A cut file is delegated as the whole
is, so that operators inside of a partition have figures, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.agent.prefix.tflite import TflitePrefix
from harness.agent.refusal import Refusal

if TYPE_CHECKING:
    from harness.agent.runtimes import Feed
    from harness.agent.runtimes.tflite import TfLiteModel

LARGEST = 256 << 20
_DELEGATE = "DELEGATE"


class TflitePrefixes:
    """One TFLite file, in parts."""

    def __init__(self, path: str, load: Callable[[str], TfLiteModel], feed: Feed) -> None:
        if os.path.getsize(path) > LARGEST:
            raise Refusal("profile", f"the file is larger than {LARGEST >> 20} MiB")
        with open(path, "rb") as file:
            self._prefix = TflitePrefix(file.read())
        self._load = load
        self._part = path + ".part"
        whole = load(path)
        self.provider, self.settings = whole.provider, whole.settings
        kinds = whole.operator_kinds()
        count = len(self._prefix.operators)
        self.operators = [
            operator._replace(kind=kind)
            for operator, kind in zip(self._prefix.operators, kinds)  # noqa: B905  Python 3.8
        ]
        if len(self.operators) != count:
            raise Refusal("profile", f"the interpreter has {len(kinds)} operators, the file {count}")
        partitions = kinds[count:].count(_DELEGATE)
        words = f"{partitions} partition{'s' if partitions > 1 else ''}"
        self.notes = [f"XNNPACK took over operators, in {words}"] if partitions else []
        self._arrays = feed(whole.inputs())

    def open(self, count: int) -> Callable[[], Any]:
        """Write the first `count` operators to a file of their own and load it."""
        with open(self._part, "wb") as file:
            file.write(self._prefix.model(count))
        return self._load(self._part).bind_blind(self._arrays)

    def close(self) -> None:
        """Remove the last part."""
        if os.path.lexists(self._part):
            os.unlink(self._part)
