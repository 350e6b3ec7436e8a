"""The agent as one file: a zipapp with the same bytes on every controller. Runs on the controller only.

Stored, not compressed: zlib's output differs between its versions, and the bytes' hash is the agent's identity.
"""

from __future__ import annotations

import functools
import hashlib
import io
import zipfile
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)
_CONTROLLER_ONLY = frozenset({"package.py"})
_MAIN = b"from harness.agent.main import main\nmain()\n"


@functools.lru_cache(maxsize=1)
def build_zipapp() -> tuple[bytes, str]:
    """Pack harness/agent, from a checkout or an installed wheel.

    Returns:
        The zipapp's bytes, and their SHA-256 in hex.
    """
    folder = Path(__file__).parent
    sources = {"__main__.py": _MAIN, "harness/__init__.py": b""}
    for path in folder.rglob("*.py"):
        name = path.relative_to(folder).as_posix()
        if name not in _CONTROLLER_ONLY:
            sources[f"harness/agent/{name}"] = path.read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(sources):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, sources[name])
    data = buffer.getvalue()
    return data, hashlib.sha256(data).hexdigest()
