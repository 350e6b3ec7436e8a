"""Many boards at once: one thread per board, nothing that hangs longer than its deadline."""

from harness.farm.boards import Boards, RealBoards
from harness.farm.engine import Engine
from harness.farm.job import Job, JobResult, Progress

__all__ = ["Boards", "Engine", "Job", "JobResult", "Progress", "RealBoards"]
