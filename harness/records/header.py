"""One lock around what makes numpy read the header of an array, for all threads of the controller.

numpy reads headers by `ast.literal_eval`, and two threads that do so at once may get `SystemError: AST constructor
recursion depth mismatch` from a sound file (CPython gh-106905, seen on 3.11.7; Debian 12 has 3.11.2).
"""

from __future__ import annotations

import threading
from typing import Final

HEADERS: Final = threading.Lock()
"""Held while a header is read."""
