"""What a YAML scalar means: the core schema of YAML 1.2, minus everything that YAML 1.1 reads differently.

Half of the world's YAML readers still follow 1.1, where `no` is false, `12:30` is 750 and `010` is 8. A file that two
readers understand differently cannot decide a release, so such scalars are traps: refused, with what to write instead.
"""

from __future__ import annotations

import math
import re

_NULL = {"", "~", "null", "Null", "NULL"}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})|0x[0-9a-fA-F]{1,15}")
_DECIMAL = re.compile(r"[-+]?(?:[0-9]{1,300}\.[0-9]{0,300}|\.[0-9]{1,300})(?:[eE][-+][0-9]{1,3})?")
_BOOLEAN_1_1 = re.compile(r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|True|TRUE|False|FALSE")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_OCTAL = re.compile(r"[-+]?0[0-9_]+|0o[0-7]+|0b[01_]+")
_EXPONENT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+")
_UNDERSCORE = re.compile(r"[-+]?[0-9][0-9_.]*_[0-9_.]*")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def resolve(text: str) -> str | int | float | bool | None:
    """Give the value of an unquoted scalar; what is not null, true, false or a number is text."""
    if text in _NULL:
        return None
    if text in {"true", "false"}:
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text.startswith("0x") else int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return text


def trap(text: str) -> tuple[str, str] | None:
    """Tell whether an unquoted scalar means different things to different YAML readers.

    Returns:
        What is wrong and what to write instead, or None when every reader agrees.
    """
    if _BOOLEAN_1_1.fullmatch(text):
        meant = "true" if text.lower() in {"yes", "on", "true"} else "false"
        return (
            f"{text!r} is a boolean to some YAML readers and text to others",
            f'write {meant}, or quote it: "{text}"',
        )
    if _SEXAGESIMAL.fullmatch(text):
        return f"{text!r} is a base-60 number to some YAML readers", f'quote it: "{text}"'
    if _OCTAL.fullmatch(text):
        plain = text.lstrip("+-0ob_") or "0"
        return f"{text!r} is an octal or binary number to some YAML readers", f'write {plain}, or quote it: "{text}"'
    if _UNDERSCORE.fullmatch(text):
        return f"{text!r} is a number to some YAML readers", f"write {text.replace('_', '')}, or quote it"
    if _NOT_FINITE.fullmatch(text):
        return f"{text!r} is not a finite number", "a limit that is not a number would pass everything"
    if _EXPONENT.fullmatch(text) and not (_DECIMAL.fullmatch(text) and math.isfinite(float(text))):
        return (f"{text!r} is a number to some YAML readers and text to others", f'write it out, or quote it: "{text}"')
    return None
