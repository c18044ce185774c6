"""No core dumps: a crashing process leaves no copy of its memory, with keys and records in it, on a disk.

Every process that imports ``hefl_core`` may hold such memory, so the package does this first (``hefl_core/__init__.py``):
command line, services, Ray's actors, the application, notebooks. Their child processes inherit it.
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
    """Limit a dump to 0 bytes, and to no memory: kernels that pipe dumps into a program ignore the size limit.

    Users with the right to do so can still read memory through /proc (the blindness test does). Windows writes no core files.
    """
    if sys.platform == "win32":
        return
    import resource  # POSIX

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.access(FILTER, os.W_OK):  # Linux; not writable once hide() was called, and then already set
        FILTER.write_text(NOTHING, encoding="ascii")


def hide() -> None:
    """Close this process to debuggers of its own user too: no dump at all, /proc readable for root only.

    Not to be called where the user that runs the parties inspects them (Ray, one machine). Linux only.
    Raises: RuntimeUnavailable when the kernel refuses.
    """
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise RuntimeUnavailable(
            f"prctl: expected to close this process to debuggers, found {reason}; is it sandboxed?"
        )
