"""The commands `fleetgate image build | list | clean`; parsing arguments and printing are the command line's matter."""

from __future__ import annotations

from collections.abc import Callable

from harness.emulator.image import ImageRecipe, build_image
from harness.emulator.inventory import clean_cache, list_cache

Out = Callable[[str], None]
"""Gets one line of output."""


def build(*, suite: str = "bookworm", mirror: str = "", out: Out) -> int:
    """Build the board image of a Debian release unless the cache has it; 0 on success.

    Raises:
        ImageError: as `build_image`.
    """
    image = build_image(ImageRecipe(suite=suite), mirror=mirror, progress=out)
    out(f"image {image.id} ({image.suite}, kernel {image.kernel_version}): {image.folder}")
    return 0


def show(*, out: Out) -> int:
    """Print what the cache holds; always 0."""
    entries = list_cache()
    for entry in entries:
        indent = "" if entry.kind == "image" else "  "
        size = f"{entry.stored_bytes / 2**20:.0f} MiB"
        out(f"{size:>9}  {indent}{entry.kind} {entry.name} ({entry.description})")
    total = sum(entry.stored_bytes for entry in entries)
    out(f"{total / 2**20:.0f} MiB in all" if entries else "no board images; make one with: fleetgate image build")
    return 0


def clean(*, out: Out) -> int:
    """Empty the cache; 0 on success.

    Raises:
        ImageError: a board runs, or something is being made.
    """
    out(f"{clean_cache() / 2**20:.0f} MiB freed")
    return 0
