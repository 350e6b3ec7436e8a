"""An onnxruntime that is a few lines of Python: what the agent needs of it, and what a test wants of a model.

Knows nothing of tests; a model file of `MISBEHAVING` says when to do what (`run segv`, `load leave`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

API = """
import ctypes, os, sys, time
import numpy as np
__version__ = "0.fake"
def set_default_logger_severity(level): pass
def get_available_providers(): return ["FancyExecutionProvider", "CPUExecutionProvider"]
class Node:
    name, shape, type = "x", [1, 2], "tensor(float)"
class SessionOptions:
    graph_optimization_level = execution_mode = "x"
    enable_cpu_mem_arena = enable_mem_pattern = True
    def add_session_config_entry(self, key, value): pass
class Session:
    def disable_fallback(self): pass
    def get_providers(self): return ["CPUExecutionProvider"]
    def get_inputs(self): return [Node]
"""
"""Everything but `InferenceSession`, which a test derives from `Session`."""
MISBEHAVING = (
    API
    + """
class InferenceSession(Session):
    def __init__(self, path, options, providers, enable_fallback):
        self.do = open(path).read().split()
        self.act("load")
    def act(self, when):
        if self.do[0] != when: return
        if self.do[1] == "segv": ctypes.string_at(0)
        if self.do[1] == "exit": os._exit(3)
        if self.do[1] == "kill": os.kill(os.getpid(), 9)
        if self.do[1] == "raise": raise ValueError("no such operator: Frobnicate")
        if self.do[1] == "memory": raise RuntimeError("std::bad_alloc")
        if self.do[1] == "hang": time.sleep(1000)
        if self.do[1] == "flood":
            for _ in range(3000): os.write(1, b"noise" * 2000)
            os.write(2, b"the last line")
        if self.do[1] == "endless":
            while True: os.write(1, b"noise" * 2000)
        if self.do[1] == "orphan":
            if os.fork() == 0:
                os.setsid(); time.sleep(1000)
            os.kill(os.getppid(), 9); time.sleep(1000)
        if self.do[1] == "print": print("FGT1 hello", flush=True)
        if self.do[1] == "leave":
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0: time.sleep(1000)
                os._exit(0)
        if self.do[1] == "close":
            os.closerange(3, 64)
        if self.do[1] == "garbage":
            for fd in range(3, 32):
                try: os.write(fd, b"garbage on every descriptor of this process, " * 4)
                except OSError: pass
    def run(self, names, feed):
        self.act("run")
        self.count = getattr(self, "count", 0) + (self.do[1] == "count")
        return [feed["x"] * 2 + self.count]
"""
)


def add_fake(root: Path, env: str = "fake-env", source: str = MISBEHAVING) -> None:
    """Add an environment with such a runtime and this machine's numpy to an agent's root."""
    folder = root / "env" / env
    folder.mkdir(parents=True)
    (folder / "onnxruntime.py").write_text(source)
    for package in (Path(np.__file__).parent, Path(np.__file__).parent.with_name("numpy.libs")):
        if package.exists():
            (folder / package.name).symlink_to(package)
