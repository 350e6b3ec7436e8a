"""What Linux offers about processes and Python's library does not: death signals, layout, orphans, kill by group."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Callable

from harness.agent.refusal import Refusal

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_ADDR_NO_RANDOMIZE = 0x0040000
_PERSONALITY_QUERY = 0xFFFFFFFF

libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that forked it ends; end now if `parent` is gone already."""
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def fork_beside(cores: set[int], act: Callable[[], None]) -> int:
    """Fork a process that does one thing on `cores` beside this one and ends with it; return its pid."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            die_with_parent(parent)
            os.sched_setaffinity(0, cores)
            act()
        finally:
            os._exit(0)
    return pid


def adopt_orphans() -> None:
    """Become the parent of all descendants whose parent ends, so that none can slip away."""
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def fix_layout() -> bool:
    """Turn off address space randomisation for what this process executes next; False where it is not allowed."""
    now = int(libc.personality(_PERSONALITY_QUERY))
    return now != -1 and int(libc.personality(now | _ADDR_NO_RANDOMIZE)) != -1


def kill_group(pid: int) -> None:
    """Kill the process group that `pid` leads; nothing happens when it is gone."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def list_children(pid: int) -> list[int]:
    """Return the direct children of `pid`, from /proc/*/stat (field 4)."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and read_stat(int(name)).get("ppid") == pid]


def read_stat(pid: int) -> dict[str, int]:
    """Return `ppid` and `start` (ticks since boot) of a process; empty when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return {}
    return {"ppid": int(fields[1]), "start": int(fields[19])}


def count_oom_kills() -> int:
    """Return how many processes the kernel has killed for lack of memory since boot; -1 where it does not say."""
    try:
        with open("/proc/vmstat", encoding="ascii") as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    except OSError:
        return -1
    return -1


def offer_to_oom_killer() -> None:
    """Make this process the first that the kernel kills when memory ends, rather than the agent."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        return


def describe_status(status: int) -> str:
    """Put a wait status into words: `signal 11 (SIGSEGV)` or `exit status 3`."""
    if not os.WIFSIGNALED(status):
        return f"exit status {os.WEXITSTATUS(status)} without a result"
    number = os.WTERMSIG(status)
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def read_architecture() -> str:
    """Return the architecture whose code and system calls this process uses: aarch64, x86_64, armv7l and so on."""
    machine = os.uname().machine
    # A 32-bit Python on a 64-bit kernel speaks the 32-bit numbers.
    if struct.calcsize("P") == 4:
        return {"aarch64": "armv8l"}.get(machine, machine if machine.startswith("arm") else "")
    return machine


def pin(cores: list[int], threads: int) -> list[int]:
    """Pin this process to `cores`, or to the last of those allowed, one per thread.

    Raises:
        Refusal: `input` when a core is not available.
    """
    allowed = sorted(os.sched_getaffinity(0))
    chosen = sorted(cores) if cores else allowed[-threads:]
    if not set(chosen) <= set(allowed):
        raise Refusal("input", f"cores {chosen} were asked for, {allowed} are available")
    os.sched_setaffinity(0, chosen)
    return chosen


def leave_network() -> bool:
    """Move this process into a network of its own, where there is nobody; False where the kernel does not allow it.

    Without root that takes a user namespace, in which the user stays who it is.
    """
    if libc.unshare(_CLONE_NEWNET) == 0:
        return True
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    return True


def succeeds(act: Callable[[], bool]) -> bool:
    """Whether something works here, tried in a child that ends with it."""
    pid = os.fork()
    if pid == 0:
        done = False
        try:
            done = act()
        finally:
            os._exit(0 if done else 1)
    return os.waitpid(pid, 0)[1] == 0


def explain_kill(when: str, *, is_oom: bool) -> dict[str, str]:
    """Tell the kernel's kill for lack of memory from one that nobody can explain, which is not the model's."""
    if is_oom:
        return {"code": "memory", "message": f"killed by the kernel for lack of memory {when}"}
    words = "killed (signal 9), not by the agent and not for lack of memory that the kernel counted,"
    return {"code": "killed", "message": f"{words} {when}"}


def sweep() -> None:
    """Kill and reap all children of this process, also those that come to it as orphans while it does so."""
    for _ in range(100):
        if not _reap_ended():
            return
        for pid in list_children(os.getpid()):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _reap_ended() -> bool:
    """Reap the children that have ended; tell whether others are left.

    The kernel knows that without a look at /proc: reading that leaves traces on the heap which differ with the
    processes of the moment, and the next child of a zygote would inherit them.
    """
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True
