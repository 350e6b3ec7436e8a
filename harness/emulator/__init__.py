"""Emulated ARM boards: QEMU machines that start from a snapshot, answer SSH in a second and never outlive their run.

    with start_board(emulation, progress=print) as machine:
        machine.endpoint     # host, port, user, identity file, pinned host key

Owns image, machine, snapshot and their cache. Must not know transports, runtimes, models or gates.
"""

from harness.emulator.board import start_board
from harness.emulator.image import Image, ImageRecipe, build_image
from harness.emulator.image.requirement import missing_to_build
from harness.emulator.machine.login import Endpoint
from harness.emulator.machine.process import Machine
from harness.emulator.snapshot import Snapshots

__all__ = ["Endpoint", "Image", "ImageRecipe", "Machine", "Snapshots", "build_image", "missing_to_build", "start_board"]
