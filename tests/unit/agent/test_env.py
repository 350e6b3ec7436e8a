"""Environments from wheels: whole or not at all, and never outside of their folder."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from pathlib import Path

import pytest

from harness.agent.env import install, place
from harness.agent.refusal import Refusal
from harness.agent.store import Store

ENV = "abcdef012345"


def wheel(entries: dict[str, bytes], modes: dict[str, int] | None = None) -> bytes:
    """Return a zip with these entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (modes or {}).get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def stored(root: Path, data: bytes) -> str:
    """Put bytes into the store below `root`; return their digest."""
    digest = hashlib.sha256(data).hexdigest()
    store = Store(str(root))
    store.append(digest, len(data), 0, data)
    store.publish(digest)
    return digest


def test_wheels_are_laid_out_as_pip_does(tmp_path: Path) -> None:
    """Package files, purelib and platlib go to the root, scripts are left out, executables stay executable."""
    entries = {
        "pack/__init__.py": b"x = 1",
        "pack/lib.so": b"elf",
        "pack-1.data/purelib/pure.py": b"",
        "pack-1.data/platlib/deep/plat.py": b"",
        "pack-1.data/scripts/tool": b"#!",
        "pack-1.dist-info/METADATA": b"Name: pack",
    }
    digest = stored(tmp_path, wheel(entries, {"pack/lib.so": stat.S_IFREG | 0o755}))

    assert install(str(tmp_path), ENV, [digest]) is True

    folder = tmp_path / "env" / ENV
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "pack/__init__.py", "pack/lib.so", "pure.py", "deep/plat.py", "pack-1.dist-info/METADATA",
    }  # fmt: skip
    assert (folder / "pack/lib.so").stat().st_mode & 0o777 == 0o755
    assert (folder / "pack/__init__.py").stat().st_mode & 0o777 == 0o644


def test_second_time_does_nothing(tmp_path: Path) -> None:
    """An environment that is there is kept, even when the wheels are not in the store any more."""
    install(str(tmp_path), ENV, [stored(tmp_path, wheel({"a.py": b""}))])

    assert install(str(tmp_path), ENV, ["0" * 64]) is False


@pytest.mark.parametrize("name", ["../evil.py", "a/../../evil.py", "/etc/evil", "a\\..\\evil", "a-1.data/purelib/../x"])
def test_paths_cannot_leave_the_folder(name: str) -> None:
    """Entries that climb out of the environment are refused."""
    with pytest.raises(Refusal) as refused:
        place(name)

    assert refused.value.code == "wheel"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (wheel({"ok.py": b"", "../evil.py": b""}), "wheel"),
        (wheel({"link": b"/etc/passwd"}, {"link": stat.S_IFLNK | 0o777}), "wheel"),
        (b"no zip at all", "wheel"),
    ],
    ids=["escape", "symlink", "no-zip"],
)
def test_bad_wheel_leaves_nothing(tmp_path: Path, data: bytes, code: str) -> None:
    """A wheel that cannot be installed leaves neither an environment nor a half of one."""
    digest = stored(tmp_path, data)

    with pytest.raises(Refusal) as refused:
        install(str(tmp_path), ENV, [digest])

    assert refused.value.code == code
    assert list((tmp_path / "env").iterdir()) == []
    assert not (tmp_path / "evil.py").exists()


def test_damaged_wheel_is_found(tmp_path: Path) -> None:
    """A wheel whose stored bytes changed is refused and dropped, so that it is sent again."""
    digest = stored(tmp_path, wheel({"a.py": b""}))
    path = Path(Store(str(tmp_path)).path(digest))
    path.chmod(0o644)
    path.write_bytes(b"changed")

    with pytest.raises(Refusal) as refused:
        install(str(tmp_path), ENV, [digest])

    assert refused.value.code == "integrity"
    assert not path.exists()


@pytest.mark.parametrize("env", ["", "..", "../x", "a/b", ".hidden", "x" * 200])
def test_only_ids_become_folders(tmp_path: Path, env: str) -> None:
    """An id that is no plain name is refused."""
    with pytest.raises(Refusal) as refused:
        install(str(tmp_path), env, [])

    assert refused.value.code == "request"
