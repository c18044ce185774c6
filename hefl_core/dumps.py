"""No core dumps: a process that crashes leaves no copy of its memory, keys and records in it, on a disk.

Whoever imports ``hefl_core`` is such a process, so the package does this first (``hefl_core/__init__.py``): command line,
services, Ray's actors, the application, notebooks. Processes that they start inherit it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Final

from hefl_core.errors import RuntimeUnavailable

FILTER: Final = Path("/proc/self/coredump_filter")
NOTHING: Final = "0"
PR_SET_DUMPABLE: Final = 4
"""Of prctl(2)."""


def switch_off() -> None:
    """Limit a dump to 0 bytes, and to no memory: kernels that pipe dumps into a program do not ask for the limit.

    Memory can still be looked at through /proc by whoever may do that (the blindness test does). Windows writes no core files.
    """
    if sys.platform == "win32":
        return
    import resource  # POSIX

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.access(FILTER, os.W_OK):  # Linux; one that was called before, and hides, has it already
        FILTER.write_text(NOTHING, encoding="ascii")


def hide() -> None:
    """Close this process to debuggers of its own user as well: no dump at all, nothing to read in /proc but for root.

    Where parties are looked into by the user who runs them (Ray, one machine), this must not be called. Linux only.
    Raises: RuntimeUnavailable when the kernel refuses.
    """
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise RuntimeUnavailable(
            f"prctl: expected to close this process to debuggers, found {reason}; is it sandboxed?"
        )
