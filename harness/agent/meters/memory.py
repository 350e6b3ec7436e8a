"""Resident memory of this process in the kernel's words, and how a forked child is made to count as a fresh one.

A forked child shares the pages of its zygote: anonymous ones are mapped already and count, those of files (the
runtime's libraries) are not mapped again until they are touched. A fresh process that imported the runtime would have
them. `touch_inherited` maps exactly those that the zygote has, so that an empty runtime costs the same in both.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import NamedTuple

_PAGE = os.sysconf("SC_PAGE_SIZE")
_PRESENT = 1 << 63
_ENTRY = 8


class Resident(NamedTuple):
    """One look at smaps_rollup, in bytes."""

    rss: int
    pss: int
    private: int
    anonymous: int


def read_resident() -> Resident:
    """Return the exact counts of this process (`/proc/self/smaps_rollup`, or VmRSS where the kernel has none)."""
    try:
        fields = _read_fields("/proc/self/smaps_rollup")
    except OSError:
        status = _read_fields("/proc/self/status")
        return Resident(status["VmRSS"], 0, 0, status.get("RssAnon", 0))
    private = fields.get("Private_Clean", 0) + fields.get("Private_Dirty", 0)
    return Resident(fields["Rss"], fields.get("Pss", 0), private, fields.get("Anonymous", 0))


def read_peak() -> int:
    """Return the peak of resident memory since `reset_peak`, in bytes (VmHWM)."""
    return _read_fields("/proc/self/status")["VmHWM"]


def read_swapped() -> int:
    """Return how much of this process is swapped out, in bytes."""
    return _read_fields("/proc/self/status").get("VmSwap", 0)


def reset_peak() -> bool:
    """Have VmHWM start again from now (proc(5), clear_refs); False where the kernel does not offer it."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        return False
    return True


def touch_inherited(parent: int) -> int:
    """Map the file pages that `parent`, whose fork this process is, has in memory.

    Returns:
        The number of pages touched; -1 when the parent's page map cannot be read (then the pages that the model does
        not use stay uncounted, in `rss_start_bytes` as in the peak).
    """
    try:
        fd = os.open(f"/proc/{parent}/pagemap", os.O_RDONLY)
    except OSError:
        return -1
    try:
        return sum(_touch(fd, start, end) for start, end in _list_file_mappings())
    except OSError:
        return -1
    finally:
        os.close(fd)


def _list_file_mappings() -> list[tuple[int, int]]:
    found = []
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            span, mode, _, _, inode = line.split()[:5]
            if inode != "0" and mode[0] == "r":
                start, _, end = span.partition("-")
                found.append((int(start, 16), int(end, 16)))
    return found


def _touch(pagemap: int, start: int, end: int) -> int:
    count = (end - start) // _PAGE
    data = os.pread(pagemap, count * _ENTRY, start // _PAGE * _ENTRY)
    touched = 0
    for index, (entry,) in enumerate(struct.iter_unpack("=Q", data)):
        if entry & _PRESENT:
            # One load instruction maps the page; it is in the page cache, because the zygote has it.
            ctypes.c_ubyte.from_address(start + index * _PAGE).value  # noqa: B018
            touched += 1
    return touched


def _read_fields(path: str) -> dict[str, int]:
    fields = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, rest = line.partition(":")
            words = rest.split()
            if len(words) == 2 and words[1] == "kB":
                fields[name] = int(words[0]) * 1024
    return fields
