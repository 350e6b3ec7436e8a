"""One open board: connection, facts, deployed files and runtimes, condition, sessions."""

from harness.device.session import OpenDevice, open_device, open_local

__all__ = ["OpenDevice", "open_device", "open_local"]
