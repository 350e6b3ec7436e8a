"""The store of a board: whole objects under their own digest, resumed and verified."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from harness.agent.refusal import Refusal, from_os_error
from harness.agent.store import Store

DATA = bytes(range(256)) * 40
DIGEST = hashlib.sha256(DATA).hexdigest()


def test_object_arrives_in_chunks(tmp_path: Path) -> None:
    """Chunks in order become a read-only object with the bytes that were sent."""
    store = Store(str(tmp_path))

    assert store.append(DIGEST, len(DATA), 0, DATA[:1000]) == 1000
    assert store.append(DIGEST, len(DATA), 1000, DATA[1000:]) == len(DATA)
    store.publish(DIGEST)

    path = Path(store.path(DIGEST))
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o777 == 0o444
    assert store.has(DIGEST)
    assert store.partial_size(DIGEST) == 0


def test_transfer_resumes_where_it_ended(tmp_path: Path) -> None:
    """What is there of an interrupted transfer is told, and only the rest is taken."""
    Store(str(tmp_path)).append(DIGEST, len(DATA), 0, DATA[:777])
    store = Store(str(tmp_path))

    assert store.partial_size(DIGEST) == 777
    with pytest.raises(Refusal) as refused:
        store.append(DIGEST, len(DATA), 778, DATA[778:])
    assert refused.value.code == "offset"
    assert refused.value.extra["received"] == 777
    store.append(DIGEST, len(DATA), 777, DATA[777:])
    store.publish(DIGEST)
    assert store.has(DIGEST)


def test_damaged_bytes_are_not_published(tmp_path: Path) -> None:
    """One flipped bit is refused, and nothing stays behind that a later transfer would continue."""
    store = Store(str(tmp_path))
    store.append(DIGEST, len(DATA), 0, b"\x01" + DATA[1:])

    with pytest.raises(Refusal) as refused:
        store.publish(DIGEST)

    assert refused.value.code == "integrity"
    assert not store.has(DIGEST)
    assert store.partial_size(DIGEST) == 0


def test_more_bytes_than_announced_are_refused(tmp_path: Path) -> None:
    """A chunk that runs over the announced size is not written."""
    with pytest.raises(Refusal) as refused:
        Store(str(tmp_path)).append(DIGEST, 10, 0, DATA)

    assert refused.value.code == "offset"


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, DIGEST[:-1], DIGEST + "\n", "0" * 63 + "/"])
def test_only_digests_become_paths(tmp_path: Path, digest: str) -> None:
    """Whatever is not a SHA-256 in lower case never becomes a file name."""
    with pytest.raises(Refusal) as refused:
        Store(str(tmp_path)).path(digest)

    assert refused.value.code == "request"


def test_no_room_is_said_before_writing(tmp_path: Path) -> None:
    """An object that is longer than the free space is refused at its first chunk."""
    free = os.statvfs(tmp_path)

    with pytest.raises(Refusal) as refused:
        Store(str(tmp_path)).append(DIGEST, free.f_bavail * free.f_frsize, 0, b"x")

    assert refused.value.code == "disk"


@pytest.mark.parametrize(
    ("number", "code"), [("ENOSPC", "disk"), ("EIO", "disk"), ("EROFS", "read_only"), ("EMFILE", "os")]
)
def test_errno_names_the_fault(number: str, code: str) -> None:
    """A full, a failing and a read-only disk are told apart from other trouble."""
    import errno

    assert from_os_error(OSError(getattr(errno, number), "x"), "storing").code == code
