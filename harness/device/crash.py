"""What a board told of a fatal signal, in words: which instruction, and which feature it needs. Pure.

What comes from a board is not trusted: fields that are not what they should be are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.device.instruction import explain_instruction
from harness.records.run import Facts

ILLEGAL = "illegal_instruction"
"""Code of the error that says: the processor refused an instruction."""
_HEX = re.compile(r"(?:[0-9a-f]{2}){1,16}\Z")


def name_instruction(error: Mapping[str, Any], facts: Facts) -> str:
    """Return the message of an error, led by the instruction if that is what killed the process.

    Args:
        error: `code`, `message` and, with the code `illegal_instruction`, `instruction`.
        facts: of the board: architecture, name and features of its processor.

    Returns:
        `sdot v0.4s, v1.16b, v2.16b: needs asimddp, which this CPU does not have: Cortex-A53 (signal 4 (SIGILL) …)`.
    """
    message = str(error.get("message", "no message"))
    code = str(error.get("instruction", ""))
    if error.get("code") != ILLEGAL or not _HEX.match(code):
        return message
    words = explain_instruction(bytes.fromhex(code), facts.architecture, facts.features, facts.cpu)
    return f"{words} ({message})"
