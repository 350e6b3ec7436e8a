"""Runtime environments: wheels of the store unpacked into `<root>/env/<id>`, whole or not at all.

Pure Python without pip: a wheel is a zip with a known layout (PEP 427). Scripts, headers and data files of a wheel are
left out, because nothing here calls them. Knows nothing of which runtime is in it.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import zipfile

from harness.agent.refusal import Refusal, from_os_error
from harness.agent.store import Store, hash_file

_ENV_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{3,127}\Z")
_MAX_UNPACKED = 4 << 30
_RESERVE_BYTES = 64 << 20
SYSTEM = "system"


def env_path(root: str, env: str) -> str:
    """Return the folder of an environment.

    Raises:
        Refusal: `request` when the id could leave the folder of environments.
    """
    if not isinstance(env, str) or not _ENV_ID.match(env) or ".." in env:
        raise Refusal("request", f"not an environment id: {str(env)[:80]!r}")
    return os.path.join(root, "env", env)


def install(root: str, env: str, digests: list[str]) -> bool:
    """Unpack wheels into an environment.

    Args:
        root: the agent's folder.
        env: id; the same id always means the same wheels.
        digests: SHA-256 of the wheels in the store.

    Returns:
        False when the environment was there already.

    Raises:
        Refusal: `missing`, `integrity`, `wheel` (not a wheel, or a path that leaves the folder), `disk`, `read_only`.
    """
    final = env_path(root, env)
    if os.path.isdir(final):
        return False
    building = final + ".tmp"
    try:
        shutil.rmtree(building, ignore_errors=True)
        os.makedirs(building, mode=0o700)
        for digest in digests:
            _unpack(Store(root), digest, building)
        os.sync()
        os.rename(building, final)
    except OSError as error:
        shutil.rmtree(building, ignore_errors=True)
        raise from_os_error(error, f"installing environment {env[:12]}") from error
    except Refusal:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return True


def _unpack(store: Store, digest: str, folder: str) -> None:
    path = store.path(digest)
    if not store.has(digest):
        raise Refusal("missing", f"wheel {digest[:12]} is not in the store")
    if hash_file(path) != digest:
        store.discard(digest)
        raise Refusal("integrity", f"wheel {digest[:12]} was damaged in the store")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(archive, folder)
            for entry in archive.infolist():
                _extract(archive, entry, folder)
    except (zipfile.BadZipFile, EOFError) as error:
        raise Refusal("wheel", f"{digest[:12]} is not a wheel: {error}") from error


def _check_size(archive: zipfile.ZipFile, folder: str) -> None:
    size = sum(entry.file_size for entry in archive.infolist())
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if size > _MAX_UNPACKED:
        raise Refusal("wheel", f"{size} bytes unpacked is more than {_MAX_UNPACKED}")
    if free < size + _RESERVE_BYTES:
        raise Refusal("disk", f"{free >> 20} MiB free, {(size + _RESERVE_BYTES) >> 20} MiB needed")


def place(name: str) -> str | None:
    """Return where an entry of a wheel goes below the environment; None: it is left out.

    Raises:
        Refusal: `wheel` when the name would leave the folder.
    """
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or "\0" in name or any(part in {"..", "."} for part in parts):
        raise Refusal("wheel", f"entry {name[:80]!r} leaves its folder")
    if parts[0].endswith(".data") and len(parts) > 1:
        return "/".join(parts[2:]) or None if parts[1] in {"purelib", "platlib"} else None
    return name


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: str) -> None:
    name = place(entry.filename)
    if name is None or entry.is_dir():
        return
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        raise Refusal("wheel", f"entry {entry.filename[:80]!r} is not a regular file")
    target = os.path.join(folder, *name.split("/"))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with archive.open(entry) as source, open(target, "wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    os.chmod(target, 0o755 if mode & 0o111 else 0o644)
