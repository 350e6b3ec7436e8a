"""One open board: connection, facts, deployed files and runtimes, condition, sessions."""

from harness.device.envelope import SessionResult
from harness.device.opening import holder_name, open_device, open_local
from harness.device.runtime import RuntimeEnv
from harness.device.session import OpenDevice

__all__ = ["OpenDevice", "RuntimeEnv", "SessionResult", "holder_name", "open_device", "open_local"]
