"""Keep freed memory in the process: on glibc, a training step otherwise pays page faults for every activation.

glibc hands each block above 128 KiB back to the kernel when it is freed and maps fresh, zeroed pages for the
next one. A step frees and takes the same few megabytes thousands of times; on a two-core machine the faults
cost the reference model a third of its time. Raising two thresholds (mallopt(3)) makes glibc reuse them. The
process's memory then stays at its peak instead of falling between steps. ``GENLAB_MALLOC=0`` leaves the
allocator alone; elsewhere than on glibc nothing is done.
"""

from __future__ import annotations

import ctypes
import os
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_WANTED, _OLD_MAXIMUM = 2**30, 2**25  # glibc before 2.35 refuses more than 32 MiB
_TRIM_THRESHOLD = 2**31 - 1


def keep_freed_memory() -> bool:
    """Raise glibc's thresholds; return whether that was done. Repeating it is harmless."""
    if os.environ.get("GENLAB_MALLOC") == "0" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    kept = libc.mallopt(_M_MMAP_THRESHOLD, _WANTED) or libc.mallopt(_M_MMAP_THRESHOLD, _OLD_MAXIMUM)
    return bool(kept and libc.mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD))
