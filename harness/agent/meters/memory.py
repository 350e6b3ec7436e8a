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
_resident: list[tuple[int, bytes]] = []
"""File mappings of the zygote that this process was forked from: address, and a byte per page, 1 where it was present.

Which pages are present hangs on how fast the disk was; as bytes they take the same room on the heap whatever they are.
"""


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


def read_available() -> int:
    """Return what the board could give without swapping, in bytes (MemAvailable)."""
    return _read_fields("/proc/meminfo")["MemAvailable"]


def reset_peak() -> bool:
    """Have VmHWM start again from now (proc(5), clear_refs); False where the kernel does not offer it."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        return False
    return True


def remember_resident() -> None:
    """Note, in the zygote when its runtime is loaded, which file pages it has in memory (pagemap's present bits).

    Later is too late: a zygote that waits for minutes may lose cold pages to the kernel, and with them every session
    that follows would look smaller than the first. The files are read here too, before the first fork: what a session
    executes before it touches anything maps neighbours as well.
    """
    _read_mapped_files()
    _resident.clear()
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            for start, end, _ in _list_file_mappings():
                _resident.append((start, _read_present(pagemap.fileno(), start, end)))
    except OSError:
        _resident.clear()


def touch_remembered() -> int:
    """Map, in a session, the file pages that its zygote had when its runtime was loaded.

    The files are read first: the kernel maps with a page its neighbours too, if they are in the page cache, and whether
    they are must not depend on how long ago the libraries were installed or used.

    Returns:
        The number of pages touched; 0 when the zygote could not read its page map (then the pages that the model does
        not use stay uncounted, in `rss_start_bytes` as in the peak).
    """
    _read_mapped_files()
    for address, present in _resident:
        for page, is_present in enumerate(present):
            if is_present:
                ctypes.c_ubyte.from_address(address + page * _PAGE).value  # noqa: B018  one load maps the page
    return sum(sum(present) for _, present in _resident)


def _read_mapped_files() -> None:
    for path in sorted({path for _, _, path in _list_file_mappings()}):
        _read_whole(path)


def _read_whole(path: str) -> None:
    buffer = bytearray(1 << 18)
    try:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    except OSError:
        return  # deleted meanwhile: its pages are mapped from memory alone


def _list_file_mappings() -> list[tuple[int, int, str]]:
    found = []
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            span, mode, _, _, inode, *path = line.rstrip("\n").split(maxsplit=5)
            if inode != "0" and mode[0] == "r" and path:
                start, _, end = span.partition("-")
                found.append((int(start, 16), int(end, 16), path[0]))
    return found


def _read_present(pagemap: int, start: int, end: int) -> bytes:
    """Return one byte per page of a mapping, 1 where it is in memory."""
    count = (end - start) // _PAGE
    data = os.pread(pagemap, count * _ENTRY, start // _PAGE * _ENTRY)
    return bytes(bool(entry & _PRESENT) for (entry,) in struct.iter_unpack("=Q", data))


def _read_fields(path: str) -> dict[str, int]:
    fields = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, rest = line.partition(":")
            words = rest.split()
            if len(words) == 2 and words[1] == "kB":
                fields[name] = int(words[0]) * 1024
    return fields
