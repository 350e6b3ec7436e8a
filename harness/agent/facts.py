"""What a board says of itself, raw: texts of files, outputs of commands, and what only Python can ask.

Parsing is the controller's business (pure functions with golden files); nothing here has an opinion.
"""

from __future__ import annotations

import glob
import os
import platform
import subprocess
import sys
import sysconfig

from harness.agent import process

_MAX_TEXT = 64 << 10
_MAX_FILES = 512
_COMMAND_S = 10.0


def read_facts(root: str, files: list[str], globs: list[str], commands: list[list[str]]) -> dict[str, object]:
    """Answer the `facts` operation."""
    return {
        "files": {path: read_text(path) for path in files[:_MAX_FILES]},
        "globs": {pattern: _read_glob(pattern) for pattern in globs},
        "commands": {" ".join(argv): run_command(argv) for argv in commands},
        "python": describe_python(),
        "disk": describe_disk(root),
    }


def read_text(path: str) -> str | None:
    """Return the beginning of a file, or None when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_TEXT).decode(errors="replace")
    except OSError:
        return None


def _read_glob(pattern: str) -> dict[str, str | None]:
    return {path: read_text(path) for path in sorted(glob.glob(pattern))[:_MAX_FILES] if os.path.isfile(path)}


def run_command(argv: list[str]) -> dict[str, object]:
    """Run one command without a shell; status 127: not there, 124: took longer than 10 s."""
    env = dict(os.environ, LC_ALL="C")
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_COMMAND_S,
            env=env,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"status": 124, "stdout": ""}
    except (OSError, ValueError):
        return {"status": 127, "stdout": ""}
    return {"status": done.returncode, "stdout": done.stdout[:_MAX_TEXT].decode(errors="replace")}


def describe_python() -> dict[str, object]:
    """Return version, wheel ABI tag, libc, affinity and what else decides which wheels fit."""
    return {
        "version": platform.python_version(),
        "implementation": sys.implementation.name,
        "abi": abi_tag(),
        "soabi": sysconfig.get_config_var("SOABI") or "",
        "executable": sys.executable,
        "bits": 64 if sys.maxsize > 1 << 32 else 32,
        "byteorder": sys.byteorder,
        "architecture": os.uname().machine,
        "kernel": os.uname().release,
        "libc": libc_version(),
        "affinity": sorted(os.sched_getaffinity(0)),
        "page_size": os.sysconf("SC_PAGE_SIZE"),
        "uid": os.getuid(),
    }


def abi_tag() -> str:
    """Return the wheel ABI tag: `cp311`, or `cp313t` for a free-threaded build."""
    free_threaded = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    return f"cp{sys.version_info[0]}{sys.version_info[1]}{free_threaded}"


def libc_version() -> str:
    """Return `glibc 2.36` or `musl 1.2.4`; empty when neither answers."""
    try:
        found = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        found = None
    if found:
        return found
    loaders = sorted(glob.glob("/lib/ld-musl-*.so.1"))
    if not loaders:
        return ""
    done = subprocess.run(loaders[:1], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    words = done.stderr.decode(errors="replace").split()
    return f"musl {words[words.index('Version') + 1]}" if "Version" in words[:-1] else "musl"


def describe_disk(root: str) -> dict[str, object]:
    """Return bytes and inodes left where the store lives."""
    found = os.statvfs(root)
    return {
        "path": root,
        "free_bytes": found.f_bavail * found.f_frsize,
        "total_bytes": found.f_blocks * found.f_frsize,
        "free_inodes": found.f_favail,
        "read_only": bool(found.f_flag & os.ST_RDONLY),
        "oom_kills": process.count_oom_kills(),
    }
