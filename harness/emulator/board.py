"""From the description of an emulated board to a running one: image, snapshot, machine, each made if absent."""

from __future__ import annotations

from collections.abc import Callable

from harness.emulator.image import ImageRecipe, build_image
from harness.emulator.machine.process import Machine
from harness.emulator.snapshot import Snapshots
from harness.spec.model import Emulation


def start_board(
    emulation: Emulation,
    *,
    progress: Callable[[str], None],
    key: str = "",
    prepare: Callable[[Machine], None] | None = None,
) -> Machine:
    """Start a board that answers SSH about a second later; use it as a context manager.

    The first call of all builds the image (network, about 15 s), the first per kind of board a snapshot (about 15 s),
    the first per key the prepared snapshot. Later calls take 0.3 s and touch no network.

    Args:
        emulation: CPU, memory, kind and Debian release.
        progress: gets a line whenever something takes longer than about two seconds.
        key: names the prepared state; empty: the booted board as it is.
        prepare: makes the state `key` on first use; see `Snapshots.prepared`.

    Raises:
        ImageError: a system package is missing, or image, snapshot or QEMU failed.
        ValueError: only one of `key` and `prepare` is given.
    """
    if bool(key) != (prepare is not None):
        raise ValueError("key and prepare belong together")
    image = build_image(ImageRecipe(suite=emulation.suite), progress=progress)
    snapshots = Snapshots(image, progress)
    source = snapshots.booted(emulation) if prepare is None else snapshots.prepared(emulation, key, prepare)
    return Machine(image, emulation, source)
