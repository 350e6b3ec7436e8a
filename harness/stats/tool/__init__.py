"""What measuring tools print, read into figures: one reader per format, pure functions of the text.

Owns the formats. A figure that a tool does not print is not there: nothing is guessed from another one.
"""

from harness.stats.tool.output import Output, Reader, Told, Unreadable
from harness.stats.tool.reader import READERS, read_output

__all__ = ["READERS", "Output", "Reader", "Told", "Unreadable", "read_output"]
