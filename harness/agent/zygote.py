"""A process that has the runtime loaded once and forks a fresh child for every session.

Between sessions it does nothing and allocates next to nothing, so that each child starts from the same memory. It waits
for the child, sweeps up what the child left running, and tells the agent the wait status. It never looks into a model.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from harness.agent import process
from harness.agent.crash import tell_crashes
from harness.agent.env import SYSTEM, env_path
from harness.agent.meters.memory import remember_resident
from harness.agent.runtimes import load_runtime
from harness.agent.spawn import MAX_MESSAGE, NATIVE, PAGE, TOOL

_REHEARSAL = b"rehearsal"
_MARK = ".loaded-"


if TYPE_CHECKING:
    Run = Callable[[bytes, int, str], None]
    """Does what a session request asks: the request as JSON, where the result goes, the agent's folder."""


class Loaded(NamedTuple):
    """What this zygote has loaded: words about it, and how a session is run with it."""

    described: dict[str, str]
    run: Run


def serve(root: str, env: str, runtime: str, fd: int, crash_fd: int) -> None:
    """Load the runtime, then fork a child per request until the agent closes the socket `fd`.

    A crash of it or of a session is told in the memory `crash_fd` (`harness.agent.crash`), unless that is -1.
    Messages to the agent: `ready {json}` or `failed {json}`, then for each session `pid N` and `exit STATUS`.
    """
    control = socket.socket(fileno=fd)
    os.set_inheritable(fd, False)
    process.adopt_orphans()
    tell_crashes(crash_fd)
    try:
        loaded = _load(root, env, runtime)
        described = dict(loaded.described, python=".".join(map(str, sys.version_info[:3])))
    except Exception as error:  # noqa: BLE001  whatever a runtime raises when it does not fit the board
        control.send(b"failed " + json.dumps({"message": f"{type(error).__name__}: {error}"[:2000]}).encode())
        return
    remember_resident()
    _rehearse(root, loaded.run)
    gc.collect()
    gc.freeze()
    control.send(b"ready " + json.dumps(described).encode())
    while _serve_one(control, root, loaded.run):
        pass


def _load(root: str, env: str, runtime: str) -> Loaded:
    if env == SYSTEM:
        return _import(runtime)
    folder = env_path(root, env)
    sys.path.append(folder)
    mark = os.path.join(folder, _MARK + runtime)
    if not os.path.exists(mark):
        # The first import compiles and thereby has another heap: let a child do it, so that all zygotes are alike.
        pid = os.fork()
        if pid == 0:
            _import_and_exit(runtime)
        if os.waitpid(pid, 0)[1] == 0:
            with open(mark, "wb"):
                pass
    return _import(runtime)


def _import(runtime: str) -> Loaded:
    if runtime == NATIVE:
        from harness.agent import program

        return Loaded({"runtime_version": NATIVE, "numpy": ""}, program.run)
    if runtime == TOOL:
        from harness.agent import tool

        return Loaded({"runtime_version": TOOL, "numpy": ""}, tool.run)
    adapter = load_runtime(runtime)
    adapter.probe()
    # What every session needs beside the runtime is loaded here too, once; cp437 is what zipfile reads an .npz with.
    import encodings.cp437  # noqa: F401

    from harness.agent import session

    return Loaded(adapter.describe(), functools.partial(session.run, runtime=adapter))


def _import_and_exit(runtime: str) -> NoReturn:
    status = 1
    try:
        _import(runtime)
        status = 0
    finally:
        os._exit(status)


def _rehearse(root: str, run: Run) -> None:
    """Serve empty sessions, so that the first real one meets the heap that the second meets."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    null = os.open(os.devnull, os.O_WRONLY)
    for _ in range(3):
        rights = null.to_bytes(4, sys.byteorder) * 2
        ours.sendmsg([_REHEARSAL.ljust(PAGE)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        _serve_one(theirs, root, run)
        ours.recv(64)
        ours.recv(64)
    os.close(null)
    ours.close()
    theirs.close()


def _serve_one(control: socket.socket, root: str, run: Run) -> bool:
    message, rights, _, _ = control.recvmsg(MAX_MESSAGE, socket.CMSG_SPACE(8))
    if not message:
        return False
    data = rights[0][2]
    log_fd, result_fd = (int.from_bytes(data[at : at + 4], sys.byteorder) for at in (0, 4))
    pid = os.fork()
    if pid == 0:
        control.close()
        if message.startswith(_REHEARSAL):
            os._exit(0)
        _become_session(message, log_fd, result_fd, root, run)
    os.close(log_fd)
    os.close(result_fd)
    control.send(b"pid %d" % pid)
    status = os.waitpid(pid, 0)[1]
    process.sweep()
    control.send(b"exit %d" % status)
    return True


def _become_session(message: bytes, log_fd: int, result_fd: int, root: str, run: Run) -> NoReturn:
    status = 70
    try:
        os.setpgid(0, 0)
        process.die_with_parent(os.getppid())
        process.offer_to_oom_killer()
        os.dup2(log_fd, 1)
        os.dup2(log_fd, 2)
        os.close(log_fd)
        run(message, result_fd, root)
        status = 0
    finally:
        # No interpreter shutdown: destructors of a runtime may crash after a good result.
        os._exit(status)
